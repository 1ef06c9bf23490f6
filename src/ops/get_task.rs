//! `get_task`: a task with its texts, children and claim; a chunk with its open items; or a part that is too large for
//! such a reply.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::open_items::{ITEMS_LEFT_OUT, ItemView, open_items};
use super::views::page_bytes::{REPLY_BYTES, json_bytes};
use super::views::task::{LISTED_BYTES, TaskView};
use super::views::task_part::PartView;
use super::views::task_part_name::Part;
use super::views::task_texts::{TaskTexts, TaskWithTexts};
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::limits::{Limit, MAX_REPLY_CHARS, PAGE_ROWS, SequenceNumber};
use crate::model::task::Task;
use crate::store::StoreRead;

/// The most children, and the most dependents, that a reply names.
const NAMED: usize = 100;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct GetTask {
    /// Task id
    #[arg(long)]
    id: TaskId,
    /// next_receipts_after of the last reply
    #[schemars(description = "Last next_receipts_after")]
    #[arg(long)]
    receipts_after: Option<SequenceNumber>,
    /// next_items_after of the last reply
    #[schemars(description = "Last next_items_after")]
    #[arg(long)]
    items_after: Option<SequenceNumber>,
    /// Rows per page; default: 200
    #[schemars(description = "Rows, to 1000, default 200")]
    #[arg(long)]
    limit: Option<Limit>,
    /// What a reply left out, as it says
    #[schemars(description = "What a reply left out, as named")]
    #[arg(
        long,
        help = "Only this part, page by page: initial_text, instructions, receipt N, item KEY, depends_on, soft_depends_on or tags"
    )]
    part: Option<Part>,
    /// With part: last next_offset
    #[schemars(description = "Last next_offset")]
    #[arg(long, help = "With --part: next_offset of the last reply")]
    offset: Option<SequenceNumber>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskWithTexts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<PartView>,
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

impl GetTaskReply {
    fn new(message: String) -> Self {
        GetTaskReply {
            success: true,
            message,
            task: None,
            part: None,
            children: Vec::new(),
            blocks: Vec::new(),
            claim: None,
            next_receipts_after: None,
            items: None,
            items_left: None,
            next_items_after: None,
        }
    }
}

impl Operation for GetTask {
    const NAME: &'static str = "get_task";
    const TITLE: &'static str = "Read a task";
    const DESCRIPTION: &'static str = "Read one task: texts, receipts, claim, open items.";
    const EFFECT: Effect = Effect::Read;
    const POSITIONAL: &'static str = "id";
    const WORKER_PARAMETERS: &'static [&'static str] =
        &["id", "receipts_after", "items_after", "part", "offset"];
    type Reply = GetTaskReply;

    fn run(self, session: &Session) -> Result<GetTaskReply> {
        let offset = self.offset.map_or(0, |offset| offset.get());
        if offset > 0 && self.part.is_none() {
            return Err(Error::invalid(
                "offset: allowed with part only; receipts_after and items_after page the rest",
            ));
        }
        let scope = session.worker_scope().cloned();
        session.read(move |tx| {
            let task = tx.task(&self.id)?;
            if let Some(part) = &self.part {
                let view = PartView::read(tx, &task, part, usize::try_from(offset).unwrap_or(usize::MAX))?;
                let message = view.message();
                return Ok(GetTaskReply { part: Some(view), ..GetTaskReply::new(message) });
            }
            // A chunk's worker sees no ids of other tasks.
            let is_visible = |id: &TaskId| scope.as_ref().is_none_or(|scope| *id == scope.chunk);
            self.read_task(tx, &task, is_visible)
        })
    }
}

impl GetTaskReply {
    /// Adds the first ids of other tasks, and says if there are more.
    fn add_others(
        &mut self,
        tx: &dyn StoreRead,
        task: &Task,
        is_visible: impl Fn(&TaskId) -> bool,
    ) -> Result<()> {
        let mut named = |what: &str, ids: Vec<TaskId>, all: &str| {
            let mut ids: Vec<String> = ids.into_iter().filter(&is_visible).map(|id| id.to_string()).collect();
            if ids.len() > NAMED {
                ids.truncate(NAMED);
                self.message += &format!("; {what}: the first {NAMED}{all}");
            }
            ids
        };
        let all = format!(", list_tasks(parent=\"{}\", limit=0) lists all", task.id);
        let children = named("children", tx.children(task.row, NAMED + 1)?, &all);
        let blocks = named("blocks", tx.dependents(task.row, NAMED + 1)?, ", there are more");
        (self.children, self.blocks) = (children, blocks);
        Ok(())
    }
}

impl GetTask {
    fn limit(&self) -> usize {
        self.limit.map(|limit| limit.get() as usize).filter(|limit| *limit > 0).unwrap_or(PAGE_ROWS)
    }

    fn read_task(
        &self,
        tx: &dyn StoreRead,
        task: &Task,
        is_visible: impl Fn(&TaskId) -> bool,
    ) -> Result<GetTaskReply> {
        let mut reply = GetTaskReply::new(format!("{} ({})", task.id, task.status));
        let mut view = TaskView { receipts: None, ..TaskView::compact(tx, task)? };
        view.leave_out_long_lists(LISTED_BYTES);
        let lists =
            view.left_out.iter().map(|name| format!("{name}, get_task(id=\"{}\", part=\"{name}\")", task.id));
        let mut left_out: Vec<String> = lists.collect();
        let items_after = self.items_after.map_or(0, |after| after.get().unsigned_abs());
        reply.task = Some(if items_after > 0 && self.receipts_after.is_none() {
            // A worker that pages its items has seen the texts.
            view.left_out.push("receipts".to_owned());
            left_out.push(format!("texts, get_task(id=\"{}\")", task.id));
            TaskWithTexts { task: view, initial_text: None, receipts: None }
        } else {
            let after = self.receipts_after.map_or(0, |after| after.get().unsigned_abs());
            let texts = TaskTexts::read(tx, task, after, self.limit())?;
            if let Some(call) = texts.left_out {
                view.left_out.push("initial_text".to_owned());
                left_out.push(format!("initial_text, {call}"));
            }
            reply.next_receipts_after = texts.next;
            view.body = Some(texts.body);
            TaskWithTexts { task: view, initial_text: texts.initial_text, receipts: Some(texts.receipts) }
        });
        if !left_out.is_empty() {
            reply.message += &format!("; left out: {}", left_out.join("; "));
        }
        reply.add_others(tx, task, is_visible)?;
        reply.claim = task.live_claim(tx.now()).map(|claim| ClaimHolder {
            worker: claim.worker.clone(),
            since: claim.claimed_at.to_string(),
            expires_at: claim.expires_at.to_string(),
        });
        if let Some(chunk) = tx.chunk(task)? {
            let room = REPLY_BYTES.saturating_sub(json_bytes(&reply)).min(MAX_REPLY_CHARS);
            let (items, next) = open_items(tx, task, &chunk, items_after, self.limit(), room)?;
            if items.iter().any(|item| item.whole.is_some()) {
                reply.message += ITEMS_LEFT_OUT;
            }
            (reply.items, reply.next_items_after) = (Some(items), next);
            reply.items_left = Some(chunk.counts.total - chunk.counts.processed());
        }
        Ok(reply)
    }
}
