//! How many notes a chunk and its batch keep. A chunk's worker may write what it likes, but it must not fill the store.

use super::append_receipt::IncomingReceipt;
use crate::error::{Code, Error, Result};
use crate::model::author::AuthorKind;
use crate::model::task::Task;
use crate::store::StoreWrite;

/// The receipts for each item and step that do not count as notes: its start, its report, and two corrections.
const PER_ITEM: u64 = 4;

/// Refuses a note beyond the quota. A report that settles an open item is no note.
///
/// # Errors
/// `too_large` with the limit and the setting.
pub(in crate::ops) fn check_note_quota(
    tx: &dyn StoreWrite,
    task: &Task,
    incoming: &IncomingReceipt<'_>,
    max_notes: u64,
) -> Result<()> {
    if task.receipt_count < max_notes {
        return Ok(());
    }
    let Some(allowed) = allowed_receipts(tx, task, incoming, max_notes)? else { return Ok(()) };
    if task.receipt_count < allowed || settles_item(tx, task, incoming)? {
        return Ok(());
    }
    Err(Error::new(
        Code::TooLarge,
        format!(
            "body: the note was not kept: {} has {} receipts, and at most {max_notes} notes are kept per claim (limits.max_notes in the operator's configuration). Reports on open items are still kept: settle the open items, then complete_task",
            task.id, task.receipt_count
        ),
    ))
}

/// The receipts that a task may have before a note is refused; `None` if it has no limit: a task that no chunk's worker
/// writes to.
fn allowed_receipts(
    tx: &dyn StoreWrite,
    task: &Task,
    incoming: &IncomingReceipt<'_>,
    max_notes: u64,
) -> Result<Option<u64>> {
    if let Some(chunk) = tx.chunk(task)? {
        let reports = chunk.counts.total.saturating_mul(PER_ITEM).saturating_mul(chunk.step as u64 + 1);
        return Ok(Some(task.generation.max(1).saturating_mul(max_notes).saturating_add(reports)));
    }
    // Only workers of its chunks are limited: a person or a supervisor has to get a note through.
    if !task.is_batch || incoming.author.kind() != AuthorKind::Worker {
        return Ok(None);
    }
    let chunks: u64 = tx.batch(task.row)?.map_or(0, |batch| batch.chunk_count);
    Ok(Some(chunks.max(1).saturating_mul(max_notes)))
}

fn settles_item(tx: &dyn StoreWrite, task: &Task, incoming: &IncomingReceipt<'_>) -> Result<bool> {
    let (Some(key), Some(chunk)) = (incoming.item, tx.chunk(task)?) else { return Ok(false) };
    // An unknown item is refused with its own reason.
    Ok(tx.item(chunk.batch_row, key)?.is_none_or(|item| item.settled.is_none()))
}
