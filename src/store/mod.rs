//! Durable state: the door to any database, and nothing of any one of them.
//!
//! An operation hands the store a closure. The store runs it inside one transaction over a
//! [`StoreRead`] or [`StoreWrite`], commits, and only then answers.

mod batches;
pub mod chains;
mod inspect;
pub(crate) mod pages;
mod runners;
pub mod sqlite;
mod waits;

pub use batches::{BatchRead, BatchWrite, ItemSelection};
pub use inspect::{CorruptStore, Inspect, StoreFacts};
pub use runners::{RunnerRead, RunnerRecord, RunnerWrite};
pub use waits::{WaitRead, WaitWrite};

use std::time::Duration;

use crate::error::{Error, Result};
use crate::items::Item;
use crate::model::batch::{Batch, Chunk, StoredItem};
use crate::model::cost::Cost;
use crate::model::id::TaskId;
use crate::model::receipt::Receipt;
use crate::model::status::{ItemReport, Kind, Outcome, Status};
use crate::model::task::{Row, Task};
use crate::model::timestamp::Timestamp;

/// Which tasks a list asks for; a field left out matches all.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Of this project.
    pub project: Option<String>,
    /// In this status.
    pub status: Option<Status>,
    /// Of this type.
    pub kind: Option<Kind>,
    /// Of exactly this priority.
    pub priority: Option<i64>,
    /// Of this priority or a more urgent one.
    pub priority_max: Option<i64>,
    /// Assigned to this worker.
    pub assignee: Option<String>,
    /// Children of this task; a batch's chunks are.
    pub parent: Option<Row>,
    /// Only those that could be claimed now.
    pub ready: bool,
    /// None of those that share a resource with a chunk that is being worked on.
    pub without_conflicts: bool,
    /// Only those with all of these tags.
    pub tags: Vec<String>,
}

/// What keeps a chunk from being worked on now.
#[derive(Debug, Clone)]
pub struct ResourceInUse {
    /// The chunk that is being worked on.
    pub chunk: Row,
    /// The key of the resource that both touch.
    pub resource: String,
}

/// Where a page of a list ended: priority, order, row.
pub type ListPosition = (i64, i64, Row);

/// How many tasks match: exactly, or at least so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskTotal {
    /// The number.
    pub count: u64,
    /// Whether there may be more.
    pub at_least: bool,
}

/// A task to be made.
#[derive(Debug, Clone)]
pub struct NewTask<'a> {
    /// Everything but what the store gives it.
    pub task: &'a Task,
    /// The body before its first receipt.
    pub initial_text: &'a str,
}

/// A receipt to be appended; the store numbers, times and hashes it.
#[derive(Debug, Clone, Default)]
pub struct NewReceipt<'a> {
    /// Who wrote it.
    pub author: &'a str,
    /// What a reader sees.
    pub text: &'a str,
    /// The item that it tells of.
    pub item: Option<&'a str>,
    /// What it tells of that item.
    pub outcome: Option<ItemReport>,
    /// What the item was found to be.
    pub category: Option<&'a str>,
    /// Whether it came with a lost token.
    pub late: bool,
    /// The step that it is of, where its batch has several.
    pub step: Option<&'a str>,
    /// Until when the holder's lease runs by it.
    pub lease_until: Option<Timestamp>,
    /// What the work cost.
    pub cost: Cost,
}

/// What is read of the resources that chunks touch.
pub trait ResourceRead {
    /// Batches that are under way in exactly this project, or in none.
    fn running_batches(&self, project: Option<&str>) -> Result<Vec<Row>>;
    /// In how many layers a batch's resources are stored.
    fn count_resource_layers(&self, batch: Row) -> Result<u64>;
    /// The block of a layer that begins with, or before, the first resource that is not before `key`:
    /// keys in order, and the chunks that touch each.
    fn resource_block(&self, batch: Row, layer: u64, key: &str) -> Result<Vec<(String, Vec<Row>)>>;
    /// The first chunk at work that shares a resource with this one.
    fn resource_in_use(&self, chunk: Row) -> Result<Option<ResourceInUse>>;
}

