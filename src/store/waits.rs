//! Waits of clients for batches.

use crate::error::Result;
use crate::model::task::RowId;
use crate::model::wait::{BatchWait, OpenQuestion};

/// Reads waits.
pub trait WaitRead {
    /// The wait with this handle.
    fn wait(&self, handle: &str) -> Result<Option<BatchWait>>;
    /// How many open waits a batch has.
    fn count_open_waits(&self, batch: RowId) -> Result<u64>;
    /// What happened so far to a question that the client of a wait was asked.
    fn undecided(&self, handle: &str, question: &str) -> Result<OpenQuestion>;
}

/// Writes waits.
pub trait WaitWrite {
    /// Inserts a wait.
    fn insert_wait(&self, wait: &BatchWait) -> Result<()>;
    /// Updates a wait.
    fn update_wait(&self, wait: &BatchWait) -> Result<()>;
    /// Stores what happened to a question.
    fn save_undecided(&self, handle: &str, question: &str, undecided: OpenQuestion) -> Result<()>;
}
