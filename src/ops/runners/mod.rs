//! Runners of background workers: how operations start them, and what they read from and write to the store.

pub(in crate::ops) mod batch_state;
pub(in crate::ops) mod claims;
pub(in crate::ops) mod failures;
pub(in crate::ops) mod permits;
pub(in crate::ops) mod profiles;
pub(in crate::ops) mod registry;
pub(in crate::ops) mod start;
pub(in crate::ops) mod unfinished_run;