/// What is written of the resources that chunks touch.
pub trait ResourceWrite {
    /// Stores a block of the resources that a batch's chunks touch, in the order of their keys.
    fn insert_resource_block(&self, batch: Row, layer: u64, block: &[(String, Vec<Row>)]) -> Result<()>;
    /// Forgets a layer of them.
    fn delete_resource_layer(&self, batch: Row, layer: u64) -> Result<()>;
    /// Lets a chunk not be worked at once with others of the project that touch the same resource;
    /// `beneath` says that it touches only what lies beneath it.
    fn add_shared_resource(&self, chunk: Row, project: Option<&str>, key: &str, beneath: bool) -> Result<()>;
    /// The same for a chunk that may be at work already.
    fn add_shared_resource_of_stored_chunk(
        &self,
        chunk: Row,
        project: Option<&str>,
        key: &str,
        beneath: bool,
    ) -> Result<()>;
}

/// What is read inside one transaction: a single moment of the store.
pub trait StoreRead: BatchRead + ResourceRead + RunnerRead + WaitRead {
    /// The moment this transaction works with.
    fn now(&self) -> Timestamp;
    /// The number of the latest change.
    fn latest_change_number(&self) -> Result<u64>;
    /// The task, or `not_found`.
    fn task(&self, id: &TaskId) -> Result<Task>;
    /// The task in a row.
    fn task_by_row(&self, row: Row) -> Result<Task>;
    /// A page of tasks by priority, order and creation.
    fn list(&self, filter: &TaskFilter, after: Option<ListPosition>, limit: usize) -> Result<Vec<Task>>;
    /// How many tasks match.
    fn count_tasks(&self, filter: &TaskFilter) -> Result<TaskTotal>;
    /// The tasks that changed after `since`, oldest change first.
    fn tasks_changed_since(&self, filter: &TaskFilter, since: u64, limit: usize) -> Result<Vec<Task>>;
    /// The children of a task that came to another status or holder after `since`, oldest such change
    /// first, with its number.
    fn children_with_status_changed_since(
        &self,
        parent: Row,
        since: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Task)>>;
    /// The ids a task depends on, in the order given, and whether softly.
    fn dependencies(&self, task: &Task) -> Result<Vec<(TaskId, bool)>>;
    /// The first ids of tasks that depend on this one.
    fn dependents(&self, row: Row, limit: usize) -> Result<Vec<TaskId>>;
    /// The rows of tasks that wait for this one.
    fn hard_dependents(&self, row: Row) -> Result<Vec<Row>>;
    /// The first ids of a task's children.
    fn children(&self, row: Row, limit: usize) -> Result<Vec<TaskId>>;
    /// Whether following hard and soft dependencies from one row arrives at another.
    fn depends_transitively(&self, from: Row, to: Row) -> Result<bool>;
    /// Whether following parents from one row arrives at another.
    fn is_self_or_descendant(&self, from: Row, above: Row) -> Result<bool>;
    /// The body before its first receipt.
    fn initial_text(&self, row: Row) -> Result<String>;
    /// The first characters of the body.
    fn preview(&self, row: Row, chars: usize) -> Result<String>;
    /// A task's receipts after a number, in order.
    fn receipts(&self, row: Row, after: u64, limit: usize) -> Result<Vec<Receipt>>;
    /// A task's receipts with their hashes, for verification.
    fn hashed_receipts(&self, row: Row, after: u64, limit: usize) -> Result<Vec<(Receipt, [u8; 32])>>;
    /// The batch that a task is.
    fn batch(&self, row: Row) -> Result<Option<Batch>>;
    /// The chunk that a task is.
    fn chunk(&self, task: &Task) -> Result<Option<Chunk>>;
    /// A batch's chunks after a number, in order.
    fn chunks(&self, batch: Row, after: u64, limit: usize) -> Result<Vec<(Chunk, Task)>>;
    /// A chunk's items after a position; `open` leaves out those with an outcome.
    fn items(&self, chunk: Row, after: u64, limit: usize, open: bool) -> Result<Vec<StoredItem>>;
    /// An item of a batch by its key.
    fn item(&self, batch: Row, key: &str) -> Result<Option<StoredItem>>;
    /// Whether a batch has an item of this key.
    fn has_item(&self, batch: Row, key: &str) -> Result<bool>;
    /// A batch's failed items, with their chunk's id, in order.
    fn failed_items(&self, batch: Row, limit: usize) -> Result<Vec<(TaskId, StoredItem)>>;
    /// One receipt of a task.
    fn receipt(&self, row: Row, number: u64) -> Result<Option<Receipt>>;
    /// The receipts of a batch and its chunks that came with a change after `since`, in the order of
    /// their writing: the change, the task, the receipt.
    fn batch_receipts_since(
        &self,
        batch: Row,
        since: u64,
        limit: usize,
    ) -> Result<Vec<(u64, TaskId, Receipt)>>;
    /// The last ones of them, in the same order.
    fn latest_batch_receipts(&self, batch: Row, limit: usize) -> Result<Vec<(u64, TaskId, Receipt)>>;
    /// Items by category, for a chunk or a batch, most first.
    fn category_counts(&self, row: Row) -> Result<Vec<(String, u64)>>;
    /// What a request with this key was answered: operation, fingerprint, reply.
    fn stored_response(&self, key: &str) -> Result<Option<(String, Vec<u8>, String)>>;
    /// Claims whose lease has run out (or was written before the clock jumped back).
    fn expired_claims(&self, limit: usize) -> Result<Vec<Task>>;
    /// When the next lease runs out.
    fn next_lease_expiry(&self) -> Result<Option<Timestamp>>;
    /// Claimed tasks without a change since a moment.
    fn claims_idle_since(&self, moment: Timestamp, limit: usize) -> Result<Vec<Task>>;
    /// The first count that isn't that of what is stored, or item whose outcome no receipt tells; all of it is read.
    fn first_count_mismatch(&self) -> Result<Option<String>>;
    /// Whether every task and receipt can be found by search.
    fn is_search_index_complete(&self) -> Result<bool>;
    /// Tasks whose title or body holds all the words or their beginnings: best first, or newest first
    /// where the words themselves are in very many.
    fn search(&self, words: &[String], filter: &TaskFilter, limit: usize) -> Result<Vec<Task>>;
    /// Batches that have not ended, newest first.
    fn open_batches(&self, project: Option<&str>, limit: usize) -> Result<Vec<Task>>;
    /// Ids that begin with some characters: batches' newest first, or any task's, the newest where there
    /// are no characters yet.
    fn ids_with_prefix(&self, beginning: &str, only_batches: bool, limit: usize) -> Result<Vec<TaskId>>;
}

