//! Connections that are cut at any message of a call. The reply says what became of the write, and a repetition under the
//! same request key changes nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::patient_client::{LOCK_STORE, receipts};
use crate::proxy::{Cut, Proxy};
use crate::support::postgres::Cluster;
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::sql::Sql;
use crate::support::store::Store;
use crate::support::{eventually, rounds};

/// A write with a request key.
fn receipt(task: &str, text: &str) -> Value {
    json!({"id": task, "body": text, "request_key": text})
}

/// Repeats an acknowledged write. Asserts that the task has exactly one receipt with its text.
fn assert_written_once(store: &Store, server: &mut Server, task: &str, text: &str, number: u64) {
    let again = server.call("update_task", receipt(task, text)).ok();
    assert_eq!(again.count("/receipt/number"), number, "{}", again.value);
    let texts = receipts(&store.sql(), task);
    assert_eq!(texts.iter().filter(|stored| *stored == text).count(), 1, "{text}");
    assert_eq!(texts.get(number as usize - 1).map(String::as_str), Some(text));
}

/// Cuts a write at every message, until it needs fewer messages. Returns how many cuts there were.
fn cut_at_every_message(cut: fn(u64) -> Cut) -> Option<u64> {
    let store = Store::new_postgres()?;
    let proxy = Proxy::new(&store);
    let mut server = proxy.serve(&store);
    let task = server.create_task("Log");
    let step = rounds("TASKTALLY_STEP", 1) as u64;
    let mut at = 1;
    loop {
        let text = format!("- cut at {at}");
        proxy.cut(cut(at));
        let number = server.call("update_task", receipt(&task, &text)).ok().count("/receipt/number");
        let was_cut = proxy.is_cut();
        assert_written_once(&store, &mut server, &task, &text, number);
        if !was_cut {
            assert_eq!(number, receipts(&store.sql(), &task).len() as u64);
            store.tasktally(["verify"]).success();
            return Some(at / step);
        }
        at += step;
    }
}

#[test]
fn a_write_that_is_cut_before_any_message_is_written_once() {
    let Some(cuts) = cut_at_every_message(Cut::Before) else { return };
    println!("{cuts} cuts before a message");
    assert!(cuts > 5);
}

#[test]
fn a_write_that_is_cut_after_any_message_is_written_once() {
    let Some(cuts) = cut_at_every_message(Cut::After) else { return };
    println!("{cuts} cuts after a message");
    assert!(cuts > 5);
}

#[test]
fn a_read_that_is_cut_at_any_message_succeeds_or_says_that_the_connection_ended() {
    let Some(store) = Store::new_postgres() else { return };
    let proxy = Proxy::new(&store);
    let mut server = proxy.serve(&store);
    let task = server.create_task("Log");
    let (mut at, mut failed) = (1, 0);
    loop {
        proxy.cut(Cut::Before(at));
        let reply = server.call("get_task", json!({"id": task}));
        if reply.is_error {
            failed += 1;
            assert_eq!(reply.code(), "busy", "{}", reply.value);
            assert!(reply.message().contains("the connection to the database ended"), "{}", reply.value);
        }
        if !proxy.is_cut() {
            break;
        }
        server.read_task(&task);
        at += 1;
    }
    println!("{failed} of {at} reads failed");
}

#[test]
fn a_commit_whose_answer_is_lost_is_acknowledged_and_not_repeated() {
    let Some(store) = Store::new_postgres() else { return };
    let proxy = Proxy::new(&store);
    let mut server = proxy.serve(&store);
    let task = server.create_task("Log");
    for round in 0..rounds("TASKTALLY_ROUNDS", 5) {
        // Without a request key, a repetition would be another receipt.
        let text = format!("- lost answer {round}");
        proxy.cut(Cut::AfterCommit);
        let reply = server.call("update_task", json!({"id": task, "body": text})).ok();
        assert!(proxy.is_cut());
        let texts = receipts(&store.sql(), &task);
        assert_eq!(texts.len(), round + 1);
        assert_eq!(texts.get(reply.count("/receipt/number") as usize - 1), Some(&text));
    }
    store.tasktally(["verify"]).success();
}

