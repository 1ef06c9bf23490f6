//! Durable state behind one trait. Only the modules of a database know SQL.
//!
//! An operation passes a closure to the store. The store runs it inside one transaction, over a
//! [`StoreRead`] or a [`StoreWrite`]. For a write, it commits and syncs before it reports success.

mod batches;
pub mod chains;
pub mod content_check;
mod count_check;
mod filter;
mod inspect;
mod large_batch;
mod leases;
pub(crate) mod pages;
pub mod postgres;
mod range_check;
mod read;
mod resource_block;
mod resources;
mod rows;
mod runners;
pub mod sqlite;
mod stored_texts;
mod tables;
mod waits;
mod write;

pub use batches::{BatchRead, BatchWrite, ItemSelection};
pub use filter::{ListPosition, TaskFilter, TaskTotal};
pub use inspect::{CorruptStore, Inspect, StoreFacts};
pub use large_batch::{BulkRead, BulkWrite, Reservation, UnpublishedChunk};
pub use leases::{
    Fence, HeldLease, LeaseHolder, LeaseName, LeaseRead, LeaseRecord, LeaseState, LeaseWrite, Leases,
};
pub use read::StoreRead;
pub use resources::{ResourceInUse, ResourceRead, ResourceWrite};
pub use runners::{RunnerRead, RunnerRecord, RunnerWrite};
pub use waits::{WaitRead, WaitWrite};
pub use write::{NewReceipt, NewTask, StoreWrite};

use std::time::Duration;

use crate::error::{Error, Result};
use crate::model::id::TaskId;

/// What a write is about, as far as its request says. A store may read these rows before it runs the write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// A task.
    pub task: Option<TaskId>,
    /// The key of an item of that task, if it is a chunk.
    pub item: Option<String>,
}

impl Subject {
    /// A task.
    pub fn task(id: &TaskId) -> Self {
        Subject { task: Some(id.clone()), item: None }
    }
}

/// A closure that a store runs in a write transaction. It stores its own result.
pub trait WriteJob: Send {
    /// Runs the job, unless its caller no longer waits for it. If it returns `false`, the store rolls back
    /// everything that it wrote. The store may run a job again after it rolled the attempt back.
    fn run(&mut self, tx: &dyn StoreWrite) -> bool;
    /// A name that is the same for the writes of one place in the program.
    fn name(&self) -> &'static str {
        ""
    }
    /// What the job is about.
    fn subject(&self) -> Option<&Subject> {
        None
    }
    /// Whether the job inserts rows whose parents come in a later transaction; see [`BulkWrite`].
    fn precedes_parents(&self) -> bool {
        false
    }
    /// Called once: after the commit, or with the reason why there was none.
    fn finish(self: Box<Self>, committed: Result<()>);
}

/// A closure that a store runs in a read transaction: it sees one consistent state.
pub type ReadJob = Box<dyn FnOnce(Result<&dyn StoreRead>) + Send>;

/// A durable store, shared by any number of processes.
pub trait Store: Send + Sync {
    /// Queues a write. [`WriteJob::finish`] is called once its commit is on disk.
    fn submit_write(&self, job: Box<dyn WriteJob>);
    /// The error for a write that did not start within `waited`. It names the process that holds the write lock
    /// and the next step.
    fn write_timeout_error(&self, waited: Duration) -> Error;
    /// Waits until no other process inserts a large batch, and keeps others from it until the guard is dropped.
    ///
    /// # Errors
    /// `busy` after `limit`, naming the process that does.
    fn lock_bulk(&self, limit: Duration) -> Result<Box<dyn Send>>;
    /// The leases of the store. `None` if only processes of one machine can use the store: lock files exclude them from each
    /// other.
    fn leases(&self) -> Option<&dyn Leases> {
        None
    }
    /// Runs a read, on the calling thread. `name` is the same for the reads of one place in the program.
    fn read(&self, name: &'static str, job: ReadJob);
}
