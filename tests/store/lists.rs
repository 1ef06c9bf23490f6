//! Lists of tasks, their filters and pages, and the relations of parents and children.

use tasktally::model::status::{Status, TaskType};
use tasktally::model::task::{RowId, Task};
use tasktally::store::TaskFilter;

use crate::actions::titles;
use crate::build::{BatchPlan, insert, new_task};
use crate::stores::{TestStore, conformance};

/// A filter that selects every task.
fn all() -> TaskFilter {
    TaskFilter::default()
}

/// Inserts tasks that each differ from the others in what filters select.
fn insert_mixed(store: &TestStore) {
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
    for task in [
        Task { priority: 0, project: Some("p".to_owned()), ..new_task("p0") },
        Task { priority: 1, assignee: Some("ann".to_owned()), ..new_task("ann1") },
        Task { priority: 1, task_type: TaskType::Bug, tags: tags(&["red", "blue"]), ..new_task("bug1") },
        Task { priority: 2, status: Status::Done, tags: tags(&["red"]), ..new_task("done2") },
        Task { priority: 3, status: Status::Review, project: Some("P".to_owned()), ..new_task("review3") },
        Task { priority: 4, status: Status::Rejected, ..new_task("rejected4") },
    ] {
        store.add(task);
    }
}

fn child(parent: RowId, title: &str) -> Task {
    Task { parent_row: Some(parent), ..new_task(title) }
}

