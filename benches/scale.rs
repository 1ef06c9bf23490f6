//! How long a number of workers takes for a number of items in one PostgreSQL store: `cargo bench --bench scale`.
//!
//! A discrete-event simulation. Processes with some workers each write to one store. A process commits the writes that wait
//! in it as one transaction, and one process at a time holds the store's lock (`store/postgres/writer.rs`). A transaction
//! takes as long as `scale/service_times.json` says: measured times, and a number of waits for the network.
//! The random numbers come from a fixed seed, which is printed.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::collections::{BinaryHeap, VecDeque};

use anyhow::{Context, Result};
use serde::Deserialize;

const SEED: u64 = 18;
/// The items of a chunk: a claim, as many receipts, and a completion.
const CHUNK: u64 = 50;
/// The most writes of a transaction.
const GROUP: usize = 256;
/// The simulated time.
const SECONDS: f64 = 600.0;
/// Until the queues have their length.
const WARM_SECONDS: f64 = 200.0;

/// What a transaction costs while it holds the store's lock.
#[derive(Deserialize)]
struct ServiceTimes {
    transaction_ms: f64,
    receipt_ms: f64,
    claim_ms: f64,
    completion_ms: f64,
    waits_per_transaction: f64,
    waits_per_receipt: f64,
    waits_per_claim: f64,
    waits_per_completion: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Claim,
    Receipt,
    Completion,
}

/// A row of the table.
struct Scenario {
    workers: usize,
    /// The workers of a process.
    per_process: usize,
    /// How long a worker works on an item.
    item_seconds: f64,
    /// How much longer than where the times were measured a round trip to the server takes.
    round_trip_ms: f64,
}

struct Outcome {
    receipts_per_second: f64,
    busy: f64,
    group: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn main() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scale/service_times.json");
    let text = std::fs::read_to_string(path).context(path)?;
    let times: ServiceTimes = serde_json::from_str(&text).context(path)?;
    println!("seed {SEED}; chunks of {CHUNK} items; {SECONDS:.0} s simulated; {text}");
    println!(
        "| workers | per process | s per item | added round trip, ms | receipts/s | of the workers' own rate | lock held | writes per transaction | wait p50, ms | p99, ms | 10^8 items, days |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for scenario in scenarios() {
        let outcome = simulate(&scenario, &times);
        let own = scenario.workers as f64 / scenario.item_seconds;
        println!(
            "| {} | {} | {} | {} | {:.1} | {:.2} | {:.0} % | {:.1} | {:.0} | {:.0} | {:.1} |",
            scenario.workers,
            scenario.per_process,
            scenario.item_seconds,
            scenario.round_trip_ms,
            outcome.receipts_per_second,
            outcome.receipts_per_second / own,
            outcome.busy * 100.0,
            outcome.group,
            outcome.p50_ms,
            outcome.p99_ms,
            1e8 / outcome.receipts_per_second / 86_400.0
        );
    }
    Ok(())
}

fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for round_trip_ms in [0.0, 0.5] {
        for (workers, per_process) in [(100, 1), (1_000, 10), (10_000, 100)] {
            for item_seconds in [10.0, 60.0, 600.0] {
                scenarios.push(Scenario { workers, per_process, item_seconds, round_trip_ms });
            }
        }
    }
    scenarios
}

/// The splitmix64 generator.
struct Random(u64);

impl Random {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Exponentially distributed.
    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.next()).ln()
    }
}

/// A worker's next write, at a time in nanoseconds. The heap returns the earliest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    at: std::cmp::Reverse<u64>,
    worker: usize,
}

struct Worker {
    /// Items of its chunk that have no receipt yet.
    left: u64,
    kind: Kind,
    asked: f64,
}

fn simulate(scenario: &Scenario, times: &ServiceTimes) -> Outcome {
    let mut store = Store::new(scenario);
    while store.now < SECONDS {
        store.accept_arrivals();
        let Some(group) = store.next_group() else { break };
        store.commit(&group, times);
    }
    store.measured.outcome(store.now - WARM_SECONDS)
}

/// The state of the simulation.
struct Store<'a> {
    scenario: &'a Scenario,
    random: Random,
    /// In seconds.
    now: f64,
    workers: Vec<Worker>,
    arrivals: BinaryHeap<Arrival>,
    /// The writes that wait in each process.
    waiting: Vec<VecDeque<usize>>,
    /// The processes that wait for the lock, in the order in which they came.
    lock: VecDeque<usize>,
    measured: Measured,
}

