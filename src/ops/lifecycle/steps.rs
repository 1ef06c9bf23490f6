//! What follows when a chunk is through a step: a question to a person, the next step, or its end.

use super::in_doubt::settle;
use super::transition::save;
use crate::error::Result;
use crate::model::batch::{Batch, Chunk};
use crate::model::status::{Outcome, Status};
use crate::model::step::Checkpoint;
use crate::model::task::Task;
use crate::store::{NewReceipt, Write};

/// Moves a chunk on whose items all have outcomes; says what it came to.
pub(in crate::ops) fn pass(tx: &dyn Write, task: &Task, chunk: &Chunk, batch: &Batch) -> Result<String> {
    if !batch.checkpoint.asks_after(chunk.step, batch.steps.count()) {
        return go_on(tx, task, chunk, batch);
    }
    if let Some(enough) = batch.auto_approve_after
        && batch.checkpoint == Checkpoint::Chunk
        && batch.approved >= enough
    {
        let text = format!("Approved by rule: {} chunks in a row were approved.", batch.approved);
        tx.append(task, &NewReceipt { author: "tasktally", text: &text, ..NewReceipt::default() })?;
        return go_on(tx, task, chunk, batch);
    }
    save(tx, task, &Task { status: Status::Review, ..task.clone() })?;
    Ok("it waits for a review".to_owned())
}

/// Opens the next step of a chunk, or ends it where there is none or nothing for it.
pub(in crate::ops) fn go_on(tx: &dyn Write, task: &Task, chunk: &Chunk, batch: &Batch) -> Result<String> {
    let next = chunk.step + 1;
    if let Some(step) = batch.steps.get(next) {
        let only: Vec<String> = step.only_categories.iter().map(|name| name.as_str().to_owned()).collect();
        let opened = tx.advance(chunk, next, &only)?;
        if opened > 0 {
            tx.set_attempts(chunk, 0)?;
            save(tx, task, &Task { status: Status::Active, assignee: None, ..task.clone() })?;
            let name = step.name.as_str();
            let text = format!("Step '{name}' begins with {opened} of {} items.", chunk.counts.total);
            tx.append(task, &NewReceipt { author: "tasktally", text: &text, ..NewReceipt::default() })?;
            return Ok(format!("step '{name}' is open for {opened} of its items"));
        }
    }
    save(tx, task, &Task { status: Status::Done, ..task.clone() })?;
    Ok("it is done".to_owned())
}

/// Settles what a chunk completed by force leaves open, so that no later step takes it for done.
pub(in crate::ops) fn skip_open(tx: &dyn Write, task: &Task, chunk: &Chunk, author: &str) -> Result<()> {
    for item in tx.items(task.row, 0, usize::MAX >> 1, true)? {
        let text = format!("- {}: skipped, for the chunk was completed by force", item.key);
        settle(tx, task, chunk, &item, &text, author, Outcome::Skipped)?;
    }
    Ok(())
}
