//! The store over one SQLite file.

mod connection;
mod read;
mod reader;
mod rows;
mod staging;
mod ticket;
mod tx;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use connection::SCHEMA_VERSION;

use crate::clock::Clock;
use crate::error::Result;
use crate::store::{ReadJob, Staging, Store, WriteJob};

/// One SQLite file, with a thread that writes and a few that read.
pub struct SqliteStore {
    path: PathBuf,
    folder: PathBuf,
    clock: Clock,
    // Dropped before the writer: the last connection to close must be able to fold the log in.
    readers: OnceLock<reader::Readers>,
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
        let writer = writer::Writer::start(opened, path, clock.clone())?;
        Ok(SqliteStore { path: path.to_owned(), folder, clock, writer, readers: OnceLock::new() })
    }
}

impl Store for SqliteStore {
    fn submit(&self, job: Box<dyn WriteJob>) {
        self.writer.submit(job);
    }

    fn look(&self, job: ReadJob) {
        self.readers.get_or_init(|| reader::Readers::new(self.path.clone(), self.clock.clone())).look(job);
    }

    fn staging(&self) -> Result<Box<dyn Staging>> {
        Ok(Box::new(staging::TemporaryTable::new()?))
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}
