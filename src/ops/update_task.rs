//! `update_task`: fields, a receipt, or an open claim.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::complete_task::complete;
use super::create_task::{existing_all, parse_due, possible_parent, tags, text};
use super::lifecycle::receipts::{Incoming, append, keep_late, renew};
use super::lifecycle::transition::save;
use super::request::idempotency::{RequestKey, once};
use super::request::worker_scope::may_speak;
use super::views::intermediate_state;
use super::views::task::{TaskReply, TaskView};
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::claim::{Claim, ClaimAuthority, Manner, may_change_state, may_claim, standing};
use crate::model::cost::{Cost, Money, Tokens};
use crate::model::id::{TaskId, Token};
use crate::model::job::WorkerScope;
use crate::model::limits::{OPEN_LEASE_SECONDS, Order, Priority};
use crate::model::status::{Complexity, ItemReport, Kind, Outcome, Status};
use crate::model::task::Task;
use crate::model::text::{Body, Line};
use crate::store::{NewReceipt, Write, claimed};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct UpdateTask {
    #[arg(long)]
    id: TaskId,
    #[arg(long)]
    task_title: Option<Line>,
    #[serde(rename = "type")]
    #[arg(long = "type")]
    kind: Option<Kind>,
    /// in_progress claims it
    #[arg(long)]
    status: Option<Status>,
    #[arg(long)]
    priority: Option<Priority>,
    #[arg(long, allow_negative_numbers = true)]
    order: Option<Order>,
    #[arg(long)]
    parent: Option<String>,
    #[arg(long, value_delimiter = ',')]
    depends_on: Option<Vec<TaskId>>,
    #[arg(long, value_delimiter = ',')]
    soft_depends_on: Option<Vec<TaskId>>,
    #[arg(long)]
    due: Option<Line>,
    #[arg(long)]
    project: Option<Line>,
    #[arg(long, value_delimiter = ',')]
    tags: Option<Vec<Line>>,
    #[arg(long)]
    effort: Option<Line>,
    #[arg(long)]
    context: Option<Line>,
    #[arg(long)]
    assignee: Option<Line>,
    #[arg(long)]
    complexity: Option<Complexity>,
    /// Appended as a receipt
    #[arg(long)]
    body: Option<Body>,
    /// claim.token from claim_task
    #[arg(long)]
    claim: Option<Token>,
    /// The item's key; with outcome
    #[arg(long)]
    item: Option<Line>,
    #[arg(long)]
    outcome: Option<ItemReport>,
    #[arg(long)]
    category: Option<Line>,
    #[arg(long)]
    model: Option<Line>,
    #[arg(long)]
    tokens_in: Option<Tokens>,
    #[arg(long)]
    tokens_out: Option<Tokens>,
    #[arg(long)]
    cost: Option<Money>,
    #[arg(long)]
    request_key: Option<Line>,
    #[serde(default)]
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    force: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(skip)]
    #[arg(long, hide = true, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    replace_body: bool,
    /// The item that `tasktally run` begins next, in the same commit; no agent can set it.
    #[serde(skip)]
    #[arg(skip)]
    next: Option<Line>,
}

