//! The store in PostgreSQL under crashes, races and refusals, and the test cluster that it runs on.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds, `TASKTALLY_STEP=3` cuts connections at every third message
//! and not at each, `TASKTALLY_SEED` repeats the same random ones. `--nocapture` shows what a test printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "as in any test")]

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod cluster;
mod cut_connections;
#[cfg(target_os = "linux")]
mod cut_off_hosts;
mod doctor;
mod failover;
mod full_disk;
#[cfg(target_os = "linux")]
mod hosts;
mod idle_connections;
mod linearizability;
mod many_machines;
mod migrations;
mod passwords;
mod patient_client;
mod pgbouncer;
mod protection;
mod proxy;
mod races;
mod refusals;
mod round_trips;
mod server_kills;
mod tls;
mod transfer;
