//! Start time, memory and binary size, compared with their goals.

use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::client::{Client, TASKTALLY, memory_mib};
use super::fill::Filled;
use super::table::{Table, quantile};

const STARTS: usize = 15;
const GOAL_START_MS: f64 = 10.0;
const GOAL_MB: f64 = 12.0;
const GOAL_MIB: f64 = 20.0;

/// Measures with the largest store of the default run.
pub fn measure(stores: &[Filled], table: &mut Table) -> Result<()> {
    table.section("Start and size, against the goal", "tasktally", "goal");
    for store in stores {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let start = Instant::now();
            let mut client = Client::start(&store.path, "bench")?;
            client.request("tools/list", json!({}))?;
            times.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        let ratios: Vec<f64> = times.iter().map(|time| time / GOAL_START_MS).collect();
        table.row(
            &format!("start to the tools/list reply, {} tasks, ms", store.tasks),
            &format!("{:.1}", quantile(&times, 0.5)),
            &format!("{GOAL_START_MS:.0}"),
            &ratios,
        );
    }
    let megabytes = std::fs::metadata(TASKTALLY)?.len() as f64 / 1_000_000.0;
    table.row("the binary, MB", &format!("{megabytes:.2}"), &format!("{GOAL_MB:.0}"), &[megabytes / GOAL_MB]);
    Ok(())
}

/// The memory of a server after some work, compared with the goal.
pub fn memory(client: &Client, tasks: u64, table: &mut Table) -> Result<()> {
    for (field, name) in [("VmRSS:", "memory"), ("VmHWM:", "memory at its most")] {
        let mib = memory_mib(client.id(), field)?;
        table.row(
            &format!("{name} after this work, {tasks} tasks, MiB"),
            &format!("{mib:.1}"),
            &format!("{GOAL_MIB:.0}"),
            &[mib / GOAL_MIB],
        );
    }
    Ok(())
}
