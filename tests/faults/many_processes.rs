//! Many processes for a long time: none starves, the WAL and the memory stay bounded, no call fails.
//!
//! `TASKTALLY_SECONDS` sets the time, `TASKTALLY_ROUNDS` the number of processes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::rng::Rng;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{resident_kib, rounds, run_in_parallel};

/// The WAL length at which a TRUNCATE checkpoint is forced, plus what may be appended meanwhile.
const MAX_WAL_BYTES: u64 = (64 + 16) << 20;
/// A bound on the memory of a server, far above what it needs.
const MAX_MEMORY_KIB: u64 = 128 << 10;
/// How much the mean memory of a server may grow from the first third of its samples to the last. Caches fill
/// early; more growth than this is a leak.
const MAX_GROWTH_KIB: u64 = 8 << 10;
/// Calls before the first memory sample, and between samples. The first calls fill caches.
const CALLS_BEFORE_SAMPLES: u64 = 64;
const CALLS_PER_SAMPLE: u64 = 16;

/// What one process did.
struct Activity {
    pid: u32,
    reads_only: bool,
    calls: u64,
    longest: Duration,
    /// Its resident memory in KiB, sampled at regular intervals.
    memory_kib: Vec<u64>,
}

/// One call of a worker: mostly a receipt, sometimes a new task or the next task of the queue.
fn write_once(server: &mut Server, rng: &mut Rng, log: &str, number: u64) {
    match rng.below(10) {
        0 => drop(server.create_task(&format!("Task {number}"))),
        1 => {
            let claimed = server.call("claim_task", json!({"worker": "w"}));
            if claimed.succeeded() {
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

/// One call of a reader: a long list, a long body or a search.
fn read_once(server: &mut Server, rng: &mut Rng, log: &str) {
    let (tool, arguments) = match rng.below(4) {
        0 => ("list_tasks", json!({"limit": 0})),
        1 => ("get_task", json!({"id": log, "limit": 200})),
        2 => ("list_tasks", json!({"limit": 0, "status": "done"})),
        _ => ("search_tasks", json!({"query": "task"})),
    };
    server.call(tool, arguments).ok();
}

fn wal_bytes(store: &Path) -> u64 {
    std::fs::metadata(format!("{}-wal", store.display())).map_or(0, |wal| wal.len())
}

impl Activity {
    /// The mean memory of the first and the last third of the samples; none if there are too few.
    fn early_and_late_kib(&self) -> Option<(u64, u64)> {
        let third = self.memory_kib.len() / 3;
        let late = &self.memory_kib[self.memory_kib.len() - third..];
        (third > 0).then(|| (mean(&self.memory_kib[..third]), mean(late)))
    }
}

fn mean(values: &[u64]) -> u64 {
    values.iter().sum::<u64>() / (values.len() as u64).max(1)
}

#[test]
fn among_many_processes_none_starves_and_wal_and_memory_stay_bounded() {
    let processes = rounds("TASKTALLY_ROUNDS", 8);
    let time = Duration::from_secs(rounds("TASKTALLY_SECONDS", 5) as u64);
    let seed = Rng::seeded("among_many_processes").below(u64::MAX >> 12);
    let store = Store::new_sqlite();
    let log = store.serve().create_task("Log");
    let over = AtomicBool::new(false);
    let (mut max_wal, mut activities) = (0, Vec::new());
    std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut max = 0;
            while !over.load(Ordering::Relaxed) {
                max = max.max(wal_bytes(store.file()));
                std::thread::sleep(Duration::from_millis(50));
            }
            max
        });
        activities = run_in_parallel(processes, |number| {
            let mut rng = Rng::with_seed(seed + number as u64);
            let mut server = store.serve();
            let mut activity = Activity {
                pid: server.pid(),
                reads_only: number % 4 == 3,
                calls: 0,
                longest: Duration::ZERO,
                memory_kib: Vec::new(),
            };
            let start = Instant::now();
            while start.elapsed() < time {
                let called = Instant::now();
                if activity.reads_only {
                    read_once(&mut server, &mut rng, &log);
                } else {
                    write_once(&mut server, &mut rng, &log, activity.calls);
                }
                activity.longest = activity.longest.max(called.elapsed());
                activity.calls += 1;
                if activity.calls.is_multiple_of(CALLS_PER_SAMPLE) && activity.calls > CALLS_BEFORE_SAMPLES {
                    activity.memory_kib.push(resident_kib(activity.pid));
                }
            }
            activity
        });
        over.store(true, Ordering::Relaxed);
        max_wal = sampler.join().unwrap();
    });
    store.assert_whole();
    store.tasktally(["verify"]).success();
    assert!(!store.log().contains("ERROR"), "{}", store.log());
    for reads_only in [false, true] {
        let of_kind: Vec<&Activity> =
            activities.iter().filter(|activity| activity.reads_only == reads_only).collect();
        let calls: Vec<u64> = of_kind.iter().map(|activity| activity.calls).collect();
        let least = calls.iter().min().unwrap();
        println!(
            "{} {}: {} calls, the least {least} of a mean of {}, the longest call {:?}; memory early and late at most {:?} KiB",
            of_kind.len(),
            if reads_only { "readers" } else { "writers" },
            calls.iter().sum::<u64>(),
            mean(&calls),
            of_kind.iter().map(|activity| activity.longest).max().unwrap(),
            of_kind
                .iter()
                .filter_map(|activity| activity.early_and_late_kib())
                .fold((0, 0), |max, of| (max.0.max(of.0), max.1.max(of.1))),
        );
        assert!(*least > 0, "a process starves: {calls:?}");
        assert!(least * 10 > mean(&calls), "a process nearly starves: {calls:?}");
    }
    println!("{processes} processes for {time:?}: the WAL at most {} KiB", max_wal >> 10);
    assert!(max_wal < MAX_WAL_BYTES, "{max_wal}");
    let max_memory =
        activities.iter().flat_map(|activity| &activity.memory_kib).max().expect("memory samples");
    assert!(*max_memory < MAX_MEMORY_KIB, "{max_memory} KiB");
    for (early, late) in activities.iter().filter_map(Activity::early_and_late_kib) {
        assert!(late <= early + MAX_GROWTH_KIB, "memory grew from {early} to {late} KiB");
    }
}

