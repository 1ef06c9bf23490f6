//! Stores a task's new state and everything that follows from it: blockers of its dependents, holds of a paused
//! batch, the batch's counts, and the end of the batch itself.

use super::finish_task::{hold_finish_task, open_finish_task};
use super::in_doubt::resolve_in_doubt;
use crate::error::Result;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::ops::request::lookup::batch_of_chunk;
use crate::store::{NewReceipt, StoreWrite};

/// Stores `after` in place of `before`. Returns the new status, which differs from that of `after` if items in
/// doubt send the chunk to review.
pub(in crate::ops) fn change_state(tx: &dyn StoreWrite, before: &Task, after: &Task) -> Result<Status> {
    let resolved;
    let after = match resolve_in_doubt(tx, before, after)? {
        status if status == after.status => after,
        status => {
            resolved = Task { status, ..after.clone() };
            &resolved
        }
    };
    tx.update_state(after, before.generation)?;
    if (before.status == Status::Done) != (after.status == Status::Done) {
        for row in tx.hard_dependents(after.row)? {
            tx.recount_blockers(row)?;
        }
    }
    if after.is_chunk {
        update_holds(tx, before, after)?;
        update_batch(tx, before.status, after)?;
    }
    Ok(after.status)
}

/// Holds a chunk that becomes active while its batch is paused, and ends the holds of a chunk that is no longer
/// active.
fn update_holds(tx: &dyn StoreWrite, before: &Task, after: &Task) -> Result<()> {
    let is_active = |task: &Task| task.status == Status::Active;
    if is_active(before) && !is_active(after) && before.hold_count > 0 {
        tx.release_holds(after.row)?;
    }
    if !is_active(before)
        && is_active(after)
        && batch_of_chunk(tx, after)?.is_some_and(|batch| batch.pause_reason.is_some())
    {
        tx.add_hold(after.row, None)?;
    }
    Ok(())
}

/// Updates a batch's count of ended chunks, and ends or reopens the batch itself.
fn update_batch(tx: &dyn StoreWrite, before: Status, chunk: &Task) -> Result<()> {
    let ended = |status: Status| i64::from(status.is_terminal());
    let unsuccessful = |status: Status| i64::from(status.is_terminal() && status != Status::Done);
    let (ended, unsuccessful) =
        (ended(chunk.status) - ended(before), unsuccessful(chunk.status) - unsuccessful(before));
    let Some(batch_row) = chunk.parent_row else { return Ok(()) };
    if ended != 0 || unsuccessful != 0 {
        tx.add_ended_chunks(batch_row, ended, unsuccessful)?;
    }
    let Some(batch) = tx.batch(batch_row)? else { return Ok(()) };
    let before = tx.task_by_row(batch_row)?;
    let status = match before.status {
        Status::Cancelled => return Ok(()),
        _ if batch.ended_chunks == batch.chunk_count => batch.final_status(),
        _ => Status::InProgress,
    };
    if status == before.status {
        return Ok(());
    }
    let after = Task { status, ..before.clone() };
    change_state(tx, &before, &after)?;
    if !status.is_terminal() {
        return hold_finish_task(tx, &batch);
    }
    tx.append_receipt(
        &after,
        &NewReceipt {
            text: &format!("Batch {status}: {}", batch.totals_sentence()),
            ..NewReceipt::default()
        },
    )?;
    open_finish_task(tx, &after, &batch)
}
