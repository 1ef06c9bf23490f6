//! What a person is shown at a checkpoint: counts, and a fair sample of each category.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::batch::categories;
use crate::error::Result;
use crate::model::batch::{Batch, Chunk};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::ops::lifecycle::in_doubt::since_and_by;
use crate::store::Read;
use crate::store::pages::{each_chunk, each_item};

/// How many chunks a reply shows.
const CHUNKS: usize = 5;
/// How many items of a category are shown.
const SAMPLES: usize = 3;
/// How many items in doubt are shown of a chunk.
const DOUBTS: usize = 20;

/// A chunk that waits for a yes or no.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReviewView {
    /// Its id.
    pub chunk: String,
    /// Its title.
    pub title: String,
    /// The step that it is through.
    pub step: String,
    /// Its items by category.
    pub categories: Map<String, Value>,
    /// Some of each category, chosen by hashing the batch's id with each key: the same for everybody.
    pub samples: Vec<Sample>,
    /// Items that may have happened: approve takes them for done, redo has them done.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub in_doubt: Vec<Doubt>,
}

/// An item that may have happened.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Doubt {
    /// Its key.
    pub item: String,
    /// When it was begun.
    pub since: String,
    /// By whom.
    pub by: String,
}

/// An item of the sample.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Its key.
    pub item: String,
    /// What it was found to be.
    pub category: String,
    /// Its receipt.
    pub receipt: String,
}

/// The first chunks in review after a number, and where the next page begins.
pub(in crate::ops) fn reviews(
    tx: &dyn Read,
    task: &Task,
    batch: &Batch,
    after: u64,
) -> Result<(Vec<ReviewView>, Option<u64>)> {
    let (mut shown, mut last, mut next) = (Vec::new(), after, None);
    each_chunk(tx, batch.row, after, |chunk, chunk_task| {
        if chunk_task.status != Status::Review {
            return Ok(true);
        }
        if shown.len() == CHUNKS {
            next = Some(last);
            return Ok(false);
        }
        shown.push(review(tx, task, batch, &chunk, &chunk_task)?);
        last = chunk.number;
        Ok(true)
    })?;
    Ok((shown, next))
}

/// What is shown of one chunk in review.
pub(in crate::ops) fn review(
    tx: &dyn Read,
    find_batch: &Task,
    batch: &Batch,
    chunk: &Chunk,
    task: &Task,
) -> Result<ReviewView> {
    // For each category the items with the smallest hashes: a draw that anybody can repeat.
    let mut drawn: BTreeMap<String, Vec<([u8; 32], String, u64)>> = BTreeMap::new();
    each_item(tx, chunk.row, |item| {
        let Some(settled) = item.settled.filter(|_| item.step == chunk.step) else { return Ok(()) };
        let hash = Sha256::digest(format!("{}\n{}", find_batch.id, item.key)).into();
        let category = settled.category.unwrap_or_else(|| settled.outcome.to_string());
        let of_category = drawn.entry(category).or_default();
        of_category.push((hash, item.key, settled.receipt));
        of_category.sort();
        of_category.truncate(SAMPLES);
        Ok(())
    })?;
    let mut samples = Vec::new();
    for (category, of_category) in drawn {
        for (_, item, number) in of_category {
            let text = tx.receipt(chunk.row, number)?.map(|receipt| receipt.text).unwrap_or_default();
            samples.push(Sample { item, category: category.clone(), receipt: super::failures::cut(text) });
        }
    }
    let mut in_doubt = Vec::new();
    for item in tx.begun(chunk)?.into_iter().take(DOUBTS) {
        let (since, by) = since_and_by(tx, chunk, &item)?;
        in_doubt.push(Doubt { item: item.key, since, by });
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