#[test]
fn the_wal_stays_bounded_although_a_reader_is_always_open() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    let over = AtomicBool::new(false);
    let (mut max_wal, mut written) = (0, 0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            // Two readers take turns. Each starts before the other ends, so that there is always an open reader.
            let readers = [store.sqlite(), store.sqlite()];
            let query = "SELECT count(*) FROM task";
            let mut reads = 0;
            readers[0].execute_batch("BEGIN").unwrap();
            readers[0].query_row(query, [], |row| row.get::<_, u64>(0)).unwrap();
            while !over.load(Ordering::Relaxed) {
                for (next, last) in [(1, 0), (0, 1)] {
                    readers[next].execute_batch("BEGIN").unwrap();
                    readers[next].query_row(query, [], |row| row.get::<_, u64>(0)).unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                    readers[last].execute_batch("COMMIT").unwrap();
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
            max_wal = max_wal.max(wal_bytes(store.file()));
        }
        over.store(true, Ordering::Relaxed);
        let reads: u32 = reader.join().unwrap();
        println!(
            "{} MiB written while readers made {reads} reads without a gap: the WAL at most {} MiB",
            written >> 20,
            max_wal >> 20
        );
        assert!(reads > 10);
    });
    assert!(written > MAX_WAL_BYTES, "less was written than the bound of the WAL");
    assert!(max_wal < MAX_WAL_BYTES, "{max_wal}");
    store.assert_whole();
}
