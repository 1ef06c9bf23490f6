//! Hash chains of receipts, hashes of contents, and the start of a body.

use tasktally::model::author::{Author, AuthorKind};
use tasktally::model::body::BodyStart;
use tasktally::model::chain::{ChainHead, ChainVerifier};
use tasktally::model::content_hash::{NO_ITEMS, batch_hash, items_hash, text_hash};
use tasktally::model::receipt::GENESIS_HASH;
use tasktally::model::status::{ItemReport, Outcome, Status};
use tasktally::model::task::RowId;
use tasktally::store::NewReceipt;
use tasktally::store::chains::{read_chain, verify_chains};
use tasktally::store::content_check::content_head;

use crate::build::{BatchPlan, fields, insert, key, new_task};
use crate::stores::{TestStore, conformance};

/// The hash of the content of the task in a row.
fn content_hash(store: &TestStore, row: RowId) -> Option<[u8; 32]> {
    store.read(move |tx| tx.content_hash(&tx.task_by_row(row)?)).unwrap()
}

/// The first characters of the body of the task in a row.
fn body_start(store: &TestStore, row: RowId, chars: usize) -> BodyStart {
    store.read(move |tx| tx.body_start(row, chars)).unwrap()
}

/// The head of a task's chain and of its content, as it is now.
fn head(store: &TestStore, row: RowId) -> ChainHead {
    let head = store.read(move |tx| {
        let task = tx.task_by_row(row)?;
        let chain = read_chain(tx, &task, &mut |_, _| {})?;
        let hash = tx.content_hash(&task)?.expect("the task has a hash");
        let content = Some(content_head(tx, &task, &hash)?);
        Ok(ChainHead { task: task.id, number: chain.receipt_count(), hash: chain.head_hash(), content })
    });
    head.unwrap()
}

