//! Docket under faults: a file for each way in which it is attacked. Short in CI; `just faults` runs
//! the rounds that `docs/reliability.md` tells of, by the list in `tests/faults/long`.
//!
//! `DOCKET_ROUNDS` asks for more rounds, `DOCKET_SEED` for the same ones again; what a test printed
//! shows with `--nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "as in any test")]

#[path = "../support/mod.rs"]
mod support;

mod kills;
mod migrating;
mod old_stores;
mod races;
#[expect(dead_code, reason = "who uses it comes next")]
mod shim;
#[cfg(target_os = "linux")]
mod syncs;
mod tampering;
