//! `review_batch` without a decision: the person is asked, and the answer carried out.

use serde_json::Value;

use super::review_form::{Answer, Question, name_of, question};
use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;
use crate::model::text::Line;
use crate::ops::lifecycle::review::{Decided, none_in_review};
use crate::ops::request::{args, worker_scope};
use crate::ops::review_batch::ReviewBatch;
use crate::ops::views::batch::find_batch;
use crate::ops::{Operation, Session};

/// A review that waits for a person's answer.
pub struct PendingReview {
    request: ReviewBatch,
    /// What the person is asked.
    pub question: Question,
}

/// Who decided, where a client asked the person that it works for.
pub(in crate::ops) fn person_at(session: &Session) -> String {
    format!("person at {}", session.caller())
}

/// The question that the arguments of `review_batch` leave to a person; none where they decide.
///
/// # Errors
/// Arguments that cannot be taken; `not_ready` where nothing waits for a review.
pub fn pending_review(session: &Session, arguments: Value) -> Result<Option<PendingReview>> {
    let request: ReviewBatch = args::parse(worker_scope::admit(session, ReviewBatch::NAME, arguments)?)?;
    if request.decision.is_some() {
        return Ok(None);
    }
    if request.note.is_some() || !request.categories.is_empty() {
        return Err(Error::invalid(
            "note, categories: they go with a decision; leave them out to ask the person, who writes their own note",
        ));
    }
    session.read(move |tx| {
        let (task, batch) = find_batch(tx, &request.id)?;
        let found = request.found(tx, &task, &batch)?;
        if found.is_empty() {
            return Err(none_in_review(&task));
        }
        let question = question(tx, &task, &batch, &found)?;
        Ok(Some(PendingReview { request, question }))
    })
}

impl PendingReview {
    /// What the caller is told where nobody decided.
    pub fn undecided(&self, why: &str) -> Error {
        Error::new(
            Code::NotReady,
            format!(
                "Nobody decided: {why}. The review of batch {} stays open; ask again only when the person wants to",
                self.request.id
            ),
        )
    }

    /// What the caller is told where the question is no longer the one that was asked.
    pub fn outdated(&self) -> Error {
        outdated(&self.request.id)
    }

    /// Carries an answer out, if the chunks still stand as they were shown.
    ///
    /// # Errors
    /// `not_ready` where the person did not decide, `conflict` where others did meanwhile.
    pub fn answer(self, session: &Session, given: &Value) -> Result<Value> {
        let (decision, note) = match Answer::read(given)? {
            Answer::Decided(decision, note) => (decision, note),
            Answer::Undecided(action) => {
                return Err(self.undecided(&format!("the answer was {action}")));
            }
        };
        let PendingReview { request, question } = self;
        let reviewer = match request.reviewer.as_ref().and_then(Line::non_empty) {
            Some(name) => name.to_owned(),
            None => person_at(session),
        };
        let decided = Decided { decision, categories: Vec::new(), note, reviewer };
        decided.check()?;
        let id = request.id.clone();
        let reply = decided.on(session, &id, move |tx| {
            let (task, batch) = find_batch(tx, &request.id)?;
            let found = request.found(tx, &task, &batch).map_err(|error| match error.code {
                Code::NotReady => outdated(&request.id),
                _ => error,
            })?;
            if name_of(&task, &found) != question.name {
                return Err(outdated(&request.id));
            }
            Ok(found)
        })?;
        crate::ops::reply(reply)
    }
}

fn outdated(batch: &TaskId) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "The answer came too late: what waits for a review in batch {batch} has changed since the question was asked. Nothing was changed; get_batch(view=\"review\") shows what waits now"
        ),
    )
}
