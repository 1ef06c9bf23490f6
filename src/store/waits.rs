//! Waits of clients for batches.

use crate::error::Result;
use crate::model::task::Row;
use crate::model::wait::{Undecided, Wait};

/// Reads waits.
pub trait WaitRead {
    /// The wait with this handle.
    fn wait(&self, handle: &str) -> Result<Option<Wait>>;
    /// How many open waits a batch has.
    fn count_open_waits(&self, batch: Row) -> Result<u64>;
    /// What happened so far to a question that the client of a wait was asked.
    fn undecided(&self, handle: &str, question: &str) -> Result<Undecided>;
}

/// Writes waits.
pub trait WaitWrite {
    /// Inserts a wait.
    fn insert_wait(&self, wait: &Wait) -> Result<()>;
    /// Updates a wait.
    fn update_wait(&self, wait: &Wait) -> Result<()>;
    /// Stores what happened to a question.
    fn save_undecided(&self, handle: &str, question: &str, undecided: Undecided) -> Result<()>;
}
