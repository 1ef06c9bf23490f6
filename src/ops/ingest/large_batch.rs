//! Inserts a large batch in slices, each a transaction of its own: other writers wait for one slice, not for the batch.
//! The slices are not visible before the batch is published; see [`crate::store::BulkWrite`].

use std::time::{Duration, Instant};

use super::chunk_plan::NewChunk;
use crate::error::{Code, Error, Result};
use crate::items::Staging;
use crate::model::conflict::ChunkRef;
use crate::model::content_hash::{ContentHash, NO_ITEMS, items_hash};
use crate::model::id::TaskId;
use crate::model::task::{RowId, Task};
use crate::ops::Session;
use crate::ops::conflicts::detect::TouchedResources;
use crate::ops::conflicts::resolve::Resolution;
use crate::ops::request::progress::Progress;
use crate::store::{Reservation, StoreRead, StoreWrite, UnpublishedChunk};

/// From how many items on a batch is inserted in slices. One transaction inserts fewer in a tenth of a second.
pub(in crate::ops) const LARGE_BATCH: u64 = 10_000;

/// How long a slice should hold the write lock.
const SLICE_TIME: Duration = Duration::from_millis(50);
/// The fewest and the most rows of a slice.
const SLICE_ROWS: (usize, usize) = (500, 20_000);
/// The size of its texts at which a slice ends.
const SLICE_BYTES: usize = 4 << 20;
/// How many rows of a batch that was not published one transaction deletes.
const DELETED_ROWS: usize = 2_000;
/// How long a large batch waits for another one.
const BULK_WAIT: Duration = Duration::from_secs(120);

/// A row of a slice.
enum Row {
    Item { chunk: RowId, position: u64, key: String, fields: String },
    Key { chunk: RowId, position: u64, key: String },
    Chunk(Box<UnpublishedChunk>),
    Block(Vec<(String, Vec<RowId>)>),
    Shared { chunk: RowId, is_stored: bool, key: String, descendants_only: bool },
}

impl Row {
    fn bytes(&self) -> usize {
        match self {
            Row::Item { key, fields, .. } => key.len() + fields.len(),
            Row::Key { key, .. } | Row::Shared { key, .. } => key.len(),
            Row::Chunk(chunk) => chunk.title.len() + chunk.span.len(),
            Row::Block(block) => block.iter().map(|(key, chunks)| key.len() + 8 * chunks.len()).sum(),
        }
    }

    fn insert(&self, tx: &dyn StoreWrite, reservation: &Reservation, project: Option<&str>) -> Result<()> {
        let Reservation { batch, layer, .. } = *reservation;
        match self {
            Row::Item { chunk, position, key, fields } => {
                tx.insert_item_without_key(batch, *chunk, *position, key, fields)
            }
            Row::Key { chunk, position, key } => tx.insert_item_key(batch, key, *chunk, *position),
            Row::Chunk(chunk) => tx.insert_unpublished_chunk(chunk),
            Row::Block(block) => tx.insert_resource_block(batch, layer, block),
            Row::Shared { chunk, is_stored: false, key, descendants_only } => {
                tx.add_shared_resource(*chunk, project, key, *descendants_only)
            }
            Row::Shared { chunk, is_stored: true, key, descendants_only } => {
                tx.add_shared_resource_of_stored_chunk(*chunk, project, key, *descendants_only)
            }
        }
    }
}

/// The items of a new chunk.
#[derive(Clone, Copy)]
struct ChunkContent {
    /// The bytes of keys and fields.
    bytes: u64,
    hash: ContentHash,
}

/// New chunks of a batch.
pub(in crate::ops) struct NewChunks<'a> {
    pub(in crate::ops) batch: &'a TaskId,
    /// The number of the first one.
    pub(in crate::ops) first_number: u64,
    /// How many digits a number has in an id.
    pub(in crate::ops) width: usize,
    pub(in crate::ops) chunks: &'a [NewChunk],
}

/// The reserved rows of a large batch, with its slices so far. They are deleted when this is dropped, unless the batch
/// was published.
pub(in crate::ops) struct Slices<'a> {
    session: &'a Session,
    pub(in crate::ops) reservation: Reservation,
    /// The project of the batch.
    project: Option<String>,
    rows: Vec<Row>,
    bytes: usize,
    /// How many rows the next slice has.
    limit: usize,
    /// No other process inserts a large batch meanwhile.
    _lock: Box<dyn Send>,
}

