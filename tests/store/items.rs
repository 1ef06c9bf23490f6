//! Items: how they are settled, counted by category, and opened again.

use tasktally::error::Code;
use tasktally::model::batch::{ItemCounts, Settled};
use tasktally::model::status::Outcome;
use tasktally::model::task::RowId;
use tasktally::store::ItemSelection;

use crate::actions::{chunk, item, report, settle};
use crate::build::BatchPlan;
use crate::stores::{TestStore, conformance};

/// Selects items by categories and by keys.
fn selection(categories: &[&str], keys: &[&str]) -> ItemSelection {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    ItemSelection { categories: owned(categories), keys: owned(keys) }
}

/// Opens selected items of a chunk again.
fn reopen(store: &TestStore, row: RowId, selection: ItemSelection) -> u64 {
    store.write(move |tx| tx.reopen_items(&chunk(tx, row)?, &selection)).unwrap()
}

/// Opens selected failed items of a chunk again.
fn reopen_failed(store: &TestStore, row: RowId, selection: ItemSelection) -> u64 {
    store.write(move |tx| tx.reopen_failed_items(&chunk(tx, row)?, &selection)).unwrap()
}

/// The keys of the open items of a chunk.
fn open_keys(store: &TestStore, row: RowId) -> Vec<String> {
    let open = store.read(move |tx| tx.items(row, 0, 100, true)).unwrap();
    open.into_iter().map(|item| item.key).collect()
}

/// The counts of the categories of a chunk or a batch.
fn categories(store: &TestStore, row: RowId) -> Vec<(String, u64)> {
    store.read(move |tx| tx.category_counts(row)).unwrap()
}

/// A category and its count.
fn counted(name: &str, count: u64) -> (String, u64) {
    (name.to_owned(), count)
}

/// A chunk of four items: done, done as spam, failed as spam, failed.
fn settled_chunk(store: &TestStore) -> RowId {
    let row = store.batch(BatchPlan::of(1, 4)).chunk(1);
    store.settle(row, "1.1", Outcome::Done);
    store.settle_as(row, "1.2", Outcome::Done, "spam");
    store.settle_as(row, "1.3", Outcome::Failed, "spam");
    store.settle(row, "1.4", Outcome::Failed);
    row
}

