//! `add_items`: each new item is put into exactly one chunk, and never into a chunk that was claimed before.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use support::reply::Reply;
use support::rng::Rng;
use support::server::Server;
use support::store::Store;

/// Creates a batch. Returns its id.
#[track_caller]
fn create_batch(server: &mut Server, mut request: Value) -> String {
    request["title"] = json!("Mail");
    request["instructions"] = json!("Sort it.");
    server.call("create_batch", request).ok().text("/batch/id")
}

fn add(server: &mut Server, batch: &str, items: Value) -> Reply {
    server.call("add_items", json!({"id": batch, "items": items}))
}

/// The title and size of every chunk, in order.
fn chunks(server: &mut Server, batch: &str) -> Vec<(String, u64)> {
    let listed = server.call("list_tasks", json!({"batch": batch, "limit": 0})).ok();
    let titles: BTreeMap<String, String> = listed["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (task["id"].as_str().unwrap().to_owned(), task["title"].as_str().unwrap().to_owned()))
        .collect();
    let seen = server.call("get_batch", json!({"id": batch})).ok();
    let sizes = seen["chunks"].as_array().unwrap();
    sizes
        .iter()
        .map(|chunk| (titles[chunk["id"].as_str().unwrap()].clone(), chunk["total"].as_u64().unwrap()))
        .collect()
}

#[track_caller]
/// Asserts the title and the number of items of each chunk.
fn assert_chunks(server: &mut Server, batch: &str, expected: &[(&str, u64)]) {
    let found = chunks(server, batch);
    let found: Vec<(&str, u64)> = found.iter().map(|(title, items)| (title.as_str(), *items)).collect();
    assert_eq!(found, expected);
}

fn dated_items(numbers: std::ops::Range<u64>, date: &str) -> Vec<Value> {
    numbers.map(|n| json!({"key": format!("k{n}"), "date": date})).collect()
}

/// Claims a chunk, settles all its items and completes it.
fn work_chunk(server: &mut Server, batch: &str) {
    let claimed = server.call("claim_task", json!({"batch": batch})).ok();
    let (chunk, token) = (claimed.text("/task/id"), claimed.text("/claim/token"));
    for item in claimed["items"].as_array().unwrap() {
        let receipt = json!({"id": chunk, "claim": token, "item": item["key"], "outcome": "done"});
        server.call("update_task", receipt).ok();
    }
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
}

#[test]
fn new_items_fill_unclaimed_chunks_first_and_then_new_chunks() {
    let store = Store::new();
    let mut server = store.serve();
    let items = [dated_items(0..3, "2025-10-05"), dated_items(3..5, "2025-11-05")].concat();
    let batch = create_batch(&mut server, json!({"items": items, "split": "month:date", "max_chunk": 3}));
    assert_chunks(&mut server, &batch, &[("Oct 2025, chunk 1 of 2", 3), ("Nov 2025, chunk 2 of 2", 2)]);
    let more =
        [dated_items(0..2, "2025-10-05"), dated_items(5..8, "2025-11-06"), dated_items(8..9, "2025-12-01")]
            .concat();
    let reply = add(&mut server, &batch, json!(more)).ok();
    assert_eq!((reply.count("/added"), reply.count("/known")), (4, 2));
    assert_eq!((reply.count("/batch/items"), reply.count("/batch/chunks")), (9, 4));
    let changed: Vec<&str> =
        reply["chunks"].as_array().unwrap().iter().filter_map(|c| c["title"].as_str()).collect();
    assert_eq!(changed, ["Nov 2025, chunk 2 of 4", "Nov 2025, chunk 3 of 4", "Dec 2025, chunk 4 of 4"]);
    let expected = [
        ("Oct 2025, chunk 1 of 2", 3),
        ("Nov 2025, chunk 2 of 4", 3),
        ("Nov 2025, chunk 3 of 4", 2),
        ("Dec 2025, chunk 4 of 4", 1),
    ];
    assert_chunks(&mut server, &batch, &expected);
    let body = server.body(&batch);
    assert!(body.contains("added 4 items") && body.contains("2 were there already"), "{body}");
    for _ in 0..4 {
        work_chunk(&mut server, &batch);
    }
    let seen = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!((&seen["batch"]["status"], &seen["batch"]["outcomes"]["done"]), (&json!("done"), &json!(9)));
    let found = server.call("search_tasks", json!({"query": "Dec 2025"})).ok();
    assert_eq!(found["tasks"][0]["title"], "Dec 2025, chunk 4 of 4", "a new chunk is not found by its title");
}

#[test]
fn a_claimed_chunk_gets_no_new_items() {
    let store = Store::new();
    let mut server = store.serve();
    let of_kind =
        |keys: &[&str]| -> Value { keys.iter().map(|key| json!({"key": key, "kind": "x"})).collect() };
    for (split, expected) in [
        (
            "size",
            [("Items 1-2, chunk 1 of 1", 2), ("Items 3-4, chunk 2 of 2", 2), ("Items 3-5, chunk 2 of 2", 3)],
        ),
        ("category:kind", [("x, chunk 1 of 1", 2), ("x, chunk 2 of 2", 2), ("x, chunk 2 of 2", 3)]),
    ] {
        let request = json!({"items": of_kind(&["a", "b"]), "split": split, "max_chunk": 5});
        let batch = create_batch(&mut server, request);
        let claimed = server.call("claim_task", json!({"batch": batch})).ok();
        let reply = add(&mut server, &batch, of_kind(&["b", "c", "d"])).ok();
        assert_eq!((reply.count("/added"), reply.count("/known")), (2, 1));
        assert_chunks(&mut server, &batch, &expected[..2]);
        // A released chunk counts as claimed, because a worker may have seen its items.
        let release =
            json!({"id": claimed.text("/task/id"), "claim": claimed.text("/claim/token"), "reason": "no"});
        server.call("release_task", release).ok();
        add(&mut server, &batch, of_kind(&["e"])).ok();
        assert_chunks(&mut server, &batch, &[expected[0], expected[2]]);
    }
}

#[test]
fn a_changed_chunk_title_is_kept() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, json!({"items": ["a", "b"], "max_chunk": 5}));
    let rename = json!({"id": format!("{batch}.01"), "task_title": "The first ones"});
    server.call("update_task", rename).ok();
    let reply = add(&mut server, &batch, json!(["c"])).ok();
    assert_eq!((&reply["chunks"][0]["title"], reply.count("/chunks/0/items")), (&json!("The first ones"), 3));
    assert_chunks(&mut server, &batch, &[("The first ones", 3)]);
}

