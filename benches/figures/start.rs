//! Start, memory and size, each against its goal.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use super::client::{Client, DOCKET};
use super::fill::Filled;
use super::table::{Table, quantile};

const STARTS: usize = 15;
const GOAL_START_MS: f64 = 15.0;
const GOAL_MIB: f64 = 20.0;

/// Measures over the largest store of the default run.
pub fn measure(stores: &[Filled], table: &mut Table) -> Result<()> {
    table.section("Start and size, against the goal", "docket", "goal");
    for store in stores {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let began = Instant::now();
            let mut client = Client::start(&store.path, "bench")?;
            client.request("tools/list", json!({}))?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        let ratios: Vec<f64> = times.iter().map(|time| time / GOAL_START_MS).collect();
        table.row(
            &format!("start to the tools/list reply, {} tasks, ms", store.tasks),
            &format!("{:.1}", quantile(&times, 0.5)),
            &format!("{GOAL_START_MS:.0}"),
            &ratios,
        );
    }
    let bytes = std::fs::metadata(DOCKET)?.len() as f64;
    table.note(&format!("the binary is {:.1} MiB", bytes / 1_048_576.0));
    Ok(())
}

/// A server's memory in MiB after it has worked, against the goal.
pub fn memory(client: &Client, tasks: u64, table: &mut Table) -> Result<()> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", client.id()))?;
    for (field, name) in [("VmRSS:", "memory"), ("VmHWM:", "memory at its most")] {
        let line = status.lines().find(|line| line.starts_with(field)).context("no such field")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
        let mib = kib / 1024.0;
        table.row(
            &format!("{name} after this work, {tasks} tasks, MiB"),
            &format!("{mib:.1}"),
            &format!("{GOAL_MIB:.0}"),
            &[mib / GOAL_MIB],
        );
    }
    Ok(())
}
