//! Looking at a SQLite file without making or changing anything.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::connection::{APPLICATION_ID, OLDEST_SQLITE_NAME, beside, folder_of, read_header, settle_reader};
use super::damage::damage;
use super::rows::sql_error;
use super::schema::{SCHEMA_VERSION, refuse_foreign, refuse_newer};
use super::{reader, staging};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::{CorruptStore, Inspect, ReadJob, Staging, Store, StoreFacts, WriteJob};

/// A SQLite file as it lies there.
pub struct ReadOnlyStore {
    path: PathBuf,
    folder: PathBuf,
    connection: Mutex<Connection>,
    facts: StoreFacts,
    clock: Clock,
}

impl ReadOnlyStore {
    /// Opens a store for reading; one that isn't there is not made, an older one not brought up to date.
    ///
    /// # Errors
    /// As for a store that is opened, and where it cannot be read without changing it.
    pub fn open(path: &Path, clock: Clock) -> Result<Self> {
        let header = read_header(path)?;
        let connection = connect(path)?;
        let version = refuse_newer(&connection, path)?;
        refuse_foreign(&connection, path)?;
        let facts = StoreFacts {
            engine: format!("SQLite {} ({OLDEST_SQLITE_NAME} or newer is needed)", rusqlite::version()),
            schema: version,
            newest_schema: SCHEMA_VERSION,
            application_id: APPLICATION_ID,
            uses_wal: header.keeps_log,
        };
        let (path, folder, connection) = (path.to_owned(), folder_of(path), Mutex::new(connection));
        Ok(ReadOnlyStore { path, folder, connection, facts, clock })
    }
}

/// A store that SQLite refused to open for its damage, as far as its first bytes tell; nothing where there was
/// another reason.
pub fn inspect_corrupt_store(path: &Path, refusal: &Error) -> Option<CorruptStore> {
    let cause = std::error::Error::source(refusal)?.downcast_ref::<rusqlite::Error>()?;
    if cause.sqlite_error_code() != Some(ErrorCode::DatabaseCorrupt) {
        return None;
    }
    let header = read_header(path).ok()?;
    let length = path.metadata().ok()?.len();
    let there = length.checked_div(header.page_size).filter(|there| *there < header.pages);
    // What is in the log need not be in the file.
    let is_all = beside(path, "-wal").metadata().map_or(true, |log| log.len() == 0);
    let short = there.filter(|_| is_all).map(|there| (there, header.pages));
    Some(CorruptStore { schema: header.version, application_id: APPLICATION_ID, missing_pages: short })
}

/// A connection that reads. A log-keeping file has an index of its log made beside it by whoever reads; where
/// there is neither log nor index, nobody has it open, and it is read as it lies.
fn connect(path: &Path) -> Result<Connection> {
    let is_empty = |path: PathBuf| path.metadata().map_or(true, |file| file.len() == 0);
    let is_closed = is_empty(beside(path, "-wal")) && is_empty(beside(path, "-shm"));
    let as_it_lies = if is_closed { "&immutable=1" } else { "" };
    let path = std::path::absolute(path)
        .map_err(|error| Error::internal("the store's path cannot be made absolute", error))?;
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            address.push(char::from(*byte));
        } else {
            // Writing to a String does not fail.
            write!(address, "%{byte:02X}").ok();
        }
    }
    address = address + "?mode=ro" + as_it_lies;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(address, flags)
        .map_err(|error| sql_error("the store cannot be opened for reading", error))?;
    settle_reader(&connection)?;
    Ok(connection)
}

/// Nothing writes to a store that is looked at.
fn only_looked_at() -> Error {
    Error::new(Code::ReadOnly, "the store is only looked at")
}

impl Store for ReadOnlyStore {
    fn submit_write(&self, job: Box<dyn WriteJob>) {
        job.finish(Err(only_looked_at()));
    }

    fn write_timeout_error(&self, _: Duration) -> Error {
        only_looked_at()
    }

    fn read(&self, job: ReadJob) {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        reader::answer(&connection, &self.path, &self.clock, job);
    }

    fn staging(&self) -> Result<Box<dyn Staging>> {
        Ok(Box::new(staging::TemporaryTable::new()?))
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Inspect for ReadOnlyStore {
    fn facts(&self) -> &StoreFacts {
        &self.facts
    }

    fn find_damage(&self, fully: bool, most: usize) -> Result<Vec<String>> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        damage(&connection, fully, most)
    }
}
