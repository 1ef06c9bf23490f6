//! Service times for the simulation of `benches/scale.rs`: what a transaction costs by itself, and what each write in it
//! adds, while nothing else waits for the store's lock.
//!
//! One process keeps a number of requests in flight. Then the lock is always held, and a group takes as long as its writes
//! divided by the writes per second.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::super::client::Client;
use super::super::table::{Table, quantile};
use super::cluster::{Cluster, servers};
use super::number;

const ROUNDS: usize = 5;
const TASKS: usize = 400;
const RECEIPTS: usize = 2_000;
const TURN: Duration = Duration::from_secs(2);
const IN_FLIGHT: [usize; 3] = [1, 8, 64];

/// Prints the service times as the lines of `benches/scale/service_times.json`.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let Some(cluster) = Cluster::start(table)? else { return Ok(()) };
    let rounds = number("TASKTALLY_BENCH_ROUNDS", ROUNDS)?;
    let mut receipts = IN_FLIGHT.map(|_| Vec::new());
    let mut singles: [Vec<f64>; 4] = Default::default();
    for round in 0..rounds {
        let address = cluster.create_store(&format!("service_{round}"))?;
        let mut servers = servers(folder, &address, 1)?;
        let client = servers.first_mut().context("no server")?;
        for (times, at_once) in receipts.iter_mut().zip(IN_FLIGHT) {
            times.push(receipt_ms(client, at_once)?);
        }
        for (times, measured) in singles.iter_mut().zip(alone(client)?) {
            times.push(measured);
        }
    }
    let [single, _, many] = receipts.each_ref().map(|times| quantile(times, 0.5));
    let [_, claim, receipt, completion] = singles.each_ref().map(|times| quantile(times, 0.5));
    // A group of n takes as long as its transaction and n receipts.
    let each = (many * IN_FLIGHT[2] as f64 - single) / (IN_FLIGHT[2] - 1) as f64;
    let transaction = single - each;
    table.section("Milliseconds of one process per write", "", "");
    for (times, at_once) in receipts.iter().zip(IN_FLIGHT) {
        table.note(&format!("a receipt without a claim, {at_once} in flight: {:.3}", quantile(times, 0.5)));
    }
    for (times, name) in singles.iter().zip(["create_task", "claim_task", "a receipt", "complete_task"]) {
        table.note(&format!("{name} of a claimed task, alone: {:.3}", quantile(times, 0.5)));
    }
    let times = [
        ("transaction_ms", transaction),
        ("receipt_ms", receipt - transaction),
        ("claim_ms", claim - transaction),
        ("completion_ms", completion - transaction),
    ];
    let line = |(name, ms): (&str, f64)| format!("\"{name}\": {:.2}", ms.max(0.0));
    table.note(&format!("for benches/scale/service_times.json: {}", times.map(line).join(", ")));
    Ok(())
}

/// Milliseconds per receipt.
fn receipt_ms(client: &mut Client, at_once: usize) -> Result<f64> {
    let made = client.call("create_task", json!({"task_title": "Log"}))?;
    let id = made.pointer("/task/id").and_then(Value::as_str).context("no id")?;
    let call = json!({"name": "update_task", "arguments": {"id": id, "body": "- Archived: 1 | Ann | Lunch"}});
    client.request_all("tools/call", &call, RECEIPTS / 10)?;
    let start = Instant::now();
    let written = client.keep_asking("tools/call", &call, at_once, TURN)?;
    Ok(start.elapsed().as_secs_f64() * 1e3 / written as f64)
}

/// Medians of the operations of a task, one after the other.
fn alone(client: &mut Client) -> Result<[f64; 4]> {
    let mut times: [Vec<f64>; 4] = Default::default();
    let [created, claimed, receipts, completed] = &mut times;
    let mut call = |times: &mut Vec<f64>, tool: &str, arguments: Value| -> Result<Value> {
        let start = Instant::now();
        let reply = client.call(tool, arguments)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        Ok(reply)
    };
    for _ in 0..TASKS {
        call(created, "create_task", json!({"task_title": "Archive a mail", "priority": 0}))?;
        let won = call(claimed, "claim_task", json!({"worker": "bench"}))?;
        let (id, claim) = (&won["task"]["id"], &won["claim"]["token"]);
        call(
            receipts,
            "update_task",
            json!({"id": id, "claim": claim, "body": "- Archived: 1 | Ann | Lunch"}),
        )?;
        call(completed, "complete_task", json!({"id": id, "claim": claim}))?;
    }
    Ok(times.map(|times| quantile(&times, 0.5)))
}
