//! What a writing transaction knows of the rows that it works on. A write that is made known to it changes the rows here as
//! the database changes them, so the requests of a group go on with them without asking again. Any other write makes it
//! forget everything.

use std::collections::HashMap;

use crate::model::batch::{Batch, Chunk, Settled, StoredItem};
use crate::model::id::TaskId;
use crate::model::in_doubt::StartedReport;
use crate::model::receipt::GENESIS_HASH;
use crate::model::status::Outcome;
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;

/// The number and the hash of the last receipt of a task; 0 and the first hash if it has none.
pub(in crate::store::postgres) type LastReceipt = (u64, [u8; 32]);

/// The rows that a transaction knows, by their keys.
#[derive(Debug, Default)]
pub(in crate::store::postgres) struct Entities {
    pub(super) rows: HashMap<TaskId, RowId>,
    pub(super) tasks: HashMap<RowId, Task>,
    pub(super) chunks: HashMap<RowId, Chunk>,
    pub(super) batches: HashMap<RowId, Batch>,
    pub(super) items: HashMap<RowId, HashMap<String, StoredItem>>,
    /// Items that were started and have no outcome, by chunk, in the order of their positions.
    pub(super) started: HashMap<RowId, Vec<StoredItem>>,
    pub(super) last_receipts: HashMap<RowId, LastReceipt>,
    /// The tasks that wait for a task.
    pub(super) hard_dependents: HashMap<RowId, Vec<RowId>>,
}

impl Entities {
    pub(super) fn task(&self, id: &TaskId) -> Option<&Task> {
        self.rows.get(id).and_then(|row| self.tasks.get(row))
    }

    pub(super) fn task_by_row(&self, row: RowId) -> Option<&Task> {
        self.tasks.get(&row)
    }

    pub(super) fn chunk(&self, row: RowId) -> Option<&Chunk> {
        self.chunks.get(&row)
    }

    pub(super) fn batch(&self, row: RowId) -> Option<&Batch> {
        self.batches.get(&row)
    }

    pub(super) fn item(&self, batch: RowId, key: &str) -> Option<&StoredItem> {
        self.items.get(&batch).and_then(|items| items.get(key))
    }

    pub(super) fn started(&self, chunk: RowId) -> Option<&Vec<StoredItem>> {
        self.started.get(&chunk)
    }

    pub(super) fn last_receipt(&self, task: RowId) -> Option<LastReceipt> {
        self.last_receipts.get(&task).copied()
    }

    pub(super) fn hard_dependents(&self, task: RowId) -> Option<&Vec<RowId>> {
        self.hard_dependents.get(&task)
    }

    /// Keeps a task as it was read. Its lists of started items and dependents are complete when [`Entities::keep_started`]
    /// and [`Entities::keep_dependent`] have been called with all of them.
    pub(super) fn keep_task(&mut self, task: Task) {
        if task.receipt_count == 0 {
            self.last_receipts.insert(task.row, (0, GENESIS_HASH));
        }
        self.rows.insert(task.id.clone(), task.row);
        self.tasks.insert(task.row, task);
    }

    pub(super) fn keep_chunk(&mut self, chunk: Chunk) {
        self.started.insert(chunk.row, Vec::new());
        self.chunks.insert(chunk.row, chunk);
    }

    pub(super) fn keep_batch(&mut self, batch: Batch) {
        self.batches.insert(batch.row, batch);
    }

    pub(super) fn keep_item(&mut self, batch: RowId, item: StoredItem) {
        self.items.entry(batch).or_default().insert(item.key.clone(), item);
    }

    pub(super) fn keep_started(&mut self, item: StoredItem) {
        self.started.entry(item.chunk_row).or_default().push(item);
    }

    pub(super) fn keep_last_receipt(&mut self, task: RowId, last: LastReceipt) {
        self.last_receipts.insert(task, last);
    }

    /// Begins the list of the tasks that wait for a task.
    pub(super) fn begin_dependents(&mut self, task: RowId) {
        self.hard_dependents.insert(task, Vec::new());
    }

    pub(super) fn keep_dependent(&mut self, task: RowId, dependent: RowId) {
        self.hard_dependents.entry(task).or_default().push(dependent);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Entities::default();
    }

    /// A receipt was appended.
    pub(in crate::store::postgres) fn appended(
        &mut self,
        task: RowId,
        last: LastReceipt,
        lease_until: Option<Timestamp>,
        at: (Timestamp, u64),
    ) {
        self.last_receipts.insert(task, last);
        let Some(task) = self.touched(task, at) else { return };
        task.receipt_count = last.0;
        if let (Some(until), Some(claim)) = (lease_until, &mut task.claim) {
            claim.expires_at = until;
        }
    }

