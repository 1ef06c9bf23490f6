//! A hundred supervisors that poll while eight workers work, all on one file.
//!
//! Each supervisor has its own server process and calls `get_batch(id, since)` once per second. An agent polls every few
//! minutes, an eager script every second.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::client::{Client, succeeded};
use super::fill;
use super::table::{Table, quantile};

const SUPERVISORS: usize = 100;
const WORKERS: usize = 8;
const ITEMS: usize = 48_000;
const CHUNK: usize = 50;
const EVERY: Duration = Duration::from_secs(1);
/// How long the workers are measured with and without supervisors.
const TURN: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;

/// What the supervisors measured in a round.
#[derive(Default)]
struct Polled {
    answers: Vec<f64>,
    errors: Vec<String>,
}

/// Measures the workers alone and with supervisors alternately.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let path = folder.join("polls.db");
    fill::empty(&path)?;
    let start = |number: usize| Client::start(&path, &format!("client-{number}"));
    let mut supervisors = (0..SUPERVISORS).map(start).collect::<Result<Vec<_>>>()?;
    let mut workers = (0..WORKERS).map(start).collect::<Result<Vec<_>>>()?;
    let (mut alone, mut watched, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut polled = Polled::default();
    for round in 0..ROUNDS {
        let batch = make(supervisors.first_mut().context("no supervisor")?)?;
        // The order changes, because a batch is faster to read at its start.
        let mut rates = [0.0; 2];
        for turn in 0..2 {
            let with = (round + turn) % 2;
            let asked: &mut [Client] = if with == 1 { &mut supervisors } else { &mut [] };
            let (rate, seen) = turn_of(&batch, &mut workers, asked)?;
            rates[with] = rate;
            polled.answers.extend(seen.answers);
            polled.errors.extend(seen.errors);
        }
        alone.push(rates[0]);
        watched.push(rates[1]);
        ratios.push(rates[1] / rates[0]);
    }
    table.section(
        &format!("{SUPERVISORS} supervisors, a process each, poll every second; {WORKERS} workers, one file"),
        "with",
        "without",
    );
    let shown = |rates: &[f64]| format!("{:.0}", quantile(rates, 0.5));
    table.row("workers' receipts/s (goal: 0.67 at least)", &shown(&watched), &shown(&alone), &ratios);
    table.note(&format!(
        "{} polls, p50 {:.1} ms, p99 {:.1} ms; {} errors{}",
        polled.answers.len(),
        quantile(&polled.answers, 0.5),
        quantile(&polled.answers, 0.99),
        polled.errors.len(),
        polled.errors.first().map_or(String::new(), |error| format!(", the first: {error}")),
    ));
    Ok(())
}

fn make(client: &mut Client) -> Result<Value> {
    let items: Vec<String> = (0..ITEMS).map(|number| format!("mail-{number:06}")).collect();
    let batch = json!({"title": "Archive mail", "instructions": "x", "items": items, "max_chunk": CHUNK});
    Ok(client.call("create_batch", batch)?["batch"]["id"].take())
}

/// Lets the workers work for a round while the supervisors poll. Returns the receipts per second.
fn turn_of(batch: &Value, workers: &mut [Client], supervisors: &mut [Client]) -> Result<(f64, Polled)> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        let count = supervisors.len();
        let polling: Vec<_> = supervisors
            .iter_mut()
            .enumerate()
            .map(|(number, client)| {
                // Spread over the second, as independent processes are.
                let first = EVERY * u32::try_from(number).unwrap_or(0) / u32::try_from(count).unwrap_or(1);
                scope.spawn(move || poll(batch, client, first, over))
            })
            .collect();
        let start = Instant::now();
        let working: Vec<_> =
            workers.iter_mut().map(|client| scope.spawn(move || work(batch, client, start))).collect();
        let mut receipts = 0;
        for worker in working {
            receipts += worker.join().map_err(|_| anyhow!("a worker panicked"))??;
        }
        let seconds = start.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        let mut polled = Polled::default();
        for supervisor in polling {
            let seen = supervisor.join().map_err(|_| anyhow!("a supervisor panicked"))?;
            polled.answers.extend(seen.answers);
            polled.errors.extend(seen.errors);
        }
        Ok((receipts as f64 / seconds, polled))
    })
}

/// Polls once per second until the round is over.
fn poll(batch: &Value, client: &mut Client, first: Duration, over: &AtomicBool) -> Polled {
    let mut polled = Polled::default();
    let mut since = Value::Null;
    std::thread::sleep(first);
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        match client.try_call("get_batch", json!({"id": batch, "since": since})) {
            Ok(mut reply) if succeeded(&reply) => since = reply["since"].take(),
            Ok(refused) => polled.errors.push(refused.to_string()),
            Err(error) => polled.errors.push(error.to_string()),
        }
        polled.answers.push(asked.elapsed().as_secs_f64() * 1000.0);
        std::thread::sleep(EVERY.saturating_sub(asked.elapsed()));
    }
    polled
}

/// Claims chunks and writes a receipt per item until the round is over. Returns the number of receipts.
fn work(batch: &Value, client: &mut Client, start: Instant) -> Result<usize> {
    let mut receipts = 0;
    loop {
        let claim = client.call("claim_task", json!({"batch": batch}))?;
        let (chunk, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
        for item in claim["items"].as_array().context("no items")? {
            if start.elapsed() >= TURN {
                client.call(
                    "release_task",
                    json!({"id": chunk, "claim": token, "reason": "the turn is over"}),
                )?;
                return Ok(receipts);
            }
            let receipt = json!({"id": chunk, "claim": token, "item": item["key"], "outcome": "done",
                                 "category": "archive", "body": "- Archived"});
            client.call("update_task", receipt)?;
            receipts += 1;
        }
        client.call("complete_task", json!({"id": chunk, "claim": token}))?;
    }
}
