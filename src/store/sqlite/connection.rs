//! Opening the file: what is refused before SQLite touches it, and how every connection is set.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::rows::sql_error;
use super::schema::{SCHEMA_VERSION, migrate, newer, refuse_newer};
use super::writer::wal::{self, Wal};
use super::writer::write_lock::Ticket;
use crate::error::{Code, Error, Result};

/// What marks a SQLite file as a Tasktally store; see `migrations/V1`.
pub(super) const APPLICATION_ID: i64 = 0x446F_636B;

/// SQLite before this can corrupt a file when its log is reset.
const OLDEST_SQLITE: i32 = 3_051_003;
/// The same in words.
pub(super) const OLDEST_SQLITE_NAME: &str = "3.51.3";

/// How much of the file a connection keeps in memory.
macro_rules! usual_cache {
    () => {
        "PRAGMA cache_size = -2000"
    };
}

/// Takes back room that a connection was given for more.
pub(super) fn end_room(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(concat!(usual_cache!(), "; PRAGMA shrink_memory"))
}

/// How long a connection waits for a lock that is not ours to queue for.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(60);

/// How long opening waits for whoever makes or migrates the store.
pub(super) const MIGRATION_WAIT: Duration = Duration::from_secs(30);

/// The folder that a store lies in.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A file that lies beside a store and is called like it, with an ending.
pub fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Opens the connection that writes, making or migrating the file where needed.
pub(super) fn open(path: &Path) -> Result<Connection> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Error::new(
            Code::Internal,
            format!(
                "SQLite {} is too old: Tasktally needs {OLDEST_SQLITE_NAME} or newer",
                rusqlite::version()
            ),
        ));
    }
    make_private(path)?;
    let header = read_header(path)?;
    wal::take_over(path);
    let mut connection = connect(path)?;
    if header.version != SCHEMA_VERSION {
        let ticket = Ticket::open(path)?;
        // What the header says may only be older: a log that was never folded in knows better, without a turn.
        if refuse_newer(&connection, path)? != SCHEMA_VERSION {
            let _turn = ticket.take_within(MIGRATION_WAIT)?;
            migrate(&mut connection, path)?;
        }
    }
    settle(connection, path)
}

/// Opens the connection that writes once more, without touching the file by other means than
/// SQLite's: closing it would drop the locks that the readers of this process hold.
pub(super) fn reopen(path: &Path) -> Result<Connection> {
    settle(connect(path)?, path)
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| sql_error("the store cannot be opened", error))?;
    // Not until the version is known.
    fold_when_closed(&connection, false)?;
    connection.busy_timeout(BUSY_WAIT).map_err(|error| sql_error("the store cannot be set up", error))?;
    Ok(connection)
}

fn settle(connection: Connection, path: &Path) -> Result<Connection> {
    refuse_newer(&connection, path)?;
    set_up(&connection)?;
    fold_when_closed(&connection, !Wal::open(path)?.in_doubt()?)?;
    Ok(connection)
}

/// Whether the last connection that is closed folds the log into the file.
pub(super) fn fold_when_closed(connection: &Connection, fold: bool) -> Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !fold)
        .map(|_| ())
        .map_err(|error| sql_error("the store cannot be set up", error))
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|error| sql_error("the store cannot be opened for reading", error))?;
    settle_reader(&connection)?;
    Ok(connection)
}

/// Sets up a connection that only reads.
pub(super) fn settle_reader(connection: &Connection) -> Result<()> {
    connection
        .busy_timeout(BUSY_WAIT)
        .and_then(|()| {
            connection
                .execute_batch(concat!("PRAGMA trusted_schema = OFF; PRAGMA mmap_size = 0; ", usual_cache!()))
        })
        .map_err(|error| sql_error("the store cannot be set up for reading", error))?;
    keep_plans(connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn set_up(connection: &Connection) -> Result<()> {
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|error| sql_error("the store cannot keep a write-ahead log", error))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(Error::new(
            Code::Internal,
            format!(
                "the store's file system does not support a write-ahead log (journal mode '{mode}'); keep it on a local disk"
            ),
        ));
    }
    // A store that had another journal until now gets its log with the first look at it.
    connection
        .query_row("PRAGMA user_version", [], |_| Ok(()))
        .map_err(|error| sql_error("the store cannot be read", error))?;
    connection
        .execute_batch(
            // NORMAL keeps the order of what reaches the disk; the writer syncs each commit itself. (On macOS a
            // plain fsync does not reach the disk.)
            concat!(
                "PRAGMA synchronous = NORMAL;
                 PRAGMA fullfsync = ON;
                 PRAGMA checkpoint_fullfsync = ON;
                 PRAGMA foreign_keys = ON;
                 PRAGMA recursive_triggers = ON;
                 PRAGMA trusted_schema = OFF;
                 PRAGMA mmap_size = 0;
                 PRAGMA wal_autocheckpoint = 4000;
                 PRAGMA journal_size_limit = 67108864;",
                usual_cache!()
            ),
        )
        .map_err(|error| sql_error("the store cannot be set up", error))?;
    keep_plans(connection)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Keeps a statement's plan whatever is bound to it: without this SQLite compiles the larger
/// statements anew at every use, which costs more than running them.
fn keep_plans(connection: &Connection) -> Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(|_| ())
        .map_err(|error| sql_error("the store cannot be set up", error))
}

