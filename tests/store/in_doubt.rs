//! Items that were reported as started: until they are settled, or in doubt once their claim has ended.

use tasktally::model::id::TaskId;
use tasktally::model::in_doubt::StartedReport;
use tasktally::model::status::{Outcome, Status};
use tasktally::model::task::RowId;

use crate::actions::{chunk, item};
use crate::build::{BatchPlan, BuiltBatch};
use crate::stores::{TestStore, conformance};

/// A batch of two chunks with three items each. The first chunk is claimed for a minute.
fn claimed_batch(store: &TestStore) -> BuiltBatch {
    let batch = store.batch(BatchPlan::of(2, 3));
    store.claim(batch.chunk(1), "w", 60);
    batch
}

/// How many items of a batch were started and not settled, and how many of them are in doubt.
fn counts(store: &TestStore, batch: RowId) -> (u64, u64) {
    store.read(move |tx| Ok((tx.count_begun(batch)?, tx.count_in_doubt(batch)?))).unwrap()
}

/// The keys of the started items of a chunk.
fn started(store: &TestStore, row: RowId) -> Vec<String> {
    let items = store.read(move |tx| tx.started_items(&chunk(tx, row)?)).unwrap();
    items.into_iter().map(|item| item.key).collect()
}

conformance! {
    fn a_start_is_stored_with_its_receipt_and_its_claim(store: &TestStore) {
        let row = claimed_batch(store).chunk(1);
        let receipt = store.start(row, "1.2");
        let found = store.get_item(row, "1.2");
        assert_eq!(found.started, Some(StartedReport { receipt, generation: 1 }));
        assert_eq!(store.get_item(row, "1.1").started, None);
    }

    fn started_items_come_in_order(store: &TestStore) {
        let batch = claimed_batch(store);
        let row = batch.chunk(1);
        assert!(started(store, row).is_empty());
        store.start(row, "1.3");
        store.start(row, "1.1");
        store.start(batch.chunk(2), "2.1");
        assert_eq!(started(store, row), ["1.1", "1.3"]);
    }

    fn an_outcome_ends_the_start(store: &TestStore) {
        let batch = claimed_batch(store);
        let row = batch.chunk(1);
        store.start(row, "1.1");
        store.settle(row, "1.1", Outcome::Failed);
        assert_eq!(store.get_item(row, "1.1").started, None);
        assert_eq!(counts(store, batch.row()), (0, 0));
    }

    fn a_settled_item_is_not_started(store: &TestStore) {
        let row = claimed_batch(store).chunk(1);
        store.settle(row, "1.1", Outcome::Done);
        store.start(row, "1.1");
        assert_eq!(store.get_item(row, "1.1").started, None);
        assert!(started(store, row).is_empty());
    }

    fn an_item_under_a_live_claim_is_begun_and_not_in_doubt(store: &TestStore) {
        let batch = claimed_batch(store);
        store.start(batch.chunk(1), "1.1");
        store.start(batch.chunk(1), "1.2");
        assert_eq!(counts(store, batch.row()), (2, 0));
    }

    fn an_item_is_in_doubt_when_its_lease_has_expired(store: &TestStore) {
        let batch = claimed_batch(store);
        store.start(batch.chunk(1), "1.1");
        store.shift_clock(61_000);
        assert_eq!(counts(store, batch.row()), (1, 1));
    }

    fn an_item_is_in_doubt_under_another_claim(store: &TestStore) {
        let batch = claimed_batch(store);
        let row = batch.chunk(1);
        store.start(row, "1.1");
        store.claim(row, "other", 60);
        store.start(row, "1.2");
        assert_eq!(counts(store, batch.row()), (2, 1));
        // The rule is that of the model.
        let doubted = store.read(move |tx| {
            let (task, now) = (tx.task_by_row(row)?, tx.now());
            let (first, second) = (item(tx, row, "1.1")?, item(tx, row, "1.2")?);
            Ok((first.is_in_doubt(&task, now), second.is_in_doubt(&task, now)))
        });
        assert_eq!(doubted.unwrap(), (true, false));
    }

    fn an_item_of_a_chunk_that_is_not_in_progress_is_in_doubt(store: &TestStore) {
        let batch = claimed_batch(store);
        store.start(batch.chunk(1), "1.1");
        store.set_status(batch.chunk(1), Status::Review);
        assert_eq!(counts(store, batch.row()), (1, 1));
    }

    fn an_item_is_in_doubt_if_its_lease_ends_later_than_any_can(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        store.claim(batch.chunk(1), "w", 86_400);
        store.start(batch.chunk(1), "1.1");
        assert_eq!(counts(store, batch.row()), (1, 0));
        store.shift_clock(-120_000);
        assert_eq!(counts(store, batch.row()), (1, 1));
    }

    fn batches_with_begun_items_are_listed(store: &TestStore) {
        let first = claimed_batch(store);
        let none = claimed_batch(store);
        let second = claimed_batch(store);
        store.start(second.chunk(1), "1.1");
        store.start(first.chunk(1), "1.1");
        store.start(first.chunk(2), "2.2");
        store.settle(none.chunk(1), "1.1", Outcome::Done);
        let list = |limit| store.read(move |tx| tx.batches_with_begun_items(limit)).unwrap();
        let expected: [(TaskId, u64); 2] = [(first.task.id, 2), (second.task.id, 1)];
        assert_eq!(list(10), expected);
        assert_eq!(list(1), expected[..1]);
    }

    fn the_starts_of_one_claim_are_cleared(store: &TestStore) {
        let batch = claimed_batch(store);
        let row = batch.chunk(1);
        store.start(row, "1.1");
        store.claim(row, "other", 60);
        store.start(row, "1.2");
        store.write(move |tx| tx.clear_started(&chunk(tx, row)?, Some(2))).unwrap();
        assert_eq!(started(store, row), ["1.1"]);
    }

    fn all_starts_of_a_chunk_are_cleared(store: &TestStore) {
        let batch = claimed_batch(store);
        let row = batch.chunk(1);
        store.start(row, "1.1");
        store.claim(row, "other", 60);
        store.start(row, "1.2");
        store.start(batch.chunk(2), "2.1");
        store.write(move |tx| tx.clear_started(&chunk(tx, row)?, None)).unwrap();
        assert!(started(store, row).is_empty());
        assert_eq!(started(store, batch.chunk(2)), ["2.1"]);
    }

    fn the_start_of_one_item_is_cleared(store: &TestStore) {
        let batch = claimed_batch(store);
        let row = batch.chunk(1);
        store.start(row, "1.1");
        store.start(row, "1.2");
        store.write(move |tx| tx.clear_item_started(&item(tx, row, "1.1")?)).unwrap();
        assert_eq!(started(store, row), ["1.2"]);
        assert_eq!(counts(store, batch.row()), (1, 0));
    }
}
