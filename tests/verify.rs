//! `tasktally verify` finds changes that the owner of the file can make despite the schema's triggers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt as _;

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
    store.forge(|forger| assert!(forger.execute(sql, &[]).unwrap() > 0, "{sql} changed nothing"));
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
        assert!(store.sql().execute(forged, &[]).unwrap() > 0, "{forged} changed nothing");
        let ran = store.tasktally(["verify"]).code(1);
        assert!(ran.output().contains(output), "{forged}: {}", ran.output());
    }
}

#[test]
fn the_result_names_its_scope_and_what_only_saved_heads_find() {
    let store = Store::new();
    let mut server = store.serve();
    server.call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a", "b", "c"]})).ok();
    let task = server.create_task("Another");
    server.call("update_task", json!({"id": task, "body": "- mail"})).ok();
    server.close();
    let checked = store.tasktally(["verify"]).success();
    let sentence =
        "The whole store: 1 receipt of 3 tasks is unchanged, and every item is accounted for (3 items)";
    let hint = format!(
        "To find cut-off or rewritten chains: tasktally --db {} verify --from SAVED_HEADS",
        store.url()
    );
    assert_eq!(checked.stdout.lines().collect::<Vec<_>>(), [sentence, &hint]);
    let reply = store.tasktally(["verify", "--json"]).success().json();
    assert_eq!((&reply["items"], &reply["message"]), (&json!(3), &json!(sentence)));

    store.tasktally(["heads", "--out", "heads"]).success();
    let compared = store.tasktally(["verify", "--from", "heads"]).success();
    assert_eq!(compared.stdout, format!("{sentence}; 3 heads agree\n"));
    forge(&store, "DELETE FROM receipt");
    assert!(!store.tasktally(["verify"]).code(1).output().contains("SAVED_HEADS"), "a hint beside a problem");
}

#[test]
fn heads_are_saved_to_a_private_file_that_does_not_exist_yet() {
    let store = a_store_with_receipts();
    let plain = store.tasktally(["heads"]).success().stdout;
    let wrote = store.tasktally(["heads", "--out", "heads"]).success();
    assert!(wrote.stdout.starts_with("Wrote 2 heads to heads"), "{}", wrote.stdout);
    let file = store.folder().join("heads");
    let saved = std::fs::read_to_string(&file).unwrap();
    let (columns, lines) = saved.split_once('\n').unwrap();
    assert!(columns.starts_with("# TASK RECEIPTS LAST_HASH ITEMS CONTENT_HASH; "), "{columns}");
    assert_eq!(lines, plain);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // The heads of before are the evidence: they are never replaced.
    let refused = store.tasktally(["heads", "--out", "heads"]).code(2);
    assert!(refused.output().contains("--out: heads exists"), "{}", refused.output());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), saved);
    let reply = store.tasktally(["heads", "--out", "heads.jsonl", "--json"]).success().json();
    assert_eq!((&reply["heads"], &reply["file"]), (&json!(2), &json!("heads.jsonl")));
    store.tasktally(["verify", "--from", "heads.jsonl"]).success();
    let unwritten = store.tasktally(["heads", "--out", "none/heads"]).code(1);
    assert!(unwritten.output().contains("none/heads"), "{}", unwritten.output());
    store.write("empty", format!("{columns}\n"));
    let refused = store.tasktally(["verify", "--from", "empty"]).code(2);
    assert!(refused.output().contains("it holds no heads"), "{}", refused.output());
}
