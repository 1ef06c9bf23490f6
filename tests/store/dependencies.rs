//! Dependencies between tasks, and what they block.

use tasktally::model::id::TaskId;
use tasktally::model::status::Status;
use tasktally::model::task::{RowId, Task};

use crate::actions::titles;
use crate::build::{BatchPlan, new_task};
use crate::stores::{TestStore, conformance};

/// Makes a task depend on others.
fn depend(store: &TestStore, row: RowId, on: &[RowId], soft: bool) {
    let on = on.to_vec();
    store
        .write(move |tx| {
            tx.set_dependencies(row, &on, soft)?;
            tx.recount_blockers(row)
        })
        .unwrap();
}

/// The dependencies of a task, in order.
fn dependencies(store: &TestStore, row: RowId) -> Vec<(TaskId, bool)> {
    store.read(move |tx| tx.dependencies(&tx.task_by_row(row)?)).unwrap()
}

/// Inserts tasks with these titles.
fn tasks(store: &TestStore, titles: &[&str]) -> Vec<Task> {
    titles.iter().map(|title| store.task(title)).collect()
}

/// Whether one task waits for another.
fn waits(store: &TestStore, from: &Task, to: &Task) -> bool {
    let (from, to) = (from.row, to.row);
    store.read(move |tx| tx.depends_transitively(from, to)).unwrap()
}

