//! Applies the answers that a person gives through a wait.

use std::collections::BTreeMap;

use serde_json::Value;

use super::lookup::{awaited_batch, find_wait};
use super::questions::chunks_of_question;
use super::review_form::{FormAnswer, question_name};
use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;
use crate::model::text::excerpt;
use crate::ops::lifecycle::decision::Review;
use crate::ops::lifecycle::reviewer::Reviewer;
use crate::ops::request::server_scope::check_operation;
use crate::ops::review_batch::ReviewBatch;
use crate::ops::runners::start::start_runner;
use crate::ops::views::chunk_files::write_chunk;
use crate::ops::{Effect, Session};
use crate::store::StoreWrite;

/// The most answers in one request.
const MAX_ANSWERS: usize = 20;

/// Applies a person's answers, by the keys of the questions; `can_ask` says whether the client can ask its person. The
/// wait's next message reports the result.
///
/// # Errors
/// As [`find_wait`]; `forbidden` for a client that cannot ask; `too_large`; or if the store cannot be written. A refused
/// decision is not an error: the person is asked again.
pub fn answer_wait(
    session: &Session,
    handle: &str,
    answers: BTreeMap<String, Value>,
    can_ask: bool,
) -> Result<()> {
    check_operation::<ReviewBatch>(session, Effect::Destructive)?;
    let handle = find_wait(session, handle)?.handle;
    if !can_ask {
        return Err(Error::new(
            Code::Forbidden,
            "inputResponses: this client cannot show a form to a person, because its request does not declare elicitation; review_batch passes a person's decision on",
        ));
    }
    if answers.len() > MAX_ANSWERS {
        let message =
            format!("inputResponses: {} answers given, at most {MAX_ANSWERS} allowed", answers.len());
        return Err(Error::new(Code::TooLarge, message));
    }
    for (key, answer) in answers {
        let reviewer = Reviewer::asked(session)?;
        let (wait_handle, question_key) = (handle.clone(), key.clone());
        match session.write(move |tx| apply_answer(tx, &wait_handle, &question_key, &answer, &reviewer)) {
            Ok(None) => {}
            Ok(Some((batch, chunks))) => {
                for chunk in &chunks {
                    write_chunk(session, chunk);
                }
                let runner = start_runner(session, &batch);
                if !runner.is_empty() {
                    let wait_handle = handle.clone();
                    session.write(move |tx| extend_result(tx, &wait_handle, &runner))?;
                }
            }
            Err(error) if matches!(error.code, Code::Internal | Code::Busy | Code::ReadOnly) => {
                return Err(error);
            }
            // The refusal rolled everything back: only the failed attempt is recorded.
            Err(error) => {
                let wait_handle = handle.clone();
                session.write(move |tx| record_refusal(tx, &wait_handle, &key, &error))?;
            }
        }
    }
    Ok(())
}

/// Applies one answer. Returns the batch and the chunks that were decided on, if there was a decision.
fn apply_answer(
    tx: &dyn StoreWrite,
    handle: &str,
    key: &str,
    answer: &Value,
    reviewer: &Reviewer,
) -> Result<Option<(TaskId, Vec<TaskId>)>> {
    let Some(mut wait) = tx.wait(handle)? else { return Ok(None) };
    let (task, batch) = awaited_batch(tx, wait.batch)?;
    let chunks = if wait.is_open() { chunks_of_question(tx, handle, &task, &batch, key)? } else { None };
    let mut decided = None;
    wait.last_answer = match chunks {
        None => format!("The answer to '{}' changed nothing: that question is no longer open", excerpt(key)),
        Some(chunks) => match FormAnswer::parse(answer)? {
            FormAnswer::Undecided(action) => {
                let question = question_name(&task, &chunks);
                tx.save_declined(handle, &question)?;
                format!("The answer was {action}: the review stays open, and the person is not asked again")
            }
            FormAnswer::Decided(decision, note) => {
                let review = Review { decision, categories: Vec::new(), note, reviewer: reviewer.clone() };
                review.validate()?;
                let message = review.apply(tx, &task.id, &chunks)?;
                decided = Some((task.id, chunks.into_iter().map(|(_, task)| task.id).collect()));
                message
            }
        },
    };
    close_question(tx, handle, key)?;
    wait.updated = tx.now();
    tx.update_wait(&wait)?;
    Ok(decided)
}

/// Appends to the result of the last answer.
fn extend_result(tx: &dyn StoreWrite, handle: &str, more: &str) -> Result<()> {
    let Some(mut wait) = tx.wait(handle)? else { return Ok(()) };
    wait.last_answer += more;
    tx.update_wait(&wait)
}

/// Records that an answer was refused. Its key does not count again: the person is asked under another one.
fn record_refusal(tx: &dyn StoreWrite, handle: &str, key: &str, error: &Error) -> Result<()> {
    let Some(mut wait) = tx.wait(handle)? else { return Ok(()) };
    close_question(tx, handle, key)?;
    wait.last_answer = format!("The answer changed nothing: {error}");
    wait.updated = tx.now();
    tx.update_wait(&wait)
}

/// Closes a question of the wait: each key counts once.
fn close_question(tx: &dyn StoreWrite, handle: &str, key: &str) -> Result<()> {
    if tx.asked_question(key)?.is_some_and(|asked| asked.asked_by == handle) {
        tx.remove_asked(key)?;
    }
    Ok(())
}
