//! What differs between the tables of the two databases, and the statements that read and fill a table.

use crate::store::tables::{Column, Storage, Table};

/// A column that only SQLite has. It is exported as 0.
const ONLY_IN_SQLITE: (&str, &str) = ("wait_question", "failed_answers");

/// Whether the table of PostgreSQL has a column.
pub(super) fn has_column(table: &Table, column: &Column) -> bool {
    (table.name, column.0) != ONLY_IN_SQLITE
}

/// The texts that a row of a table is found by: a title, which may be missing, and a text.
pub(super) fn searched_columns(table: &Table) -> Option<(Option<&'static str>, &'static str)> {
    match table.name {
        "task" => Some((Some("title"), "initial_text")),
        "receipt" => Some((None, "text")),
        _ => None,
    }
}

/// The query that reads all columns of a table in its order, through a cursor.
pub(super) fn declare_cursor(table: &Table) -> String {
    let name = |column: &Column| match has_column(table, column) {
        true => format!("\"{}\"", column.0),
        false => "0::bigint".to_owned(),
    };
    let names: Vec<String> = table.columns.iter().map(name).collect();
    let names = names.join(", ");
    format!(
        "DECLARE rows NO SCROLL CURSOR FOR SELECT {names} FROM \"{}\" ORDER BY {}",
        table.name, table.order
    )
}

/// The statement that inserts a page of rows. Its parameters are a list for each column, and the words to search by if the
/// table has any.
pub(super) fn insert(table: &Table) -> String {
    let columns: Vec<&Column> = table.columns.iter().filter(|column| has_column(table, column)).collect();
    let mut names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let mut selected: Vec<String> = names.iter().map(|name| format!("r.{name}")).collect();
    let mut lists: Vec<String> = (1..)
        .zip(&columns)
        .map(|(number, (_, kind))| {
            let sql_type = match kind.storage() {
                Storage::Number => "bigint",
                Storage::Text => "text",
                Storage::Bytes => "bytea",
            };
            format!("${number}::{sql_type}[]")
        })
        .collect();
    if searched_columns(table).is_some() {
        names.push("search".to_owned());
        selected.push("r.search::tsvector".to_owned());
        lists.push(format!("${}::text[]", names.len()));
    }
    // The trigger of `task` has counted the tasks already. Only counts that fell to 0 are missing.
    let unless_counted = if table.name == "task_count" { " ON CONFLICT DO NOTHING" } else { "" };
    let (names, selected, lists) = (names.join(", "), selected.join(", "), lists.join(", "));
    format!(
        "INSERT INTO \"{}\" ({names}) SELECT {selected} FROM unnest({lists}) AS r ({names}){unless_counted}",
        table.name
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::tables::TABLES;

    /// The columns of a table in the schema's SQL.
    fn columns_in_schema(table: &str) -> BTreeSet<&'static str> {
        let schema = include_str!("../../../../migrations/postgres/V1__schema.sql");
        let (_, rest) = schema.split_once(&format!("CREATE TABLE {table} (\n")).expect(table);
        let (block, _) = rest.split_once("\n)").expect("the end of the table");
        let lines = block.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = lines.filter_map(|line| line.split_whitespace().next());
        names.filter(|name| name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')).collect()
    }

    #[test]
    fn every_column_of_the_schema_is_transferred() {
        for table in TABLES {
            let mut expected = columns_in_schema(table.name);
            if searched_columns(table).is_some() {
                assert!(expected.remove("search"), "{}", table.name);
            }
            // Generated from other columns.
            if table.name == "task" {
                assert!(expected.remove("queue_state"));
            }
            let columns = table.columns.iter().filter(|column| has_column(table, column));
            let transferred: BTreeSet<&str> = columns.map(|(name, _)| *name).collect();
            assert_eq!(transferred, expected, "{}", table.name);
        }
    }

    #[test]
    fn a_page_is_inserted_by_one_statement() {
        let table = TABLES.iter().find(|table| table.name == "paused_profile").expect("a table");
        assert_eq!(
            insert(table),
            "INSERT INTO \"paused_profile\" (\"name\", \"reason\") SELECT r.\"name\", r.\"reason\" \
             FROM unnest($1::text[], $2::text[]) AS r (\"name\", \"reason\")"
        );
    }
}
