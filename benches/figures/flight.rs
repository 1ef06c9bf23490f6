//! Many requests in flight on one pipe: they share commits.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::bare::Bare;
use super::client::Client;
use super::fill;
use super::table::{Table, quantile};

const REQUESTS: usize = 3_000;
const ROUNDS: usize = 5;

/// Receipts a second, asked for without waiting, against bare transactions one after the other.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let store = folder.join("flight.db");
    fill::empty(&store)?;
    let mut client = Client::start(&store, "bench")?;
    let made = client.call("create_task", json!({"task_title": "Log"}))?;
    let id = made.pointer("/task/id").and_then(Value::as_str).context("no id")?.to_owned();
    let receipt =
        json!({"name": "update_task", "arguments": {"id": id, "body": "- Archived: 1 | Ann | Lunch"}});
    let mut bare = Bare::open(&folder.join("flight-bare.db"), 0)?;
    bare.warm()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        client.request_all("tools/call", &receipt, REQUESTS)?;
        ours.push(REQUESTS as f64 / began.elapsed().as_secs_f64());
        let began = Instant::now();
        (0..REQUESTS).try_for_each(|_| bare.write())?;
        theirs.push(REQUESTS as f64 / began.elapsed().as_secs_f64());
    }
    table.section("Many requests in flight on one pipe, against bare transactions in turn", "docket", "bare");
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, bare)| ours / bare).collect();
    let shown = |values: &[f64]| format!("{:.0}", quantile(values, 0.5));
    table.row("receipts/s", &shown(&ours), &shown(&theirs), &ratios);
    Ok(())
}
