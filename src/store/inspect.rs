//! Inspection of a store that may be unusable. It creates and changes no file.

use super::Store;
use crate::error::Result;

/// Properties of a store.
#[derive(Debug, Clone)]
pub struct StoreFacts {
    /// The database engine and its version.
    pub engine: String,
    /// The schema of the store.
    pub schema: i64,
    /// The newest schema that this program knows.
    pub newest_schema: i64,
    /// The number in the file header that marks the file as a store.
    pub application_id: i64,
    /// Whether the store uses a write-ahead log. Without one, readers and writers block each other.
    pub uses_wal: bool,
}

/// A store that is too damaged to be opened.
#[derive(Debug, Clone)]
pub struct CorruptStore {
    /// The schema in the file header.
    pub schema: i64,
    /// The number in the file header that marks the file as a store.
    pub application_id: i64,
    /// If the file is truncated: how many pages it has, and how many its header says.
    pub missing_pages: Option<(u64, u64)>,
}

/// A store that is opened for inspection only.
pub trait Inspect: Store {
    /// Its properties.
    fn facts(&self) -> &StoreFacts;
    /// What another program changed in the schema, one line each. Empty for a store of an older schema.
    fn find_schema_changes(&self) -> Result<Vec<String>>;
    /// Errors in its file, at most `limit` lines. With `full`, every index is compared with its table as well.
    fn find_damage(&self, full: bool, limit: usize) -> Result<Vec<String>>;
}
