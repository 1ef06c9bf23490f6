//! The schema's version, and migrations from older ones.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::files::sync_folders;
use super::rows::sql_error;
use super::writer::wal::Wal;
use super::writer::wal_rewrite;
use crate::error::{Code, Error, Result};

/// The migrations in order. Each ends by setting `user_version` to its number.
const MIGRATIONS: [&str; 16] = [
    include_str!("../../../migrations/V1__tasks_receipts_batches.sql"),
    include_str!("../../../migrations/V2__lazy_index_and_needs.sql"),
    include_str!("../../../migrations/V3__steps_checkpoints_holds.sql"),
    include_str!("../../../migrations/V4__resources.sql"),
    include_str!("../../../migrations/V5__doubt_and_costs.sql"),
    include_str!("../../../migrations/V6__waits.sql"),
    include_str!("../../../migrations/V7__runners.sql"),
    include_str!("../../../migrations/V8__rule_and_batch_receipts.sql"),
    include_str!("../../../migrations/V9__standard_names.sql"),
    include_str!("../../../migrations/V10__sliced_batches.sql"),
    include_str!("../../../migrations/V11__accepted_failures.sql"),
    include_str!("../../../migrations/V12__folded_search_index.sql"),
    include_str!("../../../migrations/V13__late_receipt_index.sql"),
    include_str!("../../../migrations/V14__author_kinds.sql"),
    include_str!("../../../migrations/V15__content_hashes.sql"),
    include_str!("../../../migrations/V16__asked_questions.sql"),
];

/// The newest schema that this program knows.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Refuses a store of a newer Tasktally. Returns the store's schema version, WAL included.
pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<i64> {
    let version = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| sql_error("the store cannot be read", error))?;
    if version > SCHEMA_VERSION {
        return Err(newer_schema(path, version));
    }
    Ok(version)
}

/// Refuses, inside a transaction, a store that a newer Tasktally migrated while this one had it open: what this one
/// would write lacks what the newer schema relies on.
pub(super) fn refuse_migrated_since(connection: &Connection, path: &Path) -> Result<()> {
    let version: i64 = connection
        .prepare_cached("PRAGMA user_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(|error| sql_error("the store cannot be read", error))?;
    if version <= SCHEMA_VERSION {
        return Ok(());
    }
    Err(Error::new(
        Code::StoreNewer,
        format!(
            "store {} was brought up to date by a newer tasktally (schema {version}) while this one, which knows up to {SCHEMA_VERSION}, had it open; nothing was done. Update tasktally if it is older, and restart it",
            path.display()
        ),
    ))
}

/// Refuses a SQLite file without an application id that has tables of another program.
pub(super) fn refuse_foreign(connection: &Connection, path: &Path) -> Result<()> {
    // Stores of old versions have a list of migrations by refinery, created before the first migration set the
    // application id. Its index has a name of SQLite's own, so the tables are compared by `tbl_name`.
    let others: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE tbl_name NOT LIKE 'refinery_%' AND (SELECT application_id FROM pragma_application_id) = 0", [], |row| row.get(0))
        .map_err(|error| sql_error("the store cannot be read", error))?;
    if others > 0 { Err(foreign_file(path)) } else { Ok(()) }
}

/// Migrates a store to [`SCHEMA_VERSION`] in one transaction. The caller holds the write lock.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    if refuse_newer(connection, path)? == SCHEMA_VERSION {
        return Ok(());
    }
    refuse_foreign(connection, path)?;
    if let Ok(wal) = Wal::open(path) {
        wal_rewrite::rewrite_if_in_doubt(&wal, connection)?;
    }
    // Before the first row: whatever is stored later was stored under a name that survives a power cut.
    sync_folders(path)?;
    connection
        .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
        .map_err(|error| sql_error("the store cannot be switched to WAL mode", error))?;
    run_migrations(connection).map_err(|error| {
        // SQLite syncs here by itself, and its error does not say whether a sync failed.
        if let Ok(wal) = Wal::open(path) {
            wal.mark_in_doubt();
        }
        migration_error(path, error)
    })
}

/// A store without a file, with the newest schema and no rows: what a store of this version looks like.
///
/// # Errors
/// A migration fails.
pub(super) fn create_in_memory() -> Result<Connection> {
    Connection::open_in_memory()
        .and_then(|mut connection| run_migrations(&mut connection).map(|()| connection))
        .map_err(|error| sql_error("the newest schema cannot be made in memory", error))
}

/// Runs the missing migrations in one transaction.
fn run_migrations(connection: &mut Connection) -> rusqlite::Result<()> {
    // Another process may have migrated the store while this one waited for the lock: read the version again.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default()) {
        transaction.execute_batch(migration)?;
    }
    transaction.commit()
}

/// The error for migrations that were rolled back.
fn migration_error(path: &Path, error: rusqlite::Error) -> Error {
    let (code, next) = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => (Code::Internal, ": the disk is full. Free some space"),
        Some(rusqlite::ErrorCode::ReadOnly) => {
            (Code::ReadOnly, ": it cannot be written. Let tasktally write its file and folder")
        }
        Some(rusqlite::ErrorCode::DatabaseBusy) => (Code::Busy, ": another program holds it. Try again"),
        // If COMMIT failed late, the migration may be found when the store is opened again.
        _ => {
            let what = format!(
                "store {}: its schema could not be brought up to date; it is unchanged, or up to date and whole",
                path.display()
            );
            return Error::internal(what, error);
        }
    };
    let what =
        format!("store {} is unchanged: its schema could not be brought up to date{next}", path.display());
    Error::new(code, what).caused_by(error)
}

/// The refusal of a file of another program.
pub(super) fn foreign_file(path: &Path) -> Error {
    Error::invalid(format!(
        "store {}: a SQLite file of another program; it was left unchanged. Name another with --db or TASKTALLY_DB",
        path.display()
    ))
}

/// The refusal of a store of a newer Tasktally.
pub(super) fn newer_schema(path: &Path, version: i64) -> Error {
    Error::new(
        Code::StoreNewer,
        format!(
            "store {} has schema {version}, this tasktally knows up to {SCHEMA_VERSION}: it was written by a newer tasktally and was left unchanged. Update tasktally, or name another store with --db",
            path.display()
        ),
    )
}
