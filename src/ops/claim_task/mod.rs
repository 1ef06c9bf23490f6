//! `claim_task`: claims the best ready task that matches, under a fenced claim.

mod choose;
mod reply;

pub use choose::waits_for_resources;
pub use reply::ClaimReply;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::append_receipt::{IncomingReceipt, append_receipt};
use super::lifecycle::expire_leases::expire_leases;
use super::lifecycle::kept_claim::KeptClaim;
use super::lifecycle::transition::change_state;
use super::request::idempotency::{RequestKey, has_response, run_once};
use super::{Effect, Operation, Session};
use crate::error::Result;
use crate::model::author::Author;
use crate::model::claim::Claim;
use crate::model::claim_rules::{claimed, distinct_name};
use crate::model::id::{ProcessMark, TaskId, Token};
use crate::model::limits::{LeaseSeconds, Priority};
use crate::model::status::{Status, TaskType};
use crate::model::task::Task;
use crate::model::text::LineText;
use crate::model::worker_scope::WorkerScope;
use crate::store::{StoreRead, StoreWrite, Subject, TaskFilter};

/// The most claims of workers with one name that get different numbers.
const SAME_NAME: usize = 200;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ClaimTask {
    /// Your name
    #[arg(long, help = "Name of the worker")]
    pub worker: Option<LineText>,
    /// Claim this task; without it, the best ready one.
    #[schemars(description = "This task")]
    #[arg(long)]
    pub id: Option<TaskId>,
    /// Only a task of this project.
    #[schemars(description = "Project")]
    #[arg(long)]
    pub project: Option<LineText>,
    /// Only a chunk of this batch.
    #[schemars(description = "Chunks of this batch")]
    #[arg(long)]
    pub batch: Option<TaskId>,
    /// Only a task of this type.
    #[schemars(description = "Type")]
    #[serde(rename = "type")]
    #[arg(long = "type")]
    pub task_type: Option<TaskType>,
    /// Only a task of this priority or a more urgent one.
    #[schemars(description = "0 to 4; or more urgent")]
    #[arg(long)]
    pub priority_max: Option<Priority>,
    /// Only a task with all of these tags.
    #[schemars(description = "All of these")]
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    pub tags: Vec<LineText>,
    /// Each write you make renews it
    #[schemars(description = "1 to 86400, default 1800; writes renew it")]
    #[serde(default = "half_an_hour")]
    #[arg(
        long,
        help = "How long the claim lasts without a write, in seconds; each write renews it",
        default_value = "1800",
        allow_negative_numbers = true
    )]
    pub lease_seconds: LeaseSeconds,
    /// Idempotency key
    #[arg(long)]
    pub request_key: Option<LineText>,
    /// Whether a runner claims for a worker of its own. The next runner of the batch may release such a claim. Only
    /// Tasktally's own code sets it.
    #[serde(skip)]
    #[arg(skip)]
    pub by_runner: bool,
    /// The mark of the process that claims, if it holds no run lock. Only Tasktally's own code sets it.
    #[serde(skip)]
    #[arg(skip)]
    pub process: Option<ProcessMark>,
    /// Whether the claim also reports the first item as started, because a command for it starts at once. Only
    /// Tasktally's own code sets it.
    #[serde(skip)]
    #[arg(skip)]
    pub starts_first_item: bool,
}

fn half_an_hour() -> LeaseSeconds {
    LeaseSeconds::of(1_800)
}

impl Operation for ClaimTask {
    const NAME: &'static str = "claim_task";
    const TITLE: &'static str = "Claim a task";
    const DESCRIPTION: &'static str =
        "Get work: claims the best ready task that matches, with instructions, items and claim.token.";
    const EFFECT: Effect = Effect::Write;
    const POSITIONAL: &'static str = "id";
    const WORKER_PARAMETERS: &'static [&'static str] =
        &["worker", "id", "project", "batch", "tags", "request_key"];
    type Reply = ClaimReply;

    fn run(self, session: &Session) -> Result<ClaimReply> {
        if let Some(scope) = session.worker_scope() {
            return reply_for_scope(session, scope.clone());
        }
        let worker =
            self.worker.as_ref().and_then(LineText::non_empty).unwrap_or(session.caller()).to_owned();
        // Idle workers poll: if there is nothing to claim and nothing to expire, they cost no write.
        let key = RequestKey::new(session, self.request_key.as_ref().map(LineText::as_str), &self)?;
        let (request, name, read_key) = (self.clone(), worker.clone(), key.clone());
        session.read(move |tx| {
            if has_response(tx, read_key.as_ref())? {
                return Ok(());
            }
            let refusal = request.choose(tx, &name).err();
            match refusal {
                Some(refusal) if !is_anything_due(tx)? => Err(refusal),
                _ => Ok(()),
            }
        })?;
        let author = session.author();
        let subject = Subject { task: self.id.clone().or_else(|| self.batch.clone()), item: None };
        let host = session.fence().map(|fence| fence.host.clone());
        session.write_as_runner_about(subject, move |tx| {
            let is_due = is_anything_due(tx)?;
            if is_due {
                expire_leases(tx)?;
            }
            let claim = run_once(tx, key.as_ref(), Self::NAME, |tx| {
                let task = self.choose(tx, &worker)?;
                self.claim(tx, &task, worker.clone(), host.as_deref())
            });
            match claim.and_then(|claim| self.reply_to(tx, &claim, &author)) {
                Ok(reply) => Ok(Ok(reply)),
                // A refused claim still commits the leases that were expired.
                Err(refusal) if is_due => Ok(Err(refusal)),
                Err(refusal) => Err(refusal),
            }
        })?
    }
}

