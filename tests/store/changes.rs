//! Change numbers: which writes assign one, and what a reader finds after a number.

use tasktally::error::Result;
use tasktally::model::status::Status;
use tasktally::model::task::{RowId, Task};
use tasktally::store::{StoreRead, StoreWrite, TaskFilter};

use crate::actions::{claim, report, set_status, titles};
use crate::build::{BatchPlan, insert, new_task};
use crate::stores::{TestStore, conformance};

/// Checks that a write to the task in `row` gives it the latest number of the store.
fn check(store: &TestStore, row: RowId, write: impl Fn(&dyn StoreWrite) -> Result<()> + Send + 'static) {
    let before = store.latest_change();
    store.write(write).unwrap();
    let after = store.latest_change();
    assert!(after > before, "{before} to {after}");
    assert_eq!(store.get(row).change_number, after);
}

/// The titles of the tasks that changed after a number.
fn changed_since(tx: &dyn StoreRead, since: u64) -> Result<Vec<String>> {
    Ok(titles(&tx.tasks_changed_since(&TaskFilter::default(), since, 1_000)?))
}

conformance! {
    fn an_empty_store_has_no_changes(store: &TestStore) {
        assert_eq!(store.latest_change(), 0);
        assert!(store.read(|tx| changed_since(tx, 0)).unwrap().is_empty());
    }

    fn each_new_task_has_a_higher_number(store: &TestStore) {
        let first = store.task("first");
        let second = store.task("second");
        assert!(0 < first.change_number && first.change_number < second.change_number);
        assert_eq!(store.latest_change(), second.change_number);
    }

    fn a_change_of_fields_or_state_has_a_number(store: &TestStore) {
        let task = store.task("task");
        let row = task.row;
        check(store, row, move |tx| tx.update_fields(&task, &task));
        check(store, row, move |tx| claim(tx, row, "w", 60).map(|_| ()));
        check(store, row, move |tx| {
            let task = tx.task_by_row(row)?;
            tx.renew_lease(&task, tx.now().saturating_add_secs(90))
        });
        check(store, row, move |tx| set_status(tx, row, Status::Done).map(|_| ()));
    }

    fn a_receipt_has_a_number(store: &TestStore) {
        let row = store.task("task").row;
        check(store, row, move |tx| report(tx, row, "done").map(|_| ()));
    }

    fn holds_and_blockers_have_numbers(store: &TestStore) {
        let row = store.task("task").row;
        check(store, row, move |tx| tx.recount_blockers(row));
        check(store, row, move |tx| tx.add_hold(row, None));
        check(store, row, move |tx| tx.release_holds(row));
        check(store, row, move |tx| tx.add_hold(row, Some(tx.now())));
        store.shift_clock(1);
        check(store, row, move |tx| tx.release_expired_holds().map(|released| assert_eq!(released, 1)));
    }

    fn a_pause_and_its_end_change_no_number_of_a_chunk(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let (row, first) = (batch.row(), batch.chunk(1));
        let before = store.get(first).change_number;
        store.write(move |tx| tx.pause_batch(row, "why")).unwrap();
        assert_eq!(store.get(first).change_number, before);
        store.write(move |tx| tx.resume_batch(row)).unwrap();
        assert_eq!(store.get(first).change_number, before);
    }

    fn a_write_sees_the_number_of_its_own_changes(store: &TestStore) {
        store
            .write(|tx| {
                let before = tx.latest_change_number()?;
                let task = insert(tx, &new_task("task"), "")?;
                assert_eq!(tx.latest_change_number()?, task.change_number);
                assert!(task.change_number > before);
                Ok(())
            })
            .unwrap();
    }

    fn changed_tasks_come_in_the_order_of_their_changes(store: &TestStore) {
        let rows: Vec<RowId> = ["a", "b", "c"].iter().map(|title| store.task(title).row).collect();
        let since = store.latest_change();
        for row in [rows[2], rows[0], rows[1], rows[0]] {
            store.report(row, "changed");
        }
        assert_eq!(store.read(move |tx| changed_since(tx, since)).unwrap(), ["c", "b", "a"]);
    }

    fn only_tasks_that_changed_after_the_number_are_found(store: &TestStore) {
        let first = store.task("first").change_number;
        let second = store.task("second").change_number;
        assert_eq!(store.read(move |tx| changed_since(tx, first)).unwrap(), ["second"]);
        assert!(store.read(move |tx| changed_since(tx, second)).unwrap().is_empty());
        assert!(store.read(|tx| changed_since(tx, u64::MAX >> 1)).unwrap().is_empty());
    }

    fn changed_tasks_are_found_a_page_at_a_time(store: &TestStore) {
        for title in ["a", "b", "c", "d", "e"] {
            store.task(title);
        }
        let mut since = 0;
        let mut found = Vec::new();
        loop {
            let page =
                store.read(move |tx| tx.tasks_changed_since(&TaskFilter::default(), since, 2)).unwrap();
            let Some(last) = page.last() else { break };
            since = last.change_number;
            found.extend(titles(&page));
        }
        assert_eq!(found, ["a", "b", "c", "d", "e"]);
    }

    fn changed_tasks_are_filtered(store: &TestStore) {
        store.add(Task { project: Some("p".to_owned()), ..new_task("in p") });
        store.add(Task { status: Status::Done, tags: vec!["t".to_owned()], ..new_task("done") });
        let found = |filter: TaskFilter| {
            store.read(move |tx| Ok(titles(&tx.tasks_changed_since(&filter, 0, 10)?))).unwrap()
        };
        assert_eq!(found(TaskFilter { project: Some("p".to_owned()), ..TaskFilter::default() }), ["in p"]);
        assert_eq!(found(TaskFilter { unfinished: true, ..TaskFilter::default() }), ["in p"]);
        assert_eq!(found(TaskFilter::default().with_status(Status::Done)), ["done"]);
        assert_eq!(found(TaskFilter { tags: vec!["t".to_owned()], ..TaskFilter::default() }), ["done"]);
    }

    fn a_child_with_another_status_is_found_with_the_number_of_that_change(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(3, 1));
        let (row, first, second) = (batch.row(), batch.chunk(1), batch.chunk(2));
        let since = store.latest_change();
        let second_change = store.claim(second, "w", 60).change_number;
        let first_change = store.end_chunk(first, Status::Done).change_number;
        // A later change of another kind neither hides nor moves it.
        store.report(second, "a receipt");
        let found = store.read(move |tx| tx.children_with_status_changed_since(row, since, 10)).unwrap();
        let found: Vec<(u64, RowId)> = found.into_iter().map(|(change, task)| (change, task.row)).collect();
        assert_eq!(found, [(second_change, second), (first_change, first)]);
        let count = store.read(move |tx| tx.count_children_with_status_changed_since(row, since));
        assert_eq!(count.unwrap(), 2);
    }

    fn children_without_another_status_are_not_found(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let row = batch.row();
        let since = store.latest_change();
        store.report(batch.chunk(1), "a receipt");
        let found = store.read(move |tx| tx.children_with_status_changed_since(row, since, 10)).unwrap();
        assert!(found.is_empty());
        let count = store.read(move |tx| tx.count_children_with_status_changed_since(row, since));
        assert_eq!(count.unwrap(), 0);
        let first = store.read(move |tx| tx.children_with_status_changed_since(row, 0, 1)).unwrap();
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].1.row, batch.chunk(1));
    }

    fn another_holder_counts_as_another_status(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, first) = (batch.row(), batch.chunk(1));
        store.claim(first, "one", 60);
        let since = store.latest_change();
        let claimed = store.claim(first, "two", 60);
        let found = store.read(move |tx| tx.children_with_status_changed_since(row, since, 10)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, &found[0].1), (claimed.change_number, &claimed));
    }

    fn the_time_of_a_change_of_status_is_known_until_the_next_write(store: &TestStore) {
        let row = store.task("task").row;
        store.shift_clock(3_000);
        let done = store.set_status(row, Status::Done);
        let given = done.clone();
        assert_eq!(store.read(move |tx| tx.status_changed_at(&given)).unwrap(), Some(done.updated));
        store.report(row, "a receipt");
        assert_eq!(store.read(move |tx| tx.status_changed_at(&done)).unwrap(), None);
    }
}
