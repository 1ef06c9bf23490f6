//! Waits that a handle names. A wait is a row of the store, so any server on the store can continue it.

use std::sync::Arc;

use serde_json::Value;

use super::WaitBatch;
use super::wake::wakes;
use crate::error::{Code, Error, Result};
use crate::model::batch::BatchStatus;
use crate::model::id::{TaskId, Token};
use crate::model::status::Status;
use crate::model::step::Checkpoint;
use crate::model::timestamp::Timestamp;
use crate::model::wait::{AskedQuestion, BatchWait, MAX_WAITS};
use crate::ops::request::args;
use crate::ops::request::lookup::{batch_status, find_batch};
use crate::ops::request::server_scope::limit_to_scope;
use crate::ops::request::worker_scope::check_scope;
use crate::ops::review_questions::lookup::{awaited_batch, find_wait};
use crate::ops::review_questions::questions::{ask, open_question};
use crate::ops::review_questions::review_form::ReviewQuestion;
use crate::ops::views::attention::{chunks_left_in_doubt, failures_of};
use crate::ops::{GetBatch, Operation, RunnerLauncher, Session, to_json};
use crate::store::{StoreRead, TaskFilter};

/// A wait as its holder sees it.
pub struct WaitView {
    /// The handle.
    pub handle: String,
    /// When the wait started.
    pub created: Timestamp,
    /// When the wait or its batch last changed.
    pub updated: Timestamp,
    /// The state in a line.
    pub message: String,
    /// The state.
    pub state: WaitState,
}

/// The state of a wait.
pub enum WaitState {
    /// The batch is being worked on: poll again.
    Working,
    /// A person has to answer.
    NeedsAnswer(ReviewQuestion),
    /// The batch has ended, or the caller has something to do, which this reply of `get_batch` says.
    Ended(Value),
    /// The wait was cancelled.
    Cancelled,
}

/// Starts a wait for a batch; `can_ask` says whether the client can ask its person. A batch that has ended gets an ended
/// wait, which is not stored.
///
/// # Errors
/// Invalid arguments; `too_large` if the batch has too many waits.
pub fn start_wait(session: &Session, arguments: Value, can_ask: bool) -> Result<WaitView> {
    let request = args::parse::<WaitBatch>(check_scope::<WaitBatch>(session, arguments)?)?;
    let WaitBatch { id } = limit_to_scope(session, request)?;
    let caller = session.caller().to_owned();
    let wait = session.write(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        let since = tx.latest_change_number()?;
        let mut wait =
            BatchWait::new(Token::random().to_string(), task.row, &caller, can_ask, since, tx.now());
        if batch_status(tx, &task, &batch)?.is_over() {
            wait.ended_at = Some(tx.now());
            return Ok(wait);
        }
        if tx.count_open_waits(task.row)? >= MAX_WAITS {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "Batch {id} has {MAX_WAITS} open waits, the most allowed: cancel waits that are not needed, or poll get_batch(id=\"{id}\")"
                ),
            ));
        }
        tx.insert_wait(&wait)?;
        Ok(wait)
    })?;
    view(session, wait, can_ask)
}

/// Reads a wait; `can_ask` says whether the client can ask its person.
///
/// # Errors
/// `not_found` if no wait has the handle, or it belongs to another client.
pub fn read_wait(session: &Session, handle: &str, can_ask: bool) -> Result<WaitView> {
    let wait = find_wait(session, handle)?;
    view(session, wait, can_ask)
}

/// Cancels a wait. The batch is not changed, and a wait that has ended stays ended.
///
/// # Errors
/// As [`read_wait`].
pub fn cancel_wait(session: &Session, handle: &str) -> Result<()> {
    let handle = find_wait(session, handle)?.handle;
    session.write(move |tx| {
        let Some(mut wait) = tx.wait(&handle)?.filter(BatchWait::is_open) else { return Ok(()) };
        let (task, batch) = awaited_batch(tx, wait.batch)?;
        let is_over = batch_status(tx, &task, &batch)?.is_over();
        *(if is_over { &mut wait.ended_at } else { &mut wait.cancelled_at }) = Some(tx.now());
        wait.updated = tx.now();
        tx.update_wait(&wait)
    })
}

/// The batch of a wait at one moment.
struct Snapshot {
    batch: TaskId,
    updated: Timestamp,
    /// Whether the caller has something to do, or the batch has ended.
    ends: bool,
    message: String,
    question: Option<ReviewQuestion>,
}

