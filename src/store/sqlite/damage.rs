//! What SQLite itself finds wrong with a store's file.

use rusqlite::{Connection, Row};

use super::rows::sql_error;
use crate::error::Result;

/// The first things that are not whole, so many at most, a line each; fully with indexes and with rows that
/// name others that are not there.
///
/// # Errors
/// Where the file cannot be read.
pub(super) fn damage(connection: &Connection, fully: bool, most: usize) -> Result<Vec<String>> {
    let check = if fully { "integrity_check" } else { "quick_check" };
    let lines = |sql: &str, map: fn(&Row<'_>) -> rusqlite::Result<String>| {
        let mut statement = connection.prepare(sql)?;
        statement.query_map([], map)?.take(most).collect::<rusqlite::Result<Vec<String>>>()
    };
    let unchecked = |error| sql_error("the store cannot be checked", error);
    let mut found = lines(&format!("PRAGMA {check}({most})"), |row| row.get(0)).map_err(unchecked)?;
    found.retain(|line| line != "ok");
    if fully {
        let orphans = lines("PRAGMA foreign_key_check", |row| {
            let (table, of): (String, String) = (row.get(0)?, row.get(2)?);
            Ok(format!("a row of {table} names one of {of} that isn't there"))
        });
        found.extend(orphans.map_err(unchecked)?);
    }
    Ok(found)
}