#[test]
fn chunk_numbers_and_ids_continue_after_the_last_one() {
    let store = Store::new();
    let mut server = store.serve();
    let keys = |range: std::ops::Range<u64>| json!(range.map(|n| format!("k{n}")).collect::<Vec<_>>());
    let batch = create_batch(&mut server, json!({"items": keys(0..98), "max_chunk": 1}));
    let reply = add(&mut server, &batch, keys(90..101)).ok();
    let ids: Vec<&str> =
        reply["chunks"].as_array().unwrap().iter().filter_map(|c| c["id"].as_str()).collect();
    assert_eq!(ids, [format!("{batch}.99"), format!("{batch}.100"), format!("{batch}.101")]);
    let reply = add(&mut server, &batch, json!(["last"])).ok();
    assert_eq!(reply["chunks"][0]["id"], format!("{batch}.102"));
    assert_eq!(reply["chunks"][0]["title"], "Item 102, chunk 102 of 102");
    // The summary file keeps its two-digit name.
    work_chunk(&mut server, &batch);
    let files = store.folder().join("scratch").join(format!("batch-{batch}"));
    assert!(files.join("chunk-01-summary.json").exists());
}

#[test]
fn adding_only_known_items_changes_nothing() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, json!({"items": ["a", "b"]}));
    let before = server.call("list_tasks", json!({})).ok().text("/since");
    let reply = add(&mut server, &batch, json!(["b", "a"])).ok();
    assert_eq!((reply.count("/added"), reply.count("/known")), (0, 2));
    assert_eq!(server.call("list_tasks", json!({})).ok().text("/since"), before);
}

