//! `tasktally run`, killed and resumed.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::server::Server;
use crate::support::store::Store;

const ITEMS: usize = 60;

/// The worker logs each start of an item, so that a second start is visible.
const WORKER: &str = r#"
printf '%s\n' "$TASKTALLY_ITEM" >> "$1"
printf '{"receipt": "- did %s", "category": "%s"}\n' "$TASKTALLY_ITEM" "${TASKTALLY_ITEM%-*}"
"#;

/// Items over three months: `task-00` to `skip-59`.
fn write_items(store: &Store) {
    let item = |n: usize| {
        let kind = ["task", "fyi", "skip"][n % 3];
        json!({"key": format!("{kind}-{n:02}"), "date": format!("2025-{:02}-15", 10 + n % 3)}).to_string()
    };
    store.write("items.jsonl", (0..ITEMS).map(item).collect::<Vec<_>>().join("\n"));
    store.write("worker.sh", WORKER);
}

/// How often the command of each item was started so far.
fn starts(store: &Store) -> HashMap<String, usize> {
    let log = std::fs::read_to_string(store.folder().join("starts.log")).unwrap_or_default();
    let mut starts = HashMap::new();
    for key in log.lines() {
        *starts.entry(key.to_owned()).or_insert(0) += 1;
    }
    starts
}

/// The id of the batch in the store, if there is one.
fn find_batch(server: &mut Server) -> Option<String> {
    let listed = server.call("list_tasks", json!({"limit": 0})).ok();
    let tasks = listed["tasks"].as_array().unwrap();
    let parent = tasks.iter().find_map(|task| task["parent"].as_str());
    parent.map(str::to_owned)
}

/// The key of every receipt in a batch.
fn keys_with_receipt(server: &mut Server, batch: &str) -> Vec<String> {
    let progress = server.call("get_batch", json!({"id": batch})).ok();
    let mut keys = Vec::new();
    for chunk in progress["chunks"].as_array().unwrap() {
        let body = server.body(chunk["id"].as_str().unwrap());
        keys.extend(body.lines().filter_map(|line| Some(line.split_once("- did ")?.1.to_owned())));
    }
    keys.sort();
    keys
}

/// `tasktally run` for the items, or `--resume` for a batch.
fn run(store: &Store, batch: Option<&str>) -> crate::support::cli::Run {
    let mut args = vec!["run"];
    match batch {
        Some(batch) => args.extend(["--resume", batch]),
        None => args.extend(["--items", "items.jsonl", "--split", "month:date"]),
    }
    args.extend(["--workers", "4", "--quiet", "--", "sh", "worker.sh", "starts.log"]);
    store.tasktally(args)
}

fn assert_every_item_has_one_outcome(store: &Store, server: &mut Server, batch: &str) {
    store.tasktally(["verify"]).success();
    let progress = server.call("get_batch", json!({"id": batch})).ok();
    for count in ["/batch/total", "/batch/processed", "/batch/outcomes/done"] {
        assert_eq!(progress.count(count), ITEMS as u64, "{count} of {}", progress.value);
    }
    assert_eq!(progress.text("/batch/status"), "done");
    let categories = progress["batch"]["categories"].as_object().unwrap();
    assert_eq!(categories.values().filter_map(Value::as_u64).sum::<u64>(), ITEMS as u64);
    let keys = keys_with_receipt(server, batch);
    let mut once = keys.clone();
    once.dedup();
    assert_eq!((keys.len(), once.len()), (ITEMS, ITEMS), "each item once: {keys:?}");
}

#[test]
fn a_run_killed_at_any_moment_resumes_without_repeating_an_item_that_has_a_receipt() {
    let mut rng = Rng::seeded("a_run_killed_at_any_moment");
    let (mut kills, mut receipts) = (0, 0);
    let killed_rounds = rounds("TASKTALLY_ROUNDS", 20);
    let mut round = 0;
    while kills < killed_rounds {
        round += 1;
        let store = Store::new();
        write_items(&store);
        let mut starts_before: HashMap<String, usize> = HashMap::new();
        for _ in 0..=rng.below(3) {
            let batch = find_batch(&mut store.serve());
            let mut killed = run(&store, batch.as_deref()).start();
            thread::sleep(Duration::from_millis(rng.below(250)));
            killed.kill().unwrap();
            killed.wait().unwrap();
            kills += 1;
            store.assert_whole();
            if let Some(batch) = find_batch(&mut store.serve()) {
                let starts = starts(&store);
                for key in keys_with_receipt(&mut store.serve(), &batch) {
                    let so_far = starts[&key];
                    assert_eq!(
                        *starts_before.entry(key.clone()).or_insert(so_far),
                        so_far,
                        "{key}, round {round}"
                    );
                }
            }
        }
        let batch = find_batch(&mut store.serve());
        let ran = run(&store, batch.as_deref()).finish();
        assert!(matches!(ran.code, Some(0 | 3)), "round {round}: {ran:?}");

        let mut server = store.serve();
        let batch = find_batch(&mut server).expect("a batch");
        assert_every_item_has_one_outcome(&store, &mut server, &batch);
        let starts = starts(&store);
        for (key, before) in starts_before {
            assert_eq!(starts[&key], before, "{key} had a receipt and was started again, round {round}");
        }
        assert_eq!(starts.len(), ITEMS);
        receipts += ITEMS;
    }
    println!(
        "{kills} runs killed, {receipts} items with one receipt each, none started again after its receipt"
    );
}
