//! Carrying out a person's decision on chunks in review, however it was asked for.

use super::in_doubt::take_for_done;
use super::steps::go_on;
use super::transition::save;
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::id::TaskId;
use crate::model::limits::PAGE;
use crate::model::status::Status;
use crate::model::step::{Checkpoint, Decision};
use crate::model::task::Task;
use crate::model::text::{Body, Line};
use crate::ops::Session;
use crate::ops::conflicts::detect::join_again;
use crate::ops::runners::background;
use crate::ops::views::batch::{BatchReply, find_batch};
use crate::ops::views::intermediate_state;
use crate::store::{Chosen, Filter, NewReceipt, Read, Write};

/// What a person decided.
#[derive(Debug, Clone)]
pub(in crate::ops) struct Decided {
    pub(in crate::ops) decision: Decision,
    /// For redo: only items of these.
    pub(in crate::ops) categories: Vec<Line>,
    pub(in crate::ops) note: Option<Body>,
    /// Who.
    pub(in crate::ops) reviewer: String,
}

impl Decided {
    /// Whether it can be carried out at all.
    ///
    /// # Errors
    /// `invalid_argument`, naming what is missing or too much.
    pub(in crate::ops) fn check(&self) -> Result<()> {
        if self.decision != Decision::Approve && self.note.as_ref().and_then(Body::non_empty).is_none() {
            let message = format!("note: {} needs one: say what is wrong", self.decision);
            return Err(Error::invalid(message));
        }
        if self.decision != Decision::Redo && !self.categories.is_empty() {
            return Err(Error::invalid(format!(
                "categories: they go with redo; {} is for whole chunks",
                self.decision
            )));
        }
        Ok(())
    }

    /// Carries it out for the chunks that `found` finds, and all that follows: their files, and a runner for
    /// what goes on.
    ///
    /// # Errors
    /// What `found` refuses; as [`Decided::carry_out`].
    pub(in crate::ops) fn on(
        self,
        session: &Session,
        batch: &TaskId,
        found: impl FnOnce(&dyn Write) -> Result<Vec<(Chunk, Task)>> + Send + 'static,
    ) -> Result<BatchReply> {
        let id = batch.clone();
        let (mut reply, chunks) = session.write(move |tx| {
            let found = found(tx)?;
            let message = self.carry_out(tx, &id, &found)?;
            let chunks: Vec<TaskId> = found.into_iter().map(|(_, task)| task.id).collect();
            Ok((BatchReply::of(tx, &id, message)?, chunks))
        })?;
        for chunk in &chunks {
            intermediate_state::write_chunk(session, chunk);
        }
        reply.message += &background::wake(session, batch)?;
        Ok(reply)
    }

    /// Carries it out for chunks of a batch and records it; says what they came to.
    ///
    /// # Errors
    /// `not_ready` where there is nothing to decide yet; then nothing may be kept.
    pub(in crate::ops) fn carry_out(
        &self,
        tx: &dyn Write,
        id: &TaskId,
        found: &[(Chunk, Task)],
    ) -> Result<String> {
        let (task, batch) = find_batch(tx, id)?;
        if found.is_empty() {
            return Err(none_in_review(&task));
        }
        if batch.checkpoint == Checkpoint::Step
            && self.decision == Decision::Approve
            && found.iter().any(|(chunk, task)| is_through(chunk, task))
            && tx.is_workable(task.row)?
        {
            return Err(not_through(&task));
        }
        let mut came_to = Vec::new();
        for (chunk, chunk_task) in found {
            came_to.push(self.decide(tx, chunk, chunk_task, &batch)?);
        }
        if self.decision == Decision::Redo && found.iter().any(|(_, task)| task.status.is_terminal()) {
            join_again(tx, batch.row, task.project.as_deref())?;
        }
        let approved =
            if self.decision == Decision::Approve { batch.approved + found.len() as u64 } else { 0 };
        tx.set_approved(batch.row, approved)?;
        let chunks = format!("{} chunk{}", found.len(), if found.len() == 1 { "" } else { "s" });
        let text = format!("'{}' decided {} for {chunks}.{}", self.reviewer, self.decision, self.said());
        tx.append(&task, &NewReceipt { author: &self.reviewer, text: &text, ..NewReceipt::default() })?;
        Ok(match came_to.as_slice() {
            [one] => format!("{}: {one}", self.decision),
            _ => format!("{} for {chunks}", self.decision),
        })
    }

    fn said(&self) -> String {
        self.note.as_ref().and_then(Body::non_empty).map_or(String::new(), |note| format!(" {note}"))
    }

