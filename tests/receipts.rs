//! Acknowledged receipts are kept, numbered without gaps and never changed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rusqlite::{Connection, types::Value as SqlValue};
use serde_json::{Value, json};

use support::run_in_parallel;
use support::server::Server;
use support::store::Store;

#[test]
fn receipts_of_eight_writing_processes_are_all_kept_and_numbered_without_gaps() {
    let store = Store::new();
    let mut supervisor = store.serve();
    let id = supervisor.create_task("Archive");

    let mut shown: Vec<(u64, String)> = run_in_parallel(8, |worker| {
        let mut server = store.serve();
        let append = |n: usize| {
            let text = format!("- Archived: worker {worker} | mail {n}");
            let reply = server.call("update_task", json!({"id": id, "body": text})).ok();
            (reply.count("/receipt/number"), text)
        };
        (0..25).map(append).collect::<Vec<_>>()
    })
    .into_iter()
    .flatten()
    .collect();

    shown.sort();
    let numbers: Vec<u64> = shown.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<u64>>());
    let body = shown.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n\n");
    assert_eq!(supervisor.body(&id), body, "the body is not the receipts in their order");
    assert_eq!(supervisor.texts(&id).len(), 200);
}

#[test]
fn the_body_is_the_initial_text_and_the_receipts_each_behind_a_line_that_says_whose_it_is() {
    let store = Store::new();
    let mut server = store.serve();
    let made = server.call("create_task", json!({"title": "Log", "body": "Opening.\nSecond line."}));
    let id = made.ok().text("/task/id");
    server.call("update_task", json!({"id": id, "body": "- one"})).ok();
    server.call("update_task", json!({"id": id, "body": "- two\n- three"})).ok();
    let task = server.read_task(&id);
    let body = task.text("/task/body");
    let lines: Vec<&str> = body.split('\n').collect();
    assert_eq!(lines[..3], ["Opening.", "Second line.", ""], "{body}");
    let by = "tasktally-tests | ";
    assert!(lines[3].starts_with(&format!("[receipt 1 | agent {by}")) && lines[3].ends_with(']'), "{body}");
    assert_eq!(lines[4..6], ["> - one", ""], "{body}");
    assert!(lines[6].starts_with(&format!("[receipt 2 | agent {by}")), "{body}");
    assert_eq!(lines[7..], ["> - two", "> - three"], "{body}");
    // The same, apart.
    assert_eq!(task.text("/task/initial_text"), "Opening.\nSecond line.");
    let second = &task["task"]["receipts"][1];
    assert_eq!((&second["number"], &second["text"]), (&json!(2), &json!("- two\n- three")), "{second}");
    assert_eq!((&second["author"], &second["author_kind"]), (&json!("tasktally-tests"), &json!("agent")));
    assert_eq!((&second["late"], second.get("item")), (&json!(false), None), "{second}");
    assert!(lines[6].contains(second["at"].as_str().unwrap()), "{body}");
}

#[test]
fn replacing_the_body_is_refused_and_changes_nothing() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.create_task("Log");
    server.call("update_task", json!({"id": id, "body": "- kept"})).ok();
    let reply = server.call("update_task", json!({"id": id, "body": "- new", "replace_body": true}));
    assert_eq!(reply.refusal(), "invalid_argument");
    assert!(reply.message().contains("append-only"), "{}", reply.message());
    assert_eq!(server.texts(&id), ["- kept"]);
}

/// Every row of both tables, to detect any change.
fn snapshot(sql: &Connection) -> Vec<Vec<SqlValue>> {
    let mut rows = Vec::new();
    for table in ["receipt", "task"] {
        let mut statement = sql.prepare(&format!("SELECT * FROM {table} ORDER BY rowid")).unwrap();
        let columns = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
        rows.extend(statement.query_map([], read).unwrap().map(Result::unwrap));
    }
    rows
}

fn columns(sql: &Connection, table: &str) -> Vec<String> {
    let mut statement = sql.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
    let names = statement.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(!Vec::is_empty(&names), "no table {table}");
    names
}

/// A store of a task with three receipts, and a plain SQLite connection to it.
fn a_store_with_receipts() -> (Store, Connection) {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    let id = server.create_task("Log");
    for text in ["- one", "- two", "- three"] {
        server.call("update_task", json!({"id": id, "body": text})).ok();
    }
    server.close();
    let sql = store.sqlite();
    sql.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    (store, sql)
}

#[test]
fn raw_sql_that_updates_any_column_of_a_receipt_is_refused() {
    let (_store, sql) = a_store_with_receipts();
    let before = snapshot(&sql);
    for column in columns(&sql, "receipt") {
        for value in [column.as_str(), "'forged'", "7", "NULL"] {
            for or in ["", "OR REPLACE ", "OR IGNORE "] {
                let forged = format!("UPDATE {or}receipt SET {column} = {value}");
                let done = sql.execute(&forged, []);
                assert!(done.is_err(), "{forged}: {done:?}");
            }
        }
    }
    assert_eq!(snapshot(&sql), before);
}

