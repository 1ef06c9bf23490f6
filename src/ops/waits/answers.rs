//! What the holder of a handle has a person asked, and what comes of the answers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::elicit_review::person_at;
use super::review_form::{Answer, Question, name_of, question};
use super::state::{of, own};
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::step::Checkpoint;
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::model::wait::{Undecided, Wait};
use crate::ops::Session;
use crate::ops::lifecycle::review::{Decided, chunk_of, each_in_review, in_review, is_through};
use crate::ops::runners::background;
use crate::ops::views::intermediate_state;
use crate::store::{Read, Write};

/// The most answers in one request.
const MOST_ANSWERS: usize = 20;

/// Carries out what a person answered; what it came to is in the next message.
///
/// # Errors
/// As `read_wait`; `too_large`; a failure of the store.
pub fn answer_wait(session: &Session, handle: &str, answers: BTreeMap<String, Value>) -> Result<()> {
    let handle = own(session, handle)?.handle;
    if answers.len() > MOST_ANSWERS {
        let message = format!("inputResponses: {} are too many, at most {MOST_ANSWERS}", answers.len());
        return Err(Error::new(Code::TooLarge, message));
    }
    for (key, given) in answers {
        let reviewer = person_at(session);
        let (at, named) = (handle.clone(), key.clone());
        match session.write(move |tx| answer(tx, &at, &named, &given, &reviewer)) {
            Ok(None) => {}
            Ok(Some((batch, chunks))) => {
                for chunk in &chunks {
                    intermediate_state::write_chunk(session, chunk);
                }
                let woken = background::wake(session, &batch)?;
                if !woken.is_empty() {
                    let at = handle.clone();
                    session.write(move |tx| say_more(tx, &at, &woken))?;
                }
            }
            Err(error) if matches!(error.code, Code::Internal | Code::Busy | Code::ReadOnly) => {
                return Err(error);
            }
            // Nothing of it was kept but that it was tried.
            Err(error) => {
                let at = handle.clone();
                session.write(move |tx| keep_failure(tx, &at, &key, &error))?;
            }
        }
    }
    Ok(())
}

/// The first question that the holder of a handle has not declined. A chunk at a time, because a
/// yes covers what was shown; a step that is approved as a whole is asked about as a whole.
pub(in crate::ops) fn open_question(
    tx: &dyn Read,
    wait: &Wait,
    task: &Task,
    batch: &Batch,
) -> Result<Option<Question>> {
    let (mut found, mut through) = (None, Vec::new());
    each_in_review(tx, batch, |chunk, chunk_task| {
        if batch.checkpoint == Checkpoint::Step && is_through(&chunk, &chunk_task) {
            through.push((chunk, chunk_task));
            return Ok(true);
        }
        let one = vec![(chunk, chunk_task)];
        found = key(tx, wait, task, &one)?.map(|key| (key, one));
        Ok(found.is_none())
    })?;
    if found.is_none() && !through.is_empty() && !tx.is_workable(task.row)? {
        found = key(tx, wait, task, &through)?.map(|key| (key, through));
    }
    match found {
        Some((key, chunks)) => Ok(Some(Question { name: key, ..question(tx, task, batch, &chunks)? })),
        None => Ok(None),
    }
}

/// What the question about these chunks is called now: answers that could not be carried out make it
/// another one. None where it was declined.
fn key(tx: &dyn Read, wait: &Wait, task: &Task, chunks: &[(Chunk, Task)]) -> Result<Option<String>> {
    let name = name_of(task, chunks);
    let Undecided { tries, declined } = tx.undecided(&wait.handle, &name)?;
    Ok(match (declined, tries) {
        (true, _) => None,
        (false, 0) => Some(name),
        (false, tries) => Some(format!("{name}~{}", tries + 1)),
    })
}

/// The chunks that a question of this key is about, if it is still open.
fn asked(
    tx: &dyn Read,
    wait: &Wait,
    task: &Task,
    batch: &Batch,
    named: &str,
) -> Result<Option<Vec<(Chunk, Task)>>> {
    let subject = named.split_once(':').map_or("", |(subject, _)| subject);
    let chunks = if subject == task.id.as_str() {
        let mut all = in_review(tx, batch)?;
        all.retain(|(chunk, task)| is_through(chunk, task));
        all
    } else {
        let Ok(id) = subject.parse() else { return Ok(None) };
        match chunk_of(tx, &id, task) {
            Ok(found) if found.1.status == Status::Review => vec![found],
            Ok(_) => return Ok(None),
            Err(error) if matches!(error.code, Code::NotFound | Code::InvalidArgument) => return Ok(None),
            Err(error) => return Err(error),
        }
    };
    Ok((key(tx, wait, task, &chunks)?.as_deref() == Some(named)).then_some(chunks))
}

/// Carries one answer out; gives the batch and the chunks of it that were decided on, if any.
fn answer(
    tx: &dyn Write,
    handle: &str,
    named: &str,
    given: &Value,
    reviewer: &str,
) -> Result<Option<(TaskId, Vec<TaskId>)>> {
    let Some(mut wait) = tx.wait(handle)? else { return Ok(None) };
    let (task, batch) = of(tx, wait.batch)?;
    let chunks = if wait.is_open() { asked(tx, &wait, &task, &batch, named)? } else { None };
    let mut decided = None;
    wait.said = match chunks {
        None => {
            format!("The answer to '{}' changed nothing: that question is no longer open", excerpt(named))
        }
        Some(chunks) => match Answer::read(given)? {
            Answer::Undecided(action) => {
                let question = name_of(&task, &chunks);
                let undecided = Undecided { declined: true, ..tx.undecided(handle, &question)? };
                tx.save_undecided(handle, &question, undecided)?;
                format!("The answer was {action}: the review stays open, nobody is asked again")
            }
            Answer::Decided(decision, note) => {
                let decided_so =
                    Decided { decision, categories: Vec::new(), note, reviewer: reviewer.to_owned() };
                decided_so.check()?;
                let message = decided_so.carry_out(tx, &task.id, &chunks)?;
                decided = Some((task.id, chunks.into_iter().map(|(_, task)| task.id).collect()));
                message
            }
        },
    };
    wait.updated = tx.now();
    tx.save_wait(&wait)?;
    Ok(decided)
}

/// Adds to what an answer came to.
fn say_more(tx: &dyn Write, handle: &str, more: &str) -> Result<()> {
    let Some(mut wait) = tx.wait(handle)? else { return Ok(()) };
    wait.said += more;
    tx.save_wait(&wait)
}

/// Keeps that an answer could not be carried out, so that the person is asked once more.
fn keep_failure(tx: &dyn Write, handle: &str, named: &str, error: &Error) -> Result<()> {
    let Some(mut wait) = tx.wait(handle)? else { return Ok(()) };
    let (task, batch) = of(tx, wait.batch)?;
    if let Some(chunks) = asked(tx, &wait, &task, &batch, named)? {
        let question = name_of(&task, &chunks);
        let undecided = tx.undecided(handle, &question)?;
        tx.save_undecided(handle, &question, Undecided { tries: undecided.tries + 1, ..undecided })?;
    }
    wait.said = format!("The answer changed nothing: {error}");
    wait.updated = tx.now();
    tx.save_wait(&wait)
}
