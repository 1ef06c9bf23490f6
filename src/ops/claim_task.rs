//! `claim_task`: the best ready task that matches, under a fenced claim.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lifecycle::expire_leases::expire_leases;
use super::lifecycle::receipts::{IncomingReceipt, append_receipt};
use super::lifecycle::transition::change_state;
use super::views::items::open_items;
use super::views::task::TaskView;
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, BatchStatus, Chunk};
use crate::model::claim::Claim;
use crate::model::claim_rules::{ClaimKind, check_claimable, claimed};
use crate::model::id::{TaskId, Token};
use crate::model::limits::{LeaseSeconds, PAGE_ROWS, Priority};
use crate::model::resource::display_path;
use crate::model::status::{Status, TaskType};
use crate::model::task::Task;
use crate::model::text::{LineText, excerpt};
use crate::model::timestamp::Timestamp;
use crate::model::worker_scope::WorkerScope;
use crate::store::{StoreRead, StoreWrite, TaskFilter};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ClaimTask {
    /// Your name
    #[arg(long)]
    pub worker: Option<LineText>,
    /// This task; none: the best ready one.
    #[schemars(description = "")]
    #[arg(long)]
    pub id: Option<TaskId>,
    /// Of this project.
    #[schemars(description = "")]
    #[arg(long)]
    pub project: Option<LineText>,
    /// Of this batch.
    #[schemars(description = "")]
    #[arg(long)]
    pub batch: Option<TaskId>,
    /// Of this type.
    #[schemars(description = "")]
    #[serde(rename = "type")]
    #[arg(long = "type")]
    pub task_type: Option<TaskType>,
    /// As urgent or more.
    #[schemars(description = "")]
    #[arg(long)]
    pub priority_max: Option<Priority>,
    /// With all of these.
    #[schemars(description = "")]
    #[serde(default)]
    #[arg(long, value_delimiter = ',')]
    pub tags: Vec<LineText>,
    /// Each write you make renews it
    #[serde(default = "half_an_hour")]
    #[arg(long, default_value = "1800", allow_negative_numbers = true)]
    pub lease_seconds: LeaseSeconds,
    /// Whether a runner claims, whose successor may take the claim back; no agent can set it.
    #[serde(skip)]
    #[arg(skip)]
    pub by_runner: bool,
    /// Whether the first item is begun with the claim, for a command follows at once; no agent can set it.
    #[serde(skip)]
    #[arg(skip)]
    pub begins: bool,
}

fn half_an_hour() -> LeaseSeconds {
    LeaseSeconds::of(1_800)
}

/// A claim as its winner sees it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ClaimView {
    /// What every later write brings.
    pub token: String,
    /// Grows with every claim of the task.
    pub generation: u64,
    /// Until when, unless renewed.
    pub expires_at: String,
}

/// The reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClaimReply {
    /// Whether it was won.
    pub success: bool,
    /// What was won.
    pub message: String,
    /// The task with its body.
    pub task: TaskView,
    /// What to do, and how to say that it is done.
    pub instructions: String,
    /// Items without an outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<Map<String, Value>>>,
    /// How many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_left: Option<u64>,
    /// Where their next page begins, for `get_task(items_after=…)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_items_after: Option<u64>,
    /// The claim.
    pub claim: ClaimView,
    /// Which attempt at it this is, from 1; for the runner.
    #[serde(skip)]
    pub attempt: u64,
}

impl Operation for ClaimTask {
    const NAME: &'static str = "claim_task";
    const TITLE: &'static str = "Claim a task";
    const DESCRIPTION: &'static str = "Claim the best ready task that matches (or id): its instructions, items and claim.token for your writes.";
    const EFFECT: Effect = Effect::Write;
    const POSITIONAL: &'static str = "id";
    const WORKER_PARAMETERS: &'static [&'static str] = &["worker", "id", "project", "batch", "tags"];
    type Reply = ClaimReply;

    fn run(self, session: &Session) -> Result<ClaimReply> {
        if let Some(job) = session.worker_scope() {
            return of_job(session, job.clone());
        }
        let worker =
            self.worker.as_ref().and_then(LineText::non_empty).unwrap_or(session.caller()).to_owned();
        // Idle workers poll: if there is nothing to claim and nothing to expire, they cost no write.
        let (request, name) = (self.clone(), worker.clone());
        session.read(move |tx| {
            let refusal = request.choose(tx, &name).err();
            match refusal {
                Some(refusal) if !is_anything_due(tx)? => Err(refusal),
                _ => Ok(()),
            }
        })?;
        session.write(move |tx| {
            let is_due = is_anything_due(tx)?;
            if is_due {
                expire_leases(tx)?;
            }
            match self.choose(tx, &worker) {
                Ok(task) => self.claim(tx, &task, worker).map(Ok),
                // A refused claim still commits the leases that were expired.
                Err(refusal) if is_due => Ok(Err(refusal)),
                Err(refusal) => Err(refusal),
            }
        })?
    }
}

