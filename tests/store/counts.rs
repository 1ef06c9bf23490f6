//! Counts of tasks, and the comparison of stored counts with the rows that they count.

use tasktally::error::Result;
use tasktally::model::batch::{Chunk, ItemCounts};
use tasktally::model::status::{Outcome, Status, TaskType};
use tasktally::model::step::{Checkpoint, Decision};
use tasktally::model::task::Task;
use tasktally::store::{NewReceipt, StoreWrite, TaskFilter, TaskTotal};

use crate::actions::{chunk, end_chunk, item, report, set_status, settle};
use crate::build::{BatchPlan, insert, new_task};
use crate::stores::{TestStore, conformance};

/// Exactly so many tasks.
fn exactly(count: u64) -> TaskTotal {
    TaskTotal { count, at_least: false }
}

/// Compares the count of a filter with the length of its list, and with `expected`.
fn check(store: &TestStore, filter: TaskFilter, expected: u64) {
    let counted = filter.clone();
    let total = store.read(move |tx| tx.count_tasks(&counted)).unwrap();
    assert_eq!(total, exactly(expected), "{filter:?}");
    assert_eq!(store.list(filter.clone()).len() as u64, expected, "{filter:?}");
}

/// Checks that a change by which a count differs from its rows is found. The change is rolled back.
fn check_mismatch(store: &TestStore, change: impl Fn(&dyn StoreWrite) -> Result<()> + Send + 'static) {
    let mismatch = store.write_and_roll_back(move |tx| {
        assert_eq!(tx.first_count_mismatch()?, None);
        change(tx)?;
        tx.first_count_mismatch()
    });
    assert!(mismatch.unwrap().is_some());
}

