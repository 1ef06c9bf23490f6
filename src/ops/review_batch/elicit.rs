//! `review_batch` without a decision, or with an agent's: the client asks the person, and the answer is applied.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ReviewBatch, apply_review};
use crate::error::{Code, Error, Result};
use crate::model::batch::Batch;
use crate::model::chain::hex;
use crate::model::failures::Failures;
use crate::model::field::visible_excerpt;
use crate::model::id::TaskId;
use crate::model::step::Decision;
use crate::model::task::Task;
use crate::model::text::{ReceiptText, excerpt};
use crate::model::text_hasher::PartHasher;
use crate::model::wait::AskedQuestion;
use crate::ops::lifecycle::checkpoint::check_step_complete;
use crate::ops::lifecycle::decision::{Review, nothing_in_review};
use crate::ops::lifecycle::reviewer::Reviewer;
use crate::ops::request::args;
use crate::ops::request::lookup::find_batch;
use crate::ops::request::server_scope::limit_to_scope;
use crate::ops::request::worker_scope::check_scope;
use crate::ops::review_questions::questions::ask;
use crate::ops::review_questions::review_form::{FormAnswer, ReviewQuestion, question, question_name};
use crate::ops::views::attention::failures_of;
use crate::ops::{Session, to_json};
use crate::store::StoreRead;

/// The most characters of an agent's note that the question quotes.
const NOTE_CHARS: usize = 300;

/// A review that waits for a person's answer.
pub struct PendingReview {
    request: ReviewBatch,
    /// The question to the person.
    pub question: ReviewQuestion,
}

/// The question that a client's call of `review_batch` leaves to a person. An agent's decision is only a proposal: the
/// person decides.
///
/// # Errors
/// Invalid arguments; `not_ready` if no chunk waits for a review.
pub fn pending_review(session: &Session, arguments: Value) -> Result<PendingReview> {
    let arguments = check_scope::<ReviewBatch>(session, arguments)?;
    let request: ReviewBatch = limit_to_scope(session, args::parse(arguments)?)?;
    match request.decision {
        Some(decision) => {
            let note = request.note.clone();
            let (categories, reviewer) = (request.categories.clone(), Reviewer::asked(session)?);
            Review { decision, categories, note, reviewer }.validate()?;
        }
        None if request.note.is_some() || !request.categories.is_empty() => {
            return Err(Error::invalid(
                "note, categories: allowed with a decision only; leave them out to ask the person, who can add a note",
            ));
        }
        None => {}
    }
    request.open_reviews_of_doubt(session)?;
    session.read(move |tx| {
        let (task, batch) = find_batch(tx, &request.id)?;
        let chunks = request.selected_chunks(tx, &task, &batch)?;
        let question = if chunks.is_empty() {
            failures_question(tx, &request, &task, &batch)?.ok_or_else(|| nothing_in_review(&task))?
        } else {
            if request.decision == Some(Decision::Approve) {
                check_step_complete(tx, &task, &batch, &chunks)?;
            }
            question(tx, &task, &batch, &chunks)?
        };
        let message = request.proposal() + &question.message;
        Ok(PendingReview { request, question: ReviewQuestion { message, ..question } })
    })
}

/// The question whether a person accepts the failures of a batch that has ended; `None` if the request is not about
/// them.
fn failures_question(
    tx: &dyn StoreRead,
    request: &ReviewBatch,
    task: &Task,
    batch: &Batch,
) -> Result<Option<ReviewQuestion>> {
    let failed = failures_of(tx, task, batch)?;
    let is_asked = request.decision == Some(Decision::Approve) && request.chunk.is_none();
    if !is_asked || !task.status.is_terminal() || !failed.are_unresolved() {
        return Ok(None);
    }
    Ok(Some(ReviewQuestion {
        name: failures_question_name(task, &failed),
        message: format!(
            "Batch \"{}\" has ended: {}. approve accepts these failures, and they are no longer listed.",
            excerpt(&task.title),
            failed.summary()
        ),
    }))
}

fn failures_question_name(task: &Task, failed: &Failures) -> String {
    format!("{}:failures.{}", task.id, failed.count())
}

