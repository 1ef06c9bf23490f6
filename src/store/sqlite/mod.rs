//! The store over one SQLite file.

mod commit;
mod connection;
mod cost;
mod counts;
mod damage;
mod flow;
mod frames;
mod list;
mod log;
mod look;
pub mod moving;
mod place;
mod read;
mod reader;
mod rows;
mod runners;
mod schema;
mod search;
mod staging;
mod suggest;
mod ticket;
mod touch;
mod tx;
mod wait;
mod write;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use connection::{beside, cannot, folder_of};
pub use look::{LookOnly, wreck};
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
        let place = place::Place::of(path)?;
        let writer = writer::Writer::new(opened, path, place.clone(), clock.clone())?;
        let readers = reader::Readers::new(path.to_owned(), place, clock);
        Ok(SqliteStore { folder, path: path.to_owned(), readers, writer })
    }
}

impl Store for SqliteStore {
    fn submit(&self, job: Box<dyn WriteJob>) {
        self.writer.submit(job);
    }

    fn held_up(&self, waited: Duration) -> Error {
        ticket::held_up(&ticket::path_of(&self.path), waited)
    }

    fn look(&self, job: ReadJob) {
        self.readers.look(job);
    }

    fn staging(&self) -> Result<Box<dyn Staging>> {
        Ok(Box::new(staging::TemporaryTable::new()?))
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}
