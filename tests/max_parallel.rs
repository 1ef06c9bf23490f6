//! Changing how many workers of a batch run while they run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::background::{item_keys, start_batch, wait_for_status};
use support::store::Store;
use support::{eventually, wait_for_exit};

/// A command that leaves a file per item while it runs, and a line when it starts, in the folder `$1`.
const SCRIPT: &str = "cd \"$1\"; echo $TASKTALLY_ITEM >> starts; touch running-$TASKTALLY_ITEM; sleep 0.3
    rm running-$TASKTALLY_ITEM";

/// How many commands run now.
fn running(store: &Store) -> usize {
    let names = std::fs::read_dir(store.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("running-")).count()
}

/// Waits until `wanted` commands run at once, and no more do for a second.
fn wait_for_running(store: &Store, wanted: usize) {
    eventually(&format!("{wanted} commands at once"), || {
        let started = Instant::now();
        let mut most = 0;
        while started.elapsed() < Duration::from_secs(1) {
            most = most.max(running(store));
            std::thread::sleep(Duration::from_millis(5));
        }
        (most == wanted).then_some(())
    });
}

fn set_max_parallel(store: &Store, id: &str, number: &str) -> Value {
    store.tasktally(["--json", "control-batch", id, "--max-parallel", number]).success().json()
}

fn open_batch(store: &Store) -> String {
    eventually("an open batch", || {
        let ran = store.tasktally(["--json", "get-batch"]).finish();
        let overview: Value = serde_json::from_str(&ran.stdout).ok()?;
        Some(overview["batches"][0]["id"].as_str()?.to_owned())
    })
}

/// Asserts that each of the items was started once.
fn assert_started_once(store: &Store, items: usize) {
    let starts = std::fs::read_to_string(store.folder().join("starts")).unwrap();
    let mut keys: Vec<&str> = starts.lines().collect();
    keys.sort_unstable();
    let count = keys.len();
    keys.dedup();
    assert_eq!((keys.len(), count), (items, items), "items were started twice");
}

#[test]
fn a_run_follows_the_number_up_and_down_and_ends_no_worker() {
    let store = Store::new();
    let lines = item_keys(60);
    let lines = lines.as_array().unwrap().iter().map(|key| json!({ "key": key }).to_string());
    store.write("items.jsonl", lines.collect::<Vec<_>>().join("\n"));
    let folder = store.folder().to_str().unwrap();
    let run = ["run", "--items", "items.jsonl", "--max-chunk", "15", "--workers", "4", "--"];
    let mut child = store.tasktally([&run[..], &["sh", "-c", SCRIPT, "sh", folder]].concat()).start();
    let id = open_batch(&store);
    wait_for_running(&store, 4);
    let reply = set_max_parallel(&store, &id, "1");
    assert!(reply["message"].as_str().unwrap().contains("at most 1 workers run from now on"), "{reply}");
    wait_for_running(&store, 1);
    set_max_parallel(&store, &id, "3");
    wait_for_running(&store, 3);
    // Higher than at the start.
    set_max_parallel(&store, &id, "8");
    assert_eq!(wait_for_exit(&mut child).code(), Some(0));
    let batch = store.tasktally(["--json", "get-batch", &id]).success().json();
    assert_eq!(batch["batch"]["outcomes"], json!({"done": 60}));
    assert_started_once(&store, 60);
    let body = store.serve().body(&id);
    assert!(body.contains("max_parallel changed from 4 to 1 by"), "{body}");
}

#[test]
fn background_workers_follow_the_number_within_the_profile_s_limit() {
    let config = format!(
        "[worker.w]\nper = \"item\"\nmax_parallel = 3\ncommand = [\"sh\", \"-c\", {:?}]\n",
        SCRIPT.replace("\"$1\"", "../../..")
    );
    let store = Store::new().with_config(&config);
    let mut server = store.serve();
    let id = start_batch(&mut server, 60, 15, "w");
    wait_for_running(&store, 3);
    server.call("control_batch", json!({"id": id, "max_parallel": 1})).ok();
    wait_for_running(&store, 1);
    let reply = server.call("control_batch", json!({"id": id, "max_parallel": "12"})).ok();
    let message = reply.text("/message");
    assert!(
        message.contains("at most 3 workers run, because the configuration has worker.w.max_parallel = 3"),
        "{message}"
    );
    wait_for_running(&store, 3);
    let ended = wait_for_status(&mut server, &id, "done");
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 60}));
    assert_started_once(&store, 60);
}

