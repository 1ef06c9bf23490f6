//! Waits of clients for batches, the questions that they asked, and stored responses.

use tasktally::model::task::RowId;
use tasktally::model::timestamp::Timestamp;
use tasktally::model::wait::{AskedQuestion, BatchWait, MAX_ASKED_QUESTIONS};

use crate::build::BatchPlan;
use crate::stores::{TestStore, conformance};

/// A wait with a handle, whose every other field differs from that of a new one.
fn full_wait(handle: &str, batch: RowId) -> BatchWait {
    BatchWait {
        handle: handle.to_owned(),
        batch,
        client: "clïent".to_owned(),
        can_ask: true,
        since: 9_007_199_254_740_991,
        created: Timestamp::from_millis(1),
        updated: Timestamp::from_millis(2),
        ended_at: Some(Timestamp::from_millis(3)),
        cancelled_at: Some(Timestamp::from_millis(4)),
        last_answer: "approved".to_owned(),
    }
}

/// A wait that is open.
fn open_wait(handle: &str, batch: RowId) -> BatchWait {
    BatchWait::new(handle.to_owned(), batch, "client", false, 7, Timestamp::from_millis(5))
}

/// Inserts a wait.
fn insert(store: &TestStore, wait: &BatchWait) {
    let wait = wait.clone();
    store.write(move |tx| tx.insert_wait(&wait)).unwrap();
}

/// Updates a wait.
fn update(store: &TestStore, wait: &BatchWait) {
    let wait = wait.clone();
    store.write(move |tx| tx.update_wait(&wait)).unwrap();
}

/// The wait with a handle.
fn wait(store: &TestStore, handle: &'static str) -> Option<BatchWait> {
    store.read(move |tx| tx.wait(handle)).unwrap()
}

/// A question of a wait or a call.
fn asked(by: &str, question: &str) -> AskedQuestion {
    AskedQuestion { asked_by: by.to_owned(), question: question.to_owned() }
}

/// Stores that a question was asked.
fn ask(store: &TestStore, key: &'static str, question: AskedQuestion) {
    store.write(move |tx| tx.insert_asked(key, &question)).unwrap();
}

/// Closes a question, and returns whether it was open.
fn close(store: &TestStore, key: &'static str) -> bool {
    store.write(move |tx| tx.remove_asked(key)).unwrap()
}

