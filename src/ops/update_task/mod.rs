//! `update_task`: changes fields, appends a receipt, claims a task openly, or changes its status.

mod fields;
mod receipt;
mod runner_requests;
mod status;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::receipt::Writer;
use super::lifecycle::append_receipt::renew_lease;
use super::lifecycle::checkboxes::tick_hint;
use super::lifecycle::dependencies::stranded_note;
use super::request::fields::Clearable;
use super::request::idempotency::{RequestKey, run_once};
use super::views::chunk_files::write_chunk;
use super::views::task::{TaskReply, TaskView};
use super::views::written_receipt::ReceiptView;
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::model::author::Author;
use crate::model::claim_rules::{ClaimKind, check_claimable};
use crate::model::cost::{Money, Tokens};
use crate::model::id::{TaskId, Token};
use crate::model::limits::{Order, Priority};
use crate::model::status::{Complexity, ItemReport, Status, TaskType};
use crate::model::text::{LineText, ReceiptText};
use crate::store::{StoreWrite, Subject};

pub use runner_requests::{ItemCost, ItemReceipt};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct UpdateTask {
    /// Task id
    #[arg(long)]
    id: TaskId,
    /// New title
    #[schemars(description = "Title")]
    #[arg(long)]
    task_title: Option<LineText>,
    /// New type
    #[schemars(description = "Type")]
    #[serde(rename = "type")]
    #[arg(long = "type")]
    task_type: Option<TaskType>,
    /// in_progress claims it for assignee; done completes it
    #[schemars(description = "in_progress claims it")]
    #[arg(long)]
    status: Option<Status>,
    /// 0 (critical) to 4
    #[schemars(description = "0 to 4")]
    #[arg(long)]
    priority: Option<Priority>,
    /// Smaller first
    #[arg(
        long,
        help = "Among tasks of the same priority, smaller numbers first",
        allow_negative_numbers = true
    )]
    order: Option<Order>,
    /// New parent task id
    #[schemars(description = "Task id")]
    #[arg(long)]
    parent: Option<String>,
    /// Ids that must be done first
    #[schemars(description = "Ids; block it")]
    #[arg(long, value_delimiter = ',')]
    depends_on: Option<Vec<TaskId>>,
    /// Ids that should be done first
    #[schemars(description = "Ids; do not block it")]
    #[arg(long, value_delimiter = ',')]
    soft_depends_on: Option<Vec<TaskId>>,
    /// YYYY-MM-DD or RFC 3339
    #[schemars(description = "Date")]
    #[arg(long)]
    due: Option<LineText>,
    /// New project
    #[schemars(description = "Project")]
    #[arg(long)]
    project: Option<LineText>,
    /// New tags
    #[schemars(description = "Tags")]
    #[arg(long, value_delimiter = ',')]
    tags: Option<Vec<LineText>>,
    /// Estimated effort
    #[schemars(description = "Estimate")]
    #[arg(long)]
    effort: Option<LineText>,
    /// Place or tool it needs
    #[schemars(description = "Place, tool")]
    #[arg(long)]
    context: Option<LineText>,
    /// Worker name
    #[schemars(description = "Worker")]
    #[arg(long)]
    assignee: Option<LineText>,
    /// Judgment it needs
    #[schemars(description = "Judgment")]
    #[arg(long, help = "How much judgment the task needs")]
    complexity: Option<Clearable<Complexity>>,
    /// Receipt to append
    #[schemars(description = "Receipt, to 64 KiB")]
    #[arg(long)]
    body: Option<ReceiptText>,
    /// claim.token of your claim
    #[schemars(description = "claim.token")]
    #[arg(long)]
    claim: Option<Token>,
    /// Key of the item reported on
    #[schemars(description = "Item key")]
    #[arg(long)]
    item: Option<LineText>,
    /// With item; started: before you act
    #[schemars(description = "Of item; started: before you act")]
    #[arg(long, help = "Result of the item; started announces an action before you do it")]
    outcome: Option<ItemReport>,
    /// Category of the item
    #[schemars(description = "Of item")]
    #[arg(long)]
    category: Option<LineText>,
    /// Model used
    #[schemars(description = "Model")]
    #[arg(long)]
    model: Option<LineText>,
    /// Tokens read
    #[schemars(description = "Read")]
    #[arg(long)]
    tokens_in: Option<Tokens>,
    /// Tokens written
    #[schemars(description = "Written")]
    #[arg(long)]
    tokens_out: Option<Tokens>,
    /// Cost of the work
    #[schemars(description = "Cost")]
    #[arg(long)]
    cost: Option<Money>,
    /// Idempotency key
    #[arg(long, help = "A repeated call with the same key returns the first reply")]
    request_key: Option<LineText>,
    /// Override the checks; recorded
    #[schemars(description = "Skip checks")]
    #[serde(default)]
    #[arg(long, help = "Skip the checks; the receipt records it", num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    force: bool,
    /// Refused if true: the body is append-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(skip)]
    #[arg(long, hide = true, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    replace_body: bool,
    /// The item that a runner starts next, in the same commit; agents cannot set it.
    #[serde(skip)]
    #[arg(skip)]
    next: Option<LineText>,
}

