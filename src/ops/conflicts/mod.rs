//! Chunks that touch the same resources: found among new items and stored batches, and resolved by the batch's rule.

pub(in crate::ops) mod detect;
pub(in crate::ops) mod resolve;
pub(in crate::ops) mod stored_resources;
