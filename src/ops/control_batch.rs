//! `control_batch`: pauses, resumes or cancels a batch, or opens what failed in it again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::finish_task::becomes_ready;
use super::lifecycle::pause::{pause, resume};
use super::lifecycle::review::is_through;
use super::lifecycle::transition::save;
use super::runners::background;
use super::views::batch::{BatchReply, find_batch};
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::batch::Batch;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::{Body, Line};
use crate::store::pages::each_chunk;
use crate::store::{Chosen, NewReceipt, Write};

words!(
    /// What is done to a batch.
    Action, "action" {
        /// Lets nothing more be claimed.
        Pause = "pause",
        /// Lets a paused batch go on.
        Resume = "resume",
        /// Ends it: nothing more is claimed, running claims are lost.
        Cancel = "cancel",
        /// Opens failed items and chunks again.
        Retry = "retry",
        /// Has it worked in the background.
        Start = "start",
    }
);

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ControlBatch {
    #[arg(long)]
    id: TaskId,
    /// cancel: claims are lost
    #[arg(long)]
    action: Action,
    #[arg(long)]
    reason: Option<Body>,
    /// With start: the profile
    #[arg(long)]
    worker: Option<Line>,
    /// Retry only these; likewise items and categories
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    chunks: Vec<TaskId>,
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    items: Vec<Line>,
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    categories: Vec<Line>,
}

impl ControlBatch {
    /// Which items a retry means.
    fn chosen(&self) -> Result<Chosen> {
        let words = |lines: &[Line]| lines.iter().map(|line| line.as_str().to_owned()).collect();
        let chosen = Chosen { categories: words(&self.categories), keys: words(&self.items) };
        if self.action != Action::Retry && !(chosen.is_all() && self.chunks.is_empty()) {
            return Err(Error::invalid(format!(
                "chunks, items, categories: they go with retry; {} is for the whole batch",
                self.action
            )));
        }
        Ok(chosen)
    }
}

impl Operation for ControlBatch {
    const NAME: &'static str = "control_batch";
    const TITLE: &'static str = "Control a batch";
    const DESCRIPTION: &'static str = "Pause, resume, cancel or retry a batch.";
    const EFFECT: Effect = Effect::Destructive;
    const FIRST: &'static str = "id";
    type Reply = BatchReply;

    fn run(self, session: &Session) -> Result<BatchReply> {
        let author = session.caller().to_owned();
        if let Some(profile) = &self.worker {
            if self.action != Action::Start {
                return Err(Error::invalid(format!("worker: it goes with start, not with {}", self.action)));
            }
            let id = self.id.clone();
            let project = session.read(move |tx| Ok(find_batch(tx, &id)?.0.project))?;
            background::check(session, profile, project.as_deref())?;
        }
        let (id, action) = (self.id.clone(), self.action);
        let mut reply = session.write(move |tx| {
            let (task, batch) = find_batch(tx, &self.id)?;
            let reason = self.reason.as_ref().and_then(Body::non_empty).unwrap_or("no reason given");
            let chosen = self.chosen()?;
            let message = match self.action {
                Action::Pause => pause(tx, &task, &batch, reason, &author)?,
                Action::Resume => resume(tx, &task, &batch, reason, &author)?,
                Action::Cancel => cancel(tx, &task, reason, &author)?,
                Action::Retry => retry(tx, &task, reason, &author, &self.chunks, &chosen)?,
                Action::Start => start(tx, &task, &batch, self.worker.as_ref(), reason, &author)?,
            };
            BatchReply::of(tx, &self.id, message)
        })?;
        if action != Action::Cancel && action != Action::Pause {
            let (told, hindered) = background::try_wake(session, &id)?;
            reply.message += &told;
            // That it be worked is all that a start is for.
            reply.code = hindered.filter(|_| action == Action::Start);
            reply.success = reply.code.is_none();
        }
        Ok(reply)
    }
}

/// Has a batch worked by a profile from now on; whoever says so works it.
///
/// # Errors
/// Where there is no such batch, or it is over.
pub fn assign_profile(session: &Session, batch: &TaskId, profile: &Line) -> Result<()> {
    let (id, profile, author) = (batch.clone(), profile.clone(), session.caller().to_owned());
    session.write(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        start(tx, &task, &batch, Some(&profile), "tasktally work", &author).map(|_| ())
    })
}