impl ClaimTask {
    /// A runner's claim of any ready chunk of a batch. `per_item` says whether it runs a command per item, so that
    /// the first item starts with the claim.
    pub fn for_runner(worker: LineText, batch: TaskId, per_item: bool) -> Self {
        ClaimTask {
            worker: Some(worker),
            id: None,
            project: None,
            batch: Some(batch),
            task_type: None,
            priority_max: None,
            tags: Vec::new(),
            lease_seconds: half_an_hour(),
            request_key: None,
            by_runner: true,
            process: None,
            starts_first_item: per_item,
        }
    }

    /// Claims a task that `choose` returned in the same transaction. `host` is the machine where its worker will run, if
    /// that is stored.
    fn claim(
        &self,
        tx: &dyn StoreWrite,
        before: &Task,
        worker: String,
        host: Option<&str>,
    ) -> Result<KeptClaim> {
        let token = match &self.process {
            Some(mark) => Token::random_for_process(mark),
            None if self.by_runner => Token::random_for_runner(),
            None => Token::random(),
        };
        let name = holder_name(tx, before, &worker)?;
        let claim = Claim::new(name, Some(token.clone()), tx.now(), self.lease_seconds.get());
        let task = claimed(before, &worker, claim);
        change_state(tx, before, &task)?;
        if let Some(chunk) = tx.chunk(&task)? {
            tx.set_attempts(&chunk, chunk.attempts + 1)?;
            host.map_or(Ok(()), |host| {
                tx.record_attempt_host(task.row, (chunk.attempts + 1).unsigned_abs(), host)
            })?;
        }
        Ok(KeptClaim { task: task.id, token, is_repeated: false })
    }

    /// The reply to the worker that made a claim, now or with the same request before.
    fn reply_to(&self, tx: &dyn StoreWrite, claim: &KeptClaim, author: &Author) -> Result<ClaimReply> {
        let (task, token) = (claim.task(tx)?, &claim.token);
        let mut reply = ClaimReply::read(tx, &task, tx.chunk(&task)?, token)?;
        if claim.is_repeated {
            reply.duplicate = Some(true);
            return Ok(reply);
        }
        if self.starts_first_item
            && let Some(first) = reply.items.as_ref().and_then(|items| items.first())
        {
            append_receipt(tx, &task, &IncomingReceipt::item_started(Some(token), author, &first.key))?;
        }
        Ok(reply)
    }
}

/// The name under which the claim of a worker is shown. Other live claims of workers with this name have others.
fn holder_name(tx: &dyn StoreRead, task: &Task, worker: &str) -> Result<String> {
    let of_worker = TaskFilter {
        assignee: Some(worker.to_owned()),
        status: Some(Status::InProgress),
        ..TaskFilter::default()
    };
    let claimed = tx.list(&of_worker, None, SAME_NAME)?;
    let others = claimed.iter().filter(|other| other.row != task.row);
    let taken: Vec<&str> =
        others.filter_map(|other| other.live_claim(tx.now())).map(|claim| claim.worker.as_str()).collect();
    Ok(distinct_name(worker, &taken))
}

/// Whether a lease has expired or a hold has ended; recording that needs a write.
fn is_anything_due(tx: &dyn StoreRead) -> Result<bool> {
    Ok(tx.next_hold_expiry()?.is_some_and(|end| end <= tx.now()) || !tx.expired_claims(1)?.is_empty())
}

/// The reply for a worker of a chunk: the claim that the runner already holds for it.
fn reply_for_scope(session: &Session, scope: WorkerScope) -> Result<ClaimReply> {
    session.read(move |tx| {
        let task = tx.task(&scope.chunk)?;
        let chunk = tx.chunk(&task)?;
        ClaimReply::read(tx, &task, chunk, &scope.token)
    })
}
