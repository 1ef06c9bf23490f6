//! Stores of every schema there was (`tests/data`) are brought up to date with all that is in them; newer
//! ones are left alone, also by a tasktally that had them open before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::support::mount::Mount;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::untouched::{assert_refused_untouched, bytes};

/// The newest schema.
pub(crate) const NEWEST: i64 = tasktally::store::sqlite::SCHEMA_VERSION;

/// The kept store of a schema; copied, never opened where it lies.
pub(crate) fn kept(schema: i64) -> PathBuf {
    PathBuf::from(format!("{}/tests/data/store-{schema}.db", env!("CARGO_MANIFEST_DIR")))
}

/// A store with a copy of the one kept of a schema.
pub(crate) fn old(store: Store, schema: i64) -> Store {
    std::fs::create_dir_all(store.file().parent().unwrap()).unwrap();
    // Its bytes: the kept file itself may not be written to.
    std::fs::write(store.file(), std::fs::read(kept(schema)).unwrap()).unwrap();
    store
}

/// A table's columns and rows.
type Rows = (Vec<String>, Vec<Vec<Sql>>);

/// All rows of a query, in the order of the columns.
fn rows(store: &Connection, table: &str, columns: &[String]) -> Vec<Vec<Sql>> {
    let (named, order) = (columns.join(", "), (1..=columns.len()).map(|n| n.to_string()).collect::<Vec<_>>());
    let sql = format!("SELECT {named} FROM {table} ORDER BY {}", order.join(", "));
    let mut statement = store.prepare(&sql).unwrap();
    let read = statement.query_map([], |row| (0..columns.len()).map(|at| row.get(at)).collect()).unwrap();
    read.map(Result::unwrap).collect()
}

/// Everything in a store, by table, as SQLite sees it; nothing is made beside it.
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

/// Every row that a store held before it was migrated is there with the same values.
pub(crate) fn assert_all_is_there(store: &Store, before: &BTreeMap<String, Rows>) {
    let now = store.sql();
    for (table, (columns, was)) in with_names_of_schema_9(before) {
        // Schema 9 removes the list of applied migrations.
        if table != "refinery_schema_history" {
            assert_eq!(sorted(rows(&now, &table, &columns)), sorted(was), "{table}");
        }
    }
    let set: i64 = now.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(set, NEWEST);
}

