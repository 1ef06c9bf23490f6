//! What callers see of tasks and batches.

pub(in crate::ops) mod batch;
pub(in crate::ops) mod changes;
pub(in crate::ops) mod completion;
pub(in crate::ops) mod cost;
pub(in crate::ops) mod failures;
pub mod intermediate_state;
pub(in crate::ops) mod overview;
pub(in crate::ops) mod receipts;
pub(in crate::ops) mod review;
pub(in crate::ops) mod task;