conformance! {
    fn the_count_of_an_empty_store_is_zero(store: &TestStore) {
        check(store, TaskFilter::default(), 0);
    }

    fn a_count_is_the_length_of_the_list(store: &TestStore) {
        for (index, status) in Status::ALL.iter().enumerate() {
            store.add(Task {
                status: *status,
                priority: i64::try_from(index % 5).unwrap(),
                project: (index % 2 == 0).then(|| "p".to_owned()),
                task_type: TaskType::ALL[index % 3],
                ..new_task(status.as_str())
            });
        }
        let all = TaskFilter::default;
        check(store, all(), 15);
        check(store, all().with_status(Status::Active), 1);
        check(store, TaskFilter { unfinished: true, ..all() }, 11);
        check(store, TaskFilter { ready: true, ..all() }, 1);
        check(store, TaskFilter { project: Some("p".to_owned()), ..all() }, 8);
        check(store, TaskFilter { priority: Some(4), ..all() }, 3);
        check(store, TaskFilter { priority_max: Some(1), ..all() }, 6);
        check(store, TaskFilter { task_type: Some(TaskType::ALL[1]), ..all() }, 5);
        check(store, TaskFilter { assignee: Some("ann".to_owned()), ..all() }, 0);
        check(store, TaskFilter { unfinished: true, ..all() }.with_status(Status::Done), 0);
    }

    fn a_count_follows_every_change_of_a_task(store: &TestStore) {
        let before = store.task("task");
        let row = before.row;
        let ready = || TaskFilter { ready: true, ..TaskFilter::default() };
        check(store, ready(), 1);
        store.write(move |tx| tx.add_hold(row, None)).unwrap();
        check(store, ready(), 0);
        check(store, TaskFilter::default().with_status(Status::Active), 1);
        store.write(move |tx| tx.release_holds(row)).unwrap();
        check(store, ready(), 1);
        let after =
            Task { project: Some("p".to_owned()), priority: 0, task_type: TaskType::Bug, ..before.clone() };
        store.write(move |tx| tx.update_fields(&before, &after)).unwrap();
        check(store, TaskFilter { project: Some("p".to_owned()), ..ready() }, 1);
        check(store, TaskFilter { priority: Some(0), ..ready() }, 1);
        check(store, TaskFilter { priority: Some(2), ..ready() }, 0);
        check(store, TaskFilter { task_type: Some(TaskType::Task), ..ready() }, 0);
        store.set_status(row, Status::Done);
        check(store, ready(), 0);
        check(store, TaskFilter::default().with_status(Status::Done), 1);
    }

    fn a_rolled_back_write_does_not_change_a_count(store: &TestStore) {
        store.task("kept");
        store.write_and_roll_back(|tx| insert(tx, &new_task("gone"), "")).unwrap();
        check(store, TaskFilter::default(), 1);
    }

    fn children_tags_and_assignees_are_counted(store: &TestStore) {
        let parent = store.task("parent").row;
        let tags = vec!["red".to_owned()];
        for title in ["a", "b"] {
            let assignee = Some("ann".to_owned());
            store.add(Task { parent_row: Some(parent), tags: tags.clone(), assignee, ..new_task(title) });
        }
        check(store, TaskFilter::children_of(parent), 2);
        check(store, TaskFilter { tags, ..TaskFilter::default() }, 2);
        check(store, TaskFilter { assignee: Some("ann".to_owned()), ..TaskFilter::default() }, 2);
        check(store, TaskFilter { without_unfinished_children: true, ..TaskFilter::default() }, 2);
    }

    fn a_count_that_stops_is_at_least_what_it_says(store: &TestStore) {
        store
            .write(|tx| {
                let task = Task { tags: vec!["many".to_owned()], ..new_task("many") };
                for number in 0..1_100 {
                    let id = format!("many-{number}").parse().unwrap();
                    insert(tx, &Task { id, ..task.clone() }, "")?;
                }
                Ok(())
            })
            .unwrap();
        let filter = TaskFilter { tags: vec!["many".to_owned()], ..TaskFilter::default() };
        let total = store.read(move |tx| tx.count_tasks(&filter)).unwrap();
        assert!(total.count <= 1_100 && (total.at_least || total.count == 1_100), "{total:?}");
        assert!(total.count >= 1_000, "{total:?}");
    }

    fn the_counts_of_a_batch_are_those_of_its_items(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 3));
        store.settle(batch.chunk(1), "1.1", Outcome::Done);
        store.settle(batch.chunk(1), "1.2", Outcome::Failed);
        store.settle(batch.chunk(2), "2.3", Outcome::Skipped);
        let expected = ItemCounts { total: 6, done: 1, failed: 1, skipped: 1 };
        assert_eq!(store.get_batch(batch.row()).counts, expected);
        let expected = ItemCounts { total: 3, done: 1, failed: 1, skipped: 0 };
        assert_eq!(store.get_chunk(batch.chunk(1)).counts, expected);
    }

    fn ended_chunks_are_added_to_the_counts_of_a_batch(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(3, 1));
        store.end_chunk(batch.chunk(1), Status::Done);
        store.end_chunk(batch.chunk(2), Status::Failed);
        let found = store.get_batch(batch.row());
        assert_eq!((found.chunk_count, found.ended_chunks, found.unsuccessful_chunks), (3, 2, 1));
        let (row, failed) = (batch.row(), batch.chunk(2));
        store
            .write(move |tx| {
                set_status(tx, failed, Status::Active)?;
                tx.add_ended_chunks(row, -1, -1)
            })
            .unwrap();
        let found = store.get_batch(row);
        assert_eq!((found.ended_chunks, found.unsuccessful_chunks), (1, 0));
    }

    fn a_wrong_number_of_items_is_found(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, first) = (batch.row(), batch.chunk(1));
        check_mismatch(store, move |tx| tx.grow_batch(row, 0, 1));
        check_mismatch(store, move |tx| tx.grow_batch(row, 1, 0));
        check_mismatch(store, move |tx| tx.grow_chunk(first, 1, "more"));
    }

    fn a_wrong_number_of_ended_chunks_is_found(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, first) = (batch.row(), batch.chunk(1));
        check_mismatch(store, move |tx| tx.add_ended_chunks(row, 1, 0));
        check_mismatch(store, move |tx| {
            end_chunk(tx, first, Status::Done)?;
            tx.add_ended_chunks(row, 0, 1)
        });
    }

    fn an_outcome_that_its_receipt_does_not_report_is_found(store: &TestStore) {
        let first = store.batch(BatchPlan::of(1, 1)).chunk(1);
        check_mismatch(store, move |tx| {
            let number = report(tx, first, "no outcome")?;
            tx.settle_item(&chunk(tx, first)?, &item(tx, first, "1.1")?, Outcome::Done, None, number)
        });
    }

    fn an_outcome_of_an_earlier_step_that_its_receipt_does_not_report_is_found(store: &TestStore) {
        let first = store.batch(BatchPlan::of(1, 1).with_steps(&["one", "two"])).chunk(1);
        check_mismatch(store, move |tx| {
            let number = report(tx, first, "no outcome")?;
            tx.settle_item(&chunk(tx, first)?, &item(tx, first, "1.1")?, Outcome::Done, None, number)?;
            tx.advance_chunk(&chunk(tx, first)?, 1, &[]).map(|_| ())
        });
    }

    fn a_chunk_that_passed_a_checkpoint_without_an_approval_is_found(store: &TestStore) {
        let mut plan = BatchPlan::of(1, 1);
        plan.batch.checkpoint = Checkpoint::Chunk;
        let first = store.batch(plan).chunk(1);
        check_mismatch(store, move |tx| {
            settle(tx, first, "1.1", Outcome::Done, None)?;
            end_chunk(tx, first, Status::Done).map(|_| ())
        });
        store
            .write(move |tx| {
                settle(tx, first, "1.1", Outcome::Done, None)?;
                let approval = NewReceipt { decision: Some(Decision::Approve), ..NewReceipt::default() };
                tx.append_receipt(&tx.task_by_row(first)?, &approval)?;
                end_chunk(tx, first, Status::Done)
            })
            .unwrap();
    }

    fn a_missing_hash_of_items_is_found(store: &TestStore) {
        let plan = BatchPlan::of(1, 0);
        let batch = store.batch(plan.clone());
        let row = batch.row();
        check_mismatch(store, move |tx| {
            let task = insert(tx, &plan.chunk_task(row, 2), "")?;
            let id = tx.task_by_row(row)?.id;
            let chunk = Chunk::new(task.row, (row, &id), 2, "", 0);
            tx.insert_chunk(&chunk)?;
            tx.grow_batch(row, 1, 0)
        });
    }

    fn a_value_out_of_its_range_is_refused_or_found(store: &TestStore) {
        let before = store.task("task");
        let found = store.write_and_roll_back(move |tx| {
            tx.update_fields(&before, &Task { priority: 5, ..before.clone() })?;
            tx.first_count_mismatch()
        });
        assert!(!matches!(found, Ok(None)), "{found:?}");
    }
}