/// Works a batch until it has ended, as a supervisor and its workers would: gives how many items were done.
fn work_to_its_end(server: &mut Server, batch: &str) -> usize {
    let mut done = 0;
    for _ in 0..100 {
        let stand = server.call("get_batch", json!({"id": batch})).ok();
        match stand.text("/batch/status").as_str() {
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
        if !claimed.won() {
            continue;
        }
        let (chunk, token) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
        for item in claimed["items"].as_array().unwrap() {
            let text = format!("- {} by a tasktally of today", item["key"]);
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
    let store = store.sql();
    let mut statement = store.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_store_of_every_schema_is_brought_up_to_date_with_all_that_is_in_it_and_its_work_goes_on() {
    for schema in 1..=NEWEST {
        let store = old(Store::new(), schema);
        let before = everything(&store.sql());
        store.tasktally(["list-tasks", "--limit", "0"]).success();
        assert_all_is_there(&store, &before);
        store.assert_whole();
        let verified = store.tasktally(["verify", "--json"]).success().json();
        assert_eq!(verified["receipts"], before["receipt"].1.len(), "schema {schema}");
        assert_eq!(verified["tasks"], before["task"].1.len(), "schema {schema}");

        let mut server = store.serve();
        let log = text(&store, "SELECT id FROM task WHERE initial_text = 'Opening text' AND role = 'task'")
            .remove(0);
        let body = server.body(&log);
        assert!(body.starts_with("Opening text\n\n- "), "{body}");
        server.call("update_task", json!({"id": log, "body": "- and one of today"})).ok();
        assert_eq!(server.body(&log), format!("{body}\n\n- and one of today"));
        assert!(server.call("search_tasks", json!({"query": "receipt"})).ok().count("/count") > 0);

        let mut done = 0;
        for batch in text(&store, "SELECT id FROM task WHERE role = 'batch'") {
            let was: i64 = store
                .sql()
                .query_row(
                    "SELECT count(*) FROM batch_receipt WHERE batch = (SELECT row_id FROM task WHERE id = ?1)",
                    [&batch],
                    |row| row.get(0),
                )
                .unwrap();
            done += work_to_its_end(&mut server, &batch);
            let stand = server.call("get_batch", json!({"id": batch})).ok();
            assert_eq!(stand.count("/batch/total"), stand.count("/batch/processed"), "{}", stand.value);
            let told = server.call("get_batch", json!({"id": batch, "view": "receipts", "since": "0"})).ok();
            assert!(
                told["receipts"].as_array().unwrap().len() as i64 > was,
                "the old ones and those of today"
            );
        }
        assert!(done > 3, "schema {schema}: {done} items were left to do");
        // What is left over: held by one that died, ready, or waiting for what has ended now.
        let mut claims = 0;
        while server.call("claim_task", json!({"worker": "w"})).won() {
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
fn a_store_that_an_older_tasktally_left_between_two_migrations_is_brought_up_to_date() {
    for schema in 0..NEWEST {
        // The next migration's own transaction, without the one that records it.
        let store = if schema == 0 { Store::new() } else { old(Store::new(), schema) };
        std::fs::create_dir_all(store.file().parent().unwrap()).unwrap();
        let sql = store.sql();
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
        let now = everything(&store.sql());
        assert!(!now.contains_key("refinery_schema_history"), "schema {schema}");
        assert_eq!(now["receipt"].1.len(), before["receipt"].1.len());
        store.tasktally(["verify"]).success();
    }
}

#[test]
fn a_store_whose_maker_was_killed_after_the_list_of_migrations_is_made() {
    let store = Store::new();
    std::fs::create_dir_all(store.file().parent().unwrap()).unwrap();
    let made = "PRAGMA journal_mode = WAL; CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY,
        name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255))";
    store.sql().execute_batch(made).unwrap();
    store.tasktally(["create-task", "--task-title", "Next"]).success();
    store.tasktally(["verify"]).success();
}

#[test]
fn a_store_with_a_newer_user_version_is_left_byte_for_byte() {
    let store = old(Store::new(), NEWEST);
    store.sql().execute_batch("PRAGMA user_version = 999").unwrap();
    assert_refused_untouched(&store, "newer");
}

#[test]
fn a_store_whose_newer_schema_is_only_in_the_log_is_left_byte_for_byte() {
    let store = old(Store::new(), NEWEST);
    // Held open by the newer tasktally: nothing of it has reached the file itself.
    let newer = store.sql();
    newer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA user_version = 999").unwrap();
    assert_refused_untouched(&store, "newer");
}

/// What a newer tasktally does to a store that others have open.
fn renew(store: &Store, schema: i64) {
    store.sql().execute_batch(&format!("PRAGMA user_version = {schema}")).unwrap();
}

#[test]
fn a_tasktally_whose_store_is_brought_up_to_date_by_a_newer_one_writes_nothing_more_and_has_lost_nothing() {
    let store = old(Store::new(), NEWEST);
    let mut server = store.serve();
    let log = server.task("Log");
    server.call("update_task", json!({"id": log, "body": "- before"})).ok();
    renew(&store, NEWEST + 1);
    let before = everything(&store.sql());
    let refused = |server: &mut Server, tool: &str, arguments: serde_json::Value| {
        let reply = server.call(tool, arguments);
        assert_eq!(reply.refusal(), "store_newer", "{tool}: {}", reply.value);
        assert!(reply.message().contains("Update tasktally"), "{}", reply.message());
    };
    // Again and again: what the first refusal dropped is opened anew.
    for _ in 0..3 {
        refused(&mut server, "update_task", json!({"id": log, "body": "- after"}));
        refused(&mut server, "claim_task", json!({"worker": "w"}));
        refused(&mut server, "get_task", json!({"id": log}));
        refused(&mut server, "list_tasks", json!({}));
    }
    // Those that meet are written together.
    let sent: Vec<u64> =
        (0..8).map(|_| server.send("update_task", json!({"id": log, "body": "- after"}))).collect();
    for id in sent {
        assert_eq!(server.recv(id).unwrap().refusal(), "store_newer");
    }
    assert_eq!(everything(&store.sql()), before, "nothing was written");
    renew(&store, NEWEST);
    server.call("update_task", json!({"id": log, "body": "- again"})).ok();
    assert_eq!(server.body(&log), "- before\n\n- again");
    server.close();
    store.tasktally(["verify"]).success();
}

#[test]
fn a_run_whose_store_is_brought_up_to_date_by_a_newer_tasktally_stops_and_goes_on_later() {
    let store = Store::new();
    let items: Vec<String> = (0..40).map(|n| json!({"key": format!("item-{n:02}")}).to_string()).collect();
    store.write("items.jsonl", items.join("\n"));
    store
        .write("worker.sh", "echo $TASKTALLY_ITEM >> starts.log; sleep 0.05; echo \"- did $TASKTALLY_ITEM\"");
    store.tasktally(["list-tasks"]).success();
    let run = |words: &[&str]| {
        let rest = ["--workers", "2", "--quiet", "--", "sh", "worker.sh"];
        store.tasktally(words.iter().chain(&rest).copied())
    };
    let mut child = run(&["run", "--items", "items.jsonl"]).start();
    crate::support::eventually("some items to be done", || {
        let receipts = "SELECT count(*) FROM receipt WHERE outcome = 'done'";
        store
            .sql()
            .query_row(receipts, [], |row| row.get::<_, i64>(0))
            .is_ok_and(|done| done > 3)
            .then_some(())
    });
    renew(&store, NEWEST + 1);
    let ended = crate::support::ended(&mut child);
    assert!(!ended.success(), "{ended}");
    let receipts = everything(&store.sql())["receipt"].clone();
    renew(&store, NEWEST);
    let batch = text(&store, "SELECT id FROM task WHERE role = 'batch'").remove(0);
    run(&["run", "--resume", &batch]).success();
    let now = everything(&store.sql())["receipt"].clone();
    assert!(receipts.1.iter().all(|receipt| now.1.contains(receipt)), "a receipt is lost");
    let settled = crate::support::background::settled(&store);
    assert_eq!(settled.len(), 40);
    assert!(settled.iter().all(|(_, outcome, receipts)| outcome.is_some() && *receipts == 1), "{settled:?}");
}

#[test]
fn an_old_store_on_a_read_only_disk_is_told_and_left_byte_for_byte() {
    let store = Store::new().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else {
        println!("skipped an_old_store_on_a_read_only_disk: no right to mount");
        return;
    };
    let store = old(store, 5);
    let before = bytes(&store);
    disk.remount("ro");
    for args in [&["list-tasks", "--json"][..], &["create-task", "--task-title", "New", "--json"]] {
        let ran = store.tasktally(args).code(2);
        assert_eq!(ran.json()["code"], "read_only", "{}", ran.said());
        assert!(ran.said().contains(store.file().to_str().unwrap()), "{}", ran.said());
    }
    assert_eq!(bytes(&store), before);
    disk.remount("rw");
    store.tasktally(["list-tasks"]).success();
    store.tasktally(["verify"]).success();
}

/// A connection that reads a store as it lies there.
pub(crate) fn look(store: &Store) -> Connection {
    Connection::open_with_flags(store.file(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}
