//! Moves a chunk on after a step: to a review, to the next step, or to its end.

use super::checkpoint::{AfterStep, after_step};
use super::in_doubt::{Settlement, settle_item};
use super::transition::change_state;
use crate::error::Result;
use crate::model::author::Author;
use crate::model::batch::{Batch, Chunk};
use crate::model::status::{Outcome, Status};
use crate::model::step::{Checkpoint, Decision};
use crate::model::task::Task;
use crate::store::{NewReceipt, StoreWrite};

/// Moves a chunk on whose items all have outcomes. Returns the second half of the reply's message.
pub(in crate::ops) fn complete_step(
    tx: &dyn StoreWrite,
    task: &Task,
    chunk: &Chunk,
    batch: &Batch,
) -> Result<String> {
    match after_step(batch, chunk) {
        AfterStep::Review => {
            change_state(tx, task, &Task { status: Status::Review, ..task.clone() })?;
            Ok("it waits for a review".to_owned())
        }
        AfterStep::NextStep { rule } => {
            if let Some(text) = rule {
                let decision = Some(Decision::Approve);
                tx.append_receipt(task, &NewReceipt { text: &text, decision, ..NewReceipt::default() })?;
            }
            open_next_step(tx, task, chunk, batch)
        }
    }
}

/// Opens the next step of a chunk. If there is none, or none of the chunk's items are selected by it, the chunk
/// is done. Returns the second half of the reply's message.
pub(in crate::ops) fn open_next_step(
    tx: &dyn StoreWrite,
    task: &Task,
    chunk: &Chunk,
    batch: &Batch,
) -> Result<String> {
    let next = chunk.step + 1;
    if let Some(step) = batch.steps.get(next) {
        let only: Vec<String> = step.only_categories.iter().map(|name| name.as_str().to_owned()).collect();
        let opened = tx.advance_chunk(chunk, next, &only)?;
        if opened > 0 {
            tx.set_attempts(chunk, 0)?;
            change_state(tx, task, &Task { status: Status::Active, assignee: None, ..task.clone() })?;
            let name = step.name.as_str();
            let text = format!("Step '{name}' starts with {opened} of {} items.", chunk.counts.total);
            tx.append_receipt(task, &NewReceipt { text: &text, ..NewReceipt::default() })?;
            let asks = batch.checkpoint.asks_after(next, batch.steps.count());
            let unreviewed =
                if batch.checkpoint == Checkpoint::None || asks { "" } else { ", without a review after it" };
            return Ok(format!("step '{name}' is open for {opened} of its items{unreviewed}"));
        }
    }
    change_state(tx, task, &Task { status: Status::Done, ..task.clone() })?;
    Ok("it is done".to_owned())
}

/// Settles the open items of a chunk that was completed by force as skipped, so that no later step takes them
/// for done.
pub(in crate::ops) fn skip_open_items(
    tx: &dyn StoreWrite,
    task: &Task,
    chunk: &Chunk,
    author: &Author,
) -> Result<()> {
    for item in tx.items(task.row, 0, usize::MAX >> 1, true)? {
        let text = format!("- {}: skipped, because the chunk was completed by force", item.key);
        let settlement = Settlement { outcome: Outcome::Skipped, category: None };
        settle_item(tx, task, chunk, &item, &text, author, settlement)?;
    }
    Ok(())
}
