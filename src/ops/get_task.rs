//! `get_task`: a whole task with its body.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::lifecycle::in_doubt::told;
use super::views::task::TaskView;
use super::{Effect, Operation, Session};
use crate::error::Result;
use crate::model::batch::{Chunk, StoredItem};
use crate::model::id::TaskId;
use crate::model::limits::{Limit, Number, PAGE, REPLY_CHARS};
use crate::model::step::Steps;
use crate::model::task::{Row, Task};
use crate::store::Read;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct GetTask {
    #[arg(long)]
    id: TaskId,
    /// next_receipts_after of the last reply
    #[arg(long)]
    receipts_after: Option<Number>,
    /// Page a chunk's open items
    #[arg(long)]
    items_after: Option<Number>,
    #[arg(long)]
    limit: Option<Limit>,
}

/// Who holds a task; never the token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// By the name it gave.
    pub worker: String,
    /// Since when.
    pub since: String,
    /// Until when, unless renewed.
    pub expires_at: String,
}

/// The reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GetTaskReply {
    success: bool,
    message: String,
    task: TaskView,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    children: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<Holder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_receipts_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Map<String, Value>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_items_after: Option<u64>,
}

impl Operation for GetTask {
    const NAME: &'static str = "get_task";
    const TITLE: &'static str = "Read a task";
    const DESCRIPTION: &'static str = "One task with its body; a chunk's open items.";
    const EFFECT: Effect = Effect::Read;
    const FIRST: &'static str = "id";
    const WORKER_PARAMETERS: &'static [&'static str] = &["id", "receipts_after", "items_after"];
    type Reply = GetTaskReply;

    fn run(self, session: &Session) -> Result<GetTaskReply> {
        let job = session.job().cloned();
        session.read(move |tx| {
            let task = tx.task(&self.id)?;
            let limit =
                self.limit.map(|limit| limit.get() as usize).filter(|limit| *limit > 0).unwrap_or(PAGE);
            let after = self.receipts_after.map_or(0, |after| after.get() as u64);
            let (body, next_receipts_after) = body_page(tx, task.row, after, limit)?;
            let (items, items_left, next_items_after) = match tx.chunk(&task)? {
                None => (None, None, None),
                Some(chunk) => {
                    let after = self.items_after.map_or(0, |after| after.get() as u64);
                    let (items, next) = open_items(tx, &task, &chunk, after, limit)?;
                    (Some(items), Some(chunk.counts.total - chunk.counts.processed()), next)
                }
            };
            let claim = task.live_claim(tx.now()).map(|claim| Holder {
                worker: claim.worker.clone(),
                since: claim.since.to_string(),
                expires_at: claim.expires_at.to_string(),
            });
            // The worker of a chunk is told of no other task.
            let is_told = |id: &TaskId| job.as_ref().is_none_or(|job| *id == job.chunk);
            let ids = |ids: Vec<TaskId>| ids.into_iter().filter(is_told).map(|id| id.to_string()).collect();
            Ok(GetTaskReply {
                success: true,
                message: format!("{} ({})", task.id, task.status),
                children: ids(tx.children(task.row, PAGE)?),
                blocks: ids(tx.dependents(task.row, PAGE)?),
                task: TaskView { body: Some(body), ..TaskView::compact(tx, &task)? },
                claim,
                next_receipts_after,
                items,
                items_left,
                next_items_after,
            })
        })
    }
}

/// A page of a body: the opening text with the first one, then receipts, a blank line between.
fn body_page(tx: &dyn Read, row: Row, after: u64, limit: usize) -> Result<(String, Option<u64>)> {
    let mut body = if after == 0 { tx.opening(row)? } else { String::new() };
    let receipts = tx.receipts(row, after, limit + 1)?;
    for (count, receipt) in receipts.iter().enumerate() {
        if count == limit || (count > 0 && body.len() >= REPLY_CHARS) {
            return Ok((body, Some(receipt.number - 1)));
        }
        if !body.is_empty() {
            body.push_str("\n\n");
        }
        body.push_str(&receipt.shown());
    }
    Ok((body, None))
}

/// Items as a worker sees them, and where the next page begins.
pub type ItemsPage = (Vec<Map<String, Value>>, Option<u64>);

/// A page of a chunk's items without an outcome, and where the next one begins.
pub(super) fn open_items(
    tx: &dyn Read,
    task: &Task,
    chunk: &Chunk,
    after: u64,
    limit: usize,
) -> Result<ItemsPage> {
    let steps = if chunk.step > 0 { tx.batch(chunk.batch)?.map(|batch| batch.steps) } else { None };
    let mut shown = Vec::new();
    let mut length = 0;
    let mut last = after;
    for (count, item) in tx.items(chunk.row, after, limit + 1, true)?.into_iter().enumerate() {
        let (position, step) = (item.position, item.step);
        let in_doubt = told(tx, task, chunk, &item)?;
        let mut item = wire_item(item);
        if let Some(steps) = steps.as_ref().filter(|_| step > 0) {
            item.insert("earlier_steps".into(), earlier_steps(tx, chunk, steps, position)?);
        }
        if let Some(in_doubt) = in_doubt {
            item.insert("in_doubt".into(), in_doubt);
        }
        length += serde_json::to_string(&item).map_or(0, |text| text.len());
        if count == limit || (count > 0 && length > REPLY_CHARS) {
            return Ok((shown, Some(last)));
        }
        shown.push(item);
        last = position;
    }
    Ok((shown, None))
}

/// The next page of a chunk's items without an outcome, and where the one after begins.
///
/// # Errors
/// Where there is no such task or the store cannot be read.
pub fn open_items_page(session: &Session, chunk: &TaskId, after: u64) -> Result<ItemsPage> {
    let chunk = chunk.clone();
    session.read(move |tx| {
        let task = tx.task(&chunk)?;
        match tx.chunk(&task)? {
            Some(chunk) => open_items(tx, &task, &chunk, after, PAGE),
            None => Ok((Vec::new(), None)),
        }
    })
}

/// What an item came to in the steps before, by their names.
fn earlier_steps(tx: &dyn Read, chunk: &Chunk, steps: &Steps, position: u64) -> Result<Value> {
    let earlier = tx.earlier(chunk.row, position)?.into_iter().map(|earlier| {
        let told = match earlier.category {
            Some(category) => json!({ "outcome": earlier.outcome, "category": category }),
            None => json!({ "outcome": earlier.outcome }),
        };
        (steps.name(earlier.step).to_owned(), told)
    });
    Ok(Value::Object(earlier.collect()))
}

/// The names that Tasktally itself uses in an item as a worker sees it.
const OWN: [&str; 3] = ["key", "in_doubt", "earlier_steps"];

/// An item as a worker sees it: its key first, then its fields.
pub(super) fn wire_item(item: StoredItem) -> Map<String, Value> {
    let mut map = Map::with_capacity(item.fields.len() + 1);
    map.insert("key".into(), item.key.into());
    // What Tasktally says of an item, the item cannot say of itself.
    map.extend(item.fields.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str())));
    map
}
