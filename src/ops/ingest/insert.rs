//! Making the chunks of a batch, and laying items into them.

use super::chunk_plan::Piece;
use crate::error::{Code, Error, Result};
use crate::model::batch::Chunk;
use crate::model::task::{RowId, Task};
use crate::ops::request::progress::{Progress, ProgressReporter};
use crate::store::{NewTask, StoreWrite};

/// Where a run of new items lies: the chunk, and how many it had before.
pub(in crate::ops) struct Placement {
    pub(in crate::ops) chunk: RowId,
    pub(in crate::ops) held: u64,
    pub(in crate::ops) items: u64,
}

/// Makes a chunk, without its items, of a batch's task.
pub(in crate::ops) fn new_chunk(
    tx: &dyn StoreWrite,
    batch: &Task,
    number: u64,
    width: usize,
    piece: &Piece,
) -> Result<Task> {
    let mut task = Task::new(tx.now(), &piece.title);
    task.id = batch.id.chunk(number, width);
    task.order = i64::try_from(number).unwrap_or(i64::MAX);
    task.project = batch.project.clone();
    task.priority = batch.priority;
    task.parent_row = Some(batch.row);
    task.is_chunk = true;
    task.row = tx.insert_task(&NewTask { task: &task, initial_text: "" })?;
    tx.insert_chunk(&Chunk::new(task.row, (batch.row, &batch.id), number, &piece.span, piece.items))?;
    Ok(task)
}

/// Lays items into their homes, in order, and tells how far it is.
pub(in crate::ops) fn lay(
    tx: &dyn StoreWrite,
    batch: RowId,
    homes: Vec<Placement>,
    tell: &ProgressReporter,
) -> impl FnMut(&str, &str) -> Result<()> {
    let mut progress = Progress { read: homes.iter().map(|home| home.items).sum(), stored: 0 };
    let mut places = homes
        .into_iter()
        .flat_map(|home| (home.held + 1..=home.held + home.items).map(move |place| (home.chunk, place)));
    move |key, fields| match places.next() {
        Some((chunk, place)) => {
            progress.stored += 1;
            tell.report(progress);
            tx.insert_item(batch, chunk, place, key, fields)
        }
        None => Err(Error::new(Code::Internal, "more items than chunks have room for")),
    }
}