impl<'a> Slices<'a> {
    /// Reserves rows for the tasks of a new batch with so many chunks. Deletes what earlier processes left.
    ///
    /// # Errors
    /// `busy` if another large batch is being inserted for too long.
    pub(in crate::ops) fn of_new_batch(
        session: &'a Session,
        chunks: u64,
        project: Option<String>,
    ) -> Result<Self> {
        Slices::new(session, Reservation::rows_of_new_batch(chunks), None, project)
    }

    /// Reserves rows for the tasks of new chunks of a batch. From now on, only these slices add items to it.
    ///
    /// # Errors
    /// As [`Slices::of_new_batch`].
    pub(in crate::ops) fn of_stored_batch(
        session: &'a Session,
        batch: &Task,
        most_chunks: u64,
    ) -> Result<Self> {
        Slices::new(session, most_chunks, Some(batch.row), batch.project.clone())
    }

    fn new(session: &'a Session, rows: u64, batch: Option<RowId>, project: Option<String>) -> Result<Self> {
        let lock = session.lock_bulk(BULK_WAIT)?;
        delete_leftovers(session)?;
        let reservation = session.write(move |tx| tx.reserve_rows(rows, batch))?;
        Ok(Slices {
            session,
            reservation,
            project,
            rows: Vec::new(),
            bytes: 0,
            limit: SLICE_ROWS.1 / 4,
            _lock: lock,
        })
    }

    /// The rows of so many chunks.
    pub(in crate::ops) fn chunk_rows(&self, chunks: usize) -> Vec<RowId> {
        (self.reservation.first_chunk()..).take(chunks).collect()
    }

    /// Inserts new chunks of a batch with their items and the resources that they touch. What is still missing are the
    /// tasks, and the resources that chunks share. The chunks are numbered from `first_number`; `order` is the order of
    /// the items in the chunks, none for the order in which they are staged.
    ///
    /// # Errors
    /// If the store cannot be written, or a temporary file cannot be read.
    pub(in crate::ops) fn insert(
        &mut self,
        chunks: NewChunks<'_>,
        staging: &mut Staging,
        order: Option<&[u32]>,
        resources: Option<&mut TouchedResources>,
    ) -> Result<()> {
        let rows = self.chunk_rows(chunks.chunks.len());
        let contents = self.insert_items(staging, order, &rows, chunks.chunks)?;
        let numbers = chunks.first_number..;
        for (((row, number), chunk), content) in rows.iter().zip(numbers).zip(chunks.chunks).zip(contents) {
            self.push(Row::Chunk(Box::new(UnpublishedChunk {
                row: *row,
                number,
                id: chunks.batch.chunk(number, chunks.width),
                title: chunk.title.clone(),
                span: chunk.span.clone(),
                items: chunk.items,
                items_bytes: content.bytes,
                items_hash: content.hash,
            })))?;
        }
        if let Some(resources) = resources {
            resources.for_each_block(&rows, &mut |block| self.push(Row::Block(block)))?;
        }
        Ok(())
    }

    /// Inserts first the items in the order of the chunks, then the keys in the order of the keys, so that both tables are
    /// only appended to. Returns the size and the hash of each chunk's items.
    fn insert_items(
        &mut self,
        staging: &mut Staging,
        order: Option<&[u32]>,
        rows: &[RowId],
        chunks: &[NewChunk],
    ) -> Result<Vec<ChunkContent>> {
        let reporter = self.session.progress();
        let mut progress = Progress { read: staging.item_count(), stored: 0 };
        let mut contents = vec![ChunkContent { bytes: 0, hash: NO_ITEMS }; chunks.len()];
        let mut places = (0..)
            .zip(rows.iter().zip(chunks))
            .flat_map(|(index, (row, chunk))| (1..=chunk.items).map(move |position| (index, *row, position)));
        staging.for_each(order, &mut |key, fields| {
            let (index, chunk, position): (usize, _, _) = places.next().ok_or_else(too_many_items)?;
            progress.stored += 1;
            reporter.report(progress);
            let content = &mut contents[index];
            content.bytes += (key.len() + fields.len()) as u64;
            content.hash = items_hash(&content.hash, key, fields);
            self.push(Row::Item { chunk, position, key: key.to_owned(), fields: fields.to_owned() })
        })?;
        // How many items come before each chunk.
        let mut starts = Vec::with_capacity(chunks.len());
        let mut total = 0;
        for chunk in chunks {
            starts.push(total);
            total += chunk.items;
        }
        staging.for_each_key(order, &mut |key, index| {
            let index = u64::from(index);
            let chunk = starts.partition_point(|start| *start <= index).checked_sub(1);
            let (Some(chunk), true) = (chunk, index < total) else { return Err(too_many_items()) };
            let position = 1 + index - starts[chunk];
            self.push(Row::Key { chunk: rows[chunk], position, key: key.to_owned() })
        })?;
        Ok(contents)
    }

