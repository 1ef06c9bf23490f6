//! Receipts of eight processes with eight requests in flight each, while a proxy delays everything by 1 ms each way.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};

use super::super::client::Client;
use super::super::table::{Table, quantile};
use super::cluster::{Cluster, address, servers};
use super::{PROCESSES, number};

const IN_FLIGHT: usize = 8;
const GOAL: f64 = 1_000.0;
const DELAY: Duration = Duration::from_millis(1);
const WARM: Duration = Duration::from_secs(1);
const TURN: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
const SOCKET: &str = ".s.PGSQL.5432";

/// Measures with and without the delay, alternately.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let Some(cluster) = Cluster::start(table)? else { return Ok(()) };
    start_proxy(&folder.join(SOCKET), &cluster.folder().join(SOCKET), DELAY)?;
    let near = cluster.create_store("delay")?;
    let far = address(folder, "delay");
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..number("TASKTALLY_BENCH_ROUNDS", ROUNDS)? {
        with.push(receipts_per_second(folder, &far)?);
        without.push(receipts_per_second(folder, &near)?);
    }
    table.section(
        &format!("{PROCESSES} processes with {IN_FLIGHT} requests in flight each, 1 ms added each way"),
        "1 ms added",
        "other",
    );
    let shown = |values: &[f64]| format!("{:.0}", quantile(values, 0.5));
    let to_goal: Vec<f64> = with.iter().map(|rate| rate / GOAL).collect();
    table.row("receipts/s; the goal (1 at least)", &shown(&with), &format!("{GOAL:.0}"), &to_goal);
    let ratios: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with / without).collect();
    table.row("receipts/s; without the delay", &shown(&with), &shown(&without), &ratios);
    Ok(())
}

/// Every process writes receipts of its own task.
fn receipts_per_second(folder: &Path, address: &str) -> Result<f64> {
    let mut servers = servers(folder, address, PROCESSES)?;
    let written: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = servers.iter_mut().map(|server| scope.spawn(|| receipts(server))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?)
            .sum::<Result<_>>()
    })?;
    Ok(written as f64 / TURN.as_secs_f64())
}

fn receipts(server: &mut Client) -> Result<usize> {
    let made = server.call("create_task", json!({"task_title": "Log"}))?;
    let id = made.pointer("/task/id").and_then(Value::as_str).context("no id")?;
    let call = json!({"name": "update_task", "arguments": {"id": id, "body": "- Archived: 1 | Ann | Lunch"}});
    server.keep_asking("tools/call", &call, IN_FLIGHT, WARM)?;
    server.keep_asking("tools/call", &call, IN_FLIGHT, TURN)
}

/// Passes connections on, and every byte later than it came. Nothing waits for what came before it, so the throughput stays.
fn start_proxy(socket: &Path, target: &Path, delay: Duration) -> Result<()> {
    let listener = UnixListener::bind(socket)?;
    let target = target.to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = UnixStream::connect(&target) else { continue };
            let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else {
                continue;
            };
            pass_on(from_client, server, delay);
            pass_on(from_server, client, delay);
        }
    });
    Ok(())
}

fn pass_on(mut from: UnixStream, mut to: UnixStream, delay: Duration) {
    let (queue, received) = channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if queue.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, bytes) in received {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}