conformance! {
    fn a_list_is_ordered_by_priority_then_order_then_creation(store: &TestStore) {
        for (title, priority, order) in
            [("d", 2, 0), ("e", 2, 0), ("c", 2, -5), ("f", 2, 7), ("a", 0, 9), ("g", 4, -9), ("b", 1, 0)]
        {
            store.add(Task { priority, order, ..new_task(title) });
        }
        assert_eq!(store.list(all()), ["a", "b", "c", "d", "e", "f", "g"]);
    }

    fn a_list_mixes_statuses_in_one_order(store: &TestStore) {
        for (title, status, order) in [
            ("3", Status::Done, 3),
            ("1", Status::Active, 1),
            ("4", Status::Inbox, 4),
            ("2", Status::Failed, 2),
        ] {
            store.add(Task { status, order, ..new_task(title) });
        }
        assert_eq!(store.list(all()), ["1", "2", "3", "4"]);
    }

    fn the_list_of_an_empty_store_is_empty(store: &TestStore) {
        assert!(store.list(all()).is_empty());
    }

    fn a_list_has_at_most_the_given_number_of_tasks(store: &TestStore) {
        insert_mixed(store);
        let first = store.read(|tx| Ok(titles(&tx.list(&all(), None, 2)?))).unwrap();
        assert_eq!(first, ["p0", "ann1"]);
    }

    fn a_page_starts_after_the_last_task_of_the_page_before(store: &TestStore) {
        insert_mixed(store);
        // Two tasks that differ from others in their row only.
        store.add(Task { priority: 1, ..new_task("same") });
        store.add(Task { priority: 1, ..new_task("same too") });
        let mut after = None;
        let mut found = Vec::new();
        loop {
            let page = store.read(move |tx| tx.list(&all(), after, 2)).unwrap();
            let Some(last) = page.last() else { break };
            after = Some((last.priority, last.order, last.row));
            found.extend(titles(&page));
        }
        let expected = ["p0", "ann1", "bug1", "same", "same too", "done2", "review3", "rejected4"];
        assert_eq!(found, expected);
    }

    fn each_filter_selects_the_tasks_that_meet_it(store: &TestStore) {
        insert_mixed(store);
        let check = |filter: TaskFilter, expected: &[&str]| {
            assert_eq!(store.list(filter.clone()), expected, "{filter:?}");
        };
        let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
        check(TaskFilter { project: Some("p".to_owned()), ..all() }, &["p0"]);
        check(TaskFilter { project: Some("none".to_owned()), ..all() }, &[]);
        check(all().with_status(Status::Active), &["p0", "ann1", "bug1"]);
        check(all().with_status(Status::Done), &["done2"]);
        check(TaskFilter { task_type: Some(TaskType::Bug), ..all() }, &["bug1"]);
        check(TaskFilter { priority: Some(1), ..all() }, &["ann1", "bug1"]);
        check(TaskFilter { priority_max: Some(1), ..all() }, &["p0", "ann1", "bug1"]);
        check(TaskFilter { assignee: Some("ann".to_owned()), ..all() }, &["ann1"]);
        check(TaskFilter { unfinished: true, ..all() }, &["p0", "ann1", "bug1", "review3"]);
        check(TaskFilter { tags: tags(&["red"]), ..all() }, &["bug1", "done2"]);
        check(TaskFilter { tags: tags(&["blue", "red"]), ..all() }, &["bug1"]);
        check(TaskFilter { tags: tags(&["re"]), ..all() }, &[]);
    }

    fn conditions_of_a_filter_are_combined(store: &TestStore) {
        insert_mixed(store);
        let filter = TaskFilter { priority: Some(1), task_type: Some(TaskType::Task), ..all() };
        assert_eq!(store.list(filter), ["ann1"]);
        let filter = TaskFilter { unfinished: true, ..all() }.with_status(Status::Done);
        assert!(store.list(filter).is_empty());
        let filter = TaskFilter { ready: true, ..all() }.with_status(Status::Review);
        assert!(store.list(filter).is_empty());
    }

    fn only_tasks_that_can_be_claimed_are_ready(store: &TestStore) {
        let rows: Vec<RowId> =
            ["ready", "held", "waits", "dependency"].iter().map(|title| store.task(title).row).collect();
        store.add(Task { status: Status::Inbox, ..new_task("inbox") });
        store
            .write(move |tx| {
                tx.add_hold(rows[1], None)?;
                tx.set_dependencies(rows[2], &[rows[3]], false)?;
                tx.recount_blockers(rows[2])
            })
            .unwrap();
        assert_eq!(store.list(TaskFilter { ready: true, ..all() }), ["ready", "dependency"]);
        let active = all().with_status(Status::Active);
        assert_eq!(store.list(active), ["ready", "held", "waits", "dependency"]);
    }

    fn the_children_of_a_task_are_listed(store: &TestStore) {
        let parent = store.task("parent").row;
        for title in ["one", "two", "three"] {
            store.add(child(parent, title));
        }
        store.task("other");
        assert_eq!(store.list(TaskFilter::children_of(parent)), ["one", "two", "three"]);
        let ids = store.read(move |tx| tx.children(parent, 2)).unwrap();
        let first = store.read(move |tx| tx.list(&TaskFilter::children_of(parent), None, 2)).unwrap();
        assert_eq!(ids, first.into_iter().map(|task| task.id).collect::<Vec<_>>());
    }

    fn the_children_of_a_batch_are_its_chunks(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(3, 1));
        let children = store.list(TaskFilter::children_of(batch.row()));
        assert_eq!(children, ["chunk 1", "chunk 2", "chunk 3"]);
    }

    fn a_task_with_an_unfinished_child_can_be_left_out(store: &TestStore) {
        let parent = store.task("parent").row;
        let child = store.add(child(parent, "child")).row;
        let childless = || TaskFilter { without_unfinished_children: true, ..all() };
        assert_eq!(store.list(childless()), ["child"]);
        store.set_status(child, Status::Cancelled);
        assert_eq!(store.list(childless()), ["parent", "child"]);
    }

    fn a_child_that_depends_on_its_parent_does_not_leave_it_out(store: &TestStore) {
        let parent = store.task("parent").row;
        let child = store.add(child(parent, "child")).row;
        store.write(move |tx| tx.set_dependencies(child, &[parent], false)).unwrap();
        let childless = TaskFilter { without_unfinished_children: true, ..all() };
        assert_eq!(store.list(childless), ["parent", "child"]);
    }

    fn a_task_is_its_own_descendant_and_that_of_its_ancestors(store: &TestStore) {
        let top = store.task("top").row;
        let middle = store.add(child(top, "middle")).row;
        let bottom = store.add(child(middle, "bottom")).row;
        let other = store.task("other").row;
        let check = |task: RowId, ancestor: RowId, expected: bool| {
            let found = store.read(move |tx| tx.is_self_or_descendant(task, ancestor)).unwrap();
            assert_eq!(found, expected, "{task} below {ancestor}");
        };
        check(top, top, true);
        check(middle, top, true);
        check(bottom, top, true);
        check(top, bottom, false);
        check(other, top, false);
    }

    fn ids_are_found_by_their_start(store: &TestStore) {
        for id in ["abc1", "abc2", "abd", "ABC3", "ab_x"] {
            store.add(Task { id: id.parse().unwrap(), ..new_task(id) });
        }
        let check = |prefix: &'static str, expected: &[&str]| {
            let mut ids = store.read(move |tx| tx.ids_with_prefix(prefix, false, 10)).unwrap();
            ids.sort();
            let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
            assert_eq!(ids, expected, "{prefix}");
        };
        check("abc", &["abc1", "abc2"]);
        check("ab_", &["ab_x"]);
        check("ab", &["ab_x", "abc1", "abc2", "abd"]);
        check("x", &[]);
        let two = store.read(|tx| tx.ids_with_prefix("ab", false, 2)).unwrap();
        assert_eq!(two.len(), 2);
    }

    fn an_empty_start_finds_the_newest_tasks(store: &TestStore) {
        let tasks = store
            .write(|tx| ["a", "b", "c"].iter().map(|title| insert(tx, &new_task(title), "")).collect())
            .unwrap();
        let tasks: Vec<Task> = tasks;
        let ids = store.read(|tx| tx.ids_with_prefix("", false, 2)).unwrap();
        assert_eq!(ids, [tasks[2].id.clone(), tasks[1].id.clone()]);
    }

    fn ids_of_batches_are_found_newest_first(store: &TestStore) {
        for id in ["batch-1", "batch-2", "other"] {
            let mut plan = BatchPlan::of(1, 1);
            plan.task.id = id.parse().unwrap();
            store.batch(plan);
        }
        store.add(Task { id: "batch-0".parse().unwrap(), ..new_task("no batch") });
        let ids = |prefix: &'static str, limit| {
            let found = store.read(move |tx| tx.ids_with_prefix(prefix, true, limit)).unwrap();
            found.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids("batch", 10), ["batch-2", "batch-1"]);
        assert_eq!(ids("", 2), ["other", "batch-2"]);
        assert!(ids("batch-1.", 10).is_empty());
    }
}
