//! The items of a batch as a supervisor or a person sees them: their outcomes, and those that were started and not
//! settled.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::in_doubt::ItemStart;
use super::open_items::ListedFields;
use super::page_bytes::json_bytes;
use super::shorten::shorten_receipt;
use crate::error::Result;
use crate::model::batch::{Batch, Chunk, StoredItem};
use crate::model::claim::Claim;
use crate::model::id::TaskId;
use crate::model::limits::{MAX_REPLY_CHARS, PAGE_ROWS};
use crate::model::receipt::Receipt;
use crate::model::status::{ItemReport, Outcome};
use crate::model::task::Task;
use crate::ops::runner_launcher::{ProcessState, RunnerLauncher};
use crate::store::StoreRead;

/// The most items of a reply.
const ITEMS: usize = 100;

word_enum!(
    /// The state of an item.
    ItemState, "outcome" {
        /// It has no outcome.
        Open = "open",
        /// It was started and has no outcome.
        Started = "started",
        /// It was processed.
        Done = "done",
        /// It could not be processed.
        Failed = "failed",
        /// It was skipped on purpose.
        Skipped = "skipped",
    }
);

word_enum!(
    /// What is known of the worker that began an item.
    WorkerState, "state of a worker" {
        /// Its claim is live, and so is its runner.
        AtWork = "at_work",
        /// It lost its claim, or its runner has ended.
        Gone = "gone",
        /// Its claim is live; whether its process is, only the claim's expiry will show.
        Unknown = "unknown",
    }
);

/// An item of a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ItemRow {
    /// The item's key.
    pub key: String,
    /// The chunk's id.
    pub chunk: String,
    /// The step that the item is in.
    pub step: String,
    /// The outcome; absent if the item has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The number of the receipt, on the chunk, that settled the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<u64>,
    /// The text of that receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The item itself.
    #[serde(flatten)]
    pub listed: ListedFields,
    /// Who began the item; absent if nobody did, or it was settled since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<BegunView>,
}

/// The start of an item that was never settled: its action may have happened.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BegunView {
    /// When.
    pub at: String,
    /// How many seconds ago.
    pub age_s: u64,
    /// By which worker.
    pub by: String,
    /// The category that the worker named: what it was about to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// What is known of that worker: at_work, gone, or unknown (its claim runs until `claim_until`).
    pub worker: WorkerState,
    /// When the worker's claim expires, if it is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_until: Option<String>,
}

/// Which items are listed. A field that is not set matches every item.
pub(in crate::ops) struct ItemFilter {
    pub(in crate::ops) chunk: Option<TaskId>,
    pub(in crate::ops) category: Option<String>,
    pub(in crate::ops) state: Option<ItemState>,
}

impl ItemFilter {
    /// Whether every item matches.
    pub(in crate::ops) fn is_all(&self) -> bool {
        self.chunk.is_none() && self.category.is_none() && self.state.is_none()
    }

    /// Whether a receipt on `task` reports on an item so that it matches.
    pub(in crate::ops) fn matches_receipt(&self, task: &TaskId, receipt: &Receipt) -> bool {
        let report = receipt.outcome;
        let has_state = match self.state {
            None => true,
            Some(ItemState::Open) => report.is_none(),
            Some(state) => report.is_some_and(|report| report.as_str() == state.as_str()),
        };
        let category = || receipt.category.as_deref().or(report.map(ItemReport::as_str));
        has_state
            && self.chunk.as_ref().is_none_or(|chunk| chunk == task)
            && self.category.as_deref().is_none_or(|wanted| category() == Some(wanted))
    }

    fn matches(&self, item: &StoredItem) -> bool {
        let outcome = item.settled.as_ref().map(|settled| settled.outcome);
        let has_state = match self.state {
            None => true,
            Some(ItemState::Open) => outcome.is_none(),
            Some(ItemState::Started) => item.started.is_some() && outcome.is_none(),
            Some(ItemState::Done) => outcome == Some(Outcome::Done),
            Some(ItemState::Failed) => outcome == Some(Outcome::Failed),
            Some(ItemState::Skipped) => outcome == Some(Outcome::Skipped),
        };
        // The category of an item without one is its outcome, as in the counts.
        let category = || {
            let settled = item.settled.as_ref()?;
            Some(settled.category.as_deref().unwrap_or(settled.outcome.as_str()))
        };
        has_state && self.category.as_deref().is_none_or(|wanted| category() == Some(wanted))
    }

    /// Whether a chunk can hold matching items, according to its counts.
    fn may_match(&self, tx: &dyn StoreRead, chunk: &Chunk) -> Result<bool> {
        let counts = &chunk.counts;
        let has_state = match self.state {
            None => true,
            Some(ItemState::Open) => counts.processed() < counts.total,
            Some(ItemState::Started) => !tx.started_items(chunk)?.is_empty(),
            Some(ItemState::Done) => counts.done > 0,
            Some(ItemState::Failed) => counts.failed > 0,
            Some(ItemState::Skipped) => counts.skipped > 0,
        };
        Ok(match &self.category {
            Some(wanted) if has_state => {
                tx.category_counts(chunk.row)?.iter().any(|(category, _)| category == wanted)
            }
            _ => has_state,
        })
    }
}