impl ReviewBatch {
    /// The start of the question: what the agent would decide, marked as its text.
    fn proposal(&self) -> String {
        let Some(decision) = self.decision else { return String::new() };
        let categories: Vec<String> = self.categories.iter().map(|name| excerpt(name.as_str())).collect();
        let only = match categories.as_slice() {
            [] => String::new(),
            names => format!(" of {}", names.join(", ")),
        };
        let note = match self.note.as_ref().and_then(ReceiptText::non_empty) {
            Some(note) => format!(", with the note '{}'", visible_excerpt(note, NOTE_CHARS)),
            None => String::new(),
        };
        format!("An agent proposes {decision}{only}{note}. You decide.\n")
    }
}

impl PendingReview {
    /// The refusal if the person did not decide.
    pub fn undecided(&self, why: &str) -> Error {
        // claude -p and codex exec declare forms, and decline them without a person.
        Error::new(
            Code::NotReady,
            format!(
                "No decision was made: {why}. The review of batch {id} stays open; ask again only if the person wants to. A client that runs without a person declines by itself: then a person decides at a terminal, tasktally review-batch {id} approve",
                id = self.request.id
            ),
        )
    }

    /// The question under the key with which the client has to answer it, when it repeats the call with the answer.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn ask(self, session: &Session) -> Result<ReviewQuestion> {
        let asked = self.asked(session)?;
        let key = session.write(move |tx| ask(tx, &asked))?;
        Ok(ReviewQuestion { name: key, ..self.question })
    }

    /// Applies the answer among these that has the key of this call's question. Each key counts once.
    ///
    /// # Errors
    /// `conflict` if there is none, or the question is no longer open; else as [`PendingReview::answer`].
    pub fn answer_by_key(self, session: &Session, answers: BTreeMap<String, Value>) -> Result<Value> {
        let asked = self.asked(session)?;
        let found = session.write(move |tx| {
            let Some(key) = tx.asked_key(&asked)? else { return Ok(None) };
            let answer = answers.get(&key).cloned();
            if answer.is_some() {
                tx.remove_asked(&key)?;
            }
            Ok(answer)
        })?;
        let answer = found.ok_or_else(|| self.unasked())?;
        self.answer(session, &answer)
    }

    /// The question of this call: the answer to a call with another proposal is no answer to this one.
    fn asked(&self, session: &Session) -> Result<AskedQuestion> {
        let mut call = PartHasher::default();
        call.add(session.caller());
        call.add(&to_json(&self.request)?.to_string());
        let asked_by = format!("review_batch {}", hex(&call.finish()));
        Ok(AskedQuestion { asked_by, question: self.question.name.clone() })
    }

    /// The refusal of an answer to a question that was not asked, or is no longer current.
    fn unasked(&self) -> Error {
        let id = &self.request.id;
        Error::new(
            Code::Conflict,
            format!(
                "Nothing was changed: inputResponses has no answer to an open question of this call. It was answered already, the chunks in review have changed, or nobody was asked. review_batch(id=\"{id}\") without inputResponses asks the person"
            ),
        )
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
        let PendingReview { mut request, question } = self;
        // What the agent proposed applies as far as the person decided the same.
        let is_as_proposed = request.decision == Some(decision);
        let is_written = note.as_ref().and_then(ReceiptText::non_empty).is_some();
        let review = Review {
            decision,
            categories: if is_as_proposed { std::mem::take(&mut request.categories) } else { Vec::new() },
            note: if is_as_proposed && !is_written { request.note.take() } else { note },
            reviewer: Reviewer::asked(session)?,
        };
        review.validate()?;
        request.decision = Some(decision);
        let id = request.id.clone();
        if question.name.starts_with(&format!("{id}:failures.")) {
            return accept(session, request, review, question.name);
        }
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

/// Accepts the failures of a batch, if they are still those that the person was asked about.
fn accept(session: &Session, request: ReviewBatch, review: Review, asked: String) -> Result<Value> {
    if review.decision != Decision::Approve {
        return Err(Error::invalid(format!(
            "decision: '{}' does not apply to the failures of a batch that has ended; approve accepts them, control_batch(id=\"{}\", action=\"retry\") opens them again",
            review.decision, request.id
        )));
    }
    let id = request.id.clone();
    session.read(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        let is_same = failures_question_name(&task, &failures_of(tx, &task, &batch)?) == asked;
        if is_same { Ok(()) } else { Err(outdated(&id)) }
    })?;
    let outdated = outdated(&request.id);
    to_json(request.accept_failures(session, &review)?.ok_or(outdated)?)
}

fn outdated(batch: &TaskId) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "The answer came too late: the chunks in review of batch {batch} have changed since the question was asked. Nothing was changed; get_batch(id=\"{batch}\", view=\"review\") shows what waits now"
        ),
    )
}
