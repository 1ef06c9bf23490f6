//! One, two, eight and thirty-two servers on one file, each with its own worker, compared with as many processes of bare
//! SQLite for the same time.

use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::bare::{self, Rate, WRITE_MODES};
use super::client::{Client, succeeded};
use super::peer::{self, Peer};
use super::table::Table;
use super::{fill, table};

const SIZES: [usize; 4] = [1, 2, 8, 32];
/// The number of workers with which other task servers are measured, too.
const AS_PEERS: usize = 8;
/// The number of receipts of each task.
pub const RECEIPTS: usize = 10;
const ROUNDS: usize = 5;
/// More tasks than any of them can complete.
const TASKS: usize = 4_000;
/// Until the WAL has its full length: a WAL that grows is slower to sync.
const WARM: Duration = Duration::from_millis(300);
/// How long a swarm is measured.
pub const TURN: Duration = Duration::from_secs(1);

/// How a worker claims its task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// `claim_task` returns the best task.
    Given,
    /// The loop of the workflow: lists five tasks and claims the first one that is still free.
    Listed,
}

/// The result of a swarm.
pub struct Swarm {
    /// Its writes.
    pub rate: Rate,
    /// Tasks per second.
    pub tasks: f64,
}

/// Measures Tasktally, three variants of bare SQLite and other task servers alternately.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let peers = peer::all();
    let mut by_listing = Vec::new();
    let mut theirs: Vec<(&Peer, Vec<f64>)> = peers.iter().map(|peer| (peer, Vec::new())).collect();
    for workers in SIZES {
        let mut ours = Vec::new();
        let mut bares = WRITE_MODES.map(|_| Vec::new());
        for round in 0..ROUNDS {
            let path = |name: &str| folder.join(format!("swarm-{workers}-{round}-{name}.db"));
            ours.push(tasktally(&path("tasktally"), workers, Taking::Given)?);
            for (number, (rates, (_, mode))) in bares.iter_mut().zip(WRITE_MODES).enumerate() {
                let path = path(&format!("bare-{number}"));
                rates.push(bare::swarm(&path, workers, TURN.as_secs_f64(), mode, None)?);
            }
            if workers == AS_PEERS {
                by_listing.push(tasktally(&path("listing"), workers, Taking::Listed)?);
                theirs.retain_mut(|(peer, rates)| match peer.swarm(workers) {
                    Ok(rate) => {
                        rates.push(rate);
                        true
                    }
                    Err(error) => {
                        table.note(&format!("{} is left out: {error}", peer.name));
                        false
                    }
                });
            }
        }
        report(workers, &ours, &bares, table);
        if workers == AS_PEERS {
            against_itself(&by_listing, &ours, table);
            against_peers(&ours, &theirs, table);
        }
    }
    Ok(())
}

fn report(workers: usize, ours: &[Swarm], bares: &[Vec<Rate>; WRITE_MODES.len()], table: &mut Table) {
    table.section(
        &format!("{workers} at once on one file: claim, {RECEIPTS} receipts, completion; bare writes receipts alone"),
        "tasktally",
        "bare",
    );
    let shown = median(ours, |swarm| swarm.rate.writes);
    for ((name, _), rates) in WRITE_MODES.iter().zip(bares) {
        let ratios = pairs(ours, rates, |ours, bare| ours.rate.writes / bare.writes);
        table.row(&format!("writes/s; {name}"), &shown, &median(rates, |rate| rate.writes), &ratios);
    }
    let [busy_timeout, lock_file, _] = bares;
    let best: Vec<Rate> =
        busy_timeout.iter().zip(lock_file).map(|(a, b)| if a.writes > b.writes { *a } else { *b }).collect();
    let ratios = pairs(ours, &best, |ours, best| ours.rate.writes / best.writes);
    let goal = "writes/s; the best of bare's single ones (goal: 0.8)";
    table.row(goal, &shown, &median(&best, |rate| rate.writes), &ratios);
    let of = |name: &str, of: fn(&Rate) -> f64, table: &mut Table| {
        let ratios = pairs(ours, &best, |ours, best| of(&ours.rate) / of(best));
        table.row(name, &median(ours, |swarm| of(&swarm.rate)), &median(&best, of), &ratios);
    };
    of("the least share of the mean (goal: 0.5)", |rate| rate.slowest, table);
    of("the longest wait, ms (goal: 500)", |rate| rate.longest * 1000.0, table);
    let worst = |of: fn(&Rate) -> f64, most: fn(f64, f64) -> f64, start: f64| {
        ours.iter().map(|swarm| of(&swarm.rate)).fold(start, most)
    };
    table.note(&format!(
        "in the worst round: the least share {:.2}, the longest wait {:.0} ms",
        worst(|rate| rate.slowest, f64::min, f64::INFINITY),
        worst(|rate| rate.longest * 1000.0, f64::max, 0.0),
    ));
}

fn against_itself(by_listing: &[Swarm], ours: &[Swarm], table: &mut Table) {
    table.section("The workflow's loop (list five, claim one), against claim_task", "listing", "claim_task");
    let ratios = pairs(by_listing, ours, |listing, ours| listing.tasks / ours.tasks);
    let tasks = |swarms| median(swarms, |swarm: &Swarm| swarm.tasks);
    table.row("tasks/s", &tasks(by_listing), &tasks(ours), &ratios);
}

