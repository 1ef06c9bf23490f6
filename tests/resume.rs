//! A run that goes on: what it takes up, and what it leaves to those who are still at it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;

use serde_json::{Value, json};

use support::cli::Run;
use support::store::Store;
use support::{ended, eventually, signal};

const ITEMS: usize = 30;

/// Thirty items in three chunks, and a worker slow enough to be met at work.
fn a_store_with_items() -> Store {
    let store = Store::new();
    let item = |n: usize| json!({"key": format!("k{n:02}"), "date": format!("2025-{:02}-15", 10 + n % 3)});
    let lines: Vec<String> = (0..ITEMS).map(|n| item(n).to_string()).collect();
    store.write("items.jsonl", lines.join("\n"));
    store.write(
        "worker.sh",
        "printf '%s\\n' \"$TASKTALLY_ITEM\" >> \"$1\"; sleep 0.1; echo \"- did $TASKTALLY_ITEM\"",
    );
    store
}

fn run(store: &Store, from: &[&str]) -> Run {
    let args =
        [&["run"], from, &["--workers", "3", "--quiet", "--", "sh", "worker.sh", "starts.log"]].concat();
    store.tasktally(args)
}

const ANEW: &[&str] = &["--items", "items.jsonl", "--split", "month:date"];

/// How often each item's command was started.
fn starts(store: &Store) -> HashMap<String, usize> {
    let log = std::fs::read_to_string(store.folder().join("starts.log")).unwrap_or_default();
    let mut starts = HashMap::new();
    for key in log.lines() {
        *starts.entry(key.to_owned()).or_insert(0) += 1;
    }
    starts
}

fn batch_of(store: &Store) -> String {
    let listed = store.serve().call("list_tasks", json!({"limit": 0})).ok();
    let parent = listed["tasks"].as_array().unwrap().iter().find_map(|task| task["parent"].as_str());
    parent.unwrap().to_owned()
}

/// The batch's numbers.
fn progress(store: &Store, batch: &str) -> Value {
    store.serve().call("get_batch", json!({"id": batch})).ok()["batch"].clone()
}

fn assert_each_item_ran_once(store: &Store) {
    let starts = starts(store);
    assert_eq!(starts.len(), ITEMS);
    assert!(starts.values().all(|count| *count == 1), "{starts:?}");
}

#[test]
fn a_second_run_of_a_batch_that_is_being_worked_is_refused_and_disturbs_nothing() {
    let store = a_store_with_items();
    let mut first = run(&store, ANEW).start();
    eventually("the first run to be at work", || (starts(&store).len() > 2).then_some(()));
    let batch = batch_of(&store);
    let second = run(&store, &["--resume", &batch]).finish();
    assert!(matches!(second.code, Some(1 | 2)), "{second:?}");
    assert!(second.said().contains(&batch), "{second:?}");
    assert!(ended(&mut first).success());
    assert_each_item_ran_once(&store);
}

#[test]
fn a_run_that_is_interrupted_finishes_what_is_in_hand_and_is_gone_on_with() {
    let store = a_store_with_items();
    let mut first = run(&store, ANEW).start();
    eventually("the run to be at work", || (starts(&store).len() > 2).then_some(()));
    signal("INT", first.id());
    assert_eq!(ended(&mut first).code(), Some(1));
    let batch = batch_of(&store);
    let processed = progress(&store, &batch)["processed"].as_u64().unwrap() as usize;
    assert_eq!(processed, starts(&store).len(), "what was started has its receipt");
    assert!(processed < ITEMS, "nothing was left to go on with");
    run(&store, &["--resume", &batch]).success();
    assert_each_item_ran_once(&store);
    assert_eq!(progress(&store, &batch)["outcomes"]["done"], ITEMS);
    run(&store, &["--resume", &batch]).code(3);
    assert_each_item_ran_once(&store);
}

