//! Which tasks and batches changed, for those who watch them.

use super::batch::find_batch;
use crate::error::Result;
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::store::{Filter, Read};

/// Something that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// A task, a chunk among them.
    Task(TaskId),
    /// A batch with its chunks.
    Batch(TaskId),
}

impl Watched {
    fn changed_since(&self, tx: &dyn Read, since: u64) -> Result<bool> {
        match self {
            Watched::Task(id) => Ok(tx.task(id)?.changed > since),
            Watched::Batch(id) => {
                let (task, _) = find_batch(tx, id)?;
                let chunks = Filter { parent: Some(task.row), ..Filter::default() };
                Ok(task.changed > since || !tx.changed_since(&chunks, since, 1)?.is_empty())
            }
        }
    }
}

/// The number of the latest change, for who begins to watch.
///
/// # Errors
/// `not_found` where there is no such thing.
pub fn start_watching(session: &Session, watched: Watched) -> Result<u64> {
    session.read(move |tx| {
        let since = tx.sequence()?;
        watched.changed_since(tx, since)?;
        Ok(since)
    })
}

/// The number of the latest change.
///
/// # Errors
/// Where the store cannot be read.
pub fn latest_change_number(session: &Session) -> Result<u64> {
    session.read(|tx| tx.sequence())
}

/// The number of the latest change, and which of these changed after the number beside them; where
/// nothing did, the number is all that is read.
///
/// # Errors
/// Where the store cannot be read.
pub fn find_changes(session: &Session, watched: Vec<(Watched, u64)>) -> Result<(u64, Vec<bool>)> {
    session.read(move |tx| {
        let latest = tx.sequence()?;
        let changed = watched
            .iter()
            .map(|(watched, since)| Ok(*since < latest && watched.changed_since(tx, *since)?))
            .collect::<Result<_>>()?;
        Ok((latest, changed))
    })
}
