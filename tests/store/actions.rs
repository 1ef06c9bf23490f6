//! What several areas do to tasks, chunks and items: one transaction each.

use tasktally::error::Result;
use tasktally::model::batch::{Batch, Chunk, StoredItem};
use tasktally::model::claim::Claim;
use tasktally::model::claim_rules::claimed;
use tasktally::model::id::Token;
use tasktally::model::in_doubt::StartedReport;
use tasktally::model::status::{ItemReport, Outcome, Status};
use tasktally::model::task::{RowId, Task};
use tasktally::store::{NewReceipt, StoreRead, StoreWrite, TaskFilter};

use crate::stores::TestStore;

/// Claims a task for a worker and returns it.
pub(crate) fn claim(tx: &dyn StoreWrite, row: RowId, worker: &str, lease_seconds: i64) -> Result<Task> {
    let before = tx.task_by_row(row)?;
    let claim = Claim::new(worker, Some(Token::random()), tx.now(), lease_seconds);
    tx.update_state(&claimed(&before, worker, claim), before.generation)?;
    tx.task_by_row(row)
}

/// Gives a task another status and returns it.
pub(crate) fn set_status(tx: &dyn StoreWrite, row: RowId, status: Status) -> Result<Task> {
    let before = tx.task_by_row(row)?;
    tx.update_state(&Task { status, ..before.clone() }, before.generation)?;
    tx.task_by_row(row)
}

/// Ends a chunk with a status, and counts it in its batch.
pub(crate) fn end_chunk(tx: &dyn StoreWrite, row: RowId, status: Status) -> Result<Task> {
    let task = set_status(tx, row, status)?;
    tx.add_ended_chunks(task.parent_row.unwrap(), 1, i64::from(status != Status::Done))?;
    Ok(task)
}

/// Appends a receipt with this text.
pub(crate) fn report(tx: &dyn StoreWrite, row: RowId, text: &str) -> Result<u64> {
    tx.append_receipt(&tx.task_by_row(row)?, &NewReceipt { text, ..NewReceipt::default() })
}

/// The chunk in a row.
pub(crate) fn chunk(tx: &dyn StoreRead, row: RowId) -> Result<Chunk> {
    Ok(tx.chunk(&tx.task_by_row(row)?)?.expect("the task is a chunk"))
}

/// The item of a chunk with this key.
pub(crate) fn item(tx: &dyn StoreRead, chunk: RowId, key: &str) -> Result<StoredItem> {
    let items = tx.items(chunk, 0, 1_000, false)?;
    Ok(items.into_iter().find(|item| item.key == key).expect("the chunk has the item"))
}

/// Settles an item of a chunk, with a receipt.
pub(crate) fn settle(
    tx: &dyn StoreWrite,
    row: RowId,
    key: &str,
    outcome: Outcome,
    category: Option<&str>,
) -> Result<u64> {
    let report = NewReceipt {
        text: "settled",
        item: Some(key),
        outcome: Some(outcome.into()),
        category,
        ..NewReceipt::default()
    };
    let number = tx.append_receipt(&tx.task_by_row(row)?, &report)?;
    tx.settle_item(&chunk(tx, row)?, &item(tx, row, key)?, outcome, category, number)?;
    Ok(number)
}

/// Reports that work on an item of a chunk starts, under the chunk's current claim.
pub(crate) fn start(tx: &dyn StoreWrite, row: RowId, key: &str) -> Result<u64> {
    let task = tx.task_by_row(row)?;
    let report = NewReceipt { item: Some(key), outcome: Some(ItemReport::Started), ..NewReceipt::default() };
    let receipt = tx.append_receipt(&task, &report)?;
    tx.mark_started(&item(tx, row, key)?, StartedReport { receipt, generation: task.generation })?;
    Ok(receipt)
}

impl TestStore {
    /// The task in a row.
    pub(crate) fn get(&self, row: RowId) -> Task {
        self.read(move |tx| tx.task_by_row(row)).unwrap()
    }

    /// The batch in a row.
    pub(crate) fn get_batch(&self, row: RowId) -> Batch {
        self.read(move |tx| tx.batch(row)).unwrap().expect("the task is a batch")
    }

    /// The chunk in a row.
    pub(crate) fn get_chunk(&self, row: RowId) -> Chunk {
        self.read(move |tx| chunk(tx, row)).unwrap()
    }

    /// The item of a chunk with this key.
    pub(crate) fn get_item(&self, chunk: RowId, key: &str) -> StoredItem {
        let key = key.to_owned();
        self.read(move |tx| item(tx, chunk, &key)).unwrap()
    }

    /// The titles of the first 1,000 tasks that a filter selects.
    pub(crate) fn list(&self, filter: TaskFilter) -> Vec<String> {
        self.read(move |tx| Ok(titles(&tx.list(&filter, None, 1_000)?))).unwrap()
    }

    /// Claims a task.
    pub(crate) fn claim(&self, row: RowId, worker: &'static str, lease_seconds: i64) -> Task {
        self.write(move |tx| claim(tx, row, worker, lease_seconds)).unwrap()
    }

    /// Gives a task another status.
    pub(crate) fn set_status(&self, row: RowId, status: Status) -> Task {
        self.write(move |tx| set_status(tx, row, status)).unwrap()
    }

    /// Ends a chunk.
    pub(crate) fn end_chunk(&self, row: RowId, status: Status) -> Task {
        self.write(move |tx| end_chunk(tx, row, status)).unwrap()
    }

    /// Appends a receipt with this text.
    pub(crate) fn report(&self, row: RowId, text: &'static str) -> u64 {
        self.write(move |tx| report(tx, row, text)).unwrap()
    }

    /// Settles an item without a category.
    pub(crate) fn settle(&self, chunk: RowId, key: &'static str, outcome: Outcome) -> u64 {
        self.write(move |tx| settle(tx, chunk, key, outcome, None)).unwrap()
    }

    /// Settles an item with a category.
    pub(crate) fn settle_as(
        &self,
        chunk: RowId,
        key: &'static str,
        outcome: Outcome,
        category: &'static str,
    ) -> u64 {
        self.write(move |tx| settle(tx, chunk, key, outcome, Some(category))).unwrap()
    }

    /// Reports that work on an item starts.
    pub(crate) fn start(&self, chunk: RowId, key: &'static str) -> u64 {
        self.write(move |tx| start(tx, chunk, key)).unwrap()
    }

    /// The latest change number.
    pub(crate) fn latest_change(&self) -> u64 {
        self.read(|tx| tx.latest_change_number()).unwrap()
    }
}

/// The titles of tasks.
pub(crate) fn titles(tasks: &[Task]) -> Vec<String> {
    tasks.iter().map(|task| task.title.clone()).collect()
}
