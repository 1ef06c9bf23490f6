//! Holds: what keeps a task from being claimed beside its dependencies.

use tasktally::model::batch::MAX_BACKOFF_SECONDS;
use tasktally::model::status::{Outcome, Status};
use tasktally::model::task::{RowId, Task};
use tasktally::model::timestamp::Timestamp;
use tasktally::store::TaskFilter;

use crate::build::{BatchPlan, new_task};
use crate::stores::{TestStore, conformance};

/// Adds a hold that ends in so many seconds, and returns its end.
fn hold_for(store: &TestStore, row: RowId, seconds: i64) -> Timestamp {
    store
        .write(move |tx| {
            let until = tx.now().saturating_add_secs(seconds);
            tx.add_hold(row, Some(until))?;
            Ok(until)
        })
        .unwrap()
}

/// Ends the expired holds, and returns how many there were.
fn release_expired(store: &TestStore) -> usize {
    store.write(|tx| tx.release_expired_holds()).unwrap()
}

/// The titles of the tasks that can be claimed.
fn ready(store: &TestStore) -> Vec<String> {
    store.list(TaskFilter { ready: true, ..TaskFilter::default() })
}

conformance! {
    fn a_held_task_cannot_be_claimed(store: &TestStore) {
        let row = store.task("task").row;
        store.write(move |tx| tx.add_hold(row, None)).unwrap();
        let held = store.get(row);
        assert_eq!((held.hold_count, held.blocker_count, held.backoff_until), (1, 1, None));
        assert!(ready(store).is_empty());
    }

    fn the_end_of_holds_ends_all_of_them(store: &TestStore) {
        let row = store.task("task").row;
        store.write(move |tx| tx.add_hold(row, None)).unwrap();
        hold_for(store, row, 60);
        assert_eq!(store.get(row).hold_count, 2);
        store.write(move |tx| tx.release_holds(row)).unwrap();
        let free = store.get(row);
        assert_eq!((free.hold_count, free.blocker_count, free.backoff_until), (0, 0, None));
        assert_eq!(ready(store), ["task"]);
    }

    fn a_hold_with_an_end_is_known_as_a_backoff(store: &TestStore) {
        let row = store.task("task").row;
        let until = hold_for(store, row, 60);
        assert_eq!(store.get(row).backoff_until, Some(until));
    }

    fn a_hold_without_an_end_keeps_the_end_of_another(store: &TestStore) {
        let row = store.task("task").row;
        let until = hold_for(store, row, 60);
        store.write(move |tx| tx.add_hold(row, None)).unwrap();
        assert_eq!(store.get(row).backoff_until, Some(until));
    }

    fn only_expired_holds_are_released(store: &TestStore) {
        let rows: Vec<RowId> = ["a", "b", "c"].iter().map(|title| store.task(title).row).collect();
        hold_for(store, rows[0], 10);
        hold_for(store, rows[1], 1_000);
        let last = rows[2];
        store.write(move |tx| tx.add_hold(last, None)).unwrap();
        assert_eq!(release_expired(store), 0);
        store.shift_clock(11_000);
        assert_eq!(release_expired(store), 1);
        assert_eq!(ready(store), ["a"]);
        assert_eq!(release_expired(store), 0);
        assert_eq!(store.get(rows[0]).backoff_until, None);
    }

    fn a_hold_ends_at_its_end(store: &TestStore) {
        let row = store.task("task").row;
        let released = store.write(move |tx| {
            tx.add_hold(row, Some(tx.now()))?;
            tx.release_expired_holds()
        });
        assert_eq!(released.unwrap(), 1);
    }

    fn an_expired_hold_ends_without_the_others_of_its_task(store: &TestStore) {
        let row = store.task("task").row;
        store.write(move |tx| tx.add_hold(row, None)).unwrap();
        hold_for(store, row, 10);
        store.shift_clock(11_000);
        assert_eq!(release_expired(store), 1);
        let task = store.get(row);
        assert_eq!((task.hold_count, task.blocker_count, task.backoff_until), (1, 1, None));
    }

    fn a_hold_that_ends_later_than_any_backoff_is_expired(store: &TestStore) {
        let row = store.task("task").row;
        hold_for(store, row, MAX_BACKOFF_SECONDS);
        assert_eq!(release_expired(store), 0);
        // The clock is set back.
        store.shift_clock(-60_000);
        let next = store.read(|tx| Ok((tx.now(), tx.next_hold_expiry()?))).unwrap();
        assert_eq!(next.1, Some(next.0));
        assert_eq!(release_expired(store), 1);
        assert_eq!(ready(store), ["task"]);
    }

    fn the_next_end_of_a_hold_is_the_earliest(store: &TestStore) {
        assert_eq!(store.read(|tx| tx.next_hold_expiry()).unwrap(), None);
        let rows: Vec<RowId> = ["a", "b", "c"].iter().map(|title| store.task(title).row).collect();
        hold_for(store, rows[0], 300);
        let earliest = hold_for(store, rows[1], 100);
        hold_for(store, rows[2], 200);
        assert_eq!(store.read(|tx| tx.next_hold_expiry()).unwrap(), Some(earliest));
    }

    fn a_hold_without_an_end_never_expires(store: &TestStore) {
        let row = store.task("task").row;
        store.write(move |tx| tx.add_hold(row, None)).unwrap();
        store.shift_clock(100 * 86_400_000);
        assert_eq!(store.read(|tx| tx.next_hold_expiry()).unwrap(), None);
        assert_eq!(release_expired(store), 0);
    }

    fn the_next_free_task_is_that_of_the_first_lease_or_hold_to_end(store: &TestStore) {
        let in_p = || Some("p".to_owned());
        let rows: Vec<RowId> = ["a", "b", "c"]
            .iter()
            .map(|title| store.add(Task { project: in_p(), ..new_task(title) }).row)
            .collect();
        let next = |filter: TaskFilter| store.read(move |tx| tx.next_free(&filter)).unwrap();
        assert_eq!(next(TaskFilter::default()), None);
        let lease = store.claim(rows[0], "w", 500).claim.unwrap().expires_at;
        assert_eq!(next(TaskFilter::default()), Some(lease));
        let hold = hold_for(store, rows[1], 50);
        assert_eq!(next(TaskFilter::default()), Some(hold));
        assert_eq!(next(TaskFilter { project: in_p(), ..TaskFilter::default() }), Some(hold));
        assert_eq!(next(TaskFilter { project: Some("q".to_owned()), ..TaskFilter::default() }), None);
        assert_eq!(next(TaskFilter { priority: Some(0), ..TaskFilter::default() }), None);
        // The status of the filter is ignored.
        assert_eq!(next(TaskFilter::default().with_status(Status::Done)), Some(hold));
        // What has ended is not the next to end.
        store.shift_clock(51_000);
        assert_eq!(next(TaskFilter::default()), Some(lease));
    }

    fn a_pause_holds_the_active_chunks(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(3, 1));
        let (row, first, second, third) = (batch.row(), batch.chunk(1), batch.chunk(2), batch.chunk(3));
        store.claim(first, "w", 60);
        store.end_chunk(second, Status::Done);
        store.write(move |tx| tx.pause_batch(row, "too many failures")).unwrap();
        assert_eq!(store.get_batch(row).pause_reason.as_deref(), Some("too many failures"));
        assert_eq!(store.get(third).hold_count, 1);
        assert_eq!((store.get(first).hold_count, store.get(second).hold_count), (0, 0));
        assert!(ready(store).is_empty());
    }

    fn the_end_of_a_pause_releases_the_chunks(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let row = batch.row();
        store.write(move |tx| tx.pause_batch(row, "why")).unwrap();
        store.write(move |tx| tx.resume_batch(row)).unwrap();
        assert_eq!(store.get_batch(row).pause_reason, None);
        assert_eq!(ready(store), ["chunk 1", "chunk 2"]);
        assert_eq!(store.get(batch.chunk(1)).blocker_count, 0);
    }

    fn the_end_of_a_pause_keeps_another_hold(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, first) = (batch.row(), batch.chunk(1));
        let until = hold_for(store, first, 60);
        store.write(move |tx| tx.pause_batch(row, "why")).unwrap();
        assert_eq!(store.get(first).hold_count, 2);
        store.write(move |tx| tx.resume_batch(row)).unwrap();
        let held = store.get(first);
        assert_eq!((held.hold_count, held.blocker_count, held.backoff_until), (1, 1, Some(until)));
    }

    fn the_end_of_a_pause_forgives_the_failures_so_far(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 3));
        let row = batch.row();
        store.settle(batch.chunk(1), "1.1", Outcome::Failed);
        store.settle(batch.chunk(1), "1.2", Outcome::Failed);
        assert_eq!(store.get_batch(row).forgiven_failures, 0);
        store.write(move |tx| tx.pause_batch(row, "why")).unwrap();
        store.write(move |tx| tx.resume_batch(row)).unwrap();
        assert_eq!(store.get_batch(row).forgiven_failures, 2);
    }

    fn a_pause_holds_no_chunk_of_another_batch(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let other = store.batch(BatchPlan::of(1, 1));
        store.write(move |tx| tx.pause_batch(batch.row(), "why")).unwrap();
        assert_eq!(store.get(other.chunk(1)).hold_count, 0);
        assert_eq!(store.get_batch(other.row()).pause_reason, None);
    }
}
