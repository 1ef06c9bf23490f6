//! When a wait ends although its batch has not: a person is needed, the batch is paused, or no worker is at work.

use std::sync::Arc;

use crate::error::Result;
use crate::model::batch::{Batch, BatchStatus};
use crate::model::limits::PAGE_ROWS;
use crate::model::status::Status;
use crate::model::step::Checkpoint;
use crate::model::task::Task;
use crate::model::wait::BatchWait;
use crate::ops::RunnerLauncher;
use crate::ops::lifecycle::checkpoint::has_completed_step;
use crate::ops::views::attention::{chunks_left_in_doubt, failures_of, needs_a_person};
use crate::ops::views::worker_demand::WorkerDemand;
use crate::store::{StoreRead, TaskFilter};

/// How long nobody may have worked on the batch before the wait ends, in seconds: a caller starts workers and then waits.
const IDLE_SECONDS: i64 = 120;

/// Whether the caller has something to do. What was so when the wait began counts only if nothing else goes on: a caller that
/// leaves one chunk to a person can wait for the other chunks.
pub(super) fn wakes(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
    status: BatchStatus,
    wait: &BatchWait,
    launcher: Option<&Arc<dyn RunnerLauncher>>,
) -> Result<bool> {
    Ok(match status {
        BatchStatus::Paused | BatchStatus::Waiting => true,
        BatchStatus::Running => {
            has_new_need(tx, task, batch, wait)?
                || has_new_doubt(tx, task, batch, wait)?
                || has_no_worker(tx, task, batch, wait, launcher)?
        }
        BatchStatus::Done | BatchStatus::Failed | BatchStatus::Cancelled => false,
    })
}

/// Whether a chunk needs a person since the wait began. At a `step` checkpoint a review waits for the other chunks.
fn has_new_need(tx: &dyn StoreRead, task: &Task, batch: &Batch, wait: &BatchWait) -> Result<bool> {
    let are_accepted = failures_of(tx, task, batch)?.are_accepted;
    let mut since = wait.since;
    loop {
        let changed = tx.children_with_status_changed_since(task.row, since, PAGE_ROWS)?;
        let Some((last, _)) = changed.last() else { return Ok(false) };
        since = *last;
        for (_, task) in &changed {
            let is_needed = match task.status {
                // A review of items in doubt waits for no other chunk.
                Status::Review if batch.checkpoint == Checkpoint::Step => {
                    tx.chunk(task)?.is_some_and(|chunk| !has_completed_step(&chunk, task))
                }
                Status::Review => true,
                status => needs_a_person(status) && !are_accepted,
            };
            if is_needed {
                return Ok(true);
            }
        }
    }
}

/// Whether a lease that expired since the wait began left a decision to a person, or only such decisions are left.
fn has_new_doubt(tx: &dyn StoreRead, task: &Task, batch: &Batch, wait: &BatchWait) -> Result<bool> {
    let left = chunks_left_in_doubt(tx, task, batch)?;
    let is_new = |chunk: &Task| chunk.claim.as_ref().is_some_and(|claim| claim.expires_at >= wait.created);
    if left.is_empty() || left.iter().any(|(_, chunk)| is_new(chunk)) {
        return Ok(!left.is_empty());
    }
    let count = |status| tx.count_tasks(&TaskFilter::children_of(task.row).with_status(status));
    let others = count(Status::Active)?.count + count(Status::InProgress)?.count;
    Ok(others == left.len() as u64)
}

/// Whether chunks can be claimed and nobody has worked on the batch for a while.
fn has_no_worker(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
    wait: &BatchWait,
    launcher: Option<&Arc<dyn RunnerLauncher>>,
) -> Result<bool> {
    let last_receipt = tx.latest_batch_receipts(task.row, 1)?.pop().map(|(.., receipt)| receipt.at);
    let idle_since = last_receipt.unwrap_or(wait.created).max(wait.created);
    if idle_since > tx.now().saturating_add_secs(-IDLE_SECONDS) {
        return Ok(false);
    }
    let demand = WorkerDemand::of(tx, task, batch)?;
    if demand.at_work > 0 {
        return Ok(false);
    }
    // A runner starts its workers by itself.
    if launcher.map_or(Ok(false), |launcher| launcher.is_running(tx, &task.id))? {
        return Ok(false);
    }
    Ok(batch.profile.is_some() || demand.is_idle())
}
