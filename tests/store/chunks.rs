//! Chunks and the items that they contain.

use tasktally::model::batch::{Chunk, ItemCounts, StoredItem};
use tasktally::model::status::{Outcome, Status};

use crate::actions::chunk;
use crate::build::{BatchPlan, fields, insert};
use crate::stores::{TestStore, conformance};

/// The keys of items.
fn keys(items: &[StoredItem]) -> Vec<&str> {
    items.iter().map(|item| item.key.as_str()).collect()
}

conformance! {
    fn a_new_chunk_was_never_claimed(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 3));
        let expected = Chunk::new(batch.chunk(2), (batch.row(), &batch.task.id), 2, "span 2", 3);
        assert_eq!(store.get_chunk(batch.chunk(2)), expected);
        assert_eq!(expected.counts, ItemCounts { total: 3, ..ItemCounts::default() });
    }

    fn a_task_that_is_no_chunk_has_none(store: &TestStore) {
        let task = store.task("task");
        let batch = store.batch(BatchPlan::of(1, 1)).task;
        for task in [task, batch] {
            assert_eq!(store.read(move |tx| tx.chunk(&task)).unwrap(), None);
        }
    }

    fn the_chunks_of_a_batch_come_in_order(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(4, 1));
        store.batch(BatchPlan::of(2, 1));
        let row = batch.row();
        let chunks = |after, limit| store.read(move |tx| tx.chunks(row, after, limit)).unwrap();
        let numbers = |found: &[(Chunk, _)]| found.iter().map(|(chunk, _)| chunk.number).collect::<Vec<_>>();
        let all = chunks(0, 10);
        assert_eq!(numbers(&all), [1, 2, 3, 4]);
        assert_eq!(numbers(&chunks(1, 2)), [2, 3]);
        assert!(chunks(4, 10).is_empty());
        for (chunk, task) in all {
            assert_eq!(task, batch.chunks[chunk.number as usize - 1]);
            assert_eq!(chunk, store.get_chunk(task.row));
        }
    }

    fn two_chunks_of_a_batch_have_different_numbers(store: &TestStore) {
        let plan = BatchPlan::of(1, 0);
        let batch = store.batch(plan.clone());
        let (row, id) = (batch.row(), batch.task.id);
        let second = plan.chunk_task(row, 2);
        store
            .write(move |tx| {
                let task = insert(tx, &second, "")?;
                tx.insert_chunk(&Chunk::new(task.row, (row, &id), 1, "", 0))
            })
            .unwrap_err();
    }

    fn the_first_attempt_starts_the_batch(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let (row, first, second) = (batch.row(), batch.chunk(1), batch.chunk(2));
        assert_eq!(store.get_batch(row).started, None);
        let started = store.write(move |tx| {
            tx.set_attempts(&chunk(tx, first)?, 1)?;
            Ok(tx.now())
        });
        let started = started.unwrap();
        store.shift_clock(5_000);
        store.write(move |tx| tx.set_attempts(&chunk(tx, second)?, 3)).unwrap();
        assert_eq!(store.get_batch(row).started, Some(started));
        assert_eq!((store.get_chunk(first).attempts, store.get_chunk(second).attempts), (1, 3));
    }

    fn the_reasons_of_releases_are_listed(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let first = batch.chunk(1);
        for reason in ["out of memory", "lost ü"] {
            store.write(move |tx| tx.add_release_reason(first, reason)).unwrap();
        }
        assert_eq!(store.get_chunk(first).release_reasons, "out of memory\nlost ü\n");
        assert_eq!(store.get_chunk(batch.chunk(2)).release_reasons, "");
    }

    fn the_list_of_reasons_is_bounded_and_keeps_the_last(store: &TestStore) {
        let first = store.batch(BatchPlan::of(1, 1)).chunk(1);
        store
            .write(move |tx| {
                (0..30).try_for_each(|number| {
                    tx.add_release_reason(first, &format!("{number} {}", "x".repeat(97)))
                })
            })
            .unwrap();
        let reasons = store.get_chunk(first).release_reasons;
        assert!(reasons.ends_with(&format!("29 {}\n", "x".repeat(97))), "{reasons}");
        assert!(!reasons.contains("\n0 ") && reasons.chars().count() <= 2_000, "{reasons}");
    }

    fn reasons_are_deleted_with_the_attempts(store: &TestStore) {
        let first = store.batch(BatchPlan::of(1, 1)).chunk(1);
        store.write(move |tx| tx.add_release_reason(first, "why")).unwrap();
        store.write(move |tx| tx.set_attempts(&chunk(tx, first)?, 2)).unwrap();
        assert_eq!(store.get_chunk(first).release_reasons, "why\n");
        store.write(move |tx| tx.set_attempts(&chunk(tx, first)?, 0)).unwrap();
        assert_eq!(
            (store.get_chunk(first).release_reasons.as_str(), store.get_chunk(first).attempts),
            ("", 0)
        );
    }

    fn the_note_of_a_review_can_be_set(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let first = batch.chunk(1);
        store.write(move |tx| tx.set_review_note(first, "look\nagain")).unwrap();
        assert_eq!(store.get_chunk(first).review_note, "look\nagain");
        assert_eq!(store.get_chunk(batch.chunk(2)).review_note, "");
    }

    fn the_accepted_generation_can_be_set(store: &TestStore) {
        let first = store.batch(BatchPlan::of(1, 1)).chunk(1);
        store.write(move |tx| tx.set_accepted_generation(first, 4)).unwrap();
        assert_eq!(store.get_chunk(first).accepted_generation, 4);
    }

    fn a_chunk_grows(store: &TestStore) {
        let first = store.batch(BatchPlan::of(1, 2)).chunk(1);
        let grown = store.write_and_roll_back(move |tx| {
            tx.grow_chunk(first, 3, "longer")?;
            chunk(tx, first)
        });
        let grown = grown.unwrap();
        assert_eq!((grown.counts.total, grown.span.as_str()), (5, "longer"));
    }

    fn an_item_is_stored_as_it_was_given(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 0));
        let (row, first) = (batch.row(), batch.chunk(1));
        let (key, json) = ("Schlüssel %_'", r#"{"z": 1.0, "a": "ü\u0000", "z": [1e400]}"#);
        store
            .write(move |tx| {
                tx.insert_item(row, first, 1, key, json)?;
                tx.grow_chunk(first, 1, "one")?;
                tx.grow_batch(row, 0, 1)
            })
            .unwrap();
        let expected = StoredItem {
            chunk_row: first,
            position: 1,
            key: key.to_owned(),
            json: json.to_owned(),
            settled: None,
            step: 0,
            started: None,
        };
        assert_eq!(store.read(move |tx| tx.item(row, key)).unwrap(), Some(expected));
    }

    fn the_items_of_a_chunk_come_in_order(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 12));
        let first = batch.chunk(1);
        let items = |after, limit| store.read(move |tx| tx.items(first, after, limit, false)).unwrap();
        let all = items(0, 100);
        assert_eq!(all.iter().map(|item| item.position).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
        assert_eq!(keys(&all[8..]), ["1.9", "1.10", "1.11", "1.12"]);
        assert_eq!(keys(&items(2, 2)), ["1.3", "1.4"]);
        assert!(items(12, 10).is_empty());
        assert_eq!(all[2].json, fields("1.3"));
    }

    fn open_items_have_no_outcome(store: &TestStore) {
        let first = store.batch(BatchPlan::of(1, 4)).chunk(1);
        store.settle(first, "1.1", Outcome::Done);
        store.settle(first, "1.3", Outcome::Failed);
        let open = store.read(move |tx| tx.items(first, 0, 10, true)).unwrap();
        assert_eq!(keys(&open), ["1.2", "1.4"]);
        let open = store.read(move |tx| tx.items(first, 2, 1, true)).unwrap();
        assert_eq!(keys(&open), ["1.4"]);
    }

    fn an_item_is_found_by_its_key_in_its_batch_only(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 2));
        let other = store.batch(BatchPlan::of(1, 2));
        let (row, other_row) = (batch.row(), other.row());
        let found = store.read(move |tx| tx.item(row, "2.1")).unwrap();
        assert_eq!(found, Some(store.get_item(batch.chunk(2), "2.1")));
        assert_eq!(store.read(move |tx| tx.item(other_row, "2.1")).unwrap(), None);
        // The same key in two batches is two items.
        let same = store.read(move |tx| tx.item(other_row, "1.1")).unwrap().unwrap();
        assert_eq!(same.chunk_row, other.chunk(1));
        let has = |row, key: &'static str| store.read(move |tx| tx.has_item(row, key)).unwrap();
        assert!(has(row, "2.1") && !has(other_row, "2.1") && !has(row, "2.") && !has(row, "3.1"));
    }

    fn a_key_is_unique_in_its_batch(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let (row, second) = (batch.row(), batch.chunk(2));
        store.write(move |tx| tx.insert_item(row, second, 2, "1.1", "{}")).unwrap_err();
        let found = store.read(move |tx| tx.items(second, 0, 10, false)).unwrap();
        assert_eq!(keys(&found), ["2.1"]);
    }

    fn keys_differ_by_case_and_by_composition(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 0));
        let (row, first) = (batch.row(), batch.chunk(1));
        store
            .write(move |tx| {
                for (position, key) in (1..).zip(["a", "A", "\u{e4}", "a\u{308}", "a "]) {
                    tx.insert_item(row, first, position, key, "{}")?;
                }
                tx.grow_chunk(first, 5, "five")?;
                tx.grow_batch(row, 0, 5)
            })
            .unwrap();
        for (position, key) in (1..).zip(["a", "A", "\u{e4}", "a\u{308}", "a "]) {
            assert_eq!(store.read(move |tx| tx.item(row, key)).unwrap().unwrap().position, position);
        }
    }

    fn the_lowest_step_is_that_of_the_chunks_that_have_not_ended(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1).with_steps(&["one", "two"]));
        let (row, first, second) = (batch.row(), batch.chunk(1), batch.chunk(2));
        let lowest = || store.read(move |tx| tx.lowest_open_step(row)).unwrap();
        assert_eq!(lowest(), Some(0));
        store.settle(first, "1.1", Outcome::Done);
        store.write(move |tx| tx.advance_chunk(&chunk(tx, first)?, 1, &[])).unwrap();
        assert_eq!(lowest(), Some(0));
        store.end_chunk(second, Status::Failed);
        assert_eq!(lowest(), Some(1));
        store.end_chunk(first, Status::Cancelled);
        assert_eq!(lowest(), None);
    }
}
