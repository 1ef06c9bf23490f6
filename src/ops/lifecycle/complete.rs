//! Completes a task: the checks, the summary's receipt, and the chunk's next step.

use super::checkboxes::open_boxes;
use super::steps::{complete_step, skip_open_items};
use super::transition::change_state;
use crate::error::{Code, Error, Result};
use crate::model::author::Author;
use crate::model::batch::Chunk;
use crate::model::claim_rules::{check_state_change, claim_lost_error};
use crate::model::id::Token;
use crate::model::limits::MAX_IDS;
use crate::model::open_work::{MAX_NAMED, OpenWork, check_no_open_work};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::ReceiptText;
use crate::ops::request::lookup::batch_of_chunk;
use crate::store::{NewReceipt, StoreRead, StoreWrite, TaskFilter};

/// A completion that was accepted.
pub(in crate::ops) struct Completion {
    /// Whether it was accepted before this request.
    pub(in crate::ops) repeated: bool,
    /// The reply's message.
    pub(in crate::ops) message: String,
}

/// Completes a task. A completion that was accepted before is reported as repeated.
///
/// # Errors
/// `claim_lost`, `claim_required`, `incomplete_items`, `open_children`, `open_dependencies`, `not_ready`, `cancelled`.
pub(in crate::ops) fn complete(
    tx: &dyn StoreWrite,
    task: &Task,
    token: Option<&Token>,
    summary: Option<&ReceiptText>,
    force: bool,
    author: &Author,
) -> Result<Completion> {
    let now = tx.now();
    let chunk = tx.chunk(task)?;
    if let Some(repeated) = accepted_before(tx, task, chunk.as_ref(), token)? {
        return keep_new_summary(tx, task, summary, author, repeated);
    }
    if let Some(token) = token
        && task.live_claim(now).is_none_or(|claim| claim.token.as_ref() != Some(token))
    {
        let refusal = claim_lost_error(task, token, now);
        // What the summary reports may have happened: it is kept as a late receipt.
        return Err(match summary.and_then(ReceiptText::non_empty) {
            Some(text) => refusal.with_receipt(
                tx.append_receipt(task, &NewReceipt { author, text, late: true, ..NewReceipt::default() })?,
            ),
            None => refusal,
        });
    }
    if task.status == Status::Cancelled {
        return Err(Error::new(
            Code::Cancelled,
            format!("Task {} was cancelled; it cannot be completed", task.id),
        ));
    }
    if let Some(chunk) = chunk.as_ref().filter(|_| task.status == Status::Rejected) {
        return Err(Error::new(
            Code::NotReady,
            format!(
                "A person rejected chunk {0}; only review_batch(id=\"{1}\", chunk=\"{0}\", decision=\"redo\") opens it again",
                task.id, chunk.batch_id
            ),
        ));
    }
    check_state_change(task, token, now)?;
    if task.is_chunk && token.is_none() && !force {
        return Err(Error::new(
            Code::ClaimRequired,
            format!(
                "claim: task {0} is a chunk of a batch and needs its claim; claim_task(id=\"{0}\") returns claim.token",
                task.id
            ),
        ));
    }
    let remaining = check_nothing_remains(tx, task, chunk.as_ref(), summary);
    if task.is_batch {
        remaining?;
        return Err(Error::new(
            Code::NotReady,
            format!(
                "Batch {0} has ended with status {1}; control_batch(id=\"{0}\", action=\"retry\") opens failed items again",
                task.id, task.status
            ),
        ));
    }
    let forced = match (remaining, force) {
        (Ok(()), _) => None,
        (Err(error), true) if is_open_work(error.code) => Some(error.message),
        (Err(error), _) => return Err(error),
    };
    let author = &task.live_claim(now).map_or_else(|| author.clone(), |claim| author.named(&claim.worker));
    if let Some(text) = summary.and_then(ReceiptText::non_empty) {
        tx.append_receipt(task, &NewReceipt { author, text, ..NewReceipt::default() })?;
    }
    if let Some(remaining) = forced {
        let text = format!("Completed by force. {remaining}");
        tx.append_receipt(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    }
    // A repeated completion is recognized by the token of the claim that completed the task: no other token is kept.
    let claim = task.claim.clone().filter(|claim| claim.token.is_none() || claim.token.as_ref() == token);
    let task = &Task { claim, ..task.clone() };
    let result = match (&chunk, batch_of_chunk(tx, task)?) {
        (Some(chunk), Some(batch)) => {
            tx.set_accepted_generation(chunk.row, task.generation)?;
            if force && batch.steps.get(chunk.step + 1).is_some() {
                skip_open_items(tx, task, chunk, author)?;
            }
            format!(": {}", complete_step(tx, task, chunk, &batch)?)
        }
        _ => {
            change_state(tx, task, &Task { status: Status::Done, ..task.clone() })?;
            String::new()
        }
    };
    Ok(Completion { repeated: false, message: format!("Completed {}{result}", task.id) })
}

/// The completion of a task that was accepted before under the same claim. A completed chunk may be in review or
/// open for its next step by now.
fn accepted_before(
    tx: &dyn StoreWrite,
    task: &Task,
    chunk: Option<&Chunk>,
    token: Option<&Token>,
) -> Result<Option<Completion>> {
    let latest_token = task.claim.as_ref().and_then(|claim| claim.token.as_ref());
    let step_accepted = chunk.is_some_and(|chunk| {
        token.is_some() && chunk.accepted_generation == task.generation && task.status != Status::InProgress
    });
    let accepted =
        (task.status == Status::Done || step_accepted) && (token.is_none() || token == latest_token);
    if !accepted {
        return Ok(None);
    }
    let worker = task.claim.as_ref().map(|claim| claim.worker.as_str()).or(task.assignee.as_deref());
    let by = worker.map_or(String::new(), |worker| format!(" by '{worker}'"));
    // The status of a chunk may have changed after its completion, by a review.
    let at = if chunk.is_none() { tx.status_changed_at(task)? } else { None };
    let at = at.map_or(String::new(), |at| format!(" at {at}"));
    let message = format!("Task {} was already completed{by}{at}", task.id);
    Ok(Some(Completion { repeated: true, message }))
}

/// Keeps the summary of a repeated completion as a receipt, unless the task has a receipt with this text already.
fn keep_new_summary(
    tx: &dyn StoreWrite,
    task: &Task,
    summary: Option<&ReceiptText>,
    author: &Author,
    mut repeated: Completion,
) -> Result<Completion> {
    let Some(text) = summary.and_then(ReceiptText::non_empty) else { return Ok(repeated) };
    let receipts = tx.receipts(task.row, 0, usize::MAX >> 1)?;
    if !receipts.iter().any(|receipt| receipt.text.trim() == text.trim()) {
        let number = tx.append_receipt(task, &NewReceipt { author, text, ..NewReceipt::default() })?;
        repeated.message += &format!("; the new summary is kept as receipt {number}");
    }
    Ok(repeated)
}

fn is_open_work(code: Code) -> bool {
    matches!(code, Code::IncompleteItems | Code::OpenChildren | Code::OpenDependencies)
}

/// Refuses a task whose text holds open checkboxes, a chunk with open items, a batch with open chunks, and a task
/// with children or dependencies that are open.
fn check_nothing_remains(
    tx: &dyn StoreRead,
    task: &Task,
    chunk: Option<&Chunk>,
    summary: Option<&ReceiptText>,
) -> Result<()> {
    let open_boxes = open_boxes(tx, task, summary.map(ReceiptText::as_str).unwrap_or_default())?;
    let keys = match chunk {
        Some(chunk) if chunk.counts.processed() < chunk.counts.total => {
            tx.items(task.row, 0, MAX_NAMED, true)?.into_iter().map(|item| item.key).collect()
        }
        _ => Vec::new(),
    };
    let batch = if task.is_batch { tx.batch(task.row)? } else { None };
    let remaining = OpenWork {
        open_checkboxes: open_boxes.iter().map(String::as_str).collect(),
        chunk: chunk.map(|chunk| (chunk, keys)),
        batch: batch.as_ref(),
        ..open_graph(tx, task)?
    };
    check_no_open_work(task, &remaining)
}

/// The children and dependencies of a task that are open. A chunk has neither, and a batch's children are its chunks.
fn open_graph<'a>(tx: &dyn StoreRead, task: &Task) -> Result<OpenWork<'a>> {
    let mut open = OpenWork::default();
    if task.is_chunk || task.is_batch {
        return Ok(open);
    }
    let filter = TaskFilter { unfinished: true, ..TaskFilter::children_of(task.row) };
    let children = tx.list(&filter, None, MAX_IDS)?;
    // A child that depends on the task is meant to come after it.
    let after = if children.is_empty() { Vec::new() } else { tx.dependents(task.row, MAX_IDS)? };
    let before = children.into_iter().filter(|child| !after.contains(&child.id));
    open.children = before.map(|child| (child.id, child.status)).collect();
    open.children_count = open.children.len() as u64;
    for (id, soft) in tx.dependencies(task)? {
        let dependency = tx.task(&id)?;
        if !soft && dependency.status != Status::Done {
            open.dependencies.push((id, dependency.status));
        } else if task.hold_count > 0 && dependency.is_batch && !dependency.status.is_terminal() {
            open.awaited_batch = Some(id);
        }
    }
    Ok(open)
}