    /// Inserts what chunks share, with each other and with chunks of running batches. A row for a chunk of a running
    /// batch remains if the batch is not published: it is true in any case that the chunk touches the resource, and it
    /// excludes no claim while no other chunk has a row for the same resource.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(in crate::ops) fn insert_shared(&mut self, resolution: &mut Resolution) -> Result<()> {
        let first = self.reservation.first_chunk();
        resolution.for_each_shared(&mut |owner, key, descendants_only| {
            let (chunk, is_stored) = match owner {
                ChunkRef::Planned(chunk) => (first + RowId::from(chunk), false),
                ChunkRef::Stored(row) => (row, true),
            };
            self.push(Row::Shared { chunk, is_stored, key: key.to_owned(), descendants_only })
        })
    }

    fn push(&mut self, row: Row) -> Result<()> {
        self.bytes += row.bytes();
        self.rows.push(row);
        if self.rows.len() >= self.limit || self.bytes >= SLICE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Inserts the rows that were collected.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub(in crate::ops) fn flush(&mut self) -> Result<()> {
        let count = self.rows.len();
        if count == 0 {
            return Ok(());
        }
        let (reservation, project) = (self.reservation, self.project.clone());
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        let (mut rows, elapsed) = self.session.write_before_parents(rows, move |tx, rows| {
            let started = Instant::now();
            rows.iter().try_for_each(|row| row.insert(tx, &reservation, project.as_deref()))?;
            Ok(started.elapsed())
        })?;
        // The vector is used again.
        rows.clear();
        self.rows = rows;
        // On a slow machine, slices have fewer rows.
        let in_slice_time = SLICE_TIME.as_micros() * count as u128 / elapsed.as_micros().max(1);
        let (least, most) = SLICE_ROWS;
        self.limit = usize::try_from(in_slice_time).unwrap_or(most).clamp(least, most);
        Ok(())
    }
}

impl Drop for Slices<'_> {
    fn drop(&mut self) {
        if let Err(error) = delete(self.session, self.reservation) {
            tracing::warn!(%error, "some items of a batch that was not created are left; the next create_batch() deletes them");
        }
    }
}

fn too_many_items() -> Error {
    Error::new(Code::Internal, "there are more items than the chunks have places for")
}

/// Deletes what processes left that ended while they inserted a large batch, unless a process inserts one now.
///
/// # Errors
/// If the store cannot be read or written.
pub(in crate::ops) fn delete_leftovers_if_any(session: &Session) -> Result<()> {
    if session.read(|tx| tx.reservations())?.is_empty() {
        return Ok(());
    }
    match session.lock_bulk(Duration::ZERO) {
        Ok(_lock) => delete_leftovers(session),
        // Another process inserts a large batch. It has deleted the leftovers first.
        Err(error) if error.code == Code::Busy => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a process adds items to a batch in slices, or ended while it did.
///
/// # Errors
/// If the store cannot be read.
pub(in crate::ops) fn is_being_extended(tx: &dyn StoreRead, batch: RowId) -> Result<bool> {
    Ok(tx.reservations()?.iter().any(|reservation| reservation.batch == batch))
}

/// Waits until no other process inserts a large batch, and deletes what such processes left.
///
/// # Errors
/// `busy` if another large batch is being inserted for too long.
pub(in crate::ops) fn wait_for_slices(session: &Session) -> Result<()> {
    let _lock = session.lock_bulk(BULK_WAIT)?;
    delete_leftovers(session)
}

/// Deletes everything under all reservations. The caller holds the bulk lock.
fn delete_leftovers(session: &Session) -> Result<()> {
    for reservation in session.read(|tx| tx.reservations())? {
        delete(session, reservation)?;
    }
    Ok(())
}

/// Deletes what was inserted under a reservation, if it was not published.
fn delete(session: &Session, reservation: Reservation) -> Result<()> {
    if !session.read(move |tx| Ok(tx.reservations()?.contains(&reservation)))? {
        return Ok(());
    }
    let delete = move |tx: &dyn StoreWrite, (): &mut ()| tx.delete_unpublished(&reservation, DELETED_ROWS);
    while !session.write_before_parents((), delete)?.1 {}
    Ok(())
}
