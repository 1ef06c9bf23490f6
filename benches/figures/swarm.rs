//! Eight servers on one file, each driven by a worker in the workflow's loop.

use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::bare::{self, Rate, Turns};
use super::client::{Client, succeeded};
use super::table::Table;
use super::{fill, peer};

const WORKERS: usize = 8;
const TASKS: usize = 250;
const RECEIPTS: usize = 10;
const ROUNDS: usize = 5;
/// The peer is slower; it gets as much work as it does in about the same time.
const PEER_TASKS: usize = 100;

/// How a claim is refused that another worker was faster with.
const LOST: [&str; 2] = ["already_claimed", "not_ready"];

/// What one worker did.
#[derive(Default)]
struct Worker {
    tasks: usize,
    writes: usize,
    refused: usize,
    lists: usize,
    listing: Duration,
    longest: Duration,
}

/// What the swarm did.
struct Swarm {
    rate: Rate,
    seconds: f64,
    refused: usize,
    lists: usize,
    listing_ms: f64,
}

/// Docket, bare SQLite both ways, and the peer, in turn.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let (mut ours, mut busy, mut ticket, mut peers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let swarm = docket(&folder.join(format!("swarm-{round}.db")))?;
        let seconds = swarm.seconds.min(6.0);
        ours.push(swarm);
        let turn = |turns, name| {
            bare::swarm(&folder.join(format!("swarm-{round}-{name}.db")), WORKERS as i64, seconds, turns)
        };
        busy.push(turn(Turns::Busy, "busy")?);
        ticket.push(turn(Turns::Ticket, "ticket")?);
        if let Some(program) = peer::program() {
            peers.push(peer::swarm(&program, WORKERS, PEER_TASKS)?);
        }
    }
    report(&ours, &busy, &ticket, table);
    table.section("The swarm against the fastest peer", "docket", "fleetwright");
    if peers.is_empty() {
        table.note("skipped: `pip install fleetwright`, then DOCKET_FLEETWRIGHT=path/to/fleetwright");
    } else {
        let ratios = pairs(&ours, &peers, |ours, peer| tasks_per_s(ours) / peer);
        table.row(
            "tasks/s (goal: 2 at least)",
            &median(&ours, tasks_per_s),
            &median(&peers, |rate| *rate),
            &ratios,
        );
    }
    Ok(())
}

fn report(ours: &[Swarm], busy: &[Rate], ticket: &[Rate], table: &mut Table) {
    table.section(
        &format!("The swarm: {WORKERS} servers, one file, {TASKS} tasks of {RECEIPTS} receipts; bare SQLite for as long"),
        "docket",
        "bare",
    );
    let own = |swarm: &Swarm| swarm.rate.writes;
    for (name, bare) in [("busy timeout", busy), ("ticket", ticket)] {
        for (what, of) in [
            ("transactions/s", (|rate| rate.writes) as fn(&Rate) -> f64),
            ("slowest worker's share of the mean", |rate| rate.slowest),
            ("longest wait, s", |rate| rate.longest),
        ] {
            let ratios = pairs(ours, bare, |ours, bare| of(&ours.rate) / of(bare));
            let shown = median(ours, |swarm| of(&swarm.rate));
            table.row(&format!("{what}; bare with {name}"), &shown, &median(bare, of), &ratios);
        }
    }
    let best: Vec<f64> = busy.iter().zip(ticket).map(|(a, b)| a.writes.max(b.writes)).collect();
    let ratios = pairs(ours, &best, |ours, best| own(ours) / best);
    table.row("transactions/s; the best of bare", &median(ours, own), &median(&best, |rate| *rate), &ratios);
    table.note(&format!(
        "{} tasks/s; {} lists took {} ms each; {} claims were refused",
        median(ours, tasks_per_s),
        median(ours, |swarm| swarm.lists as f64),
        median(ours, |swarm| swarm.listing_ms),
        median(ours, |swarm| swarm.refused as f64),
    ));
}

