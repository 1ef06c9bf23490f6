//! A store as a whole: copied to a file, written out as lines, made from lines.
//!
//! What is made is made aside ([`aside`]), read back ([`sound`]) and only then put in its place, so that
//! there is all of it or nothing. [`tables`] is the one list of what a store is made of.

mod backup;
mod copy;
mod export;
mod export_reader;
mod import;
mod integrity;
mod line;
mod loader;
mod staging_dir;
mod tables;

pub use backup::backup;
pub use export::{Destination, export};
pub use import::import;

use crate::model::timestamp::Timestamp;

/// Is told what is being done, and how much of how much (0: not known).
pub type Tell<'a> = &'a mut dyn FnMut(&str, u64, u64);

/// What a store holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// Tasks, batches and chunks among them.
    pub tasks: u64,
    /// Receipts.
    pub receipts: u64,
    /// Tasks that are claimed.
    pub claims: u64,
    /// The number of the latest change.
    pub change: u64,
    /// When that was.
    pub changed: Option<Timestamp>,
    /// The size of the file.
    pub bytes: u64,
}
