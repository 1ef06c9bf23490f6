//! Compares the schema of a store with the one that the migrations make. Whoever can write to the file could drop the
//! triggers that protect receipts, or add one that changes instructions.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::rows::sql_error;
use super::schema::create_in_memory;
use crate::error::{Code, Error, Result};
use crate::model::chain::hex;
use crate::model::text::excerpt;
use crate::model::text_hasher::PartHasher;

/// The SHA-256 of the newest schema, so that opening a store need not run all migrations to know it. A test compares it
/// with the migrations.
const SCHEMA_HASH: &str = "b50dfdd66befefcff36cb502d557a9f1bd0ea35221ba2cfd37ec731542d27cd9";
/// How many differences a message names.
const MAX_NAMED: usize = 5;

/// The tables, indexes, triggers and views of a store by kind and name, and the SQL that made each. What SQLite makes by
/// itself is left out, and so is the list of migrations in stores of old versions.
const READ_SCHEMA: &str = "
    SELECT type || ' ' || name, sql FROM sqlite_schema
     WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND tbl_name NOT LIKE 'refinery!_%' ESCAPE '!'
     ORDER BY 1";

/// A schema: the SQL of each object by its kind and name.
type Schema = BTreeMap<String, String>;

fn read_schema(connection: &Connection) -> Result<Schema> {
    let read = || -> rusqlite::Result<Schema> {
        let mut statement = connection.prepare(READ_SCHEMA)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    read().map_err(|error| sql_error("the store's schema cannot be read", error))
}

fn hash(schema: &Schema) -> String {
    let mut hasher = PartHasher::default();
    schema.iter().flat_map(|(name, sql)| [name, sql]).for_each(|part| hasher.add(part));
    hex(&hasher.finish())
}

/// What differs in a store of the newest schema from what the migrations make, such as "trigger x is missing".
///
/// # Errors
/// If the schema cannot be read.
pub(super) fn find_changes(connection: &Connection) -> Result<Vec<String>> {
    let found = read_schema(connection)?;
    if hash(&found) == SCHEMA_HASH {
        return Ok(Vec::new());
    }
    let expected = read_schema(&create_in_memory()?)?;
    let missing = expected.keys().filter(|name| !found.contains_key(*name));
    let other = found.iter().filter(|(name, sql)| expected.get(*name) != Some(sql)).map(|(name, _)| {
        let what = if expected.contains_key(name) { "is not as Tasktally made it" } else { "was added" };
        format!("{} {what}", excerpt(name))
    });
    Ok(missing.map(|name| format!("{name} is missing")).chain(other).collect())
}

/// Refuses a store of the newest schema that another program changed.
///
/// # Errors
/// `conflict` with the differences.
pub(super) fn refuse_changed(connection: &Connection, path: &Path) -> Result<()> {
    let changes = find_changes(connection)?;
    if changes.is_empty() {
        return Ok(());
    }
    let more = match changes.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Err(Error::new(
        Code::Conflict,
        format!(
            "store {}: its schema was changed by another program: {}{more}. Receipts may have been changed as well, so it is not used; restore a backup, or undo the change",
            path.display(),
            changes.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join("; ")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_hash_is_the_one_of_the_migrations() {
        let schema = read_schema(&create_in_memory().unwrap()).unwrap();
        assert_eq!(hash(&schema), SCHEMA_HASH, "a new migration changes SCHEMA_HASH to the left value");
        assert!(schema.len() > 30);
    }

    #[test]
    fn every_kind_of_change_is_named() {
        let changes = |sql: &str| {
            let connection = create_in_memory().unwrap();
            connection.execute_batch(sql).unwrap();
            find_changes(&connection).unwrap()
        };
        assert_eq!(changes(""), [""; 0]);
        assert_eq!(
            changes("DROP TRIGGER receipt_is_never_changed"),
            ["trigger receipt_is_never_changed is missing"]
        );
        let added = "CREATE TRIGGER x AFTER INSERT ON task BEGIN UPDATE task SET title = 'y'; END";
        assert_eq!(changes(added), ["trigger x was added"]);
        assert_eq!(changes("CREATE VIEW v AS SELECT 1"), ["view v was added"]);
        assert_eq!(changes("CREATE TABLE t (a)"), ["table t was added"]);
        let replaced = "DROP TRIGGER receipt_is_never_changed; CREATE TRIGGER receipt_is_never_changed BEFORE UPDATE ON \
                        receipt BEGIN SELECT 1; END";
        assert_eq!(changes(replaced), ["trigger receipt_is_never_changed is not as Tasktally made it"]);
        assert_eq!(changes("ALTER TABLE task ADD COLUMN x TEXT"), ["table task is not as Tasktally made it"]);
    }
}