#[test]
fn raw_sql_that_deletes_or_replaces_receipts_is_refused_by_the_triggers() {
    let (_store, sql) = a_store_with_receipts();
    let before = snapshot(&sql);
    let (receipt, task) = (columns(&sql, "receipt").join(", "), columns(&sql, "task").join(", "));
    for (forged, refusal) in [
        ("DELETE FROM receipt".to_owned(), "a receipt is never deleted"),
        (
            "DELETE FROM receipt WHERE rowid = (SELECT max(rowid) FROM receipt)".to_owned(),
            "a receipt is never deleted",
        ),
        // With named columns: `SELECT *` has the generated columns too, which SQLite refuses without a trigger.
        (
            format!("REPLACE INTO receipt ({receipt}) SELECT {receipt} FROM receipt"),
            "receipts are numbered without gaps",
        ),
        (
            format!("INSERT OR REPLACE INTO receipt ({receipt}) SELECT {receipt} FROM receipt LIMIT 1"),
            "receipts are numbered without gaps",
        ),
        // The last receipt: the trigger on the task's receipt count would not refuse this.
        (
            format!("REPLACE INTO receipt ({receipt}) SELECT {receipt} FROM receipt WHERE number = 3"),
            "receipts are numbered without gaps",
        ),
        ("DELETE FROM task".to_owned(), "a task is never deleted"),
        (format!("REPLACE INTO task ({task}) SELECT {task} FROM task"), "a task is never replaced"),
        (
            format!("INSERT OR REPLACE INTO task ({task}) SELECT {task} FROM task LIMIT 1"),
            "a task is never replaced",
        ),
    ] {
        let refused = sql.execute(&forged, []).expect_err(&forged).to_string();
        assert!(refused.contains(refusal), "{forged}: {refused}");
        assert_eq!(snapshot(&sql), before, "{forged}");
    }
}

/// Shows that the statements above are valid SQL, so that only the triggers refuse them.
#[test]
fn without_the_triggers_raw_sql_replaces_tasks_and_receipts() {
    let (_store, sql) = a_store_with_receipts();
    sql.execute_batch("DROP TRIGGER task_is_never_replaced; DROP TRIGGER receipt_number_is_next").unwrap();
    for (table, rows) in [("task", "true"), ("receipt", "number = 3")] {
        let columns = columns(&sql, table).join(", ");
        let replace = format!("REPLACE INTO {table} ({columns}) SELECT {columns} FROM {table} WHERE {rows}");
        assert_eq!(sql.execute(&replace, []).unwrap(), 1, "{table}");
    }
}

#[test]
fn raw_sql_that_lowers_the_receipt_count_is_refused() {
    let (_store, sql) = a_store_with_receipts();
    let before = snapshot(&sql);
    let mut tried = 0;
    for column in columns(&sql, "task").into_iter().filter(|name| name.contains("receipt")) {
        for value in ["0", "1"] {
            let forged = format!("UPDATE task SET {column} = {value}");
            let done = sql.execute(&forged, []);
            assert!(done.is_err(), "{forged}: {done:?}");
            tried += 1;
        }
    }
    assert!(tried > 0, "the task has no receipt count");
    assert_eq!(snapshot(&sql), before);
}

#[test]
fn a_repeated_request_key_gets_the_same_reply_in_another_process_and_after_a_restart() {
    let store = Store::new();
    let mut first = store.serve();
    let create = json!({"title": "Once", "request_key": "make-1"});
    let id = first.call("create_task", create.clone()).ok().text("/task/id");
    let append = json!({"id": id, "body": "- once", "request_key": "mail-17"});
    let number = first.call("update_task", append.clone()).ok().count("/receipt/number");

    let repeat = |server: &mut Server| {
        let again = server.call("update_task", append.clone()).ok();
        assert_eq!(again.count("/receipt/number"), number);
        assert_eq!(again["receipt"]["duplicate"], true, "{}", again.value);
        assert_eq!(server.call("create_task", create.clone()).ok().text("/task/id"), id);
    };
    repeat(&mut first);
    repeat(&mut store.serve());
    first.close();
    let mut restarted = store.serve();
    repeat(&mut restarted);
    assert_eq!(restarted.read_task(&id).length("/task/receipts"), 1);
    assert_eq!(restarted.call("list_tasks", json!({"limit": 0})).ok().count("/total"), 1);
}

/// Creates a batch of one chunk with these item keys and claims it. Returns the chunk's id and the token.
fn claimed_chunk(server: &mut Server, keys: &[&str]) -> (String, Value) {
    let items: Vec<Value> = keys.iter().map(|key| json!({"key": key})).collect();
    let batch = json!({"title": "Mail", "instructions": "Sort it.", "items": items});
    let made = server.call("create_batch", batch).ok();
    let claim = json!({"worker": "w", "batch": made.text("/batch/id")});
    let claimed = server.call("claim_task", claim).ok();
    assert_eq!(claimed["items"].as_array().map(Vec::len), Some(keys.len()), "{}", claimed.value);
    (claimed.text("/task/id"), claimed["claim"]["token"].clone())
}

