//! The costs that receipts report, added up for chunks and batches.

use tasktally::model::author::{Author, AuthorKind};
use tasktally::model::cost::{Cost, CostGroup, CostSum, Money};
use tasktally::model::status::ItemReport;
use tasktally::model::task::RowId;
use tasktally::store::NewReceipt;

use crate::build::BatchPlan;
use crate::stores::{TestStore, conformance};

/// A cost of so many millionths and input tokens, of a model.
fn cost(millionths: i64, tokens: i64, model: Option<&str>) -> Cost {
    Cost {
        model: model.map(str::to_owned),
        tokens_in: Some(tokens),
        tokens_out: None,
        cost: Some(Money::from_millionths(millionths)),
    }
}

/// A receipt that reports a cost.
#[derive(Clone)]
struct Paid {
    worker: &'static str,
    category: Option<&'static str>,
    outcome: Option<ItemReport>,
    late: bool,
    cost: Cost,
}

impl Paid {
    fn by(worker: &'static str, cost: Cost) -> Self {
        Paid { worker, category: None, outcome: None, late: false, cost }
    }

    fn report(self, store: &TestStore, row: RowId) {
        store
            .write(move |tx| {
                let receipt = NewReceipt {
                    author: &Author::new(self.worker, AuthorKind::Worker),
                    category: self.category,
                    outcome: self.outcome,
                    late: self.late,
                    cost: self.cost.clone(),
                    ..NewReceipt::default()
                };
                tx.append_receipt(&tx.task_by_row(row)?, &receipt)
            })
            .unwrap();
    }
}

/// The totals of a kind: the group, its money and its input tokens.
fn totals(store: &TestStore, row: RowId, kind: CostGroup) -> Vec<(String, i64, i64)> {
    let totals = store.read(move |tx| tx.cost_totals(row)).unwrap();
    let of_kind = totals.into_iter().filter(|(found, ..)| *found == kind);
    of_kind.map(|(_, name, sum)| (name, sum.cost.millionths(), sum.tokens_in)).collect()
}

/// A group with its money and its input tokens.
fn total(name: &str, millionths: i64, tokens: i64) -> (String, i64, i64) {
    (name.to_owned(), millionths, tokens)
}

conformance! {
    fn costs_are_added_up_for_the_chunk_and_the_batch(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        Paid::by("w", cost(5, 10, None)).report(store, batch.chunk(1));
        Paid::by("w", cost(7, 1, None)).report(store, batch.chunk(1));
        Paid::by("w", cost(100, 0, None)).report(store, batch.chunk(2));
        Paid::by("w", cost(1_000, 0, None)).report(store, batch.row());
        assert_eq!(totals(store, batch.chunk(1), CostGroup::All), [total("", 12, 11)]);
        assert_eq!(totals(store, batch.chunk(2), CostGroup::All), [total("", 100, 0)]);
        assert_eq!(totals(store, batch.row(), CostGroup::All), [total("", 1_112, 11)]);
    }

    fn every_part_of_a_cost_is_added(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).chunk(1);
        let both = Cost { tokens_in: Some(3), tokens_out: Some(4), ..Cost::default() };
        Paid::by("w", both).report(store, row);
        Paid::by("w", Cost { tokens_out: Some(1_000_000_000_000), ..Cost::default() }).report(store, row);
        let sum = store.read(move |tx| tx.cost_totals(row)).unwrap();
        let expected =
            CostSum { tokens_in: 3, tokens_out: 1_000_000_000_004, cost: Money::from_millionths(0) };
        assert_eq!(sum, [(CostGroup::All, String::new(), expected)]);
    }

    fn the_costs_of_a_batch_are_added_up_by_worker(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        Paid::by("ann", cost(5, 1, None)).report(store, batch.chunk(1));
        Paid::by("bob", cost(9, 1, None)).report(store, batch.chunk(1));
        Paid::by("ann", cost(6, 1, None)).report(store, batch.chunk(2));
        // The highest cost comes first.
        assert_eq!(totals(store, batch.row(), CostGroup::Worker), [total("ann", 11, 2), total("bob", 9, 1)]);
        assert!(totals(store, batch.chunk(1), CostGroup::Worker).is_empty());
    }

    fn the_costs_of_a_batch_are_added_up_by_model(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        Paid::by("w", cost(5, 1, Some("small"))).report(store, batch.chunk(1));
        Paid::by("w", cost(9, 1, Some("large"))).report(store, batch.chunk(1));
        Paid::by("w", cost(1, 1, None)).report(store, batch.chunk(1));
        assert_eq!(
            totals(store, batch.row(), CostGroup::Model),
            [total("large", 9, 1), total("small", 5, 1)]
        );
    }

    fn the_costs_of_a_batch_are_added_up_by_category(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let row = batch.chunk(1);
        let spam = Paid {
            category: Some("spam"),
            outcome: Some(ItemReport::Done),
            ..Paid::by("w", cost(9, 1, None))
        };
        spam.report(store, row);
        // Without a category, the outcome counts; without both, "none".
        Paid { outcome: Some(ItemReport::Started), ..Paid::by("w", cost(5, 1, None)) }.report(store, row);
        Paid::by("w", cost(1, 1, None)).report(store, row);
        let expected = [total("spam", 9, 1), total("started", 5, 1), total("none", 1, 1)];
        assert_eq!(totals(store, batch.row(), CostGroup::Category), expected);
    }

    fn the_cost_of_a_late_receipt_counts(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        Paid { late: true, ..Paid::by("w", cost(5, 1, None)) }.report(store, batch.chunk(1));
        assert_eq!(totals(store, batch.row(), CostGroup::All), [total("", 5, 1)]);
    }

    fn receipts_without_a_cost_have_no_total(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        store.report(batch.chunk(1), "free");
        let row = batch.row();
        assert!(store.read(move |tx| tx.cost_totals(row)).unwrap().is_empty());
    }

    fn the_cost_of_a_plain_task_has_no_total(store: &TestStore) {
        let row = store.task("task").row;
        Paid::by("w", cost(5, 1, None)).report(store, row);
        assert!(store.read(move |tx| tx.cost_totals(row)).unwrap().is_empty());
        assert_eq!(store.read(move |tx| tx.receipt(row, 1)).unwrap().unwrap().cost, cost(5, 1, None));
    }

    fn the_cost_of_a_rolled_back_receipt_does_not_count(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let row = batch.row();
        store
            .write_and_roll_back(move |tx| {
                let receipt = NewReceipt { cost: cost(5, 1, Some("m")), ..NewReceipt::default() };
                tx.append_receipt(&tx.task_by_row(row)?, &receipt)
            })
            .unwrap();
        assert!(store.read(move |tx| tx.cost_totals(row)).unwrap().is_empty());
    }
}