/// Names the profile that a batch is worked by, and lets that start workers again.
fn start(
    tx: &dyn Write,
    task: &Task,
    batch: &Batch,
    profile: Option<&Line>,
    reason: &str,
    author: &str,
) -> Result<String> {
    let profile = profile.map(Line::as_str).or(batch.worker.as_deref()).ok_or_else(|| {
        Error::invalid(format!(
            "worker: batch {} has no profile yet; name one of the operator's, tasktally config lists them",
            task.id
        ))
    })?;
    if task.status.is_terminal() {
        return Err(Error::new(
            Code::NotReady,
            format!(
                "Batch {} is {}: nothing of it is left to work; retry opens what failed",
                task.id, task.status
            ),
        ));
    }
    tx.set_worker(task.row, profile)?;
    tx.pause_profile(profile, None)?;
    let text = format!("Started by '{author}' with profile '{profile}': {reason}");
    tx.append(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    if batch.paused.is_some() {
        resume(tx, task, batch, reason, author)?;
    }
    Ok(format!("Started {}", task.id))
}

fn cancel(tx: &dyn Write, batch: &Task, reason: &str, author: &str) -> Result<String> {
    if batch.status.is_terminal() {
        return Ok(format!("Batch {} is {} already", batch.id, batch.status));
    }
    // The batch first: its chunks must not end it as failed.
    save(tx, batch, &Task { status: Status::Cancelled, ..batch.clone() })?;
    let mut count = 0;
    each_chunk(tx, batch.row, 0, |_, task| {
        if !task.status.is_terminal() {
            count += 1;
            save(tx, &task, &Task { status: Status::Cancelled, ..task.clone() })?;
        }
        Ok(true)
    })?;
    let text = format!("Cancelled by '{author}': {reason}. {count} chunks had not ended.");
    tx.append(batch, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    let (batch, stored) = find_batch(tx, &batch.id)?;
    becomes_ready(tx, &batch, &stored)?;
    Ok(format!("Cancelled {}: {count} chunks had not ended; their receipts stay", batch.id))
}

fn retry(
    tx: &dyn Write,
    batch: &Task,
    reason: &str,
    author: &str,
    only: &[TaskId],
    chosen: &Chosen,
) -> Result<String> {
    if batch.status == Status::Cancelled {
        return Err(Error::new(
            Code::Cancelled,
            format!("Batch {} was cancelled; make a new one of what is left", batch.id),
        ));
    }
    for id in only {
        let task = tx.task(id)?;
        if task.parent_row != Some(batch.row) {
            let message = format!("chunks: {id} is no chunk of batch {}; get_batch lists them", batch.id);
            return Err(Error::invalid(message));
        }
    }
    let (mut chunks, mut items, mut not_through, mut rejected) = (0, 0, 0, 0);
    each_chunk(tx, batch.row, 0, |chunk, task| {
        if !only.is_empty() && !only.contains(&task.id) {
            return Ok(true);
        }
        let ended = matches!(task.status, Status::Failed | Status::Blocked);
        let open = chunk.counts.processed() < chunk.counts.total;
        if !ended && (task.status != Status::Done || (chunk.counts.failed == 0 && !open)) {
            not_through += u64::from(chunk.counts.failed > 0);
            return Ok(true);
        }
        let opened = tx.reopen_failed(&chunk, chosen)?;
        if opened == 0 && !chosen.is_all() {
            return Ok(true);
        }
        // A person's no: its worker completed it, and nothing of it failed.
        if opened == 0 && task.status == Status::Failed && is_through(&chunk, &task) {
            rejected += 1;
            return Ok(true);
        }
        tx.set_attempts(&chunk, 0)?;
        save(tx, &task, &Task { status: Status::Active, assignee: None, ..task.clone() })?;
        let text = format!("Opened again by '{author}' with {opened} failed items: {reason}.");
        tx.append(&task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
        chunks += 1;
        items += opened;
        Ok(true)
    })?;
    // Batches that began meanwhile did not look at chunks that had ended.
    super::conflicts::detect::join_again(tx, batch.row, batch.project.as_deref())?;
    let left = match rejected {
        0 => String::new(),
        _ => format!("; {rejected} rejected chunks stay so, review_batch(decision=\"redo\") opens them"),
    };
    Ok(match chunks {
        0 if not_through > 0 => format!(
            "Nothing was opened again: {not_through} chunks with failed items are not through yet; retry once they have ended"
        ),
        0 => format!("Nothing failed in {} that could be retried{left}", batch.id),
        _ => {
            format!("Opened {chunks} chunks with {items} failed items again; their first receipts stay{left}")
        }
    })
}
