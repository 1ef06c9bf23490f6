//! Steps: a chunk advances with the items that were done, and a retry returns to the step of a failure.

use tasktally::model::batch::{EarlierOutcome, ItemCounts};
use tasktally::model::status::Outcome;
use tasktally::model::task::RowId;
use tasktally::store::ItemSelection;

use crate::actions::chunk;
use crate::build::{BatchPlan, BuiltBatch};
use crate::stores::{TestStore, conformance};

/// A batch of three steps with one chunk of so many items.
fn three_steps(store: &TestStore, items: u64) -> BuiltBatch {
    store.batch(BatchPlan::of(1, items).with_steps(&["one", "two", "three"]))
}

/// Moves a chunk to a step, with the items of some categories.
fn advance(store: &TestStore, row: RowId, to: usize, only: &'static [&'static str]) -> u64 {
    let only: Vec<String> = only.iter().map(|category| (*category).to_owned()).collect();
    store.write(move |tx| tx.advance_chunk(&chunk(tx, row)?, to, &only)).unwrap()
}

/// Opens all failed items of a chunk again.
fn retry(store: &TestStore, row: RowId) -> u64 {
    store.write(move |tx| tx.reopen_failed_items(&chunk(tx, row)?, &ItemSelection::default())).unwrap()
}

/// The outcomes of an item in earlier steps.
fn earlier(store: &TestStore, row: RowId, position: u64) -> Vec<EarlierOutcome> {
    store.read(move |tx| tx.earlier_outcomes(row, position)).unwrap()
}

