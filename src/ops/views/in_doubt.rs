//! Items in doubt as callers see them: a worker started the item, and no receipt reports an outcome.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::model::batch::{Chunk, StoredItem};
use crate::model::receipt::Receipt;
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
    /// The category that it named then: what it was about to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

/// What the receipt of an item's start says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) struct ItemStart {
    /// When the item was started, if that is known.
    pub(in crate::ops) at: Option<Timestamp>,
    /// By which worker.
    pub(in crate::ops) by: String,
    /// The category that the worker named: what it was about to do.
    pub(in crate::ops) category: Option<String>,
}

impl ItemStart {
    /// Reads the start of an item.
    pub(in crate::ops) fn of(tx: &dyn StoreRead, chunk: &Chunk, item: &StoredItem) -> Result<Self> {
        let receipt = match item.started {
            Some(started) => tx.receipt(chunk.row, started.receipt)?,
            None => None,
        };
        Ok(match receipt {
            Some(Receipt { at, author, category, .. }) => ItemStart { at: Some(at), by: author, category },
            None => ItemStart { at: None, by: "an unknown worker".to_owned(), category: None },
        })
    }

    /// The time for a text.
    pub(in crate::ops) fn since(&self) -> String {
        self.at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
    }
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
    let start = ItemStart::of(tx, chunk, item)?;
    Ok(Some(DoubtView { since: start.since(), by: start.by, category: start.category }))
}
