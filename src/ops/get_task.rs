//! `get_task`: a task with its body, children and claim; a chunk with its open items.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::items::{ItemView, open_items};
use super::views::task::TaskView;
use super::{Effect, Operation, Session};
use crate::error::Result;
use crate::model::id::TaskId;
use crate::model::limits::{Limit, MAX_REPLY_CHARS, PAGE_ROWS, SequenceNumber};
use crate::model::task::RowId;
use crate::store::StoreRead;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct GetTask {
    /// Task id
    #[arg(long)]
    id: TaskId,
    /// next_receipts_after of the last reply
    #[arg(long)]
    receipts_after: Option<SequenceNumber>,
    /// next_items_after of the last reply
    #[arg(long)]
    items_after: Option<SequenceNumber>,
    /// Rows per page; default: 200
    #[arg(long)]
    limit: Option<Limit>,
}

/// The live claim of a task, without its token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClaimHolder {
    /// The worker's name.
    pub worker: String,
    /// When the worker claimed the task.
    pub since: String,
    /// When the lease expires, unless a write renews it.
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
    claim: Option<ClaimHolder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_receipts_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<ItemView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items_left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_items_after: Option<u64>,
}

impl Operation for GetTask {
    const NAME: &'static str = "get_task";
    const TITLE: &'static str = "Read a task";
    const DESCRIPTION: &'static str = "A task with its body, receipts and claim; for a chunk its open items.";
    const EFFECT: Effect = Effect::Read;
    const POSITIONAL: &'static str = "id";
    const WORKER_PARAMETERS: &'static [&'static str] = &["id", "receipts_after", "items_after"];
    type Reply = GetTaskReply;

    fn run(self, session: &Session) -> Result<GetTaskReply> {
        let scope = session.worker_scope().cloned();
        session.read(move |tx| {
            let task = tx.task(&self.id)?;
            let limit =
                self.limit.map(|limit| limit.get() as usize).filter(|limit| *limit > 0).unwrap_or(PAGE_ROWS);
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
            let claim = task.live_claim(tx.now()).map(|claim| ClaimHolder {
                worker: claim.worker.clone(),
                since: claim.claimed_at.to_string(),
                expires_at: claim.expires_at.to_string(),
            });
            // A chunk's worker sees no ids of other tasks.
            let is_visible = |id: &TaskId| scope.as_ref().is_none_or(|scope| *id == scope.chunk);
            let ids =
                |ids: Vec<TaskId>| ids.into_iter().filter(is_visible).map(|id| id.to_string()).collect();
            Ok(GetTaskReply {
                success: true,
                message: format!("{} ({})", task.id, task.status),
                children: ids(tx.children(task.row, PAGE_ROWS)?),
                blocks: ids(tx.dependents(task.row, PAGE_ROWS)?),
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

/// A page of a body: the initial text on the first page, then receipts, separated by blank lines.
fn body_page(tx: &dyn StoreRead, row: RowId, after: u64, limit: usize) -> Result<(String, Option<u64>)> {
    let mut body = if after == 0 { tx.initial_text(row)? } else { String::new() };
    let receipts = tx.receipts(row, after, limit + 1)?;
    for (count, receipt) in receipts.iter().enumerate() {
        if count == limit || (count > 0 && body.len() >= MAX_REPLY_CHARS) {
            return Ok((body, Some(receipt.number - 1)));
        }
        if !body.is_empty() {
            body.push_str("\n\n");
        }
        body.push_str(&receipt.body_text());
    }
    Ok((body, None))
}
