//! Full-text search over titles, initial texts and receipts.

use serde_json::json;

mod support;
use support::store::Store;

#[test]
fn words_are_found_in_titles_initial_texts_and_receipts() {
    let store = Store::new();
    let mut server = store.serve();
    let by_title = server.create_task("Archive the zebra mail");
    let by_receipt = server.create_task("Something else");
    server.call("update_task", json!({"id": by_receipt, "body": "- met a Zebra"})).ok();
    let by_opening = server
        .call("create_task", json!({"task_title": "Third", "body": "zebras here"}))
        .ok()
        .text("/task/id");
    let found = server.call("search_tasks", json!({"query": "zebra"})).ok();
    let ids: Vec<_> = (0..3).map(|n| found.text(&format!("/tasks/{n}/id"))).collect();
    assert_eq!(found.count("/count"), 3, "{}", found.value);
    assert_eq!(ids[0], by_title, "the title does not rank first");
    assert!(ids.contains(&by_receipt) && ids.contains(&by_opening), "{}", found.value);
    assert_eq!(server.call("search_tasks", json!({"query": "\"OR zebra AND"})).ok().count("/count"), 0);
}

#[test]
fn a_changed_title_is_found_only_by_its_new_words() {
    let store = Store::new();
    let mut server = store.serve();
    let (indexed, waiting) = (server.create_task("Walrus"), server.create_task("Penguin"));
    let mut count = |words: &str| server.call("search_tasks", json!({"query": words})).ok().count("/count");
    assert_eq!((count("walrus"), count("wal")), (1, 1), "the word or its prefix is not found");
    let fresh = store.serve().create_task("Walrus too");
    let mut server = store.serve();
    for id in [&indexed, &waiting, &fresh] {
        server.call("update_task", json!({"id": id, "task_title": "Seal"})).ok();
    }
    let mut count = |words: &str| server.call("search_tasks", json!({"query": words})).ok().count("/count");
    assert_eq!((count("walrus"), count("penguin"), count("seal")), (0, 0, 3));
}

#[test]
fn results_for_a_very_common_word_are_newest_first() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<_> = (0..1_500).map(|n| format!("k{n}")).collect();
    server
        .call("create_batch", json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 1}))
        .ok();
    let last = server.create_task("Item of mine");
    let found = server.call("search_tasks", json!({"query": "item", "limit": 5})).ok();
    assert_eq!(found.count("/count"), 5, "{}", found.value);
    assert_eq!(found.text("/tasks/0/id"), last);
    let done = server.call("search_tasks", json!({"query": "item", "status": "done"})).ok();
    assert_eq!(done.count("/count"), 0, "{}", done.value);
}
