//! Transfer of a whole store: backup to a file, export to JSON lines, import from JSON lines.
//!
//! Each result is made in a staging directory ([`staging_dir`]), read back ([`integrity`]) and then moved to its place
//! in one step: there is a complete file or none. [`tables`] is the one list of the tables and columns.
//!
//! The store in PostgreSQL uses the same code: its tables are copied to or from a store in a staging directory
//! ([`filled_copy`]).

mod backup;
mod copy;
mod export;
mod export_reader;
mod filled_copy;
mod import;
mod integrity;
mod line;
mod loader;
mod staging_dir;
#[cfg(test)]
mod table_list;

pub use backup::backup;
pub use export::{Destination, export};
pub(in crate::store) use export::{export_copy, prepare_export};
pub(in crate::store) use filled_copy::{Cell, CopyReader, CopyWriter};
pub use import::import;
pub(in crate::store) use import::{load_lines, refuse_not_empty};
pub(in crate::store) use staging_dir::StagingDir;

use crate::model::timestamp::Timestamp;

/// Called with the current activity, how much of it is done, and how much there is (0: unknown).
pub type ReportProgress<'a> = &'a mut dyn FnMut(&str, u64, u64);

/// What a store contains.
#[derive(Debug, Clone)]
pub struct StoreContents {
    /// Tasks, including batches and chunks.
    pub tasks: u64,
    /// Receipts.
    pub receipts: u64,
    /// Claimed tasks.
    pub claims: u64,
    /// The number of the latest change.
    pub latest_change: u64,
    /// The time of the latest change.
    pub changed_at: Option<Timestamp>,
    /// The size of the file.
    pub bytes: u64,
}