#[test]
fn a_repeated_request_key_adds_the_items_once() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, json!({"items": ["a"]}));
    store.write("more.jsonl", "{\"key\": \"b\"}\n");
    let request = json!({"id": batch, "source": {"path": "more.jsonl"}, "request_key": "once"});
    let first = server.call("add_items", request.clone()).ok();
    std::fs::remove_file(store.folder().join("more.jsonl")).unwrap();
    let second = server.call("add_items", request).ok();
    assert_eq!((first.count("/added"), second.count("/added")), (1, 1));
    assert_eq!(second["duplicate"], true);
    let other = json!({"id": batch, "items": ["c"], "request_key": "once"});
    assert_eq!(server.call("add_items", other).refusal(), "conflict");
}

#[test]
fn a_batch_that_has_ended_accepts_no_items() {
    let store = Store::new();
    let mut server = store.serve();
    let done = create_batch(&mut server, json!({"items": ["a"]}));
    work_chunk(&mut server, &done);
    let refused = add(&mut server, &done, json!(["b"]));
    assert_eq!(refused.refusal(), "conflict");
    assert!(
        refused.message().contains("is done") && refused.message().contains("create_batch"),
        "{}",
        refused.message()
    );

    let failed = create_batch(&mut server, json!({"items": ["a"]}));
    let claimed = server.call("claim_task", json!({"batch": failed})).ok();
    let release = json!({"id": claimed.text("/task/id"), "claim": claimed.text("/claim/token"), "reason": "no", "outcome": "failed"});
    server.call("release_task", release).ok();
    let refused = add(&mut server, &failed, json!(["b"]));
    assert_eq!(refused.refusal(), "conflict");
    assert!(refused.message().contains("retry"), "{}", refused.message());
    server.call("control_batch", json!({"id": failed, "action": "retry"})).ok();
    assert_eq!(add(&mut server, &failed, json!(["b"])).ok().count("/added"), 1);

    let cancelled = create_batch(&mut server, json!({"items": ["a"]}));
    server.call("control_batch", json!({"id": cancelled, "action": "cancel"})).ok();
    let refused = add(&mut server, &cancelled, json!(["b"]));
    assert_eq!((refused.succeeded(), refused.code()), (false, "cancelled"));
    assert_eq!(server.call("get_batch", json!({"id": cancelled})).ok()["batch"]["total"], 1);
}

#[test]
fn invalid_items_are_refused_and_nothing_is_added() {
    let store = Store::new();
    let mut server = store.serve();
    let split = json!({"by": "time", "field": "/at/date", "period": "month"});
    let items = json!([{"id": "a", "at": {"date": "2025-11-02"}}]);
    let batch = create_batch(&mut server, json!({"items": items, "key": "id", "split": split}));
    let good = json!({"id": "b", "at": {"date": "2025-11-03"}});
    let chunk = format!("{batch}.01");
    let task = server.create_task("No batch");
    for (request, because) in [
        (json!({"id": batch}), "items"),
        (json!({"id": batch, "items": []}), "0 were passed"),
        (json!({"id": batch, "items": [good], "source": {"path": "x"}}), "items"),
        (json!({"id": batch, "items": [good, {"id": "c"}]}), "item 2: the item has no field '/at/date'"),
        (json!({"id": batch, "items": [good, good]}), "item 2: key 'b' is already used by item 1"),
        (json!({"id": batch, "source": {"path": "none.jsonl"}}), "none.jsonl"),
        (json!({"id": chunk, "items": [good]}), "is a chunk"),
        (json!({"id": task, "items": [good]}), "not a batch"),
        (json!({"id": "none", "items": [good]}), "none"),
    ] {
        let refused = server.call("add_items", request.clone());
        assert!(refused.is_error, "{request}: {}", refused.value);
        assert!(refused.message().contains(because), "{request}: {}", refused.message());
    }
    assert_chunks(&mut server, &batch, &[("Nov 2025, chunk 1 of 1", 1)]);
    let skip = json!({"id": batch, "items": [good, {"id": "c"}], "on_bad_item": "skip"});
    let reply = server.call("add_items", skip).ok();
    assert_eq!((reply.count("/added"), reply.count("/bad_items/count")), (1, 1));
    assert_chunks(&mut server, &batch, &[("Nov 2025, chunk 1 of 1", 2)]);
}