/// Whether a lease has run out or a hold has ended, which only a write can note.
fn is_anything_due(tx: &dyn StoreRead) -> Result<bool> {
    Ok(tx.next_hold_expiry()?.is_some_and(|end| end <= tx.now()) || !tx.expired_claims(1)?.is_empty())
}

/// The claim that a runner won for its worker, told once more.
fn of_job(session: &Session, job: WorkerScope) -> Result<ClaimReply> {
    session.read(move |tx| {
        let task = tx.task(&job.chunk)?;
        let chunk = tx.chunk(&task)?;
        ClaimTask::reply(tx, &task, chunk, &job.token)
    })
}

/// Whether no chunk that shares a resource with this one is being worked on.
fn may_work(tx: &dyn StoreRead, task: &Task) -> Result<()> {
    if task.is_chunk
        && let Some(held) = tx.resource_in_use(task.row)?
    {
        let other = tx.task_by_row(held.chunk)?;
        return Err(Error::new(
            Code::NotReady,
            format!(
                "Chunk {} waits for chunk {}, which '{}' is working on: both touch '{}'. Claim it once that has ended; claim_task() without an id claims another.",
                task.id,
                other.id,
                other.claim.as_ref().map_or("somebody", |claim| claim.worker.as_str()),
                excerpt(&display_path(&held.resource))
            ),
        ));
    }
    Ok(())
}

/// Whether a batch has chunks that are ready but for a resource that others work on.
///
/// # Errors
/// Where the store cannot be read.
pub fn waits_for_others(session: &Session, batch: &TaskId) -> Result<bool> {
    let batch = batch.clone();
    session.read(move |tx| {
        let filter = TaskFilter { parent: Some(tx.task(&batch)?.row), ready: true, ..TaskFilter::default() };
        Ok(!tx.list(&filter, None, 1)?.is_empty())
    })
}

impl ClaimTask {
    /// A runner's claim of any ready chunk of a batch; `begins` says whether it runs a command an item.
    pub fn of_batch(worker: LineText, batch: TaskId, begins: bool) -> Self {
        ClaimTask {
            worker: Some(worker),
            id: None,
            project: None,
            batch: Some(batch),
            task_type: None,
            priority_max: None,
            tags: Vec::new(),
            lease_seconds: half_an_hour(),
            by_runner: true,
            begins,
        }
    }

    /// The task that `worker` may claim.
    fn choose(&self, tx: &dyn StoreRead, worker: &str) -> Result<Task> {
        let task = match &self.id {
            Some(id) => tx.task(id)?,
            None => self.best(tx)?,
        };
        check_claimable(&task, worker, ClaimKind::Fenced, tx.now())?;
        may_work(tx, &task)?;
        Ok(task)
    }

    /// Claims a task that [`ClaimTask::choose`] chose in the same transaction.
    fn claim(&self, tx: &dyn StoreWrite, before: &Task, worker: String) -> Result<ClaimReply> {
        let token = if self.by_runner { Token::random_for_runner() } else { Token::random() };
        let claim = Claim::new(worker, Some(token.clone()), tx.now(), self.lease_seconds.get());
        let task = claimed(before, claim);
        change_state(tx, before, &task)?;
        let chunk = tx.chunk(&task)?;
        if let Some(chunk) = &chunk {
            tx.set_attempts(chunk, chunk.attempts + 1)?;
        }
        let task = tx.task_by_row(task.row)?;
        let reply = Self::reply(tx, &task, chunk, &token)?;
        if let Some(first) = reply.items.as_ref().filter(|_| self.begins).and_then(|items| items.first()) {
            let key = first.get("key").and_then(Value::as_str).unwrap_or_default();
            append_receipt(tx, &task, &IncomingReceipt::item_started(Some(&token), "tasktally", key))?;
        }
        Ok(reply)
    }

    fn best(&self, tx: &dyn StoreRead) -> Result<Task> {
        let batch = match &self.batch {
            None => None,
            Some(id) => Some(super::request::lookup::find_task(tx, id, "batch")?),
        };
        if let Some(Task { id, parent: Some(batch), is_chunk: true, .. }) = &batch {
            let message =
                format!("batch: {id} is a chunk; its batch is {batch}, and id={id} claims it alone");
            return Err(Error::invalid(message));
        }
        if let Some(batch) = &batch
            && batch.status == Status::Cancelled
        {
            return Err(Error::new(Code::Cancelled, format!("Batch {} was cancelled; stop", batch.id)));
        }
        let filter = TaskFilter {
            project: super::request::fields::non_empty(&self.project),
            task_type: self.task_type,
            priority_max: self.priority_max.map(Priority::get),
            parent: batch.as_ref().map(|batch| batch.row),
            ready: true,
            without_conflicts: true,
            tags: super::request::fields::parse_tags(&self.tags)?,
            ..TaskFilter::default()
        };
        if let Some(task) = tx.list(&filter, None, 1)?.pop() {
            return Ok(task);
        }
        if let Some(batch) = &batch {
            waits_for_a_person(tx, batch)?;
        }
        let when = match (&batch, soonest(tx)?) {
            (Some(batch), _) if batch.status.is_terminal() => {
                format!("batch {} is {}; stop", batch.id, batch.status)
            }
            _ if !tx.list(&TaskFilter { without_conflicts: false, ..filter }, None, 1)?.is_empty() => {
                "those left share resources with chunks being worked on; ask again after 60 s".to_owned()
            }
            (_, Some(expiry)) => {
                format!("all are claimed or rest, the next comes free at {expiry}; stop, or ask again then")
            }
            (_, None) => "nobody is at work; stop, or ask again when there are new tasks".to_owned(),
        };
        Err(Error::new(Code::NothingToClaim, format!("No ready task matches: {when}")))
    }

