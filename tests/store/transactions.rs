//! Transactions: a write is stored as a whole or not at all, and a read sees one state.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tasktally::error::{Code, Error, Result};
use tasktally::model::receipt::Receipt;
use tasktally::model::status::{Outcome, Status};
use tasktally::model::task::{RowId, Task};
use tasktally::store::{StoreRead, StoreWrite, TaskFilter};

use crate::actions::{claim, report, set_status, settle, titles};
use crate::build::{BatchPlan, insert, new_task};
use crate::stores::{self, TestStore, conformance};

/// The number of tasks.
fn count(tx: &dyn StoreRead) -> Result<u64> {
    Ok(tx.count_tasks(&TaskFilter::default())?.count)
}

/// What a write changes in every table: a batch, receipts, outcomes, costs, holds, dependencies, responses, resources.
fn write_everything(tx: &dyn StoreWrite) -> Result<()> {
    let batch = BatchPlan::of(2, 2).insert(tx)?;
    let task = insert(tx, &new_task("task"), "text")?;
    report(tx, task.row, "receipt")?;
    tx.set_dependencies(task.row, &[batch.row()], false)?;
    tx.recount_blockers(task.row)?;
    claim(tx, batch.chunk(1), "w", 60)?;
    settle(tx, batch.chunk(1), "1.1", Outcome::Done, Some("spam"))?;
    tx.add_hold(batch.chunk(2), None)?;
    tx.store_response("key", "operation", b"fingerprint", "response")?;
    tx.add_shared_resource(batch.chunk(1), None, "a", false)?;
    tx.record_worker_start("profile", tx.now().saturating_add_secs(-60))?;
    tx.set_profile_pause("profile", Some("why"))?;
    Ok(())
}

/// What [`write_everything`] stores, as far as reads of the whole store show it.
fn everything(tx: &dyn StoreRead) -> Result<(u64, u64, u64, u64, bool, bool)> {
    let hour_ago = tx.now().saturating_add_secs(-3_600);
    Ok((
        count(tx)?,
        tx.latest_change_number()?,
        tx.items_bytes(None)?,
        tx.worker_starts_since("profile", hour_ago)?.0,
        tx.stored_response("key")?.is_some(),
        tx.profile_pause_reason("profile")?.is_some(),
    ))
}

/// What a write to the task in a row, or of another task, changes.
fn state(tx: &dyn StoreRead, row: RowId) -> Result<(u64, u64, Task, Vec<Receipt>)> {
    Ok((count(tx)?, tx.latest_change_number()?, tx.task_by_row(row)?, tx.receipts(row, 0, 10)?))
}

conformance! {
    fn a_write_that_returns_false_leaves_nothing(store: &TestStore) {
        store.write_and_roll_back(write_everything).unwrap();
        assert_eq!(store.read(everything).unwrap(), (0, 0, 0, 0, false, false));
        store.reopen();
        assert_eq!(store.read(everything).unwrap(), (0, 0, 0, 0, false, false));
    }

    fn a_write_that_fails_at_its_end_leaves_nothing(store: &TestStore) {
        let task = store.task("kept");
        let before = store.read(everything).unwrap();
        let error = store.write(move |tx| {
            write_everything(tx)?;
            tx.update_state(&task, 7)
        });
        assert_eq!(error.unwrap_err().code, Code::Conflict);
        assert_eq!(store.read(everything).unwrap(), before);
    }

    fn a_write_is_stored_as_a_whole(store: &TestStore) {
        store.write(write_everything).unwrap();
        let before = store.read(everything).unwrap();
        assert_eq!((before.0, before.2, before.3, before.4, before.5), (4, 60, 1, true, true));
        store.reopen();
        assert_eq!(store.read(everything).unwrap(), before);
    }

    fn a_write_sees_its_own_changes(store: &TestStore) {
        store
            .write(|tx| {
                write_everything(tx)?;
                let now = everything(tx)?;
                assert_eq!((now.0, now.2, now.3, now.4, now.5), (4, 60, 1, true, true));
                assert_eq!(
                    titles(&tx.list(&TaskFilter::default().with_status(Status::Active), None, 9)?).len(),
                    2
                );
                assert_eq!(tx.first_count_mismatch()?, None);
                Ok(())
            })
            .unwrap();
    }

    fn a_write_can_go_on_after_a_refused_change(store: &TestStore) {
        let task = store.task("task");
        let row = task.row;
        store
            .write(move |tx| {
                assert_eq!(tx.update_state(&task, 7).unwrap_err().code, Code::Conflict);
                assert_eq!(tx.task_by_row(-1).unwrap_err().code, Code::NotFound);
                report(tx, row, "receipt")
            })
            .unwrap();
        assert_eq!(store.get(row).receipt_count, 1);
    }

    fn a_write_that_panics_leaves_nothing(store: &TestStore) {
        store.task("kept");
        let error = store.write::<()>(|tx| {
            write_everything(tx)?;
            panic!("a panic of a write, which is a part of this test")
        });
        assert_eq!(error.unwrap_err().code, Code::Internal);
        assert_eq!(store.list(TaskFilter::default()), ["kept"]);
        store.task("after");
        assert_eq!(store.list(TaskFilter::default()), ["kept", "after"]);
    }

    fn a_read_does_not_see_an_unfinished_write(store: &TestStore) {
        let shared = store.store();
        store
            .write(move |tx| {
                insert(tx, &new_task("task"), "")?;
                let seen =
                    std::thread::scope(|scope| scope.spawn(|| stores::read(&*shared, count)).join().unwrap());
                assert_eq!((seen?, count(tx)?), (0, 1));
                Ok(())
            })
            .unwrap();
        assert_eq!(store.read(count).unwrap(), 1);
    }

    fn a_read_sees_one_state_while_a_write_is_committed(store: &TestStore) {
        let row = store.task("task").row;
        let shared = store.store();
        store
            .read(move |tx| {
                // A store may take its snapshot with the first query.
                let before = state(tx, row)?;
                let store = &*shared;
                std::thread::scope(|scope| {
                    let write = move |tx: &dyn StoreWrite| {
                        report(tx, row, "receipt")?;
                        insert(tx, &new_task("meanwhile"), "")
                    };
                    scope.spawn(move || stores::write(store, write)).join().unwrap()
                })?;
                let after = state(tx, row)?;
                assert_eq!(after, before);
                assert_eq!(after.0, 1);
                Ok(())
            })
            .unwrap();
        assert_eq!((store.read(count).unwrap(), store.get(row).receipt_count), (2, 1));
    }

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

    fn a_transaction_has_one_time(store: &TestStore) {
        let clock = store.clock.clone();
        let times = store.write(move |tx| {
            let before = tx.now();
            clock.shift(10_000);
            let task = insert(tx, &new_task("task"), "")?;
            Ok((before, tx.now(), task.created))
        });
        let (before, after, created) = times.unwrap();
        assert_eq!((before, before), (after, created));
        let later = store.read(|tx| Ok(tx.now())).unwrap();
        assert!(later.millis() >= before.millis() + 10_000);
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
                assert!(
                    start.elapsed() < Duration::from_secs(120),
                    "{} of {total} changes were found",
                    found.len()
                );
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
                assert!(
                    start.elapsed() < Duration::from_secs(120),
                    "{} of {total} receipts were found",
                    found.len()
                );
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

    fn a_write_that_did_not_start_in_time_is_busy(store: &TestStore) {
        let error = store.store().write_timeout_error(Duration::from_secs(30));
        assert_eq!(error.code, Code::Busy);
        assert!(error.message.contains("30"), "{error}");
    }
}
