//! Integrity check of a copy: SQLite's own checks, foreign keys, the receipts' hash chains and the stored counts.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::{ReportProgress, StoreContents};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::model::timestamp::Timestamp;
use crate::store::chains::verify_chains;
use crate::store::sqlite::connection;
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::schema_check::refuse_changed;
use crate::store::sqlite::sqlite_checks::find_damage;
use crate::store::sqlite::tx::Tx;

fn read_error(error: rusqlite::Error) -> Error {
    sql_error("the copy could not be read back", error)
}

/// Checks a whole store that no other process has open, and returns its contents.
///
/// # Errors
/// `conflict` with the first error that was found.
pub(super) fn check(path: &Path, clock: &Clock, report: ReportProgress<'_>) -> Result<StoreContents> {
    let connection = connection::open_reader(path)?;
    report("Checking", 0, 0);
    if let Some(first) = find_damage(&connection, true, 1)?.first() {
        return Err(Error::new(Code::Conflict, format!("SQLite reports damage: {first}")));
    }
    refuse_changed(&connection, path)?;
    let verified = verify_chains(&Tx::new(&connection, clock.now()), Vec::new())?;
    if let Some(problem) = verified.problem {
        return Err(Error::new(Code::Conflict, problem));
    }
    contents(&connection, path)
}

/// The contents of a store.
fn contents(connection: &Connection, path: &Path) -> Result<StoreContents> {
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u64>(0)).map_err(read_error);
    let last: Option<(u64, i64)> = connection
        .query_row(
            "SELECT change_number, updated_at FROM task ORDER BY change_number DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(read_error)?;
    Ok(StoreContents {
        tasks: count("SELECT count(*) FROM task")?,
        receipts: count("SELECT count(*) FROM receipt")?,
        claims: count("SELECT count(*) FROM task WHERE status = 'in_progress' AND role <> 'batch'")?,
        latest_change: last.map_or(0, |(change, _)| change),
        changed_at: last.map(|(_, at)| Timestamp::from_millis(at)),
        bytes: std::fs::metadata(path)
            .map_err(|error| Error::internal("the copy could not be read back", error))?
            .len(),
    })
}