impl<'a> Store<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut store = Store {
            scenario,
            random: Random(SEED),
            now: 0.0,
            workers: Vec::with_capacity(scenario.workers),
            arrivals: BinaryHeap::new(),
            waiting: vec![VecDeque::new(); scenario.workers / scenario.per_process],
            lock: VecDeque::new(),
            measured: Measured::default(),
        };
        for worker in 0..scenario.workers {
            // They begin in the middle of a chunk, at different times.
            let left = (store.random.next() * CHUNK as f64) as u64 + 1;
            store.workers.push(Worker { left, kind: Kind::Receipt, asked: 0.0 });
            let at = store.random.exponential(scenario.item_seconds);
            store.arrivals.push(arrival(at, worker));
        }
        store
    }

    /// Everything that has arrived by now; if the lock is free, also what arrives next.
    fn accept_arrivals(&mut self) {
        while let Some(next) = self.arrivals.peek()
            && (seconds(next) <= self.now || self.lock.is_empty())
        {
            let (at, worker) = (seconds(next), next.worker);
            self.arrivals.pop();
            self.now = self.now.max(at);
            let process = worker / self.scenario.per_process;
            if let (Some(state), Some(queue)) = (self.workers.get_mut(worker), self.waiting.get_mut(process))
            {
                state.asked = at;
                if queue.is_empty() {
                    self.lock.push_back(process);
                }
                queue.push_back(worker);
            }
        }
    }

    /// The writes of the process that gets the lock. What it leaves over waits for its next turn.
    fn next_group(&mut self) -> Option<Vec<usize>> {
        let process = self.lock.pop_front()?;
        let queue = self.waiting.get_mut(process)?;
        let group = queue.drain(..queue.len().min(GROUP)).collect();
        if !queue.is_empty() {
            self.lock.push_back(process);
        }
        Some(group)
    }

    /// Commits the writes of a group. Each of its workers continues.
    fn commit(&mut self, group: &[usize], times: &ServiceTimes) {
        let kinds = group.iter().filter_map(|worker| self.workers.get(*worker)).map(|worker| worker.kind);
        let ms = times.group_ms(kinds, self.scenario.round_trip_ms);
        let is_measured = self.now > WARM_SECONDS;
        self.now += ms / 1e3;
        if is_measured {
            self.measured.add_transaction(ms, group.len());
        }
        for worker in group {
            let Some(state) = self.workers.get_mut(*worker) else { continue };
            if is_measured {
                self.measured.add_write(state.kind, (self.now - state.asked) * 1e3);
            }
            let pause = state.go_on();
            let pause = if pause { self.random.exponential(self.scenario.item_seconds) } else { 0.0 };
            self.arrivals.push(arrival(self.now + pause, *worker));
        }
    }
}

impl ServiceTimes {
    /// How long a transaction of these writes holds the lock.
    fn group_ms(&self, kinds: impl Iterator<Item = Kind>, round_trip_ms: f64) -> f64 {
        let each = |kind| match kind {
            Kind::Claim => self.claim_ms + self.waits_per_claim * round_trip_ms,
            Kind::Receipt => self.receipt_ms + self.waits_per_receipt * round_trip_ms,
            Kind::Completion => self.completion_ms + self.waits_per_completion * round_trip_ms,
        };
        self.transaction_ms + self.waits_per_transaction * round_trip_ms + kinds.map(each).sum::<f64>()
    }
}

impl Worker {
    /// Sets the next write. Returns whether the worker works on an item before it.
    fn go_on(&mut self) -> bool {
        let (next, works) = match self.kind {
            Kind::Receipt if self.left > 1 => (Kind::Receipt, true),
            Kind::Receipt => (Kind::Completion, false),
            Kind::Completion => (Kind::Claim, false),
            Kind::Claim => (Kind::Receipt, true),
        };
        self.left = if self.kind == Kind::Claim { CHUNK } else { self.left.saturating_sub(1) };
        self.kind = next;
        works
    }
}

/// What happened after the first seconds.
#[derive(Default)]
struct Measured {
    busy_ms: f64,
    transactions: u64,
    receipts: u64,
    waits_ms: Vec<f64>,
    writes: usize,
}

impl Measured {
    fn add_transaction(&mut self, ms: f64, writes: usize) {
        self.busy_ms += ms;
        self.transactions += 1;
        self.writes += writes;
    }

    fn add_write(&mut self, kind: Kind, wait_ms: f64) {
        self.receipts += u64::from(kind == Kind::Receipt);
        self.waits_ms.push(wait_ms);
    }

    fn outcome(mut self, seconds: f64) -> Outcome {
        self.waits_ms.sort_by(f64::total_cmp);
        let last = self.waits_ms.len().saturating_sub(1) as f64;
        let quantile = |share: f64| self.waits_ms.get((last * share) as usize).copied().unwrap_or(f64::NAN);
        Outcome {
            receipts_per_second: self.receipts as f64 / seconds,
            busy: (self.busy_ms / 1e3 / seconds).min(1.0),
            group: self.writes as f64 / self.transactions.max(1) as f64,
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
        }
    }
}

fn arrival(at: f64, worker: usize) -> Arrival {
    Arrival { at: std::cmp::Reverse((at * 1e9) as u64), worker }
}

fn seconds(arrival: &Arrival) -> f64 {
    arrival.at.0 as f64 / 1e9
}
