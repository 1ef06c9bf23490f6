//! Looking at a store that may be in no state to be opened: nothing is made, nothing is changed.

use super::Store;
use crate::error::Result;

/// What a store says of itself.
#[derive(Debug, Clone)]
pub struct StoreFacts {
    /// The database beneath, in words.
    pub engine: String,
    /// The schema that it has.
    pub schema: i64,
    /// The newest schema that this program knows.
    pub newest_schema: i64,
    /// The number that marks such a file as a store.
    pub application_id: i64,
    /// Whether it keeps a write-ahead log, without which readers and writers wait for each other.
    pub uses_wal: bool,
}

/// A store that is too damaged to be opened.
#[derive(Debug, Clone)]
pub struct CorruptStore {
    /// The schema that it had.
    pub schema: i64,
    /// The number that marks such a file as a store.
    pub application_id: i64,
    /// Where the end of the file is missing: how many pages are there, and of how many.
    pub missing_pages: Option<(u64, u64)>,
}

/// A store that is only looked at.
pub trait Inspect: Store {
    /// What it says of itself.
    fn facts(&self) -> &StoreFacts;
    /// What is wrong with its file, at most so many lines; `fully` compares every index with its table, too.
    fn find_damage(&self, fully: bool, most: usize) -> Result<Vec<String>>;
}