impl Operation for UpdateTask {
    const NAME: &'static str = "update_task";
    const TITLE: &'static str = "Update a task";
    const DESCRIPTION: &'static str =
        "Change fields (\"\" clears, lists replace), append a receipt (body), or claim (status=in_progress).";
    const EFFECT: Effect = Effect::Write;
    const SPELLS_OUT: bool = true;
    const FIRST: &'static str = "id";
    const WORKER_PARAMETERS: &'static [&'static str] = &[
        "id",
        "status",
        "assignee",
        "body",
        "claim",
        "item",
        "outcome",
        "category",
        "model",
        "tokens_in",
        "tokens_out",
        "cost",
        "request_key",
    ];
    type Reply = TaskReply;

    fn run(self, session: &Session) -> Result<TaskReply> {
        if self.replace_body {
            return Err(Error::invalid(
                "replace_body: true is refused, the body is append-only; `body` appends a receipt",
            ));
        }
        if self.item.is_none() && self.outcome.is_some() {
            return Err(Error::invalid("outcome: it needs `item`, the key of the item it tells of"));
        }
        let key = RequestKey::of(self.request_key.as_ref().map(Line::as_str), &self)?;
        let author = text(&self.assignee).unwrap_or_else(|| session.caller().to_owned());
        if self.is_open_claim() {
            // Most who race for a task lose: they need not wait for their turn to write to be told.
            let (id, worker) = (self.id.clone(), author.clone());
            session.read(move |tx| may_claim(&tx.task(&id)?, &worker, Manner::Open, tx.now()))?;
        }
        let job = session.job().cloned();
        let (reply, chunk) = session.write(move |tx| {
            let reply = once(tx, key.as_ref(), Self::NAME, |tx| self.change(tx, &author, job.as_ref()))?;
            let completed = self.status == Some(Status::Done) && tx.task(&self.id)?.is_chunk;
            Ok((reply, completed.then_some(self.id)))
        })?;
        if let Some(chunk) = chunk {
            intermediate_state::write_chunk(session, &chunk);
        }
        Ok(reply)
    }
}

/// What `tasktally run` says of an item.
#[derive(Debug, Clone)]
pub struct ItemReceipt {
    /// The item's key.
    pub item: Line,
    /// What became of it.
    pub outcome: Outcome,
    /// What it was found to be.
    pub category: Option<Line>,
    /// What its worker says.
    pub body: Body,
    /// What the work cost.
    pub cost: ItemCost,
}

/// What an item's work cost, as a request brings it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemCost {
    /// The model that did it.
    pub model: Option<Line>,
    /// Tokens that it read.
    pub tokens_in: Option<Tokens>,
    /// Tokens that it wrote.
    pub tokens_out: Option<Tokens>,
    /// What that cost.
    pub cost: Option<Money>,
}

impl UpdateTask {
    /// A receipt for an item, and which one is begun with it.
    pub fn item_receipt(id: TaskId, claim: Token, receipt: ItemReceipt, next: Option<Line>) -> Self {
        let ItemReceipt { item, outcome, category, body, cost } = receipt;
        UpdateTask {
            item: Some(item),
            outcome: Some(outcome.into()),
            category,
            body: Some(body),
            model: cost.model,
            tokens_in: cost.tokens_in,
            tokens_out: cost.tokens_out,
            cost: cost.cost,
            next,
            ..UpdateTask::renewal(id, claim)
        }
    }

    /// A receipt of nobody's claim.
    pub fn note(id: TaskId, body: Body) -> Self {
        let renewal = UpdateTask::renewal(id, Token::stored(String::new()));
        UpdateTask { claim: None, body: Some(body), ..renewal }
    }

    /// A write that only renews the holder's lease.
    pub fn renewal(id: TaskId, claim: Token) -> Self {
        UpdateTask {
            id,
            claim: Some(claim),
            task_title: None,
            kind: None,
            status: None,
            priority: None,
            order: None,
            parent: None,
            depends_on: None,
            soft_depends_on: None,
            due: None,
            project: None,
            tags: None,
            effort: None,
            context: None,
            assignee: None,
            complexity: None,
            body: None,
            item: None,
            outcome: None,
            category: None,
            model: None,
            tokens_in: None,
            tokens_out: None,
            cost: None,
            request_key: None,
            force: false,
            replace_body: false,
            next: None,
        }
    }

    /// Whether it is nothing but the workflow's claim.
    fn is_open_claim(&self) -> bool {
        self.status == Some(Status::InProgress)
            && self.claim.is_none()
            && self.body.is_none()
            && self.request_key.is_none()
    }

