//! Several threads that write and read at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tasktally::error::{Code, Error};
use tasktally::model::status::{Outcome, Status};
use tasktally::model::task::Task;
use tasktally::store::TaskFilter;

use crate::actions::{set_status, settle};
use crate::build::{BatchPlan, insert, new_task};
use crate::stores::{TestStore, conformance};

/// How long a reader polls for what the writers write. Generous, so that a loaded machine never exceeds it.
const PATIENCE: Duration = Duration::from_secs(120);

conformance! {
    fn reads_see_whole_writes_only(store: &TestStore) {
        let rows = [store.add(Task { status: Status::Done, ..new_task("a") }).row, store.task("b").row];
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let done = store.read(move |tx| {
                            Ok(rows.map(|row| tx.task_by_row(row).map(|task| task.status == Status::Done)))
                        });
                        let [first, second] = done.unwrap();
                        assert_ne!(first.unwrap(), second.unwrap());
                    }
                });
            }
            for round in 0..100 {
                let swapped = [rows[round % 2], rows[(round + 1) % 2]];
                let write = store.write(move |tx| {
                    set_status(tx, swapped[0], Status::Active)?;
                    set_status(tx, swapped[1], Status::Done)
                });
                write.unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }

    fn writes_of_several_threads_do_not_affect_each_other(store: &TestStore) {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for number in 0..25 {
                        let written = store.write(move |tx| {
                            insert(tx, &new_task(&format!("{thread}-{number}")), "")?;
                            // Every third write changes its mind.
                            if number % 3 == 0 { Err(Error::new(Code::NotReady, "no")) } else { Ok(()) }
                        });
                        assert_eq!(written.is_err(), number % 3 == 0);
                    }
                });
            }
        });
        let kept =
            |thread| (0..25).filter(|number| number % 3 != 0).map(move |number| format!("{thread}-{number}"));
        let expected: BTreeSet<String> = (0..4).flat_map(kept).collect();
        let found: Vec<String> = store.list(TaskFilter::default());
        assert_eq!(found.len(), expected.len());
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    fn increments_of_several_threads_are_not_lost(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 40));
        let chunk = batch.chunk(1);
        let row = store.task("counter").row;
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for number in 0..10 {
                        let written = store.write(move |tx| {
                            let before = tx.task_by_row(row)?;
                            tx.update_fields(&before, &Task { order: before.order + 1, ..before.clone() })?;
                            let key = format!("1.{}", thread * 10 + number + 1);
                            settle(tx, chunk, &key, Outcome::Done, None)
                        });
                        written.unwrap();
                    }
                });
            }
        });
        assert_eq!(store.get(row).order, 40);
        assert_eq!(store.get_batch(batch.row()).counts.done, 40);
    }

    fn the_number_of_a_change_is_higher_than_any_seen_before_it(store: &TestStore) {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let seen = store.latest_change();
                        let change = store.task("task").change_number;
                        assert!(change > seen, "{change} after {seen}");
                        assert!(store.latest_change() >= change);
                    }
                });
            }
        });
    }

    fn a_reader_of_changes_misses_none_while_threads_write(store: &TestStore) {
        let total = 4 * 30;
        let found = std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    (0..30).for_each(|number| drop(store.task(&format!("{thread}-{number}"))))
                });
            }
            let (mut since, mut found) = (0, Vec::new());
            let start = Instant::now();
            while found.len() < total {
                assert!(start.elapsed() < PATIENCE, "{} of {total} changes were found", found.len());
                let page =
                    store.read(move |tx| tx.tasks_changed_since(&TaskFilter::default(), since, 7)).unwrap();
                for task in page {
                    assert!(task.change_number > since);
                    since = task.change_number;
                    found.push(task.title);
                }
            }
            found
        });
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), total);
        assert_eq!(store.list(TaskFilter::default()).len(), total);
    }

    fn a_reader_of_receipts_misses_none_while_threads_write(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(4, 1));
        let row = batch.row();
        let chunks: Arc<[i64]> = batch.chunks.iter().map(|task| task.row).collect();
        let total = 4 * 25;
        let found = std::thread::scope(|scope| {
            for thread in 0..4 {
                let chunks = chunks.clone();
                scope.spawn(move || {
                    (0..25).for_each(|number| assert!(store.report(chunks[(thread + number) % 4], "x") > 0));
                });
            }
            let (mut since, mut found) = (0, BTreeSet::new());
            let start = Instant::now();
            while found.len() < total {
                assert!(start.elapsed() < PATIENCE, "{} of {total} receipts were found", found.len());
                for (change, task, receipt) in
                    store.read(move |tx| tx.batch_receipts_since(row, since, 7)).unwrap()
                {
                    assert!(change > since);
                    since = change;
                    assert!(found.insert((task, receipt.number)), "a receipt was found twice");
                }
            }
            found
        });
        assert_eq!(found.len(), total);
    }
}
