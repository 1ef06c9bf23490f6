//! Receipts: their numbers, their authors, and the receipts of a batch.

use tasktally::model::author::{Author, AuthorKind};
use tasktally::model::cost::{Cost, Money};
use tasktally::model::id::TaskId;
use tasktally::model::receipt::Receipt;
use tasktally::model::status::ItemReport;
use tasktally::model::step::Decision;
use tasktally::model::task::{RowId, Task};
use tasktally::store::NewReceipt;

use crate::actions::report;
use crate::build::BatchPlan;
use crate::stores::{TestStore, conformance};

/// The texts of receipts.
fn texts(receipts: &[Receipt]) -> Vec<&str> {
    receipts.iter().map(|receipt| receipt.text.as_str()).collect()
}

/// Appends a receipt by an author.
fn report_by(store: &TestStore, row: RowId, author: Author) {
    store
        .write(move |tx| {
            let task = tx.task_by_row(row)?;
            tx.append_receipt(&task, &NewReceipt { author: &author, text: "x", ..NewReceipt::default() })
        })
        .unwrap();
}

/// Appends a late receipt.
fn report_late(store: &TestStore, row: RowId) -> u64 {
    let late = NewReceipt { text: "late", late: true, ..NewReceipt::default() };
    store.write(move |tx| tx.append_receipt(&tx.task_by_row(row)?, &late)).unwrap()
}

/// The author of a receipt without one.
fn system() -> Author {
    Author::default()
}

/// What a list of the receipts of a batch shows: the id of the task, and the text.
fn shown(found: &[(u64, TaskId, Receipt)]) -> Vec<(&str, &str)> {
    found.iter().map(|(_, id, receipt)| (id.as_str(), receipt.text.as_str())).collect()
}

