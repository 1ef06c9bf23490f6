//! Random operations on a store and on a small reference in memory, which must agree after each of them.
//!
//! `TASKTALLY_SEED` repeats the same operations, `TASKTALLY_ROUNDS` sets their number.

use tasktally::error::{Code, Error, Result};
use tasktally::model::status::{Outcome, Status, TaskType};
use tasktally::model::task::{RowId, Task};
use tasktally::store::{ItemSelection, StoreRead, StoreWrite, TaskFilter};

use crate::actions::{chunk, claim, report, set_status, settle, titles};
use crate::build::{BatchPlan, insert, key, new_task};
use crate::reference::{CHUNKS, ITEMS, Op, Reference};
use crate::stores::{TestStore, conformance};
use crate::support::rng::Rng;

/// How many operations a case runs.
fn rounds() -> usize {
    std::env::var("TASKTALLY_ROUNDS").map_or(150, |text| text.parse().expect("a number of rounds"))
}

/// Runs an operation on the tasks and chunks in these rows. Returns the row of a new task.
fn apply(tx: &dyn StoreWrite, op: &Op, tasks: &[RowId], chunks: &[RowId]) -> Result<Option<RowId>> {
    match op {
        Op::Insert { title, priority, order } => {
            let task = Task { priority: *priority, order: *order, ..new_task(title) };
            return Ok(Some(insert(tx, &task, "")?.row));
        }
        Op::Move { task, priority, project } => {
            let before = tx.task_by_row(tasks[*task])?;
            let after = Task { priority: *priority, project: project.clone(), ..before.clone() };
            tx.update_fields(&before, &after)?;
        }
        Op::SetStatus { task, status } => {
            set_status(tx, tasks[*task], *status)?;
            recount_dependents(tx, tasks[*task])?;
        }
        Op::Claim { task } => {
            claim(tx, tasks[*task], "w", 60)?;
            recount_dependents(tx, tasks[*task])?;
        }
        Op::Hold { task } => tx.add_hold(tasks[*task], None)?,
        Op::Release { task } => tx.release_holds(tasks[*task])?,
        Op::Depend { task, on } => {
            let on: Vec<RowId> = on.iter().map(|other| tasks[*other]).collect();
            tx.set_dependencies(tasks[*task], &on, false)?;
            tx.recount_blockers(tasks[*task])?;
        }
        Op::Report { task } => {
            report(tx, tasks[*task], "receipt")?;
        }
        Op::Settle { chunk, item, outcome, category } => {
            let key = key(*chunk as u64 + 1, *item as u64 + 1);
            settle(tx, chunks[*chunk], &key, *outcome, *category)?;
        }
        Op::Reopen { chunk: index, category } => {
            let categories = category.iter().map(|name| (*name).to_owned()).collect();
            let selection = ItemSelection { categories, keys: Vec::new() };
            tx.reopen_items(&chunk(tx, chunks[*index])?, &selection)?;
        }
        Op::Retry { chunk: index } => {
            tx.reopen_failed_items(&chunk(tx, chunks[*index])?, &ItemSelection::default())?;
        }
    }
    Ok(None)
}

/// Counts the blockers of the tasks that depend on a task again, in the order of their rows.
fn recount_dependents(tx: &dyn StoreWrite, row: RowId) -> Result<()> {
    let mut rows = tx.hard_dependents(row)?;
    rows.sort_unstable();
    rows.into_iter().try_for_each(|row| tx.recount_blockers(row))
}

