//! Whether a store that was made is whole: SQLite's own checks, what refers to what, and the receipts'
//! hash chains; and what it holds.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::{Held, Tell};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::model::timestamp::Timestamp;
use crate::store::chains::verify_chains;
use crate::store::sqlite::connection;
use crate::store::sqlite::damage::find_damage;
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::tx::Tx;

fn unread(error: rusqlite::Error) -> Error {
    sql_error("the copy could not be read back", error)
}

/// Reads all of a store that nobody else uses.
///
/// # Errors
/// `conflict` with the first thing that is not whole.
pub(super) fn check(path: &Path, clock: &Clock, tell: Tell<'_>) -> Result<Held> {
    let connection = connection::open_reader(path)?;
    tell("Checking", 0, 0);
    if let Some(first) = find_damage(&connection, true, 1)?.first() {
        return Err(Error::new(Code::Conflict, format!("SQLite finds it damaged: {first}")));
    }
    let walked = verify_chains(&Tx::new(&connection, clock.now()), Vec::new())?;
    if let Some(bad) = walked.problem {
        return Err(Error::new(Code::Conflict, bad));
    }
    held(&connection, path)
}

/// What a store holds.
pub(super) fn held(connection: &Connection, path: &Path) -> Result<Held> {
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u64>(0)).map_err(unread);
    let last: Option<(u64, i64)> = connection
        .query_row(
            "SELECT change_number, updated_at FROM task ORDER BY change_number DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(unread)?;
    Ok(Held {
        tasks: count("SELECT count(*) FROM task")?,
        receipts: count("SELECT count(*) FROM receipt")?,
        claims: count("SELECT count(*) FROM task WHERE status = 'in_progress'")?,
        change: last.map_or(0, |(change, _)| change),
        changed: last.map(|(_, at)| Timestamp::from_millis(at)),
        bytes: std::fs::metadata(path)
            .map_err(|error| Error::internal("the copy could not be read back", error))?
            .len(),
    })
}
