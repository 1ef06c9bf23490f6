//! A store that is opened for reading only, for inspection or because it cannot be written: no file is created or
//! changed.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::connection::{OLDEST_SQLITE_NAME, set_up_reader};
use super::files::{beside, file_error};
use super::header::{APPLICATION_ID, read_header};
use super::read_pool;
use super::rows::sql_error;
use super::schema::{SCHEMA_VERSION, refuse_foreign, refuse_newer};
use super::schema_check::{find_changes, refuse_changed};
use super::sqlite_checks::find_damage;
use super::writer::file_identity::FileIdentity;
#[cfg(target_os = "linux")]
use super::writer::lock_holder::exclusive_lock_error;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::{CorruptStore, Inspect, ReadJob, Store, StoreFacts, WriteJob};

/// How often and at which interval a lock against readers is looked for again.
#[cfg(target_os = "linux")]
const LOCK_CHECKS: u32 = 20;
#[cfg(target_os = "linux")]
const LOCK_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A SQLite file, opened read-only.
pub struct ReadOnlyStore {
    connection: Mutex<ReadConnection>,
    // Dropped after the connection: the file stays registered while it is open.
    identity: FileIdentity,
    facts: StoreFacts,
    clock: Clock,
    /// Why writes are refused.
    refusal: String,
}

/// A connection that only reads.
struct ReadConnection {
    connection: Connection,
    /// Whether SQLite assumes that no process changes the file.
    is_immutable: bool,
}

impl ReadOnlyStore {
    /// Opens a store for reading. A missing store is not created, an older one is not migrated.
    ///
    /// # Errors
    /// As for [`super::SqliteStore::open`], and if the store cannot be read without changing it.
    pub fn open(path: &Path, clock: Clock) -> Result<Self> {
        let identity = FileIdentity::register(path)?;
        let header = read_header(&identity)?;
        refuse_exclusive_lock(&identity)?;
        let opened = connect(path)?;
        let version = refuse_newer(&opened.connection, path)?;
        refuse_foreign(&opened.connection, path)?;
        let facts = StoreFacts {
            engine: format!("SQLite {} ({OLDEST_SQLITE_NAME} or newer is needed)", rusqlite::version()),
            schema: version,
            newest_schema: SCHEMA_VERSION,
            application_id: APPLICATION_ID,
            uses_wal: header.is_wal,
        };
        Ok(ReadOnlyStore {
            identity,
            connection: Mutex::new(opened),
            facts,
            clock,
            refusal: "the store is opened for inspection only".to_owned(),
        })
    }

    /// Opens a store that cannot be opened for writing, for the reason `why`.
    ///
    /// # Errors
    /// As for [`ReadOnlyStore::open`], and if the store has an older schema, which only a migration makes readable.
    pub fn open_unwritable(path: &Path, clock: Clock, why: &Error) -> Result<Self> {
        let store = ReadOnlyStore::open(path, clock)?;
        if store.facts.schema != SCHEMA_VERSION {
            return Err(why.copy());
        }
        if let Ok(opened) = store.connection.lock() {
            refuse_changed(&opened.connection, path)?;
        }
        // SQLite does not report that a disk became read-only: opening a file for writing does.
        let opened = OpenOptions::new().write(true).open(beside(path, "-lock"));
        let why = match opened {
            Err(error)
                if matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) =>
            {
                file_error(path, "the lock file beside it cannot be opened", error)
            }
            _ => why.copy(),
        };
        Ok(ReadOnlyStore { refusal: format!("nothing was written: {why}"), ..store })
    }

    fn refusal(&self) -> Error {
        Error::new(Code::ReadOnly, self.refusal.clone())
    }
}

/// Refuses a store that another program has locked against all readers, without the long wait of a read. A process
/// that closes the store holds that lock for a moment, too.
#[cfg(target_os = "linux")]
fn refuse_exclusive_lock(identity: &FileIdentity) -> Result<()> {
    for _ in 0..LOCK_CHECKS {
        match identity.exclusive_lock_holder() {
            None => return Ok(()),
            Some(_) => std::thread::sleep(LOCK_CHECK_INTERVAL),
        }
    }
    match identity.exclusive_lock_holder() {
        None => Ok(()),
        Some(pid) => Err(exclusive_lock_error(identity.path(), pid)),
    }
}

#[cfg(not(target_os = "linux"))]
fn refuse_exclusive_lock(_: &FileIdentity) -> Result<()> {
    Ok(())
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
fn connect(path: &Path) -> Result<ReadConnection> {
    let is_immutable = is_closed(path);
    let immutable = if is_immutable { "&immutable=1" } else { "" };
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
    Ok(ReadConnection { connection, is_immutable })
}

/// A connection to a store that cannot be opened for writing.
///
/// # Errors
/// If it cannot be read either, or has an older schema, which only a migration makes readable.
pub(super) fn connect_unwritable(identity: &FileIdentity) -> Result<Connection> {
    let path = identity.path();
    let opened = connect(path)?;
    match refuse_newer(&opened.connection, path)? {
        SCHEMA_VERSION => Ok(opened.connection),
        _ => Err(Error::new(Code::ReadOnly, "the store has an older schema")),
    }
}

/// Whether no process has the store open, as far as the files beside it show.
fn is_closed(path: &Path) -> bool {
    let is_empty = |path: PathBuf| path.metadata().map_or(true, |file| file.len() == 0);
    is_empty(beside(path, "-wal")) && is_empty(beside(path, "-shm"))
}

impl Store for ReadOnlyStore {
    fn submit_write(&self, job: Box<dyn WriteJob>) {
        job.finish(Err(self.refusal()));
    }

    fn write_timeout_error(&self, _: Duration) -> Error {
        self.refusal()
    }

    fn lock_bulk(&self, _: Duration) -> Result<Box<dyn Send>> {
        Err(self.refusal())
    }

    fn read(&self, _name: &'static str, job: ReadJob) {
        let mut opened = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.identity.path();
        // A process has opened the store since: it may change the file at any moment.
        if opened.is_immutable && !is_closed(path) {
            match connect(path) {
                Ok(connection) => *opened = connection,
                Err(error) => return job(Err(error)),
            }
        }
        read_pool::run_read(&opened.connection, path, &self.clock, job);
    }
}

impl Inspect for ReadOnlyStore {
    fn facts(&self) -> &StoreFacts {
        &self.facts
    }

    fn find_schema_changes(&self) -> Result<Vec<String>> {
        if self.facts.schema != SCHEMA_VERSION {
            return Ok(Vec::new());
        }
        let opened = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        find_changes(&opened.connection)
    }

    fn find_damage(&self, full: bool, limit: usize) -> Result<Vec<String>> {
        let opened = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        find_damage(&opened.connection, full, limit)
    }
}
