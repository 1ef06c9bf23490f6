//! What keeps a task from being completed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;

use support::store::Store;

#[test]
fn a_checkbox_in_what_a_worker_prints_keeps_no_chunk_open() {
    let store = Store::new();
    store.write("one.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
    let run = ["run", "--items", "one.jsonl", "--max-chunk", "1", "--quiet", "--", "echo", "- [ ] follow up"];
    store.tasktally(run).success();
    let mut server = store.serve();
    let epic = server.call("list_tasks", json!({"type": "epic"})).ok().text("/tasks/0/id");
    assert_eq!(server.call("get_batch", json!({"id": epic})).ok()["batch"]["status"], "done");
    assert!(server.body(&format!("{epic}.01")).contains("- [ ] follow up"), "the text is kept");
}

#[test]
fn boxes_are_those_of_the_task_s_own_text_and_a_receipt_ticks_them() {
    let store = Store::new();
    let mut server = store.serve();
    let made = json!({"task_title": "Report", "body": "Plan:\n- [ ] summary\n- [ ] list of sources"});
    let id = server.call("create_task", made).ok().text("/task/id");
    let claim = server.call("update_task", json!({"id": id, "status": "in_progress", "assignee": "w"})).ok();
    let call = format!("update_task(id=\"{id}\", body=\"- [x] summary\")");
    assert!(claim.message().contains(&call), "the claim says how to tick: {}", claim.message());

    // A box that a worker appends is text.
    server.call("update_task", json!({"id": id, "body": "- [ ] ask the author"})).ok();
    let refused = server.call("complete_task", json!({"id": id}));
    assert_eq!(refused.refusal(), "incomplete_items");
    assert!(refused.message().contains("2 open"), "{}", refused.message());
    assert!(refused.message().contains(&call), "{}", refused.message());

    server.call("update_task", json!({"id": id, "body": "- [x] Summary: two pages"})).ok();
    let refused = server.call("complete_task", json!({"id": id}));
    assert!(refused.message().contains("1 open `- [ ]`: list of sources"), "{}", refused.message());
    server.call("complete_task", json!({"id": id, "summary": "- [x] list of sources (12)"})).ok();
}

#[test]
fn the_categories_of_a_batch_tick_no_box_of_its_finish_task() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = json!({"title": "B", "instructions": "x", "items": ["a"],
        "finish": {"title": "Publish", "body": "- [ ] push"}});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let finish = server.call("get_batch", json!({"id": id})).ok().text("/batch/finish");
    let claim = server.call("claim_task", json!({"batch": id, "worker": "w"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    let receipt =
        json!({"id": chunk, "claim": token, "item": "a", "outcome": "done", "category": "[x] push"});
    server.call("update_task", receipt).ok();
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    assert!(server.body(&finish).contains("- [x] push: 1"));
    assert_eq!(server.call("complete_task", json!({"id": finish})).refusal(), "incomplete_items");
}
