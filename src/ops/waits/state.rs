//! Waiting for a batch by a handle: it is a row of the store, so any process can be asked about it.

use serde_json::Value;

use super::answers::open_question;
use super::review_form::Question;
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, BatchStatus};
use crate::model::id::{TaskId, Token};
use crate::model::status::Status;
use crate::model::step::Checkpoint;
use crate::model::task::{Row, Task};
use crate::model::text::excerpt;
use crate::model::timestamp::Timestamp;
use crate::model::wait::{MOST_WAITS, Wait};
use crate::ops::request::{args, worker_scope};
use crate::ops::views::batch::{batch_status, find_batch};
use crate::ops::wait_batch::WaitBatch;
use crate::ops::{GetBatch, Operation, Session};
use crate::store::{Filter, Read};

/// How a wait stands.
pub struct Waiting {
    /// What names it.
    pub handle: String,
    /// When it began.
    pub created: Timestamp,
    /// When it or its batch last changed.
    pub updated: Timestamp,
    /// In a line.
    pub message: String,
    /// What its holder does next.
    pub state: WaitState,
}

/// What the holder of a handle does next.
pub enum WaitState {
    /// Looks again.
    Working,
    /// Asks a person.
    Asks(Question),
    /// Reads where the batch came to: what `get_batch` answers.
    Ended(Value),
    /// Nothing: the waiting was cancelled.
    Cancelled,
}

/// Begins to wait for a batch; one that is over needs no handle.
///
/// # Errors
/// Arguments that cannot be taken; `too_large` where too many wait for it.
pub fn start_wait(session: &Session, arguments: Value) -> Result<Waiting> {
    let WaitBatch { id } = args::parse(worker_scope::admit(session, WaitBatch::NAME, arguments)?)?;
    let caller = session.caller().to_owned();
    let wait = session.write(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        let mut wait = Wait::new(Token::random().to_string(), task.row, &caller, tx.now());
        if batch_status(tx, &task, &batch)?.is_over() {
            wait.ended = Some(tx.now());
            return Ok(wait);
        }
        if tx.open_waits(task.row)? >= MOST_WAITS {
            return Err(Error::new(
                Code::TooLarge,
                format!("Batch {id} is waited for by {MOST_WAITS} handles, which is the most: cancel those that nobody needs, or poll get_batch"),
            ));
        }
        tx.insert_wait(&wait)?;
        Ok(wait)
    })?;
    show(session, wait, false)
}

/// How a wait stands; `may_ask` says whether a person can be asked there.
///
/// # Errors
/// `not_found` for a handle that there isn't, or that is another client's.
pub fn read_wait(session: &Session, handle: &str, may_ask: bool) -> Result<Waiting> {
    let wait = own(session, handle)?;
    show(session, wait, may_ask)
}

/// Ends the waiting; the batch is left alone. One that is over stays as it is.
///
/// # Errors
/// As [`read_wait`].
pub fn cancel_wait(session: &Session, handle: &str) -> Result<()> {
    let handle = own(session, handle)?.handle;
    session.write(move |tx| {
        let Some(mut wait) = tx.wait(&handle)?.filter(Wait::is_open) else { return Ok(()) };
        let (task, batch) = of(tx, wait.batch)?;
        let over = batch_status(tx, &task, &batch)?.is_over();
        *(if over { &mut wait.ended } else { &mut wait.cancelled }) = Some(tx.now());
        wait.updated = tx.now();
        tx.save_wait(&wait)
    })
}

/// The wait of a handle, if it was given to this caller.
pub(in crate::ops) fn own(session: &Session, handle: &str) -> Result<Wait> {
    worker_scope::admit(session, WaitBatch::NAME, Value::Null)?;
    let (named, caller) = (handle.to_owned(), session.caller().to_owned());
    session.read(move |tx| match tx.wait(&named)? {
        Some(wait) if wait.asked_by == caller => Ok(wait),
        Some(_) => Err(Error::not_found(format!(
            "Handle '{}' was given to another client than '{}'; wait_batch(id) gives one of your own",
            excerpt(&named),
            excerpt(&caller)
        ))),
        None => Err(Error::not_found(format!(
            "No wait has the handle '{}'; wait_batch(id) gives one",
            excerpt(&named)
        ))),
    })
}

/// The batch that is waited for.
pub(in crate::ops) fn of(tx: &dyn Read, batch: Row) -> Result<(Task, Batch)> {
    let task = tx.task_at(batch)?;
    find_batch(tx, &task.id)
}

/// What is seen of a batch in one moment.
struct Seen {
    batch: TaskId,
    updated: Timestamp,
    over: bool,
    message: String,
    question: Option<Question>,
}

fn show(session: &Session, wait: Wait, may_ask: bool) -> Result<Waiting> {
    let (mut wait, seen) = session.read(move |tx| {
        let seen = see(tx, &wait, may_ask)?;
        Ok((wait, seen))
    })?;
    if seen.over && wait.is_open() {
        // From now on it is over, whatever a retry makes of the batch.
        wait = session.write(move |tx| {
            let mut wait = tx.wait(&wait.handle)?.unwrap_or(wait);
            if wait.is_open() {
                wait.ended = Some(tx.now());
                wait.updated = tx.now();
                tx.save_wait(&wait)?;
            }
            Ok(wait)
        })?;
    }
    let (state, message) = if wait.cancelled.is_some() {
        let message =
            "The waiting was cancelled; the batch was left alone, control_batch(action=\"cancel\") ends it";
        (WaitState::Cancelled, message.to_owned())
    } else if wait.ended.is_some() {
        let reply = crate::ops::reply(GetBatch::progress_of(seen.batch).run(session)?)?;
        (WaitState::Ended(reply), seen.message)
    } else {
        (seen.question.map_or(WaitState::Working, WaitState::Asks), seen.message)
    };
    let message = if wait.said.is_empty() { message } else { format!("{message}. {}", wait.said) };
    let updated = wait.updated.max(seen.updated);
    Ok(Waiting { handle: wait.handle, created: wait.created, updated, message, state })
}

fn see(tx: &dyn Read, wait: &Wait, may_ask: bool) -> Result<Seen> {
    let (task, batch) = of(tx, wait.batch)?;
    let status = batch_status(tx, &task, &batch)?;
    let open = wait.is_open() && !status.is_over();
    let question = if open && may_ask { open_question(tx, wait, &task, &batch)? } else { None };
    let at = |status| Filter { parent: Some(task.row), status: Some(status), ..Filter::default() };
    let at_work = tx.total(&at(Status::InProgress))?.count;
    let in_review = tx.total(&at(Status::Review))?.count;
    let mut message = format!(
        "{} of {} items processed, {} at work",
        batch.counts.processed(),
        batch.counts.total,
        chunks(at_work)
    );
    match status {
        BatchStatus::Running | BatchStatus::Waiting => {}
        other => message += &format!(", {other}"),
    }
    if question.is_some() {
        message += ", a person is asked";
    } else if open && in_review > 0 {
        message += &format!(", {} in review", chunks(in_review));
        // A step is approved as a whole.
        if status == BatchStatus::Waiting || batch.checkpoint != Checkpoint::Step {
            message += &format!(": review_batch(id=\"{}\", decision)", task.id);
        }
    } else if status == BatchStatus::Waiting {
        message +=
            &format!(", the rest waits for a person: get_batch(id=\"{}\", view=\"failures\")", task.id);
    }
    Ok(Seen { batch: task.id, updated: task.updated, over: status.is_over(), message, question })
}

fn chunks(count: u64) -> String {
    format!("{count} chunk{}", if count == 1 { "" } else { "s" })
}
