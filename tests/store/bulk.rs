//! Large batches: rows are reserved, filled in several transactions, and published by the last one.

use std::time::Duration;

use tasktally::error::{Code, Result};
use tasktally::model::batch::Batch;
use tasktally::model::content_hash::{NO_ITEMS, items_hash};
use tasktally::model::status::Outcome;
use tasktally::model::task::{RowId, Task};
use tasktally::store::chains::verify_chains;
use tasktally::store::{NewTask, Reservation, StoreWrite, TaskFilter, UnpublishedChunk};

use crate::actions::titles;
use crate::build::{BatchPlan, fields, insert, key, new_task};
use crate::stores::{TestStore, conformance};

/// Reserves rows.
fn reserve(store: &TestStore, rows: u64, batch: Option<RowId>) -> Reservation {
    store.write(move |tx| tx.reserve_rows(rows, batch)).unwrap()
}

/// Inserts the items of the chunks of a plan under reserved rows. The chunks are numbered from `first`.
fn fill(store: &TestStore, plan: &BatchPlan, reservation: Reservation, first: u64) {
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
fn fill_new(store: &TestStore, plan: &BatchPlan) -> Reservation {
    let rows = Reservation::rows_of_new_batch(plan.items.len() as u64);
    let reservation = reserve(store, rows, None);
    fill(store, plan, reservation, 1);
    reservation
}

/// The last transaction of a new batch.
fn publish(tx: &dyn StoreWrite, plan: &BatchPlan, reservation: Reservation, hold: bool) -> Result<()> {
    let row = reservation.first;
    tx.end_reservation(&reservation)?;
    let initial_text = &plan.batch.instructions;
    tx.insert_task_at(&NewTask { task: &Task { row, ..plan.task.clone() }, initial_text }, row)?;
    tx.insert_batch(&plan.batch_in(row))?;
    let first = Task { row: reservation.first_chunk(), ..plan.chunk_task(row, 1) };
    tx.publish_chunks(row, &first, hold)
}

/// Publishes a new batch.
fn publish_new(store: &TestStore, plan: &BatchPlan, reservation: Reservation) {
    let plan = plan.clone();
    store.write(move |tx| publish(tx, &plan, reservation, false)).unwrap();
}

/// The reservations of a store.
fn reservations(store: &TestStore) -> Vec<Reservation> {
    store.read(|tx| tx.reservations()).unwrap()
}

/// Deletes everything under a reservation, a few rows at a time. Returns in how many transactions.
fn delete(store: &TestStore, reservation: Reservation) -> usize {
    (1..100).find(|_| store.write(move |tx| tx.delete_unpublished(&reservation, 2)).unwrap()).unwrap()
}

conformance! {
    fn reserved_rows_are_beyond_those_of_all_tasks(store: &TestStore) {
        let last = store.task("before").row;
        let reservation = reserve(store, 5, None);
        assert!(reservation.first > last, "{reservation:?}");
        assert_eq!((reservation.rows, reservation.batch, reservation.layer), (5, reservation.first, 0));
        assert_eq!(reservation.first_chunk(), reservation.first + 2);
        assert_eq!(reservations(store), [reservation]);
        delete(store, reservation);
    }

    fn reservations_do_not_overlap(store: &TestStore) {
        let first = reserve(store, 1_000, None);
        let second = reserve(store, 3, None);
        assert!(second.first >= first.first + 1_000, "{first:?} {second:?}");
        assert_eq!(reservations(store), [first, second]);
        delete(store, first);
        assert_eq!(reservations(store), [second]);
        delete(store, second);
    }

    fn a_reservation_stays_after_the_store_was_closed(store: &TestStore) {
        let plan = BatchPlan::of(1, 2);
        let reservation = fill_new(store, &plan);
        store.reopen();
        assert_eq!(reservations(store), [reservation]);
        publish_new(store, &plan, reservation);
        assert_eq!(store.list(TaskFilter::children_of(reservation.first)), ["chunk 1"]);
    }

    fn rows_that_are_not_published_are_invisible(store: &TestStore) {
        let plan = BatchPlan::of(2, 2);
        let before = store.task("before").change_number;
        let reservation = fill_new(store, &plan);
        let (row, id) = (reservation.batch, plan.task.id);
        assert_eq!(store.list(TaskFilter::default()), ["before"]);
        assert_eq!(store.latest_change(), before);
        let code = store.read(move |tx| tx.task(&id)).unwrap_err().code;
        assert_eq!(code, Code::NotFound);
        store
            .read(move |tx| {
                assert_eq!(tx.count_tasks(&TaskFilter::default())?.count, 1);
                assert!(tx.batch(row)?.is_none() && tx.chunks(row, 0, 10)?.is_empty());
                assert!(tx.item(row, "1.1")?.is_none() && !tx.has_item(row, "1.1")?);
                assert!(tx.batches(None, None, 10)?.is_empty() && tx.children(row, 10)?.is_empty());
                assert_eq!((tx.items_bytes(None)?, tx.count_batches(None)?), (0, 0));
                assert!(tx.running_batches(None)?.is_empty() && tx.chunks_changed_since(0)?.is_empty());
                assert_eq!(tx.first_count_mismatch()?, None);
                assert_eq!(verify_chains(tx, Vec::new())?.problem, None);
                Ok(())
            })
            .unwrap();
        delete(store, reservation);
    }

    fn a_published_batch_is_like_one_of_a_single_transaction(store: &TestStore) {
        let plan = BatchPlan::of(2, 3).in_project("p");
        let reservation = fill_new(store, &plan);
        publish_new(store, &plan, reservation);
        let other = store.batch(BatchPlan::of(2, 3).in_project("p"));
        let row = reservation.first;
        assert_eq!(store.get_batch(row), Batch { row, ..store.get_batch(other.row()) });
        let children = store.read(move |tx| tx.list(&TaskFilter::children_of(row), None, 10)).unwrap();
        assert_eq!(children.iter().map(|task| task.row).collect::<Vec<_>>(), [row + 2, row + 3]);
        for (task, like) in children.iter().zip(&other.chunks) {
            let expected = Task {
                row: task.row,
                id: task.id.clone(),
                parent: Some(plan.task.id.clone()),
                parent_row: Some(row),
                created: task.created,
                updated: task.updated,
                change_number: task.change_number,
                ..like.clone()
            };
            assert_eq!(*task, expected);
            let (chunk, like) = (store.get_chunk(task.row), store.get_chunk(like.row));
            assert_eq!((chunk.number, &chunk.span, chunk.counts), (like.number, &like.span, like.counts));
            assert_eq!((chunk.batch_row, chunk.batch_id), (row, plan.task.id.clone()));
        }
        assert_eq!(children[1].id, plan.task.id.chunk(2, 2));
    }

    fn the_items_of_a_published_batch_are_found(store: &TestStore) {
        let plan = BatchPlan::of(2, 3);
        let reservation = fill_new(store, &plan);
        publish_new(store, &plan, reservation);
        let row = reservation.first;
        let item = store.read(move |tx| tx.item(row, "2.3")).unwrap().unwrap();
        assert_eq!((item.chunk_row, item.position, item.json), (row + 3, 3, fields("2.3")));
        let keys = store.read(move |tx| tx.items(row + 3, 0, 10, true)).unwrap();
        assert_eq!(keys.iter().map(|item| item.key.as_str()).collect::<Vec<_>>(), ["2.1", "2.2", "2.3"]);
        // An item has 3 bytes of a key and 12 of fields.
        assert_eq!(store.read(|tx| tx.items_bytes(None)).unwrap(), 6 * 15);
        let report = store.read(|tx| verify_chains(tx, Vec::new())).unwrap();
        assert_eq!((report.problem, report.items, report.unhashed), (None, 6, 0));
        store.settle(row + 3, "2.3", Outcome::Done);
        assert_eq!(store.get_batch(row).counts.done, 1);
    }

    fn published_chunks_are_counted_and_have_change_numbers(store: &TestStore) {
        let before = store.task("before").change_number;
        let plan = BatchPlan::of(3, 1).titled("batch");
        let reservation = fill_new(store, &plan);
        publish_new(store, &plan, reservation);
        let total = store.read(|tx| tx.count_tasks(&TaskFilter { ready: true, ..TaskFilter::default() }));
        assert_eq!(total.unwrap().count, 4);
        let found = store.read(move |tx| tx.tasks_changed_since(&TaskFilter::default(), before, 10)).unwrap();
        assert_eq!(titles(&found), ["batch", "chunk 1", "chunk 2", "chunk 3"]);
        assert!(found.is_sorted_by(|one, next| one.change_number < next.change_number));
        assert_eq!(found.last().unwrap().change_number, store.latest_change());
        let row = reservation.first;
        let changed = store.read(move |tx| tx.count_children_with_status_changed_since(row, before)).unwrap();
        assert_eq!(changed, 3);
    }

    fn chunks_can_be_published_with_a_hold(store: &TestStore) {
        let plan = BatchPlan::of(2, 1);
        let reservation = fill_new(store, &plan);
        store.write(move |tx| publish(tx, &plan, reservation, true)).unwrap();
        let task = store.get(reservation.first_chunk() + 1);
        assert_eq!((task.hold_count, task.blocker_count, task.backoff_until), (1, 1, None));
        assert!(store.list(TaskFilter { ready: true, ..TaskFilter::default() }).is_empty());
        store.write(move |tx| tx.release_holds(task.row)).unwrap();
        assert_eq!(store.list(TaskFilter { ready: true, ..TaskFilter::default() }), ["chunk 2"]);
    }

    fn the_publication_of_no_chunks_changes_nothing(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, first) = (batch.row(), batch.chunks[0].clone());
        let before = store.latest_change();
        store.write(move |tx| tx.publish_chunks(row, &first, false)).unwrap();
        assert_eq!((store.latest_change(), store.get_batch(row).chunk_count), (before, 1));
    }

    fn tasks_that_are_inserted_meanwhile_precede_the_batch(store: &TestStore) {
        let plan = BatchPlan::of(2, 1);
        let reservation = fill_new(store, &plan);
        let meanwhile = store.batch(BatchPlan::of(3, 1));
        assert!(meanwhile.chunk(3) < reservation.first);
        publish_new(store, &plan, reservation);
        let after = store.task("after").row;
        assert!(after > reservation.first_chunk() + 1, "{after} {reservation:?}");
        let batches = store.read(|tx| tx.batches(None, None, 10)).unwrap();
        assert_eq!(
            batches.iter().map(|task| task.row).collect::<Vec<_>>(),
            [reservation.first, meanwhile.row()]
        );
    }

    fn a_publication_that_is_rolled_back_can_be_repeated(store: &TestStore) {
        let plan = BatchPlan::of(2, 1);
        let reservation = fill_new(store, &plan);
        let given = plan.clone();
        store.write_and_roll_back(move |tx| publish(tx, &given, reservation, false)).unwrap();
        assert_eq!(reservations(store), [reservation]);
        assert!(store.list(TaskFilter::default()).is_empty());
        publish_new(store, &plan, reservation);
        assert!(reservations(store).is_empty());
        assert_eq!(store.list(TaskFilter::default()).len(), 3);
    }

    fn a_reservation_ends_once(store: &TestStore) {
        let reservation = reserve(store, 3, None);
        store.write(move |tx| tx.end_reservation(&reservation)).unwrap();
        assert!(reservations(store).is_empty());
        let error = store.write(move |tx| tx.end_reservation(&reservation)).unwrap_err();
        assert_eq!(error.code, Code::Busy);
    }

    fn a_reservation_whose_rows_were_taken_cannot_be_published(store: &TestStore) {
        let reservation = reserve(store, 3, None);
        let taken = new_task("taken");
        store
            .write(move |tx| {
                tx.insert_task_at(&NewTask { task: &taken, initial_text: "" }, reservation.first)
            })
            .unwrap();
        let error = store.write(move |tx| tx.end_reservation(&reservation)).unwrap_err();
        assert_eq!(error.code, Code::Busy);
        assert_eq!(reservations(store), [reservation]);
        delete(store, reservation);
        assert_eq!(store.get(reservation.first).title, "taken");
    }

    fn rows_that_are_not_published_are_deleted_a_few_at_a_time(store: &TestStore) {
        let plan = BatchPlan::of(2, 4);
        let reservation = fill_new(store, &plan);
        assert!(delete(store, reservation) > 2);
        assert!(reservations(store).is_empty());
        // The same rows and keys can be used again.
        let again = fill_new(store, &plan);
        publish_new(store, &plan, again);
        assert_eq!(store.get_batch(again.first).counts.total, 8);
    }

    fn nothing_is_deleted_after_the_end_of_a_reservation(store: &TestStore) {
        let plan = BatchPlan::of(1, 2);
        let reservation = fill_new(store, &plan);
        publish_new(store, &plan, reservation);
        assert_eq!(delete(store, reservation), 1);
        let row = reservation.first;
        assert!(store.read(move |tx| tx.has_item(row, "1.2")).unwrap());
        assert_eq!(store.list(TaskFilter::children_of(row)), ["chunk 1"]);
    }

    fn chunks_are_added_to_a_stored_batch(store: &TestStore) {
        let plan = BatchPlan::of(2, 2);
        let batch = store.batch(plan.clone());
        let row = batch.row();
        let reservation = reserve(store, 2, Some(row));
        assert_eq!((reservation.batch, reservation.first_chunk()), (row, reservation.first));
        fill(store, &plan, reservation, 3);
        let has = move || store.read(move |tx| tx.has_item(row, "3.1")).unwrap();
        assert!(!has() && store.get_batch(row).chunk_count == 2);
        store
            .write(move |tx| {
                tx.end_reservation(&reservation)?;
                tx.grow_batch(row, 2, 4)?;
                let first = Task { row: reservation.first, ..plan.chunk_task(row, 3) };
                tx.publish_chunks(row, &first, false)
            })
            .unwrap();
        assert!(has());
        let children = store.list(TaskFilter::children_of(row));
        assert_eq!(children, ["chunk 1", "chunk 2", "chunk 3", "chunk 4"]);
        let chunks = store.read(move |tx| tx.chunks(row, 2, 10)).unwrap();
        assert_eq!(chunks.iter().map(|(chunk, _)| chunk.number).collect::<Vec<_>>(), [3, 4]);
    }

    fn a_key_of_the_stored_batch_is_refused(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).row();
        let reservation = reserve(store, 1, Some(row));
        store
            .write_before_parents(move |tx| {
                tx.insert_item_without_key(row, reservation.first, 1, "1.1", "{}")?;
                tx.insert_item_key(row, "1.1", reservation.first, 1)
            })
            .unwrap_err();
        delete(store, reservation);
        assert!(store.read(move |tx| tx.has_item(row, "1.1")).unwrap());
    }

    fn a_new_layer_of_resources_counts_when_it_is_published(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, chunk) = (batch.row(), batch.chunk(1));
        let layers = || store.read(move |tx| tx.count_resource_layers(row)).unwrap();
        store.write(move |tx| tx.insert_resource_block(row, 0, &[("a".to_owned(), vec![chunk])])).unwrap();
        for is_published in [false, true] {
            let reservation = reserve(store, 1, Some(row));
            assert_eq!(reservation.layer, 1);
            let block = [("b".to_owned(), vec![reservation.first])];
            store
                .write_before_parents(move |tx| {
                    tx.insert_resource_block(row, reservation.layer, &block)?;
                    tx.add_shared_resource(reservation.first, None, "b", false)
                })
                .unwrap();
            assert_eq!(layers(), 1);
            if is_published {
                store.write(move |tx| tx.end_reservation(&reservation)).unwrap();
            } else {
                delete(store, reservation);
            }
            assert_eq!(layers(), 1 + u64::from(is_published));
        }
    }

    fn published_chunks_share_their_resources(store: &TestStore) {
        let plan = BatchPlan::of(2, 1);
        let reservation = fill_new(store, &plan);
        let first = reservation.first_chunk();
        store
            .write_before_parents(move |tx| {
                tx.add_shared_resource(first, None, "a", false)?;
                tx.add_shared_resource(first + 1, None, "a", false)
            })
            .unwrap();
        publish_new(store, &plan, reservation);
        store.claim(first + 1, "w", 60);
        let found = store.read(move |tx| tx.resource_in_use(first)).unwrap().unwrap();
        assert_eq!((found.chunk, found.resource.as_str()), (first + 1, "a"));
    }

    fn one_caller_at_a_time_holds_the_bulk_lock(store: &TestStore) {
        let held = store.store().lock_bulk(Duration::from_secs(60)).unwrap();
        let error = store.store().lock_bulk(Duration::from_millis(20)).map(|_| ()).unwrap_err();
        assert_eq!(error.code, Code::Busy);
        // It keeps no other write from the store.
        store.write(|tx| insert(tx, &new_task("meanwhile"), "")).unwrap();
        drop(held);
        store.store().lock_bulk(Duration::from_secs(60)).unwrap();
    }
}
