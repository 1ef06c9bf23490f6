//! What Docket costs, each figure a ratio to bare SQLite (or to a smaller store, or to a goal)
//! measured in the same run, turn by turn: `cargo bench --bench figures`.
//!
//! `DOCKET_BENCH_LARGE=1` adds a store of 1,000,000 tasks; `DOCKET_FLEETWRIGHT=PATH` the peer;
//! `DOCKET_BENCH_ONLY=operations` (or `start`, `flight`, `swarm`, `polls`, `commands`) measures one section.
//! Nothing is random: there is no seed.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "figures/bare.rs"]
mod bare;
#[path = "figures/client.rs"]
mod client;
#[path = "figures/commands.rs"]
mod commands;
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
#[path = "figures/start.rs"]
mod start;
#[path = "figures/swarm.rs"]
mod swarm;
#[path = "figures/table.rs"]
mod table;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

fn main() -> Result<()> {
    if bare::is_child() {
        return bare::child();
    }
    let began = Instant::now();
    let folder = tempfile::tempdir()?;
    let mut sizes = vec![1_000, 100_000];
    if std::env::var_os("DOCKET_BENCH_LARGE").is_some_and(|value| value == "1") {
        sizes.push(1_000_000);
    }
    let stores = fill::stores(folder.path(), &sizes)?;
    println!(
        "docket {} on {} cores, SQLite {}, write-ahead log, every commit on disk before its answer; no randomness, no seed",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism()?,
        rusqlite::version()
    );
    println!("p50 and p99 in milliseconds; spread: the ratio's least and greatest in a block of the run\n");
    let mut table = table::Table;
    type Section = fn(&[fill::Filled], &Path, &mut table::Table) -> Result<()>;
    let sections: [(&str, Section); 6] = [
        ("operations", operations::measure),
        ("start", |stores, _, table| start::measure(stores, table)),
        ("flight", |_, folder, table| flight::measure(folder, table)),
        ("swarm", |_, folder, table| swarm::measure(folder, table)),
        ("polls", |_, folder, table| polls::measure(folder, table)),
        ("commands", |_, folder, table| commands::measure(folder, table)),
    ];
    for (name, measure) in sections {
        if std::env::var("DOCKET_BENCH_ONLY").is_ok_and(|only| only != name) {
            continue;
        }
        measure(&stores, folder.path(), &mut table)?;
    }
    println!("\n{:.0} s in all", began.elapsed().as_secs_f64());
    Ok(())
}