fn view(session: &Session, wait: BatchWait, can_ask: bool) -> Result<WaitView> {
    let launcher = session.launcher().cloned();
    let (mut wait, snapshot) = session.read(move |tx| {
        let snapshot = snapshot(tx, &wait, launcher.as_ref())?;
        Ok((wait, snapshot))
    })?;
    if snapshot.ends && wait.is_open() {
        // The end is stored: the wait stays ended if a retry reopens the batch.
        wait = session.write(move |tx| {
            let mut wait = tx.wait(&wait.handle)?.unwrap_or_else(|| wait.clone());
            if wait.is_open() {
                wait.ended_at = Some(tx.now());
                wait.updated = tx.now();
                tx.update_wait(&wait)?;
            }
            Ok(wait)
        })?;
    }
    let (state, message) = if wait.cancelled_at.is_some() {
        let message = format!(
            "The wait was cancelled; the batch was not changed, control_batch(id=\"{}\", action=\"cancel\") cancels it",
            snapshot.batch
        );
        (WaitState::Cancelled, message)
    } else if wait.ended_at.is_some() {
        let reply = to_json(GetBatch::progress_of(snapshot.batch).run(session)?)?;
        (WaitState::Ended(reply), snapshot.message)
    } else {
        let state = match snapshot.question {
            Some(question) if can_ask => WaitState::NeedsAnswer(with_key(session, &wait.handle, question)?),
            // Another client of the same name, which cannot ask, leaves the question to the one that can.
            Some(_) | None => WaitState::Working,
        };
        (state, snapshot.message)
    };
    let message =
        if wait.last_answer.is_empty() { message } else { format!("{message}. {}", wait.last_answer) };
    let updated = wait.updated.max(snapshot.updated);
    Ok(WaitView { handle: wait.handle, created: wait.created, updated, message, state })
}

/// The question under the key with which the client has to answer it.
fn with_key(session: &Session, handle: &str, question: ReviewQuestion) -> Result<ReviewQuestion> {
    let asked = AskedQuestion { asked_by: handle.to_owned(), question: question.name.clone() };
    let wanted = asked.clone();
    let key = match session.read(move |tx| tx.asked_key(&wanted))? {
        Some(key) => key,
        None => session.write(move |tx| ask(tx, &asked))?,
    };
    Ok(ReviewQuestion { name: key, ..question })
}

fn snapshot(
    tx: &dyn StoreRead,
    wait: &BatchWait,
    launcher: Option<&Arc<dyn RunnerLauncher>>,
) -> Result<Snapshot> {
    let (task, batch) = awaited_batch(tx, wait.batch)?;
    let id = &task.id;
    let status = batch_status(tx, &task, &batch)?;
    let is_open = wait.is_open() && !status.is_over();
    let question = if is_open && wait.can_ask { open_question(tx, wait, &task, &batch)? } else { None };
    let count = |status| {
        let filter = TaskFilter::children_of(task.row).with_status(status);
        tx.count_tasks(&filter).map(|total| total.count)
    };
    let in_review = count(Status::Review)?;
    let mut message = format!(
        "{} of {} items processed, {} in progress",
        batch.counts.processed(),
        batch.counts.total,
        chunks(count(Status::InProgress)?)
    );
    match status {
        BatchStatus::Running | BatchStatus::Waiting => {}
        other => message += &format!(", {other}"),
    }
    let failed = failures_of(tx, &task, &batch)?;
    if status.is_over() && failed.are_unresolved() {
        message += &format!(", {}: get_batch(id=\"{id}\", view=\"failures\")", failed.summary());
    }
    let left = chunks_left_in_doubt(tx, &task, &batch)?.len() as u64;
    if left > 0 {
        message += &format!(", {} left in doubt: get_batch(id=\"{id}\", view=\"review\")", chunks(left));
    }
    if question.is_some() {
        message += ", a person is asked";
    } else if !status.is_over() && in_review > 0 {
        message += &format!(", {} in review", chunks(in_review));
        // At a step checkpoint the chunks are approved together, once all of them have completed the step.
        if status == BatchStatus::Waiting || batch.checkpoint != Checkpoint::Step {
            message += &format!(": review_batch(id=\"{id}\", decision)");
        }
    } else if status == BatchStatus::Waiting {
        message +=
            &format!(", the other chunks wait for a person: get_batch(id=\"{id}\", view=\"failures\")");
    }
    let wakes = is_open && question.is_none() && wakes(tx, &task, &batch, status, wait, launcher)?;
    let ends = status.is_over() || wakes;
    Ok(Snapshot { batch: task.id, updated: task.updated, ends, message, question })
}

fn chunks(count: u64) -> String {
    format!("{count} chunk{}", if count == 1 { "" } else { "s" })
}
