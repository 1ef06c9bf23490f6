//! One client on one pipe that sends one request after the other, and one that keeps many in flight, which share commits.
//! Measured on this disk and on one whose syncs take 2 ms longer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::bare::{self, WRITE_MODES};
use super::client::Client;
use super::fill;
use super::table::{Table, quantile};

const SECONDS: f64 = 1.0;
const ROUNDS: usize = 5;
const AT_ONCE: usize = 20_000;

/// Receipts per second, one at a time and in flight, against writes per second of bare SQLite.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    on_disk(folder, "this disk", None, table)?;
    match slow_disk(folder) {
        Ok(library) => on_disk(folder, "a disk that takes 2 ms more a sync", Some(&library), table),
        Err(error) => {
            table.note(&format!("the slow disk is skipped: {error:#}"));
            Ok(())
        }
    }
}

/// Compiles the library that slows down syncs.
fn slow_disk(folder: &Path) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/shims/slow_sync.c");
    let library = folder.join("slow_sync.so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source).arg("-ldl");
    ensure!(cc.status().context("cc does not start")?.success(), "slow_sync.c does not compile");
    Ok(library)
}

fn on_disk(folder: &Path, disk: &str, preload: Option<&Path>, table: &mut Table) -> Result<()> {
    let kind = if preload.is_some() { "slow" } else { "plain" };
    let store = folder.join(format!("flight-{kind}.db"));
    fill::empty(&store)?;
    let mut client = Client::start_over(&store, "bench", preload)?;
    let made = client.call("create_task", json!({"task_title": "Log"}))?;
    let id = made.pointer("/task/id").and_then(Value::as_str).context("no id")?.to_owned();
    let receipt = json!({"id": id, "body": "- Archived: 1 | Ann | Lunch"});
    let call = json!({"name": "update_task", "arguments": receipt});
    // Until the WAL has its full length: a WAL that grows is slower to sync.
    client.request_all("tools/call", &call, 3_000)?;
    let (mut alone, mut at_once) = (Vec::new(), Vec::new());
    let (mut bares, mut asked) = (WRITE_MODES.map(|_| Vec::new()), Vec::new());
    for round in 0..ROUNDS {
        let (start, mut written) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < SECONDS {
            client.call_checked("update_task", &receipt)?;
            written += 1;
        }
        alone.push(f64::from(written) / start.elapsed().as_secs_f64());
        let start = Instant::now();
        client.request_all("tools/call", &call, AT_ONCE)?;
        at_once.push(AT_ONCE as f64 / start.elapsed().as_secs_f64());
        asked.push(bare::asked(&folder.join(format!("flight-{kind}-{round}-asked.db")), SECONDS, preload)?);
        for (number, (rates, (_, mode))) in bares.iter_mut().zip(WRITE_MODES).enumerate() {
            let path = folder.join(format!("flight-{kind}-{round}-{number}.db"));
            rates.push(bare::swarm(&path, 1, SECONDS, mode, preload)?.writes);
        }
    }
    let [single, _, grouped] = &bares;
    table.section(
        &format!("One client on one pipe, {disk}: receipts/s against bare writes/s"),
        "tasktally",
        "bare",
    );
    for (name, ours, bare) in [
        ("one after the other; bare single (goal: 0.8)", &alone, single),
        ("one after the other; bare single, asked over a pipe", &alone, &asked),
        ("many in flight; bare single (goal where sync is all: 10)", &at_once, single),
        ("many in flight; bare 64 a transaction", &at_once, grouped),
    ] {
        let ratios: Vec<f64> = ours.iter().zip(bare).map(|(ours, bare)| ours / bare).collect();
        let shown = |values: &[f64]| format!("{:.0}", quantile(values, 0.5));
        table.row(name, &shown(ours), &shown(bare), &ratios);
    }
    Ok(())
}