/// Compares a store with the reference. `batch` is the row of the batch.
fn compare(tx: &dyn StoreRead, reference: &Reference, batch: RowId, chunks: &[RowId]) -> Result<()> {
    let plain = TaskFilter { task_type: Some(TaskType::Task), ..TaskFilter::default() };
    let list = |filter: &TaskFilter| {
        let found = tx.list(filter, None, 1_000)?;
        assert_eq!(tx.count_tasks(filter)?.count, found.len() as u64, "{filter:?}");
        let own = found.into_iter().filter(|task| !task.is_chunk).collect::<Vec<_>>();
        Ok::<_, Error>(titles(&own))
    };
    assert_eq!(list(&plain)?, reference.list(|_| true));
    let ready = TaskFilter { ready: true, ..plain.clone() };
    assert_eq!(list(&ready)?, reference.list(|task| task.status == Status::Active && task.blockers == 0));
    for status in Status::ALL {
        let expected = reference.list(|task| task.status == *status);
        assert_eq!(list(&plain.clone().with_status(*status))?, expected, "{status}");
    }
    let in_p = TaskFilter { project: Some("p".to_owned()), ..plain.clone() };
    assert_eq!(list(&in_p)?, reference.list(|task| task.project.is_some()));
    for task in &reference.tasks {
        let found = tx.task_by_row(task.row)?;
        let numbers = (found.receipt_count, found.generation, found.hold_count, found.blocker_count);
        assert_eq!(numbers, (task.receipts, task.generation, task.holds, task.blockers), "{found:?}");
        assert_eq!((found.status, found.priority), (task.status, task.priority), "{found:?}");
        assert_eq!(tx.receipts(task.row, 0, 1_000)?.len() as u64, task.receipts);
    }
    let changed = tx.tasks_changed_since(&plain, 0, 1_000)?;
    let changed: Vec<String> =
        titles(&changed).into_iter().filter(|title| !title.starts_with("chunk")).collect();
    assert_eq!(changed, reference.changes());
    for (index, row) in chunks.iter().enumerate() {
        let items = tx.items(*row, 0, 100, false)?;
        let settled =
            items.into_iter().map(|item| item.settled.map(|settled| (settled.outcome, settled.category)));
        assert_eq!(settled.collect::<Vec<_>>(), reference.items[index]);
        let mut categories = tx.category_counts(*row)?;
        categories.sort();
        assert_eq!(categories, reference.categories(index..index + 1));
    }
    let mut categories = tx.category_counts(batch)?;
    categories.sort();
    assert_eq!(categories, reference.categories(0..CHUNKS));
    let counts = tx.batch(batch)?.expect("the batch").counts;
    let outcomes = [Outcome::Done, Outcome::Failed, Outcome::Skipped].map(|outcome| reference.count(outcome));
    assert_eq!([counts.done, counts.failed, counts.skipped], outcomes);
    assert_eq!(tx.first_count_mismatch()?, None);
    Ok(())
}

conformance! {
    fn random_operations_do_what_they_do_to_a_reference(store: &TestStore) {
        let mut rng = Rng::seeded("random_operations_do_what_they_do_to_a_reference");
        let batch = store.batch(BatchPlan::of(CHUNKS, ITEMS as u64));
        let chunks: Vec<RowId> = batch.chunks.iter().map(|task| task.row).collect();
        let mut reference = Reference::default();
        for round in 0..rounds() {
            let op = Op::random(&mut rng, &reference);
            let tasks: Vec<RowId> = reference.tasks.iter().map(|task| task.row).collect();
            let is_refused = reference.refuses(&op);
            let is_kept = rng.below(8) > 0;
            let (given, rows) = (op.clone(), chunks.clone());
            let written = store.write(move |tx| {
                let row = apply(tx, &given, &tasks, &rows)?;
                if is_kept { Ok(row) } else { Err(Error::new(Code::NotReady, "rolled back")) }
            });
            match written {
                Ok(row) => {
                    assert!(!is_refused && is_kept, "round {round}: {op:?} was not refused");
                    reference.apply(&op, row);
                }
                Err(error) => {
                    let expected = if is_refused { Code::Conflict } else { Code::NotReady };
                    assert_eq!(error.code, expected, "round {round}: {op:?}: {error}");
                    assert!(is_refused || !is_kept, "round {round}: {op:?}: {error}");
                }
            }
            if rng.below(40) == 0 {
                store.reopen();
            }
            let (expected, row, rows) = (reference.clone(), batch.row(), chunks.clone());
            let compared = store.read(move |tx| compare(tx, &expected, row, &rows));
            compared.unwrap_or_else(|error| panic!("round {round}: {op:?}: {error}"));
        }
    }
}