/// Makes the folder of a store (0700) where there is none.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if folder.exists() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(|error| cannot(path, "its folder cannot be made", error))
}

/// Makes the folder and an empty file (0600), before SQLite would with wider rights.
pub(super) fn make_private(path: &Path) -> Result<()> {
    make_folder(path)?;
    match path.try_exists() {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        Err(error) => return Err(cannot(path, "it cannot be looked at", error)),
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot(path, "it cannot be made", error)),
    }
}

/// Brings a new store's name to the disk, and those of all folders above: whoever made one of them
/// may not have come to it.
pub(super) fn keep_names(path: &Path) -> Result<()> {
    #[cfg(unix)]
    for folder in folder_of(path).canonicalize().iter().flat_map(|folder| folder.ancestors()) {
        use std::io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            Ok(()) => {}
            // A folder that cannot be read is nobody's to make one in; some file systems keep names by themselves.
            Err(error)
                if matches!(
                    error.kind(),
                    InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported
                ) => {}
            Err(error) => {
                return Err(cannot(path, &format!("{} did not reach the disk", folder.display()), error));
            }
        }
    }
    Ok(())
}

/// What the first bytes of a store say; of what is in its log they know nothing.
#[derive(Default)]
pub(super) struct Header {
    pub(super) version: i64,
    /// Whether it keeps a write-ahead log.
    pub(super) keeps_log: bool,
    /// How many bytes a page has.
    pub(super) page_size: u64,
    /// How many pages the file has, as it says itself.
    pub(super) pages: u64,
}

/// Reads the header as plain bytes, before SQLite holds any lock that closing could drop:
/// refuses what isn't SQLite's, isn't Tasktally's, or is a newer Tasktally's.
pub(super) fn read_header(path: &Path) -> Result<Header> {
    let metadata = fs::metadata(path).map_err(|error| cannot(path, "it cannot be read", error))?;
    if !metadata.is_file() {
        return Err(Error::invalid(format!(
            "store {}: not a regular file; --db or TASKTALLY_DB names one",
            path.display()
        )));
    }
    let mut header = [0_u8; 100];
    let mut file = File::open(path).map_err(|error| cannot(path, "it cannot be read", error))?;
    let mut have = 0;
    while have < header.len() {
        match file.read(&mut header[have..]) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(error) => return Err(cannot(path, "it cannot be read", error)),
        }
    }
    if have == 0 {
        return Ok(Header::default());
    }
    if have < header.len() || !header.starts_with(b"SQLite format 3\0") {
        // The first page of a new store, torn by a power cut: SQLite takes it back by its journal.
        if journal_is_hot(path) {
            return Ok(Header::default());
        }
        return Err(Error::invalid(format!(
            "store {}: not a SQLite file; it was left as it is. --db or TASKTALLY_DB names another",
            path.display()
        )));
    }
    let number = |at: usize| {
        i64::from(u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]))
    };
    // The header's version is as old as the last checkpoint; what the log adds is looked at once opened.
    let (version, application) = (number(60), number(68));
    if version > SCHEMA_VERSION {
        return Err(newer(path, version));
    }
    if application != APPLICATION_ID && (application != 0 || version != 0) {
        return Err(foreign(path));
    }
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        // The largest does not fit into two bytes.
        1 => 1 << 16,
        size => u64::from(size),
    };
    Ok(Header { version, keeps_log: header[18] == 2, page_size, pages: number(28).cast_unsigned() })
}

/// Whether what was being written without a log is still to be taken back.
fn journal_is_hot(path: &Path) -> bool {
    let mut magic = [0_u8; 8];
    File::open(beside(path, "-journal")).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]
}

pub(super) fn foreign(path: &Path) -> Error {
    Error::invalid(format!(
        "store {}: a SQLite file of another program; it was left as it is. --db or TASKTALLY_DB names another",
        path.display()
    ))
}

/// The refusal where the system does not let something be done with a store's files.
pub fn cannot(path: &Path, what: &str, error: std::io::Error) -> Error {
    let (code, next) = match error.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem => (
            Code::ReadOnly,
            "; its disk is read-only: have it checked and mounted for writing, then try again",
        ),
        std::io::ErrorKind::PermissionDenied => (Code::ReadOnly, ""),
        _ => (Code::Internal, ""),
    };
    Error::new(code, format!("store {}: {what}{next}", path.display())).caused_by(error)
}
