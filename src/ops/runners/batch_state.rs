//! The state of a batch as its runner needs it.

use crate::error::Result;
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::model::limits::MaxParallel;
use crate::model::task::RowId;
use crate::ops::Session;
use crate::ops::request::lookup::{batch_status, find_batch};
use crate::store::TaskFilter;

/// The state of a batch as its runner needs it.
#[derive(Debug)]
pub struct BatchState {
    /// The row of the batch's task.
    pub row: RowId,
    /// The batch's status.
    pub status: BatchStatus,
    /// Whether a chunk can be claimed now.
    pub is_claimable: bool,
    /// The batch's worker profile.
    pub worker: Option<String>,
    /// The batch's project.
    pub project: Option<String>,
    /// The names of the batch's steps.
    pub steps: Vec<String>,
}

/// Reads the state of a batch.
///
/// # Errors
/// `not_found`; `invalid_argument` if the id names no batch; or if the store cannot be read.
pub fn batch_state(session: &Session, batch: &TaskId) -> Result<BatchState> {
    let batch = batch.clone();
    session.read(move |tx| {
        let (task, batch) = find_batch(tx, &batch)?;
        let ready = TaskFilter { ready: true, without_conflicts: true, ..TaskFilter::children_of(task.row) };
        // The next claim first ends backoffs that are over and releases expired claims.
        let frees_a_chunk =
            tx.next_hold_expiry()?.is_some_and(|at| at <= tx.now()) || !tx.expired_claims(1)?.is_empty();
        Ok(BatchState {
            row: task.row,
            status: batch_status(tx, &task, &batch)?,
            is_claimable: frees_a_chunk || !tx.list(&ready, None, 1)?.is_empty(),
            steps: batch.steps.names(),
            worker: batch.profile,
            project: task.project,
        })
    })
}

/// How many workers of a batch may run at once.
///
/// # Errors
/// As [`batch_state`].
pub fn batch_max_parallel(session: &Session, batch: &TaskId) -> Result<MaxParallel> {
    let batch = batch.clone();
    session.read(move |tx| {
        let (_, batch) = find_batch(tx, &batch)?;
        Ok(MaxParallel::try_from(batch.max_parallel).unwrap_or(MaxParallel::of(1)))
    })
}