fn against_peers(ours: &[Swarm], theirs: &[(&Peer, Vec<f64>)], table: &mut Table) {
    table.section(
        &format!("{AS_PEERS} workers against peers that do the same: a claim and {RECEIPTS} receipts a task"),
        "tasktally",
        "peer",
    );
    for (peer, rates) in theirs {
        let ratios = pairs(ours, rates, |ours, peer| ours.tasks / peer);
        let name = format!("tasks/s; {}", peer.name);
        table.row(&name, &median(ours, |swarm| swarm.tasks), &median(rates, |rate| *rate), &ratios);
    }
    for (name, how) in peer::missing() {
        table.note(&format!("{name} skipped: {how}"));
    }
}

fn pairs<A, B>(ours: &[A], other: &[B], of: impl Fn(&A, &B) -> f64) -> Vec<f64> {
    ours.iter().zip(other).map(|(ours, other)| of(ours, other)).collect()
}

fn median<T>(values: &[T], of: impl Fn(&T) -> f64) -> String {
    let value = table::quantile(&values.iter().map(of).collect::<Vec<_>>(), 0.5);
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// Writes per second of a number of servers.
pub fn given(path: &Path, workers: usize) -> Result<f64> {
    Ok(tasktally(path, workers, Taking::Given)?.rate.writes)
}

fn tasktally(path: &Path, workers: usize, taking: Taking) -> Result<Swarm> {
    fill::empty(path)?;
    let mut clients = (1..=workers)
        .map(|number| Client::start(path, &format!("worker-{number}")))
        .collect::<Result<Vec<_>>>()?;
    create_tasks(clients.first_mut().context("no worker")?, TASKS)?;
    work(&mut clients, taking, TURN)
}

/// Creates tasks, as many as the workers of a swarm need.
pub fn create_tasks(client: &mut Client, tasks: usize) -> Result<()> {
    let task = json!({"name": "create_task", "arguments": {"task_title": "Archive a mail"}});
    client.request_all("tools/call", &task, tasks)
}

/// Each client works on tasks for this time.
pub fn work(clients: &mut [Client], taking: Taking, turn: Duration) -> Result<Swarm> {
    let start = Barrier::new(clients.len());
    let done = std::thread::scope(|scope| -> Result<Vec<Worker>> {
        let threads: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(number, client)| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let mut worker = Worker::new(format!("worker-{}", number + 1), client, turn);
                    worker.work(taking).map(|()| worker)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a worker panicked"))?).collect()
    })?;
    let writes: Vec<f64> = done.iter().map(|worker| worker.writes as f64).collect();
    let longest = done.iter().map(|worker| worker.longest).max().unwrap_or_default();
    let rate = Rate::of(&writes, turn.as_secs_f64(), longest.as_secs_f64());
    // An unfinished task counts by its completed part.
    Ok(Swarm { tasks: rate.writes / (RECEIPTS + 2) as f64, rate })
}

/// A worker and what it did in the measured time.
struct Worker<'a> {
    name: String,
    client: &'a mut Client,
    turn: Duration,
    start: Instant,
    writes: usize,
    longest: Duration,
}

impl<'a> Worker<'a> {
    fn new(name: String, client: &'a mut Client, turn: Duration) -> Self {
        Worker { name, client, turn, start: Instant::now(), writes: 0, longest: Duration::ZERO }
    }

    fn is_over(&self) -> bool {
        self.start.elapsed() > WARM + self.turn
    }

    /// Counts a write that was sent at this time.
    fn count(&mut self, asked: Instant) {
        if asked.duration_since(self.start) > WARM && !self.is_over() {
            self.writes += 1;
        }
        if asked.duration_since(self.start) > WARM {
            self.longest = self.longest.max(asked.elapsed());
        }
    }

    fn work(&mut self, taking: Taking) -> Result<()> {
        while !self.is_over() {
            let taken = match taking {
                Taking::Given => Some(self.given()?),
                Taking::Listed => self.listed()?,
            };
            let Some((id, claim)) = taken else { continue };
            let text = "- Archived: 2025-11-03 | Ann | Lunch";
            let receipt = json!({"id": id, "claim": claim, "assignee": self.name, "body": text});
            for _ in 0..RECEIPTS {
                if self.is_over() {
                    return Ok(());
                }
                self.write("update_task", &receipt)?;
            }
            self.write("complete_task", &json!({"id": id, "claim": claim}))?;
        }
        Ok(())
    }

    fn write(&mut self, tool: &str, arguments: &Value) -> Result<()> {
        let asked = Instant::now();
        self.client.call_checked(tool, arguments)?;
        self.count(asked);
        Ok(())
    }

    fn given(&mut self) -> Result<(Value, Value)> {
        let asked = Instant::now();
        let mut won = self.client.call("claim_task", json!({"worker": self.name}))?;
        self.count(asked);
        Ok((won["task"]["id"].take(), won["claim"]["token"].take()))
    }

    /// Claims one of the listed tasks; none if all were claimed meanwhile.
    fn listed(&mut self) -> Result<Option<(Value, Value)>> {
        let mut listed = self.client.call("list_tasks", json!({"status": "active"}))?;
        for task in listed["tasks"].as_array_mut().context("no tasks")? {
            let id = task["id"].take();
            let asked = Instant::now();
            let claim = json!({"id": id, "status": "in_progress", "assignee": self.name});
            let won = self.client.try_call("update_task", claim)?;
            if succeeded(&won) {
                self.count(asked);
                return Ok(Some((id, Value::Null)));
            }
            let lost = won["code"] == "already_claimed" || won["code"] == "not_ready";
            anyhow::ensure!(lost, "a claim failed: {won}");
        }
        Ok(None)
    }
}
