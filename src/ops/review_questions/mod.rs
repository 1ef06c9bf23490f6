//! Asking a person about chunks in review, for `review_batch` and while a client waits for a batch.

pub(in crate::ops) mod answers;
pub(in crate::ops) mod lookup;
pub(in crate::ops) mod questions;
pub(in crate::ops) mod review_form;
