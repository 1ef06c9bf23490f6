//! Polling `list_tasks` with `since`: a poll returns every change and only changes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use support::run_in_parallel;
use support::server::Server;
use support::store::Store;

/// One poll. Returns the changed ids and updates the cursor.
fn poll(server: &mut Server, since: &mut Value) -> Vec<String> {
    let reply = server.call("list_tasks", json!({"since": since})).ok();
    *since = reply["since"].clone();
    let tasks = reply["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn more_changes_than_fit_a_page_come_with_the_next_polls() {
    let store = Store::new();
    let mut server = store.serve();
    let mut since = server.call("list_tasks", json!({})).ok()["since"].clone();
    let made: Vec<String> = (0..23).map(|n| server.create_task(&format!("Task {n}"))).collect();
    let mut seen = Vec::new();
    loop {
        let page = poll(&mut server, &mut since);
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    assert_eq!(seen, made, "each once, in the order of the changes");
}

#[test]
fn the_total_of_a_poll_is_the_number_of_changed_tasks() {
    let store = Store::new();
    let mut server = store.serve();
    let since = server.call("list_tasks", json!({})).ok()["since"].clone();
    for n in 0..23 {
        server.create_task(&format!("Task {n}"));
    }
    let reply = server.call("list_tasks", json!({"since": since})).ok();
    assert_eq!((reply.count("/count"), reply.count("/total")), (5, 23), "{}", reply["message"]);
}

#[test]
fn a_cursor_from_the_future_returns_everything() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.create_task("Kept");
    let batch = server
        .call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a"]}))
        .ok()
        .text("/batch/id");
    let ahead = json!({"since": "1000000"});
    let polled = server.call("list_tasks", ahead).ok();
    assert_eq!((polled.count("/total"), polled.text("/tasks/0/id")), (3, id), "{}", polled.value);
    let polled = server.call("get_batch", json!({"id": batch, "since": "1000000"})).ok();
    assert_eq!(polled.count("/batch/chunks"), 1, "{}", polled.value);
}

#[test]
fn a_poll_names_a_chunk_whose_lease_expired_although_nothing_was_written() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = server
        .call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a", "b"], "max_chunk": 1}))
        .ok()
        .text("/batch/id");
    let claim = |server: &mut Server| server.call("claim_task", json!({"worker": "w", "batch": batch})).ok();
    let stalled = claim(&mut server).text("/task/id");
    claim(&mut server);
    let since = server.call("get_batch", json!({"id": batch})).ok()["since"].clone();
    let poll = |server: &mut Server| server.call("get_batch", json!({"id": batch, "since": since})).ok();
    let polled = poll(&mut server);
    assert_eq!(polled.message(), "Nothing changed");
    assert!(polled.get("stalled").is_none(), "no lease has expired: {}", polled.value);
    store.expire_claim(&stalled);
    let polled = poll(&mut server);
    assert_eq!(polled.message(), "Nothing changed");
    assert_eq!(polled["stalled"], json!([stalled]), "only the chunk whose lease expired: {}", polled.value);
    let overview = server.call("get_batch", json!({})).ok();
    assert_eq!(overview["stalled"], json!([stalled]), "{}", overview.value);
    assert!(overview.text("/next").starts_with("start 1 worker for "), "{}", overview.value);

    assert_eq!(claim(&mut server).text("/task/id"), stalled, "the next claim takes it over");
    assert!(poll(&mut server).get("stalled").is_none());
}

#[test]
fn a_task_that_starts_to_match_a_filter_is_a_change() {
    let store = Store::new();
    let mut server = store.serve();
    let ids: Vec<String> = (0..3).map(|n| server.create_task(&format!("Task {n}"))).collect();
    let done = server.call("list_tasks", json!({"status": "done"})).ok();
    server.call("complete_task", json!({"id": ids[1]})).ok();
    let polled = server.call("list_tasks", json!({"status": "done", "since": done["since"]})).ok();
    assert_eq!(polled["tasks"].as_array().map(Vec::len), Some(1), "{}", polled.value);
    assert_eq!(polled.text("/tasks/0/id"), ids[1]);
}

#[test]
fn a_poller_misses_no_change_of_six_writing_processes() {
    const WRITERS: usize = 6;
    let store = Store::new();
    let mut since = store.serve().call("list_tasks", json!({})).ok()["since"].clone();
    let writing = AtomicUsize::new(WRITERS);
    let lists = run_in_parallel(WRITERS + 1, |worker| {
        let mut server = store.serve();
        if worker < WRITERS {
            let made = (0..40).map(|n| server.create_task(&format!("Task {worker}-{n}"))).collect::<Vec<_>>();
            writing.fetch_sub(1, Ordering::SeqCst);
            return made;
        }
        let mut since = since.clone();
        let mut seen = Vec::new();
        loop {
            let last = writing.load(Ordering::SeqCst) == 0;
            let page = poll(&mut server, &mut since);
            if page.is_empty() && last {
                return seen;
            }
            seen.extend(page);
        }
    });
    let made: BTreeSet<&String> = lists[..WRITERS].iter().flatten().collect();
    let seen: BTreeSet<&String> = lists[WRITERS].iter().collect();
    assert_eq!(made, seen);
    assert!(!poll(&mut store.serve(), &mut since).is_empty());
}
