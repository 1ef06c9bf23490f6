//! Many processes for long: nobody is starved, the log and the memory stay bounded, nothing fails.
//!
//! `TASKTALLY_SECONDS` asks for more time, `TASKTALLY_ROUNDS` for more processes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::rng::Rng;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{resident_kib, rounds, together};

/// The length at which a log is made to begin anew, and what may come upon it meanwhile.
const LONGEST_LOG: u64 = (64 + 16) << 20;
/// More than a server ever needs, in KiB.
const MUCH_MEMORY: u64 = 128 << 10;

/// What one process did.
struct Share {
    pid: u32,
    reads_only: bool,
    calls: u64,
    longest: Duration,
    /// Its memory over the first third of the time and over the last one, in KiB.
    memory: (u64, u64),
}

/// A worker: receipts, a task of its own now and then, the queue's next task.
fn write_once(server: &mut Server, rng: &mut Rng, log: &str, number: u64) {
    match rng.below(10) {
        0 => drop(server.task(&format!("Task {number}"))),
        1 => {
            let claimed = server.call("claim_task", json!({"worker": "w"}));
            if claimed.won() {
                let (id, token) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
                server.call("complete_task", json!({"id": id, "claim": token, "summary": "- done"})).ok();
            }
        }
        _ => {
            let text = format!("- {number} {}", "x".repeat(rng.below(400) as usize));
            server.call("update_task", json!({"id": log, "body": text})).ok();
        }
    }
}

/// A watcher: long lists, long bodies, searches.
fn read_once(server: &mut Server, rng: &mut Rng, log: &str) {
    let (tool, arguments) = match rng.below(4) {
        0 => ("list_tasks", json!({"limit": 0})),
        1 => ("get_task", json!({"id": log, "limit": 200})),
        2 => ("list_tasks", json!({"limit": 0, "status": "done"})),
        _ => ("search_tasks", json!({"query": "task"})),
    };
    server.call(tool, arguments).ok();
}

fn log_length(store: &Path) -> u64 {
    std::fs::metadata(format!("{}-wal", store.display())).map_or(0, |log| log.len())
}

fn mean(values: &[u64]) -> u64 {
    values.iter().sum::<u64>() / (values.len() as u64).max(1)
}

#[test]
fn many_processes_for_long_starve_nobody_and_the_log_and_the_memory_stay_bounded() {
    let processes = rounds("TASKTALLY_ROUNDS", 8);
    let time = Duration::from_secs(rounds("TASKTALLY_SECONDS", 5) as u64);
    let seed = Rng::seeded("many_processes_for_long").below(u64::MAX >> 12);
    let store = Store::new();
    let log = store.serve().task("Log");
    let over = AtomicBool::new(false);
    let (mut longest_log, mut shares) = (0, Vec::new());
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut longest = 0;
            while !over.load(Ordering::Relaxed) {
                longest = longest.max(log_length(store.file()));
                std::thread::sleep(Duration::from_millis(50));
            }
            longest
        });
        shares = together(processes, |number| {
            let mut rng = Rng::from(seed + number as u64);
            let mut server = store.serve();
            let mut share = Share {
                pid: server.pid(),
                reads_only: number % 4 == 3,
                calls: 0,
                longest: Duration::ZERO,
                memory: (0, 0),
            };
            let (begun, mut early, mut late) = (Instant::now(), Vec::new(), Vec::new());
            while begun.elapsed() < time {
                let asked = Instant::now();
                if share.reads_only {
                    read_once(&mut server, &mut rng, &log);
                } else {
                    write_once(&mut server, &mut rng, &log, share.calls);
                }
                share.longest = share.longest.max(asked.elapsed());
                share.calls += 1;
                let part = 3 * begun.elapsed().as_millis() / time.as_millis();
                // What it takes at its start is not what it takes for good.
                if share.calls.is_multiple_of(16) && share.calls > 64 {
                    match part {
                        0 => early.push(resident_kib(share.pid)),
                        1 => {}
                        _ => late.push(resident_kib(share.pid)),
                    }
                }
            }
            share.memory = (mean(&early), mean(&late));
            share
        });
        over.store(true, Ordering::Relaxed);
        longest_log = sampler.join().unwrap();
    });
    store.assert_whole();
    store.tasktally(["verify"]).success();
    assert!(!store.log().contains("ERROR"), "{}", store.log());
    for reads_only in [false, true] {
        let of_kind: Vec<&Share> = shares.iter().filter(|share| share.reads_only == reads_only).collect();
        let calls: Vec<u64> = of_kind.iter().map(|share| share.calls).collect();
        let least = calls.iter().min().unwrap();
        println!(
            "{} {}: {} calls, the least {least} of a mean of {}, the longest call {:?}; memory early and late at most {:?} KiB",
            of_kind.len(),
            if reads_only { "readers" } else { "writers" },
            calls.iter().sum::<u64>(),
            mean(&calls),
            of_kind.iter().map(|share| share.longest).max().unwrap(),
            of_kind
                .iter()
                .map(|share| share.memory)
                .fold((0, 0), |most, of| (most.0.max(of.0), most.1.max(of.1))),
        );
        assert!(*least > 0, "one starves: {calls:?}");
        assert!(least * 10 > mean(&calls), "one nearly starves: {calls:?}");
    }
    println!("{processes} processes for {time:?}: the log at most {} KiB", longest_log >> 10);
    assert!(longest_log < LONGEST_LOG, "{longest_log}");
    let most = shares.iter().map(|share| share.memory.1).max().unwrap();
    assert!(most < MUCH_MEMORY, "{most} KiB");
}

#[test]
fn the_log_stays_bounded_although_there_is_always_somebody_who_reads_it() {
    let store = Store::new();
    let mut server = store.serve();
    let over = AtomicBool::new(false);
    let (mut longest, mut written) = (0, 0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            // Two that read by turns, each beginning before the other ends: without a gap.
            let two = [store.sql(), store.sql()];
            let look = "SELECT count(*) FROM task";
            let mut reads = 0;
            two[0].execute_batch("BEGIN").unwrap();
            two[0].query_row(look, [], |row| row.get::<_, u64>(0)).unwrap();
            while !over.load(Ordering::Relaxed) {
                for (next, last) in [(1, 0), (0, 1)] {
                    two[next].execute_batch("BEGIN").unwrap();
                    two[next].query_row(look, [], |row| row.get::<_, u64>(0)).unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                    two[last].execute_batch("COMMIT").unwrap();
                    reads += 1;
                }
            }
            reads
        });
        let item = |number: usize| json!({"key": number.to_string(), "text": "x".repeat(30_000)});
        let items: Value = (0..300).map(item).collect();
        for number in 0..10 {
            let plan = json!({"title": format!("B{number}"), "instructions": "x", "items": items});
            server.call("create_batch", plan).ok();
            written += 300 * 30_000;
            longest = longest.max(log_length(store.file()));
        }
        over.store(true, Ordering::Relaxed);
        let reads: u32 = reader.join().unwrap();
        println!(
            "{} MiB written beside {reads} reads without a gap: the log at most {} MiB",
            written >> 20,
            longest >> 20
        );
        assert!(reads > 10);
    });
    assert!(written > LONGEST_LOG, "too little was written to tell");
    assert!(longest < LONGEST_LOG, "{longest}");
    store.assert_whole();
}
