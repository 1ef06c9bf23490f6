//! The conformance suite of stores: every promise of the traits in `src/store`, one file per area. Each case runs against
//! every kind of store ([`stores`]), on an empty store of its own, and uses the traits only. After each case, the stored
//! counts are compared with the rows that they count.
//!
//! `TASKTALLY_SEED` repeats the same random operations; `--nocapture` shows the seed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "as in any test")]

#[path = "../support/mod.rs"]
mod support;

mod actions;
mod build;
mod build_bulk;
mod reference;
mod stores;

mod batches;
mod bulk;
mod chains;
mod changes;
mod chunks;
mod claims;
mod costs;
mod counts;
mod dependencies;
mod holds;
mod in_doubt;
mod items;
mod leases;
mod lists;
mod random;
mod receipts;
mod reservations;
mod resources;
mod runners;
mod search;
mod steps;
mod tasks;
mod threads;
mod transactions;
mod waits;
