//! A store that is opened for inspection: no file is created or changed.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::connection::{OLDEST_SQLITE_NAME, set_up_reader};
use super::files::{beside, folder_of};
use super::header::{APPLICATION_ID, read_header};
use super::reader;
use super::rows::sql_error;
use super::schema::{SCHEMA_VERSION, refuse_foreign, refuse_newer};
use super::sqlite_checks::find_damage;
use super::writer::file_identity::FileIdentity;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::{CorruptStore, Inspect, ReadJob, Store, StoreFacts, WriteJob};

/// A SQLite file, opened read-only.
pub struct ReadOnlyStore {
    folder: PathBuf,
    connection: Mutex<Connection>,
    // Dropped after the connection: the file stays registered while it is open.
    identity: FileIdentity,
    facts: StoreFacts,
    clock: Clock,
}

impl ReadOnlyStore {
    /// Opens a store for reading. A missing store is not created, an older one is not migrated.
    ///
    /// # Errors
    /// As for [`super::SqliteStore::open`], and if the store cannot be read without changing it.
    pub fn open(path: &Path, clock: Clock) -> Result<Self> {
        let identity = FileIdentity::register(path)?;
        let header = read_header(&identity)?;
        let connection = connect(path)?;
        let version = refuse_newer(&connection, path)?;
        refuse_foreign(&connection, path)?;
        let facts = StoreFacts {
            engine: format!("SQLite {} ({OLDEST_SQLITE_NAME} or newer is needed)", rusqlite::version()),
            schema: version,
            newest_schema: SCHEMA_VERSION,
            application_id: APPLICATION_ID,
            uses_wal: header.is_wal,
        };
        Ok(ReadOnlyStore {
            identity,
            folder: folder_of(path),
            connection: Mutex::new(connection),
            facts,
            clock,
        })
    }
}

/// Describes a store that SQLite refused to open because it is damaged, from its header. `None` if the refusal had
/// another reason.
pub fn inspect_corrupt_store(path: &Path, refusal: &Error) -> Option<CorruptStore> {
    let cause = std::error::Error::source(refusal)?.downcast_ref::<rusqlite::Error>()?;
    if cause.sqlite_error_code() != Some(ErrorCode::DatabaseCorrupt) {
        return None;
    }
    let header = read_header(&FileIdentity::register(path).ok()?).ok()?;
    let length = path.metadata().ok()?.len();
    let pages = length.checked_div(header.page_size).filter(|pages| *pages < header.pages);
    // With a WAL, the missing pages may be in the WAL.
    let wal_is_empty = beside(path, "-wal").metadata().map_or(true, |wal| wal.len() == 0);
    let missing_pages = pages.filter(|_| wal_is_empty).map(|pages| (pages, header.pages));
    Some(CorruptStore { schema: header.version, application_id: APPLICATION_ID, missing_pages })
}

/// Opens a read-only connection. A reader of a file in WAL mode creates a `-shm` file, unless it opens the file as
/// immutable. That is safe only if no process has the file open: there is neither a WAL nor a `-shm` file.
fn connect(path: &Path) -> Result<Connection> {
    let is_empty = |path: PathBuf| path.metadata().map_or(true, |file| file.len() == 0);
    let is_closed = is_empty(beside(path, "-wal")) && is_empty(beside(path, "-shm"));
    let immutable = if is_closed { "&immutable=1" } else { "" };
    let path = std::path::absolute(path)
        .map_err(|error| Error::internal("the store's path cannot be made absolute", error))?;
    let mut address = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            address.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            write!(address, "%{byte:02X}").ok();
        }
    }
    address = address + "?mode=ro" + immutable;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(address, flags)
        .map_err(|error| sql_error("the store cannot be opened for reading", error))?;
    set_up_reader(&connection)?;
    Ok(connection)
}

/// The error for a write to a store that is opened for inspection.
fn opened_for_inspection() -> Error {
    Error::new(Code::ReadOnly, "the store is opened for inspection only")
}

impl Store for ReadOnlyStore {
    fn submit_write(&self, job: Box<dyn WriteJob>) {
        job.finish(Err(opened_for_inspection()));
    }

    fn write_timeout_error(&self, _: Duration) -> Error {
        opened_for_inspection()
    }

    fn lock_bulk(&self, _: Duration) -> Result<Box<dyn Send>> {
        Err(opened_for_inspection())
    }

    fn read(&self, job: ReadJob) {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        reader::run_read(&connection, self.identity.path(), &self.clock, job);
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Inspect for ReadOnlyStore {
    fn facts(&self) -> &StoreFacts {
        &self.facts
    }

    fn find_damage(&self, full: bool, limit: usize) -> Result<Vec<String>> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        find_damage(&connection, full, limit)
    }
}