    fn reply(tx: &dyn StoreRead, task: &Task, chunk: Option<Chunk>, token: &Token) -> Result<ClaimReply> {
        let claim = ClaimView {
            token: token.to_string(),
            generation: task.generation,
            expires_at: task.claim.as_ref().map(|claim| claim.expires_at.to_string()).unwrap_or_default(),
        };
        let message = format!("Claimed {}", task.id);
        match chunk {
            None => Ok(ClaimReply {
                success: true,
                message,
                instructions: format!(
                    "{}Append a receipt after each step: update_task(id=\"{id}\", claim=\"{token}\", body=\"...\"). Then complete_task(id=\"{id}\", claim=\"{token}\").",
                    Some(tx.initial_text(task.row)?)
                        .filter(|text| !text.is_empty())
                        .map_or(String::new(), |text| text + "\n\n"),
                    id = task.id
                ),
                task: TaskView::compact(tx, task)?,
                items: None,
                items_left: None,
                next_items_after: None,
                claim,
                attempt: 1,
            }),
            Some(chunk) => {
                let instructions =
                    tx.batch(chunk.batch_row)?.map(|batch| brief(&batch, &chunk)).unwrap_or_default();
                let (items, next_items_after) = open_items(tx, task, &chunk, 0, PAGE_ROWS)?;
                let doubts = match tx.started_items(&chunk)?.len() {
                    0 => String::new(),
                    count => format!(
                        "\n\n{count} of the items may have happened: 'in_doubt' of such an item says which worker started it and when; how it ended is not known. Look before you act on such an item again."
                    ),
                };
                let more = if next_items_after.is_some() {
                    " More items: get_task(id, items_after=next_items_after)."
                } else {
                    ""
                };
                Ok(ClaimReply {
                    success: true,
                    message: format!("{message} ({})", task.title),
                    instructions: format!(
                        "{instructions}{doubts}\n\nAfter EACH item: update_task(id=\"{id}\", claim=\"{token}\", item=KEY, outcome=\"done\"|\"failed\"|\"skipped\", category=..., body=\"- what you did\").{more} When none is left: complete_task(id=\"{id}\", claim=\"{token}\").",
                        id = task.id
                    ),
                    task: TaskView::compact(tx, task)?,
                    items: Some(items),
                    items_left: Some(chunk.counts.total - chunk.counts.processed()),
                    next_items_after,
                    claim,
                    attempt: chunk.attempts.unsigned_abs() + 1,
                })
            }
        }
    }
}

/// What a chunk's worker is told to do: the batch's instructions, its step's, a reviewer's.
fn brief(batch: &Batch, chunk: &Chunk) -> String {
    let mut brief = batch.instructions.clone();
    if let Some(step) = batch.steps.get(chunk.step) {
        let number = format!("{} of {}", chunk.step + 1, batch.steps.count());
        brief += &format!("\n\nStep '{}' ({number}): {}", step.name.as_str(), step.instructions.as_str());
    }
    if !chunk.review_note.is_empty() {
        brief += &format!("\n\nA reviewer had it redone: {}", chunk.review_note);
    }
    brief
}

/// Refuses a batch of which nothing goes on without a person, saying so.
fn waits_for_a_person(tx: &dyn StoreRead, task: &Task) -> Result<()> {
    let Some(batch) = tx.batch(task.row)? else { return Ok(()) };
    if let Some(why) = &batch.pause_reason {
        return Err(Error::new(Code::Paused, format!("Batch {} is paused; stop. {why}", task.id)));
    }
    if batch.status(task.status, tx.has_workable_chunk(task.row)?) == BatchStatus::Waiting {
        let message = format!("Batch {} waits for a person, get_batch(view=\"review\"); stop", task.id);
        return Err(Error::new(Code::NothingToClaim, message));
    }
    Ok(())
}

/// When the next claim or hold ends by itself.
fn soonest(tx: &dyn StoreRead) -> Result<Option<Timestamp>> {
    Ok(tx.next_lease_expiry()?.into_iter().chain(tx.next_hold_expiry()?).min())
}