    fn change(&self, tx: &dyn Write, author: &str, job: Option<&WorkerScope>) -> Result<TaskReply> {
        let mut task = tx.task(&self.id)?;
        let mut receipt = None;
        let has_receipt =
            self.body.as_ref().is_some_and(|body| body.non_empty().is_some()) || self.item.is_some();
        let lost = standing(&task, self.claim.as_ref(), tx.now()) == ClaimAuthority::Lost;
        let cost = self.cost();
        if !has_receipt && !cost.is_empty() {
            return Err(Error::invalid(
                "model, tokens_in, tokens_out, cost: they are part of a receipt; bring body or item with them",
            ));
        }
        if has_receipt || lost {
            let incoming = Incoming {
                token: self.claim.as_ref(),
                author,
                text: self.body.as_ref().and_then(Body::non_empty),
                item: self.item.as_ref().map(Line::as_str),
                outcome: self.outcome,
                category: self.category.as_ref().and_then(Line::non_empty),
                cost: Some(&cost),
            };
            if let Some(job) = job
                && task.is_batch
                && let Err(over) = may_speak(tx, job)
            {
                return Err(keep_late(tx, &task, &incoming, over)?);
            }
            receipt = Some(append(tx, &task, &incoming)?);
            if let Some(next) = &self.next {
                append(tx, &task, &Incoming::begins(self.claim.as_ref(), author, next.as_str()))?;
            }
        }
        let mut modified = self.change_fields(tx, &task)?;
        if let Some(status) = self.status {
            if receipt.is_some() || !modified.is_empty() {
                task = tx.task_at(task.row)?;
            }
            self.change_status(tx, &task, status, author)?;
            modified.push("status");
        } else if receipt.is_none() && self.claim.is_some() {
            // Every write that the holder makes renews its lease.
            renew(tx, &task)?;
        }
        if receipt.is_some() {
            modified.push("body");
        }
        let after = tx.task_at(task.row)?;
        let message = match (&receipt, self.status) {
            (Some(receipt), _) if receipt.duplicate => format!("Item already has receipt {}", receipt.number),
            (_, Some(Status::InProgress)) => format!("Claimed {} for '{author}'", after.id),
            (Some(receipt), _) => format!("Receipt {}", receipt.number),
            (None, _) if modified.is_empty() => format!("Nothing to change in {}", after.id),
            _ => format!("Updated {}", after.id),
        };
        let mut reply = TaskReply::new(message, Some(TaskView::compact(tx, &after)?));
        reply.duplicate = receipt.as_ref().filter(|receipt| receipt.duplicate).map(|_| true);
        reply.modified_fields = Some(modified.into_iter().map(str::to_owned).collect());
        reply.receipt = receipt;
        Ok(reply)
    }

    fn cost(&self) -> Cost {
        Cost {
            model: text(&self.model),
            tokens_in: self.tokens_in.map(Tokens::get),
            tokens_out: self.tokens_out.map(Tokens::get),
            cost: self.cost,
        }
    }

