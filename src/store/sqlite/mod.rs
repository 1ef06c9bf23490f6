//! The store over one SQLite file.

mod batches;
mod completion;
mod connection;
mod cost;
mod count_check;
mod damage;
mod list;
mod read;
mod read_only;
mod reader;
mod resources;
mod rows;
mod runners;
mod schema;
mod search;
mod staging;
pub mod transfer;
mod tx;
mod waits;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use connection::{beside, cannot, folder_of};
pub use read_only::{ReadOnlyStore, inspect_corrupt_store};
pub use schema::SCHEMA_VERSION;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::store::{ReadJob, Staging, Store, WriteJob};

/// One SQLite file, with a connection that writes and a few that read.
pub struct SqliteStore {
    folder: PathBuf,
    path: PathBuf,
    // Dropped before the writer: the last connection to close must be able to fold the log in.
    readers: reader::Readers,
    writer: writer::Writer,
}

impl SqliteStore {
    /// Opens the store, making or migrating it where needed.
    ///
    /// # Errors
    /// `store_newer`, `read_only`, `busy`, or `internal` with the cause.
    pub fn open(path: &Path, clock: Clock) -> Result<Self> {
        let opened = connection::open(path)?;
        let folder = connection::folder_of(path);
        let place = writer::file_identity::FileIdentity::of(path)?;
        let writer = writer::Writer::new(opened, path, place.clone(), clock.clone())?;
        let readers = reader::Readers::new(path.to_owned(), place, clock);
        Ok(SqliteStore { folder, path: path.to_owned(), readers, writer })
    }
}

impl Store for SqliteStore {
    fn submit_write(&self, job: Box<dyn WriteJob>) {
        self.writer.submit(job);
    }

    fn write_timeout_error(&self, waited: Duration) -> Error {
        writer::write_lock::held_up(&writer::write_lock::path_of(&self.path), waited)
    }

    fn read(&self, job: ReadJob) {
        self.readers.look(job);
    }

    fn staging(&self) -> Result<Box<dyn Staging>> {
        Ok(Box::new(staging::TemporaryTable::new()?))
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}
