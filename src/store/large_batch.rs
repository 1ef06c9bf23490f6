//! Large batches, which are inserted in several transactions and become visible with the last one.
//!
//! A batch reserves rows for its tasks, beyond the rows of all other tasks. Its items are inserted under the reserved rows
//! of their chunks, in transactions of [`super::WriteJob::precedes_parents`]. Every query reaches an item through its
//! chunk's task, so no reader sees it before the last transaction inserts the tasks and ends the reservation.
//!
//! A process holds the store's bulk lock from the reservation to its end. A reservation that exists while no process holds
//! the lock is left over from a crash.

use crate::error::Result;
use crate::model::content_hash::ContentHash;
use crate::model::id::TaskId;
use crate::model::task::{RowId, Task};

/// Rows of tasks that are reserved for a batch, or for chunks that are added to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The first row.
    pub first: RowId,
    /// How many rows.
    pub rows: u64,
    /// The row of the items' batch. For a new batch, this is the first row.
    pub batch: RowId,
    /// The layer of the batch's resource blocks that the new blocks make up.
    pub layer: u64,
}

impl Reservation {
    /// How many rows are left free for the tasks that others insert before a batch is published: more than are inserted in
    /// any time that a batch takes.
    pub(super) const GAP: i64 = 1 << 24;

    /// The rows of a new batch that are not for its chunks: the batch's task, then its finish task.
    const ROWS_BEFORE_CHUNKS: u64 = 2;

    /// How many rows a new batch of so many chunks needs.
    pub fn rows_of_new_batch(chunks: u64) -> u64 {
        chunks + Reservation::ROWS_BEFORE_CHUNKS
    }

    /// The row of the first chunk.
    pub fn first_chunk(&self) -> RowId {
        if self.batch == self.first {
            self.first + Reservation::ROWS_BEFORE_CHUNKS.cast_signed()
        } else {
            self.first
        }
    }
}

/// A chunk whose task is not inserted yet.
#[derive(Debug)]
pub struct UnpublishedChunk {
    /// The reserved row of its task.
    pub row: RowId,
    /// Its number in the batch, from 1.
    pub number: u64,
    /// The id of its task.
    pub id: TaskId,
    /// The title of its task.
    pub title: String,
    /// What its items have in common.
    pub span: String,
    /// How many items it holds.
    pub items: u64,
    /// The bytes of their keys and fields.
    pub items_bytes: u64,
    /// The hash of its items.
    pub items_hash: ContentHash,
}

/// Reads reservations.
pub trait BulkRead {
    /// All reservations.
    fn reservations(&self) -> Result<Vec<Reservation>>;
}

/// Inserts rows that are not visible yet, and publishes them.
pub trait BulkWrite {
    /// Reserves rows for a new batch, or for chunks of a stored one.
    fn reserve_rows(&self, rows: u64, batch: Option<RowId>) -> Result<Reservation>;
    /// Inserts an item of a chunk whose row is reserved, without its key.
    fn insert_item_without_key(
        &self,
        batch: RowId,
        chunk: RowId,
        position: u64,
        key: &str,
        fields: &str,
    ) -> Result<()>;
    /// Inserts the key of such an item.
    fn insert_item_key(&self, batch: RowId, key: &str, chunk: RowId, position: u64) -> Result<()>;
    /// Inserts a chunk with a reserved row. [`BulkWrite::publish_chunks`] makes it visible.
    fn insert_unpublished_chunk(&self, chunk: &UnpublishedChunk) -> Result<()>;
    /// Ends a reservation, in the transaction that inserts its tasks.
    ///
    /// # Errors
    /// `busy` if the reservation was ended already, or if other tasks have been inserted into its rows.
    fn end_reservation(&self, reservation: &Reservation) -> Result<()>;
    /// Inserts the tasks and the chunks of all unpublished chunks. `first` is the task of the first one: the others differ
    /// from it in row, id, title and number only. With `hold`, each task has a hold.
    fn publish_chunks(&self, batch: RowId, first: &Task, hold: bool) -> Result<()>;
    /// Deletes up to `limit` rows that were inserted under a reservation. Returns whether all are deleted: then the
    /// reservation is ended, too. Deletes nothing if the reservation was ended before.
    fn delete_unpublished(&self, reservation: &Reservation, limit: usize) -> Result<bool>;
}
