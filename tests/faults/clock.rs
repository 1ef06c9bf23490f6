//! The wall clock of running processes jumps forwards and back by an hour, a day or more: no work is accepted twice,
//! and no task stays unclaimable for longer than the longest lease.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tasktally::clock::Clock;
use tasktally::items::SourceRoots;
use tasktally::ops::{
    LocalFolders, Session, acquire_permit, record_worker_start, register_runner, release_permit,
};
use tasktally::store::sqlite::SqliteStore;

use crate::fake_clock::{DAY, FakeClock, HOUR, MINUTE, millis};
use crate::support::background::settled_items;
use crate::support::server::Server;
use crate::support::store::Store;

/// Creates a batch of the items `1` to `items`. Returns its id.
pub(crate) fn create_batch(server: &mut Server, items: usize, max_chunk: usize) -> String {
    let keys: Vec<String> = (1..=items).map(|item| item.to_string()).collect();
    let batch = json!({"title": "B", "instructions": "x", "items": keys, "max_chunk": max_chunk, "max_attempts": 100});
    server.call("create_batch", batch).ok().text("/batch/id")
}

/// Claims the next chunk of a batch: its id, its token and the keys of its items.
pub(crate) fn claim_chunk(
    server: &mut Server,
    batch: &str,
    lease: i64,
) -> Option<(String, Value, Vec<Value>)> {
    let claimed = server.call("claim_task", json!({"batch": batch, "worker": "w", "lease_seconds": lease}));
    let keys = claimed["items"].as_array().into_iter().flatten().map(|item| item["key"].clone()).collect();
    claimed.succeeded().then(|| (claimed.text("/task/id"), claimed["claim"]["token"].clone(), keys))
}

/// The arguments of `update_task` that settle an item.
pub(crate) fn receipt(chunk: &str, token: &Value, item: &Value) -> Value {
    json!({"id": chunk, "claim": token, "item": item, "outcome": "done", "category": "c"})
}

/// Asserts that the batch is done, that each item has one outcome by one receipt, and that the store passes its checks.
#[track_caller]
pub(crate) fn assert_each_item_once(store: &Store, server: &mut Server, batch: &str, items: usize) {
    let stands = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(stands["batch"]["status"], "done", "{}", stands.value);
    assert_eq!(stands.count("/batch/processed"), items as u64);
    let settled = settled_items(store);
    let is_once =
        |(_, outcome, receipts): &(String, Option<String>, u64)| outcome.is_some() && *receipts == 1;
    assert!(settled.len() == items && settled.iter().all(is_once), "{settled:?}");
    let numbers = "SELECT count(*) FROM (SELECT task FROM receipt GROUP BY task HAVING max(number) <> count(*)) AS gaps";
    let gaps: u64 = store.sql().row(numbers, &[]);
    assert_eq!(gaps, 0, "receipts are numbered without gaps");
    store.assert_whole();
    store.tasktally(["verify"]).success();
    store.tasktally(["report", batch, "--out", "audit"]).success();
}

#[test]
fn a_lease_ends_if_the_clock_jumps_past_it_and_its_work_is_accepted_once() {
    for jump in [HOUR, DAY, 400 * DAY] {
        let (store, fake_clock) = (Store::new(), FakeClock::new());
        let mut server = fake_clock.serve(&store);
        fake_clock.assert_seen_by(&mut server);
        let batch = create_batch(&mut server, 3, 3);
        let (chunk, token, keys) = claim_chunk(&mut server, &batch, 30 * MINUTE).unwrap();
        server.call("update_task", receipt(&chunk, &token, &keys[0])).ok();
        let since = server.call("list_tasks", json!({"batch": batch, "limit": 0})).ok()["since"].clone();

        fake_clock.move_to(jump);
        fake_clock.assert_seen_by(&mut server);
        let late = server.call("update_task", receipt(&chunk, &token, &keys[1]));
        assert_eq!((late.refusal(), &late["receipt"]["late"]), ("claim_lost", &json!(true)));
        let complete = json!({"id": chunk, "claim": token});
        assert_eq!(server.call("complete_task", complete.clone()).refusal(), "claim_lost");
        let (again, heir, left) =
            claim_chunk(&mut server, &batch, 30 * MINUTE).expect("another may claim it");
        assert_eq!(
            (&again, left.len()),
            (&chunk, 2),
            "settled items stay settled, late receipts do not count"
        );
        for item in &left {
            server.call("update_task", receipt(&chunk, &heir, item)).ok();
        }
        assert_eq!(server.call("complete_task", complete.clone()).refusal(), "claim_lost");
        server.call("complete_task", json!({"id": chunk, "claim": heir})).ok();
        assert_eq!(server.call("complete_task", complete).refusal(), "claim_lost");
        let changed = server.call("list_tasks", json!({"batch": batch, "since": since, "limit": 0})).ok();
        assert_eq!(changed.count("/count"), 1, "{}", changed.value);

        // After the jump back, the receipts are dated in the future.
        fake_clock.move_to(0);
        let updated = |server: &mut Server| millis(&server.read_task(&chunk)["task"]["updated"]);
        assert!(updated(&mut server) > fake_clock.now());
        server.call("update_task", json!({"id": chunk, "body": "- seen"})).ok();
        let body = server.body(&chunk);
        assert!(body.ends_with("- seen"), "receipts are not in the order of their numbers: {body}");
        assert_each_item_once(&store, &mut server, &batch, 3);
    }
}

