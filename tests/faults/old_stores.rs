//! Stores of every earlier schema (`tests/data`) are migrated with all their content. Newer stores are left unchanged,
//! even by a process that has them open.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::support::mount::Mount;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::unchanged::{assert_refused_unchanged, file_contents};

/// The newest schema.
pub(crate) const NEWEST: i64 = tasktally::store::sqlite::SCHEMA_VERSION;

/// The stored file of an old schema. Tests copy it and never open it in place.
pub(crate) fn stored_file(schema: i64) -> PathBuf {
    PathBuf::from(format!("{}/tests/data/store-{schema}.db", env!("CARGO_MANIFEST_DIR")))
}

/// A store with a copy of the stored file of an old schema.
pub(crate) fn old(store: Store, schema: i64) -> Store {
    std::fs::create_dir_all(store.file().parent().unwrap()).unwrap();
    // Copies the bytes only, because the stored file may be read-only.
    std::fs::write(store.file(), std::fs::read(stored_file(schema)).unwrap()).unwrap();
    store
}

/// The columns and rows of a table.
type Rows = (Vec<String>, Vec<Vec<Sql>>);

/// All rows of a table, ordered by the columns.
fn rows(store: &Connection, table: &str, columns: &[String]) -> Vec<Vec<Sql>> {
    let (named, order) = (columns.join(", "), (1..=columns.len()).map(|n| n.to_string()).collect::<Vec<_>>());
    let sql = format!("SELECT {named} FROM {table} ORDER BY {}", order.join(", "));
    let mut statement = store.prepare(&sql).unwrap();
    let read = statement.query_map([], |row| (0..columns.len()).map(|at| row.get(at)).collect()).unwrap();
    read.map(Result::unwrap).collect()
}

/// The content of every table except the full-text index. Reads only.
pub(crate) fn everything(store: &Connection) -> BTreeMap<String, Rows> {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%_text%'";
    let mut statement = store.prepare(tables).unwrap();
    let names: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let of = |table: &String| {
        let mut columns = store.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
        let columns: Vec<String> =
            columns.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let found = rows(store, table, &columns);
        (columns, found)
    };
    names.iter().map(|name| (name.clone(), of(name))).collect()
}

/// The rows of an older store under the names that migration 9 gave to its tables and columns, read from the
/// migration itself, and with its words for the queue state.
fn with_names_of_schema_9(before: &BTreeMap<String, Rows>) -> BTreeMap<String, Rows> {
    let mut all = before.clone();
    if !all.contains_key("tally") {
        return all;
    }
    let migration = include_str!("../../migrations/V9__standard_names.sql");
    let code: Vec<&str> = migration.lines().map(|line| line.split("--").next().unwrap()).collect();
    for statement in code.join("\n").split(';') {
        let words: Vec<&str> = statement.split_whitespace().collect();
        match words[..] {
            ["ALTER", "TABLE", table, "RENAME", "TO", name] => {
                if let Some(rows) = all.remove(table) {
                    all.insert(name.to_owned(), rows);
                }
            }
            ["ALTER", "TABLE", table, "RENAME", "COLUMN", column, "TO", name] => {
                let columns = all.get_mut(table).into_iter().flat_map(|(columns, _)| columns);
                columns.filter(|known| *known == column).for_each(|known| *known = name.to_owned());
            }
            _ => {}
        }
    }
    let (columns, rows) = all.get_mut("task_count").unwrap();
    let at = columns.iter().position(|column| column == "queue_state").unwrap();
    for row in rows {
        match &row[at] {
            Sql::Text(word) if word == "active" => row[at] = Sql::Text("ready".into()),
            Sql::Text(word) if word == "held" => row[at] = Sql::Text("not_ready".into()),
            _ => {}
        }
    }
    all
}

