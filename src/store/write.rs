//! Writes of tasks, receipts, batches, chunks and items.

use super::{BatchWrite, BulkWrite, LeaseWrite, ResourceWrite, RunnerWrite, StoreRead, WaitWrite};
use crate::error::Result;
use crate::model::author::Author;
use crate::model::batch::{Batch, Chunk, StoredItem};
use crate::model::content_hash::ContentHash;
use crate::model::cost::Cost;
use crate::model::receipt::Receipt;
use crate::model::status::{ItemReport, Outcome};
use crate::model::step::Decision;
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;

/// A task to insert.
#[derive(Debug, Clone)]
pub struct NewTask<'a> {
    /// The task. The store assigns its row and times.
    pub task: &'a Task,
    /// The body before the first receipt.
    pub initial_text: &'a str,
}

/// A receipt to append. The store assigns its number, time and hash.
#[derive(Debug, Clone, Default)]
pub struct NewReceipt<'a> {
    /// Its author; by default Tasktally itself.
    pub author: &'a Author,
    /// Its text.
    pub text: &'a str,
    /// The key of the item that it reports on.
    pub item: Option<&'a str>,
    /// What it reports about the item.
    pub outcome: Option<ItemReport>,
    /// The category of the item.
    pub category: Option<&'a str>,
    /// Whether its author had lost the claim.
    pub late: bool,
    /// The step that it belongs to, if its batch has several.
    pub step: Option<&'a str>,
    /// When the lease of the task's claim ends after this receipt, if the receipt renews it.
    pub lease_until: Option<Timestamp>,
    /// What a review decided, if the receipt records a decision on a chunk or that a batch's failures are accepted.
    pub decision: Option<Decision>,
    /// What the work cost.
    pub cost: Cost,
}

impl NewReceipt<'_> {
    /// The receipt as it is stored under a number.
    pub(super) fn numbered(&self, number: u64, at: Timestamp) -> Receipt {
        Receipt {
            number,
            at,
            author: self.author.name().to_owned(),
            author_kind: Some(self.author.kind()),
            text: self.text.to_owned(),
            item: self.item.map(str::to_owned),
            outcome: self.outcome,
            category: self.category.map(str::to_owned),
            late: self.late,
            step: self.step.map(str::to_owned),
            cost: self.cost.clone(),
            decision: self.decision,
        }
    }
}

/// Writes inside one transaction. Every write to a task assigns it a new change number, unless documented otherwise.
pub trait StoreWrite:
    StoreRead + BatchWrite + BulkWrite + LeaseWrite + ResourceWrite + RunnerWrite + WaitWrite
{
    /// Inserts a task and returns its row.
    fn insert_task(&self, new: &NewTask<'_>) -> Result<RowId>;
    /// Inserts a task into a row that was reserved for it; see [`BulkWrite`].
    fn insert_task_at(&self, new: &NewTask<'_>, row: RowId) -> Result<()>;
    /// Updates the fields of a task other than its status, its claim and its initial text.
    fn update_fields(&self, before: &Task, task: &Task) -> Result<()>;
    /// Updates the status, assignee and claim of a task, if its stored generation is still `generation`.
    fn update_state(&self, task: &Task, generation: u64) -> Result<()>;
    /// Extends the lease of a task's claim.
    fn renew_lease(&self, task: &Task, until: Timestamp) -> Result<()>;
    /// Replaces the hard or the soft dependencies of a task.
    fn set_dependencies(&self, row: RowId, depends_on: &[RowId], soft: bool) -> Result<()>;
    /// Counts the unfinished hard dependencies and the holds of a task again.
    fn recount_blockers(&self, row: RowId) -> Result<()>;
    /// Appends a receipt and returns its number.
    fn append_receipt(&self, task: &Task, receipt: &NewReceipt<'_>) -> Result<u64>;
    /// Inserts the batch of a task.
    fn insert_batch(&self, batch: &Batch) -> Result<()>;
    /// Inserts the chunk of a task.
    fn insert_chunk(&self, chunk: &Chunk) -> Result<()>;
    /// Inserts an item of a chunk.
    fn insert_item(&self, batch: RowId, chunk: RowId, position: u64, key: &str, fields: &str) -> Result<()>;
    /// Adds the bytes of the items that were inserted into a chunk to its batch, and sets the hash of all its items, unless
    /// it has some that were stored before items were hashed.
    fn finish_items(&self, batch: RowId, chunk: RowId, bytes: u64, hash: Option<&ContentHash>) -> Result<()>;
    /// Adds to the item count of a chunk and replaces the label of its span of items.
    fn grow_chunk(&self, chunk: RowId, items: u64, span: &str) -> Result<()>;
    /// Adds to the chunk and item counts of a batch.
    fn grow_batch(&self, batch: RowId, chunks: u64, items: u64) -> Result<()>;
    /// Stores the outcome of an item and updates the counts of its chunk, batch and category.
    fn settle_item(
        &self,
        chunk: &Chunk,
        item: &StoredItem,
        outcome: Outcome,
        category: Option<&str>,
        receipt: u64,
    ) -> Result<()>;
    /// Sets how often a chunk was claimed, and the start time of its batch if it has none. With 0 attempts, the
    /// chunk's release reasons are deleted.
    fn set_attempts(&self, chunk: &Chunk, attempts: i64) -> Result<()>;
    /// Adds to the counts of ended and of unsuccessful chunks of a batch.
    fn add_ended_chunks(&self, batch: RowId, ended: i64, unsuccessful: i64) -> Result<()>;
    /// Stores the response to a request with an idempotency key.
    fn store_response(&self, key: &str, operation: &str, fingerprint: &[u8], response: &str) -> Result<()>;
    /// Adds tasks and receipts to the search index that are not in it, up to a limit. Returns whether it has all of them
    /// then.
    fn update_search_index(&self) -> Result<bool>;
}