conformance! {
    fn each_receipt_is_hashed_with_the_hash_before_it(store: &TestStore) {
        let task = store.task("task");
        let row = task.row;
        store
            .write(move |tx| {
                let task = tx.task_by_row(row)?;
                let item = NewReceipt {
                    author: &Author::new("w", AuthorKind::Worker),
                    text: "ü",
                    item: Some("key"),
                    outcome: Some(ItemReport::Started),
                    step: Some("s"),
                    ..NewReceipt::default()
                };
                tx.append_receipt(&task, &item)?;
                tx.append_receipt(&task, &NewReceipt { text: "b", late: true, ..NewReceipt::default() })
            })
            .unwrap();
        store.report(row, "c");
        let found = store.read(move |tx| tx.hashed_receipts(row, 0, 10)).unwrap();
        assert_eq!(found.len(), 3);
        let mut before = GENESIS_HASH;
        for (receipt, hash) in &found {
            assert_eq!(*hash, receipt.hash(task.id.as_str(), &before), "{receipt:?}");
            before = *hash;
        }
    }

    fn hashed_receipts_are_read_after_a_number(store: &TestStore) {
        let row = store.task("task").row;
        for text in ["a", "b", "c"] {
            store.report(row, text);
        }
        let all = store.read(move |tx| tx.hashed_receipts(row, 0, 10)).unwrap();
        assert_eq!(store.read(move |tx| tx.hashed_receipts(row, 1, 1)).unwrap(), all[1..2]);
        let plain = store.read(move |tx| tx.receipts(row, 0, 10)).unwrap();
        assert_eq!(all.into_iter().map(|(receipt, _)| receipt).collect::<Vec<_>>(), plain);
    }

    fn chains_of_several_threads_are_intact(store: &TestStore) {
        let rows = [store.task("a").row, store.task("b").row];
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || (0..8).for_each(|_| assert!(store.report(rows[thread % 2], "x") > 0)));
            }
        });
        for row in rows {
            let task = store.get(row);
            let found = store.read(move |tx| tx.hashed_receipts(row, 0, 100)).unwrap();
            let mut chain = ChainVerifier::at_genesis();
            found.iter().for_each(|(receipt, hash)| chain.verify_next(task.id.as_str(), receipt, *hash));
            assert!(chain.is_intact(16), "{chain:?}");
        }
    }

    fn a_whole_store_is_verified(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 2).with_steps(&["one", "two"]));
        let plain = store.write(|tx| insert(tx, &new_task("plain"), "text")).unwrap().row;
        store.report(plain, "a");
        store.settle(batch.chunk(1), "1.1", Outcome::Done);
        store.settle(batch.chunk(1), "1.2", Outcome::Failed);
        store.end_chunk(batch.chunk(1), Status::Failed);
        let heads = vec![head(store, plain), head(store, batch.row()), head(store, batch.chunk(1))];
        store.report(plain, "b");
        store.reopen();
        let report = store.read(move |tx| verify_chains(tx, heads)).unwrap();
        assert_eq!(report.problem, None);
        assert_eq!((report.tasks, report.receipts, report.items, report.unhashed), (4, 4, 4, 0));
    }

    fn a_task_that_lost_receipts_since_the_export_is_found(store: &TestStore) {
        let task = store.task("task");
        store.report(task.row, "a");
        let exported = ChainHead { number: 2, ..head(store, task.row) };
        let problem = store.read(move |tx| verify_chains(tx, vec![exported])).unwrap().problem.unwrap();
        assert!(problem.contains(task.id.as_str()), "{problem}");
    }

    fn the_hash_of_a_task_is_that_of_its_initial_text(store: &TestStore) {
        let row = store.write(|tx| insert(tx, &new_task("task"), "text ü")).unwrap().row;
        assert_eq!(content_hash(store, row), Some(text_hash("text ü")));
        let before = store.get(row);
        store
            .write(move |tx| {
                let mut after = before.clone();
                "renamed".clone_into(&mut after.title);
                tx.update_fields(&before, &after)
            })
            .unwrap();
        store.report(row, "a receipt");
        assert_eq!(content_hash(store, row), Some(text_hash("text ü")));
    }

    fn the_hash_of_a_batch_is_that_of_its_rules(store: &TestStore) {
        let plan = BatchPlan::of(1, 1).with_steps(&["one", "two"]);
        let row = store.batch(plan.clone()).row();
        let expected = Some(batch_hash(&plan.batch));
        assert_eq!(content_hash(store, row), expected);
        store
            .write(move |tx| {
                tx.set_max_parallel(row, 9)?;
                tx.set_worker_profile(row, "profile")?;
                tx.pause_batch(row, "why")
            })
            .unwrap();
        assert_eq!(content_hash(store, row), expected);
        assert_eq!(Some(batch_hash(&store.get_batch(row))), expected);
    }

    fn the_hash_of_a_chunk_is_that_of_its_items(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(2, 2));
        let item = |hash, number, position| {
            let key = key(number, position);
            items_hash(&hash, &key, &fields(&key))
        };
        for number in [1, 2] {
            let expected = item(item(NO_ITEMS, number, 1), number, 2);
            assert_eq!(content_hash(store, batch.chunks[number as usize - 1].row), Some(expected));
        }
    }

    fn more_items_replace_the_hash_of_a_chunk(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, chunk) = (batch.row(), batch.chunk(1));
        let before = content_hash(store, chunk).unwrap();
        let after = items_hash(&before, "1.2", "{}");
        store
            .write(move |tx| {
                tx.insert_item(row, chunk, 2, "1.2", "{}")?;
                tx.finish_items(row, chunk, 5, Some(&after))?;
                tx.grow_chunk(chunk, 1, "longer")?;
                tx.grow_batch(row, 0, 1)
            })
            .unwrap();
        assert_eq!(content_hash(store, chunk), Some(after));
        let report = store.read(|tx| verify_chains(tx, Vec::new())).unwrap();
        assert_eq!(report.problem, None);
    }

    fn items_without_a_hash_keep_that_of_their_chunk(store: &TestStore) {
        let batch = store.batch(BatchPlan::of(1, 1));
        let (row, chunk) = (batch.row(), batch.chunk(1));
        let before = content_hash(store, chunk);
        store.write(move |tx| tx.finish_items(row, chunk, 0, None)).unwrap();
        assert_eq!(content_hash(store, chunk), before);
    }

    fn a_body_starts_with_the_initial_text(store: &TestStore) {
        let row = store.write(|tx| insert(tx, &new_task("task"), "äöü日本語")).unwrap().row;
        store.report(row, "a receipt");
        assert_eq!(body_start(store, row, 5), BodyStart { text: "äöü日本".to_owned(), author: None });
        assert_eq!(body_start(store, row, 100).text, "äöü日本語");
    }

    fn a_body_without_an_initial_text_starts_with_the_first_receipt(store: &TestStore) {
        let task = store.task("task");
        let row = task.row;
        store
            .write(move |tx| {
                let author = Author::new("ann", AuthorKind::Person);
                let receipt =
                    NewReceipt { author: &author, text: "first 日本語", ..NewReceipt::default() };
                tx.append_receipt(&task, &receipt)
            })
            .unwrap();
        store.report(row, "second");
        let author = Some(("ann".to_owned(), Some(AuthorKind::Person)));
        assert_eq!(body_start(store, row, 7), BodyStart { text: "first 日".to_owned(), author });
    }

    fn an_empty_body_has_an_empty_start(store: &TestStore) {
        let row = store.task("task").row;
        assert_eq!(body_start(store, row, 10).text, "");
        assert_eq!(body_start(store, row + 1, 10), BodyStart::default());
    }
}
