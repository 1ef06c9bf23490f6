//! State changes of tasks and chunks: receipts, completion, release, lease expiry, steps, reviews, pauses.

pub(in crate::ops) mod append_receipt;
pub(in crate::ops) mod checkboxes;
pub(in crate::ops) mod checkpoint;
pub(in crate::ops) mod complete;
pub(in crate::ops) mod decision;
pub(in crate::ops) mod dependencies;
pub(in crate::ops) mod expire_leases;
pub(in crate::ops) mod finish_task;
pub(in crate::ops) mod in_doubt;
pub(in crate::ops) mod kept_category;
pub(in crate::ops) mod kept_claim;
pub(in crate::ops) mod note_quota;
pub(in crate::ops) mod pause;
pub(in crate::ops) mod release;
pub(in crate::ops) mod reviewer;
pub(in crate::ops) mod steps;
pub(in crate::ops) mod transition;
