//! Pauses and resumes a batch, on request or because too many items failed.

use crate::error::{Code, Error, Result};
use crate::model::author::{Author, SYSTEM};
use crate::model::batch::{Batch, Chunk};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::ops::request::lookup::find_batch;
use crate::store::{NewReceipt, StoreWrite};

/// Pauses a batch: no more chunks are claimed, and claimed chunks can be finished. Returns the reply's message.
pub(in crate::ops) fn pause_batch(
    tx: &dyn StoreWrite,
    task: &Task,
    batch: &Batch,
    why: &str,
    author: &Author,
) -> Result<String> {
    refuse_ended(task)?;
    if let Some(reason) = &batch.pause_reason {
        return Ok(format!("Batch {} is already paused: {reason}", task.id));
    }
    tx.pause_batch(task.row, why)?;
    let text = format!("Paused by '{author}': {why}");
    tx.append_receipt(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    Ok(format!("Paused {}: no more chunks are claimed, claimed chunks can be finished", task.id))
}

/// Resumes a paused batch and its worker profile. Returns the reply's message.
pub(in crate::ops) fn resume_batch(
    tx: &dyn StoreWrite,
    task: &Task,
    batch: &Batch,
    why: &str,
    author: &Author,
) -> Result<String> {
    refuse_ended(task)?;
    if batch.pause_reason.is_none() {
        return Ok(format!("Batch {} is not paused", task.id));
    }
    tx.resume_batch(task.row)?;
    if let Some(profile) = &batch.profile {
        tx.set_profile_pause(profile, None)?;
    }
    let text = format!("Resumed by '{author}': {why}");
    tx.append_receipt(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    let id = &task.id;
    Ok(match batch.profile {
        Some(_) => format!("Resumed {id}"),
        None => format!("Resumed {id}. Start workers: each calls claim_task(batch=\"{id}\")"),
    })
}

fn refuse_ended(task: &Task) -> Result<()> {
    if task.status.is_terminal() {
        let id = &task.id;
        let next = match task.status {
            Status::Cancelled => format!(
                "control_batch(id=\"{id}\", action=\"recreate\") makes a new batch of what is not done"
            ),
            _ => format!("control_batch(id=\"{id}\", action=\"retry\") opens failed items again"),
        };
        let message = format!("Batch {id} is {} and cannot be paused or resumed. {next}", task.status);
        return Err(Error::new(Code::NotReady, message));
    }
    Ok(())
}

/// Pauses a chunk's batch if more items have failed than its `max_failures` allows.
pub(in crate::ops) fn pause_if_too_many_failed(tx: &dyn StoreWrite, chunk: &Chunk) -> Result<()> {
    let (task, batch) = find_batch(tx, &chunk.batch_id)?;
    if let Some(max_failures) = batch.max_failures.filter(|_| batch.exceeds_max_failures())
        && batch.pause_reason.is_none()
    {
        let id = &task.id;
        let why = format!(
            "{} of {} items failed, more than max_failures {max_failures} allows; see get_batch(id=\"{id}\", view=\"failures\"), then control_batch(id=\"{id}\", action=\"resume\") or control_batch(id=\"{id}\", action=\"cancel\").",
            batch.counts.failed, batch.counts.total
        );
        pause_batch(tx, &task, &batch, &why, &SYSTEM)?;
    }
    Ok(())
}
