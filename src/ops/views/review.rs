//! What a person is shown at a checkpoint: counts by category, a sample of each category, items in doubt.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::batch::categories;
use super::in_doubt::started_at_and_by;
use super::shorten::shorten;
use crate::error::Result;
use crate::model::batch::{Batch, Chunk};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::store::StoreRead;
use crate::store::pages::{for_each_chunk, for_each_item};

/// The most chunks of a reply.
const CHUNKS: usize = 5;
/// The number of samples per category.
const SAMPLES: usize = 3;
/// The most items in doubt that are shown per chunk.
const IN_DOUBT: usize = 20;

/// A chunk that waits for a decision.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReviewView {
    /// The chunk's id.
    pub chunk: String,
    /// The chunk's title.
    pub title: String,
    /// The step that the chunk has completed.
    pub step: String,
    /// The number of items by category.
    pub categories: Map<String, Value>,
    /// Some items of each category. The choice depends only on the batch's id and the keys, so every caller sees
    /// the same items.
    pub samples: Vec<Sample>,
    /// Items in doubt: approve settles them as done, redo opens them again.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub in_doubt: Vec<ItemInDoubt>,
}

/// An item that was started and never settled.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ItemInDoubt {
    /// The item's key.
    pub item: String,
    /// When a worker started it.
    pub since: String,
    /// The worker that started it.
    pub by: String,
}

/// A sample of a category.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// The item's key.
    pub item: String,
    /// The item's category, or its outcome if it has no category.
    pub category: String,
    /// The text of the item's receipt.
    pub receipt: String,
}

/// A page of chunks in review whose number is greater than `after`, and the number at which the page ends if
/// more follow.
pub(in crate::ops) fn reviews(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
    after: u64,
) -> Result<(Vec<ReviewView>, Option<u64>)> {
    let (mut reviews, mut last, mut next) = (Vec::new(), after, None);
    for_each_chunk(tx, batch.row, after, |chunk, chunk_task| {
        if chunk_task.status != Status::Review {
            return Ok(true);
        }
        if reviews.len() == CHUNKS {
            next = Some(last);
            return Ok(false);
        }
        reviews.push(review(tx, task, batch, &chunk, &chunk_task)?);
        last = chunk.number;
        Ok(true)
    })?;
    Ok((reviews, next))
}

/// Reads one chunk in review for a reply.
pub(in crate::ops) fn review(
    tx: &dyn StoreRead,
    batch_task: &Task,
    batch: &Batch,
    chunk: &Chunk,
    task: &Task,
) -> Result<ReviewView> {
    // The samples of a category are the items with the smallest hashes: anybody can repeat the selection.
    let mut smallest: BTreeMap<String, Vec<([u8; 32], String, u64)>> = BTreeMap::new();
    for_each_item(tx, chunk.row, |item| {
        let Some(settled) = item.settled.filter(|_| item.step == chunk.step) else { return Ok(()) };
        let hash = Sha256::digest(format!("{}\n{}", batch_task.id, item.key)).into();
        let category = settled.category.unwrap_or_else(|| settled.outcome.to_string());
        let of_category = smallest.entry(category).or_default();
        of_category.push((hash, item.key, settled.receipt));
        of_category.sort();
        of_category.truncate(SAMPLES);
        Ok(())
    })?;
    let mut samples = Vec::new();
    for (category, of_category) in smallest {
        for (_, item, number) in of_category {
            let text = tx.receipt(chunk.row, number)?.map(|receipt| receipt.text).unwrap_or_default();
            samples.push(Sample { item, category: category.clone(), receipt: shorten(text) });
        }
    }
    let mut in_doubt = Vec::new();
    for item in tx.started_items(chunk)?.into_iter().take(IN_DOUBT) {
        let (since, by) = started_at_and_by(tx, chunk, &item)?;
        in_doubt.push(ItemInDoubt { item: item.key, since, by });
    }
    Ok(ReviewView {
        chunk: task.id.to_string(),
        title: task.title.clone(),
        step: batch.steps.name(chunk.step).to_owned(),
        categories: categories(tx, chunk.row)?,
        samples,
        in_doubt,
    })
}
