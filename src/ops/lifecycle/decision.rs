//! Applies a person's decision to chunks in review, whichever way the person was asked.

use super::checkpoint::{check_step_complete, has_completed_step};
use super::in_doubt::settle_in_doubt_as_done;
use super::reviewer::Reviewer;
use super::steps::open_next_step;
use super::transition::change_state;
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::chunk_names::ranges;
use crate::model::id::TaskId;
use crate::model::limits::PAGE_ROWS;
use crate::model::status::Status;
use crate::model::step::Decision;
use crate::model::task::Task;
use crate::model::text::{LineText, ReceiptText, agreeing, counted, quoted_name};
use crate::ops::conflicts::detect::store_conflicts_of_reopened;
use crate::ops::request::lookup::find_batch;
use crate::ops::views::attention::failures_of;
use crate::store::{ItemSelection, NewReceipt, StoreRead, StoreWrite, TaskFilter};

/// The most ranges of chunks that a reply and the record of a decision name.
const RANGES: usize = 40;

/// A decision on chunks in review.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Review {
    pub(in crate::ops) decision: Decision,
    /// For `redo`: only items of these categories are redone; empty for all.
    pub(in crate::ops) categories: Vec<LineText>,
    pub(in crate::ops) note: Option<ReceiptText>,
    /// Who decided.
    pub(in crate::ops) reviewer: Reviewer,
}

impl Review {
    /// Checks that the decision has the parameters that it needs and no others.
    ///
    /// # Errors
    /// `invalid_argument`, naming the parameter.
    pub(in crate::ops) fn validate(&self) -> Result<()> {
        if self.decision != Decision::Approve && self.note_text().is_none() {
            return Err(Error::invalid(format!(
                "note: missing; decision '{}' needs a note that says what is wrong",
                self.decision
            )));
        }
        if self.decision != Decision::Redo && !self.categories.is_empty() {
            return Err(Error::invalid(format!(
                "categories: allowed with decision 'redo' only; '{}' applies to whole chunks",
                self.decision
            )));
        }
        Ok(())
    }

    /// Applies the decision to chunks of a batch and records it. Returns the reply's message.
    ///
    /// # Errors
    /// `not_ready` if no chunk waits for a review, or the step of a `step` checkpoint is not complete. The caller
    /// must roll the transaction back then.
    pub(in crate::ops) fn apply(
        &self,
        tx: &dyn StoreWrite,
        id: &TaskId,
        chunks: &[(Chunk, Task)],
    ) -> Result<String> {
        let (task, batch) = find_batch(tx, id)?;
        if chunks.is_empty() {
            return Err(nothing_in_review(&task));
        }
        self.reviewer.check_allowed(&task, &batch)?;
        if self.decision == Decision::Approve {
            check_step_complete(tx, &task, &batch, chunks)?;
        }
        let mut results = Vec::new();
        for (chunk, chunk_task) in chunks {
            results.push(self.apply_to_chunk(tx, chunk, chunk_task, &batch)?);
        }
        if self.decision == Decision::Redo && chunks.iter().any(|(_, task)| task.status.is_terminal()) {
            store_conflicts_of_reopened(tx, batch.row, task.project.as_deref())?;
        }
        let approved_in_a_row = if self.decision == Decision::Approve {
            batch.approved_in_a_row + chunks.len() as u64
        } else {
            0
        };
        tx.set_approvals_in_a_row(batch.row, approved_in_a_row)?;
        let numbers: Vec<u64> = chunks.iter().map(|(chunk, _)| chunk.number).collect();
        let count = format!("{} ({})", counted(chunks.len() as u64, "chunk"), ranges(&numbers, RANGES));
        let text = format!("{} decided {} for {count}.{}", self.reviewer, self.decision, self.note_suffix());
        tx.append_receipt(
            &task,
            &NewReceipt { author: &self.reviewer.author, text: &text, ..NewReceipt::default() },
        )?;
        Ok(match results.as_slice() {
            [only] => format!("{}: {only}", self.decision),
            _ => format!("{} for {count}", self.decision),
        })
    }

    /// Records that a person accepts what failed in a batch that has ended: the overview no longer lists it. Returns
    /// the reply's message; `None` if nothing is to be accepted.
    pub(in crate::ops) fn accept_failures(
        &self,
        tx: &dyn StoreWrite,
        task: &Task,
        batch: &Batch,
    ) -> Result<Option<String>> {
        let failed = failures_of(tx, task, batch)?;
        if !task.status.is_terminal() || !failed.are_unresolved() {
            return Ok(None);
        }
        self.reviewer.check_allowed(task, batch)?;
        tx.set_accepted_failures(batch.row, failed.count())?;
        let summary = failed.summary();
        let text = format!("{} accepted the failures: {summary}.{}", self.reviewer, self.note_suffix());
        let decision = Some(self.decision);
        tx.append_receipt(
            task,
            &NewReceipt { author: &self.reviewer.author, text: &text, decision, ..NewReceipt::default() },
        )?;
        let note = self
            .note_text()
            .map_or("without a note".to_owned(), |note| format!("note {}", quoted_name(note)));
        let message = format!(
            "Accepted: {summary}; decided by {}, {note}; control_batch(id=\"{}\", action=\"retry\") still opens them again",
            self.reviewer, task.id
        );
        Ok(Some(message))
    }

    fn note_text(&self) -> Option<&str> {
        self.note.as_ref().and_then(ReceiptText::non_empty)
    }

