//! The runner: takes chunks, runs a command an item, writes the receipts.

mod command;
mod progress;
mod run;
mod slot;
mod stop;
mod table;

pub use run::{Run, Work, run, work};