/// What is written inside one transaction.
pub trait StoreWrite: StoreRead + BatchWrite + ResourceWrite + RunnerWrite + WaitWrite {
    /// Makes a task; gives its row.
    fn insert_task(&self, new: &NewTask<'_>) -> Result<Row>;
    /// Stores what a task is, in place of what it was: everything but its status and claim. Numbers
    /// the change, as all of these do.
    fn update_fields(&self, before: &Task, task: &Task) -> Result<()>;
    /// Stores a task's status, assignee and claim if its generation is still `generation`.
    fn update_state(&self, task: &Task, generation: u64) -> Result<()>;
    /// Lets the lease of a task's claim run until a moment.
    fn renew_lease(&self, task: &Task, until: Timestamp) -> Result<()>;
    /// Replaces what a task depends on.
    fn set_dependencies(&self, row: Row, needs: &[Row], soft: bool) -> Result<()>;
    /// Counts anew how many dependencies of a task aren't done.
    fn recount_blockers(&self, row: Row) -> Result<()>;
    /// Appends a receipt; gives its number.
    fn append_receipt(&self, task: &Task, receipt: &NewReceipt<'_>) -> Result<u64>;
    /// Makes a batch of a task.
    fn insert_batch(&self, batch: &Batch) -> Result<()>;
    /// Makes a chunk of a task.
    fn insert_chunk(&self, chunk: &Chunk) -> Result<()>;
    /// Adds an item to a chunk.
    fn insert_item(&self, batch: Row, chunk: Row, position: u64, key: &str, fields: &str) -> Result<()>;
    /// Lets a chunk hold so many more items, under a span that says so.
    fn grow_chunk(&self, chunk: Row, items: u64, span: &str) -> Result<()>;
    /// Lets a batch hold so many more chunks and items.
    fn grow_batch(&self, batch: Row, chunks: u64, items: u64) -> Result<()>;
    /// Gives an item its outcome, in chunk, batch and categories alike.
    fn settle_item(
        &self,
        chunk: &Chunk,
        item: &StoredItem,
        outcome: Outcome,
        category: Option<&str>,
        receipt: u64,
    ) -> Result<()>;
    /// Sets how often a chunk was claimed, and when its batch was first worked on; the reasons for which
    /// it was given back go with the attempts.
    fn set_attempts(&self, chunk: &Chunk, attempts: i64) -> Result<()>;
    /// Adds to a batch's ended and unsuccessful chunks.
    fn add_ended_chunks(&self, batch: Row, ended: i64, unsuccessful: i64) -> Result<()>;
    /// Keeps the reply to a request with a key.
    fn store_response(&self, key: &str, operation: &str, fingerprint: &[u8], reply: &str) -> Result<()>;
    /// Indexes the tasks and receipts that are not yet searchable.
    fn update_search_index(&self) -> Result<()>;
}

/// A closure that a store runs in a transaction; it keeps its own answer.
pub trait WriteJob: Send {
    /// Runs it, unless nobody wants it any more; `false` takes back all that it wrote.
    fn run(&mut self, tx: &dyn StoreWrite) -> bool;
    /// Called once: after the commit, or with why there was none.
    fn finish(self: Box<Self>, committed: Result<()>);
}

/// A closure that a store runs over one moment of its state.
pub type ReadJob = Box<dyn FnOnce(Result<&dyn StoreRead>) + Send>;

/// A place to collect a batch's items, in the order of their chunks, before anything is stored.
pub trait Staging: Send {
    /// Takes an item of a group; one whose key it has already is left out, and where the first
    /// was read from is given.
    fn push(&mut self, item: &Item, sort: &str, label: &str) -> Result<Option<String>>;
    /// Leaves out the items whose key is known; gives how many.
    fn leave_out(&mut self, known: &mut dyn FnMut(&str) -> Result<bool>) -> Result<u64>;
    /// The groups in order: label and how many items.
    fn groups(&mut self) -> Result<Vec<(String, u64)>>;
    /// All items in the order of the groups: key and fields.
    fn each(&mut self, visit: &mut dyn FnMut(&str, &str) -> Result<()>) -> Result<()>;
    /// The same in another order: of their places in that one, from 0.
    fn each_in(&mut self, order: &[u32], visit: &mut dyn FnMut(&str, &str) -> Result<()>) -> Result<()>;
}

/// A durable store, shared by any number of processes.
pub trait Store: Send + Sync {
    /// Hands over a write; it is answered after its commit is on disk.
    fn submit_write(&self, job: Box<dyn WriteJob>);
    /// The refusal of a write that was not begun within so long: who keeps it from that, and what to do.
    fn write_timeout_error(&self, waited: Duration) -> Error;
    /// Hands over a read.
    fn read(&self, job: ReadJob);
    /// An empty place to collect items.
    fn staging(&self) -> Result<Box<dyn Staging>>;
    /// The folder beside the store, for what belongs to it.
    fn folder(&self) -> &std::path::Path;
}