/// Rows in an order that does not depend on the words in them.
fn sorted(mut rows: Vec<Vec<Sql>>) -> Vec<Vec<Sql>> {
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

/// Asserts that every row and column from before a migration is unchanged, and that the store has the newest schema.
pub(crate) fn assert_content_kept(store: &Store, before: &BTreeMap<String, Rows>) {
    let now = store.sqlite();
    for (table, (columns, was)) in with_names_of_schema_9(before) {
        // Schema 9 removes the list of applied migrations; schema 12 indexes all texts again.
        if !matches!(table.as_str(), "refinery_schema_history" | "indexed" | "search_progress") {
            assert_eq!(sorted(rows(&now, &table, &columns)), sorted(was), "{table}");
        }
    }
    let set: i64 = now.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(set, NEWEST);
}

/// Works a batch until it has ended, as a supervisor and its workers would. Returns how many items were done.
fn work_to_its_end(server: &mut Server, batch: &str) -> usize {
    let mut done = 0;
    for _ in 0..100 {
        let reply = server.call("get_batch", json!({"id": batch})).ok();
        match reply.text("/batch/status").as_str() {
            "done" | "failed" => return done,
            "paused" => drop(server.call("control_batch", json!({"id": batch, "action": "resume"})).ok()),
            "waiting" => {
                server
                    .call("review_batch", json!({"id": batch, "decision": "approve", "reviewer": "ann"}))
                    .ok();
            }
            _ => {}
        }
        let claimed = server.call("claim_task", json!({"batch": batch, "worker": "w"}));
        if !claimed.succeeded() {
            continue;
        }
        let (chunk, token) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
        for item in claimed["items"].as_array().unwrap() {
            let text = format!("- {} after the migration", item["key"]);
            let settled = json!({"id": chunk, "claim": token, "item": item["key"], "outcome": "done",
                "category": "task", "body": text});
            server.call("update_task", settled).ok();
            done += 1;
        }
        server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    }
    panic!("batch {batch} does not end: {}", server.call("get_batch", json!({"id": batch})).value);
}

fn text(store: &Store, sql: &str) -> Vec<String> {
    let store = store.sqlite();
    let mut statement = store.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_store_of_every_schema_is_migrated_with_all_content_and_its_work_continues() {
    for schema in 1..=NEWEST {
        let store = old(Store::new_sqlite(), schema);
        let before = everything(&store.sqlite());
        store.tasktally(["list-tasks", "--limit", "0"]).success();
        assert_content_kept(&store, &before);
        store.assert_whole();
        let verified = store.tasktally(["verify", "--json"]).success().json();
        assert_eq!(verified["receipts"], before["receipt"].1.len(), "schema {schema}");
        assert_eq!(verified["tasks"], before["task"].1.len(), "schema {schema}");

        let mut server = store.serve();
        let log = text(&store, "SELECT id FROM task WHERE initial_text = 'Opening text' AND role = 'task'")
            .remove(0);
        let body = server.body(&log);
        assert!(body.starts_with("Opening text\n\n- "), "{body}");
        server.call("update_task", json!({"id": log, "body": "- and one after the migration"})).ok();
        assert_eq!(server.body(&log), format!("{body}\n\n- and one after the migration"));
        // Stores made by `make` hold text that the index of their schema split in other places.
        let words: &[&str] = if schema < 5 { &["RECEIPT"] } else { &["receipt", "字", "UNICODE"] };
        for words in words {
            let found = server.call("search_tasks", json!({"query": words})).ok();
            assert!(found.count("/count") > 0, "schema {schema}, {words}: {}", found.value);
        }

        let mut done = 0;
        for batch in text(&store, "SELECT id FROM task WHERE role = 'batch'") {
            let was: i64 = store
                .sqlite()
                .query_row(
                    "SELECT count(*) FROM batch_receipt WHERE batch = (SELECT row_id FROM task WHERE id = ?1)",
                    [&batch],
                    |row| row.get(0),
                )
                .unwrap();
            done += work_to_its_end(&mut server, &batch);
            let reply = server.call("get_batch", json!({"id": batch})).ok();
            assert_eq!(reply.count("/batch/total"), reply.count("/batch/processed"), "{}", reply.value);
            let listed =
                server.call("get_batch", json!({"id": batch, "view": "receipts", "since": "0"})).ok();
            assert!(
                listed["receipts"].as_array().unwrap().len() as i64 > was,
                "old and new receipts are listed"
            );
        }
        assert!(done > 3, "schema {schema}: {done} items were left to do");
        // Claim what is left: tasks with an expired claim, ready tasks, and tasks whose blocker has ended now.
        let mut claims = 0;
        while server.call("claim_task", json!({"worker": "w"})).succeeded() {
            claims += 1;
        }
        assert!(claims > 0, "schema {schema}: the next claim works");
        server.close();
        store.tasktally(["verify"]).success();
        store.assert_whole();
        println!(
            "schema {schema}: {} receipts, {done} items done after it, {claims} claims",
            before["receipt"].1.len()
        );
    }
}

#[test]
fn a_store_that_an_older_version_left_between_two_migrations_is_migrated() {
    for schema in 0..NEWEST {
        // Run the next migration without the transaction that records it.
        let store = if schema == 0 { Store::new_sqlite() } else { old(Store::new_sqlite(), schema) };
        std::fs::create_dir_all(store.file().parent().unwrap()).unwrap();
        let sql = store.sqlite();
        if schema == 0 {
            sql.execute_batch("CREATE TABLE refinery_schema_history (version INTEGER PRIMARY KEY, name TEXT, applied_on TEXT, checksum TEXT)").unwrap();
        }
        let next = format!("V{}__", schema + 1);
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
        let mut files = folder.map(|entry| entry.unwrap().path());
        let file = files.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&next)).unwrap();
        sql.execute_batch(&format!("BEGIN; {}; COMMIT", std::fs::read_to_string(file).unwrap())).unwrap();
        let before = everything(&sql);
        drop(sql);
        store.tasktally(["create-task", "--task-title", "Next"]).success();
        let now = everything(&store.sqlite());
        assert!(!now.contains_key("refinery_schema_history"), "schema {schema}");
        assert_eq!(now["receipt"].1.len(), before["receipt"].1.len());
        store.tasktally(["verify"]).success();
    }
}

