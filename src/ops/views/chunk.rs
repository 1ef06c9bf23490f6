//! A chunk as callers see it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::batch::categories;
use super::cost::spent;
use super::few_categories::sum_others;
use crate::error::Result;
use crate::model::batch::Chunk;
use crate::model::cost::CostSum;
use crate::model::field::visible_excerpt;
use crate::model::task::Task;
use crate::store::StoreRead;

/// The most characters of a worker's name.
const NAME_CHARS: usize = 60;

/// A chunk in a reply.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChunkView {
    /// The chunk's id.
    pub id: String,
    /// The chunk's number in the batch.
    pub number: u64,
    /// The status of the chunk's task.
    pub status: String,
    /// The number of items.
    pub total: u64,
    /// The number of items with an outcome.
    pub processed: u64,
    /// The number of items by category: the largest, and the sum of the others. A poll leaves them out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub categories: Option<Map<String, Value>>,
    /// The worker that holds the claim. Of workers with the same name, all but one have a number after it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worker: Option<String>,
    /// The cost of the work, according to the receipts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spent: Option<CostSum>,
}

/// Reads a chunk for a reply.
pub(in crate::ops) fn chunk_view(tx: &dyn StoreRead, chunk: &Chunk, task: &Task) -> Result<ChunkView> {
    let mut categories = categories(tx, task.row)?;
    sum_others(&mut categories);
    Ok(ChunkView {
        id: task.id.to_string(),
        number: chunk.number,
        status: task.status.to_string(),
        total: chunk.counts.total,
        processed: chunk.counts.processed(),
        categories: Some(categories),
        worker: task.live_claim(tx.now()).map(|claim| visible_excerpt(&claim.worker, NAME_CHARS)),
        spent: spent(tx, task.row)?,
    })
}
