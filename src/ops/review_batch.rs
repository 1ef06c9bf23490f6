//! `review_batch`: a person's answer at a checkpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::background;
use super::batch_view::{BatchReply, batch_task};
use super::checkpoint::go_on;
use super::doubt::take_for_done;
use super::each::each_chunk;
use super::end_claim::save;
use super::{Docket, Effect, Operation, intermediate};
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::step::{Checkpoint, Decision};
use crate::model::task::Task;
use crate::model::text::{Body, Line};
use crate::store::{Chosen, NewReceipt, Write};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ReviewBatch {
    /// The batch.
    #[schemars(description = "")]
    #[arg(long)]
    id: TaskId,
    /// Only this one; else all in review
    #[arg(long)]
    chunk: Option<TaskId>,
    /// reject: goes no further. redo: worked again
    #[arg(long)]
    decision: Decision,
    /// Redo only these
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    categories: Vec<Line>,
    /// Why; for redo it joins the instructions
    #[arg(long)]
    note: Option<Body>,
    /// Who decided.
    #[schemars(description = "")]
    #[arg(long)]
    reviewer: Option<Line>,
}

impl Operation for ReviewBatch {
    const NAME: &'static str = "review_batch";
    const TITLE: &'static str = "Answer a checkpoint";
    const ABOUT: &'static str = "A person's decision on chunks in review; ask them, don't decide yourself.";
    const EFFECT: Effect = Effect::Write;
    const FIRST: &'static str = "id";
    type Reply = BatchReply;

    fn run(self, docket: &Docket) -> Result<BatchReply> {
        let reviewer = self.reviewer.as_ref().and_then(Line::non_empty).unwrap_or(docket.caller()).to_owned();
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
        let batch = self.id.clone();
        let (mut reply, decided) = docket.write(move |tx| {
            let (task, batch) = batch_task(tx, &self.id)?;
            let found = self.found(tx, &task, &batch)?;
            let mut came_to = Vec::new();
            for (chunk, chunk_task) in &found {
                came_to.push(self.decide(tx, chunk, chunk_task, &batch, &reviewer)?);
            }
            let approved =
                if self.decision == Decision::Approve { batch.approved + found.len() as u64 } else { 0 };
            tx.set_approved(batch.row, approved)?;
            let chunks = format!("{} chunk{}", found.len(), if found.len() == 1 { "" } else { "s" });
            let text = format!("'{reviewer}' decided {} for {chunks}.{}", self.decision, self.said());
            tx.append(&task, &NewReceipt { author: &reviewer, text: &text, ..NewReceipt::default() })?;
            let message = match came_to.as_slice() {
                [one] => format!("{}: {one}", self.decision),
                _ => format!("{} for {chunks}", self.decision),
            };
            let decided: Vec<TaskId> = found.into_iter().map(|(_, task)| task.id).collect();
            Ok((BatchReply::of(tx, &self.id, message)?, decided))
        })?;
        for chunk in &decided {
            intermediate::write_chunk(docket, chunk);
        }
        reply.message += &background::wake(docket, &batch)?;
        Ok(reply)
    }
}

impl ReviewBatch {
    /// The chunks that are decided on.
    fn found(&self, tx: &dyn Write, task: &Task, batch: &Batch) -> Result<Vec<(Chunk, Task)>> {
        let found = match &self.chunk {
            Some(id) => vec![self.named(tx, id, task)?],
            None => in_review(tx, batch)?,
        };
        if found.is_empty() {
            let message = format!("No chunk of batch {} waits for a review", task.id);
            return Err(Error::new(Code::NotReady, message));
        }
        if batch.checkpoint == Checkpoint::Step
            && self.decision == Decision::Approve
            && found.iter().any(|(chunk, task)| is_through(chunk, task))
            && tx.is_workable(task.row)?
        {
            return Err(Error::new(
                Code::NotReady,
                format!(
                    "Batch {} is not through its step: chunks are still being worked on; poll get_batch until its status is waiting",
                    task.id
                ),
            ));
        }
        Ok(found)
    }

    fn named(&self, tx: &dyn Write, id: &TaskId, batch: &Task) -> Result<(Chunk, Task)> {
        let task = tx.task(id)?;
        let chunk = tx.chunk(&task)?.filter(|chunk| chunk.batch == batch.row).ok_or_else(|| {
            Error::invalid(format!("chunk: {id} is no chunk of batch {}; get_batch lists them", batch.id))
        })?;
        let again = self.decision == Decision::Redo && matches!(task.status, Status::Failed | Status::Done);
        if task.status != Status::Review && !again {
            let message = format!("Chunk {id} is {}, it does not wait for a review", task.status);
            return Err(Error::new(Code::NotReady, message));
        }
        Ok((chunk, task))
    }

    fn said(&self) -> String {
        self.note.as_ref().and_then(Body::non_empty).map_or(String::new(), |note| format!(" {note}"))
    }

    /// Carries a decision out and records it; says what the chunk came to.
    fn decide(
        &self,
        tx: &dyn Write,
        chunk: &Chunk,
        task: &Task,
        batch: &Batch,
        reviewer: &str,
    ) -> Result<String> {
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
                tx.forget_begun(chunk)?;
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

/// Whether a chunk was completed; otherwise it waits because items of it are in doubt.
fn is_through(chunk: &Chunk, task: &Task) -> bool {
    chunk.accepted == task.generation
}

/// Lets a chunk be claimed again, as if for the first time.
fn open(tx: &dyn Write, chunk: &Chunk, task: &Task) -> Result<()> {
    tx.set_attempts(chunk, 0)?;
    save(tx, task, &Task { status: Status::Active, assignee: None, ..task.clone() })?;
    Ok(())
}

/// The chunks of a batch that wait for a review.
fn in_review(tx: &dyn Write, batch: &Batch) -> Result<Vec<(Chunk, Task)>> {
    let mut found = Vec::new();
    each_chunk(tx, batch.row, 0, |chunk, task| {
        if task.status == Status::Review {
            found.push((chunk, task));
        }
        Ok(true)
    })?;
    Ok(found)
}
