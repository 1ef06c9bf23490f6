//! A batch, its chunks and items: what they are and what a receipt does to them.

use serde_json::{Map, Value};

use super::conflict::OnConflict;
use super::id::TaskId;
use super::in_doubt::{InDoubtPolicy, StartedReport};
use super::max_failures::MaxFailures;
use super::status::{Outcome, Status};
use super::step::{Checkpoint, Steps};
use super::task::{RowId, Task};
use super::text::LineText;
use super::timestamp::Timestamp;
use crate::error::{Code, Error, Result};

word_enum!(
    /// Where a batch stands.
    BatchStatus, "batch status" {
        /// Chunks are being worked on or wait for workers.
        Running = "running",
        /// Nothing more is claimed until somebody resumes it.
        Paused = "paused",
        /// Nothing goes on without a person.
        Waiting = "waiting",
        /// Every chunk is done.
        Done = "done",
        /// Every chunk has ended and some failed.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
);

impl BatchStatus {
    /// Whether nothing more comes of it by itself.
    pub fn is_over(self) -> bool {
        matches!(self, BatchStatus::Done | BatchStatus::Failed | BatchStatus::Cancelled)
    }
}

word_enum!(
    /// How a batch is best worked: 2 to 4 workers are started directly, more by a hypervisor.
    Mode, "mode" {
        /// Up to four workers.
        Direct = "direct",
        /// Five workers and more.
        Hypervisor = "hypervisor",
    }
);

impl Mode {
    /// The mode for so many workers at once.
    pub fn for_workers(workers: u64) -> Self {
        if workers >= 5 { Mode::Hypervisor } else { Mode::Direct }
    }
}

/// Counts that the store keeps as receipts come in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ItemCounts {
    /// Items in all.
    pub total: u64,
    /// Items done.
    pub done: u64,
    /// Items failed.
    pub failed: u64,
    /// Items skipped.
    pub skipped: u64,
}

impl ItemCounts {
    /// Items with an outcome.
    pub fn processed(&self) -> u64 {
        self.done + self.failed + self.skipped
    }
}

/// A parent task with items split into chunks.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Its task's row.
    pub row: RowId,
    /// What every worker is told.
    pub instructions: String,
    /// The field of an item that names it.
    pub key_field: String,
    /// How the items were split.
    pub split: String,
    /// The most items a chunk holds.
    pub max_chunk: i64,
    /// The most chunks worked on at once.
    pub max_parallel: i64,
    /// How often a chunk may be claimed.
    pub max_attempts: i64,
    /// The command that `tasktally run` works it with.
    pub command: Option<Vec<String>>,
    /// How many chunks it has.
    pub chunk_count: u64,
    /// How many of them are done, failed or cancelled.
    pub ended_chunks: u64,
    /// How many of them failed or were cancelled.
    pub unsuccessful_chunks: u64,
    /// Items by outcome.
    pub counts: ItemCounts,
    /// When the first chunk was claimed.
    pub started: Option<Timestamp>,
    /// The passes over its chunks.
    pub steps: Steps,
    /// Where a person is asked.
    pub checkpoint: Checkpoint,
    /// After how many approvals in a row nobody is asked any more.
    pub auto_approve_after: Option<u64>,
    /// How many chunks were approved in a row.
    pub approved_in_a_row: u64,
    /// How many failed items pause it.
    pub max_failures: Option<MaxFailures>,
    /// How many items had failed when it was last resumed: they don't pause it again.
    pub forgiven_failures: u64,
    /// Why it is paused, while it is.
    pub pause_reason: Option<String>,
    /// The row of its finish task.
    pub finish_row: Option<RowId>,
    /// What becomes of its items in doubt.
    pub in_doubt: InDoubtPolicy,
    /// The profile that it is worked by in the background.
    pub profile: Option<String>,
    /// What happens where its chunks touch the same; none where it is older than the record of it.
    pub on_conflict: Option<OnConflict>,
    /// The fields that say what an item touches; none: the default one.
    pub resources: Vec<LineText>,
}

/// How long a chunk rests after an attempt that was given back, in seconds: twice as long each time.
pub fn backoff_seconds(attempts: i64) -> i64 {
    1_i64 << attempts.clamp(1, 9).saturating_sub(1)
}

/// The longest of these rests; one that ends further ahead was begun before the clock jumped back.
pub const MAX_BACKOFF_SECONDS: i64 = 1 << 8;

impl Batch {
    /// Where the batch stands, given its task's status and whether any chunk can be worked on.
    pub fn status(&self, task: Status, workable: bool) -> BatchStatus {
        match task {
            Status::Cancelled => BatchStatus::Cancelled,
            _ if self.ended_chunks < self.chunk_count && self.pause_reason.is_some() => BatchStatus::Paused,
            _ if self.ended_chunks < self.chunk_count && !workable => BatchStatus::Waiting,
            _ if self.ended_chunks < self.chunk_count => BatchStatus::Running,
            _ if self.unsuccessful_chunks > 0 => BatchStatus::Failed,
            _ => BatchStatus::Done,
        }
    }

    /// Whether so many items have failed that it is to be paused.
    pub fn exceeds_max_failures(&self) -> bool {
        self.max_failures.is_some_and(|most| {
            most.is_exceeded(self.counts.failed.saturating_sub(self.forgiven_failures), self.counts.total)
        })
    }

    /// What became of its items and chunks, as the second half of a sentence.
    pub fn totals_sentence(&self) -> String {
        let counts = self.counts;
        format!(
            "{} of {} items processed, {} done, {} failed, {} skipped; {} of {} chunks unsuccessful.",
            counts.processed(),
            counts.total,
            counts.done,
            counts.failed,
            counts.skipped,
            self.unsuccessful_chunks,
            self.chunk_count
        )
    }