conformance! {
    fn an_outcome_is_stored_with_its_category_and_its_receipt(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 2)).chunk(1);
        store.report(row, "first");
        let number = store.settle_as(row, "1.2", Outcome::Skipped, "späm");
        assert_eq!(number, 2);
        store.reopen();
        let settled = Settled { outcome: Outcome::Skipped, category: Some("späm".to_owned()), receipt: 2 };
        assert_eq!(store.get_item(row, "1.2").settled, Some(settled));
        assert_eq!(store.get_item(row, "1.1").settled, None);
    }

    fn every_outcome_is_counted(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 3));
        for (key, outcome) in [("1.1", Outcome::Done), ("1.2", Outcome::Failed), ("1.3", Outcome::Skipped)] {
            store.settle(batch.chunk(1), key, outcome);
        }
        let expected = ItemCounts { total: 3, done: 1, failed: 1, skipped: 1 };
        assert_eq!(store.get_chunk(batch.chunk(1)).counts, expected);
        assert_eq!(store.get_batch(batch.row()).counts, ItemCounts { total: 6, ..expected });
        assert_eq!(store.get_chunk(batch.chunk(2)).counts.processed(), 0);
    }

    fn an_item_is_settled_once(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let row = batch.chunk(1);
        store.settle(row, "1.1", Outcome::Done);
        let error = store.write(move |tx| {
            let number = report(tx, row, "again")?;
            tx.settle_item(&chunk(tx, row)?, &item(tx, row, "1.1")?, Outcome::Failed, None, number)
        });
        assert_eq!(error.unwrap_err().code, Code::Conflict);
        assert_eq!(store.get_item(row, "1.1").settled.unwrap().outcome, Outcome::Done);
        assert_eq!(store.get(row).receipt_count, 1);
        assert_eq!(store.get_batch(batch.row()).counts.failed, 0);
    }

    fn one_of_several_outcomes_of_an_item_is_stored(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).chunk(1);
        let attempt = move |outcome| {
            store.write(move |tx| settle(tx, row, "1.1", outcome, None)).map_err(|error| error.code)
        };
        let outcomes = [Outcome::Done, Outcome::Failed, Outcome::Skipped];
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads = outcomes.map(|outcome| scope.spawn(move || attempt(outcome)));
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(results.iter().all(|result| matches!(result, Ok(1) | Err(Code::Conflict))), "{results:?}");
        assert_eq!(store.get_chunk(row).counts.processed(), 1);
    }

    fn categories_are_counted_for_the_chunk_and_the_batch(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 3));
        store.settle_as(batch.chunk(1), "1.1", Outcome::Done, "spam");
        store.settle_as(batch.chunk(1), "1.2", Outcome::Failed, "spam");
        store.settle_as(batch.chunk(1), "1.3", Outcome::Done, "mail");
        store.settle_as(batch.chunk(2), "2.1", Outcome::Done, "spam");
        assert_eq!(categories(store, batch.chunk(1)), [counted("spam", 2), counted("mail", 1)]);
        assert_eq!(categories(store, batch.chunk(2)), [counted("spam", 1)]);
        assert_eq!(categories(store, batch.row()), [counted("spam", 3), counted("mail", 1)]);
    }

    fn an_item_without_a_category_is_counted_under_its_outcome(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 3));
        let row = batch.chunk(1);
        store.settle(row, "1.1", Outcome::Skipped);
        store.settle_as(row, "1.2", Outcome::Done, "skipped");
        assert_eq!(categories(store, batch.row()), [counted("skipped", 2)]);
    }

    fn a_store_without_outcomes_counts_no_categories(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        assert!(categories(store, batch.row()).is_empty() && categories(store, batch.chunk(1)).is_empty());
    }

    fn failed_items_are_listed_in_the_order_of_the_batch(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(3, 2));
        store.settle(batch.chunk(3), "3.1", Outcome::Failed);
        store.settle(batch.chunk(1), "1.2", Outcome::Failed);
        store.settle(batch.chunk(1), "1.1", Outcome::Failed);
        store.settle(batch.chunk(2), "2.1", Outcome::Done);
        let row = batch.row();
        let failed = |limit| {
            let found = store.read(move |tx| tx.failed_items(row, limit)).unwrap();
            found.into_iter().map(|(id, item)| (id, item.key)).collect::<Vec<_>>()
        };
        let (first, third) = (&batch.chunks[0].id, &batch.chunks[2].id);
        let expected = [(first, "1.1"), (first, "1.2"), (third, "3.1")];
        assert_eq!(failed(10), expected.map(|(id, key)| (id.clone(), key.to_owned())));
        assert_eq!(failed(2).len(), 2);
    }

    fn all_items_of_the_step_are_opened_again(store: &TestStore) {
        let row = settled_chunk(store);
        assert_eq!(reopen(store, row, ItemSelection::default()), 4);
        assert_eq!(open_keys(store, row), ["1.1", "1.2", "1.3", "1.4"]);
        assert_eq!(store.get_chunk(row).counts, ItemCounts { total: 4, ..ItemCounts::default() });
        assert!(categories(store, row).is_empty());
        assert_eq!(reopen(store, row, ItemSelection::default()), 0);
    }

    fn an_opened_item_leaves_the_counts_of_the_batch(store: &TestStore) {
        let row = settled_chunk(store);
        let batch = store.get_chunk(row).batch_row;
        reopen(store, row, selection(&[], &["1.2"]));
        assert_eq!(store.get_batch(batch).counts, ItemCounts { total: 4, done: 1, failed: 2, skipped: 0 });
        let mut found = categories(store, batch);
        found.sort();
        assert_eq!(found, [counted("done", 1), counted("failed", 1), counted("spam", 1)]);
    }

    fn items_are_opened_by_category(store: &TestStore) {
        let row = settled_chunk(store);
        assert_eq!(reopen(store, row, selection(&["spam"], &[])), 2);
        assert_eq!(open_keys(store, row), ["1.2", "1.3"]);
    }

    fn an_item_without_a_category_is_opened_by_its_outcome(store: &TestStore) {
        let row = settled_chunk(store);
        assert_eq!(reopen(store, row, selection(&["done", "none"], &[])), 1);
        assert_eq!(open_keys(store, row), ["1.1"]);
    }

    fn items_are_opened_by_key(store: &TestStore) {
        let row = settled_chunk(store);
        assert_eq!(reopen(store, row, selection(&[], &["1.1", "1.4", "9.9"])), 2);
        assert_eq!(open_keys(store, row), ["1.1", "1.4"]);
    }

    fn items_are_opened_by_category_and_key(store: &TestStore) {
        let row = settled_chunk(store);
        assert_eq!(reopen(store, row, selection(&["spam"], &["1.1", "1.3"])), 1);
        assert_eq!(open_keys(store, row), ["1.3"]);
    }

    fn only_failed_items_are_opened_by_a_retry(store: &TestStore) {
        let row = settled_chunk(store);
        assert_eq!(reopen_failed(store, row, selection(&["spam"], &[])), 1);
        assert_eq!(open_keys(store, row), ["1.3"]);
        assert_eq!(reopen_failed(store, row, ItemSelection::default()), 1);
        assert_eq!(open_keys(store, row), ["1.3", "1.4"]);
        assert_eq!(reopen_failed(store, row, ItemSelection::default()), 0);
        assert_eq!(store.get_chunk(row).counts, ItemCounts { total: 4, done: 2, failed: 0, skipped: 0 });
    }

    fn a_retry_takes_back_that_failures_were_accepted(store: &TestStore) {
        let row = settled_chunk(store);
        let batch = store.get_chunk(row).batch_row;
        store.write(move |tx| tx.set_accepted_failures(batch, 2)).unwrap();
        assert_eq!(reopen_failed(store, row, selection(&[], &["9.9"])), 0);
        assert_eq!(store.get_batch(batch).accepted_failures, 2);
        reopen_failed(store, row, ItemSelection::default());
        assert_eq!(store.get_batch(batch).accepted_failures, 0);
    }

    fn an_opened_item_can_be_settled_again(store: &TestStore) {
        let row = settled_chunk(store);
        reopen_failed(store, row, ItemSelection::default());
        let number = store.settle_as(row, "1.3", Outcome::Done, "mail");
        let settled = Settled { outcome: Outcome::Done, category: Some("mail".to_owned()), receipt: number };
        assert_eq!(store.get_item(row, "1.3").settled, Some(settled));
        assert_eq!(store.get_chunk(row).counts.done, 3);
    }
}
