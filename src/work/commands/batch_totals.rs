//! The item counts of a batch, before and after a run.

use crate::error::{Error, Result};
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::ops::Session;

/// The item counts and the status of a batch.
pub(super) struct BatchTotals {
    pub(super) total: u64,
    pub(super) processed: u64,
    pub(super) failed: u64,
    /// The chunks that have not ended.
    pub(super) open_chunks: u64,
    pub(super) status: BatchStatus,
    pub(super) pause_reason: Option<String>,
}

impl BatchTotals {
    /// Reads the counts of a batch.
    ///
    /// # Errors
    /// The task does not exist or is not a batch.
    pub(super) fn read(session: &Session, batch: &TaskId) -> Result<Self> {
        let id = batch.clone();
        session.read(move |tx| {
            let task = tx.task(&id)?;
            let batch = tx.batch(task.row)?.ok_or_else(|| not_a_batch(&id))?;
            Ok(BatchTotals {
                total: batch.counts.total,
                processed: batch.counts.processed(),
                failed: batch.counts.failed,
                open_chunks: batch.chunk_count.saturating_sub(batch.ended_chunks),
                status: batch.status(task.status, tx.has_workable_chunk(task.row)?),
                pause_reason: batch.pause_reason,
            })
        })
    }
}

/// The error for a task that is not a batch.
pub(super) fn not_a_batch(id: &TaskId) -> Error {
    Error::invalid(format!("resume: {id} is a task, not a batch; tasktally get-batch lists the batches"))
}
