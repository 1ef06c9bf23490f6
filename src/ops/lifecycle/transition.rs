//! Storing a task's new state, and all that follows from it: dependents, its batch, the batch's own end.

use super::finish_task;
use super::in_doubt::settle_begun;
use crate::error::Result;
use crate::model::batch::{Batch, rest_after};
use crate::model::field::visible;
use crate::model::limits::MOST_IDS;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::store::{NewReceipt, Write};

/// Stores `after` in place of `before`; gives the status that it came to.
pub(in crate::ops) fn save(tx: &dyn Write, before: &Task, after: &Task) -> Result<Status> {
    let settled;
    let after = match settle_begun(tx, before, after)? {
        status if status == after.status => after,
        status => {
            settled = Task { status, ..after.clone() };
            &settled
        }
    };
    tx.save_state(after, before.generation)?;
    if (before.status == Status::Done) != (after.status == Status::Done) {
        for row in tx.waiting_rows(after.row)? {
            tx.count_blockers(row)?;
        }
    }
    if after.is_chunk {
        keep_held(tx, before, after)?;
        count_in_batch(tx, before.status, after)?;
    }
    Ok(after.status)
}

/// A chunk that can be claimed is held while its batch is paused; one that can't needs no holds.
fn keep_held(tx: &dyn Write, before: &Task, after: &Task) -> Result<()> {
    let is_open = |task: &Task| task.status == Status::Active;
    if is_open(before) && !is_open(after) && before.holds > 0 {
        tx.release_holds(after.row)?;
    }
    if !is_open(before) && is_open(after) && batch_of(tx, after)?.is_some_and(|batch| batch.paused.is_some())
    {
        tx.hold(after.row, None)?;
    }
    Ok(())
}

/// Keeps a batch's count of ended chunks, and ends or reopens the batch itself.
fn count_in_batch(tx: &dyn Write, before: Status, chunk: &Task) -> Result<()> {
    let ended = |status: Status| i64::from(status.is_terminal());
    let unsuccessful = |status: Status| i64::from(status.is_terminal() && status != Status::Done);
    let (ended, unsuccessful) =
        (ended(chunk.status) - ended(before), unsuccessful(chunk.status) - unsuccessful(before));
    let Some(batch_row) = chunk.parent_row else { return Ok(()) };
    if ended != 0 || unsuccessful != 0 {
        tx.count_ended(batch_row, ended, unsuccessful)?;
    }
    let Some(batch) = tx.batch(batch_row)? else { return Ok(()) };
    let before = tx.task_at(batch_row)?;
    let status = match before.status {
        Status::Cancelled => return Ok(()),
        _ if batch.ended == batch.chunks => batch.final_status(),
        _ => Status::InProgress,
    };
    if status != before.status {
        let after = Task { status, ..before.clone() };
        save(tx, &before, &after)?;
        if status.is_terminal() {
            tx.append(
                &after,
                &NewReceipt {
                    author: "tasktally",
                    text: &format!("Batch {status}: {}", batch.sum()),
                    ..NewReceipt::default()
                },
            )?;
            finish_task::becomes_ready(tx, &after, &batch)?;
        } else {
            finish_task::waits_again(tx, &batch)?;
        }
    }
    Ok(())
}

/// Takes a claim off a task: back to active, or to `failed` where a chunk was tried too often.
/// Gives the status it came to.
pub(in crate::ops) fn give_back(tx: &dyn Write, task: &Task, why: &str, author: &str) -> Result<Status> {
    let mut status = Status::Active;
    let mut text = why.to_owned();
    if let (Some(chunk), Some(batch)) = (tx.chunk(task)?, batch_of(tx, task)?) {
        tx.add_reason(chunk.row, &visible(why, 200))?;
        if chunk.attempts >= batch.max_attempts {
            status = Status::Failed;
            text = format!(
                "{why} It was attempt {} of {}: the chunk waits for a person; control_batch(action=\"retry\") opens it again.",
                chunk.attempts, batch.max_attempts
            );
        }
    }
    let status = save(tx, task, &Task { status, assignee: None, ..task.clone() })?;
    tx.append(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    Ok(status)
}

pub(in crate::ops) fn batch_of(tx: &dyn Write, task: &Task) -> Result<Option<Batch>> {
    match task.parent_row {
        Some(row) if task.is_chunk => tx.batch(row),
        _ => Ok(None),
    }
}

/// Lets a chunk that was given back rest before it is tried again, longer each time.
pub(in crate::ops) fn rest(tx: &dyn Write, task: &Task) -> Result<()> {
    match tx.chunk(task)? {
        Some(chunk) => tx.hold(task.row, Some(tx.now().saturating_add_secs(rest_after(chunk.attempts)))),
        None => Ok(()),
    }
}

/// Gives back every claim whose lease has run out, and ends the holds whose time has come; gives
/// how many claims.
pub(in crate::ops) fn reap(tx: &dyn Write) -> Result<usize> {
    tx.release_due()?;
    let expired = tx.expired(MOST_IDS)?;
    for task in &expired {
        if let Some(claim) = &task.claim {
            let why = format!("The lease of '{}' ran out at {}.", claim.worker, claim.expires_at);
            give_back(tx, task, &why, "tasktally")?;
        }
    }
    Ok(expired.len())
}
