//! Waits of clients for batches.

use crate::error::Result;
use crate::model::task::RowId;
use crate::model::wait::{AskedQuestion, BatchWait};

/// Reads waits.
pub trait WaitRead {
    /// The wait with this handle.
    fn wait(&self, handle: &str) -> Result<Option<BatchWait>>;
    /// How many open waits a batch has.
    fn count_open_waits(&self, batch: RowId) -> Result<u64>;
    /// Whether the person declined a question that the client of a wait was asked.
    fn is_declined(&self, handle: &str, question: &str) -> Result<bool>;
    /// The open question with this key.
    fn asked_question(&self, key: &str) -> Result<Option<AskedQuestion>>;
    /// The key under which a wait or a call asked a question, if it is open.
    fn asked_key(&self, asked: &AskedQuestion) -> Result<Option<String>>;
}

/// Writes waits.
pub trait WaitWrite {
    /// Inserts a wait.
    fn insert_wait(&self, wait: &BatchWait) -> Result<()>;
    /// Updates a wait.
    fn update_wait(&self, wait: &BatchWait) -> Result<()>;
    /// Stores that the person declined a question.
    fn save_declined(&self, handle: &str, question: &str) -> Result<()>;
    /// Stores that a question was asked under this key, and forgets the oldest question beyond the limit.
    fn insert_asked(&self, key: &str, asked: &AskedQuestion) -> Result<()>;
    /// Closes the question with this key. Returns whether it was open.
    fn remove_asked(&self, key: &str) -> Result<bool>;
}