#[test]
fn the_command_adds_the_same_as_the_tool() {
    let store = Store::new();
    let batch = create_batch(&mut store.serve(), json!({"items": ["a"]}));
    store.write("more.csv", "key,from\na,x\nb,y\n");
    let ran = store.tasktally(["add-items", &batch, "--source", "more.csv", "--json"]).success().json();
    assert_eq!((&ran["added"], &ran["known"]), (&json!(1), &json!(1)), "{ran}");
    let ran = store.tasktally(["add-items", &batch, "--items", r#"["b", "c"]"#]).success();
    assert!(ran.stdout.contains("Added 1 item:"), "{}", ran.stdout);
}

#[test]
fn two_servers_that_add_the_same_items_at_once_add_them_once() {
    let store = Store::new();
    let mut first = store.serve();
    let mut second = store.serve();
    for round in 0..20 {
        let batch = create_batch(&mut first, json!({"items": ["a"], "max_chunk": 3}));
        let items: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
        let request = json!({"id": batch, "items": items});
        let (one, two) = (first.send("add_items", request.clone()), second.send("add_items", request));
        let (one, two) = (first.recv(one).unwrap().ok(), second.recv(two).unwrap().ok());
        assert_eq!(one.count("/added") + two.count("/added"), 40, "round {round}");
        assert_eq!(one.count("/known") + two.count("/known"), 40, "round {round}");
        assert_whole(&store, &batch, 41, 3);
    }
}

/// Asserts that each item of a batch is in exactly one chunk and that every counter is right.
#[track_caller]
fn assert_whole(store: &Store, batch: &str, items: u64, max_chunk: u64) {
    let sql = store.sql();
    let ask = |text: &str| -> u64 { sql.row(text, &[&batch]) };
    let of = "FROM batch b JOIN task t ON t.row_id = b.task AND t.id = ?1";
    assert_eq!(ask(&format!("SELECT b.items_total {of}")), items, "the batch's count");
    assert_eq!(ask(&format!("SELECT count(DISTINCT i.key) {of} JOIN item i ON i.batch = b.task")), items);
    assert_eq!(ask(&format!("SELECT sum(c.items_total) {of} JOIN chunk c ON c.batch = b.task")), items);
    let differ = [
        format!(
            "SELECT count(*) {of} JOIN chunk c ON c.batch = b.task WHERE c.items_total <> (SELECT count(*) FROM item i WHERE i.chunk = c.task AND i.batch = b.task)"
        ),
        format!(
            "SELECT count(*) {of} JOIN chunk c ON c.batch = b.task WHERE c.items_total <> (SELECT max(position) FROM item i WHERE i.chunk = c.task)"
        ),
        format!(
            "SELECT count(*) {of} JOIN item i ON i.batch = b.task LEFT JOIN chunk c ON c.task = i.chunk WHERE c.batch IS DISTINCT FROM b.task"
        ),
        format!("SELECT abs(b.chunks_total - (SELECT count(*) FROM chunk c WHERE c.batch = b.task)) {of}"),
        format!("SELECT abs(b.chunks_total - (SELECT max(number) FROM chunk c WHERE c.batch = b.task)) {of}"),
        format!("SELECT count(*) {of} JOIN chunk c ON c.batch = b.task WHERE c.items_total > {max_chunk}"),
        format!(
            "SELECT count(*) {of} WHERE b.items_done + b.items_failed + b.items_skipped <> (SELECT sum(items_done + items_failed + items_skipped) FROM chunk c WHERE c.batch = b.task)"
        ),
    ];
    for text in differ {
        assert_eq!(ask(&text), 0, "{text}");
    }
    let tallied: i64 = sql.row("SELECT sum(count) FROM task_count", &[]);
    let tasks: i64 = sql.row("SELECT count(*) FROM task", &[]);
    assert_eq!(tallied, tasks, "the tally");
}

/// Asserts that the numbers in the title of each changed chunk are right.
fn assert_titles(before: &[(String, u64)], after: &[(String, u64)]) {
    for (n, (title, size)) in after.iter().enumerate() {
        match before.get(n) {
            Some(same) if same.1 == *size => assert_eq!(&same.0, title, "an untouched chunk was renamed"),
            _ => {
                let end = format!(", chunk {} of {}", n + 1, after.len());
                assert!(title.ends_with(&end), "{title} does not end with '{end}'");
            }
        }
    }
}

#[test]
fn every_item_is_in_exactly_one_chunk_after_random_additions() {
    let mut rng = Rng::seeded("every_item_is_in_exactly_one_chunk");
    let store = Store::new();
    let mut server = store.serve();
    for _ in 0..12 {
        let split = ["size", "category:kind", "month:date"][rng.below(3) as usize];
        let max_chunk = 1 + rng.below(6);
        let some = |rng: &mut Rng| -> Vec<Value> {
            let first = rng.below(60);
            (first..=first + rng.below(14))
                // The fields depend only on the key, so that an item always belongs to the same group.
                .map(|n| json!({"key": format!("k{n}"), "kind": n % 4, "date": format!("2025-{:02}-10", 1 + n % 5)}))
                .collect()
        };
        let first = some(&mut rng);
        let keys_of = |items: &[Value]| -> BTreeSet<String> {
            items.iter().map(|item| item["key"].as_str().unwrap().to_owned()).collect()
        };
        let mut keys = keys_of(&first);
        let batch =
            create_batch(&mut server, json!({"items": first, "split": split, "max_chunk": max_chunk}));
        let mut held = Vec::new();
        for _ in 0..10 {
            let before = chunks(&mut server, &batch);
            match rng.below(4) {
                0 | 1 => {
                    let more = some(&mut rng);
                    let reply = add(&mut server, &batch, json!(more));
                    if reply.is_error {
                        assert_eq!(reply.code(), "conflict", "{}", reply.value);
                        break;
                    }
                    let new = keys_of(&more).difference(&keys).count() as u64;
                    assert_eq!(reply.count("/added"), new);
                    assert_eq!(reply.count("/known"), more.len() as u64 - new);
                    keys.extend(keys_of(&more));
                    let after = chunks(&mut server, &batch);
                    assert_titles(&before, &after);
                    for (number, size) in &held {
                        assert_eq!(after[*number as usize - 1].1, *size, "a claimed chunk grew");
                    }
                }
                2 => {
                    let claimed = server.call("claim_task", json!({"batch": batch}));
                    if claimed.succeeded() {
                        let id = claimed.text("/task/id");
                        let number: u64 = id.rsplit('.').next().unwrap().parse().unwrap();
                        held.push((number, claimed.count("/items_left")));
                        if rng.below(2) == 0 {
                            let back = json!({"id": id, "claim": claimed["claim"]["token"], "reason": "no"});
                            server.call("release_task", back).ok();
                        }
                    }
                }
                _ => {
                    let ready = server.call("list_tasks", json!({"batch": batch, "ready": true})).ok();
                    if ready.count("/count") > 0 {
                        work_chunk(&mut server, &batch);
                    }
                }
            }
            assert_whole(&store, &batch, keys.len() as u64, max_chunk);
            let seen = server.call("get_batch", json!({"id": batch})).ok();
            assert_eq!(seen.count("/batch/total"), keys.len() as u64);
            assert_eq!(seen.count("/batch/chunks"), seen["chunks"].as_array().unwrap().len() as u64);
        }
    }
}
