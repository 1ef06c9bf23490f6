//! The list of batches: open, or ended with failures.

use super::format::{count, percent};
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, BatchStatus};
use crate::model::field::visible_excerpt;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::task::{RowId, Task};
use crate::ops::{Session, count_awaiting_decision};
use crate::store::{StoreRead, TaskFilter};

/// How many batches are listed: the newest.
const MAX_BATCHES: usize = 100;
/// How many chunks in one status are counted at most.
const MAX_COUNT: usize = 100;
/// The most characters of a title.
const TITLE_CHARS: usize = 200;
/// How many batches an error message names.
const NAMED_BATCHES: usize = 10;

/// A batch in the list.
#[derive(Debug, Clone)]
pub(super) struct BatchRow {
    pub(super) id: TaskId,
    pub(super) title: String,
    pub(super) status: BatchStatus,
    pub(super) processed: u64,
    pub(super) total: u64,
    /// How much of the work in all steps is done.
    pub(super) percent: u64,
    /// Chunks in review, up to [`MAX_COUNT`].
    pub(super) in_review: usize,
    /// Failed and blocked chunks, up to [`MAX_COUNT`] of each.
    pub(super) stuck: usize,
    /// Failed items of a batch that has ended.
    pub(super) failed: u64,
}

impl BatchRow {
    /// The chunks that wait for a person, by kind.
    pub(super) fn waiting(&self) -> String {
        let parts = [(self.in_review, "in review"), (self.stuck, "failed or blocked")];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0);
        let parts = parts.map(|(count, what)| format!("{count} {what}"));
        let items = (self.failed > 0).then(|| count(self.failed, "failed item"));
        parts.chain(items).collect::<Vec<_>>().join(", ")
    }

    /// How many chunks wait for a person.
    pub(super) fn waiting_count(&self) -> String {
        match self.in_review + self.stuck {
            0 if self.failed > 0 => format!("{} failed", self.failed),
            0 => String::new(),
            1 => "1 waits for you".to_owned(),
            more => format!("{more} wait for you"),
        }
    }
}

/// The open batches, newest first, and after them those that ended with failures which nobody has resolved.
///
/// # Errors
/// If the store cannot be read.
pub(super) fn listed_batches(session: &Session) -> Result<Vec<BatchRow>> {
    session.read(|tx| {
        let mut listed = rows(tx, tx.open_batches(None, MAX_BATCHES)?)?;
        listed.extend(rows(tx, tx.failed_batches(None, MAX_BATCHES)?)?);
        Ok(listed)
    })
}

/// The open batches, newest first.
fn open_batches(session: &Session) -> Result<Vec<BatchRow>> {
    session.read(|tx| rows(tx, tx.open_batches(None, MAX_BATCHES)?))
}

fn rows(tx: &dyn StoreRead, tasks: Vec<Task>) -> Result<Vec<BatchRow>> {
    let mut rows = Vec::new();
    for task in tasks {
        let Some(batch) = tx.batch(task.row)? else { continue };
        let status = batch.status(task.status, tx.has_workable_chunk(task.row)?);
        rows.push(BatchRow {
            title: visible_excerpt(&task.title, TITLE_CHARS),
            status,
            processed: batch.counts.processed(),
            total: batch.counts.total,
            percent: percent_of(tx, task.row, &batch, status)?,
            in_review: count_awaiting_decision(tx, &task, &batch)? as usize,
            stuck: count_chunks(tx, task.row, Status::Failed)? + count_chunks(tx, task.row, Status::Blocked)?,
            // While the batch is at work, a retry would not open its failed items.
            failed: if status.is_over() { batch.counts.failed } else { 0 },
            id: task.id,
        });
    }
    Ok(rows)
}

/// How much of the work in all steps is done. Chunks that are ahead of the others count as in the lowest open step.
fn percent_of(tx: &dyn StoreRead, row: RowId, batch: &Batch, status: BatchStatus) -> Result<u64> {
    let (steps, total) = (batch.steps.count().max(1) as u64, batch.counts.total);
    let step = match tx.lowest_open_step(row)? {
        Some(step) if !status.is_over() => step as u64,
        _ => steps - 1,
    };
    Ok(percent(step * total + batch.counts.processed(), steps * total))
}

/// The batch that the screen shows first if none is named: the only open one, or the only one at all.
pub(super) fn only_batch(listed: &[BatchRow]) -> Option<TaskId> {
    let mut open = listed.iter().filter(|batch| !batch.status.is_over());
    match (open.next(), open.next(), listed) {
        (Some(one), None, _) | (None, _, [one]) => Some(one.id.clone()),
        _ => None,
    }
}

fn count_chunks(tx: &dyn StoreRead, batch: i64, status: Status) -> Result<usize> {
    let filter = TaskFilter::children_of(batch).with_status(status);
    Ok(tx.list(&filter, None, MAX_COUNT)?.len())
}

/// The only open batch, for a command that names none; `None` if no batch is open.
///
/// # Errors
/// If several are open: the message names them.
pub(super) fn the_only_open_batch(session: &Session) -> Result<Option<TaskId>> {
    let open = open_batches(session)?;
    match open.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.id.clone())),
        more => {
            let named =
                more.iter().take(NAMED_BATCHES).map(|batch| format!("{} ('{}')", batch.id, batch.title));
            let named = named.collect::<Vec<_>>().join(", ");
            Err(Error::new(
                Code::InvalidArgument,
                format!("BATCH: {} batches are open; name one of them: {named}", more.len()),
            ))
        }
    }
}