conformance! {
    fn the_items_that_were_done_are_opened_for_the_next_step(store: &TestStore) {
        let row = three_steps(store, 4).chunk(1);
        store.settle(row, "1.1", Outcome::Done);
        store.settle_as(row, "1.2", Outcome::Done, "spam");
        store.settle(row, "1.3", Outcome::Failed);
        store.settle(row, "1.4", Outcome::Skipped);
        assert_eq!(advance(store, row, 1, &[]), 2);
        let open = store.read(move |tx| tx.items(row, 0, 10, true)).unwrap();
        let open: Vec<(&str, usize)> = open.iter().map(|item| (item.key.as_str(), item.step)).collect();
        assert_eq!(open, [("1.1", 1), ("1.2", 1)]);
        let failed = store.get_item(row, "1.3");
        assert_eq!((failed.step, failed.settled.unwrap().outcome), (0, Outcome::Failed));
        let expected = ItemCounts { total: 4, done: 0, failed: 1, skipped: 1 };
        assert_eq!(store.get_chunk(row).counts, expected);
    }

    fn an_advanced_chunk_names_its_step(store: &TestStore) {
        let row = three_steps(store, 1).chunk(1);
        let found = store.get_chunk(row);
        assert_eq!((found.step, found.step_name.as_deref()), (0, Some("one")));
        store.settle(row, "1.1", Outcome::Done);
        advance(store, row, 2, &[]);
        let found = store.get_chunk(row);
        assert_eq!((found.step, found.step_name.as_deref()), (2, Some("three")));
    }

    fn a_chunk_of_a_batch_without_steps_has_no_step_name(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).chunk(1);
        assert_eq!(store.get_chunk(row).step_name, None);
    }

    fn a_step_can_take_items_of_some_categories_only(store: &TestStore) {
        let batch = three_steps(store, 4);
        let row = batch.chunk(1);
        store.settle_as(row, "1.1", Outcome::Done, "spam");
        store.settle_as(row, "1.2", Outcome::Done, "mail");
        store.settle_as(row, "1.3", Outcome::Failed, "spam");
        store.settle(row, "1.4", Outcome::Done);
        assert_eq!(advance(store, row, 1, &["spam", "other"]), 1);
        let open = store.read(move |tx| tx.items(row, 0, 10, true)).unwrap();
        assert_eq!(open.iter().map(|item| item.key.as_str()).collect::<Vec<_>>(), ["1.1"]);
        let mut categories = store.read(move |tx| tx.category_counts(batch.row())).unwrap();
        categories.sort();
        let expected = [("done", 1), ("mail", 1), ("spam", 1)];
        assert_eq!(categories, expected.map(|(name, count)| (name.to_owned(), count)));
    }

    fn a_chunk_without_items_for_the_step_does_not_change(store: &TestStore) {
        let row = three_steps(store, 1).chunk(1);
        store.settle_as(row, "1.1", Outcome::Done, "mail");
        store.write(move |tx| tx.set_review_note(row, "note")).unwrap();
        let (before, item) = (store.get_chunk(row), store.get_item(row, "1.1"));
        assert_eq!(advance(store, row, 1, &["spam"]), 0);
        assert_eq!(store.get_chunk(row), before);
        assert_eq!(store.get_item(row, "1.1"), item);
        assert!(earlier(store, row, 1).is_empty());
    }

    fn the_outcomes_of_earlier_steps_are_kept(store: &TestStore) {
        let row = three_steps(store, 2).chunk(1);
        store.settle_as(row, "1.1", Outcome::Done, "mail");
        store.settle(row, "1.2", Outcome::Failed);
        assert!(earlier(store, row, 1).is_empty());
        advance(store, row, 1, &[]);
        store.settle(row, "1.1", Outcome::Done);
        advance(store, row, 2, &[]);
        let outcome = |step, category: Option<&str>| EarlierOutcome {
            step,
            outcome: Outcome::Done,
            category: category.map(str::to_owned),
        };
        assert_eq!(earlier(store, row, 1), [outcome(0, Some("mail")), outcome(1, None)]);
        assert!(earlier(store, row, 2).is_empty());
    }

    fn the_note_of_a_review_ends_with_its_step(store: &TestStore) {
        let row = three_steps(store, 1).chunk(1);
        store.write(move |tx| tx.set_review_note(row, "look again")).unwrap();
        store.settle(row, "1.1", Outcome::Done);
        advance(store, row, 1, &[]);
        assert_eq!(store.get_chunk(row).review_note, "");
    }

    fn items_of_earlier_steps_are_not_opened_with_those_of_the_current_one(store: &TestStore) {
        let row = three_steps(store, 2).chunk(1);
        store.settle(row, "1.1", Outcome::Done);
        store.settle(row, "1.2", Outcome::Skipped);
        advance(store, row, 1, &[]);
        store.settle(row, "1.1", Outcome::Done);
        let opened =
            store.write(move |tx| tx.reopen_items(&chunk(tx, row)?, &ItemSelection::default())).unwrap();
        assert_eq!(opened, 1);
        assert_eq!(store.get_item(row, "1.2").settled.unwrap().outcome, Outcome::Skipped);
    }

    fn a_retry_returns_to_the_first_step_with_a_failure(store: &TestStore) {
        let row = three_steps(store, 3).chunk(1);
        store.settle(row, "1.1", Outcome::Failed);
        store.settle(row, "1.2", Outcome::Done);
        store.settle(row, "1.3", Outcome::Done);
        advance(store, row, 1, &[]);
        store.settle(row, "1.2", Outcome::Failed);
        store.settle(row, "1.3", Outcome::Done);
        assert_eq!(retry(store, row), 1);
        assert_eq!(store.get_chunk(row).step, 0);
        assert_eq!(store.get_item(row, "1.1").settled, None);
        assert_eq!(store.get_item(row, "1.2").settled.unwrap().outcome, Outcome::Failed);
    }

    fn a_retry_stays_in_the_step_of_the_open_items(store: &TestStore) {
        let row = three_steps(store, 3).chunk(1);
        store.settle(row, "1.1", Outcome::Failed);
        store.settle(row, "1.2", Outcome::Done);
        store.settle(row, "1.3", Outcome::Done);
        advance(store, row, 1, &[]);
        store.settle(row, "1.2", Outcome::Failed);
        assert_eq!(retry(store, row), 1);
        assert_eq!(store.get_chunk(row).step, 1);
        assert_eq!(store.get_item(row, "1.2").settled, None);
        assert_eq!(store.get_item(row, "1.1").settled.unwrap().outcome, Outcome::Failed);
    }

    fn an_item_that_passes_a_step_again_replaces_its_earlier_outcome(store: &TestStore) {
        let row = three_steps(store, 2).chunk(1);
        store.settle_as(row, "1.1", Outcome::Done, "old");
        store.settle(row, "1.2", Outcome::Failed);
        advance(store, row, 1, &[]);
        store.settle(row, "1.1", Outcome::Done);
        // The failed item is worked again in the first step and joins the other one in the second.
        assert_eq!(retry(store, row), 1);
        store.settle_as(row, "1.2", Outcome::Done, "new");
        assert_eq!(advance(store, row, 1, &[]), 1);
        let outcomes = earlier(store, row, 2);
        assert_eq!(outcomes.len(), 1);
        assert_eq!((outcomes[0].step, outcomes[0].category.as_deref()), (0, Some("new")));
        assert_eq!(earlier(store, row, 1)[0].category.as_deref(), Some("old"));
        assert_eq!(store.get_item(row, "1.1").settled.unwrap().outcome, Outcome::Done);
    }
}