    /// Carries it out for one chunk; says what that came to.
    fn decide(&self, tx: &dyn Write, chunk: &Chunk, task: &Task, batch: &Batch) -> Result<String> {
        let reviewer = self.reviewer.as_str();
        let step = batch.steps.name(chunk.step);
        let record = |what: &str| -> Result<()> {
            let text = format!("{what} by '{reviewer}' after step '{step}'.{}", self.said());
            tx.append(task, &NewReceipt { author: reviewer, text: &text, ..NewReceipt::default() })?;
            Ok(())
        };
        match self.decision {
            Decision::Approve => {
                record("Approved")?;
                let happened = take_for_done(tx, task, chunk, reviewer)?;
                if happened > 0 && !is_through(chunk, task) {
                    open(tx, chunk, task)?;
                    return Ok(format!("{} goes on, {happened} items in doubt are taken for done", task.id));
                }
                Ok(format!("{} goes on, {}", task.id, go_on(tx, task, chunk, batch)?))
            }
            Decision::Reject => {
                save(tx, task, &Task { status: Status::Failed, ..task.clone() })?;
                record("Rejected")?;
                Ok(format!("{} goes no further; redo opens it again", task.id))
            }
            Decision::Redo => {
                let only: Vec<String> = self.categories.iter().map(|name| name.as_str().to_owned()).collect();
                let doubts = tx.begun(chunk)?.len() as u64;
                tx.forget_begun(chunk, None)?;
                // Where items in doubt are decided on, those settled stay so unless they are named.
                let reopened = if !only.is_empty() || doubts == 0 || is_through(chunk, task) {
                    tx.reopen(chunk, &Chosen { categories: only.clone(), keys: Vec::new() })?
                } else {
                    0
                };
                let opened = reopened + doubts;
                if opened == 0 {
                    return Err(Error::not_found(format!(
                        "Chunk {} has no item of {} to be redone; get_batch(view=\"review\") shows its categories",
                        task.id,
                        only.join(", ")
                    )));
                }
                let note = [chunk.note.as_str(), self.said().trim()].join("\n").trim().to_owned();
                tx.set_note(chunk.row, &note)?;
                open(tx, chunk, task)?;
                record(&format!("{opened} items to be redone"))?;
                Ok(format!("{} is open again for {opened} of its items", task.id))
            }
        }
    }
}

/// That there is nothing to decide.
pub(in crate::ops) fn none_in_review(batch: &Task) -> Error {
    Error::new(Code::NotReady, format!("No chunk of batch {} waits for a review", batch.id))
}

/// That a step is approved as a whole, and isn't whole yet.
fn not_through(batch: &Task) -> Error {
    Error::new(
        Code::NotReady,
        format!(
            "Batch {} is not through its step: chunks are still being worked on; poll get_batch until its status is waiting",
            batch.id
        ),
    )
}

/// Whether a chunk was completed; otherwise it waits because items of it are in doubt.
pub(in crate::ops) fn is_through(chunk: &Chunk, task: &Task) -> bool {
    chunk.accepted == task.generation
}

/// Lets a chunk be claimed again, as if for the first time.
fn open(tx: &dyn Write, chunk: &Chunk, task: &Task) -> Result<()> {
    tx.set_attempts(chunk, 0)?;
    save(tx, task, &Task { status: Status::Active, assignee: None, ..task.clone() })?;
    Ok(())
}

/// The chunk that a task of a batch is.
pub(in crate::ops) fn chunk_of(tx: &dyn Read, id: &TaskId, batch: &Task) -> Result<(Chunk, Task)> {
    let task = tx.task(id)?;
    match tx.chunk(&task)?.filter(|chunk| chunk.batch == batch.row) {
        Some(chunk) => Ok((chunk, task)),
        None => Err(Error::invalid(format!(
            "chunk: {id} is no chunk of batch {}; get_batch lists them",
            batch.id
        ))),
    }
}

/// Calls `visit` with each chunk of a batch that is in review, until it says that it has seen enough.
pub(in crate::ops) fn each_in_review(
    tx: &dyn Read,
    batch: &Batch,
    mut visit: impl FnMut(Chunk, Task) -> Result<bool>,
) -> Result<()> {
    let filter = Filter { parent: Some(batch.row), status: Some(Status::Review), ..Filter::default() };
    let mut after = None;
    loop {
        let page = tx.list(&filter, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some((last.priority, last.order, last.row));
        for task in page {
            if let Some(chunk) = tx.chunk(&task)?
                && !visit(chunk, task)?
            {
                return Ok(());
            }
        }
    }
}

/// The chunks of a batch that wait for a review.
pub(in crate::ops) fn in_review(tx: &dyn Read, batch: &Batch) -> Result<Vec<(Chunk, Task)>> {
    let mut found = Vec::new();
    each_in_review(tx, batch, |chunk, task| {
        found.push((chunk, task));
        Ok(true)
    })?;
    Ok(found)
}
