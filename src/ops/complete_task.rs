//! `complete_task`: the one accepted completion of a task.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::steps::{pass, skip_open};
use super::lifecycle::transition::{batch_of, save};
use super::views::intermediate_state;
use super::views::task::{TaskReply, TaskView};
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::batch::Chunk;
use crate::model::checklist::{has_box, open_boxes};
use crate::model::claim::{lost, may_change_state};
use crate::model::complete::{NAMED, Remaining, nothing_remains};
use crate::model::id::{TaskId, Token};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::Body;
use crate::store::{NewReceipt, Read, Write};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct CompleteTask {
    /// The task.
    #[schemars(description = "")]
    #[arg(long)]
    pub id: TaskId,
    /// Its token.
    #[schemars(description = "")]
    #[arg(long)]
    pub claim: Option<Token>,
    /// Appended as the last receipt
    #[arg(long)]
    pub summary: Option<Body>,
    /// Complete although something is left; recorded
    #[serde(default)]
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub force: bool,
}

impl Operation for CompleteTask {
    const NAME: &'static str = "complete_task";
    const TITLE: &'static str = "Complete a task";
    const DESCRIPTION: &'static str =
        "Mark a task done. Refused while its body holds `- [ ]` or items lack receipts.";
    const EFFECT: Effect = Effect::WriteOnce;
    const FIRST: &'static str = "id";
    const WORKER_PARAMETERS: &'static [&'static str] = &["id", "claim", "summary"];
    type Reply = TaskReply;

    fn run(self, session: &Session) -> Result<TaskReply> {
        let author = session.caller().to_owned();
        let (reply, chunk) = session.write(move |tx| {
            let task = tx.task(&self.id)?;
            let completion =
                complete(tx, &task, self.claim.as_ref(), self.summary.as_ref(), self.force, &author)?;
            let after = tx.task_at(task.row)?;
            let mut reply = TaskReply::new(completion.message, Some(TaskView::compact(tx, &after)?));
            reply.duplicate = completion.repeated.then_some(true);
            Ok((reply, after.is_chunk.then_some(after.id)))
        })?;
        if let Some(chunk) = chunk {
            intermediate_state::write_chunk(session, &chunk);
        }
        Ok(reply)
    }
}

/// A completion that was accepted, now or before.
pub(super) struct Completion {
    /// Whether it was accepted before.
    pub(super) repeated: bool,
    /// What came of it.
    pub(super) message: String,
}

/// Completes a task, or says that it was completed before.
///
/// # Errors
/// `claim_lost`, `claim_required`, `incomplete_items`, `cancelled`.
pub(super) fn complete(
    tx: &dyn Write,
    task: &Task,
    token: Option<&Token>,
    summary: Option<&Body>,
    force: bool,
    author: &str,
) -> Result<Completion> {
    let now = tx.now();
    let own = task.claim.as_ref().and_then(|claim| claim.token.as_ref());
    let chunk = tx.chunk(task)?;
    // A chunk that was completed may be in review or open for its next step by now.
    let accepted = chunk.as_ref().is_some_and(|chunk| {
        token.is_some() && chunk.accepted == task.generation && task.status != Status::InProgress
    });
    if (task.status == Status::Done || accepted) && (token.is_none() || token == own) {
        let by = task.claim.as_ref().map(|claim| claim.worker.as_str()).or(task.assignee.as_deref());
        let by = by.unwrap_or("someone");
        let message = format!("Task {} was already completed by '{by}' at {}", task.id, task.updated);
        return Ok(Completion { repeated: true, message });
    }
    if let Some(token) = token
        && task.live_claim(now).is_none_or(|claim| claim.token.as_ref() != Some(token))
    {
        let refusal = lost(task, token, now);
        // What it tells of may have happened.
        return Err(match summary.and_then(Body::non_empty) {
            Some(text) => refusal.with_receipt(
                tx.append(task, &NewReceipt { author, text, late: true, ..NewReceipt::default() })?,
            ),
            None => refusal,
        });
    }
    if task.status == Status::Cancelled {
        return Err(Error::new(
            Code::Cancelled,
            format!("Task {} was cancelled; nothing is left to complete", task.id),
        ));
    }
    may_change_state(task, token, now)?;
    if task.is_chunk && token.is_none() && !force {
        return Err(Error::new(
            Code::ClaimRequired,
            format!(
                "Task {0} is a chunk of a batch: claim it with claim_task(id=\"{0}\") and bring its token as `claim`",
                task.id
            ),
        ));
    }
    let left = remains(tx, task, chunk.as_ref(), summary);
    if task.is_batch {
        left?;
        return Err(Error::new(
            Code::NotReady,
            format!(
                "Batch {0} has ended as {1}; control_batch(id=\"{0}\", action=\"retry\") opens what failed again",
                task.id, task.status
            ),
        ));
    }
    let forced = match (left, force) {
        (Ok(()), _) => None,
        (Err(error), true) if error.code == Code::IncompleteItems => Some(error.message),
        (Err(error), _) => return Err(error),
    };
    let author = task.live_claim(now).map_or(author, |claim| claim.worker.as_str());
    if let Some(text) = summary.and_then(Body::non_empty) {
        tx.append(task, &NewReceipt { author, text, ..NewReceipt::default() })?;
    }
    if let Some(left) = forced {
        tx.append(
            task,
            &NewReceipt { author, text: &format!("Completed by force. {left}"), ..NewReceipt::default() },
        )?;
    }
    // Only the holder's own completion can be repeated by its token.
    let claim = task.claim.clone().filter(|claim| claim.token.is_none() || claim.token.as_ref() == token);
    let task = &Task { claim, ..task.clone() };
    let came_to = match (&chunk, batch_of(tx, task)?) {
        (Some(chunk), Some(batch)) => {
            tx.accept(chunk.row, task.generation)?;
            if force && batch.steps.get(chunk.step + 1).is_some() {
                skip_open(tx, task, chunk, author)?;
            }
            format!(": {}", pass(tx, task, chunk, &batch)?)
        }
        _ => {
            save(tx, task, &Task { status: Status::Done, ..task.clone() })?;
            String::new()
        }
    };
    Ok(Completion { repeated: false, message: format!("Completed {}{came_to}", task.id) })
}

fn remains(tx: &dyn Read, task: &Task, chunk: Option<&Chunk>, summary: Option<&Body>) -> Result<()> {
    let summary = summary.map(Body::as_str).unwrap_or_default();
    let texts = if task.boxes || has_box(summary) {
        let mut texts = vec![tx.opening(task.row)?];
        // A late receipt never counts.
        let receipts = tx.receipts(task.row, 0, usize::MAX >> 1)?;
        texts.extend(receipts.into_iter().filter(|receipt| !receipt.late).map(|receipt| receipt.text));
        texts.push(summary.to_owned());
        texts
    } else {
        Vec::new()
    };
    let keys = match chunk {
        Some(chunk) if chunk.counts.processed() < chunk.counts.total => {
            tx.items(task.row, 0, NAMED, true)?.into_iter().map(|item| item.key).collect()
        }
        _ => Vec::new(),
    };
    let batch = if task.is_batch { tx.batch(task.row)? } else { None };
    let remaining = Remaining {
        boxes: open_boxes(texts.iter().map(String::as_str)),
        chunk: chunk.map(|chunk| (chunk, keys)),
        batch: batch.as_ref(),
    };
    nothing_remains(task, &remaining)
}