#[test]
fn the_number_of_a_batch_that_has_ended_and_an_empty_request_are_refused() {
    let store = Store::new();
    let mut server = store.serve();
    let create = json!({"title": "B", "instructions": "x", "items": ["a"]});
    let id = server.call("create_batch", create).ok().text("/batch/id");
    let refused = server.call("control_batch", json!({"id": id}));
    let refused = refused.message();
    assert!(refused.contains("allowed: pause, resume, cancel, retry, start"), "{refused}");
    assert!(refused.contains("or pass max_parallel"), "{refused}");
    let refused = server.call("control_batch", json!({"id": id, "max_parallel": 65}));
    assert!(refused.message().contains("1 to 64"), "{refused:?}");
    let paused = server.call("control_batch", json!({"id": id, "action": "pause", "max_parallel": 2})).ok();
    assert!(paused.text("/message").contains("Paused"), "{paused:?}");
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    let refused = server.call("control_batch", json!({"id": id, "max_parallel": 2}));
    assert!(refused.message().contains("is cancelled"), "{refused:?}");
}

#[test]
fn a_resumed_run_takes_the_number_of_the_batch() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let run = ["--json", "run", "--items", "items.jsonl", "--workers", "2", "--", "false"];
    let ran = store.tasktally(run).code(1);
    let end: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let id = end["batch"]["id"].as_str().unwrap();
    store.tasktally(["control-batch", id, "retry", "--max-parallel", "1"]).success();
    let resume = store.tasktally(["run", "--resume", id, "--", "true"]).success();
    assert!(resume.stderr.contains("2 of 2 items to do in 2 chunks, 1 worker"), "{}", resume.stderr);
}

#[test]
fn a_small_run_has_a_chunk_for_each_worker_and_names_the_workers_it_has() {
    let store = Store::new();
    let run = |items: usize, more: &[&str]| {
        let file = format!("{items}.jsonl");
        store.write(&file, (1..=items).map(|n| format!("{{\"key\": \"k{n}\"}}\n")).collect::<String>());
        let ran =
            store.tasktally([&["run", "--new", "--items", &file], more, &["--", "true"]].concat()).success();
        let line = ran.stderr.lines().find(|line| line.contains("to do in")).unwrap().to_owned();
        line.split_once(": ").unwrap().1.to_owned()
    };
    assert_eq!(run(30, &[]), "30 of 30 items to do in 8 chunks, 8 workers");
    assert_eq!(run(9, &[]), "9 of 9 items to do in 8 chunks, 8 workers");
    assert_eq!(run(3, &[]), "3 of 3 items to do in 3 chunks, 3 workers");
    assert_eq!(run(1, &[]), "1 of 1 item to do in 1 chunk, 1 worker");
    assert_eq!(run(30, &["--workers", "2"]), "30 of 30 items to do in 2 chunks, 2 workers");
    assert_eq!(run(420, &[]), "420 of 420 items to do in 9 chunks, 8 workers");
    assert_eq!(run(30, &["--max-chunk", "50"]), "30 of 30 items to do in 1 chunk, 1 worker");
    // A split by a field decides what belongs together.
    store.write(
        "dated.jsonl",
        (1..=30).map(|n| format!("{{\"key\": \"d{n}\", \"kind\": {}}}\n", n % 2)).collect::<String>(),
    );
    let dated = ["run", "--items", "dated.jsonl", "--split", "category:kind", "--", "true"];
    let ran = store.tasktally(dated).success();
    assert!(ran.stderr.contains("30 of 30 items to do in 2 chunks, 2 workers"), "{}", ran.stderr);
    // The default of create-batch stays.
    let create = ["create-batch", "B", "--instructions", "x", "--source", "30.jsonl", "--json"];
    let made = store.tasktally(create).success().json();
    assert_eq!(made["batch"]["chunks"], 1, "{made}");
}

#[test]
fn the_items_of_a_small_run_are_worked_at_the_same_time() {
    let store = Store::new();
    store.write("items.jsonl", (0..4).map(|n| format!("{{\"key\": \"k{n}\"}}\n")).collect::<String>());
    let folder = store.folder().display().to_string();
    // Each command waits until all four run.
    let script = "cd \"$1\"; touch here-$TASKTALLY_ITEM; for _ in $(seq 300); do
        test $(ls | grep -c ^here-) = 4 && exit 0; sleep 0.1; done; exit 1";
    let run = ["run", "--items", "items.jsonl", "--quiet", "--", "sh", "-c", script, "sh", &folder];
    store.tasktally(run).success();
}
