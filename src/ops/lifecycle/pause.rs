//! Pausing a batch, by a person or because too much failed, and letting it go on.

use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::id::TaskId;
use crate::model::task::Task;
use crate::ops::views::batch::find_batch;
use crate::store::{NewReceipt, Write};

/// Pauses a batch: nothing more is claimed, what is in hand may be finished.
pub(in crate::ops) fn pause(
    tx: &dyn Write,
    task: &Task,
    batch: &Batch,
    why: &str,
    author: &str,
) -> Result<String> {
    still_open(task)?;
    if let Some(reason) = &batch.paused {
        return Ok(format!("Batch {} is paused already: {reason}", task.id));
    }
    tx.pause(task.row, why)?;
    let text = format!("Paused by '{author}': {why}");
    tx.append(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    Ok(format!("Paused {}: nothing more is claimed, what is in hand may be finished", task.id))
}

/// Lets a paused batch go on.
pub(in crate::ops) fn resume(
    tx: &dyn Write,
    task: &Task,
    batch: &Batch,
    why: &str,
    author: &str,
) -> Result<String> {
    still_open(task)?;
    if batch.paused.is_none() {
        return Ok(format!("Batch {} is not paused", task.id));
    }
    tx.resume(task.row)?;
    if let Some(profile) = &batch.worker {
        tx.pause_profile(profile, None)?;
    }
    let text = format!("Resumed by '{author}': {why}");
    tx.append(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    let workers = if batch.worker.is_some() { "" } else { ": start workers" };
    Ok(format!("Resumed {}{workers}", task.id))
}

fn still_open(task: &Task) -> Result<()> {
    if task.status.is_terminal() {
        let message = format!("Batch {} is {}: nothing of it is left to claim", task.id, task.status);
        return Err(Error::new(Code::NotReady, message));
    }
    Ok(())
}

/// Pauses a chunk's batch once more items have failed than it bears.
pub(in crate::ops) fn pause_if_too_many_failed(tx: &dyn Write, chunk: &Chunk) -> Result<()> {
    let id: &TaskId = &chunk.batch_id;
    let (task, batch) = find_batch(tx, id)?;
    if let Some(most) = batch.max_failures.filter(|_| batch.failed_too_often())
        && batch.paused.is_none()
    {
        let why = format!(
            "{} of {} items failed, more than max_failures {most}; see get_batch(view=\"failures\"), then control_batch resume or cancel.",
            batch.counts.failed, batch.counts.total
        );
        pause(tx, &task, &batch, &why, "tasktally")?;
    }
    Ok(())
}
