//! Reads of tasks, receipts, batches, chunks and items.

use super::{
    BatchRead, BulkRead, LeaseRead, ListPosition, ResourceRead, RunnerRead, TaskFilter, TaskTotal, WaitRead,
};
use crate::error::Result;
use crate::model::batch::{Batch, Chunk, StoredItem};
use crate::model::body::BodyStart;
use crate::model::content_hash::ContentHash;
use crate::model::id::TaskId;
use crate::model::receipt::Receipt;
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;

/// Reads inside one transaction: they all see the same state.
pub trait StoreRead: BatchRead + BulkRead + LeaseRead + ResourceRead + RunnerRead + WaitRead {
    /// The time of this transaction.
    fn now(&self) -> Timestamp;
    /// The number of the latest change in the store.
    fn latest_change_number(&self) -> Result<u64>;
    /// The task with this id, or the error `not_found`.
    fn task(&self, id: &TaskId) -> Result<Task>;
    /// The task in this row, or the error `not_found`.
    fn task_by_row(&self, row: RowId) -> Result<Task>;
    /// A page of tasks, ordered by priority, order and creation.
    fn list(&self, filter: &TaskFilter, after: Option<ListPosition>, limit: usize) -> Result<Vec<Task>>;
    /// How many tasks match.
    fn count_tasks(&self, filter: &TaskFilter) -> Result<TaskTotal>;
    /// The tasks whose latest change is after change number `since`, oldest change first.
    fn tasks_changed_since(&self, filter: &TaskFilter, since: u64, limit: usize) -> Result<Vec<Task>>;
    /// The children of a task whose status or holder changed after change number `since`, oldest such change first,
    /// each with the number of that change.
    fn children_with_status_changed_since(
        &self,
        parent: RowId,
        since: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Task)>>;
    /// How many children of a task got another status or holder after change number `since`.
    fn count_children_with_status_changed_since(&self, parent: RowId, since: u64) -> Result<u64>;
    /// When a task's status or holder last changed; `None` if the task was written since, because only the time of its
    /// latest change is stored.
    fn status_changed_at(&self, task: &Task) -> Result<Option<Timestamp>>;
    /// When the next claim on a matching task expires, or the next hold of one ends. The filter's status is ignored.
    fn next_free(&self, filter: &TaskFilter) -> Result<Option<Timestamp>>;
    /// The tasks that a task depends on, in the order given by its author; `true` marks a soft dependency.
    fn dependencies(&self, task: &Task) -> Result<Vec<(TaskId, bool)>>;
    /// The first ids of tasks that depend on this one.
    fn dependents(&self, row: RowId, limit: usize) -> Result<Vec<TaskId>>;
    /// The first unfinished tasks with a hard dependency that has ended without being done, each with that
    /// dependency, newest task first. No task in the store makes them ready.
    fn stranded_tasks(&self, project: Option<&str>, limit: usize) -> Result<Vec<(Task, Task)>>;
    /// The rows of tasks with a hard dependency on this one.
    fn hard_dependents(&self, row: RowId) -> Result<Vec<RowId>>;
    /// The first ids of a task's children.
    fn children(&self, row: RowId, limit: usize) -> Result<Vec<TaskId>>;
    /// Whether `from` waits for `to`, directly or through other tasks: by hard or soft dependencies, or because a task
    /// waits for its children, except those that depend on it.
    fn depends_transitively(&self, from: RowId, to: RowId) -> Result<bool>;
    /// Whether `task` is `ancestor` or one of its descendants.
    fn is_self_or_descendant(&self, task: RowId, ancestor: RowId) -> Result<bool>;
    /// The body of a task before its first receipt.
    fn initial_text(&self, row: RowId) -> Result<String>;
    /// The hash of a task's content, as it was stored with the content; `None` for rows of schemas before 15.
    fn content_hash(&self, task: &Task) -> Result<Option<ContentHash>>;
    /// The first characters of a task's body.
    fn body_start(&self, row: RowId, chars: usize) -> Result<BodyStart>;
    /// The names under which persons have written receipts, in order.
    fn person_names(&self) -> Result<Vec<String>>;
    /// The receipts of a task whose number is greater than `after`, in order.
    fn receipts(&self, row: RowId, after: u64, limit: usize) -> Result<Vec<Receipt>>;
    /// The same receipts with their hashes, for verification.
    fn hashed_receipts(&self, row: RowId, after: u64, limit: usize) -> Result<Vec<(Receipt, [u8; 32])>>;
    /// How many late receipts a task has.
    fn late_receipt_count(&self, row: RowId) -> Result<u64>;
    /// The batch of a task, if the task is one.
    fn batch(&self, row: RowId) -> Result<Option<Batch>>;
    /// The bytes of the items of all batches, or of the batches of one project (`None`: of no project).
    fn items_bytes(&self, project: Option<Option<&str>>) -> Result<u64>;
    /// The chunk of a task, if the task is one.
    fn chunk(&self, task: &Task) -> Result<Option<Chunk>>;
    /// The chunks of a batch whose number is greater than `after`, in order.
    fn chunks(&self, batch: RowId, after: u64, limit: usize) -> Result<Vec<(Chunk, Task)>>;
    /// The items of a chunk whose position is greater than `after`; `open` leaves out those with an outcome.
    fn items(&self, chunk: RowId, after: u64, limit: usize, open: bool) -> Result<Vec<StoredItem>>;
    /// The item of a batch with this key.
    fn item(&self, batch: RowId, key: &str) -> Result<Option<StoredItem>>;
    /// Whether a batch has an item with this key.
    fn has_item(&self, batch: RowId, key: &str) -> Result<bool>;
    /// The failed items of a batch in order, each with the id of its chunk.
    fn failed_items(&self, batch: RowId, limit: usize) -> Result<Vec<(TaskId, StoredItem)>>;
    /// The receipt of a task with this number.
    fn receipt(&self, row: RowId, number: u64) -> Result<Option<Receipt>>;
    /// The receipts of a task with these numbers, in any order.
    fn receipts_numbered(&self, row: RowId, numbers: &[u64]) -> Result<Vec<Receipt>> {
        numbers.iter().filter_map(|number| self.receipt(row, *number).transpose()).collect()
    }
    /// The receipts of a batch and its chunks that were written after change number `since`, oldest first: change
    /// number, task, receipt.
    fn batch_receipts_since(
        &self,
        batch: RowId,
        since: u64,
        limit: usize,
    ) -> Result<Vec<(u64, TaskId, Receipt)>>;
    /// The latest receipts of a batch and its chunks, oldest first: change number, task, receipt.
    fn latest_batch_receipts(&self, batch: RowId, limit: usize) -> Result<Vec<(u64, TaskId, Receipt)>>;
    /// The number of settled items in each category of a chunk or a batch, largest first.
    fn category_counts(&self, row: RowId) -> Result<Vec<(String, u64)>>;
    /// The stored response to a request with this idempotency key: operation, fingerprint, response.
    fn stored_response(&self, key: &str) -> Result<Option<(String, Vec<u8>, String)>>;
    /// Claimed tasks whose lease has expired. A lease that ends later than any lease can (the clock was set back
    /// since) counts as expired.
    fn expired_claims(&self, limit: usize) -> Result<Vec<Task>>;
    /// When the next lease expires.
    fn next_lease_expiry(&self) -> Result<Option<Timestamp>>;
    /// Claimed tasks that have not changed since `moment`.
    fn claims_idle_since(&self, moment: Timestamp, limit: usize) -> Result<Vec<Task>>;
    /// Compares all stored counts with the rows they count, and item outcomes with receipts. Returns a description of
    /// the first difference. Reads the whole store.
    fn first_count_mismatch(&self) -> Result<Option<String>>;
    /// Whether every task and receipt is in the search index.
    fn is_search_index_complete(&self) -> Result<bool>;
    /// Tasks whose title or body contains all words (or words that start with them): best match first, or newest
    /// first if very many tasks contain the words.
    fn search(&self, words: &[String], filter: &TaskFilter, limit: usize) -> Result<Vec<Task>>;
    /// Batches that have not ended, newest first.
    fn open_batches(&self, project: Option<&str>, limit: usize) -> Result<Vec<Task>>;
    /// All batches, newest first; with `after` only those that are older than this one.
    fn batches(&self, project: Option<&str>, after: Option<RowId>, limit: usize) -> Result<Vec<Task>>;
    /// The number of all batches.
    fn count_batches(&self, project: Option<&str>) -> Result<u64>;
    /// Batches whose chunks have all ended and whose failures nobody has retried or accepted, newest first.
    fn failed_batches(&self, project: Option<&str>, limit: usize) -> Result<Vec<Task>>;
    /// Ids that start with `prefix`: of batches, newest first, or of all tasks (the newest ones for an empty prefix).
    fn ids_with_prefix(&self, prefix: &str, only_batches: bool, limit: usize) -> Result<Vec<TaskId>>;
}
