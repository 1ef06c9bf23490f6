//! How many chunks of a batch workers could claim, and how many workers are at work.

use super::attention::{expired_chunks, live_claims};
use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::task::Task;
use crate::store::{StoreRead, TaskFilter};

/// The work of a batch that waits for workers.
#[derive(Debug)]
pub(in crate::ops) struct WorkerDemand {
    /// How many chunks are ready.
    pub(in crate::ops) open: u64,
    /// The chunks whose claims have expired: the next claim takes them over. Those left in doubt wait for a person instead.
    pub(in crate::ops) expired: Vec<String>,
    /// How many workers hold live claims.
    pub(in crate::ops) at_work: u64,
}

impl WorkerDemand {
    /// Reads it.
    pub(in crate::ops) fn of(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<Self> {
        let ready = TaskFilter { ready: true, ..TaskFilter::children_of(task.row) };
        Ok(WorkerDemand {
            open: tx.count_tasks(&ready)?.count,
            expired: expired_chunks(tx, task, batch)?,
            at_work: live_claims(tx, task)?.len() as u64,
        })
    }

    /// Whether chunks wait and no worker is at work. Workers that are at work claim one chunk after another.
    pub(in crate::ops) fn is_idle(&self) -> bool {
        self.at_work == 0 && self.chunks() > 0
    }

    /// How many workers the waiting chunks can use, besides those at work.
    pub(in crate::ops) fn workers(&self, batch: &Batch) -> u64 {
        self.chunks().min(batch.max_parallel.unsigned_abs().saturating_sub(self.at_work))
    }

    fn chunks(&self) -> u64 {
        self.open + self.expired.len() as u64
    }
}
