//! Items on their way into a batch: read and checked, grouped into chunks, inserted.

pub(in crate::ops) mod add_to_batch;
mod bad_item_groups;
pub(in crate::ops) mod bad_items;
pub(in crate::ops) mod batch_rest;
mod batch_size;
pub(in crate::ops) mod chunk_plan;
pub(in crate::ops) mod collect;
pub(in crate::ops) mod extension_plan;
pub(in crate::ops) mod extension_plan_merged;
pub(in crate::ops) mod insert;
pub(in crate::ops) mod large_batch;
pub(in crate::ops) mod plan_reply;
pub(in crate::ops) mod project_size;
pub(in crate::ops) mod task_query;
