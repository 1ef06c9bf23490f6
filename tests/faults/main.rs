//! Tasktally under faults, one file per kind of fault. Short in CI. `just faults` runs the number of rounds that
//! `docs/reliability.md` reports, from the list in `tests/faults/long`.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds, `TASKTALLY_SEED` repeats the same random ones. `--nocapture` shows
//! what a test printed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "as in any test")]

#[path = "../support/mod.rs"]
mod support;

mod broken_rules;
#[cfg(target_os = "linux")]
mod calls;
mod claims_model;
#[cfg(target_os = "linux")]
mod claims_store;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod disk;
mod disk_full;
#[cfg(target_os = "linux")]
mod every_write;
#[cfg(target_os = "linux")]
mod failing_calls;
#[cfg(target_os = "linux")]
mod fake_clock;
#[cfg(target_os = "linux")]
mod fuzz;
#[cfg(target_os = "linux")]
mod fuzz_requests;
mod kills;
mod large_batches;
#[cfg(target_os = "linux")]
mod lost_pages;
#[cfg(target_os = "linux")]
mod many_processes;
mod migration;
#[cfg(target_os = "linux")]
mod missing_store;
#[cfg(target_os = "linux")]
mod network_disk;
mod old_stores;
#[cfg(target_os = "linux")]
mod power_cut;
mod races;
#[cfg(target_os = "linux")]
mod random_clocks;
#[cfg(target_os = "linux")]
mod read_only_disk;
mod reference_model;
#[cfg(target_os = "linux")]
mod second_name;
mod second_open;
#[cfg(target_os = "linux")]
mod shim;
#[cfg(target_os = "linux")]
mod slow_reader;
#[cfg(target_os = "linux")]
mod stops;
#[cfg(target_os = "linux")]
mod stored_writes;
#[cfg(target_os = "linux")]
mod sync_before_answer;
mod tampering;
#[cfg(target_os = "linux")]
mod trace;
mod transfer;
#[cfg(target_os = "linux")]
mod workers_and_clocks;