/// A page of items, and where the next one starts: after this chunk number, and after this position in the chunk
/// that follows it.
#[derive(Debug, Default)]
pub(in crate::ops) struct ItemPage {
    pub(in crate::ops) items: Vec<ItemRow>,
    pub(in crate::ops) next: Option<(u64, u64)>,
}

/// Reads a page of a batch's items.
pub(in crate::ops) struct ItemReader<'a> {
    pub(in crate::ops) tx: &'a dyn StoreRead,
    pub(in crate::ops) task: &'a Task,
    pub(in crate::ops) batch: &'a Batch,
    pub(in crate::ops) launcher: Option<&'a Arc<dyn RunnerLauncher>>,
    pub(in crate::ops) filter: ItemFilter,
}

impl ItemReader<'_> {
    /// The matching items of chunks whose number is greater than `chunks_after`; in the first of them those after
    /// position `items_after`.
    pub(in crate::ops) fn page(&self, mut chunks_after: u64, mut items_after: u64) -> Result<ItemPage> {
        let (mut page, mut length) = (ItemPage::default(), 0);
        loop {
            let chunks = self.tx.chunks(self.task.row, chunks_after, PAGE_ROWS)?;
            if chunks.is_empty() {
                return Ok(page);
            }
            for (chunk, task) in chunks {
                let is_wanted = self.filter.chunk.as_ref().is_none_or(|wanted| *wanted == task.id);
                if is_wanted && self.filter.may_match(self.tx, &chunk)? {
                    self.add_items(&chunk, &task, items_after, &mut page, &mut length)?;
                    if page.next.is_some() {
                        return Ok(page);
                    }
                }
                (chunks_after, items_after) = (chunk.number, 0);
            }
        }
    }

    /// Adds the matching items of a chunk, until the page is full.
    fn add_items(
        &self,
        chunk: &Chunk,
        task: &Task,
        mut after: u64,
        page: &mut ItemPage,
        length: &mut usize,
    ) -> Result<()> {
        loop {
            let items = self.tx.items(chunk.row, after, PAGE_ROWS, false)?;
            if items.is_empty() {
                return Ok(());
            }
            for item in items {
                let position = item.position;
                if self.filter.matches(&item) {
                    let row = self.row(chunk, task, item)?;
                    *length += json_bytes(&row);
                    if page.items.len() == ITEMS || (!page.items.is_empty() && *length > MAX_REPLY_CHARS) {
                        page.next = Some((chunk.number - 1, after));
                        return Ok(());
                    }
                    page.items.push(row);
                }
                after = position;
            }
        }
    }

    fn row(&self, chunk: &Chunk, task: &Task, item: StoredItem) -> Result<ItemRow> {
        let begun = self.begun(chunk, task, &item)?;
        let listed = ListedFields::of(&item)?;
        let (outcome, category, receipt) = match item.settled {
            Some(settled) => (Some(settled.outcome), settled.category, Some(settled.receipt)),
            None => (None, None, None),
        };
        let text = match receipt {
            Some(number) => self.tx.receipt(chunk.row, number)?,
            None => None,
        };
        let text = text.map(|receipt| shorten_receipt(receipt.text, &task.id, receipt.number));
        let step = self.batch.steps.name(item.step).to_owned();
        let chunk = task.id.to_string();
        Ok(ItemRow { key: item.key, chunk, step, outcome, category, receipt, text, listed, begun })
    }

    fn begun(&self, chunk: &Chunk, task: &Task, item: &StoredItem) -> Result<Option<BegunView>> {
        let Some(started) = item.started.filter(|_| item.settled.is_none()) else { return Ok(None) };
        let now = self.tx.now();
        let claim = task.live_claim(now).filter(|_| !started.is_in_doubt(task, now));
        let worker = claim.map_or(Ok(WorkerState::Gone), |claim| self.worker_state(claim))?;
        let start = ItemStart::of(self.tx, chunk, item)?;
        let age_s = start.at.map_or(0, |at| (now.millis() - at.millis()).max(0).unsigned_abs() / 1_000);
        let at = start.since();
        let claim_until = claim.map(|claim| claim.expires_at.to_string());
        Ok(Some(BegunView { at, age_s, by: start.by, category: start.category, worker, claim_until }))
    }

    /// What is known of the worker that holds a live claim.
    fn worker_state(&self, claim: &Claim) -> Result<WorkerState> {
        let (Some(launcher), Some(token)) = (self.launcher, &claim.token) else {
            return Ok(WorkerState::Unknown);
        };
        Ok(match launcher.claim_process(self.tx, &self.task.id, token)? {
            ProcessState::Alive => WorkerState::AtWork,
            ProcessState::Dead => WorkerState::Gone,
            ProcessState::Unknown => WorkerState::Unknown,
        })
    }
}
