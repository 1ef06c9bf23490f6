//! Retrying a batch: opens failed items and chunks again.

use std::collections::BTreeSet;

use crate::error::{Code, Error, Result};
use crate::model::author::Author;
use crate::model::batch::{Batch, Chunk};
use crate::model::chunk_names::ChunkName;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::{agreeing, counted};
use crate::ops::conflicts::detect::store_conflicts_of_reopened;
use crate::ops::lifecycle::transition::change_state;
use crate::ops::request::lookup::find_chunks;
use crate::store::pages::for_each_chunk;
use crate::store::{ItemSelection, NewReceipt, StoreWrite};

/// What a retry did with one chunk.
enum ChunkRetry {
    /// The chunk was opened again with this number of items.
    Opened(u64),
    /// The chunk has failed items and has not ended yet.
    StillOpen,
    /// A person rejected the chunk; only a person opens it again.
    Rejected,
    /// The chunk has nothing to retry, or none of the selected items.
    Unaffected,
}

/// Opens failed items and chunks again: all, or the selected ones. Returns the reply's message.
pub(super) fn retry(
    tx: &dyn StoreWrite,
    batch: &Task,
    stored: &Batch,
    reason: &str,
    author: &Author,
    only: &[ChunkName],
    selected: &ItemSelection,
) -> Result<String> {
    let id = &batch.id;
    if batch.status == Status::Cancelled {
        return Err(Error::new(
            Code::Cancelled,
            format!(
                "Batch {id} was cancelled and cannot be retried; control_batch(id=\"{id}\", action=\"recreate\") makes a new batch of what is not done"
            ),
        ));
    }
    let only: BTreeSet<u64> =
        find_chunks(tx, "chunks", only, batch, stored)?.iter().map(|(chunk, _)| chunk.number).collect();
    let (mut chunks, mut items, mut still_open, mut rejected) = (0, 0, 0, 0);
    for_each_chunk(tx, batch.row, 0, |chunk, task| {
        if only.is_empty() || only.contains(&chunk.number) {
            match retry_chunk(tx, &chunk, &task, reason, author, selected)? {
                ChunkRetry::Opened(count) => {
                    chunks += 1;
                    items += count;
                }
                ChunkRetry::StillOpen => still_open += 1,
                ChunkRetry::Rejected => rejected += 1,
                ChunkRetry::Unaffected => {}
            }
        }
        Ok(true)
    })?;
    if chunks > 0 {
        tx.set_accepted_failures(batch.row, 0)?;
    }
    // Batches created meanwhile were not checked against the resources of chunks that had ended.
    store_conflicts_of_reopened(tx, batch.row, batch.project.as_deref())?;
    let note = match rejected {
        0 => String::new(),
        _ => format!(
            "; {} {} rejected, review_batch(id=\"{id}\", chunk, decision=\"redo\") opens one again",
            counted(rejected, "chunk"),
            agreeing(rejected, "stays", "stay")
        ),
    };
    Ok(match chunks {
        0 if still_open > 0 => format!(
            "Opened nothing: {} with failed items {} not ended; retry afterwards",
            counted(still_open, "chunk"),
            agreeing(still_open, "has", "have")
        ),
        0 => format!("Batch {id} has no failed items or chunks to retry{note}"),
        _ => {
            let next = work_again(tx, batch)?;
            format!(
                "Opened {} with {} again; their receipts are kept{next}{note}",
                counted(chunks, "chunk"),
                counted(items, "failed item")
            )
        }
    })
}

/// How the opened chunks get worked, if no runner does so by itself.
fn work_again(tx: &dyn StoreWrite, batch: &Task) -> Result<String> {
    let Some(stored) = tx.batch(batch.row)?.filter(|stored| stored.profile.is_none()) else {
        return Ok(String::new());
    };
    Ok(match stored.run {
        Some(_) => format!("; tasktally run --resume {} works them", batch.id),
        None => "; start workers".to_owned(),
    })
}

fn retry_chunk(
    tx: &dyn StoreWrite,
    chunk: &Chunk,
    task: &Task,
    reason: &str,
    author: &Author,
    selected: &ItemSelection,
) -> Result<ChunkRetry> {
    if task.status == Status::Rejected {
        let is_wanted = chunk.counts.failed > 0 || selected.is_all();
        return Ok(if is_wanted { ChunkRetry::Rejected } else { ChunkRetry::Unaffected });
    }
    let has_stopped = matches!(task.status, Status::Failed | Status::Blocked);
    let has_open_items = chunk.counts.processed() < chunk.counts.total;
    if !has_stopped && (task.status != Status::Done || (chunk.counts.failed == 0 && !has_open_items)) {
        return Ok(if chunk.counts.failed > 0 { ChunkRetry::StillOpen } else { ChunkRetry::Unaffected });
    }
    let opened = tx.reopen_failed_items(chunk, selected)?;
    if opened == 0 && !selected.is_all() {
        return Ok(ChunkRetry::Unaffected);
    }
    tx.set_attempts(chunk, 0)?;
    change_state(tx, task, &Task { status: Status::Active, assignee: None, ..task.clone() })?;
    let items = counted(opened, "failed item");
    let text = format!("Opened again by '{author}' with {items}: {reason}.");
    tx.append_receipt(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    Ok(ChunkRetry::Opened(opened))
}
