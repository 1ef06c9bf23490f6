//! Changes of tasks and batches, for callers that watch them.

use crate::error::Result;
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::ops::request::lookup::find_batch;
use crate::store::{StoreRead, TaskFilter};

/// A task or a batch that a caller watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchedObject {
    /// A task or a chunk.
    Task(TaskId),
    /// A batch with its chunks.
    Batch(TaskId),
}

impl WatchedObject {
    fn changed_since(&self, tx: &dyn StoreRead, since: u64) -> Result<bool> {
        match self {
            WatchedObject::Task(id) => Ok(tx.task(id)?.change_number > since),
            WatchedObject::Batch(id) => {
                let (task, _) = find_batch(tx, id)?;
                let chunks = TaskFilter::children_of(task.row);
                Ok(task.change_number > since || !tx.tasks_changed_since(&chunks, since, 1)?.is_empty())
            }
        }
    }
}

/// Checks that the watched task or batch exists. Returns the number of the latest change, to pass to
/// [`find_changes`].
///
/// # Errors
/// `not_found`; `invalid_argument` if the id of a batch names something else.
pub fn start_watching(session: &Session, watched: WatchedObject) -> Result<u64> {
    session.read(move |tx| {
        let since = tx.latest_change_number()?;
        watched.changed_since(tx, since)?;
        Ok(since)
    })
}

/// The number of the latest change in the store.
///
/// # Errors
/// If the store cannot be read.
pub fn latest_change_number(session: &Session) -> Result<u64> {
    session.read(|tx| tx.latest_change_number())
}

/// The number of the latest change, and for each watched task or batch whether it changed after the number
/// beside it. If the store has no new change, only that number is read.
///
/// # Errors
/// If the store cannot be read.
pub fn find_changes(session: &Session, watched: Vec<(WatchedObject, u64)>) -> Result<(u64, Vec<bool>)> {
    session.read(move |tx| {
        let latest = tx.latest_change_number()?;
        let changed = watched
            .iter()
            .map(|(watched, since)| Ok(*since < latest && watched.changed_since(tx, *since)?))
            .collect::<Result<_>>()?;
        Ok((latest, changed))
    })
}