conformance! {
    fn receipts_of_a_task_are_numbered_from_one(store: &TestStore) {
        let (first, second) = (store.task("first").row, store.task("second").row);
        assert_eq!(store.report(first, "a"), 1);
        assert_eq!(store.report(first, "b"), 2);
        assert_eq!(store.report(second, "c"), 1);
        assert_eq!(store.report(first, "d"), 3);
        assert_eq!((store.get(first).receipt_count, store.get(second).receipt_count), (3, 1));
    }

    fn a_receipt_of_a_rolled_back_write_leaves_no_gap(store: &TestStore) {
        let row = store.task("task").row;
        store.report(row, "a");
        assert_eq!(store.write_and_roll_back(move |tx| report(tx, row, "gone")).unwrap(), 2);
        assert_eq!(store.get(row).receipt_count, 1);
        assert_eq!(store.report(row, "b"), 2);
        let found = store.read(move |tx| tx.receipts(row, 0, 10)).unwrap();
        assert_eq!(texts(&found), ["a", "b"]);
    }

    fn the_number_does_not_depend_on_the_given_task(store: &TestStore) {
        let task = store.task("task");
        store.report(task.row, "a");
        let outdated = Task { receipt_count: 0, ..task };
        let number = store.write(move |tx| tx.append_receipt(&outdated, &NewReceipt::default())).unwrap();
        assert_eq!(number, 2);
    }

    fn receipts_by_several_threads_are_numbered_without_gaps(store: &TestStore) {
        let row = store.task("task").row;
        let mut numbers: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..10).map(|_| store.report(row, "x")).collect::<Vec<_>>()))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=40).collect::<Vec<u64>>());
        assert_eq!(store.get(row).receipt_count, 40);
    }

    fn every_field_of_a_receipt_is_stored(store: &TestStore) {
        let task = store.batch(BatchPlan::of(1, 1)).chunks[0].clone();
        let row = task.row;
        let (at, number) = store
            .write(move |tx| {
                let cost = Cost {
                    model: Some("modèle".to_owned()),
                    tokens_in: Some(1_000_000_000_000),
                    tokens_out: Some(0),
                    cost: Some(Money::from_millionths(1)),
                };
                let receipt = NewReceipt {
                    author: &Author::new("Ann \"A\" Ü", AuthorKind::Person),
                    text: "line 1\nline 2 👩‍💻",
                    item: Some("1.1"),
                    outcome: Some(ItemReport::Skipped),
                    category: Some("spam"),
                    late: true,
                    step: Some("check"),
                    lease_until: None,
                    decision: Some(Decision::Redo),
                    cost,
                };
                Ok((tx.now(), tx.append_receipt(&task, &receipt)?))
            })
            .unwrap();
        store.reopen();
        let expected = Receipt {
            number: 1,
            at,
            author: "Ann \"A\" Ü".to_owned(),
            author_kind: Some(AuthorKind::Person),
            text: "line 1\nline 2 👩‍💻".to_owned(),
            item: Some("1.1".to_owned()),
            outcome: Some(ItemReport::Skipped),
            category: Some("spam".to_owned()),
            late: true,
            step: Some("check".to_owned()),
            cost: Cost {
                model: Some("modèle".to_owned()),
                tokens_in: Some(1_000_000_000_000),
                tokens_out: Some(0),
                cost: Some(Money::from_millionths(1)),
            },
            decision: Some(Decision::Redo),
        };
        assert_eq!(number, 1);
        assert_eq!(store.read(move |tx| tx.receipt(row, 1)).unwrap(), Some(expected));
    }

    fn a_receipt_without_an_author_is_by_the_system(store: &TestStore) {
        let row = store.task("task").row;
        store.report(row, "x");
        let found = store.read(move |tx| tx.receipt(row, 1)).unwrap().unwrap();
        assert_eq!((found.author.as_str(), found.author_kind), ("tasktally", Some(AuthorKind::System)));
        assert_eq!((found.item, found.outcome, found.category, found.step), (None, None, None, None));
        assert!(!found.late && found.cost.is_empty() && found.decision.is_none());
    }

    fn every_kind_of_author_is_stored(store: &TestStore) {
        let row = store.task("task").row;
        for kind in AuthorKind::ALL {
            report_by(store, row, Author::new("name", *kind));
        }
        let found = store.read(move |tx| tx.receipts(row, 0, 10)).unwrap();
        let kinds: Vec<_> = found.iter().filter_map(|receipt| receipt.author_kind).collect();
        assert_eq!(kinds, AuthorKind::ALL);
    }

    fn receipts_are_read_after_a_number(store: &TestStore) {
        let row = store.task("task").row;
        for text in ["a", "b", "c", "d"] {
            store.report(row, text);
        }
        let found = |after, limit| {
            let receipts = store.read(move |tx| tx.receipts(row, after, limit)).unwrap();
            receipts.into_iter().map(|receipt| receipt.text).collect::<Vec<_>>()
        };
        assert_eq!(found(0, 10), ["a", "b", "c", "d"]);
        assert_eq!(found(1, 2), ["b", "c"]);
        assert!(found(4, 10).is_empty());
    }

    fn an_unknown_receipt_is_none(store: &TestStore) {
        let row = store.task("task").row;
        store.report(row, "x");
        for number in [0, 2] {
            assert_eq!(store.read(move |tx| tx.receipt(row, number)).unwrap(), None);
        }
        assert_eq!(store.read(move |tx| tx.receipt(row + 1, 1)).unwrap(), None);
    }

    fn a_receipt_dates_its_task(store: &TestStore) {
        let task = store.task("task");
        store.shift_clock(5_000);
        store.report(task.row, "x");
        let after = store.get(task.row);
        assert!(after.updated.millis() >= task.updated.millis() + 5_000);
        let at = store.read(move |tx| tx.receipt(after.row, 1)).unwrap().unwrap().at;
        assert_eq!(at, after.updated);
    }

    fn late_receipts_are_kept_and_counted(store: &TestStore) {
        let row = store.task("task").row;
        let late = || store.read(move |tx| tx.late_receipt_count(row)).unwrap();
        assert_eq!(late(), 0);
        store.report(row, "in time");
        assert_eq!(report_late(store, row), 2);
        assert_eq!(report_late(store, row), 3);
        assert_eq!(late(), 2);
        assert_eq!(store.get(row).receipt_count, 3);
        assert!(store.read(move |tx| tx.receipt(row, 2)).unwrap().unwrap().late);
    }

    fn late_receipts_of_other_tasks_are_not_counted(store: &TestStore) {
        let (row, other) = (store.task("task").row, store.task("other").row);
        report_late(store, other);
        assert_eq!(store.read(move |tx| tx.late_receipt_count(row)).unwrap(), 0);
    }

    fn the_names_of_persons_are_known_in_order(store: &TestStore) {
        let row = store.task("task").row;
        for name in ["bob", "Zoë", "ann", "bob", "Ännchen"] {
            report_by(store, row, Author::new(name, AuthorKind::Person));
        }
        report_by(store, row, Author::new("agent", AuthorKind::Agent));
        report_by(store, row, system());
        // By their bytes, whatever the language of the machine.
        let names = store.read(|tx| tx.person_names()).unwrap();
        assert_eq!(names, ["Zoë", "ann", "bob", "Ännchen"]);
    }

    fn a_store_without_persons_knows_no_names(store: &TestStore) {
        let row = store.task("task").row;
        report_by(store, row, Author::new("agent", AuthorKind::Agent));
        assert!(store.read(|tx| tx.person_names()).unwrap().is_empty());
    }

    fn the_receipts_of_a_batch_are_those_of_its_task_and_its_chunks(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 1));
        let other = store.batch(BatchPlan::of(1, 1));
        let row = batch.row();
        store.report(batch.chunk(2), "a");
        store.report(other.chunk(1), "of another batch");
        store.report(row, "b");
        store.report(store.task("plain").row, "of a task");
        store.report(batch.chunk(1), "c");
        let found = store.read(move |tx| tx.batch_receipts_since(row, 0, 10)).unwrap();
        let id = batch.task.id.as_str();
        let (first, second) = (batch.chunks[0].id.as_str(), batch.chunks[1].id.as_str());
        assert_eq!(shown(&found), [(second, "a"), (id, "b"), (first, "c")]);
        assert!(found.is_sorted_by(|one, next| one.0 < next.0));
        // The number is that of the change of its task.
        assert_eq!(found[2].0, store.get(batch.chunk(1)).change_number);
    }

    fn the_receipts_of_a_batch_are_read_after_a_change_number(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, chunk) = (batch.row(), batch.chunk(1));
        for text in ["a", "b", "c"] {
            store.report(chunk, text);
        }
        let read = |since, limit| store.read(move |tx| tx.batch_receipts_since(row, since, limit)).unwrap();
        let first = read(0, 1);
        assert_eq!(first[0].2.text, "a");
        let id = batch.chunks[0].id.as_str();
        assert_eq!(shown(&read(first[0].0, 10)), [(id, "b"), (id, "c")]);
        assert!(read(store.latest_change(), 10).is_empty());
    }

    fn the_latest_receipts_of_a_batch_come_oldest_first(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, chunk) = (batch.row(), batch.chunk(1));
        for text in ["a", "b", "c"] {
            store.report(chunk, text);
        }
        let id = batch.chunks[0].id.as_str();
        let found = store.read(move |tx| tx.latest_batch_receipts(row, 2)).unwrap();
        assert_eq!(shown(&found), [(id, "b"), (id, "c")]);
        let all = store.read(move |tx| tx.latest_batch_receipts(row, 10)).unwrap();
        assert_eq!(all.len(), 3);
    }
}
