//! `review_batch` without a decision: the client asks the person, and the answer is applied.

use serde_json::Value;

use super::{ReviewBatch, apply_review};
use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;
use crate::model::text::LineText;
use crate::ops::lifecycle::review::{Review, nothing_in_review};
use crate::ops::request::args;
use crate::ops::request::lookup::find_batch;
use crate::ops::request::worker_scope::check_scope;
use crate::ops::waits::review_form::{FormAnswer, ReviewQuestion, person_at, question, question_name};
use crate::ops::{Session, to_json};

/// A review that waits for a person's answer.
pub struct PendingReview {
    request: ReviewBatch,
    /// The question to the person.
    pub question: ReviewQuestion,
}

/// The question that a call of `review_batch` without a decision leaves to a person; `None` if the call has a
/// decision.
///
/// # Errors
/// Invalid arguments; `not_ready` if no chunk waits for a review.
pub fn pending_review(session: &Session, arguments: Value) -> Result<Option<PendingReview>> {
    let request: ReviewBatch = args::parse(check_scope::<ReviewBatch>(session, arguments)?)?;
    if request.decision.is_some() {
        return Ok(None);
    }
    if request.note.is_some() || !request.categories.is_empty() {
        return Err(Error::invalid(
            "note, categories: allowed with a decision only; leave them out to ask the person, who can add a note",
        ));
    }
    session.read(move |tx| {
        let (task, batch) = find_batch(tx, &request.id)?;
        let chunks = request.selected_chunks(tx, &task, &batch)?;
        if chunks.is_empty() {
            return Err(nothing_in_review(&task));
        }
        let question = question(tx, &task, &batch, &chunks)?;
        Ok(Some(PendingReview { request, question }))
    })
}

impl PendingReview {
    /// The refusal if the person did not decide.
    pub fn undecided(&self, why: &str) -> Error {
        Error::new(
            Code::NotReady,
            format!(
                "No decision was made: {why}. The review of batch {} stays open; ask again only if the person wants to",
                self.request.id
            ),
        )
    }

    /// The refusal of an answer to a question that is no longer current.
    pub fn outdated(&self) -> Error {
        outdated(&self.request.id)
    }

    /// Applies the answer, if the chunks are still as they were shown.
    ///
    /// # Errors
    /// `not_ready` if the person did not decide, `conflict` if the chunks in review have changed.
    pub fn answer(self, session: &Session, answer: &Value) -> Result<Value> {
        let (decision, note) = match FormAnswer::parse(answer)? {
            FormAnswer::Decided(decision, note) => (decision, note),
            FormAnswer::Undecided(action) => {
                return Err(self.undecided(&format!("the answer was {action}")));
            }
        };
        let PendingReview { request, question } = self;
        let reviewer = match request.reviewer.as_ref().and_then(LineText::non_empty) {
            Some(name) => name.to_owned(),
            None => person_at(session),
        };
        let review = Review { decision, categories: Vec::new(), note, reviewer };
        review.validate()?;
        let id = request.id.clone();
        let reply = apply_review(session, review, &id, move |tx| {
            let (task, batch) = find_batch(tx, &request.id)?;
            let chunks = request.selected_chunks(tx, &task, &batch).map_err(|error| match error.code {
                Code::NotReady => outdated(&request.id),
                _ => error,
            })?;
            if question_name(&task, &chunks) != question.name {
                return Err(outdated(&request.id));
            }
            Ok(chunks)
        })?;
        to_json(reply)
    }
}

fn outdated(batch: &TaskId) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "The answer came too late: the chunks in review of batch {batch} have changed since the question was asked. Nothing was changed; get_batch(id=\"{batch}\", view=\"review\") shows what waits now"
        ),
    )
}