#[test]
fn settling_an_item_again_is_a_duplicate_and_with_another_outcome_a_conflict() {
    let store = Store::new();
    let mut server = store.serve();
    let (chunk, token) = claimed_chunk(&mut server, &["a", "b"]);
    let settle = |outcome: &str| {
        json!({"id": chunk, "claim": token, "item": "a", "outcome": outcome,
               "category": "fyi", "body": "- a"})
    };
    let first = server.call("update_task", settle("done")).ok();
    assert_ne!(first["receipt"]["duplicate"], true);

    let again = server.call("update_task", settle("done"));
    assert!(!again.is_error, "{}", again.value);
    assert_eq!(again["receipt"]["duplicate"], true, "{}", again.value);
    assert_eq!(again.count("/receipt/number"), first.count("/receipt/number"));

    let other = server.call("update_task", settle("failed"));
    assert!(!other.succeeded(), "{}", other.value);
    assert_eq!(other.code(), "conflict");
    assert_eq!(server.read_task(&chunk).length("/task/receipts"), 1);
}

#[test]
fn a_second_report_on_an_item_that_says_more_is_kept_as_a_note() {
    let store = Store::new();
    let mut server = store.serve();
    let (chunk, token) = claimed_chunk(&mut server, &["a", "b"]);
    let mut report = |more: Value| {
        let mut receipt = json!({"id": chunk, "claim": token, "item": "a", "outcome": "done"});
        receipt.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.call("update_task", receipt).ok()
    };
    let first = report(json!({"body": "partial: 3 of 5"}));
    let last = json!({"body": "final: 5 of 5", "category": "fyi", "model": "m", "cost": 0.5});
    let note = report(last.clone());
    assert_eq!(note["receipt"]["duplicate"], false, "{}", note.value);
    assert_eq!(note.count("/receipt/number"), 2);
    assert_eq!(note.count("/receipt/settled_by"), first.count("/receipt/number"));
    assert_eq!(note.count("/items_left"), 1);
    assert!(note.message().contains("receipt 1 settled the item"), "{}", note.message());
    // Neither report is kept twice, and one without anything new is no note.
    for (again, number) in [(last, 2), (json!({"body": "partial: 3 of 5"}), 1), (json!({}), 1)] {
        let repeated = report(again);
        assert_eq!(repeated["receipt"]["duplicate"], true, "{}", repeated.value);
        assert_eq!(repeated.count("/receipt/number"), number);
    }
    // Each of these differs in one part.
    for differs in [json!({"category": "task"}), json!({"cost": 0.25}), json!({"tokens_in": 7})] {
        assert_eq!(report(differs)["receipt"]["duplicate"], false);
    }
    let batch = server.read_task(&chunk).text("/task/parent");
    let seen = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(seen["batch"]["categories"], json!({"done": 1}), "the first report counts");
    assert_eq!(seen["batch"]["spent"]["cost"], 0.75, "the cost of a note counts");
    assert_eq!(seen["batch"]["spent"]["tokens_in"], 7);
    server.close();
    store.tasktally(["verify"]).success();
}

#[test]
fn another_summary_of_a_completed_task_is_kept() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.create_task("Log");
    let mut complete =
        |summary: &str| server.call("complete_task", json!({"id": id, "summary": summary})).ok();
    complete("2 of 3 mails");
    assert!(!complete("2 of 3 mails").message().contains("kept"));
    let second = complete("3 of 3 mails");
    assert_eq!(second["duplicate"], true);
    assert!(second.message().contains("kept as receipt 2"), "{}", second.message());
    assert_eq!(server.body(&id), "2 of 3 mails\n\n3 of 3 mails");
}

#[test]
fn the_reply_to_an_items_receipt_is_short_and_says_what_counts() {
    let store = Store::new();
    let mut server = store.serve();
    let (chunk, token) = claimed_chunk(&mut server, &["a", "b"]);
    let mut report = |category: &str, text: &str| {
        let receipt = json!({"id": chunk, "claim": token, "item": "a", "outcome": "done", "category": category,
            "body": text, "assignee": "w"});
        server.call("update_task", receipt).ok()
    };
    let text = "- Archived: ".to_owned() + &"a long text ".repeat(200);
    let first = report("fyi", &text);
    assert!(first.value.to_string().len() < 300, "{}", first.value);
    let mut receipt = first["receipt"].clone();
    receipt.as_object_mut().unwrap().remove("late");
    assert_eq!(receipt, json!({"number": 1, "outcome": "done", "category": "fyi", "duplicate": false}));
    assert_eq!(first.count("/items_left"), 1);
    assert!(first.text("/expires_at").starts_with("20"));
    assert!(first.get("task").is_none() && first.get("modified_fields").is_none(), "{}", first.value);
    // A note changes neither the outcome nor the category that count.
    assert_eq!(report("task", "- Archived")["receipt"]["category"], "fyi");
}
