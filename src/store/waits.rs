//! Waits for batches.

use crate::error::Result;
use crate::model::task::Row;
use crate::model::wait::{Undecided, Wait};

/// What is read of waits.
pub trait WaitRead {
    /// The wait of a handle.
    fn wait(&self, handle: &str) -> Result<Option<Wait>>;
    /// How many wait for a batch.
    fn count_open_waits(&self, batch: Row) -> Result<u64>;
    /// What became of a question that was put to the holder of a handle.
    fn undecided(&self, handle: &str, question: &str) -> Result<Undecided>;
}

/// What is written of waits.
pub trait WaitWrite {
    /// Begins a wait.
    fn insert_wait(&self, wait: &Wait) -> Result<()>;
    /// Stores what a wait is, in place of what it was.
    fn update_wait(&self, wait: &Wait) -> Result<()>;
    /// Keeps what became of a question.
    fn save_undecided(&self, handle: &str, question: &str, undecided: Undecided) -> Result<()>;
}
