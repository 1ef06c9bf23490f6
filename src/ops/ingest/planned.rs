//! A batch and its chunks in the replies of `create_batch` and `add_items`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A chunk that takes items.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PlannedChunk {
    /// Its id; none in a dry run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// Its number in the batch, from 1.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// How many items it holds.
    pub items: u64,
    /// What its items have in common.
    pub span: String,
}

/// The batch.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PlannedBatch {
    /// Its id; none in a dry run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// Its title.
    pub title: String,
    /// How many items it has.
    pub items: u64,
    /// How many chunks it has.
    pub chunks: u64,
}
