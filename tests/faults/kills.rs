//! Killed at any moment: what was acknowledged is there, and no receipted item is done again.
//!
//! `DOCKET_ROUNDS` asks for more rounds, `DOCKET_SEED` for the same ones again.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::server::Server;
use crate::support::store::Store;

/// What the servers acknowledged, over all rounds.
#[derive(Default)]
struct Acknowledged {
    /// Text of each receipt on the log task, by the number that the reply told.
    receipts: HashMap<u64, String>,
    /// The status that each task was last told to have.
    tasks: BTreeMap<String, &'static str>,
}

/// A write on its way: its request, and what its acknowledgement means.
enum Write {
    Receipt(String),
    Create,
    Claim(String),
    Complete(String),
}

/// Chooses a write; a task that has one in flight is left alone until it is answered.
fn choose(rng: &mut Rng, known: &mut Acknowledged, serial: u64) -> Write {
    let mut pick = |status: &str| {
        let id = known.tasks.iter().find(|(_, now)| **now == status).map(|(id, _)| id.clone())?;
        known.tasks.remove(&id);
        Some(id)
    };
    match rng.below(10) {
        0..=5 => Write::Receipt(format!("- receipt {serial}")),
        6 | 7 => Write::Create,
        8 => pick("active").map_or(Write::Create, Write::Claim),
        _ => pick("in_progress").map_or(Write::Create, Write::Complete),
    }
}

fn send(server: &mut Server, log: &str, write: &Write, serial: u64) -> u64 {
    match write {
        Write::Receipt(text) => server.send("update_task", json!({"id": log, "body": text})),
        Write::Create => server.send("create_task", json!({"task_title": format!("Task {serial}")})),
        Write::Claim(id) => {
            server.send("update_task", json!({"id": id, "status": "in_progress", "assignee": "w"}))
        }
        Write::Complete(id) => server.send("complete_task", json!({"id": id})),
    }
}

/// Keeps sixteen writes in flight until the server is gone; records what it acknowledged.
fn write_until_killed(
    server: &mut Server,
    log: &str,
    rng: &mut Rng,
    serial: &mut u64,
    known: &mut Acknowledged,
) {
    let mut in_flight = std::collections::VecDeque::new();
    loop {
        while in_flight.len() < 16 {
            *serial += 1;
            let write = choose(rng, known, *serial);
            in_flight.push_back((send(server, log, &write, *serial), write));
        }
        let (id, write) = in_flight.pop_front().unwrap();
        let Some(reply) = server.recv(id) else { return };
        let reply = reply.ok();
        match write {
            Write::Receipt(text) => {
                let twice = known.receipts.insert(reply.count("/receipt/number"), text);
                assert_eq!(twice, None, "a number given twice: {}", reply.value);
            }
            Write::Create => drop(known.tasks.insert(reply.text("/task/id"), "active")),
            Write::Claim(id) => drop(known.tasks.insert(id, "in_progress")),
            Write::Complete(id) => drop(known.tasks.insert(id, "done")),
        }
    }
}

fn assert_kept(store: &Store, log: &str, known: &Acknowledged) {
    store.assert_whole();
    store.docket(["verify"]).success();
    let mut server = store.serve();
    let body = server.body(log);
    let receipts: Vec<&str> = body.split("\n\n").collect();
    for (number, text) in &known.receipts {
        let kept = receipts.get(*number as usize - 1);
        assert_eq!(kept, Some(&text.as_str()), "receipt {number} was acknowledged");
    }
    for (id, status) in &known.tasks {
        assert_eq!(&server.look(id).text("/task/status"), status, "{id} was acknowledged as {status}");
    }
}

#[test]
fn a_server_killed_at_any_moment_has_kept_every_write_it_acknowledged() {
    let mut rng = Rng::seeded("a_server_killed_at_any_moment");
    let store = Store::new();
    let mut log = store.serve().task("Log");
    let mut known = Acknowledged::default();
    let mut serial = 0;
    for round in 0..rounds("DOCKET_ROUNDS", 20) {
        if round % 20 == 19 {
            // A new log now and then: reading all of it back should not outgrow the writing.
            (log, known) = (store.serve().task("Log"), Acknowledged::default());
        }
        let mut server = store.serve();
        let (pid, moment) = (server.pid(), Duration::from_micros(rng.below(80_000)));
        let killer = thread::spawn(move || {
            thread::sleep(moment);
            crate::support::signal("KILL", pid);
        });
        write_until_killed(&mut server, &log, &mut rng, &mut serial, &mut known);
        killer.join().unwrap();
        assert_kept(&store, &log, &known);
    }
    assert!(serial > 0);
}

const ITEMS: usize = 60;

