//! A batch and its chunks in the replies of `create_batch` and `add_items`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::item_date::DateSpan;

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

/// The dates of a batch's items.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PlannedDates {
    /// The first date.
    pub first: String,
    /// The last date.
    pub last: String,
    /// Which dates may be wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub warning: Option<String>,
}

impl PlannedDates {
    /// The dates of a source's items; none if the items are not split by time.
    pub(in crate::ops) fn of(span: &DateSpan) -> Option<Self> {
        let (first, last) = span.range()?;
        Some(PlannedDates { first: first.to_string(), last: last.to_string(), warning: span.warning() })
    }
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
