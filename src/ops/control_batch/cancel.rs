//! Cancelling a batch.

use crate::error::Result;
use crate::model::author::Author;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::counted;
use crate::ops::lifecycle::dependencies::stranded_note;
use crate::ops::lifecycle::finish_task::open_finish_task;
use crate::ops::lifecycle::transition::change_state;
use crate::ops::request::lookup::find_batch;
use crate::store::pages::for_each_chunk;
use crate::store::{NewReceipt, StoreWrite};

/// Cancels a batch and its chunks that have not ended. Returns the reply's message.
pub(super) fn cancel(tx: &dyn StoreWrite, batch: &Task, reason: &str, author: &Author) -> Result<String> {
    if batch.status.is_terminal() {
        return Ok(format!("Batch {} is already {}", batch.id, batch.status));
    }
    // The batch is cancelled before its chunks: otherwise the last chunk would end it as failed.
    change_state(tx, batch, &Task { status: Status::Cancelled, ..batch.clone() })?;
    let mut count = 0;
    for_each_chunk(tx, batch.row, 0, |_, task| {
        if !task.status.is_terminal() {
            count += 1;
            change_state(tx, &task, &Task { status: Status::Cancelled, ..task.clone() })?;
        }
        Ok(true)
    })?;
    let chunks = counted(count, "chunk");
    let text = format!("Cancelled by '{author}': {reason}. {chunks} had not ended.");
    tx.append_receipt(batch, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    let (batch, stored) = find_batch(tx, &batch.id)?;
    open_finish_task(tx, &batch, &stored)?;
    let note = stranded_note(tx, &batch)?;
    let id = &batch.id;
    let next = if count > 0 {
        format!("; control_batch(id=\"{id}\", action=\"recreate\") makes a new batch of what is not done")
    } else {
        String::new()
    };
    Ok(format!("Cancelled {id}: {chunks} had not ended; their receipts are kept{note}{next}"))
}
