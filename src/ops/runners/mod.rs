//! What runners ask of the store, and how operations start them.

pub(in crate::ops) mod background;
pub(in crate::ops) mod registry;
