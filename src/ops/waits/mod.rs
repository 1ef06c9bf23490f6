//! Waiting for a batch by a handle, and asking a person while waiting.

pub(in crate::ops) mod answers;
pub(in crate::ops) mod elicit_review;
pub(in crate::ops) mod review_form;
pub(in crate::ops) mod state;
