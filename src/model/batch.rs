//! A batch, its chunks and its items, and how a receipt settles an item.

use super::conflict::OnConflict;
use super::id::TaskId;
use super::in_doubt::{InDoubtPolicy, StartedReport};
use super::max_failures::MaxFailures;
use super::run_record::RunRecord;
use super::status::{Outcome, Status};
use super::step::{Checkpoint, Reviewers, Steps};
use super::task::{RowId, Task};
use super::text::LineText;
use super::timestamp::Timestamp;
use crate::error::{Code, Error, Result};

word_enum!(
    /// A batch's status.
    BatchStatus, "batch status" {
        /// Chunks are being worked on or wait for workers.
        Running = "running",
        /// No chunk can be claimed until the batch is resumed.
        Paused = "paused",
        /// It waits for a person.
        Waiting = "waiting",
        /// All chunks are done.
        Done = "done",
        /// All chunks have ended and some failed.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
);

impl BatchStatus {
    /// Whether it has ended.
    pub fn is_over(self) -> bool {
        matches!(self, BatchStatus::Done | BatchStatus::Failed | BatchStatus::Cancelled)
    }
}

word_enum!(
    /// How to start a batch's workers: up to 4 directly, more by a hypervisor agent.
    Mode, "mode" {
        /// Up to four workers.
        Direct = "direct",
        /// Five workers and more.
        Hypervisor = "hypervisor",
    }
);

impl Mode {
    /// The mode for this number of parallel workers.
    pub fn for_workers(workers: u64) -> Self {
        if workers >= 5 { Mode::Hypervisor } else { Mode::Direct }
    }
}

/// Counts of items, maintained by the store with each receipt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ItemCounts {
    /// All items.
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
    /// The instructions for every worker.
    pub instructions: String,
    /// The field that holds an item's key.
    pub key_field: String,
    /// How the items are split, in the short form.
    pub split: String,
    /// The most items a chunk holds.
    pub max_chunk: i64,
    /// The most chunks that are worked on at once.
    pub max_parallel: i64,
    /// How often a chunk may be claimed.
    pub max_attempts: i64,
    /// What `tasktally run` recorded, if it created the batch.
    pub run: Option<RunRecord>,
    /// The number of its chunks.
    pub chunk_count: u64,
    /// The number of chunks that are done, failed or cancelled.
    pub ended_chunks: u64,
    /// The number of chunks that failed or were cancelled.
    pub unsuccessful_chunks: u64,
    /// Its items by outcome.
    pub counts: ItemCounts,
    /// When the first chunk was claimed.
    pub started: Option<Timestamp>,
    /// Its steps.
    pub steps: Steps,
    /// When it waits for a person's decision.
    pub checkpoint: Checkpoint,
    /// Whose decisions count at a checkpoint.
    pub review: Reviewers,
    /// After this number of consecutive approvals, chunks are approved automatically.
    pub auto_approve_after: Option<u64>,
    /// The number of consecutive approvals.
    pub approved_in_a_row: u64,
    /// The number of failed items beyond which it is paused.
    pub max_failures: Option<MaxFailures>,
    /// The number of failed items when it was last resumed. `max_failures` does not count them again.
    pub forgiven_failures: u64,
    /// How many items and chunks had failed when a person accepted the failures; 0 if nobody has since the last retry.
    pub accepted_failures: u64,
    /// Why it is paused; `None` if it is not.
    pub pause_reason: Option<String>,
    /// The row of its finish task.
    pub finish_row: Option<RowId>,
    /// What happens to its items in doubt.
    pub in_doubt: InDoubtPolicy,
    /// The profile of its background workers.
    pub profile: Option<String>,
    /// What happens if its chunks touch the same resource; `None` for batches of schemas before this field.
    pub on_conflict: Option<OnConflict>,
    /// The fields that name an item's resources; empty: the default field.
    pub resources: Vec<LineText>,
}

/// The backoff of a chunk after a released attempt, in seconds; it doubles with each attempt.
pub fn backoff_seconds(attempts: i64) -> i64 {
    1_i64 << attempts.clamp(1, 9).saturating_sub(1)
}

/// The longest backoff. One that ends further ahead was set before the clock was set back.
pub const MAX_BACKOFF_SECONDS: i64 = 3_600;

impl Batch {
    /// The batch's status, given its task's status and whether any chunk can be worked now.
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

    /// Whether more items failed than `max_failures` allows, so that it must be paused.
    pub fn exceeds_max_failures(&self) -> bool {
        self.max_failures.is_some_and(|most| {
            most.is_exceeded(self.counts.failed.saturating_sub(self.forgiven_failures), self.counts.total)
        })
    }

