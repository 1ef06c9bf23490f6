//! Tests that the list of tables is that of the schema.

use std::collections::BTreeSet;

use super::line::LINE;
use crate::store::sqlite::connection;
use crate::store::tables::{NOT_EXPORTED, TABLES};

#[test]
fn every_table_and_column_of_the_schema_is_exported_or_left_out_for_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let identity = connection::register(&folder.path().join("tasktally.db")).unwrap();
    let store = connection::open(&identity).unwrap();
    let names = |sql: &str, of: &str| -> BTreeSet<String> {
        let mut statement = store.prepare(sql).unwrap();
        statement.query_map([of], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    // The shadow tables of a full-text index are left out by their type.
    let mut stored = names(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')
            AND name NOT LIKE 'sqlite_%' AND ?1 = ''",
        "",
    );
    for (name, why) in NOT_EXPORTED {
        assert!(stored.remove(*name), "{name} is left out ({why}), but does not exist");
    }
    let exported: BTreeSet<String> = TABLES.iter().map(|table| table.name.to_owned()).collect();
    assert_eq!(exported, stored, "each table is in TABLES or NOT_EXPORTED");
    for table in TABLES {
        let columns = names("SELECT name FROM pragma_table_info(?1)", table.name);
        let known: BTreeSet<String> = table.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(known, columns, "{}", table.name);
        let key = names("SELECT name FROM pragma_table_info(?1) WHERE pk > 0", table.name);
        let order: BTreeSet<String> = table.order.split(", ").map(str::to_owned).collect();
        assert_eq!(order, key, "{}: ordered by its key", table.name);
        assert!(
            !columns.contains(LINE),
            "{}: a column has the name of the member with the line's type",
            table.name
        );
    }
}
