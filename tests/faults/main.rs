//! Tasktally under faults: a file for each way in which it is attacked. Short in CI; `just faults` runs
//! the rounds that `docs/reliability.md` tells of, by the list in `tests/faults/long`.
//!
//! `TASKTALLY_ROUNDS` asks for more rounds, `TASKTALLY_SEED` for the same ones again; what a test printed
//! shows with `--nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "as in any test")]

#[path = "../support/mod.rs"]
mod support;

#[cfg(target_os = "linux")]
mod asked;
#[cfg(target_os = "linux")]
mod calls;
mod claims_model;
mod claims_store;
mod clock;
mod clock_rounds;
mod clock_runs;
#[cfg(target_os = "linux")]
mod crowd;
#[cfg(target_os = "linux")]
mod disk;
mod disk_full;
#[cfg(target_os = "linux")]
mod failing_calls;
mod fake_clock;
#[cfg(target_os = "linux")]
mod fuzz;
#[cfg(target_os = "linux")]
mod gone;
mod kills;
#[cfg(target_os = "linux")]
mod lost_pages;
mod migrating;
mod movers;
#[cfg(target_os = "linux")]
mod network_disk;
mod old_stores;
#[cfg(target_os = "linux")]
mod power;
mod races;
#[cfg(target_os = "linux")]
mod read_only;
mod reference_model;
#[cfg(target_os = "linux")]
mod requests;
#[cfg(target_os = "linux")]
mod shim;
#[cfg(target_os = "linux")]
mod slow_reader;
#[cfg(target_os = "linux")]
mod stops;
#[cfg(target_os = "linux")]
mod syncs;
mod tampering;
#[cfg(target_os = "linux")]
mod trace;
mod writes;