    /// The number of chunks that were worked to their end. Items in them may have failed.
    pub fn completed_chunks(&self) -> u64 {
        self.ended_chunks.saturating_sub(self.unsuccessful_chunks)
    }

    /// The totals of its items and chunks, as the end of a sentence.
    pub fn totals_sentence(&self) -> String {
        let counts = self.counts;
        format!(
            "{} of {} items processed, {} done, {} failed, {} skipped; {} of {} chunks completed{}.",
            counts.processed(),
            counts.total,
            counts.done,
            counts.failed,
            counts.skipped,
            self.completed_chunks(),
            self.chunk_count,
            if counts.failed > 0 { ", also those with failed items" } else { "" }
        )
    }

    /// The status of the batch's task once its last chunk has ended.
    pub fn final_status(&self) -> Status {
        if self.unsuccessful_chunks > 0 { Status::Failed } else { Status::Done }
    }
}

/// A child task with a share of a batch's items.
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
    /// The label of its items, such as `Nov 2025`.
    pub span: String,
    /// The number of claims.
    pub attempts: i64,
    /// The number of its current step, from 0.
    pub step: usize,
    /// The name of that step, if the batch has several.
    pub step_name: Option<String>,
    /// The reviewer's addition to the instructions.
    pub review_note: String,
    /// Why its claims were released, one line per attempt, since it was last reopened.
    pub release_reasons: String,
    /// The generation of the claim whose completion was last accepted.
    pub accepted_generation: u64,
    /// Its items by outcome.
    pub counts: ItemCounts,
}

impl Chunk {
    /// A chunk that was never claimed.
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

/// A stored item.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredItem {
    /// Its chunk's row.
    pub chunk_row: RowId,
    /// Its position in the chunk, from 1.
    pub position: u64,
    /// Its key, unique in the batch.
    pub key: String,
    /// Its fields as one JSON object, as its source has them.
    pub json: String,
    /// Its outcome, once it is settled.
    pub settled: Option<Settled>,
    /// The number of the step, from 0.
    pub step: usize,
    /// The `started` report, while the item is not settled.
    pub started: Option<StartedReport>,
}

impl StoredItem {
    /// Whether a worker started the item and lost its claim on the chunk's `task` before it reported an outcome.
    pub fn is_in_doubt(&self, task: &Task, now: Timestamp) -> bool {
        self.started.is_some_and(|started| started.is_in_doubt(task, now))
    }
}

/// An item's outcome in an earlier step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierOutcome {
    /// The number of the step.
    pub step: usize,
    /// The outcome.
    pub outcome: Outcome,
    /// Its category.
    pub category: Option<String>,
}

/// How an item was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The outcome.
    pub outcome: Outcome,
    /// Its category.
    pub category: Option<String>,
    /// The number of the receipt that settled it.
    pub receipt: u64,
}

/// What an item's receipt does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettleDecision {
    /// It settles the item.
    Settles,
    /// The item has this outcome already, by the receipt with this number: the report repeats it or adds a note.
    SameOutcome(u64),
}

/// Decides what a receipt with `outcome` does to an item of `batch`.
///
/// # Errors
/// `conflict` if the item is settled with another outcome.
pub fn settle(item: &StoredItem, outcome: Outcome, batch: &TaskId) -> Result<SettleDecision> {
    match &item.settled {
        None => Ok(SettleDecision::Settles),
        Some(settled) if settled.outcome == outcome => Ok(SettleDecision::SameOutcome(settled.receipt)),
        Some(settled) => Err(Error::new(
            Code::Conflict,
            format!(
                "Item '{}' is already {} (receipt {}); '{outcome}' was not stored. If the item failed, control_batch(id=\"{batch}\", action=\"retry\") opens it again",
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
            json: "{}".into(),
            settled: None,
            step: 0,
            started: None,
        }
    }

    #[test]
    fn an_item_has_one_outcome() {
        let (open, batch) = (open_item(), TaskId::random());
        let done = StoredItem {
            settled: Some(Settled { outcome: Outcome::Done, category: None, receipt: 4 }),
            ..open.clone()
        };
        assert_eq!(settle(&open, Outcome::Failed, &batch).ok(), Some(SettleDecision::Settles));
        assert_eq!(settle(&done, Outcome::Done, &batch).ok(), Some(SettleDecision::SameOutcome(4)));
        assert_eq!(settle(&done, Outcome::Failed, &batch).map_err(|e| e.code), Err(Code::Conflict));
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
