//! Full text over titles and bodies: a word is found wherever it stands, however common it is.

use serde_json::json;

mod support;
use support::store::Store;

#[test]
fn words_are_found_in_titles_openings_and_receipts() {
    let store = Store::new();
    let mut server = store.serve();
    let by_title = server.task("Archive the zebra mail");
    let by_receipt = server.task("Something else");
    server.call("update_task", json!({"id": by_receipt, "body": "- met a Zebra"})).ok();
    let by_opening = server
        .call("create_task", json!({"task_title": "Third", "body": "zebras here"}))
        .ok()
        .text("/task/id");
    let found = server.call("search_tasks", json!({"query": "zebra"})).ok();
    let ids: Vec<_> = (0..3).map(|n| found.text(&format!("/tasks/{n}/id"))).collect();
    assert_eq!(found.count("/count"), 3, "{}", found.value);
    assert_eq!(ids[0], by_title, "a title weighs most");
    assert!(ids.contains(&by_receipt) && ids.contains(&by_opening), "{}", found.value);
    assert_eq!(server.call("search_tasks", json!({"query": "\"OR zebra AND"})).ok().count("/count"), 0);
}

#[test]
fn a_title_is_found_by_its_new_words_only_once_it_is_changed() {
    let store = Store::new();
    let mut server = store.serve();
    let (indexed, waiting) = (server.task("Walrus"), server.task("Penguin"));
    let mut count = |words: &str| server.call("search_tasks", json!({"query": words})).ok().count("/count");
    assert_eq!((count("walrus"), count("wal")), (1, 1), "the word, and its beginning");
    let fresh = store.serve().task("Walrus too");
    let mut server = store.serve();
    for id in [&indexed, &waiting, &fresh] {
        server.call("update_task", json!({"id": id, "task_title": "Seal"})).ok();
    }
    let mut count = |words: &str| server.call("search_tasks", json!({"query": words})).ok().count("/count");
    assert_eq!((count("walrus"), count("penguin"), count("seal")), (0, 0, 3));
}

#[test]
fn a_word_that_is_everywhere_is_answered_newest_first() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<_> = (0..1_500).map(|n| format!("k{n}")).collect();
    server
        .call("create_batch", json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 1}))
        .ok();
    let last = server.task("Item of mine");
    let found = server.call("search_tasks", json!({"query": "item", "limit": 5})).ok();
    assert_eq!(found.count("/count"), 5, "{}", found.value);
    assert_eq!(found.text("/tasks/0/id"), last);
    let done = server.call("search_tasks", json!({"query": "item", "status": "done"})).ok();
    assert_eq!(done.count("/count"), 0, "{}", done.value);
}
