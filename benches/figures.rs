//! The cost of Tasktally. Each figure is a ratio to bare SQLite (or to a smaller store, or to a goal) that is measured
//! alternately in the same run: `cargo bench --bench figures`.
//!
//! `TASKTALLY_BENCH_LARGE=1` adds a store of 1,000,000 tasks with 10,000,000 receipts. `TASKTALLY_FLEETWRIGHT=PATH` and
//! `TASKTALLY_TASK_GRAPH=PATH` add other task servers. `TASKTALLY_BENCH_ONLY=operations` (or other sections, separated
//! by commas) measures only these; `postgres` stands for all sections whose names begin with it. The stores are in
//! `TMPDIR`, which must be on the disk that is to be measured. Nothing is random, so there is no seed.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "figures/bare.rs"]
mod bare;
#[path = "figures/batch.rs"]
mod batch;
#[path = "figures/client.rs"]
mod client;
#[path = "figures/commands.rs"]
mod commands;
#[path = "figures/elected.rs"]
mod elected;
#[path = "figures/fill.rs"]
mod fill;
#[path = "figures/flight.rs"]
mod flight;
#[path = "figures/operations.rs"]
mod operations;
#[path = "figures/peer.rs"]
mod peer;
#[path = "figures/polls.rs"]
mod polls;
#[path = "figures/postgres/mod.rs"]
mod postgres;
#[path = "figures/start.rs"]
mod start;
#[path = "figures/swarm.rs"]
mod swarm;
#[path = "figures/table.rs"]
mod table;
#[path = "figures/verify.rs"]
mod verify;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

fn main() -> Result<()> {
    if bare::is_child() {
        return bare::child();
    }
    if elected::is_child() {
        return elected::child();
    }
    let start = Instant::now();
    let folder = tempfile::tempdir()?;
    let mut sizes = vec![1_000, 100_000];
    if std::env::var_os("TASKTALLY_BENCH_LARGE").is_some_and(|value| value == "1") {
        sizes.push(1_000_000);
    }
    println!(
        "tasktally {} on {} cores, SQLite {}, write-ahead log, every commit on disk before its answer; no randomness, no seed",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism()?,
        rusqlite::version()
    );
    println!("p50 and p99 in milliseconds; spread: the ratio's least and greatest in a block of the run");
    let only = std::env::var("TASKTALLY_BENCH_ONLY").unwrap_or_default();
    let only: Vec<&str> = only.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    for name in &only {
        anyhow::ensure!(
            SECTIONS.iter().any(|(known, ..)| selects(name, known)),
            "there is no section '{name}'"
        );
    }
    let mut table = table::Table;
    let mut stores = Vec::new();
    for (name, over, measure) in SECTIONS {
        if !only.is_empty() && !only.iter().any(|selected| selects(selected, name)) {
            continue;
        }
        let start = Instant::now();
        if *over == Over::Filled && stores.is_empty() {
            stores = fill::stores(folder.path(), &sizes)?;
            println!("\nthe stores were filled in {:.0} s", start.elapsed().as_secs_f64());
        }
        measure(&stores, folder.path(), &mut table)?;
        println!("  {name}: {:.0} s", start.elapsed().as_secs_f64());
    }
    println!("\n{:.0} s in all", start.elapsed().as_secs_f64());
    Ok(())
}

/// Whether the caller's word selects a section: its name, or the first word of it.
fn selects(word: &str, section: &str) -> bool {
    section.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// The stores that a section needs.
#[derive(PartialEq, Eq)]
enum Over {
    /// The large filled stores.
    Filled,
    /// Its own stores.
    Fresh,
}

type Section = fn(&[fill::Filled], &Path, &mut table::Table) -> Result<()>;

const SECTIONS: &[(&str, Over, Section)] = &[
    ("operations", Over::Filled, operations::measure),
    ("start", Over::Filled, |stores, _, table| start::measure(stores, table)),
    ("verify", Over::Filled, |stores, _, table| verify::measure(stores, table)),
    ("flight", Over::Fresh, |_, folder, table| flight::measure(folder, table)),
    ("swarm", Over::Fresh, |_, folder, table| swarm::measure(folder, table)),
    ("elected", Over::Fresh, |_, folder, table| elected::measure(folder, table)),
    ("batch", Over::Fresh, |_, folder, table| batch::measure(folder, table)),
    ("polls", Over::Fresh, |_, folder, table| polls::measure(folder, table)),
    ("commands", Over::Fresh, |_, folder, table| commands::measure(folder, table)),
    ("postgres-swarm", Over::Fresh, |_, folder, table| postgres::swarm::measure(folder, table)),
    ("postgres-delay", Over::Fresh, |_, folder, table| postgres::delay::measure(folder, table)),
    ("postgres-stored", Over::Filled, postgres::stored::measure),
    ("postgres-batch", Over::Fresh, |_, folder, table| postgres::batch::measure(folder, table)),
    ("postgres-churn", Over::Fresh, |_, folder, table| postgres::churn::measure(folder, table)),
    ("postgres-service", Over::Fresh, |_, folder, table| postgres::service::measure(folder, table)),
];
