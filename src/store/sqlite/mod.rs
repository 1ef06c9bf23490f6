//! The store over one SQLite file.

mod batches;
mod completion;
mod connection;
mod contents;
mod cost;
mod count_check;
mod files;
mod header;
mod large_batch;
mod leases;
mod list;
mod read;
mod read_only;
mod read_pool;
mod receipts;
mod resources;
mod rows;
mod runners;
mod schema;
mod schema_check;
mod search;
mod search_index;
mod sqlite_checks;
pub mod transfer;
mod tx;
mod waits;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use files::{beside, file_error, folder_of};
pub use read_only::{ReadOnlyStore, inspect_corrupt_store};
pub use schema::SCHEMA_VERSION;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::store::{ReadJob, Store, WriteJob};

/// The version of the SQLite in this program.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// One SQLite file: a connection that writes and a few that read. A process opens a file once and shares the value.
pub struct SqliteStore {
    path: PathBuf,
    // Dropped before the writer: the last connection that is closed checkpoints the WAL, which a reader cannot.
    readers: read_pool::Readers,
    writer: writer::Writer,
}

impl SqliteStore {
    /// Opens the store; creates or migrates it if necessary.
    ///
    /// # Errors
    /// `store_newer`, `read_only`, `busy`, or `internal` with the cause; `internal` if this process has the file open
    /// already.
    pub fn open(path: &Path, clock: Clock) -> Result<Self> {
        let identity = connection::register(path)?;
        let opened = connection::open(&identity)?;
        let writer = writer::Writer::new(opened, identity.clone(), clock.clone())?;
        let readers = read_pool::Readers::new(identity, clock);
        Ok(SqliteStore { path: path.to_owned(), readers, writer })
    }
}

impl Store for SqliteStore {
    fn submit_write(&self, job: Box<dyn WriteJob>) {
        self.writer.submit(job);
    }

    fn write_timeout_error(&self, waited: Duration) -> Error {
        writer::write_lock::timeout_error(&self.path, waited)
    }

    fn lock_bulk(&self, limit: Duration) -> Result<Box<dyn Send>> {
        let lock = writer::write_lock::WriteLock::open_bulk(&self.path)?;
        Ok(Box::new(lock.lock_within(limit)?))
    }

    fn read(&self, _name: &'static str, job: ReadJob) {
        self.readers.read(job);
    }
}
