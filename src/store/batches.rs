//! The progress of batches: holds, pauses, steps, items in doubt, costs.

use crate::error::Result;
use crate::model::batch::{Chunk, EarlierOutcome, StoredItem};
use crate::model::cost::{CostGroup, CostSum};
use crate::model::id::TaskId;
use crate::model::in_doubt::StartedReport;
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;

/// Selects items of a chunk. An empty list selects all.
#[derive(Debug, Clone, Default)]
pub struct ItemSelection {
    /// Items of these categories. The category of an item without one is its outcome.
    pub categories: Vec<String>,
    /// Items with these keys.
    pub keys: Vec<String>,
}

impl ItemSelection {
    /// Whether every item is selected.
    pub fn is_all(&self) -> bool {
        self.categories.is_empty() && self.keys.is_empty()
    }
}

/// Reads the progress of batches.
pub trait BatchRead {
    /// Whether a chunk of the batch is in progress or can be claimed, now or after a hold ends.
    fn has_workable_chunk(&self, batch: RowId) -> Result<bool>;
    /// The lowest step of the chunks that have not ended.
    fn lowest_open_step(&self, batch: RowId) -> Result<Option<usize>>;
    /// When the next hold with an end expires.
    fn next_hold_expiry(&self) -> Result<Option<Timestamp>>;
    /// The outcomes of an item in earlier steps, oldest first.
    fn earlier_outcomes(&self, chunk: RowId, position: u64) -> Result<Vec<EarlierOutcome>>;
    /// How many items of the batch are in doubt.
    fn count_in_doubt(&self, batch: RowId) -> Result<u64>;
    /// How many chunks of the batch are failed or blocked.
    fn count_failed_chunks(&self, batch: RowId) -> Result<u64>;
    /// How many items of the batch were started and not settled, in doubt or not.
    fn count_begun(&self, batch: RowId) -> Result<u64>;
    /// The first batches with items that were started and not settled, each with the number of these items.
    fn batches_with_begun_items(&self, limit: usize) -> Result<Vec<(TaskId, u64)>>;
    /// The items of a chunk that were reported as started and are not settled, in order.
    fn started_items(&self, chunk: &Chunk) -> Result<Vec<StoredItem>>;
    /// The costs that the receipts of a chunk or batch report: grouping, group, total.
    fn cost_totals(&self, row: RowId) -> Result<Vec<(CostGroup, String, CostSum)>>;
}

/// Writes the progress of batches.
pub trait BatchWrite {
    /// Adds a hold to a task: it cannot be claimed before `until`, or before [`BatchWrite::release_holds`].
    fn add_hold(&self, row: RowId, until: Option<Timestamp>) -> Result<()>;
    /// Ends all holds of a task.
    fn release_holds(&self, row: RowId) -> Result<()>;
    /// Ends all expired holds and returns how many there were.
    fn release_expired_holds(&self) -> Result<usize>;
    /// Pauses a batch and puts a hold on its active chunks. Only the batch gets a change number.
    fn pause_batch(&self, batch: RowId, reason: &str) -> Result<()>;
    /// Ends the pause of a batch. Items that have failed so far no longer count towards `max_failures`.
    fn resume_batch(&self, batch: RowId) -> Result<()>;

    /// Records the generation of the claim under which the chunk's completion was accepted.
    fn set_accepted_generation(&self, chunk: RowId, generation: u64) -> Result<()>;
    /// Moves a chunk to step `to` and opens the items for it that were done in its current step, if their category is
    /// one of `only` (empty: any). Returns how many items were opened; if there is none, nothing changes.
    fn advance_chunk(&self, chunk: &Chunk, to: usize, only: &[String]) -> Result<u64>;
    /// Opens selected items of the chunk's current step again and returns how many.
    fn reopen_items(&self, chunk: &Chunk, selection: &ItemSelection) -> Result<u64>;
    /// Opens selected failed items of one step again, moves the chunk to that step, and returns how many. The step is
    /// that of the chunk's open items; without open items, the first in which a selected item failed.
    fn reopen_failed_items(&self, chunk: &Chunk, selection: &ItemSelection) -> Result<u64>;
    /// Records that work on an item was started.
    fn mark_started(&self, item: &StoredItem, started: StartedReport) -> Result<()>;
    /// Clears the start records of a chunk's items: those of the claim with this generation (nothing was done under
    /// it), or all of them (they were decided on).
    fn clear_started(&self, chunk: &Chunk, generation: Option<u64>) -> Result<()>;
    /// Clears the start record of one item, whose work did not start.
    fn clear_item_started(&self, item: &StoredItem) -> Result<()>;
    /// Adds a line to the chunk's list of reasons why attempts were released.
    fn add_release_reason(&self, chunk: RowId, reason: &str) -> Result<()>;
    /// Sets the reviewer's note, which is added to the instructions of the chunk.
    fn set_review_note(&self, chunk: RowId, note: &str) -> Result<()>;
    /// Sets how many failed items and chunks of the batch a person has accepted.
    fn set_accepted_failures(&self, batch: RowId, count: u64) -> Result<()>;
    /// Sets how many workers of a batch may run at once.
    fn set_max_parallel(&self, batch: RowId, max_parallel: i64) -> Result<()>;
    /// Sets how many chunks of the batch were approved in a row.
    fn set_approvals_in_a_row(&self, batch: RowId, approvals: u64) -> Result<()>;
}