    fn note_suffix(&self) -> String {
        self.note_text().map_or(String::new(), |note| format!(" {note}"))
    }

    /// Appends the receipt of the decision to a chunk: what was decided, by whom, after which step, and the note.
    fn record(&self, tx: &dyn StoreWrite, task: &Task, step: &str, what: &str) -> Result<()> {
        let (author, by) = (&self.reviewer.author, &self.reviewer);
        let text = format!("{what} by {by} after step '{step}'.{}", self.note_suffix());
        let decision = Some(self.decision);
        tx.append_receipt(task, &NewReceipt { author, text: &text, decision, ..NewReceipt::default() })?;
        Ok(())
    }

    /// Applies the decision to one chunk. Returns the result as a part of the reply's message.
    fn apply_to_chunk(
        &self,
        tx: &dyn StoreWrite,
        chunk: &Chunk,
        task: &Task,
        batch: &Batch,
    ) -> Result<String> {
        let step = batch.steps.name(chunk.step);
        match self.decision {
            Decision::Approve => {
                self.record(tx, task, step, "Approved")?;
                let settled = settle_in_doubt_as_done(tx, task, chunk, &self.reviewer)?;
                if settled > 0 && !has_completed_step(chunk, task) {
                    reopen(tx, chunk, task)?;
                    return Ok(format!(
                        "{} is open again, {} in doubt {} settled as done",
                        task.id,
                        counted(settled as u64, "item"),
                        agreeing(settled as u64, "was", "were")
                    ));
                }
                Ok(format!("{}: {}", task.id, open_next_step(tx, task, chunk, batch)?))
            }
            Decision::Reject => {
                change_state(tx, task, &Task { status: Status::Rejected, ..task.clone() })?;
                self.record(tx, task, step, "Rejected")?;
                Ok(format!(
                    "{0} is rejected; review_batch(id=\"{1}\", chunk=\"{0}\", decision=\"redo\") opens it again",
                    task.id, chunk.batch_id
                ))
            }
            Decision::Redo => {
                let opened = self.reopen_items(tx, chunk, task)?;
                self.record(tx, task, step, &format!("Redo of {} requested", counted(opened, "item")))?;
                let asks = batch.checkpoint.asks_after(chunk.step, batch.steps.count());
                let then = if asks { ", then all of it waits for a review" } else { "" };
                Ok(format!("{} is open again for {opened} of its items{then}", task.id))
            }
        }
    }

    /// Opens the selected items of a chunk again, with the reviewer's note for the next worker. Returns their
    /// number.
    fn reopen_items(&self, tx: &dyn StoreWrite, chunk: &Chunk, task: &Task) -> Result<u64> {
        let only: Vec<String> = self.categories.iter().map(|name| name.as_str().to_owned()).collect();
        let in_doubt = tx.started_items(chunk)?.len() as u64;
        tx.clear_started(chunk, None)?;
        // A review of items in doubt leaves settled items alone, unless the decision names categories.
        let reopened = if !only.is_empty() || in_doubt == 0 || has_completed_step(chunk, task) {
            tx.reopen_items(chunk, &ItemSelection { categories: only.clone(), keys: Vec::new() })?
        } else {
            0
        };
        let opened = reopened + in_doubt;
        if opened == 0 {
            return Err(Error::not_found(format!(
                "categories: chunk {} has no item in {}; get_batch(id=\"{}\", view=\"review\") shows its categories",
                task.id,
                only.join(", "),
                chunk.batch_id
            )));
        }
        let note = [chunk.review_note.as_str(), self.note_suffix().trim()].join("\n").trim().to_owned();
        tx.set_review_note(chunk.row, &note)?;
        reopen(tx, chunk, task)?;
        Ok(opened)
    }
}

/// The refusal of a review when no chunk waits for one.
pub(in crate::ops) fn nothing_in_review(batch: &Task) -> Error {
    let message =
        format!("No chunk of batch {0} waits for a review; get_batch(id=\"{0}\") shows its chunks", batch.id);
    Error::new(Code::NotReady, message)
}

/// Makes a chunk claimable again, with all its attempts.
fn reopen(tx: &dyn StoreWrite, chunk: &Chunk, task: &Task) -> Result<()> {
    tx.set_attempts(chunk, 0)?;
    // What fails from now on was accepted by nobody.
    tx.set_accepted_failures(chunk.batch_row, 0)?;
    change_state(tx, task, &Task { status: Status::Active, assignee: None, ..task.clone() })?;
    Ok(())
}

/// Calls `visit` with each chunk of a batch that is in review, until `visit` returns `false`.
pub(in crate::ops) fn for_each_in_review(
    tx: &dyn StoreRead,
    batch: &Batch,
    mut visit: impl FnMut(Chunk, Task) -> Result<bool>,
) -> Result<()> {
    let filter = TaskFilter::children_of(batch.row).with_status(Status::Review);
    let mut after = None;
    loop {
        let page = tx.list(&filter, after, PAGE_ROWS)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.priority, last.order, last.row));
        for task in page {
            if let Some(chunk) = tx.chunk(&task)?
                && !visit(chunk, task)?
            {
                return Ok(());
            }
        }
    }
}

/// The chunks of a batch that wait for a review.
pub(in crate::ops) fn chunks_in_review(tx: &dyn StoreRead, batch: &Batch) -> Result<Vec<(Chunk, Task)>> {
    let mut chunks = Vec::new();
    for_each_in_review(tx, batch, |chunk, task| {
        chunks.push((chunk, task));
        Ok(true)
    })?;
    Ok(chunks)
}
