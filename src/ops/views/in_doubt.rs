//! Items in doubt as callers see them: a worker started the item, and no receipt reports an outcome.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::model::batch::{Chunk, StoredItem};
use crate::model::task::Task;
use crate::model::timestamp::Timestamp;
use crate::store::StoreRead;

/// The start of an item in doubt.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DoubtView {
    /// When the item was started.
    pub since: String,
    /// The worker that started it.
    pub by: String,
}

/// When an item was started, if that is known, and by which worker.
pub(in crate::ops) fn begun_by(
    tx: &dyn StoreRead,
    chunk: &Chunk,
    item: &StoredItem,
) -> Result<(Option<Timestamp>, String)> {
    let receipt = match item.started {
        Some(started) => tx.receipt(chunk.row, started.receipt)?,
        None => None,
    };
    Ok(receipt
        .map_or_else(|| (None, "an unknown worker".to_owned()), |receipt| (Some(receipt.at), receipt.author)))
}

/// The time at which an item was started, and the worker that started it, for a text.
pub(in crate::ops) fn started_at_and_by(
    tx: &dyn StoreRead,
    chunk: &Chunk,
    item: &StoredItem,
) -> Result<(String, String)> {
    let (at, by) = begun_by(tx, chunk, item)?;
    Ok((at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string()), by))
}

/// The `in_doubt` field of an item in a reply; `None` if the item is not in doubt.
pub(in crate::ops) fn describe_doubt(
    tx: &dyn StoreRead,
    task: &Task,
    chunk: &Chunk,
    item: &StoredItem,
) -> Result<Option<DoubtView>> {
    if !item.is_in_doubt(task, tx.now()) {
        return Ok(None);
    }
    let (since, by) = started_at_and_by(tx, chunk, item)?;
    Ok(Some(DoubtView { since, by }))
}