#[test]
fn the_outcome_of_a_commit_is_asked_while_the_old_connection_is_open_and_the_database_pauses() {
    let Some(cluster) = Cluster::durable() else { return };
    let store = Store::in_database(cluster.create_database());
    let proxy = Proxy::new(&store);
    let mut server = proxy.serve(&store);
    let task = server.create_task("Log");
    proxy.cut(Cut::BeforeCommit(1));
    let id = server.send("update_task", json!({"id": task, "body": "- once"}));
    proxy.wait_for_cut();
    cluster.pause();
    proxy.accept();
    std::thread::sleep(Duration::from_secs(2));
    cluster.resume();
    // The old connection still holds the lock of the store until its backend ends.
    std::thread::sleep(Duration::from_secs(2));
    assert!(server.try_recv(id).is_none(), "an answer while the outcome is open");
    end_idle_transactions(&store);
    server.recv(id).unwrap().ok();
    assert_eq!(receipts(&store.sql(), &task), ["- once"]);
}

#[test]
#[ignore = "waits for more than a minute: cargo test --test postgres -- --ignored unknown"]
fn writes_with_an_unknown_outcome_are_not_repeated_and_say_so() {
    let Some(store) = Store::new_postgres() else { return };
    let proxy = Proxy::new(&store);
    let mut server = proxy.serve(&store);
    let task = server.create_task("Task");
    // The lock of the store keeps the first write from its commit. The others then form a group.
    let sql = store.sql();
    sql.execute_all(LOCK_STORE).unwrap();
    proxy.cut(Cut::BeforeCommit(2));
    let texts: Vec<String> = (0..4).map(|number| format!("- write {number}")).collect();
    let mut sent = Vec::new();
    for text in &texts {
        sent.push(server.send("update_task", receipt(&task, text)));
        eventually("the first write to wait", || (waiting_for_lock(&sql) > 0).then_some(()));
    }
    // There is no sign of a write that waits in the queue of the process.
    std::thread::sleep(Duration::from_millis(500));
    sql.execute_all("SELECT pg_advisory_unlock_all()").unwrap();
    let replies: Vec<Reply> = sent.into_iter().map(|id| server.recv(id).unwrap()).collect();
    proxy.accept();
    let (kept, unknown): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.succeeded());
    assert_eq!((kept.len(), unknown.len()), (1, 3), "{replies:?}");
    for reply in unknown {
        assert_eq!(reply.refusal(), "internal");
        for words in ["ended during the commit", "kept or lost", "the same request_key"] {
            assert!(reply.message().contains(words), "{}", reply.value);
        }
    }
    println!("{}", replies[3].message());
    end_idle_transactions(&store);
    for text in &texts {
        let number = server.call("update_task", receipt(&task, text)).ok().count("/receipt/number");
        assert_written_once(&store, &mut server, &task, text, number);
    }
    assert_eq!(receipts(&store.sql(), &task).len(), texts.len());
}

/// How many connections wait for an advisory lock.
fn waiting_for_lock(sql: &Sql) -> u64 {
    sql.row(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database =
            (SELECT oid FROM pg_database WHERE datname = current_database())",
        &[],
    )
}

/// Ends the backends whose transaction waits for its client.
fn end_idle_transactions(store: &Store) {
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE state = 'idle in transaction' AND datname = current_database()";
    assert_eq!(store.sql().row::<u64>(ended, &[]), 1);
}

#[test]
fn a_transaction_that_a_crash_lost_is_not_taken_for_the_one_that_got_its_id_again() {
    // Nothing of a transaction is on disk before a commit.
    let Some(cluster) = Cluster::durable_with(&["wal_writer_delay=10s"]) else { return };
    let store = Store::in_database(cluster.create_database());
    let proxy = Proxy::new(&store);
    let (mut server, mut other) = (proxy.serve(&store), store.serve());
    let (task, log) = (server.create_task("Task"), server.create_task("Log"));
    for round in 0..rounds("TASKTALLY_ROUNDS", 3) {
        let mut write = |number: u64| {
            other.call("update_task", json!({"id": log, "body": format!("- {round} {number}")})).ok();
        };
        // Pages that were changed before need less space in the WAL.
        (0..3).for_each(&mut write);
        let text = format!("- lost {round}");
        proxy.cut(Cut::BeforeCommit(1));
        let id = server.send("update_task", json!({"id": task, "body": text}));
        proxy.wait_for_cut();
        cluster.kill_backend(store.database().backends()[0]);
        cluster.wait_until_ready();
        // One of these gets the id of the lost transaction.
        (3..8).for_each(&mut write);
        proxy.accept();
        let number = server.recv(id).unwrap().ok().count("/receipt/number");
        let texts = receipts(&store.sql(), &task);
        assert_eq!((texts.len() as u64, texts.last()), (number, Some(&text)));
    }
    store.tasktally(["verify"]).success();
}