impl Operation for UpdateTask {
    const NAME: &'static str = "update_task";
    const TITLE: &'static str = "Update a task";
    const DESCRIPTION: &'static str = "Append a receipt (body, item), claim (status=in_progress) or change fields; empty clears, a list replaces.";
    const EFFECT: Effect = Effect::Write;
    const POSITIONAL: &'static str = "id";
    const CLEARABLE: &'static [&'static str] = &[
        "parent",
        "depends_on",
        "soft_depends_on",
        "due",
        "project",
        "tags",
        "effort",
        "context",
        "assignee",
        "complexity",
    ];
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
                "replace_body: true is refused because the body is append-only; `body` appends a receipt",
            ));
        }
        if self.item.is_none() {
            for (name, is_given) in
                [("outcome", self.outcome.is_some()), ("category", self.category.is_some())]
            {
                if is_given {
                    return Err(Error::invalid(format!(
                        "{name}: allowed with item=... only, the key of an item"
                    )));
                }
            }
        }
        let key = RequestKey::new(session, self.request_key.as_ref().map(LineText::as_str), &self)?;
        let author = match &self.assignee {
            Some(name) if session.worker_scope().is_none() && name.non_empty().is_some() => {
                session.author().named(name.as_str())
            }
            _ => session.author(),
        };
        if self.is_open_claim() {
            // Most workers that race for a task lose. A read refuses them without the write lock.
            let (id, worker) = (self.id.clone(), author.name().to_owned());
            session.read(move |tx| check_claimable(&tx.task(&id)?, &worker, ClaimKind::Open, tx.now()))?;
        }
        let writer = Writer { author, scope: session.worker_scope().cloned(), quotas: session.quotas() };
        let subject = Subject {
            item: self.item.as_ref().map(|key| key.as_str().to_owned()),
            ..Subject::task(&self.id)
        };
        let (reply, chunk) = session.write_about(subject, move |tx| {
            let reply = run_once(tx, key.as_ref(), Self::NAME, |tx| self.update(tx, &writer))?;
            let completed_chunk = self.status == Some(Status::Done) && tx.task(&self.id)?.is_chunk;
            Ok((reply, completed_chunk.then(|| self.id.clone())))
        })?;
        if let Some(chunk) = chunk {
            write_chunk(session, &chunk);
        }
        Ok(reply)
    }
}

impl UpdateTask {
    /// Whether the request only claims the task openly.
    fn is_open_claim(&self) -> bool {
        self.status == Some(Status::InProgress)
            && self.claim.is_none()
            && self.body.is_none()
            && self.request_key.is_none()
    }

    /// Appends the receipt, then changes the fields, then the status.
    fn update(&self, tx: &dyn StoreWrite, writer: &Writer) -> Result<TaskReply> {
        let author = &writer.author;
        let mut task = tx.task(&self.id)?;
        let receipt = self.append_receipt(tx, &task, writer)?;
        let mut modified = self.change_fields(tx, &task)?;
        if let Some(status) = self.status {
            if receipt.is_some() || !modified.is_empty() {
                task = tx.task_by_row(task.row)?;
            }
            self.change_status(tx, &task, status, author)?;
            modified.push("status");
        } else if receipt.is_none() && self.claim.is_some() {
            // Every write of the claim's holder renews its lease; a receipt has done so already.
            renew_lease(tx, &task)?;
        }
        if receipt.is_some() {
            modified.push("body");
        }
        let after = tx.task_by_row(task.row)?;
        let mut message = self.message(receipt.as_ref(), &modified, author);
        if self.status == Some(Status::InProgress) {
            let hint = tick_hint(tx, &after)?;
            message += &if hint.is_empty() { hint } else { format!(". {hint}") };
        }
        if self.status.is_some() {
            message += &stranded_note(tx, &after)?;
        }
        if let (Some(_), None, Some(receipt)) = (&self.item, self.status, &receipt) {
            let started = match tx.chunk(&after)? {
                Some(chunk) => tx.started_items(&chunk)?.len() as u64,
                None => 0,
            };
            return Ok(TaskReply::of_item(message, receipt.clone(), started, &after));
        }
        let mut reply = TaskReply::new(message, Some(TaskView::compact(tx, &after)?));
        reply.duplicate = receipt.as_ref().filter(|receipt| receipt.duplicate).map(|_| true);
        reply.modified_fields = Some(modified.into_iter().map(str::to_owned).collect());
        reply.receipt = receipt;
        Ok(reply)
    }

    fn message(&self, receipt: Option<&ReceiptView>, modified: &[&str], author: &Author) -> String {
        match (receipt, self.status) {
            (Some(receipt), _) if receipt.duplicate => {
                format!("Item already has receipt {}", receipt.number)
            }
            (_, Some(Status::InProgress)) => format!("Claimed {} for '{author}'", self.id),
            (Some(receipt), _) if receipt.outcome == Some(ItemReport::Started) => {
                format!("Receipt {}: the item is started, not settled", receipt.number)
            }
            (Some(receipt), _) => match receipt.settled_by {
                Some(first) => {
                    format!("Receipt {} is a note: receipt {first} settled the item", receipt.number)
                }
                None => format!("Receipt {}", receipt.number),
            },
            (None, _) if modified.is_empty() => format!("Nothing to change in {}", self.id),
            _ => format!("Updated {}", self.id),
        }
    }
}
