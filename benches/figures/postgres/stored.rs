//! The time of each operation with many tasks and receipts stored, compared with a small store. The stores are those of
//! SQLite's sections, moved by `tasktally export` and `import`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::super::client::{Client, TASKTALLY};
use super::super::fill::{Filled, RECEIPTS_A_TASK};
use super::super::operations::{OPERATIONS, Times, round};
use super::super::table::{Samples, Table};
use super::cluster::{Cluster, address};
use super::number;

const BLOCKS: usize = 5;
const ROUNDS: usize = 20;
const WARM_ROUNDS: usize = 10;

/// Measures all stores alternately. `TASKTALLY_BENCH_ROUNDS` sets how often in each of five blocks.
pub fn measure(stores: &[Filled], folder: &Path, table: &mut Table) -> Result<()> {
    let Some(cluster) = Cluster::start(table)? else { return Ok(()) };
    let mut clients = Vec::new();
    for store in stores {
        let address = moved(&cluster, store, folder, table)?;
        let mut client = Client::start_in(folder, OsStr::new(&address), "bench", None)?;
        for _ in 0..WARM_ROUNDS {
            round(&mut client, &mut Times::new(), 0)?;
        }
        clients.push((client, Times::new()));
    }
    let rounds = number("TASKTALLY_BENCH_ROUNDS", ROUNDS)?;
    for block in 0..BLOCKS {
        for _ in 0..rounds {
            for (client, times) in &mut clients {
                round(client, times, block)?;
            }
        }
    }
    let (_, small) = clients.first().context("no store")?;
    let of = stores.first().map_or(0, |store| store.tasks);
    for ((_, times), store) in clients.iter().zip(stores).skip(1) {
        table.section(
            &format!("p50 in ms with {} tasks in PostgreSQL, against {of} (goal: 2 at most)", store.tasks),
            &store.tasks.to_string(),
            &of.to_string(),
        );
        for (name, _) in OPERATIONS {
            let (Some(large), Some(small)) = (times.get(name), small.get(name)) else { continue };
            let shown = |samples: &Samples| format!("{:.3}", samples.quantile(0.5));
            table.row(name, &shown(large), &shown(small), &large.ratios(small, 0.5));
        }
    }
    Ok(())
}

/// Moves a store into a database. Returns its address.
fn moved(cluster: &Cluster, store: &Filled, folder: &Path, table: &mut Table) -> Result<String> {
    let database = format!("stored_{}", store.tasks);
    cluster.create_database(&database)?;
    let address = address(cluster.folder(), &database);
    let file = folder.join(format!("{database}.jsonl"));
    let run = |database: &OsStr, words: &[&OsStr]| -> Result<f64> {
        let start = Instant::now();
        let ran = Command::new(TASKTALLY).arg("--db").arg(database).args(words).output()?;
        ensure!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
        Ok(start.elapsed().as_secs_f64())
    };
    let exported = run(store.path.as_os_str(), &["export".as_ref(), file.as_os_str()])?;
    let imported = run(OsStr::new(&address), &["import".as_ref(), file.as_os_str()])?;
    std::fs::remove_file(&file)?;
    let mut sql = cluster.sql(&database)?;
    // What autovacuum does within the next minutes.
    sql.batch_execute("VACUUM (ANALYZE)")?;
    let size = |relation: &str| format!("pg_total_relation_size('{relation}'), pg_table_size('{relation}')");
    let sizes = format!("SELECT {}, {}", size("task"), size("receipt"));
    let sizes = sql.query_one(&sizes, &[])?;
    let each = |column: usize, rows: u64| -> f64 { sizes.get::<_, i64>(column) as f64 / rows as f64 };
    let receipts = store.tasks * RECEIPTS_A_TASK;
    table.note(&format!(
        "{} tasks: exported in {exported:.1} s, imported in {imported:.1} s; bytes with indexes (without): a task {:.0} ({:.0}), a receipt {:.0} ({:.0})",
        store.tasks,
        each(0, store.tasks),
        each(1, store.tasks),
        each(2, receipts),
        each(3, receipts),
    ));
    Ok(address)
}
