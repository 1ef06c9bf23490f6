//! A store of an older schema in PostgreSQL.

use serde_json::json;
use tasktally::store::postgres::SCHEMA_VERSION;

use crate::support::store::Store;

const FIRST: &str = include_str!("../../migrations/postgres/V1__schema.sql");

#[test]
fn a_store_of_the_first_schema_is_migrated_by_the_first_command() {
    let Some(store) = Store::new_postgres() else { return };
    let sql = store.sql();
    sql.execute_all(FIRST).unwrap();
    let mut server = store.serve();
    let task = server.create_task("Task");
    server.call("update_task", json!({"id": task, "body": "- a receipt"})).ok();
    assert_eq!(sql.row::<i64>("SELECT version FROM schema_version", &[]), SCHEMA_VERSION);
    let options = "SELECT array_to_string(reloptions, ',') FROM pg_class WHERE relname = 'receipt_by_words'";
    assert_eq!(sql.row::<String>(options, &[]), "gin_pending_list_limit=256");
    store.tasktally(["verify"]).success();
}
