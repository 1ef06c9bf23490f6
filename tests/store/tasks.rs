//! Tasks: what is inserted, what is read, and what an update changes.

use tasktally::error::Code;
use tasktally::model::id::TaskId;
use tasktally::model::status::{Complexity, Status, TaskType};
use tasktally::model::task::Task;
use tasktally::model::timestamp::Timestamp;
use tasktally::store::TaskFilter;

use crate::build::{BatchPlan, insert, new_task};
use crate::stores::{TestStore, conformance};

/// A task whose every field differs from the default.
fn full_task() -> Task {
    Task {
        task_type: TaskType::Bug,
        status: Status::Waiting,
        priority: 4,
        order: -1_000_000,
        project: Some("Prøject".to_owned()),
        assignee: Some("worker-1".to_owned()),
        due: Some(Timestamp::from_millis(32_503_679_999_999)),
        tags: vec!["z".to_owned(), "a \"quoted\" tag".to_owned(), "z2".to_owned()],
        effort: Some("2h".to_owned()),
        context: Some("at the desk".to_owned()),
        complexity: Some(Complexity::NeedsDecomposition),
        ..new_task("A title: ü, 日本語, 'quotes', %_\\")
    }
}

conformance! {
    fn every_field_of_a_new_task_is_stored(store: &TestStore) {
        let given = full_task();
        let stored = store.add(given.clone());
        let expected = Task {
            row: stored.row,
            created: stored.created,
            updated: stored.updated,
            change_number: stored.change_number,
            ..given
        };
        assert_eq!(stored, expected);
        store.reopen();
        assert_eq!(store.get(stored.row), expected);
    }

    fn a_new_task_is_ready_and_has_no_claim(store: &TestStore) {
        let task = store.task("plain");
        assert_eq!((task.blocker_count, task.hold_count, task.receipt_count, task.generation), (0, 0, 0, 0));
        assert_eq!((task.claim, task.backoff_until), (None, None));
        assert!(!task.has_dependencies && !task.has_checkbox && !task.is_batch && !task.is_chunk);
    }

    fn a_task_is_created_at_the_time_of_its_transaction(store: &TestStore) {
        let (now, task) = store
            .write(|tx| {
                let given = Task { created: Timestamp::from_millis(5), ..new_task("late") };
                Ok((tx.now(), insert(tx, &given, "")?))
            })
            .unwrap();
        assert_eq!((task.created, task.updated), (now, now));
    }

    fn rows_ascend_in_the_order_of_creation(store: &TestStore) {
        let rows = store
            .write(|tx| {
                ["a", "b", "c"].iter().map(|title| Ok(insert(tx, &new_task(title), "")?.row)).collect()
            })
            .unwrap();
        let rows: Vec<i64> = rows;
        assert!(rows[0] > 0 && rows.is_sorted_by(|one, next| one < next), "{rows:?}");
        assert!(store.task("d").row > rows[2]);
    }

    fn a_task_is_found_by_its_id(store: &TestStore) {
        let task = store.task("wanted");
        store.task("other");
        let id = task.id.clone();
        assert_eq!(store.read(move |tx| tx.task(&id)).unwrap(), task);
    }

    fn an_unknown_id_is_not_found(store: &TestStore) {
        store.task("other");
        let error = store.read(|tx| tx.task(&TaskId::random())).unwrap_err();
        assert_eq!(error.code, Code::NotFound);
    }

    fn an_id_of_other_case_is_not_found(store: &TestStore) {
        store.add(Task { id: TaskId::stored("abc".to_owned()), ..new_task("lower case") });
        let error = store.read(|tx| tx.task(&TaskId::stored("ABC".to_owned()))).unwrap_err();
        assert_eq!(error.code, Code::NotFound);
    }

    fn an_unknown_row_is_not_found(store: &TestStore) {
        let last = store.task("only").row;
        let error = store.read(move |tx| tx.task_by_row(last + 1)).unwrap_err();
        assert_eq!(error.code, Code::NotFound);
    }

    fn the_id_of_a_chunk_may_have_other_leading_zeros(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let id = batch.task.id;
        assert_eq!(batch.chunks[1].id.as_str(), format!("{id}.02"));
        for number in ["2", "02", "0002"] {
            let id = TaskId::stored(format!("{id}.{number}"));
            assert_eq!(store.read(move |tx| tx.task(&id)).unwrap().row, batch.chunks[1].row, "{number}");
        }
        let error = store.read(move |tx| tx.task(&TaskId::stored(format!("{id}.3")))).unwrap_err();
        assert_eq!(error.code, Code::NotFound);
    }

    fn two_tasks_never_have_the_same_id(store: &TestStore) {
        let first = store.task("first");
        let second = Task { id: first.id.clone(), ..new_task("second") };
        store.write(move |tx| insert(tx, &second, "")).unwrap_err();
        assert_eq!(store.list(TaskFilter::default()), ["first"]);
        assert_eq!(store.get(first.row), first);
    }

    fn a_task_names_its_parent_by_row_and_by_id(store: &TestStore) {
        let parent = store.task("parent");
        let child = store.add(Task { parent_row: Some(parent.row), ..new_task("child") });
        assert_eq!((child.parent_row, child.parent), (Some(parent.row), Some(parent.id)));
    }

    fn a_parent_must_exist(store: &TestStore) {
        let orphan = Task { parent_row: Some(1_000_000), ..new_task("orphan") };
        store.write(move |tx| insert(tx, &orphan, "")).unwrap_err();
        assert_eq!(store.latest_change(), 0);
    }

    fn batches_and_chunks_are_marked_as_such(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        assert!(batch.task.is_batch && !batch.task.is_chunk);
        assert!(batch.chunks[0].is_chunk && !batch.chunks[0].is_batch);
        assert_eq!(batch.chunks[0].batch_row(), Some(batch.row()));
    }

    fn the_initial_text_is_stored_as_it_was_given(store: &TestStore) {
        let text = "line 1\r\nline 2\n\n\ttab, ü, 👩‍💻 ";
        let task = store.write(move |tx| insert(tx, &new_task("text"), text)).unwrap();
        store.reopen();
        assert_eq!(store.read(move |tx| tx.initial_text(task.row)).unwrap(), text);
    }

    fn the_initial_text_of_an_unknown_row_is_empty(store: &TestStore) {
        assert_eq!(store.read(|tx| tx.initial_text(77)).unwrap(), "");
    }

    fn a_checkbox_in_the_initial_text_is_noted(store: &TestStore) {
        let with = store.write(|tx| insert(tx, &new_task("with"), "to do:\n- [ ] one")).unwrap();
        let without = store.write(|tx| insert(tx, &new_task("without"), "- [x] one")).unwrap();
        assert!(with.has_checkbox && !without.has_checkbox);
        store.report(without.row, "- [ ] in a receipt");
        assert!(!store.get(without.row).has_checkbox);
    }

    fn an_update_of_fields_changes_all_of_them(store: &TestStore) {
        let before = store.task("plain");
        let parent = store.task("parent");
        let after = Task {
            row: before.row,
            id: before.id.clone(),
            status: Status::Active,
            parent: Some(parent.id.clone()),
            parent_row: Some(parent.row),
            ..full_task()
        };
        let given = after.clone();
        store.write(move |tx| tx.update_fields(&before, &given)).unwrap();
        let stored = store.get(after.row);
        let expected = Task {
            created: stored.created,
            updated: stored.updated,
            change_number: stored.change_number,
            ..after
        };
        assert_eq!(stored, expected);
    }

    fn an_update_of_fields_can_clear_them(store: &TestStore) {
        let before = store.add(full_task());
        let row = before.row;
        let after = Task { row, id: before.id.clone(), ..new_task("plain") };
        store.write(move |tx| tx.update_fields(&before, &after)).unwrap();
        let stored = store.get(row);
        assert_eq!((stored.project, stored.assignee, stored.due), (None, None, None));
        assert_eq!((stored.effort, stored.context, stored.complexity), (None, None, None));
        assert_eq!((stored.tags, stored.priority, stored.order), (Vec::<String>::new(), 2, 0));
    }

    fn an_update_of_fields_keeps_status_claim_and_counts(store: &TestStore) {
        let row = store.task("task").row;
        store.report(row, "a receipt");
        let before = store.claim(row, "w", 60);
        let after = Task {
            status: Status::Done,
            claim: None,
            receipt_count: 7,
            hold_count: 3,
            title: "renamed".to_owned(),
            ..before.clone()
        };
        let given = before.clone();
        store.write(move |tx| tx.update_fields(&given, &after)).unwrap();
        let stored = store.get(row);
        assert_eq!(stored.title, "renamed");
        assert_eq!((stored.status, stored.claim), (Status::InProgress, before.claim));
        assert_eq!((stored.receipt_count, stored.hold_count), (1, 0));
    }

    fn an_update_of_fields_under_an_older_generation_is_refused(store: &TestStore) {
        let before = store.task("task");
        let claimed = store.claim(before.row, "w", 60);
        let after = Task { title: "renamed".to_owned(), ..before.clone() };
        let error = store.write(move |tx| tx.update_fields(&before, &after)).unwrap_err();
        assert_eq!(error.code, Code::Conflict);
        assert_eq!(store.get(claimed.row), claimed);
    }

    fn an_update_of_fields_is_dated_and_numbered(store: &TestStore) {
        let before = store.task("task");
        store.shift_clock(5_000);
        let (row, created, changed) = (before.row, before.created, before.change_number);
        store.write(move |tx| tx.update_fields(&before, &before)).unwrap();
        let after = store.get(row);
        assert_eq!(after.created, created);
        assert!(after.updated.millis() >= created.millis() + 5_000, "{after:?}");
        assert!(after.change_number > changed);
    }
}