    /// What the batch's task becomes once its last chunk has ended.
    pub fn final_status(&self) -> Status {
        if self.unsuccessful_chunks > 0 { Status::Failed } else { Status::Done }
    }
}

/// A child task holding a share of a batch's items.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Its task's row.
    pub row: RowId,
    /// Its batch's row.
    pub batch_row: RowId,
    /// Its batch's id.
    pub batch_id: TaskId,
    /// Its number in the batch, from 1.
    pub number: u64,
    /// What its items have in common, as a person reads it.
    pub span: String,
    /// How often it was claimed.
    pub attempts: i64,
    /// The number of the step it is in, from 0.
    pub step: usize,
    /// What that step is called, where its batch has several.
    pub step_name: Option<String>,
    /// What a reviewer added to the instructions.
    pub review_note: String,
    /// Why it was given back, a line an attempt, since it was last opened.
    pub release_reasons: String,
    /// The generation of the claim whose completion was accepted last.
    pub accepted_generation: u64,
    /// Items by outcome.
    pub counts: ItemCounts,
}

impl Chunk {
    /// A chunk that nobody has claimed yet.
    pub fn new(row: RowId, batch: (RowId, &TaskId), number: u64, span: &str, items: u64) -> Self {
        Chunk {
            row,
            batch_row: batch.0,
            batch_id: batch.1.clone(),
            number,
            span: span.to_owned(),
            attempts: 0,
            step: 0,
            step_name: None,
            review_note: String::new(),
            accepted_generation: 0,
            release_reasons: String::new(),
            counts: ItemCounts { total: items, ..ItemCounts::default() },
        }
    }
}

/// One thing to process, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredItem {
    /// Its chunk's row.
    pub chunk_row: RowId,
    /// Its place in the chunk, from 1.
    pub position: u64,
    /// Its name, one of a kind in the batch.
    pub key: String,
    /// Its fields.
    pub fields: Map<String, Value>,
    /// What became of it.
    pub settled: Option<Settled>,
    /// The number of the step that this is of, from 0.
    pub step: usize,
    /// That it was begun, while nothing settles it.
    pub started: Option<StartedReport>,
}

impl StoredItem {
    /// Whether a worker started the item and lost its claim on the chunk's `task` before it reported an outcome.
    pub fn is_in_doubt(&self, task: &Task, now: Timestamp) -> bool {
        self.started.is_some_and(|started| started.is_in_doubt(task, now))
    }
}

/// What an item came to in a step before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierOutcome {
    /// The number of the step.
    pub step: usize,
    /// What became of it.
    pub outcome: Outcome,
    /// What it was found to be.
    pub category: Option<String>,
}

/// How an item was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What became of it.
    pub outcome: Outcome,
    /// What it was found to be.
    pub category: Option<String>,
    /// The receipt that says so.
    pub receipt: u64,
}

/// What a receipt for an item amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettleDecision {
    /// The first one: it settles the item.
    Settles,
    /// The same outcome again: the first receipt's number.
    Duplicate(u64),
}

/// Decides what a receipt with `outcome` does to an item.
///
/// # Errors
/// `conflict` where the item is settled otherwise.
pub fn settle(item: &StoredItem, outcome: Outcome) -> Result<SettleDecision> {
    match &item.settled {
        None => Ok(SettleDecision::Settles),
        Some(settled) if settled.outcome == outcome => Ok(SettleDecision::Duplicate(settled.receipt)),
        Some(settled) => Err(Error::new(
            Code::Conflict,
            format!(
                "Item '{}' is already {} by receipt {}; '{outcome}' would contradict it. The first one stands; control_batch(action=\"retry\") opens failed items again.",
                item.key, settled.outcome, settled.receipt
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::claim::Claim;

    fn open_item() -> StoredItem {
        StoredItem {
            chunk_row: 1,
            position: 1,
            key: "k".into(),
            fields: Map::new(),
            settled: None,
            step: 0,
            started: None,
        }
    }

    #[test]
    fn an_item_has_one_outcome() {
        let open = open_item();
        let done = StoredItem {
            settled: Some(Settled { outcome: Outcome::Done, category: None, receipt: 4 }),
            ..open.clone()
        };
        assert_eq!(settle(&open, Outcome::Failed).ok(), Some(SettleDecision::Settles));
        assert_eq!(settle(&done, Outcome::Done).ok(), Some(SettleDecision::Duplicate(4)));
        assert_eq!(settle(&done, Outcome::Failed).map_err(|e| e.code), Err(Code::Conflict));
    }

    #[test]
    fn a_started_item_is_in_doubt_once_its_claim_is_no_longer_live() {
        let now = Timestamp::from_millis(1_000_000);
        let mut task = Task::new(now, "chunk");
        task.status = Status::InProgress;
        task.generation = 2;
        task.claim = Some(Claim::new("w", None, now, 60));
        let item = |generation: Option<u64>| StoredItem {
            started: generation.map(|generation| StartedReport { receipt: 1, generation }),
            ..open_item()
        };
        assert!(!item(None).is_in_doubt(&task, now), "not started");
        assert!(!item(Some(2)).is_in_doubt(&task, now), "started under the live claim");
        assert!(item(Some(1)).is_in_doubt(&task, now), "started under an earlier claim");
        assert!(item(Some(2)).is_in_doubt(&task, now.saturating_add_secs(61)), "the lease expired");
        task.status = Status::Active;
        assert!(item(Some(2)).is_in_doubt(&task, now), "the claim was released");
    }

    #[test]
    fn five_workers_need_a_hypervisor() {
        assert_eq!(Mode::for_workers(4), Mode::Direct);
        assert_eq!(Mode::for_workers(5), Mode::Hypervisor);
    }
}
