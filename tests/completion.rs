//! What keeps a task from being completed.

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

#[test]
fn a_task_with_open_children_or_dependencies_is_completed_only_by_force() {
    let store = Store::new();
    let mut server = store.serve();
    let first = server.create_task("First");
    let mut create = |arguments| server.call("create_task", arguments).ok().text("/task/id");
    let parent = create(json!({"task_title": "Parent", "depends_on": [first], "body": "- [ ] sign"}));
    let child = create(json!({"task_title": "Child", "parent": parent}));
    let refused = server.call("complete_task", json!({"id": parent}));
    assert_eq!(refused.refusal(), "open_dependencies");
    for part in [format!("not done: {first} (active)"), format!("not ended: {child} (active)"), "sign".into()]
    {
        assert!(refused.message().contains(&part), "{part}: {}", refused.message());
    }
    server.call("complete_task", json!({"id": first})).ok();
    let done = json!({"id": parent, "status": "done"});
    assert_eq!(server.call("update_task", done).refusal(), "open_children");

    server.call("complete_task", json!({"id": parent, "force": true})).ok();
    let body = server.body(&parent);
    assert!(body.contains("Completed by force.") && body.contains(&child), "the force is recorded: {body}");
}

#[test]
fn several_tasks_are_completed_in_an_order_that_works() {
    let store = Store::new();
    let mut server = store.serve();
    let parent = server.create_task("Parent");
    let mut create = |arguments| server.call("create_task", arguments).ok().text("/task/id");
    let child = create(json!({"task_title": "Child", "parent": parent}));
    let after = create(json!({"task_title": "After", "depends_on": [parent]}));
    let stuck = create(json!({"task_title": "Stuck", "body": "- [ ] sign"}));
    let reply = server.call("complete_tasks", json!({"ids": [after, stuck, parent, child]}));
    assert_eq!(reply.count("/success_count"), 3, "{}", reply.value);
    assert_eq!(reply["failures"][0]["id"], json!(stuck));
}

#[test]
fn a_finish_task_is_not_completed_before_its_batch_has_ended() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = json!({"title": "B", "instructions": "x", "items": ["a"], "finish": {"title": "Publish"}});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let finish = server.call("get_batch", json!({"id": id})).ok().text("/batch/finish");
    let refused = server.call("complete_task", json!({"id": finish}));
    assert_eq!(refused.refusal(), "open_dependencies");
    assert!(refused.message().contains(&format!("finishes batch {id}")), "{}", refused.message());
}

#[test]
fn tasks_whose_dependency_was_cancelled_are_shown_until_they_have_another() {
    let store = Store::new();
    let mut server = store.serve();
    let first = server.create_task("First");
    let second = server.call("create_task", json!({"task_title": "Second", "depends_on": [first]})).ok();
    let second = second.text("/task/id");
    let cancelled = server.call("update_task", json!({"id": first, "status": "cancelled"})).ok();
    assert!(
        cancelled.message().contains(&format!("cannot become ready: {second}")),
        "{}",
        cancelled.message()
    );
    let overview = server.call("get_batch", json!({})).ok();
    assert_eq!(overview["stranded"], json!([format!("{second} ({first} is cancelled)")]));
    let call = format!("update_task(id=\"{second}\", depends_on=...)");
    assert!(overview.text("/next").contains(&call), "{}", overview.value);

    server.call("update_task", json!({"id": second, "depends_on": []})).ok();
    let overview = server.call("get_batch", json!({})).ok();
    assert!(overview.get("stranded").is_none(), "{}", overview.value);
    assert_eq!(server.call("claim_task", json!({})).ok().text("/task/id"), second);
}

#[test]
fn a_cycle_through_children_is_refused() {
    let store = Store::new();
    let mut server = store.serve();
    let parent = server.create_task("Parent");
    let mut create = |arguments| server.call("create_task", arguments).ok().text("/task/id");
    let child = create(json!({"task_title": "Child", "parent": parent}));
    let after = create(json!({"task_title": "After", "depends_on": [parent]}));
    let last = create(json!({"task_title": "Last", "depends_on": [after]}));
    for cycle in [
        json!({"id": child, "depends_on": [after]}),
        json!({"id": parent, "parent": child}),
        json!({"id": last, "parent": parent}),
    ] {
        assert_eq!(server.call("update_task", cycle.clone()).refusal(), "conflict", "{cycle}");
    }
    let of_parent = json!({"task_title": "Child", "parent": parent, "depends_on": [last]});
    let refused = server.call("create_task", of_parent);
    assert_eq!(refused.refusal(), "conflict");
    assert!(refused.message().contains("waits for the new task"), "{}", refused.message());
    let total = server.call("list_tasks", json!({"limit": 0})).ok().count("/total");
    assert_eq!(total, 4, "nothing is left behind");
}

#[test]
fn a_child_that_depends_on_its_parent_comes_after_it() {
    let store = Store::new();
    let mut server = store.serve();
    let parent = server.create_task("Parent");
    let after = json!({"task_title": "After", "parent": parent, "depends_on": [parent]});
    let after = server.call("create_task", after).ok().text("/task/id");
    let claim = server.call("claim_task", json!({"worker": "w"})).ok();
    assert_eq!(claim.text("/task/id"), parent);
    server.call("complete_task", json!({"id": parent, "claim": claim["claim"]["token"]})).ok();
    assert_eq!(server.call("claim_task", json!({"worker": "w"})).ok().text("/task/id"), after);
}

#[test]
fn a_repeated_completion_names_no_later_time_than_that_of_the_completion() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.create_task("Report");
    let done = server.call("complete_task", json!({"id": id})).ok();
    let time = done.text("/task/updated");
    let again = server.call("complete_task", json!({"id": id})).ok();
    assert!(again.message().ends_with(&format!("was already completed at {time}")), "{}", again.message());
    server.call("update_task", json!({"id": id, "body": "- a late remark"})).ok();
    let again = server.call("complete_task", json!({"id": id})).ok();
    assert!(again.message().ends_with("was already completed"), "{}", again.message());
}
