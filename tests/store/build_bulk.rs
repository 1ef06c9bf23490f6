//! The transactions of a large batch.

use tasktally::error::Result;
use tasktally::model::content_hash::{NO_ITEMS, items_hash};
use tasktally::model::task::{RowId, Task};
use tasktally::store::{NewTask, Reservation, StoreWrite, UnpublishedChunk};

use crate::build::{BatchPlan, fields, key};
use crate::stores::TestStore;

/// Reserves rows.
pub(crate) fn reserve(store: &TestStore, rows: u64, batch: Option<RowId>) -> Reservation {
    store.write(move |tx| tx.reserve_rows(rows, batch)).unwrap()
}

/// Inserts the items of the chunks of a plan under reserved rows. The chunks are numbered from `first`.
pub(crate) fn fill(store: &TestStore, plan: &BatchPlan, reservation: Reservation, first: u64) {
    let plan = plan.clone();
    let insert = move |tx: &dyn StoreWrite| {
        for ((row, number), items) in (reservation.first_chunk()..).zip(first..).zip(&plan.items) {
            let (mut bytes, mut hash) = (0, NO_ITEMS);
            for position in 1..=*items {
                let key = key(number, position);
                let fields = fields(&key);
                tx.insert_item_without_key(reservation.batch, row, position, &key, &fields)?;
                tx.insert_item_key(reservation.batch, &key, row, position)?;
                bytes += (key.len() + fields.len()) as u64;
                hash = items_hash(&hash, &key, &fields);
            }
            tx.insert_unpublished_chunk(&UnpublishedChunk {
                row,
                number,
                id: plan.task.id.chunk(number, 2),
                title: format!("chunk {number}"),
                span: format!("span {number}"),
                items: *items,
                items_bytes: bytes,
                items_hash: hash,
            })?;
        }
        Ok(())
    };
    store.write_before_parents(insert).unwrap();
}

/// Reserves rows for a new batch and inserts its items.
pub(crate) fn fill_new(store: &TestStore, plan: &BatchPlan) -> Reservation {
    let rows = Reservation::rows_of_new_batch(plan.items.len() as u64);
    let reservation = reserve(store, rows, None);
    fill(store, plan, reservation, 1);
    reservation
}

/// The last transaction of a new batch.
pub(crate) fn publish(
    tx: &dyn StoreWrite,
    plan: &BatchPlan,
    reservation: Reservation,
    hold: bool,
) -> Result<()> {
    let row = reservation.first;
    tx.end_reservation(&reservation)?;
    let initial_text = &plan.batch.instructions;
    tx.insert_task_at(&NewTask { task: &Task { row, ..plan.task.clone() }, initial_text }, row)?;
    tx.insert_batch(&plan.batch_in(row))?;
    let first = Task { row: reservation.first_chunk(), ..plan.chunk_task(row, 1) };
    tx.publish_chunks(row, &first, hold)
}

/// Publishes a new batch.
pub(crate) fn publish_new(store: &TestStore, plan: &BatchPlan, reservation: Reservation) {
    let plan = plan.clone();
    store.write(move |tx| publish(tx, &plan, reservation, false)).unwrap();
}

/// The reservations of a store.
pub(crate) fn reservations(store: &TestStore) -> Vec<Reservation> {
    store.read(|tx| tx.reservations()).unwrap()
}

/// Deletes everything under a reservation, a few rows at a time. Returns in how many transactions.
pub(crate) fn delete(store: &TestStore, reservation: Reservation) -> usize {
    (1..100).find(|_| store.write(move |tx| tx.delete_unpublished(&reservation, 2)).unwrap()).unwrap()
}
