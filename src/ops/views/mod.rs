//! Tasks, batches and what belongs to them as callers see them in replies.

pub(in crate::ops) mod attention;
pub(in crate::ops) mod batch;
pub(in crate::ops) mod batch_items;
pub(in crate::ops) mod batch_reply;
pub(in crate::ops) mod changes;
pub(in crate::ops) mod chunk;
pub(in crate::ops) mod completion;
pub(in crate::ops) mod cost;
pub(in crate::ops) mod failures;
pub(in crate::ops) mod few_categories;
pub(in crate::ops) mod in_doubt;
pub mod intermediate_state;
pub(in crate::ops) mod items;
pub(in crate::ops) mod next_call;
pub(in crate::ops) mod next_workers;
pub(in crate::ops) mod nothing_to_claim;
pub(in crate::ops) mod overview;
pub(in crate::ops) mod page_bytes;
pub(in crate::ops) mod prompt_facts;
pub(in crate::ops) mod rate;
pub(in crate::ops) mod receipt;
pub(in crate::ops) mod receipts;
pub(in crate::ops) mod review;
pub(in crate::ops) mod shorten;
pub(in crate::ops) mod task;
pub(in crate::ops) mod worker_items;
