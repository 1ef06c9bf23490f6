//! Reservations of rows: for a new batch, for chunks of a stored one, and how they end.

use std::time::Duration;

use tasktally::error::Code;
use tasktally::model::task::Task;
use tasktally::store::{NewTask, TaskFilter};

use crate::build::{BatchPlan, insert, new_task};
use crate::build_bulk::{delete, fill, fill_new, publish_new, reservations, reserve};
use crate::stores::{TestStore, conformance};

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
