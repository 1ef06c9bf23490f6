//! What moves a task or a chunk from one state to the next: receipts, releases, steps, reviews, pauses.

pub(in crate::ops) mod finish_task;
pub(in crate::ops) mod in_doubt;
pub(in crate::ops) mod pause;
pub(in crate::ops) mod receipts;
pub(in crate::ops) mod release;
pub(in crate::ops) mod review;
pub(in crate::ops) mod steps;
pub(in crate::ops) mod transition;