    /// The status, assignee and claim of a task were stored.
    pub(in crate::store::postgres) fn state_stored(&mut self, after: &Task, at: (Timestamp, u64)) {
        let Some(task) = self.touched(after.row, at) else { return };
        task.status = after.status;
        task.assignee.clone_from(&after.assignee);
        task.generation = after.generation;
        task.claim.clone_from(&after.claim);
    }

    /// The lease of a task's claim was extended.
    pub(in crate::store::postgres) fn lease_extended(
        &mut self,
        task: RowId,
        until: Timestamp,
        at: (Timestamp, u64),
    ) {
        if let Some(claim) = self.touched(task, at).and_then(|task| task.claim.as_mut()) {
            claim.expires_at = until;
        }
    }

    /// A task was written at a time, under a change number.
    fn touched(&mut self, row: RowId, (now, change_number): (Timestamp, u64)) -> Option<&mut Task> {
        let task = self.tasks.get_mut(&row)?;
        task.updated = now;
        task.change_number = change_number;
        Some(task)
    }

    /// An item got its outcome.
    pub(in crate::store::postgres) fn settled(&mut self, batch: RowId, item: &StoredItem, settled: Settled) {
        if let Some(started) = self.started.get_mut(&item.chunk_row) {
            started.retain(|other| other.position != item.position);
        }
        if let Some(item) = self.items.get_mut(&batch).and_then(|items| items.get_mut(&item.key)) {
            item.settled = Some(settled);
            item.started = None;
        }
    }

    /// An item was reported as started, which changes nothing if it has an outcome.
    pub(in crate::store::postgres) fn item_started(&mut self, item: &StoredItem, report: StartedReport) {
        let batch = self.chunks.get(&item.chunk_row).map(|chunk| chunk.batch_row);
        let items = batch.and_then(|batch| self.items.get_mut(&batch));
        let Some(known) = items.and_then(|items| items.get_mut(&item.key)) else {
            // Whether it has an outcome is not known.
            self.started.remove(&item.chunk_row);
            self.items.clear();
            return;
        };
        if known.settled.is_some() {
            return;
        }
        known.started = Some(report);
        if let Some(started) = self.started.get_mut(&item.chunk_row) {
            started.retain(|other| other.position != item.position);
            let index = started.partition_point(|other| other.position < item.position);
            started.insert(index, known.clone());
        }
    }

    /// Items of an outcome were added to the counts of their chunk and its batch.
    pub(in crate::store::postgres) fn counted(&mut self, chunk: &Chunk, outcome: Outcome, by: i64) {
        let chunk_counts = self.chunks.get_mut(&chunk.row).map(|chunk| &mut chunk.counts);
        let batch_counts = self.batches.get_mut(&chunk.batch_row).map(|batch| &mut batch.counts);
        for counts in [chunk_counts, batch_counts].into_iter().flatten() {
            let count = match outcome {
                Outcome::Done => &mut counts.done,
                Outcome::Failed => &mut counts.failed,
                Outcome::Skipped => &mut counts.skipped,
            };
            *count = count.saturating_add_signed(by);
        }
    }

    /// It was stored how often a chunk was claimed, and when its batch started.
    pub(in crate::store::postgres) fn attempts_set(&mut self, chunk: &Chunk, attempts: i64, now: Timestamp) {
        if let Some(chunk) = self.chunks.get_mut(&chunk.row) {
            chunk.attempts = attempts;
            if attempts == 0 {
                chunk.release_reasons.clear();
            }
        }
        if let Some(batch) = self.batches.get_mut(&chunk.batch_row) {
            batch.started.get_or_insert(now);
        }
    }

    /// The completion of a chunk was accepted under the claim of this generation.
    pub(in crate::store::postgres) fn accepted(&mut self, chunk: RowId, generation: u64) {
        if let Some(chunk) = self.chunks.get_mut(&chunk) {
            chunk.accepted_generation = generation;
        }
    }

    /// Chunks of a batch ended, or were opened again.
    pub(in crate::store::postgres) fn chunks_ended(&mut self, batch: RowId, ended: i64, unsuccessful: i64) {
        if let Some(batch) = self.batches.get_mut(&batch) {
            batch.ended_chunks = batch.ended_chunks.saturating_add_signed(ended);
            batch.unsuccessful_chunks = batch.unsuccessful_chunks.saturating_add_signed(unsuccessful);
        }
    }
}
