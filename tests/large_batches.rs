//! A large batch is inserted in several transactions: other processes write meanwhile, and no process sees any part of it
//! before all of it is stored. `tests/faults/large_batches.rs` kills processes and fills the disk meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::eventually;
use support::server::Server;
use support::store::Store;

/// More than one slice, whatever the machine.
const ITEMS: u64 = 40_000;

/// A store with a source of many items, whose keys are in no order. Each touches a file of its own.
fn store_with_items() -> Store {
    let store = Store::new();
    let mut items = String::new();
    for number in 0..ITEMS {
        let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let kind = ["invoice", "letter", "advert"][number as usize % 3];
        writeln!(items, r#"{{"key":"k{key:016x}","kind":"{kind}","files":["mail/{number}.eml"]}}"#).unwrap();
    }
    store.write("items.jsonl", items);
    store
}

fn plan(title: &str) -> Value {
    json!({"title": title, "instructions": "Sort it.", "source": {"path": "items.jsonl"}})
}

fn count(store: &Store, sql: &str) -> u64 {
    store.sql().row(sql, &[])
}

/// Starts to create a batch and waits until a part of its items is stored.
fn start_creating(store: &Store, server: &mut Server, request: Value) -> u64 {
    let sent = server.send("create_batch", request);
    eventually("some items to be stored", || (count(store, "SELECT count(*) FROM item") > 0).then_some(()));
    sent
}

/// Fails if a client sees anything of a batch.
fn assert_invisible(store: &Store, server: &mut Server) {
    let listed = server.call("list_tasks", json!({"limit": 0})).ok();
    assert_eq!(listed["total"], 0, "{}", listed.value);
    assert_eq!(server.call("get_batch", json!({})).ok()["batches"].as_array().map_or(0, Vec::len), 0);
    assert_eq!(server.call("search_tasks", json!({"query": "Items"})).ok()["count"], 0);
    assert_eq!(server.call("claim_task", json!({})).value["code"], "nothing_to_claim");
    store.tasktally(["verify"]).success();
    let exported = store.tasktally(["export"]).success();
    assert!(
        !exported.stdout.contains("mail/1.eml") && !exported.stdout.contains("k0000"),
        "nothing is exported"
    );
}

fn assert_no_leftovers(store: &Store, items: u64) {
    assert_eq!(count(store, "SELECT count(*) FROM item"), items);
    if store.is_sqlite() {
        assert_eq!(count(store, "SELECT count(*) FROM item_key"), items);
    }
    for table in ["unpublished", "unpublished_chunk"] {
        assert_eq!(count(store, &format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    if store.is_sqlite() {
        assert_eq!(count(store, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    }
    store.assert_whole();
    store.tasktally(["verify"]).success();
}

#[test]
fn others_write_while_a_large_batch_is_created_and_see_all_of_it_or_nothing() {
    let store = store_with_items();
    let (mut creator, mut other) = (store.serve(), store.serve());
    let log = other.create_task("Log");
    let since = other.call("list_tasks", json!({"limit": 1})).ok().text("/since");
    let sent = start_creating(&store, &mut creator, plan("Mail"));
    let (mut written, mut longest) = (0, Duration::ZERO);
    let reply = loop {
        let started = Instant::now();
        other.call("update_task", json!({"id": log, "body": format!("- {written}")})).ok();
        longest = longest.max(started.elapsed());
        written += 1;
        let listed = other.call("list_tasks", json!({"limit": 1})).ok();
        let total = listed["total"].as_u64().unwrap();
        assert!(total == 1 || total == 1 + 1 + ITEMS / 50, "{total} tasks");
        if total > 1 {
            break creator.recv(sent).unwrap().ok();
        }
    };
    assert!(written > 2, "{written} writes were committed meanwhile");
    println!("{written} writes while a batch of {ITEMS} items was created; the longest took {longest:?}");
    let batch = reply.text("/batch/id");
    let seen = other.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(seen["batch"]["total"], ITEMS);
    // A client that polls with an earlier change number gets each chunk.
    let (mut changed, mut since) = (0, since);
    loop {
        let page = other.call("list_tasks", json!({"since": since, "limit": 0})).ok();
        let tasks = page["tasks"].as_array().unwrap().len();
        if tasks == 0 {
            break;
        }
        (changed, since) = (changed + tasks as u64, page.text("/since"));
    }
    assert_eq!(changed, 1 + 1 + ITEMS / 50, "the log, the batch and its chunks");
    let after = other.create_task("After");
    let claim = other.call("claim_task", json!({"batch": batch})).ok();
    let key = claim["items"][7]["key"].clone();
    let receipt =
        json!({"id": claim["task"]["id"], "claim": claim["claim"]["token"], "item": key, "outcome": "done"});
    other.call("update_task", receipt).ok();
    assert_eq!(other.read_task(&after).text("/task/title"), "After");
    let again = other.call("add_items", json!({"id": batch, "items": [key, "new"]})).ok();
    assert_eq!((&again["known"], &again["added"]), (&json!(1), &json!(1)));
    assert_no_leftovers(&store, ITEMS + 1);
}

#[test]
fn a_process_killed_while_it_creates_a_large_batch_leaves_nothing_visible() {
    let store = store_with_items();
    let mut other = store.serve();
    for round in 0..3 {
        let mut victim = store.serve();
        start_creating(&store, &mut victim, plan("Mail"));
        victim.kill();
        assert!(count(&store, "SELECT count(*) FROM unpublished") > 0, "round {round}");
        assert_invisible(&store, &mut other);
    }
    store.end_leases();
    // The next batch, of any size, deletes what was left.
    let small = json!({"title": "Small", "instructions": "x", "items": ["a", "b"]});
    other.call("create_batch", small).ok();
    assert_no_leftovers(&store, 2);
    let large = other.call("create_batch", plan("Mail")).ok();
    assert_eq!(large["batch"]["items"], ITEMS);
    assert_no_leftovers(&store, ITEMS + 2);
}

#[test]
fn a_batch_that_is_created_meanwhile_and_touches_the_same_files_is_a_conflict() {
    let store = store_with_items();
    let (mut creator, mut other) = (store.serve(), store.serve());
    let sent = start_creating(&store, &mut creator, plan("Mail"));
    let small =
        json!({"title": "Small", "instructions": "x", "items": [{"key": "a", "files": ["mail/7.eml"]}]});
    let small = other.call("create_batch", small).ok().text("/batch/id");
    let refused = creator.recv(sent).unwrap();
    assert_eq!(refused.refusal(), "conflict");
    assert!(refused.message().contains("mail/7.eml"), "{}", refused.message());
    assert_no_leftovers(&store, 1);
    let mut serialized = plan("Mail");
    serialized["on_conflict"] = "serialize".into();
    let batch = creator.call("create_batch", serialized).ok().text("/batch/id");
    assert_no_leftovers(&store, ITEMS + 1);
    // The chunk with the shared file waits for the small batch.
    let first = other.call("claim_task", json!({"batch": small})).ok();
    let chunk = format!("{batch}.001");
    assert_eq!(creator.call("claim_task", json!({"id": chunk})).value["code"], "not_ready");
    let token = first["claim"]["token"].clone();
    let id = first["task"]["id"].clone();
    other.call("update_task", json!({"id": id, "claim": token, "item": "a", "outcome": "done"})).ok();
    other.call("complete_task", json!({"id": id, "claim": token})).ok();
    creator.call("claim_task", json!({"id": chunk})).ok();
}

#[test]
fn a_large_batch_is_created_once_if_two_processes_use_the_same_request_key() {
    let store = store_with_items();
    let (mut one, mut other) = (store.serve(), store.serve());
    let mut request = plan("Mail");
    request["request_key"] = "mail".into();
    let (first, second) = (one.send("create_batch", request.clone()), other.send("create_batch", request));
    let (first, second) = (one.recv(first).unwrap().ok(), other.recv(second).unwrap().ok());
    assert_eq!(first.text("/batch/id"), second.text("/batch/id"));
    assert_no_leftovers(&store, ITEMS);
}

#[test]
fn many_items_that_are_added_to_a_batch_become_visible_at_once() {
    let store = store_with_items();
    let (mut adder, mut other) = (store.serve(), store.serve());
    let first: Vec<Value> =
        (0..60).map(|n| json!({"key": format!("first-{n}"), "files": [format!("first/{n}")]})).collect();
    let batch = json!({"title": "Mail", "instructions": "x", "items": first});
    let batch = other.call("create_batch", batch).ok().text("/batch/id");
    let add = json!({"id": batch, "source": {"path": "items.jsonl"}});
    let stored = |store: &Store| count(store, "SELECT count(*) FROM item");
    let start_adding = |server: &mut Server| {
        let before = stored(&store);
        let sent = server.send("add_items", add.clone());
        eventually("some items to be stored", || (stored(&store) > before).then_some(()));
        sent
    };

    // Killed in the middle: nothing is seen, and the next request deletes what was left.
    let mut victim = store.serve();
    start_adding(&mut victim);
    victim.kill();
    assert_eq!(other.call("get_batch", json!({"id": batch})).ok()["batch"]["total"], 60);
    store.tasktally(["verify"]).success();
    if store.is_sqlite() {
        let backup = store.folder().join("backup.db");
        store.tasktally(["backup", backup.to_str().unwrap()]).success();
        let copy = rusqlite::Connection::open(backup).unwrap();
        assert_eq!(copy.query_row("SELECT count(*) FROM item", [], |row| row.get::<_, u64>(0)).unwrap(), 60);
    }
    other.call("add_items", json!({"id": batch, "items": ["second"]})).ok();
    assert_no_leftovers(&store, 61);

    let sent = start_adding(&mut adder);
    // Another addition waits, and knows the keys afterwards. A claim does not wait.
    let claim = other.call("claim_task", json!({"batch": batch})).ok();
    let key = json!({"key": "k0000000000000000", "files": ["mail/0.eml"]});
    let small = other.call("add_items", json!({"id": batch, "items": [key, "third"]})).ok();
    let added = adder.recv(sent).unwrap().ok();
    assert_eq!((&small["known"], &small["added"]), (&json!(1), &json!(1)));
    assert_eq!((&added["added"], &added["known"]), (&json!(ITEMS), &json!(0)));
    assert_no_leftovers(&store, ITEMS + 62);
    let seen = other.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(seen["batch"]["total"], ITEMS + 62);
    let token = claim["claim"]["token"].clone();
    let receipt = json!({"id": claim["task"]["id"], "claim": token, "item": claim["items"][0]["key"], "outcome": "done"});
    other.call("update_task", receipt).ok();
    // The same again adds nothing, in one transaction or in slices.
    let again = adder.call("add_items", add.clone()).ok();
    assert_eq!((&again["added"], &again["known"]), (&json!(0), &json!(ITEMS)));
    assert_no_leftovers(&store, ITEMS + 62);
}

#[test]
fn two_large_batches_that_are_created_at_once_are_both_complete() {
    let store = store_with_items();
    let (mut one, mut other) = (store.serve(), store.serve());
    let mut by_kind = plan("By kind");
    by_kind["split"] = json!({"by": "category", "field": "kind"});
    by_kind["finish"] = json!({"title": "Summarize everything"});
    by_kind["max_chunk"] = 7.into();
    by_kind["on_conflict"] = "allow".into();
    by_kind["project"] = "mail".into();
    let mut plain = plan("Plain");
    plain["on_conflict"] = "allow".into();
    let (first, second) = (one.send("create_batch", by_kind), other.send("create_batch", plain));
    let (first, second) = (one.recv(first).unwrap().ok(), other.recv(second).unwrap().ok());
    assert_no_leftovers(&store, 2 * ITEMS);
    let chunks = first["batch"]["chunks"].as_u64().unwrap();
    assert_eq!(chunks, (0..3).map(|kind| (ITEMS - kind).div_ceil(3).div_ceil(7)).sum::<u64>());
    for batch in [&first, &second] {
        let seen = one.call("get_batch", json!({"id": batch["batch"]["id"]})).ok();
        assert_eq!((&seen["batch"]["total"], &seen["batch"]["processed"]), (&json!(ITEMS), &json!(0)));
    }
    // The finish task waits for the chunks, and the search finds it and the chunks, which are more than one update of the
    // search index adds.
    let found = other.call("search_tasks", json!({"query": "Summarize"})).ok();
    assert_eq!(found["count"], 1);
    let finish = json!({"id": found["tasks"][0]["id"]});
    assert_eq!(other.call("claim_task", finish).value["code"], "not_ready");
    assert_eq!(other.call("search_tasks", json!({"query": "advert", "limit": 7})).ok()["count"], 7);
    let listed = other.call("list_tasks", json!({"project": "mail", "limit": 1})).ok();
    assert_eq!(listed["total"], chunks + 2);
    // The counts, which no trigger has counted, are those of the rows: an import compares them.
    store.tasktally(["export", "export.jsonl"]).success();
    let copy = Store::new();
    std::fs::copy(store.folder().join("export.jsonl"), copy.folder().join("export.jsonl")).unwrap();
    copy.tasktally(["import", "export.jsonl"]).success();
    copy.tasktally(["verify"]).success();
}

#[test]
fn many_items_that_are_added_to_a_paused_batch_wait_until_it_is_resumed() {
    let store = store_with_items();
    let mut server = store.serve();
    let batch = json!({"title": "Mail", "instructions": "x", "items": ["a"], "on_conflict": "serialize"});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch})).ok();
    server.call("control_batch", json!({"id": batch, "action": "pause", "reason": "a holiday"})).ok();
    let add = json!({"id": batch, "source": {"path": "items.jsonl"}});
    assert_eq!(server.call("add_items", add.clone()).ok()["added"], ITEMS);
    assert_eq!(server.call("claim_task", json!({"batch": batch})).value["success"], false);
    let ready = json!({"parent": batch, "ready": true, "limit": 1});
    assert_eq!(server.call("list_tasks", ready.clone()).ok()["count"], 0);
    server.call("control_batch", json!({"id": batch, "action": "resume"})).ok();
    assert_eq!(server.call("list_tasks", ready).ok()["count"], 1);
    let next = server.call("claim_task", json!({"batch": batch})).ok();
    assert_ne!(next["task"]["id"], claim["task"]["id"]);
    assert_no_leftovers(&store, ITEMS + 1);
    // The resources of the added items are part of the batch: another batch with one of them is a conflict.
    let other =
        json!({"title": "Other", "instructions": "x", "items": [{"key": "b", "files": ["mail/9.eml"]}]});
    assert_eq!(server.call("create_batch", other).refusal(), "conflict");
}

#[test]
fn a_dry_run_of_a_large_batch_stores_nothing() {
    let store = store_with_items();
    let mut server = store.serve();
    let mut request = plan("Mail");
    request["dry_run"] = true.into();
    let reply = server.call("create_batch", request).ok();
    assert_eq!((&reply["batch"]["items"], &reply["batch"]["id"]), (&json!(ITEMS), &Value::Null));
    assert_no_leftovers(&store, 0);
}

#[test]
fn a_cancelled_call_stores_a_large_batch_completely_or_not_at_all() {
    let store = store_with_items();
    let mut server = store.serve();
    let sent = start_creating(&store, &mut server, plan("Mail"));
    server.cancel(sent);
    server.close();
    let mut other = store.serve();
    let batches = other.call("get_batch", json!({})).ok()["batches"].as_array().map_or(0, Vec::len);
    let small = json!({"title": "Small", "instructions": "x", "items": ["a"]});
    other.call("create_batch", small).ok();
    println!("{batches} batches after the call was cancelled");
    assert_no_leftovers(&store, batches as u64 * ITEMS + 1);
}