conformance! {
    fn dependencies_keep_the_order_of_their_author(store: &TestStore) {
        let made = tasks(store, &["task", "a", "b", "c"]);
        depend(store, made[0].row, &[made[3].row, made[1].row, made[2].row], false);
        let expected = [&made[3], &made[1], &made[2]].map(|task| (task.id.clone(), false));
        assert_eq!(dependencies(store, made[0].row), expected);
    }

    fn soft_dependencies_are_marked(store: &TestStore) {
        let made = tasks(store, &["task", "hard", "soft"]);
        depend(store, made[0].row, &[made[2].row], true);
        depend(store, made[0].row, &[made[1].row], false);
        let mut found = dependencies(store, made[0].row);
        found.sort_by_key(|(_, soft)| *soft);
        assert_eq!(found, [(made[1].id.clone(), false), (made[2].id.clone(), true)]);
    }

    fn new_dependencies_replace_those_of_the_same_kind(store: &TestStore) {
        let made = tasks(store, &["task", "a", "b", "c"]);
        depend(store, made[0].row, &[made[1].row], false);
        depend(store, made[0].row, &[made[2].row], true);
        depend(store, made[0].row, &[made[3].row], false);
        let mut found = dependencies(store, made[0].row);
        found.sort_by_key(|(_, soft)| *soft);
        assert_eq!(found, [(made[3].id.clone(), false), (made[2].id.clone(), true)]);
    }

    fn a_task_knows_whether_it_has_dependencies(store: &TestStore) {
        let made = tasks(store, &["task", "other"]);
        let row = made[0].row;
        assert!(!store.get(row).has_dependencies);
        depend(store, row, &[made[1].row], true);
        assert!(store.get(row).has_dependencies);
        depend(store, row, &[], true);
        assert!(!store.get(row).has_dependencies);
        assert!(dependencies(store, row).is_empty());
    }

    fn a_dependency_must_exist(store: &TestStore) {
        let row = store.task("task").row;
        store.write(move |tx| tx.set_dependencies(row, &[row + 1_000], false)).unwrap_err();
        assert!(!store.get(row).has_dependencies);
    }

    fn unfinished_hard_dependencies_block_a_task(store: &TestStore) {
        let made = tasks(store, &["task", "a", "b", "c"]);
        let row = made[0].row;
        depend(store, row, &[made[1].row, made[2].row, made[3].row], false);
        assert_eq!(store.get(row).blocker_count, 3);
        store.set_status(made[1].row, Status::Done);
        store.set_status(made[2].row, Status::Cancelled);
        store.write(move |tx| tx.recount_blockers(row)).unwrap();
        // A dependency that ended without being done still blocks.
        assert_eq!(store.get(row).blocker_count, 2);
    }

    fn soft_dependencies_block_nothing(store: &TestStore) {
        let made = tasks(store, &["task", "other"]);
        depend(store, made[0].row, &[made[1].row], true);
        assert_eq!(store.get(made[0].row).blocker_count, 0);
    }

    fn holds_count_as_blockers_beside_dependencies(store: &TestStore) {
        let made = tasks(store, &["task", "other"]);
        let row = made[0].row;
        store.write(move |tx| tx.add_hold(row, None)).unwrap();
        depend(store, row, &[made[1].row], false);
        assert_eq!((store.get(row).blocker_count, store.get(row).hold_count), (2, 1));
        store.write(move |tx| tx.release_holds(row)).unwrap();
        assert_eq!((store.get(row).blocker_count, store.get(row).hold_count), (1, 0));
    }

    fn dependents_are_found(store: &TestStore) {
        let made = tasks(store, &["task", "a", "b", "c"]);
        let row = made[0].row;
        depend(store, made[1].row, &[row], false);
        depend(store, made[2].row, &[row], false);
        depend(store, made[3].row, &[row], true);
        let mut ids = store.read(move |tx| tx.dependents(row, 10)).unwrap();
        ids.sort();
        let mut expected: Vec<TaskId> = made[1..].iter().map(|task| task.id.clone()).collect();
        expected.sort();
        assert_eq!(ids, expected);
        assert_eq!(store.read(move |tx| tx.dependents(row, 2)).unwrap().len(), 2);
        let mut rows = store.read(move |tx| tx.hard_dependents(row)).unwrap();
        rows.sort_unstable();
        assert_eq!(rows, [made[1].row, made[2].row]);
    }

    fn a_task_waits_for_dependencies_of_its_dependencies(store: &TestStore) {
        let made = tasks(store, &["a", "b", "c", "d"]);
        depend(store, made[0].row, &[made[1].row], false);
        depend(store, made[1].row, &[made[2].row], true);
        assert!(waits(store, &made[0], &made[1]) && waits(store, &made[0], &made[2]));
        assert!(!waits(store, &made[2], &made[0]) && !waits(store, &made[0], &made[3]));
    }

    fn a_task_waits_for_its_children(store: &TestStore) {
        let parent = store.task("parent");
        let child = store.add(Task { parent_row: Some(parent.row), ..new_task("child") });
        let needed = store.task("needed");
        depend(store, child.row, &[needed.row], false);
        assert!(waits(store, &parent, &child) && waits(store, &parent, &needed));
        assert!(!waits(store, &child, &parent));
    }

    fn a_task_does_not_wait_for_a_child_that_depends_on_it(store: &TestStore) {
        let parent = store.task("parent");
        let child = store.add(Task { parent_row: Some(parent.row), ..new_task("child") });
        depend(store, child.row, &[parent.row], false);
        assert!(waits(store, &child, &parent));
        assert!(!waits(store, &parent, &child));
    }

    fn cycles_of_soft_dependencies_are_searched_to_an_end(store: &TestStore) {
        let made = tasks(store, &["a", "b", "c"]);
        depend(store, made[0].row, &[made[1].row], true);
        depend(store, made[1].row, &[made[0].row], true);
        assert!(waits(store, &made[0], &made[1]) && waits(store, &made[1], &made[0]));
        assert!(!waits(store, &made[0], &made[2]));
    }

    fn a_task_is_stranded_by_a_dependency_that_will_not_be_done(store: &TestStore) {
        let made =
            tasks(store, &["cancelled", "failed", "rejected", "done", "first", "second", "fine", "over"]);
        let stranded = |project: Option<&'static str>, limit| {
            let found = store.read(move |tx| tx.stranded_tasks(project, limit)).unwrap();
            found.iter().map(|(task, ended)| format!("{}: {}", task.title, ended.title)).collect::<Vec<_>>()
        };
        depend(store, made[4].row, &[made[0].row, made[3].row], false);
        depend(store, made[5].row, &[made[2].row], false);
        depend(store, made[6].row, &[made[3].row], false);
        depend(store, made[6].row, &[made[1].row], true);
        depend(store, made[7].row, &[made[1].row], false);
        assert!(stranded(None, 10).is_empty());
        let ends = [Status::Cancelled, Status::Failed, Status::Rejected, Status::Done];
        for (task, status) in made.iter().zip(ends) {
            store.set_status(task.row, status);
        }
        store.set_status(made[7].row, Status::Cancelled);
        assert_eq!(stranded(None, 10), ["second: rejected", "first: cancelled"]);
        assert_eq!(stranded(None, 1), ["second: rejected"]);
        assert!(stranded(Some("p"), 10).is_empty());
    }

    fn stranded_tasks_are_those_of_a_project(store: &TestStore) {
        let failed = store.add(Task { status: Status::Failed, ..new_task("failed") });
        let task = store.add(Task { project: Some("p".to_owned()), ..new_task("in p") });
        depend(store, task.row, &[failed.row], false);
        let found = store.read(|tx| tx.stranded_tasks(Some("p"), 10)).unwrap();
        let tasks: Vec<Task> = found.into_iter().map(|(task, _)| task).collect();
        assert_eq!(titles(&tasks), ["in p"]);
        assert!(store.read(|tx| tx.stranded_tasks(Some("q"), 10)).unwrap().is_empty());
    }

    fn a_batch_does_not_wait_for_its_chunks(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        assert!(!waits(store, &batch.task, &batch.chunks[0]));
    }
}
