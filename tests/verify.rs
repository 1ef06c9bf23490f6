//! `tasktally verify` finds changes that the owner of the file can make despite the schema's triggers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;

use support::store::Store;

/// Two tasks with five receipts each.
fn a_store_with_receipts() -> Store {
    let store = Store::new();
    let mut server = store.serve();
    for title in ["First", "Second"] {
        let id = server.create_task(title);
        for n in 1..=5 {
            server.call("update_task", json!({"id": id, "body": format!("- mail {n}")})).ok();
        }
    }
    server.close();
    store
}

/// Changes something that the triggers protect, as the owner of the file can.
fn forge(store: &Store, sql: &str) {
    store.forge(|connection| assert!(connection.execute(sql, []).unwrap() > 0, "{sql} changed nothing"));
}

#[test]
fn unchanged_receipts_pass() {
    a_store_with_receipts().tasktally(["verify"]).success();
}

#[test]
fn an_edited_a_missing_and_a_truncated_receipt_are_found() {
    const LAST: &str = "number = 5 AND task = (SELECT min(task) FROM receipt)";
    for forged in [
        "UPDATE receipt SET text = '- mail 33' WHERE number = 3".to_owned(),
        "UPDATE receipt SET author = 'somebody' WHERE number = 1".to_owned(),
        "UPDATE receipt SET created_at = created_at + 1 WHERE number = 2".to_owned(),
        "UPDATE receipt SET late = 1 WHERE number = 2".to_owned(),
        "UPDATE receipt SET category = 'fyi', outcome = 'done' WHERE number = 2".to_owned(),
        "DELETE FROM receipt WHERE number = 3".to_owned(),
        "DELETE FROM receipt WHERE number = 1".to_owned(),
        format!("DELETE FROM receipt WHERE {LAST}"),
        "DELETE FROM receipt".to_owned(),
        "UPDATE receipt SET number = 11 - number WHERE number > 5 OR number < 6".to_owned(),
    ] {
        let store = a_store_with_receipts();
        forge(&store, &forged);
        let ran = store.tasktally(["verify"]).finish();
        assert_eq!(ran.code, Some(1), "{forged}: {}", ran.output());
    }
}

#[test]
fn a_missing_item_and_an_outcome_without_receipt_are_found() {
    for (forged, output) in [
        ("DELETE FROM item WHERE key = 'b'", "of 2 items are there"),
        ("UPDATE item SET outcome = 'failed' WHERE key = 'a'", "items are there"),
        ("UPDATE item SET category = 'fyi' WHERE key = 'a'", "item 'a' is done, and no receipt says so"),
        ("UPDATE chunk SET items_total = 7 WHERE number = 2", "1 of 7 items are there"),
        ("UPDATE batch SET items_total = 4", "2 of 2 chunks are there, with 3 of 4 items"),
    ] {
        let store = Store::new();
        let mut server = store.serve();
        let batch = json!({"title": "B", "instructions": "x", "items": ["a", "b", "c"], "max_chunk": 2});
        let batch = server.call("create_batch", batch).ok().text("/batch/id");
        let claim = server.call("claim_task", json!({"batch": batch})).ok();
        let done = json!({"id": claim.text("/task/id"), "claim": claim["claim"]["token"], "item": "a", "outcome": "done"});
        server.call("update_task", done).ok();
        server.close();
        store.tasktally(["verify"]).success();
        assert!(store.sql().execute(forged, []).unwrap() > 0, "{forged} changed nothing");
        let ran = store.tasktally(["verify"]).code(1);
        assert!(ran.output().contains(output), "{forged}: {}", ran.output());
    }
}
