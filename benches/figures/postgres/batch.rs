//! The creation of a batch with a million items, while another process writes.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;

use super::super::batch::{GOAL_WAIT_MS, create, item_count, write};
use super::super::client::Client;
use super::super::table::{Table, quantile};
use super::cluster::Cluster;
use super::number;

const ROUNDS: usize = 3;
/// For a million items.
const GOAL_SECONDS: f64 = 30.0;
const CHUNK: usize = 50;

/// Measures seconds and waits. `TASKTALLY_BENCH_ROUNDS` sets how often, `TASKTALLY_BENCH_ITEMS` the number of items.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let Some(cluster) = Cluster::start(table)? else { return Ok(()) };
    let items = item_count();
    let (mut seconds, mut waits) = (Vec::new(), Vec::new());
    write(&folder.join("items.jsonl"), items, false)?;
    for round in 0..number("TASKTALLY_BENCH_ROUNDS", ROUNDS)? {
        let database = format!("batch_{round}");
        let address = cluster.create_store(&database)?;
        let start = |name| Client::start_in(folder, OsStr::new(&address), name, None);
        let created = create(start("bench")?, start("writer")?, items, CHUNK)?;
        seconds.push(items as f64 / created.rate);
        waits.push(created.longest_write.as_secs_f64() * 1e3);
        let mut sql = cluster.sql(&database)?;
        let size =
            "SELECT pg_total_relation_size('item'), pg_table_size('item'), pg_total_relation_size('task')";
        let row = sql.query_one(size, &[])?;
        let each = |column: usize| row.get::<_, i64>(column) as f64 / items as f64;
        table.note(&format!(
            "memory {:.0} MiB; bytes per item with indexes {:.0} (without {:.0}), and {:.0} of its chunk's task",
            created.mib,
            each(0),
            each(1),
            each(2)
        ));
        sql.batch_execute("CHECKPOINT")?;
    }
    table.section(&format!("create_batch of {items} items in chunks of {CHUNK}"), "tasktally", "goal");
    let mut row = |name: &str, values: &[f64], goal: f64| {
        let ratios: Vec<f64> = values.iter().map(|value| value / goal).collect();
        table.row(name, &format!("{:.1}", quantile(values, 0.5)), &format!("{goal:.0}"), &ratios);
    };
    row("seconds (1 at most)", &seconds, GOAL_SECONDS * items as f64 / 1e6);
    row("longest write of another process, ms (1 at most)", &waits, GOAL_WAIT_MS);
    Ok(())
}
