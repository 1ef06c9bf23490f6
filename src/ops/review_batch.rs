//! `review_batch`: a person's answer at a checkpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::review::{Decided, chunk_of, in_review};
use super::views::batch::{BatchReply, find_batch};
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::step::Decision;
use crate::model::task::Task;
use crate::model::text::{Body, Line};
use crate::store::Read;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ReviewBatch {
    /// The batch.
    #[schemars(description = "")]
    #[arg(long)]
    pub(super) id: TaskId,
    /// None: all in review
    #[arg(long)]
    pub(super) chunk: Option<TaskId>,
    /// None: the user is asked. reject: ends it
    #[arg(long)]
    pub(super) decision: Option<Decision>,
    /// Redo only these
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    pub(super) categories: Vec<Line>,
    /// Why; redo tells the worker
    #[arg(long)]
    pub(super) note: Option<Body>,
    /// Who decided.
    #[schemars(description = "")]
    #[arg(long)]
    pub(super) reviewer: Option<Line>,
}

impl Operation for ReviewBatch {
    const NAME: &'static str = "review_batch";
    const TITLE: &'static str = "Answer a checkpoint";
    const DESCRIPTION: &'static str = "A person's decision on chunks in review, never your own.";
    const EFFECT: Effect = Effect::Write;
    const FIRST: &'static str = "id";
    type Reply = BatchReply;

    fn run(self, session: &Session) -> Result<BatchReply> {
        let Some(decision) = self.decision else {
            return Err(Error::invalid(format!(
                "decision: it is missing, and there is nobody to ask here: show a person get_batch(id=\"{}\", view=\"review\") and bring what they say: approve, reject (with a note) or redo (with a note)",
                self.id
            )));
        };
        let decided = Decided {
            decision,
            categories: self.categories.clone(),
            note: self.note.clone(),
            reviewer: self.reviewer.as_ref().and_then(Line::non_empty).unwrap_or(session.caller()).to_owned(),
        };
        decided.check()?;
        let id = self.id.clone();
        decided.on(session, &id, move |tx| {
            let (task, batch) = find_batch(tx, &self.id)?;
            self.found(tx, &task, &batch)
        })
    }
}

impl ReviewBatch {
    /// The chunks that are decided on.
    pub(super) fn found(&self, tx: &dyn Read, task: &Task, batch: &Batch) -> Result<Vec<(Chunk, Task)>> {
        let Some(id) = &self.chunk else { return in_review(tx, batch) };
        let (chunk, chunk_task) = chunk_of(tx, id, task)?;
        let again = self.decision == Some(Decision::Redo)
            && matches!(chunk_task.status, Status::Failed | Status::Done);
        if chunk_task.status != Status::Review && !again {
            let message = format!("Chunk {id} is {}, it does not wait for a review", chunk_task.status);
            return Err(Error::new(Code::NotReady, message));
        }
        Ok(vec![(chunk, chunk_task)])
    }
}