    /// Everything but status and body; gives the names of what was set.
    fn change_fields(&self, tx: &dyn Write, before: &Task) -> Result<Vec<&'static str>> {
        let mut task = before.clone();
        let mut modified = Vec::new();
        if let Some(title) = &self.task_title {
            task.title = text(&Some(title.clone()))
                .ok_or_else(|| Error::invalid("task_title: a title cannot be cleared"))?;
            modified.push("task_title");
        }
        macro_rules! set {
            ($field:ident, $name:literal, $value:expr) => {
                if let Some(value) = &self.$field {
                    task.$field = $value(value);
                    modified.push($name);
                }
            };
        }
        set!(kind, "type", |value: &Kind| *value);
        set!(priority, "priority", |value: &Priority| value.get());
        set!(order, "order", |value: &Order| value.get());
        set!(complexity, "complexity", |value: &Complexity| Some(*value));
        let line = |value: &Line| value.non_empty().map(str::to_owned);
        set!(project, "project", line);
        set!(effort, "effort", line);
        set!(context, "context", line);
        if self.status != Some(Status::InProgress)
            && let Some(assignee) = &self.assignee
        {
            may_change_state(before, self.claim.as_ref(), tx.now())?;
            task.assignee = line(assignee);
            modified.push("assignee");
        }
        if let Some(due) = &self.due {
            task.due = due.non_empty().map(parse_due).transpose()?;
            modified.push("due");
        }
        if let Some(list) = &self.tags {
            task.tags = tags(list)?;
            modified.push("tags");
        }
        if let Some(parent) = &self.parent {
            task.parent_row = self.new_parent(tx, before, parent)?;
            modified.push("parent");
        }
        // A worker names itself with every receipt: what is as it was is not written again.
        if task != *before {
            tx.save_fields(before, &task)?;
        }
        for (ids, soft, name) in
            [(&self.depends_on, false, "depends_on"), (&self.soft_depends_on, true, "soft_depends_on")]
        {
            if let Some(ids) = ids {
                let needs = existing_all(tx, ids, name)?;
                for (row, id) in needs.iter().zip(ids) {
                    if tx.depends_through(*row, before.row)? {
                        return Err(Error::new(
                            Code::Conflict,
                            format!(
                                "{name}: {id} depends on {} already; a cycle would never be ready",
                                before.id
                            ),
                        ));
                    }
                }
                tx.set_dependencies(before.row, &needs, soft)?;
                tx.count_blockers(before.row)?;
                modified.push(name);
            }
        }
        Ok(modified)
    }

    fn new_parent(&self, tx: &dyn Write, task: &Task, parent: &str) -> Result<Option<i64>> {
        if task.is_chunk {
            return Err(Error::invalid(format!("parent: chunk {} stays with its batch", task.id)));
        }
        if parent.is_empty() {
            return Ok(None);
        }
        let id: TaskId =
            parent.parse().map_err(|reason: String| Error::invalid(format!("parent: {reason}")))?;
        let parent = possible_parent(tx, &id)?;
        if tx.lies_beneath(parent.row, task.row)? {
            return Err(Error::new(Code::Conflict, format!("parent: {id} lies beneath {} itself", task.id)));
        }
        Ok(Some(parent.row))
    }

    fn change_status(&self, tx: &dyn Write, task: &Task, status: Status, author: &str) -> Result<()> {
        let now = tx.now();
        match status {
            Status::InProgress if standing(task, self.claim.as_ref(), now) == ClaimAuthority::Holder => {
                renew(tx, task)
            }
            Status::InProgress => {
                may_claim(task, author, Manner::Open, now)?;
                let mut after = task.clone();
                claimed(&mut after, Claim::new(author, None, now, OPEN_LEASE_SECONDS));
                save(tx, task, &after).map(|_| ())
            }
            Status::Done => complete(tx, task, self.claim.as_ref(), None, self.force, author).map(|_| ()),
            _ if task.is_batch => Err(Error::invalid(format!(
                "status: a batch's status follows its chunks; control_batch(id=\"{}\") cancels it",
                task.id
            ))),
            _ if task.is_chunk => Err(Error::invalid(format!(
                "status: chunk {} moves by claim_task, complete_task and release_task only",
                task.id
            ))),
            _ => {
                let allowed = may_change_state(task, self.claim.as_ref(), now);
                match (allowed, self.force) {
                    (Err(error), true) if error.code == Code::ClaimRequired => {
                        let note =
                            format!("'{author}' set the status to {status} by force while it was claimed.");
                        tx.append(task, &NewReceipt { author, text: &note, ..NewReceipt::default() })?;
                    }
                    (Err(error), _) => return Err(error),
                    (Ok(()), _) => {}
                }
                let mut after = task.clone();
                after.status = status;
                if task.status == Status::InProgress && self.assignee.is_none() && status == Status::Active {
                    after.assignee = None;
                }
                save(tx, task, &after).map(|_| ())
            }
        }
    }
}
