//! Chunks that need attention: from a person, or from a worker because their lease expired.

use crate::error::Result;
use crate::model::batch::{Batch, Chunk};
use crate::model::failures::Failures;
use crate::model::in_doubt::InDoubtPolicy;
use crate::model::status::Status;
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;
use crate::store::{StoreRead, TaskFilter};

/// The most chunks of one status that are read.
const PER_STATUS: usize = 20;
/// The statuses of chunks that only a person can move on.
const PERSON_STATUSES: [Status; 3] = [Status::Review, Status::Failed, Status::Blocked];
/// The most claimed chunks of a batch that are read: no batch has more workers.
const CLAIMED: usize = 64;

/// Whether only a person can move a chunk with this status on.
pub(in crate::ops) fn needs_a_person(status: Status) -> bool {
    PERSON_STATUSES.contains(&status)
}

/// The first chunks of a batch that only a person can move on: in review, left in doubt, failed or blocked; before them
/// the batch itself while it is paused. Failures that a person has accepted need nobody.
pub(in crate::ops) fn needs_person(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    if batch.pause_reason.is_some() && batch.ended_chunks < batch.chunk_count {
        ids.push(task.id.to_string());
    }
    ids.extend(chunks_left_in_doubt(tx, task, batch)?.into_iter().map(|(_, chunk)| chunk.id.to_string()));
    let are_accepted = batch.accepted_failures > 0 && failures_of(tx, task, batch)?.are_accepted;
    for status in PERSON_STATUSES {
        if are_accepted && status != Status::Review {
            continue;
        }
        let filter = TaskFilter::children_of(task.row).with_status(status);
        ids.extend(tx.list(&filter, None, PER_STATUS)?.into_iter().map(|task| task.id.to_string()));
    }
    Ok(ids)
}

/// How many ids [`needs_person`] would return without its limit, if it returned `named` ids.
pub(in crate::ops) fn count_needing_person(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
    named: usize,
) -> Result<u64> {
    let named = named as u64;
    if named < PER_STATUS as u64 {
        return Ok(named);
    }
    let mut count = u64::from(batch.pause_reason.is_some() && batch.ended_chunks < batch.chunk_count);
    count += chunks_left_in_doubt(tx, task, batch)?.len() as u64;
    for status in PERSON_STATUSES {
        let filter = TaskFilter::children_of(task.row).with_status(status);
        count += tx.count_tasks(&filter)?.count;
    }
    Ok(count.max(named))
}

/// The end of a message whose reply names only some of the ids in a field; empty if it names all.
pub(in crate::ops) fn more(field: &str, all: u64, named: usize) -> String {
    match all.saturating_sub(named as u64) {
        0 => String::new(),
        left => format!("; {field}: {left} more"),
    }
}

/// What failed in a batch and was not retried.
pub(crate) fn failures_of(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<Failures> {
    Ok(Failures::new(batch, tx.count_failed_chunks(task.row)?))
}

/// The chunks of a batch whose lease has expired, so that any worker can take them over. Nothing is written at that moment, so `since` cannot report it.
pub(in crate::ops) fn expired_chunks(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<Vec<String>> {
    let left = chunks_left_in_doubt(tx, task, batch)?;
    let mut expired = claimed_chunks(tx, task)?;
    expired.retain(|chunk| has_expired(tx, chunk) && left.iter().all(|(_, left)| left.row != chunk.row));
    Ok(expired.into_iter().map(|chunk| chunk.id.to_string()).collect())
}

/// The chunks of a batch whose lease has expired while items were begun of which a person has to say whether they
/// happened. Nothing is written when a lease expires, so such a chunk is still in progress. It is in review as soon as its
/// claim is ended, which the review itself does.
pub(in crate::ops) fn chunks_left_in_doubt(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
) -> Result<Vec<(Chunk, Task)>> {
    let mut left = Vec::new();
    if batch.in_doubt == InDoubtPolicy::Ask {
        for chunk_task in claimed_chunks(tx, task)?.into_iter().filter(|chunk| has_expired(tx, chunk)) {
            if let Some(chunk) = tx.chunk(&chunk_task)?
                && !tx.started_items(&chunk)?.is_empty()
            {
                left.push((chunk, chunk_task));
            }
        }
    }
    Ok(left)
}

/// Which chunks of a batch wait for a decision: those in review, and those left in doubt.
#[derive(Debug)]
pub(crate) struct AwaitingDecision {
    left_in_doubt: Vec<RowId>,
}

impl AwaitingDecision {
    /// Reads which chunks were left in doubt.
    pub(crate) fn of(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<Self> {
        let left = chunks_left_in_doubt(tx, task, batch)?.into_iter();
        Ok(AwaitingDecision { left_in_doubt: left.map(|(_, chunk)| chunk.row).collect() })
    }

    /// Whether a chunk waits for a decision.
    pub(crate) fn includes(&self, chunk: &Task) -> bool {
        chunk.status == Status::Review || self.left_in_doubt.contains(&chunk.row)
    }
}

/// How many chunks of a batch wait for a decision.
pub(crate) fn count_awaiting_decision(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<u64> {
    let in_review = TaskFilter::children_of(task.row).with_status(Status::Review);
    Ok(tx.count_tasks(&in_review)?.count + chunks_left_in_doubt(tx, task, batch)?.len() as u64)
}

/// Whether the lease of a chunk in progress has expired.
pub(in crate::ops) fn has_expired(tx: &dyn StoreRead, chunk: &Task) -> bool {
    chunk.live_claim(tx.now()).is_none()
}

/// The chunks of a batch that are in progress.
pub(in crate::ops) fn claimed_chunks(tx: &dyn StoreRead, batch: &Task) -> Result<Vec<Task>> {
    tx.list(&TaskFilter::children_of(batch.row).with_status(Status::InProgress), None, CLAIMED)
}

/// When the chunks of a batch that are being worked on were claimed.
pub(in crate::ops) fn live_claims(tx: &dyn StoreRead, batch: &Task) -> Result<Vec<Timestamp>> {
    let chunks = claimed_chunks(tx, batch)?;
    Ok(chunks.iter().filter_map(|chunk| chunk.live_claim(tx.now())).map(|claim| claim.claimed_at).collect())
}