#[test]
fn a_store_whose_creator_was_killed_after_the_migration_table_is_created_by_the_next_process() {
    let store = Store::new_sqlite();
    std::fs::create_dir_all(store.file().parent().unwrap()).unwrap();
    let made = "PRAGMA journal_mode = WAL; CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY,
        name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255))";
    store.sqlite().execute_batch(made).unwrap();
    store.tasktally(["create-task", "--task-title", "Next"]).success();
    store.tasktally(["verify"]).success();
}

#[test]
fn a_store_with_a_newer_user_version_is_left_byte_for_byte() {
    let store = old(Store::new_sqlite(), NEWEST);
    store.sqlite().execute_batch("PRAGMA user_version = 999").unwrap();
    assert_refused_unchanged(&store, "newer");
}

#[test]
fn a_store_whose_newer_schema_is_only_in_the_wal_is_left_byte_for_byte() {
    let store = old(Store::new_sqlite(), NEWEST);
    // The connection stays open, so the newer schema is only in the WAL and not in the file.
    let newer = store.sqlite();
    newer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA user_version = 999").unwrap();
    assert_refused_unchanged(&store, "newer");
}

/// Sets the schema version, as a newer version does while other processes have the store open.
fn set_schema(store: &Store, schema: i64) {
    store.sqlite().execute_batch(&format!("PRAGMA user_version = {schema}")).unwrap();
}