#[test]
fn a_lease_from_before_the_clock_jumped_back_blocks_no_longer_than_the_longest_lease() {
    for (jump, lease) in [(HOUR, 30 * MINUTE), (HOUR, DAY), (DAY, 30 * MINUTE), (400 * DAY, DAY)] {
        let (store, fake_clock) = (Store::new(), FakeClock::new());
        fake_clock.move_to(jump);
        let mut server = fake_clock.serve(&store);
        let batch = create_batch(&mut server, 1, 1);
        let (chunk, lost, keys) = claim_chunk(&mut server, &batch, lease).unwrap();
        let start = fake_clock.now();

        fake_clock.move_to(0);
        let ends = jump + lease;
        let claimed = claim_chunk(&mut server, &batch, HOUR);
        assert_eq!(claimed.is_some(), ends > DAY, "jump {jump} s back under a lease of {lease} s");
        let heir = claimed.unwrap_or_else(|| {
            fake_clock.move_to(ends + 1);
            claim_chunk(&mut server, &batch, HOUR).expect("the chunk is free when the lease ends")
        });
        let late = server.call("update_task", receipt(&chunk, &lost, &keys[0]));
        assert_eq!(late.refusal(), "claim_lost");
        server.call("update_task", receipt(&chunk, &heir.1, &keys[0])).ok();
        server.call("complete_task", json!({"id": chunk, "claim": heir.1})).ok();
        if fake_clock.now() < start {
            let stands = server.call("get_batch", json!({"id": batch})).ok();
            let rate = &stands["batch"]["per_minute"];
            assert!(
                rate.is_null(),
                "the batch started in the future, and the rate is {rate} items per minute"
            );
        }
        assert_each_item_once(&store, &mut server, &batch, 1);
    }
}

#[test]
fn a_clock_that_is_set_back_by_seconds_ends_no_lease() {
    let (store, fake_clock) = (Store::new(), FakeClock::new());
    let mut server = fake_clock.serve(&store);
    let batch = create_batch(&mut server, 1, 1);
    let (chunk, token, keys) = claim_chunk(&mut server, &batch, DAY).unwrap();
    fake_clock.move_to(-30);
    assert!(claim_chunk(&mut server, &batch, DAY).is_none(), "the chunk is claimed under the longest lease");
    server.call("update_task", receipt(&chunk, &token, &keys[0])).ok();
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    assert_each_item_once(&store, &mut server, &batch, 1);
}

#[test]
fn a_backoff_from_before_the_clock_jumped_back_is_over() {
    for jump in [HOUR, DAY, 400 * DAY] {
        let (store, fake_clock) = (Store::new(), FakeClock::new());
        fake_clock.move_to(jump);
        let mut server = fake_clock.serve(&store);
        let batch = create_batch(&mut server, 1, 1);
        let (chunk, token, _) = claim_chunk(&mut server, &batch, HOUR).unwrap();
        server.call("release_task", json!({"id": chunk, "claim": token, "reason": "tired"})).ok();
        fake_clock.move_to(0);
        assert!(claim_chunk(&mut server, &batch, HOUR).is_some(), "the backoff ends {jump} s from now");
    }
}

/// A session on the store with a clock that the test shifts.
fn session_with_clock(store: &Store) -> (Session, Clock) {
    let clock = Clock::system();
    let opened = SqliteStore::open(store.file(), clock.clone()).unwrap();
    let folders = LocalFolders::in_one(store.folder().to_owned());
    (Session::new(Arc::new(opened), folders, SourceRoots::new([store.folder().to_owned()]), "test"), clock)
}

#[test]
fn worker_starts_from_before_the_clock_jumped_back_do_not_delay_others() {
    let store = Store::new_sqlite();
    let (session, clock) = session_with_clock(&store);
    clock.shift(DAY * 1_000);
    assert_eq!(record_worker_start(&session, "p", 1).unwrap(), None);
    assert!(record_worker_start(&session, "p", 1).unwrap().is_some(), "one start per minute");
    clock.shift(-DAY * 1_000);
    assert_eq!(record_worker_start(&session, "p", 1).unwrap(), None);
    let wait =
        record_worker_start(&session, "p", 1).unwrap().expect("one start per minute by this clock, too");
    assert!(wait <= Duration::from_secs(60));
}

#[test]
fn a_runner_that_died_before_the_clock_jumped_back_holds_no_permit() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    let (dead, alive) = (create_batch(&mut server, 1, 1), create_batch(&mut server, 1, 1));
    let row = |id: &str| -> i64 { store.sql().row("SELECT row_id FROM task WHERE id = ?1", &[&id]) };
    let (session, clock) = session_with_clock(&store);
    clock.shift(DAY * 1_000);
    register_runner(&session, row(&dead), "p", 1, "here").unwrap();
    assert!(acquire_permit(&session, row(&dead), 1, false).unwrap());
    // The runner dies while it holds a permit. Then the clock is set right.
    clock.shift(-DAY * 1_000);
    register_runner(&session, row(&alive), "p", 2, "here").unwrap();
    assert!(acquire_permit(&session, row(&alive), 1, false).unwrap(), "a dead runner holds the permit");
    release_permit(&session, row(&alive), false).unwrap();
}
