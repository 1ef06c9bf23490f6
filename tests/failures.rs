//! How failures are reported and retried.

mod support;

use serde_json::json;

use support::store::Store;

#[test]
fn a_chunk_without_attempts_left_shows_why_each_attempt_failed() {
    let store = Store::new();
    let mut server = store.serve();
    let batch =
        json!({"title": "B", "instructions": "x", "items": ["a", "b"], "max_chunk": 1, "max_attempts": 3});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let chunk = format!("{id}.01");
    for reason in ["no network", "no disk", "no hope"] {
        let clear_backoff = "UPDATE task SET blocker_count = blocker_count - hold_count, hold_count = 0, held_until = NULL WHERE hold_count > 0";
        store.sql().execute(clear_backoff, []).unwrap();
        let claim = server.call("claim_task", json!({"id": chunk, "worker": "w"})).ok();
        let token = claim["claim"]["token"].clone();
        server.call("release_task", json!({"id": chunk, "claim": token, "reason": reason})).ok();
    }
    let seen = server.call("get_batch", json!({"id": id, "view": "failures"})).ok();
    let reasons = seen.text("/failures/0/reason");
    for (reason, times) in [("no network", 1), ("no disk", 1), ("no hope", 1), ("attempt 3 of 3", 1)] {
        assert_eq!(reasons.matches(reason).count(), times, "{reason}: {reasons}");
    }
    assert_eq!(seen["needs_person"], json!([chunk]));

    // After a retry the earlier reasons stay in the body and are no longer shown as the reason.
    server.call("control_batch", json!({"id": id, "action": "retry", "chunks": [chunk]})).ok();
    let claim = server.call("claim_task", json!({"id": chunk, "worker": "w"})).ok();
    let failed =
        json!({"id": chunk, "claim": claim["claim"]["token"], "reason": "no more", "outcome": "failed"});
    server.call("release_task", failed).ok();
    let seen = server.call("get_batch", json!({"id": id, "view": "failures"})).ok();
    let reasons = seen.text("/failures/0/reason");
    assert!(reasons.contains("no more") && !reasons.contains("no network"), "{reasons}");
    assert!(server.body(&chunk).contains("no network"));
}

#[test]
fn a_retry_of_items_in_a_chunk_that_has_not_ended_is_explained() {
    let store = Store::new();
    let mut server = store.serve();
    let steps = json!([{"name": "look", "instructions": "x"}, {"name": "act", "instructions": "y"}]);
    let batch = json!({"title": "B", "instructions": "x", "items": ["a", "b"], "steps": steps});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": id, "worker": "w"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    for (item, outcome) in [("a", "failed"), ("b", "done")] {
        let receipt = json!({"id": chunk, "claim": token, "item": item, "outcome": outcome});
        server.call("update_task", receipt).ok();
    }
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    let retry = json!({"id": id, "action": "retry", "items": ["a"]});
    let reply = server.call("control_batch", retry.clone()).ok();
    assert!(reply.message().contains("1 chunks with failed items have not ended"), "{}", reply.message());
    let claim = server.call("claim_task", json!({"batch": id, "worker": "w"})).ok();
    let token = claim["claim"]["token"].clone();
    server.call("update_task", json!({"id": chunk, "claim": token, "item": "b", "outcome": "done"})).ok();
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    let reply = server.call("control_batch", retry).ok();
    assert!(reply.message().contains("1 failed items again"), "{}", reply.message());
}

#[test]
fn the_number_of_failures_that_are_not_shown_is_reported() {
    let store = Store::new();
    let items: Vec<String> = (0..120).map(|number| format!("k{number}")).collect();
    store.write(
        "items.jsonl",
        items.iter().map(|key| json!({"key": key}).to_string()).collect::<Vec<_>>().join("\n"),
    );
    store
        .tasktally(["run", "--items", "items.jsonl", "--quiet", "--pause-after-failures", "0", "--", "false"])
        .code(1);
    let mut server = store.serve();
    let found = server.call("list_tasks", json!({"type": "epic", "limit": 1})).ok();
    let seen = server.call("get_batch", json!({"id": found["tasks"][0]["id"], "view": "failures"})).ok();
    assert_eq!(seen["failures"].as_array().map(Vec::len), Some(100));
    assert!(
        seen.message().contains("120 of 120") && seen.message().contains("first 100"),
        "{}",
        seen.message()
    );
}
