//! Opening SQLite connections: one that writes, several that read, and how each is set up.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::files::create_private_file;
use super::header::read_header;
use super::rows::sql_error;
use super::schema::{SCHEMA_VERSION, migrate, refuse_newer};
use super::schema_check::refuse_changed;
use super::writer::file_identity::FileIdentity;
use super::writer::wal::Wal;
use super::writer::wal_rewrite;
use super::writer::write_lock::WriteLock;
use crate::error::{Code, Error, Result};

/// Older versions of SQLite can corrupt a file when they reset the WAL.
const OLDEST_SQLITE: i32 = 3_051_003;
/// The same as text.
pub(super) const OLDEST_SQLITE_NAME: &str = "3.51.3";

/// How much of the file a connection keeps in memory: 2,000 KiB.
macro_rules! default_cache {
    () => {
        "PRAGMA cache_size = -2000"
    };
}

/// Reduces a cache that was enlarged for many items to the default, and frees its memory.
pub(super) fn restore_cache_size(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(concat!(default_cache!(), "; PRAGMA shrink_memory"))
}

/// How long a connection waits for a lock of SQLite's. Tasktally's own writers queue on the write lock instead, so
/// only other programs make it wait. As long as a write waits for the write lock: shorter than the 60 s after which
/// MCP clients give up a call.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(30);

/// How long opening waits while another process creates or migrates the store.
pub(super) const MIGRATION_WAIT: Duration = Duration::from_secs(30);

/// Registers the store's file as open in this process, and creates it if it is missing.
pub(super) fn register(path: &Path) -> Result<FileIdentity> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Error::new(
            Code::Internal,
            format!(
                "SQLite {} is too old: Tasktally needs {OLDEST_SQLITE_NAME} or newer",
                rusqlite::version()
            ),
        ));
    }
    create_private_file(path)?;
    FileIdentity::register(path)
}

/// Opens the connection that writes; creates or migrates the schema if necessary.
///
/// Reading the header and rewriting an abandoned WAL use descriptors of our own: no connection of this process may be
/// open yet. (Registration refuses a second store over the file; within one store this is called once, first.)
pub(super) fn open(identity: &FileIdentity) -> Result<Connection> {
    let path = identity.path();
    let header = read_header(identity)?;
    wal_rewrite::rewrite_abandoned(identity);
    let mut connection = connect(path)?;
    if header.version != SCHEMA_VERSION {
        let write_lock = WriteLock::open(path)?;
        // The header may be older than the WAL. The version in the WAL is read without the write lock: if the store is
        // up to date, opening it waits for nobody.
        if refuse_newer(&connection, path)? != SCHEMA_VERSION {
            let _guard = write_lock.lock_within(MIGRATION_WAIT)?;
            migrate(&mut connection, path)?;
        }
    }
    finish_setup(connection, path)
}

/// Opens the writing connection again after a failure. Uses SQLite only: a descriptor of our own would drop the locks
/// of this process's readers when it is closed.
pub(super) fn reopen(path: &Path) -> Result<Connection> {
    finish_setup(connect(path)?, path)
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| sql_error("the store cannot be opened", error))?;
    // A newer store must stay unchanged, so nothing is checkpointed before the version is known.
    checkpoint_on_close(&connection, false)?;
    connection.busy_timeout(BUSY_WAIT).map_err(setup_error)?;
    Ok(connection)
}

fn finish_setup(connection: Connection, path: &Path) -> Result<Connection> {
    refuse_newer(&connection, path)?;
    refuse_changed(&connection, path)?;
    set_up_writer(&connection)?;
    checkpoint_on_close(&connection, !Wal::open(path)?.is_in_doubt()?)?;
    Ok(connection)
}

/// Sets whether closing the last connection checkpoints the WAL into the file and deletes it.
pub(super) fn checkpoint_on_close(connection: &Connection, checkpoint: bool) -> Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !checkpoint)
        .map(|_| ())
        .map_err(setup_error)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| sql_error("the store cannot be opened for reading", error))?;
    set_up_reader(&connection)?;
    Ok(connection)
}

/// Sets up a connection that only reads.
pub(super) fn set_up_reader(connection: &Connection) -> Result<()> {
    connection
        .busy_timeout(BUSY_WAIT)
        .and_then(|()| {
            connection.execute_batch(concat!(
                "PRAGMA trusted_schema = OFF; PRAGMA mmap_size = 0; ",
                default_cache!()
            ))
        })
        .map_err(|error| sql_error("the store cannot be set up for reading", error))?;
    keep_query_plans(connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn set_up_writer(connection: &Connection) -> Result<()> {
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|error| sql_error("the store cannot be switched to WAL mode", error))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(Error::new(
            Code::Internal,
            format!(
                "the store's file system does not support SQLite's WAL mode (journal mode '{mode}'); keep the store on a local disk"
            ),
        ));
    }
    // SQLite creates the WAL of a store that had another journal mode with the first read.
    connection
        .query_row("PRAGMA user_version", [], |_| Ok(()))
        .map_err(|error| sql_error("the store cannot be read", error))?;
    connection
        .execute_batch(
            // NORMAL: SQLite syncs around checkpoints, and the writer syncs the WAL after each commit (see `wal.rs`).
            // fullfsync: a plain fsync does not reach the disk on macOS.
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
                default_cache!()
            ),
        )
        .map_err(setup_error)?;
    keep_query_plans(connection)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Makes SQLite keep a statement's query plan whatever values are bound to it. By default it compiles the larger
/// statements again at each use, which costs more than running them.
fn keep_query_plans(connection: &Connection) -> Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ()).map_err(setup_error)
}

fn setup_error(error: rusqlite::Error) -> Error {
    sql_error("the store cannot be set up", error)
}
