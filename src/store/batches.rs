//! What moves a batch on: pauses, steps, checkpoints.

use crate::error::Result;
use crate::model::batch::{Chunk, Earlier, StoredItem};
use crate::model::cost::{Spent, SpentBy};
use crate::model::in_doubt::Started;
use crate::model::task::Row;
use crate::model::timestamp::Timestamp;

/// Which items of a chunk are meant; an empty list chooses all.
#[derive(Debug, Clone, Default)]
pub struct ItemSelection {
    /// Of these categories (an item without one is of its outcome).
    pub categories: Vec<String>,
    /// With these keys.
    pub keys: Vec<String>,
}

impl ItemSelection {
    /// Whether it leaves anything out.
    pub fn is_all(&self) -> bool {
        self.categories.is_empty() && self.keys.is_empty()
    }
}

/// Where a batch stands.
pub trait BatchRead {
    /// Whether a chunk of a batch can be claimed, now or once a hold ends, or is being worked on.
    fn has_workable_chunk(&self, batch: Row) -> Result<bool>;
    /// The lowest step that a chunk of a batch is in and has not ended.
    fn lowest_open_step(&self, batch: Row) -> Result<Option<usize>>;
    /// When the next hold ends by itself.
    fn next_hold_expiry(&self) -> Result<Option<Timestamp>>;
    /// What an item came to in the steps before, oldest first.
    fn earlier_outcomes(&self, chunk: Row, position: u64) -> Result<Vec<Earlier>>;
    /// How many items of a batch are in doubt.
    fn count_in_doubt(&self, batch: Row) -> Result<u64>;
    /// The items of a chunk that were begun and not settled, in order.
    fn started_items(&self, chunk: &Chunk) -> Result<Vec<StoredItem>>;
    /// What a chunk's or a batch's receipts say of costs: the kind of sum, of whom or what, the sum.
    fn cost_totals(&self, row: Row) -> Result<Vec<(SpentBy, String, Spent)>>;
}

/// What moves a batch on inside one transaction.
pub trait BatchWrite {
    /// Keeps a task from being claimed: until a moment, or until [`BatchWrite::release_holds`].
    fn add_hold(&self, row: Row, until: Option<Timestamp>) -> Result<()>;
    /// Ends all holds of a task.
    fn release_holds(&self, row: Row) -> Result<()>;
    /// Ends the holds whose time has come; gives how many.
    fn release_expired_holds(&self) -> Result<usize>;
    /// Pauses a batch for a reason: its chunks that could be claimed are held.
    fn pause_batch(&self, batch: Row, why: &str) -> Result<()>;
    /// Lets a paused batch go on; what failed until now is forgiven.
    fn resume_batch(&self, batch: Row) -> Result<()>;

    /// Keeps that a completion under this generation was accepted.
    fn set_accepted_generation(&self, chunk: Row, generation: u64) -> Result<()>;
    /// Opens the items for a step that were done in the one before and are of one of these
    /// categories (none: all of them), and moves the chunk there; gives how many there are.
    /// Where there are none, nothing changes.
    fn advance_chunk(&self, chunk: &Chunk, to: usize, only: &[String]) -> Result<u64>;
    /// Opens chosen items of the chunk's step again; gives how many.
    fn reopen_items(&self, chunk: &Chunk, chosen: &ItemSelection) -> Result<u64>;
    /// Opens chosen items of a chunk that failed, those of the first such step, and takes the chunk
    /// back there (where some are open, those of their step); gives how many.
    fn reopen_failed_items(&self, chunk: &Chunk, chosen: &ItemSelection) -> Result<u64>;
    /// Marks an item as begun.
    fn mark_started(&self, item: &StoredItem, started: Started) -> Result<()>;
    /// Takes the marks off the items of a chunk that were begun: all, for somebody has decided on them, or
    /// those begun under the claim of a generation, for nothing was done under it.
    fn clear_started(&self, chunk: &Chunk, under: Option<u64>) -> Result<()>;
    /// Keeps why an attempt at a chunk was given back, a line.
    fn add_release_reason(&self, chunk: Row, reason: &str) -> Result<()>;
    /// Sets what a reviewer adds to the instructions of a chunk.
    fn set_review_note(&self, chunk: Row, note: &str) -> Result<()>;
    /// Sets how many chunks of a batch were approved in a row.
    fn set_approvals_in_a_row(&self, batch: Row, approved: u64) -> Result<()>;
}