/// The worker logs each start of an item before it ends, so that a second run would show.
const WORKER: &str = r#"
printf '%s\n' "$DOCKET_ITEM" >> "$1"
printf '{"receipt": "- did %s", "category": "%s"}\n' "$DOCKET_ITEM" "${DOCKET_ITEM%-*}"
"#;

/// Items over three months: `task-00 … skip-59`.
fn write_items(store: &Store) {
    let item = |n: usize| {
        let kind = ["task", "fyi", "skip"][n % 3];
        json!({"key": format!("{kind}-{n:02}"), "date": format!("2025-{:02}-15", 10 + n % 3)}).to_string()
    };
    store.write("items.jsonl", (0..ITEMS).map(item).collect::<Vec<_>>().join("\n"));
    store.write("worker.sh", WORKER);
}

/// How often each item's command was started so far.
fn starts(store: &Store) -> HashMap<String, usize> {
    let log = std::fs::read_to_string(store.folder().join("starts.log")).unwrap_or_default();
    let mut starts = HashMap::new();
    for key in log.lines() {
        *starts.entry(key.to_owned()).or_insert(0) += 1;
    }
    starts
}

/// The batch in the store, once there is one.
fn the_batch(server: &mut Server) -> Option<String> {
    let listed = server.call("list_tasks", json!({"limit": 0})).ok();
    let tasks = listed["tasks"].as_array().unwrap();
    let parent = tasks.iter().find_map(|task| task["parent"].as_str());
    parent.map(str::to_owned)
}

/// The keys with a receipt, each as often as it has one.
fn receipted(server: &mut Server, batch: &str) -> Vec<String> {
    let progress = server.call("get_batch", json!({"id": batch})).ok();
    let mut keys = Vec::new();
    for chunk in progress["chunks"].as_array().unwrap() {
        let body = server.body(chunk["id"].as_str().unwrap());
        keys.extend(body.lines().filter_map(|line| Some(line.split_once("- did ")?.1.to_owned())));
    }
    keys.sort();
    keys
}

/// `docket run` from the start, or on from what the store holds.
fn run(store: &Store, batch: Option<&str>) -> crate::support::cli::Run {
    let mut args = vec!["run"];
    match batch {
        Some(batch) => args.extend(["--resume", batch]),
        None => args.extend(["--items", "items.jsonl", "--split", "month:date"]),
    }
    args.extend(["--workers", "4", "--quiet", "--", "sh", "worker.sh", "starts.log"]);
    store.docket(args)
}

fn assert_every_item_has_one_outcome(store: &Store, server: &mut Server, batch: &str) {
    store.docket(["verify"]).success();
    let progress = server.call("get_batch", json!({"id": batch})).ok();
    for count in ["/batch/total", "/batch/processed", "/batch/outcomes/done"] {
        assert_eq!(progress.count(count), ITEMS as u64, "{count} of {}", progress.value);
    }
    assert_eq!(progress.text("/batch/status"), "done");
    let categories = progress["batch"]["categories"].as_object().unwrap();
    assert_eq!(categories.values().filter_map(Value::as_u64).sum::<u64>(), ITEMS as u64);
    let keys = receipted(server, batch);
    let mut once = keys.clone();
    once.dedup();
    assert_eq!((keys.len(), once.len()), (ITEMS, ITEMS), "each item once: {keys:?}");
}

#[test]
fn a_run_killed_at_any_moment_resumes_without_doing_a_receipted_item_again() {
    let mut rng = Rng::seeded("a_run_killed_at_any_moment");
    for round in 0..rounds("DOCKET_ROUNDS", 20) {
        let store = Store::new();
        write_items(&store);
        let mut kept: HashMap<String, usize> = HashMap::new();
        for _ in 0..=rng.below(3) {
            let batch = the_batch(&mut store.serve());
            let mut killed = run(&store, batch.as_deref()).start();
            thread::sleep(Duration::from_millis(rng.below(250)));
            killed.kill().unwrap();
            killed.wait().unwrap();
            store.assert_whole();
            if let Some(batch) = the_batch(&mut store.serve()) {
                let starts = starts(&store);
                for key in receipted(&mut store.serve(), &batch) {
                    let so_far = starts[&key];
                    assert_eq!(*kept.entry(key.clone()).or_insert(so_far), so_far, "{key}, round {round}");
                }
            }
        }
        let batch = the_batch(&mut store.serve());
        let ran = run(&store, batch.as_deref()).finish();
        assert!(matches!(ran.code, Some(0 | 3)), "round {round}: {ran:?}");

        let mut server = store.serve();
        let batch = the_batch(&mut server).expect("a batch");
        assert_every_item_has_one_outcome(&store, &mut server, &batch);
        let starts = starts(&store);
        for (key, before) in kept {
            assert_eq!(starts[&key], before, "{key} had a receipt and was run again, round {round}");
        }
        assert_eq!(starts.len(), ITEMS);
    }
}