#[test]
fn a_run_resumes_by_the_command_that_it_began_with() {
    let store = a_store_with_items();
    let mut first = run(&store, ANEW).start();
    eventually("the run to be at work", || (starts(&store).len() > 2).then_some(()));
    first.kill().unwrap();
    first.wait().unwrap();
    let batch = batch_of(&store);
    store.tasktally(["run", "--resume", &batch, "--quiet"]).success();
    assert_eq!(starts(&store).len(), ITEMS);
    assert_eq!(progress(&store, &batch)["outcomes"]["done"], ITEMS);
}

#[test]
fn a_resumed_run_leaves_the_live_claim_of_an_agent_alone_whatever_its_name() {
    let store = a_store_with_items();
    let mut agent = store.serve();
    let split = json!({"by": "time", "field": "date", "period": "month"});
    let made = agent.call(
        "create_batch",
        json!({"title": "Mail", "instructions": "Sort.", "source": {"path": "items.jsonl"}, "split": split}),
    );
    let batch = made.ok().text("/batch/id");
    for name in ["polecat", "run-4711"] {
        // A chunk that was given back rests a moment.
        let claimed = eventually("a chunk to be claimed", || {
            let claimed = agent.call("claim_task", json!({"worker": name, "batch": batch}));
            claimed.won().then_some(claimed)
        });
        let (chunk, token) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
        let key = claimed.text("/items/0/key");
        run(&store, &["--resume", &batch]).finish();
        let settle =
            json!({"id": chunk, "claim": token, "item": key, "outcome": "skipped", "body": "- mine"});
        let reply = agent.call("update_task", settle);
        assert!(reply.won(), "{name}: {}", reply.value);
        assert!(!starts(&store).contains_key(&key), "{name}: the run did the agent's item");
        agent.call("release_task", json!({"id": chunk, "claim": token})).ok();
    }
}

/// The items file with more in it than before.
fn grow(store: &Store, items: usize) {
    let item = |n: usize| json!({"key": format!("k{n:02}"), "date": format!("2025-{:02}-15", 10 + n % 3)});
    let lines: Vec<String> = (0..items).map(|n| item(n).to_string()).collect();
    store.write("items.jsonl", lines.join("\n"));
}

#[test]
fn a_run_that_goes_on_with_items_adds_only_what_is_new_in_them() {
    let store = a_store_with_items();
    let mut first = run(&store, ANEW).start();
    eventually("the run to be at work", || (starts(&store).len() > 2).then_some(()));
    signal("INT", first.id());
    assert_eq!(ended(&mut first).code(), Some(1));
    let batch = batch_of(&store);
    grow(&store, 40);
    let args = ["run", "--resume", &batch, "--items", "items.jsonl", "--workers", "3", "--json"];
    let ran = store.tasktally(args).success();
    let added = ran.stdout.lines().find(|line| line.contains(r#""event":"added""#)).unwrap();
    let added: Value = serde_json::from_str(added).unwrap();
    assert_eq!((&added["added"], &added["known"]), (&json!(10), &json!(ITEMS)), "{added}");
    let starts = starts(&store);
    assert_eq!(starts.len(), 40);
    assert!(starts.values().all(|count| *count == 1), "{starts:?}");
    let standing = progress(&store, &batch);
    assert_eq!((&standing["total"], &standing["outcomes"]["done"]), (&json!(40), &json!(40)));
    let receipts: u64 = store
        .sql()
        .query_row("SELECT count(*) FROM receipt WHERE outcome <> 'started'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(receipts, 40, "an item has a second receipt");
}

#[test]
fn a_run_that_is_over_takes_nothing_new_and_says_what_to_do() {
    let store = a_store_with_items();
    run(&store, ANEW).success();
    let batch = batch_of(&store);
    let again = ["--resume", &batch, "--items", "items.jsonl"];
    run(&store, &again).code(3);
    grow(&store, 31);
    let refused = run(&store, &again).code(1);
    assert!(refused.said().contains("is done") && refused.said().contains("new batch"), "{refused:?}");
    assert_each_item_ran_once(&store);
}