conformance! {
    fn a_wait_is_stored_with_all_its_fields(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).row();
        let (full, open) = (full_wait("full", row), open_wait("open", row));
        insert(store, &full);
        insert(store, &open);
        store.reopen();
        assert_eq!((wait(store, "full"), wait(store, "open")), (Some(full), Some(open)));
        assert_eq!(wait(store, "none"), None);
    }

    fn a_handle_is_given_once(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).row();
        let first = open_wait("handle", row);
        insert(store, &first);
        let second = full_wait("handle", row);
        store.write(move |tx| tx.insert_wait(&second)).unwrap_err();
        assert_eq!(wait(store, "handle"), Some(first));
    }

    fn an_update_changes_the_progress_of_a_wait(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).row();
        let before = open_wait("handle", row);
        insert(store, &before);
        insert(store, &open_wait("other", row));
        let after = BatchWait {
            updated: Timestamp::from_millis(20),
            ended_at: Some(Timestamp::from_millis(30)),
            cancelled_at: Some(Timestamp::from_millis(40)),
            last_answer: "declined".to_owned(),
            ..before
        };
        update(store, &after);
        assert_eq!(wait(store, "handle"), Some(after));
        assert_eq!(wait(store, "other"), Some(open_wait("other", row)));
    }

    fn an_update_keeps_who_waits_since_when(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).row();
        let before = open_wait("handle", row);
        insert(store, &before);
        update(store, &full_wait("handle", row));
        let found = wait(store, "handle").unwrap();
        assert_eq!((found.client, found.can_ask), (before.client, before.can_ask));
        assert_eq!((found.since, found.created), (before.since, before.created));
    }

    fn open_waits_of_a_batch_are_counted(store: &TestStore) {
        let rows = [(); 2].map(|()| store.batch(BatchPlan::of(1, 1)).row());
        let open = |row: RowId| store.read(move |tx| tx.count_open_waits(row)).unwrap();
        assert_eq!(open(rows[0]), 0);
        for handle in ["open", "ended", "cancelled"] {
            insert(store, &open_wait(handle, rows[0]));
        }
        insert(store, &open_wait("other", rows[1]));
        assert_eq!(open(rows[0]), 3);
        let time = Some(Timestamp::from_millis(9));
        update(store, &BatchWait { ended_at: time, ..open_wait("ended", rows[0]) });
        update(store, &BatchWait { cancelled_at: time, ..open_wait("cancelled", rows[0]) });
        assert_eq!((open(rows[0]), open(rows[1])), (1, 1));
    }

    fn a_declined_question_of_a_wait_is_remembered(store: &TestStore) {
        let row = store.batch(BatchPlan::of(1, 1)).row();
        insert(store, &open_wait("a", row));
        insert(store, &open_wait("b", row));
        let declined = |handle: &'static str, question: &'static str| {
            store.read(move |tx| tx.is_declined(handle, question)).unwrap()
        };
        assert!(!declined("a", "q"));
        for _ in 0..2 {
            store.write(|tx| tx.save_declined("a", "q")).unwrap();
            assert!(declined("a", "q"));
        }
        assert!(!declined("b", "q") && !declined("a", "Q"));
    }

    fn an_asked_question_is_found_by_its_key_and_by_itself(store: &TestStore) {
        ask(store, "key-1", asked("wait", "chunk 1"));
        ask(store, "key-2", asked("wait", "chunk 2"));
        let found = store.read(|tx| Ok((tx.asked_question("key-1")?, tx.asked_question("key-3")?))).unwrap();
        assert_eq!(found, (Some(asked("wait", "chunk 1")), None));
        let key = |asked: AskedQuestion| store.read(move |tx| tx.asked_key(&asked)).unwrap();
        assert_eq!(key(asked("wait", "chunk 2")).as_deref(), Some("key-2"));
        assert_eq!((key(asked("call", "chunk 2")), key(asked("wait", "chunk 3"))), (None, None));
    }

    fn a_question_is_closed_once(store: &TestStore) {
        ask(store, "key", asked("wait", "chunk 1"));
        assert!(!close(store, "other"));
        assert!(close(store, "key"));
        assert!(!close(store, "key"));
        assert_eq!(store.read(|tx| tx.asked_key(&asked("wait", "chunk 1"))).unwrap(), None);
        // It can be asked again.
        ask(store, "key-2", asked("wait", "chunk 1"));
        assert!(close(store, "key-2"));
    }

    fn one_of_several_threads_closes_a_question(store: &TestStore) {
        ask(store, "key", asked("wait", "chunk 1"));
        let closed = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(|| close(store, "key")));
            threads.map(|thread| thread.join().unwrap()).into_iter().filter(|closed| *closed).count()
        });
        assert_eq!(closed, 1);
    }

    fn a_question_has_one_key(store: &TestStore) {
        ask(store, "key", asked("wait", "chunk 1"));
        store.write(|tx| tx.insert_asked("key-2", &asked("wait", "chunk 1"))).unwrap_err();
        store.write(|tx| tx.insert_asked("key", &asked("wait", "chunk 2"))).unwrap_err();
        assert_eq!(store.read(|tx| tx.asked_question("key")).unwrap(), Some(asked("wait", "chunk 1")));
    }

    fn the_oldest_question_beyond_the_limit_is_forgotten(store: &TestStore) {
        ask(store, "oldest", asked("wait", "oldest"));
        store.shift_clock(1_000);
        store
            .write(|tx| {
                (1..MAX_ASKED_QUESTIONS).try_for_each(|number| {
                    tx.insert_asked(&format!("key-{number}"), &asked("wait", &number.to_string()))
                })
            })
            .unwrap();
        store.shift_clock(1_000);
        let open = |key: &'static str| store.read(move |tx| tx.asked_question(key)).unwrap().is_some();
        assert!(open("oldest") && open("key-1"));
        ask(store, "newest", asked("wait", "newest"));
        assert!(!open("oldest"));
        assert!(open("newest") && open("key-1") && open("key-999"));
    }

    fn a_response_is_stored_under_its_key(store: &TestStore) {
        let fingerprint = [0, 255, 10, 0];
        store
            .write(move |tx| tx.store_response("key", "create_task", &fingerprint, "{\"ü\": \"\\u0000\"}"))
            .unwrap();
        store.reopen();
        let found = store.read(|tx| tx.stored_response("key")).unwrap();
        let expected = ("create_task".to_owned(), fingerprint.to_vec(), "{\"ü\": \"\\u0000\"}".to_owned());
        assert_eq!(found, Some(expected));
        assert_eq!(store.read(|tx| tx.stored_response("Key")).unwrap(), None);
    }

    fn a_key_has_one_response(store: &TestStore) {
        store.write(|tx| tx.store_response("key", "one", b"1", "first")).unwrap();
        store.write(|tx| tx.store_response("key", "two", b"2", "second")).unwrap_err();
        let found = store.read(|tx| tx.stored_response("key")).unwrap().unwrap();
        assert_eq!((found.0.as_str(), found.2.as_str()), ("one", "first"));
    }

    fn the_response_of_a_rolled_back_write_is_not_stored(store: &TestStore) {
        store.write_and_roll_back(|tx| tx.store_response("key", "one", b"1", "first")).unwrap();
        assert_eq!(store.read(|tx| tx.stored_response("key")).unwrap(), None);
        store.write(|tx| tx.store_response("key", "two", b"2", "second")).unwrap();
    }
}
