//! SQLite's own checks of a store's file.

use rusqlite::{Connection, Row};

use super::rows::sql_error;
use crate::error::Result;

/// The first errors that SQLite finds, at most `limit` lines. With `full`, it also checks indexes against their
/// tables, and foreign keys.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn find_damage(connection: &Connection, full: bool, limit: usize) -> Result<Vec<String>> {
    let check = if full { "integrity_check" } else { "quick_check" };
    let lines = |sql: &str, map: fn(&Row<'_>) -> rusqlite::Result<String>| {
        let mut statement = connection.prepare(sql)?;
        statement.query_map([], map)?.take(limit).collect::<rusqlite::Result<Vec<String>>>()
    };
    let unchecked = |error| sql_error("the store cannot be checked", error);
    let mut found = lines(&format!("PRAGMA {check}({limit})"), |row| row.get(0)).map_err(unchecked)?;
    found.retain(|line| line != "ok");
    if full {
        // A large batch is inserted before the tasks and chunks that its rows refer to.
        let orphans = lines(
            "SELECT \"table\", parent FROM pragma_foreign_key_check
              WHERE \"table\" NOT IN ('item', 'shared_resource', 'resource_block') OR NOT EXISTS (SELECT 1 FROM unpublished)",
            |row| {
                let (table, parent): (String, String) = (row.get(0)?, row.get(1)?);
                Ok(format!("a row of table {table} refers to a row of table {parent} that does not exist"))
            },
        );
        found.extend(orphans.map_err(unchecked)?);
    }
    Ok(found)
}
