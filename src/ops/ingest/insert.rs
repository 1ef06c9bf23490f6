//! Inserts chunks and their items into a batch.

use super::chunk_plan::NewChunk;
use crate::error::{Code, Error, Result};
use crate::model::batch::Chunk;
use crate::model::content_hash::{ContentHash, items_hash};
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;
use crate::ops::request::progress::{Progress, ProgressReporter};
use crate::store::{NewTask, StoreWrite};

/// A chunk that takes the next so many items.
pub(in crate::ops) struct Placement {
    pub(in crate::ops) chunk: RowId,
    /// How many items it holds already.
    pub(in crate::ops) held: u64,
    /// How many it takes.
    pub(in crate::ops) items: u64,
    /// The hash of the items that it holds already; `None` if they were stored before items were hashed.
    pub(in crate::ops) hash: Option<ContentHash>,
}

/// Inserts a chunk of a batch, without its items.
pub(in crate::ops) fn insert_chunk(
    tx: &dyn StoreWrite,
    batch: &Task,
    number: u64,
    width: usize,
    chunk: &NewChunk,
) -> Result<Task> {
    let mut task = chunk_task(tx.now(), batch, number, width, chunk);
    task.row = tx.insert_task(&NewTask { task: &task, initial_text: "" })?;
    tx.insert_chunk(&Chunk::new(task.row, (batch.row, &batch.id), number, &chunk.span, chunk.items))?;
    Ok(task)
}

/// The task of a chunk that is not stored yet.
pub(in crate::ops) fn chunk_task(
    now: Timestamp,
    batch: &Task,
    number: u64,
    width: usize,
    chunk: &NewChunk,
) -> Task {
    let mut task = Task::new(now, &chunk.title);
    task.id = batch.id.chunk(number, width);
    task.order = i64::try_from(number).unwrap_or(i64::MAX);
    task.project = batch.project.clone();
    task.priority = batch.priority;
    task.parent_row = Some(batch.row);
    task.is_chunk = true;
    task
}

/// A function that inserts the next item, with its key and fields, into its placement.
pub(in crate::ops) fn item_inserter(
    tx: &dyn StoreWrite,
    batch: RowId,
    placements: Vec<Placement>,
    reporter: &ProgressReporter,
) -> impl FnMut(&str, &str) -> Result<()> {
    let mut progress = Progress { read: placements.iter().map(|placement| placement.items).sum(), stored: 0 };
    let mut placements = placements.into_iter().filter(|placement| placement.items > 0);
    let mut current: Option<(Placement, u64)> = None;
    move |key, fields| {
        let next = current.take().or_else(|| placements.next().map(|placement| (placement, 0)));
        let (mut placement, mut bytes) = next.ok_or_else(|| {
            Error::new(Code::Internal, "there are more items than the chunks have places for")
        })?;
        progress.stored += 1;
        reporter.report(progress);
        placement.held += 1;
        placement.items -= 1;
        tx.insert_item(batch, placement.chunk, placement.held, key, fields)?;
        placement.hash = placement.hash.map(|before| items_hash(&before, key, fields));
        bytes += (key.len() + fields.len()) as u64;
        if placement.items == 0 {
            return tx.finish_items(batch, placement.chunk, bytes, placement.hash.as_ref());
        }
        current = Some((placement, bytes));
        Ok(())
    }
}