fn tasks_per_s(swarm: &Swarm) -> f64 {
    TASKS as f64 / swarm.seconds
}

fn pairs<A, B>(ours: &[A], other: &[B], of: impl Fn(&A, &B) -> f64) -> Vec<f64> {
    ours.iter().zip(other).map(|(ours, other)| of(ours, other)).collect()
}

fn median<T>(values: &[T], of: impl Fn(&T) -> f64) -> String {
    let value = super::table::quantile(&values.iter().map(of).collect::<Vec<_>>(), 0.5);
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn docket(path: &Path) -> Result<Swarm> {
    fill::empty(path)?;
    let mut clients = Vec::new();
    for number in 1..=WORKERS {
        clients.push(Client::start(path, &format!("worker-{number}"))?);
    }
    let maker = clients.first_mut().context("no worker")?;
    for number in 1..=TASKS {
        maker.call("create_task", json!({"task_title": format!("Archive mail {number:06}")}))?;
    }
    let start = Barrier::new(WORKERS + 1);
    let (workers, seconds) = std::thread::scope(|scope| -> Result<_> {
        let threads: Vec<_> = clients
            .iter_mut()
            .enumerate()
            .map(|(number, client)| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    work(client, &format!("worker-{}", number + 1))
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        let workers = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a worker panicked"))?)
            .collect::<Result<Vec<_>>>()?;
        Ok((workers, began.elapsed().as_secs_f64()))
    })?;
    let sum = |of: fn(&Worker) -> usize| workers.iter().map(of).sum::<usize>();
    ensure!(
        sum(|worker| worker.tasks) == TASKS,
        "{} tasks were done, not {TASKS}",
        sum(|worker| worker.tasks)
    );
    let writes: Vec<f64> = workers.iter().map(|worker| worker.writes as f64).collect();
    let longest = workers.iter().map(|worker| worker.longest).max().unwrap_or_default();
    let listing: Duration = workers.iter().map(|worker| worker.listing).sum();
    let lists = sum(|worker| worker.lists);
    Ok(Swarm {
        rate: Rate::of(&writes, seconds, longest.as_secs_f64()),
        seconds,
        refused: sum(|worker| worker.refused),
        lists,
        listing_ms: listing.as_secs_f64() * 1000.0 / lists as f64,
    })
}

/// The four-call loop until no active task is left.
fn work(client: &mut Client, name: &str) -> Result<Worker> {
    let mut done = Worker::default();
    loop {
        let asked = Instant::now();
        let listed = client.call("list_tasks", json!({"status": "active"}))?;
        done.lists += 1;
        done.listing += asked.elapsed();
        let tasks = listed.get("tasks").and_then(Value::as_array).context("no tasks")?;
        if tasks.is_empty() {
            return Ok(done);
        }
        for task in tasks {
            let id = task.get("id").and_then(Value::as_str).context("no id")?;
            let asked = Instant::now();
            let won = client
                .try_call("update_task", json!({"id": id, "status": "in_progress", "assignee": name}))?;
            done.longest = done.longest.max(asked.elapsed());
            if !succeeded(&won) {
                let said = won.to_string();
                ensure!(LOST.iter().any(|code| said.contains(code)), "a claim failed: {won}");
                done.refused += 1;
                continue;
            }
            done.writes += 1;
            let mut write = |tool: &str, arguments: Value| -> Result<()> {
                let asked = Instant::now();
                client.call(tool, arguments)?;
                done.longest = done.longest.max(asked.elapsed());
                done.writes += 1;
                Ok(())
            };
            for number in 1..=RECEIPTS {
                write(
                    "update_task",
                    json!({"id": id, "body": format!("- Archived: {number} | Ann | Lunch"), "assignee": name}),
                )?;
            }
            write("complete_task", json!({"id": id}))?;
            done.tasks += 1;
            break;
        }
    }
}