#[test]
fn a_server_whose_store_was_migrated_by_a_newer_version_refuses_everything_and_loses_nothing() {
    let store = old(Store::new_sqlite(), NEWEST);
    let mut server = store.serve();
    let log = server.create_task("Log");
    server.call("update_task", json!({"id": log, "body": "- before"})).ok();
    set_schema(&store, NEWEST + 1);
    let before = everything(&store.sqlite());
    let refused = |server: &mut Server, tool: &str, arguments: serde_json::Value| {
        let reply = server.call(tool, arguments);
        assert_eq!(reply.refusal(), "store_newer", "{tool}: {}", reply.value);
        assert!(reply.message().contains("Update tasktally"), "{}", reply.message());
    };
    // Repeat, because the first refusal closes the connection and the next request opens it again.
    for _ in 0..3 {
        refused(&mut server, "update_task", json!({"id": log, "body": "- after"}));
        refused(&mut server, "claim_task", json!({"worker": "w"}));
        refused(&mut server, "get_task", json!({"id": log}));
        refused(&mut server, "list_tasks", json!({}));
    }
    // Concurrent requests go through the group commit.
    let sent: Vec<u64> =
        (0..8).map(|_| server.send("update_task", json!({"id": log, "body": "- after"}))).collect();
    for id in sent {
        assert_eq!(server.recv(id).unwrap().refusal(), "store_newer");
    }
    assert_eq!(everything(&store.sqlite()), before, "nothing was written");
    set_schema(&store, NEWEST);
    server.call("update_task", json!({"id": log, "body": "- again"})).ok();
    assert_eq!(server.body(&log), "- before\n\n- again");
    server.close();
    store.tasktally(["verify"]).success();
}

#[test]
fn a_run_whose_store_was_migrated_by_a_newer_version_stops_and_can_be_resumed() {
    let store = Store::new_sqlite();
    let items: Vec<String> = (0..40).map(|n| json!({"key": format!("item-{n:02}")}).to_string()).collect();
    store.write("items.jsonl", items.join("\n"));
    store
        .write("worker.sh", "echo $TASKTALLY_ITEM >> starts.log; sleep 0.05; echo \"- did $TASKTALLY_ITEM\"");
    store.create();
    let run = |words: &[&str]| {
        let rest = ["--workers", "2", "--quiet", "--", "sh", "worker.sh"];
        store.tasktally(words.iter().chain(&rest).copied())
    };
    let mut child = run(&["run", "--items", "items.jsonl"]).start();
    crate::support::eventually("some items to be done", || {
        let receipts = "SELECT count(*) FROM receipt WHERE outcome = 'done'";
        store
            .sqlite()
            .query_row(receipts, [], |row| row.get::<_, i64>(0))
            .is_ok_and(|done| done > 3)
            .then_some(())
    });
    set_schema(&store, NEWEST + 1);
    let ended = crate::support::wait_for_exit(&mut child);
    assert!(!ended.success(), "{ended}");
    let receipts = everything(&store.sqlite())["receipt"].clone();
    set_schema(&store, NEWEST);
    let batch = text(&store, "SELECT id FROM task WHERE role = 'batch'").remove(0);
    run(&["run", "--resume", &batch]).success();
    let now = everything(&store.sqlite())["receipt"].clone();
    assert!(receipts.1.iter().all(|receipt| now.1.contains(receipt)), "a receipt is lost");
    let settled = crate::support::background::settled_items(&store);
    assert_eq!(settled.len(), 40);
    assert!(settled.iter().all(|(_, outcome, receipts)| outcome.is_some() && *receipts == 1), "{settled:?}");
}

#[test]
fn an_old_store_on_a_read_only_disk_is_refused_and_left_byte_for_byte() {
    let store = Store::new_sqlite().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else {
        return;
    };
    let store = old(store, 5);
    let before = file_contents(&store);
    disk.remount("ro");
    for args in [&["list-tasks", "--json"][..], &["create-task", "--task-title", "New", "--json"]] {
        let ran = store.tasktally(args).code(2);
        assert_eq!(ran.json()["code"], "read_only", "{}", ran.output());
        assert!(ran.output().contains(store.file().to_str().unwrap()), "{}", ran.output());
    }
    assert_eq!(file_contents(&store), before);
    disk.remount("rw");
    store.tasktally(["list-tasks"]).success();
    store.tasktally(["verify"]).success();
}

/// A read-only SQLite connection.
pub(crate) fn open_read_only(store: &Store) -> Connection {
    Connection::open_with_flags(store.file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}
