//! Transactions: a write is stored as a whole or not at all, and a read sees one state.

use std::time::Duration;

use tasktally::error::{Code, Result};
use tasktally::model::receipt::Receipt;
use tasktally::model::status::{Outcome, Status};
use tasktally::model::task::{RowId, Task};
use tasktally::store::{StoreRead, StoreWrite, TaskFilter};

use crate::actions::{claim, report, settle, titles};
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

    // A store may find out at the commit that a change is refused.
    fn a_refused_change_refuses_the_write(store: &TestStore) {
        let task = store.task("task");
        let row = task.row;
        let error = store.write(move |tx| {
            report(tx, row, "receipt")?;
            tx.update_state(&task, 7)
        });
        assert_eq!(error.unwrap_err().code, Code::Conflict);
        assert_eq!(store.get(row).receipt_count, 0);
    }

    fn a_write_can_go_on_after_it_found_nothing(store: &TestStore) {
        let row = store.task("task").row;
        store
            .write(move |tx| {
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

    fn a_transaction_has_one_time(store: &TestStore) {
        let shift_clock = store.clock_shifter();
        let times = store.write(move |tx| {
            let before = tx.now();
            shift_clock(10_000);
            let task = insert(tx, &new_task("task"), "")?;
            Ok((before, tx.now(), task.created))
        });
        let (before, after, created) = times.unwrap();
        assert_eq!((before, before), (after, created));
        let later = store.read(|tx| Ok(tx.now())).unwrap();
        assert!(later.millis() >= before.millis() + 10_000);
    }

    fn a_write_that_did_not_start_in_time_is_busy(store: &TestStore) {
        let error = store.store().write_timeout_error(Duration::from_secs(30));
        assert_eq!(error.code, Code::Busy);
        assert!(error.message.contains("30"), "{error}");
    }
}
