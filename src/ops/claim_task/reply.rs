//! The reply of `claim_task`: the task, its instructions and open items, and the claim.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::model::batch::Chunk;
use crate::model::id::Token;
use crate::model::limits::{MAX_REPLY_CHARS, PAGE_ROWS};
use crate::model::task::Task;
use crate::ops::lifecycle::checkboxes::tick_hint;
use crate::ops::views::instructions::batch_instructions;
use crate::ops::views::next_workers::worker_needs;
use crate::ops::views::open_items::{ITEMS_LEFT_OUT, ItemView, open_items};
use crate::ops::views::page_bytes::json_bytes;
use crate::ops::views::task::{LISTED_BYTES, TaskView};
use crate::ops::views::task_part_name::Part;
use crate::prompts::WorkerNeeds;
use crate::store::StoreRead;

/// The most bytes of the instructions of a reply.
const INSTRUCTIONS_BYTES: usize = 20_000;

/// A claim in the reply to the worker that won it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ClaimView {
    /// Pass this with every later write.
    pub token: String,
    /// The name under which replies and receipts show the claim, if another worker at work has the same name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Grows with every claim of the task.
    pub generation: u64,
    /// The claim ends at this time unless a write renews it.
    pub expires_at: String,
}

/// The reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ClaimReply {
    /// Whether the task was claimed.
    pub success: bool,
    /// Which task was claimed.
    pub message: String,
    /// Whether an earlier request with the same request_key made the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<bool>,
    /// The task with its body.
    pub task: TaskView,
    /// What to do, and how to report it.
    pub instructions: String,
    /// Items without an outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<ItemView>>,
    /// How many items have no outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_left: Option<u64>,
    /// Pass this to `get_task(items_after=…)` for the next items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_items_after: Option<u64>,
    /// The claim.
    pub claim: ClaimView,
    /// The number of this attempt at the task, from 1; for the runner.
    #[serde(skip)]
    pub attempt: u64,
}

impl ClaimReply {
    /// Reads what the worker needs for a task that it holds with `token`.
    pub(super) fn read(tx: &dyn StoreRead, task: &Task, chunk: Option<Chunk>, token: &Token) -> Result<Self> {
        let claim = ClaimView {
            token: token.to_string(),
            worker: task
                .claim
                .as_ref()
                .map(|claim| &claim.worker)
                .filter(|worker| task.assignee.as_ref() != Some(*worker))
                .cloned(),
            generation: task.generation,
            expires_at: task.claim.as_ref().map(|claim| claim.expires_at.to_string()).unwrap_or_default(),
        };
        match chunk {
            None => Self::of_task(tx, task, claim),
            Some(chunk) => Self::of_chunk(tx, task, &chunk, claim),
        }
    }

    fn of_task(tx: &dyn StoreRead, task: &Task, claim: ClaimView) -> Result<Self> {
        let mut instructions = fitting_instructions(tx.initial_text(task.row)?, task);
        let ticks = tick_hint(tx, task)?;
        if !instructions.is_empty() {
            instructions += "\n\n";
        }
        instructions += &format!(
            "Append a receipt after each step: update_task(id=\"{id}\", claim=\"{token}\", body=\"- what you did\").{ticks} Then complete_task(id=\"{id}\", claim=\"{token}\").",
            id = task.id,
            token = claim.token,
            ticks = if ticks.is_empty() { ticks } else { format!(" {ticks}") }
        );
        Ok(ClaimReply {
            success: true,
            message: format!("Claimed {}", task.id),
            duplicate: None,
            task: claimed_task(tx, task)?,
            instructions,
            items: None,
            items_left: None,
            next_items_after: None,
            claim,
            attempt: 1,
        })
    }

    fn of_chunk(tx: &dyn StoreRead, task: &Task, chunk: &Chunk, claim: ClaimView) -> Result<Self> {
        let batch = tx.batch(chunk.batch_row)?;
        let mut instructions =
            batch.as_ref().map(|batch| batch_instructions(batch, chunk)).unwrap_or_default();
        instructions = fitting_instructions(instructions, task);
        let needs = batch.as_ref().map_or(WorkerNeeds::UNKNOWN, worker_needs);
        let (items, next_items_after) = open_items(tx, task, chunk, 0, PAGE_ROWS, MAX_REPLY_CHARS)?;
        let left_out = if items.iter().any(|item| item.whole.is_some()) { ITEMS_LEFT_OUT } else { "" };
        let in_doubt = tx.started_items(chunk)?.len();
        if in_doubt > 0 {
            instructions += &format!(
                "\n\nItems in doubt: {in_doubt}. Such an item has 'in_doubt', which says which worker started it and when; the outcome is unknown. Check whether its action happened before you act on it again."
            );
        }
        let more = if next_items_after.is_some() {
            " More items: get_task(id, items_after=next_items_after)."
        } else {
            ""
        };
        instructions += &format!(
            "\n\n{started}After EACH item: update_task(id=\"{id}\", claim=\"{token}\", item=KEY, outcome=\"done\"|\"failed\"{skipped}, category=..., body=TEXT), TEXT as these instructions ask for it, else what you did.{more} When none is left: complete_task(id=\"{id}\", claim=\"{token}\").",
            id = task.id,
            token = claim.token,
            started = if needs.reports_starts {
                "BEFORE an action that cannot be undone: the call below with outcome=\"started\" and its category, without body. "
            } else {
                ""
            },
            skipped = if needs.may_skip { "|\"skipped\"" } else { "" }
        );
        Ok(ClaimReply {
            success: true,
            message: format!("Claimed {} ({}){left_out}", task.id, task.title),
            duplicate: None,
            task: claimed_task(tx, task)?,
            instructions,
            items: Some(items),
            items_left: Some(chunk.counts.total - chunk.counts.processed()),
            next_items_after,
            claim,
            attempt: chunk.attempts.unsigned_abs(),
        })
    }
}

/// The task without its body. A long list is left out, and named.
fn claimed_task(tx: &dyn StoreRead, task: &Task) -> Result<TaskView> {
    let mut view = TaskView::compact(tx, task)?;
    view.leave_out_long_lists(LISTED_BYTES);
    Ok(view)
}

/// Instructions as they are, or the call that returns them if they are too long for the reply.
fn fitting_instructions(instructions: String, task: &Task) -> String {
    if json_bytes(&instructions) <= INSTRUCTIONS_BYTES {
        return instructions;
    }
    format!(
        "The instructions have {} bytes, too many for this reply. Read all pages of them first: {}, then with offset=next_offset.",
        instructions.len(),
        Part::Instructions.call(&task.id)
    )
}
