//! `release_task`: gives a claim back, with the reason on record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::transition::{give_back, rest, save};
use super::views::intermediate_state;
use super::views::task::{TaskReply, TaskView};
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::claim::{ClaimAuthority, lost, may_change_state, standing};
use crate::model::id::{TaskId, Token};
use crate::model::status::{Release, Status};
use crate::model::task::Task;
use crate::model::text::Body;
use crate::store::NewReceipt;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ReleaseTask {
    /// The task.
    #[schemars(description = "")]
    #[arg(long)]
    pub id: TaskId,
    /// Its token.
    #[schemars(description = "")]
    #[arg(long)]
    pub claim: Option<Token>,
    /// Why; on record.
    #[schemars(description = "")]
    #[arg(long)]
    pub reason: Option<Body>,
    /// What becomes of it.
    #[schemars(description = "")]
    #[serde(default = "retry")]
    #[arg(long, default_value = "retry")]
    pub outcome: Release,
}

fn retry() -> Release {
    Release::Retry
}

impl Operation for ReleaseTask {
    const NAME: &'static str = "release_task";
    const TITLE: &'static str = "Give a claim back";
    const DESCRIPTION: &'static str = "Give a task back that you can't finish; its receipts stay.";
    const EFFECT: Effect = Effect::Write;
    const FIRST: &'static str = "id";
    const WORKER_PARAMETERS: &'static [&'static str] = &["id", "claim", "reason", "outcome"];
    type Reply = TaskReply;

    fn run(self, session: &Session) -> Result<TaskReply> {
        let author = session.caller().to_owned();
        let (reply, chunk) = session.write(move |tx| {
            let task = tx.task(&self.id)?;
            if let Some(token) = &self.claim
                && standing(&task, Some(token), tx.now()) == ClaimAuthority::Lost
            {
                return Err(lost(&task, token, tx.now()));
            }
            if task.status != Status::InProgress {
                let why = format!("Task {} is {}, nobody holds it", task.id, task.status);
                return Err(Error::new(Code::NotReady, why));
            }
            may_change_state(&task, self.claim.as_ref(), tx.now())?;
            if task.is_batch {
                return Err(Error::new(
                    Code::NotReady,
                    format!("Task {} is a batch; control_batch ends it", task.id),
                ));
            }
            let worker =
                task.claim.as_ref().map_or(author.as_str(), |claim| claim.worker.as_str()).to_owned();
            let reason = self.reason.as_ref().and_then(Body::non_empty).unwrap_or("no reason given");
            let why = format!("Released by '{worker}' ({}): {reason}.", self.outcome);
            match self.outcome {
                Release::Retry => {
                    if give_back(tx, &task, &why, &worker)? == Status::Active {
                        rest(tx, &task)?;
                    }
                }
                Release::Failed | Release::Blocked => {
                    let status =
                        if self.outcome == Release::Failed { Status::Failed } else { Status::Blocked };
                    save(tx, &task, &Task { status, ..task.clone() })?;
                    tx.append(&task, &NewReceipt { author: &worker, text: &why, ..NewReceipt::default() })?;
                }
            }
            let after = tx.task_at(task.row)?;
            let message = format!("Released {}: it is {} now", task.id, after.status);
            Ok((
                TaskReply::new(message, Some(TaskView::compact(tx, &after)?)),
                after.is_chunk.then_some(after.id),
            ))
        })?;
        if let Some(chunk) = chunk {
            intermediate_state::write_chunk(session, &chunk);
        }
        Ok(reply)
    }
}
