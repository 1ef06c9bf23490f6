//! Large batches: rows are filled in several transactions, and published by the last one.

use tasktally::error::Code;
use tasktally::model::batch::Batch;
use tasktally::model::status::Outcome;
use tasktally::model::task::Task;
use tasktally::store::TaskFilter;
use tasktally::store::chains::verify_chains;

use crate::actions::titles;
use crate::build::{BatchPlan, fields};
use crate::build_bulk::{delete, fill_new, publish, publish_new, reservations};
use crate::stores::{TestStore, conformance};

conformance! {
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

    fn tasks_that_are_inserted_meanwhile_get_other_rows(store: &TestStore) {
        let plan = BatchPlan::of(2, 1);
        let reservation = fill_new(store, &plan);
        let meanwhile = store.batch(BatchPlan::of(3, 1));
        let reserved = reservation.first..reservation.first + 4;
        let rows = meanwhile.chunks.iter().chain([&meanwhile.task]).map(|task| task.row);
        assert!(rows.into_iter().all(|row| !reserved.contains(&row)), "{reservation:?}");
        publish_new(store, &plan, reservation);
        let after = store.task("after").row;
        assert!(after > reservation.first_chunk() + 1 && after > meanwhile.chunk(3), "{after}");
        let batches = store.read(|tx| tx.batches(None, None, 10)).unwrap();
        let mut rows: Vec<_> = batches.iter().map(|task| task.row).collect();
        rows.sort_unstable();
        let mut expected = [reservation.first, meanwhile.row()];
        expected.sort_unstable();
        assert_eq!(rows, expected);
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
}
