//! `release_task`: releases a claim and records the reason.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::release::{release, start_backoff};
use super::lifecycle::transition::change_state;
use super::views::chunk_files::write_chunk;
use super::views::task::{TaskReply, TaskView};
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::author::Author;
use crate::model::claim_rules::{ClaimAuthority, check_state_change, claim_authority, claim_lost_error};
use crate::model::id::{TaskId, Token};
use crate::model::status::{ReleaseOutcome, Status};
use crate::model::task::Task;
use crate::model::text::ReceiptText;
use crate::store::{NewReceipt, StoreWrite, Subject};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ReleaseTask {
    /// Task id
    #[arg(long)]
    pub id: TaskId,
    /// claim.token of your claim
    #[schemars(description = "claim.token")]
    #[arg(long)]
    pub claim: Option<Token>,
    /// Why
    #[arg(long)]
    pub reason: Option<ReceiptText>,
    /// retry: others can claim it; blocked: a person must decide
    #[schemars(description = "Default retry; blocked: a person decides")]
    #[serde(default = "retry")]
    #[arg(
        long,
        help = "retry: other workers can claim it; failed: it has failed; blocked: a person must decide",
        default_value = "retry"
    )]
    pub outcome: ReleaseOutcome,
    /// How long a runner keeps a released chunk from being claimed; no agent can set it.
    #[serde(skip)]
    #[arg(skip)]
    pub delay: Option<Duration>,
}

fn retry() -> ReleaseOutcome {
    ReleaseOutcome::Retry
}

impl Operation for ReleaseTask {
    const NAME: &'static str = "release_task";
    const TITLE: &'static str = "Release a claim";
    const DESCRIPTION: &'static str = "Give a claim back if you cannot go on.";
    const EFFECT: Effect = Effect::Write;
    const POSITIONAL: &'static str = "id";
    const WORKER_PARAMETERS: &'static [&'static str] = &["id", "claim", "reason", "outcome"];
    type Reply = TaskReply;

    fn run(self, session: &Session) -> Result<TaskReply> {
        let author = session.author();
        let (reply, chunk) = session.write_about(Subject::task(&self.id), move |tx| {
            let task = tx.task(&self.id)?;
            self.check(tx, &task)?;
            self.release(tx, &task, &author)?;
            let after = tx.task_by_row(task.row)?;
            let message = format!("Released {}: its status is {}", task.id, after.status);
            let reply = TaskReply::new(message, Some(TaskView::compact(tx, &after)?));
            Ok((reply, after.is_chunk.then_some(after.id)))
        })?;
        if let Some(chunk) = chunk {
            write_chunk(session, &chunk);
        }
        Ok(reply)
    }
}

impl ReleaseTask {
    /// Refuses a lost token, and a task that has no claim to release.
    fn check(&self, tx: &dyn StoreWrite, task: &Task) -> Result<()> {
        let now = tx.now();
        if let Some(token) = &self.claim
            && claim_authority(task, Some(token), now) == ClaimAuthority::StaleToken
        {
            return Err(claim_lost_error(task, token, now));
        }
        if task.status != Status::InProgress {
            let message = format!(
                "Task {0} is {1} and is not claimed, so there is nothing to release; get_task(id=\"{0}\") shows it",
                task.id, task.status
            );
            return Err(Error::new(Code::NotReady, message));
        }
        check_state_change(task, self.claim.as_ref(), now)?;
        if task.is_batch {
            let message = format!(
                "Task {0} is a batch and has no claim; control_batch(id=\"{0}\", action=\"cancel\") ends it",
                task.id
            );
            return Err(Error::new(Code::NotReady, message));
        }
        Ok(())
    }

    fn release(&self, tx: &dyn StoreWrite, task: &Task, author: &Author) -> Result<()> {
        let worker = &task.claim.as_ref().map_or_else(|| author.clone(), |claim| author.named(&claim.worker));
        let reason = self.reason.as_ref().and_then(ReceiptText::non_empty).unwrap_or("no reason given");
        let why = format!("Released by '{worker}' ({}): {reason}.", self.outcome);
        let status = match self.outcome {
            ReleaseOutcome::Retry => {
                if release(tx, task, &why, worker)? == Status::Active {
                    start_backoff(tx, task, self.delay)?;
                }
                return Ok(());
            }
            ReleaseOutcome::Failed => Status::Failed,
            ReleaseOutcome::Blocked => Status::Blocked,
        };
        change_state(tx, task, &Task { status, ..task.clone() })?;
        tx.append_receipt(task, &NewReceipt { author: worker, text: &why, ..NewReceipt::default() })?;
        Ok(())
    }
}
