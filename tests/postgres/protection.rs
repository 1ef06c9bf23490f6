//! What no statement of the owner of the tables can change, as long as the triggers are there.

use serde_json::json;

use crate::support::server::Server;
use crate::support::steps::{create_batch, settle, two_step_batch};
use crate::support::store::Store;

const RECEIPT_NEVER_CHANGES: &str = "a receipt is never changed";
const RECEIPT_NEVER_DELETED: &str = "a receipt is never deleted";
const TASK_NEVER_DELETED: &str = "a task is never deleted";
const TASK_NEVER_CHANGES: &str = "the id, initial text and creation time of a task never change";
const HASH_NEVER_CHANGES: &str = "the hash of a task's content never changes";
const BATCH_NEVER_CHANGES: &str = "the instructions and rules of a batch never change";
const ITEM_NEVER_CHANGES: &str = "the key and the fields of an item never change";
const COUNT_IS_EXACT: &str = "receipt_count is the number of the last receipt of the task";
const NO_GAPS: &str = "receipts are numbered without gaps";

/// Statements of the owner, and what each is refused with.
const FORGERIES: [(&str, &str); 27] = [
    ("UPDATE receipt SET text = 'forged' WHERE number = 1", RECEIPT_NEVER_CHANGES),
    ("UPDATE receipt SET author = 'x', late = 1", RECEIPT_NEVER_CHANGES),
    ("UPDATE receipt SET number = number + 1", RECEIPT_NEVER_CHANGES),
    ("UPDATE receipt SET text = text", RECEIPT_NEVER_CHANGES),
    ("DELETE FROM receipt WHERE number = 2", RECEIPT_NEVER_DELETED),
    ("DELETE FROM receipt", RECEIPT_NEVER_DELETED),
    ("TRUNCATE receipt CASCADE", RECEIPT_NEVER_DELETED),
    ("TRUNCATE task, receipt CASCADE", TASK_NEVER_DELETED),
    ("TRUNCATE task CASCADE", TASK_NEVER_DELETED),
    ("DELETE FROM task WHERE role = 'task'", TASK_NEVER_DELETED),
    ("UPDATE task SET initial_text = 'forged'", TASK_NEVER_CHANGES),
    ("UPDATE task SET id = 'forged' WHERE role = 'batch'", TASK_NEVER_CHANGES),
    ("UPDATE task SET created_at = created_at - 1", TASK_NEVER_CHANGES),
    ("UPDATE task SET row_id = row_id + 1000", TASK_NEVER_CHANGES),
    ("UPDATE task SET content_hash = sha256('x')", HASH_NEVER_CHANGES),
    ("UPDATE task SET content_hash = NULL", HASH_NEVER_CHANGES),
    ("UPDATE task SET receipt_count = receipt_count + 1", COUNT_IS_EXACT),
    ("UPDATE task SET receipt_count = 0 WHERE receipt_count > 0", COUNT_IS_EXACT),
    ("UPDATE batch SET instructions = 'forged'", BATCH_NEVER_CHANGES),
    ("UPDATE batch SET steps = NULL", BATCH_NEVER_CHANGES),
    ("UPDATE batch SET checkpoint = 'none'", BATCH_NEVER_CHANGES),
    ("UPDATE batch SET review = 'person'", BATCH_NEVER_CHANGES),
    ("UPDATE batch SET max_failures = '1', on_conflict = NULL, resource_fields = NULL", BATCH_NEVER_CHANGES),
    ("UPDATE batch SET auto_approve_after = 1, in_doubt_policy = 'fail'", BATCH_NEVER_CHANGES),
    ("UPDATE item SET key = key || '!'", ITEM_NEVER_CHANGES),
    ("UPDATE item SET fields = '{}'", ITEM_NEVER_CHANGES),
    ("UPDATE item SET chunk = chunk + 1", ITEM_NEVER_CHANGES),
];

/// A receipt like the first one, with another number.
fn insert_receipts(numbers: &str) -> String {
    format!(
        "INSERT INTO receipt (row_id, task, number, created_at, author, text, late, hash)
         SELECT 1000 + n, task, n, created_at, author, text, 0, hash
           FROM (SELECT * FROM receipt WHERE row_id = 1) r, unnest(ARRAY[{numbers}]) n"
    )
}

/// A store with a task with two receipts, and a batch with a settled chunk.
fn store_with_receipts() -> Option<(Store, Server)> {
    let store = Store::new_postgres()?;
    let mut server = store.serve();
    let task = json!({"task_title": "Task", "body": "the initial text"});
    let id = server.call("create_task", task).ok().text("/task/id");
    for body in ["- one", "- two"] {
        server.call("update_task", json!({"id": id, "body": body})).ok();
    }
    let batch = create_batch(&mut server, two_step_batch("step"));
    settle(
        &mut server,
        &batch,
        &[("a1", "done", "archive"), ("a2", "done", "archive"), ("b1", "done", "keep")],
        true,
    );
    Some((store, server))
}

/// Every row of the tables that are protected.
fn content(store: &Store) -> Vec<String> {
    let tables = ["task", "receipt", "batch", "item", "chunk"];
    let rows = tables.iter().map(|table| format!("SELECT '{table}' || t::text FROM {table} t"));
    store.sql().rows(&format!("{} ORDER BY 1", rows.collect::<Vec<_>>().join(" UNION ALL ")), &[])
}

#[test]
fn the_owner_cannot_change_what_was_written() {
    let Some((store, mut server)) = store_with_receipts() else { return };
    let before = content(&store);
    let sql = store.sql();
    for (forgery, expected) in FORGERIES {
        let refused = sql.execute_all(forgery);
        let message = refused.expect_err(forgery);
        assert!(message.contains(expected), "{forgery}: {message}");
        assert_eq!(content(&store), before, "{forgery}");
    }
    server.create_task("The store still works");
    store.tasktally(["verify"]).success();
}

#[test]
fn the_owner_cannot_skip_or_repeat_the_number_of_a_receipt() {
    let Some((store, _server)) = store_with_receipts() else { return };
    let sql = store.sql();
    let before = content(&store);
    for (numbers, expected) in [
        ("4", NO_GAPS),
        ("3, 5", NO_GAPS),
        ("0", NO_GAPS),
        ("-1, 0", NO_GAPS),
        ("2", "duplicate key"),
        ("3, 3", "duplicate key"),
    ] {
        let refused = sql.execute_all(&insert_receipts(numbers));
        let message = refused.expect_err(numbers);
        assert!(message.contains(expected), "{numbers}: {message}");
        assert_eq!(content(&store), before, "{numbers}");
    }
    // The next numbers are accepted, but the hash shows the forgery.
    sql.execute_all(&insert_receipts("3, 4")).unwrap();
    let found = store.tasktally(["verify"]).code(1);
    assert!(found.stdout.contains("receipt 3 "), "{}", found.output());
}
