//! Which schema a store has, and bringing an older one up to date.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::connection::{foreign, keep_names};
use super::rows::sql_error;
use super::writer::wal::Wal;
use crate::error::{Code, Error, Result};

/// The migrations in order. Each ends by setting `user_version` to its number.
const MIGRATIONS: [&str; 9] = [
    include_str!("../../../migrations/V1__tasks_receipts_batches.sql"),
    include_str!("../../../migrations/V2__lazy_index_and_needs.sql"),
    include_str!("../../../migrations/V3__steps_checkpoints_holds.sql"),
    include_str!("../../../migrations/V4__resources.sql"),
    include_str!("../../../migrations/V5__doubt_and_costs.sql"),
    include_str!("../../../migrations/V6__waits.sql"),
    include_str!("../../../migrations/V7__runners.sql"),
    include_str!("../../../migrations/V8__rule_and_batch_receipts.sql"),
    include_str!("../../../migrations/V9__standard_names.sql"),
];

/// The newest schema this program knows.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// The schema of a store, as each migration sets it at its end.
fn version_of(connection: &Connection) -> Result<i64> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| sql_error("the store cannot be read", error))
}

/// Refuses a store of a newer tasktally.
pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<i64> {
    let version = version_of(connection)?;
    if version > SCHEMA_VERSION {
        return Err(newer(path, version));
    }
    Ok(version)
}

/// The same inside a transaction of a store that was opened before: a newer tasktally may have brought it up to
/// date since, and what this one would write lacks what the newer one relies on.
pub(super) fn refuse_renewed(connection: &Connection, path: &Path) -> Result<()> {
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
            "store {} was brought up to date by a newer tasktally (schema {version}) while this one, which knows up to {SCHEMA_VERSION}, had it open; nothing was done. Update tasktally if it isn't yet, and start it again",
            path.display()
        ),
    ))
}

/// Refuses what another program keeps in a SQLite file that it did not mark as its own.
pub(super) fn refuse_foreign(connection: &Connection, path: &Path) -> Result<()> {
    // By the table's name: the list of migrations, made before the first of them, has an index that isn't named so.
    let others: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema WHERE tbl_name NOT LIKE 'refinery_%' AND (SELECT application_id FROM pragma_application_id) = 0", [], |row| row.get(0))
        .map_err(|error| sql_error("the store cannot be read", error))?;
    if others > 0 { Err(foreign(path)) } else { Ok(()) }
}

/// Brings a store up to date in one transaction: it is as old as it was, or as new as this tasktally.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let version = refuse_newer(connection, path)?;
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    refuse_foreign(connection, path)?;
    if let Ok(log) = Wal::open(path) {
        log.make_good(connection)?;
    }
    // Before anything is in it: what is found in a store was found under a name that is on disk.
    keep_names(path)?;
    connection
        .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
        .map_err(|error| sql_error("the store cannot keep a write-ahead log", error))?;
    let run = upgrade(connection);
    run.map_err(|error| {
        // SQLite syncs here, and does not tell whether it was a sync that failed.
        if let Ok(log) = Wal::open(path) {
            log.mark();
        }
        failed(path, error)
    })
}

/// Runs the missing migrations in one transaction.
fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    // Another process may have upgraded the store while this one waited for the lock: read the version again.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or_default()) {
        transaction.execute_batch(migration)?;
    }
    transaction.commit()
}

/// The error for migrations that were rolled back.
fn failed(path: &Path, error: rusqlite::Error) -> Error {
    let (code, next) = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => (Code::Internal, ": the disk is full. Free some space"),
        Some(rusqlite::ErrorCode::ReadOnly) => {
            (Code::ReadOnly, ": it cannot be written. Let tasktally write its file and folder")
        }
        Some(rusqlite::ErrorCode::DatabaseBusy) => (Code::Busy, ": another program holds it. Try again"),
        // A commit that failed late may be found when the store is opened again.
        _ => {
            let what = format!(
                "store {}: its schema could not be brought up to date; it is as it was, or up to date and whole",
                path.display()
            );
            return Error::internal(what, error);
        }
    };
    let what =
        format!("store {} is as it was: its schema could not be brought up to date{next}", path.display());
    Error::new(code, what).caused_by(error)
}

/// The refusal of a newer tasktally's store.
pub(super) fn newer(path: &Path, version: i64) -> Error {
    Error::new(
        Code::StoreNewer,
        format!(
            "store {} has schema {version}, this tasktally knows up to {SCHEMA_VERSION}: it was written by a newer tasktally and was left as it is. Update tasktally, or name another store with --db",
            path.display()
        ),
    )
}
