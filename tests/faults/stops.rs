//! Stopped (SIGSTOP) at any moment: others go on, or are told in bounded time who keeps them; nothing is lost
//! and nothing is taken twice once the stopped one goes on.
//!
//! `TASKTALLY_ROUNDS` asks for more rounds.

use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::shim::shim;
use crate::support::background::{batch, children, runner, settled, stand, until};
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{eventually, rounds, signal};
use tasktally::ops;

/// How long a write of this test's own process waits for a turn; `tasktally` itself waits longer.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long a write of a real process waits at most, as is promised, with what a loaded machine adds.
const PROMISED: Duration = Duration::from_secs(30 + 15);

/// The store in this process: somebody else who writes, with less patience than `tasktally` has.
fn other(store: &Store) -> ops::Session {
    let opened =
        tasktally::store::sqlite::SqliteStore::open(store.file(), tasktally::clock::Clock::system()).unwrap();
    ops::Session::new(Arc::new(opened), tasktally::items::Roots::new(["/"]), None, "other")
        .with_patience(Some(PATIENCE))
}

fn call(session: &ops::Session, operation: &str, arguments: Value) -> tasktally::error::Result<Value> {
    (ops::find_operation(operation).unwrap().call)(session, arguments)
}

/// A server that stops itself before its n-th write or sync.
fn stopping_at(store: &Store, call: usize) -> Server {
    let mut command = store.command();
    command.arg("serve").env("LD_PRELOAD", shim("stop")).env("TASKTALLY_STOP_AT", call.to_string());
    let mut server = Server::spawn(command);
    server.listen();
    server.initialize("2025-11-25");
    server
}

/// The letter that `/proc` has for what a process does.
fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('X')
}

fn is_stopped(pid: u32) -> bool {
    state(pid) == 'T'
}

fn stop(pid: u32) {
    signal("STOP", pid);
    eventually("a process to be stopped", || is_stopped(pid).then_some(()));
}

#[test]
fn a_process_stopped_at_any_call_of_a_write_keeps_others_no_longer_than_is_promised_and_loses_nothing() {
    let store = Store::new();
    let log = store.serve().task("Log");
    let other = other(&store);
    let (mut kept, mut held_up, mut free, mut longest) = (Vec::new(), 0, 0, Duration::ZERO);
    let real_too = rounds("TASKTALLY_ROUNDS", 1) > 1;
    'ends: for ends in ["CONT", "KILL"] {
        for at in 1.. {
            let mut victim = stopping_at(&store, at);
            let text = format!("- victim {ends} {at}");
            let sent = victim.send("update_task", json!({"id": log, "body": text}));
            let pid = victim.pid();
            let seen = store.sql();
            let is_there = |text: &str| -> bool {
                let sql = "SELECT count(*) FROM receipt WHERE text = ?1";
                seen.query_row(sql, [text], |row| row.get::<_, u64>(0)).unwrap() == 1
            };
            let stopped = eventually("the write to stop or to end", || {
                // Waiting for its input, it has come to the end of the write without being stopped.
                let ended = state(pid) == 'S' && is_there(&text);
                (is_stopped(pid) || ended).then(|| is_stopped(pid))
            });
            if !stopped {
                victim.recv(sent).unwrap().ok();
                kept.push(text);
                assert!(at > 3, "a write takes some calls");
                continue 'ends;
            }
            // Reads never wait.
            call(&other, "get_task", json!({"id": log})).unwrap();
            let mine = format!("- other {ends} {at}");
            let asked = Instant::now();
            let written = call(&other, "update_task", json!({"id": log, "body": mine}));
            longest = longest.max(asked.elapsed());
            match written {
                Ok(_) => {
                    free += 1;
                    kept.push(mine.clone());
                }
                Err(error) => {
                    held_up += 1;
                    assert_eq!(error.code, tasktally::error::Code::Busy, "{error}");
                    for named in
                        [format!("process {pid} (tasktally) is stopped"), format!("kill -CONT {pid}")]
                    {
                        assert!(error.message.contains(&named), "{error}");
                    }
                    // Half a minute each: once in a pass.
                    if real_too && held_up % 8 == 1 {
                        assert_a_real_one_is_told(&store, &log, pid);
                    }
                }
            }
            signal(ends, pid);
            if ends == "CONT" {
                victim.recv(sent).unwrap().ok();
                kept.push(text);
            } else {
                assert!(victim.recv(sent).is_none(), "it was killed before it answered");
            }
            // Whoever was refused may try again now, and is not written twice.
            let again = format!("- again {ends} {at}");
            eventually("the turn to be free", || {
                call(&other, "update_task", json!({"id": log, "body": again})).ok()
            });
            kept.push(again);
            if !kept.contains(&mine) {
                assert!(!is_there(&mine), "what was refused as not written was written: {mine}");
            }
        }
    }
    store.assert_whole();
    store.tasktally(["verify"]).success();
    let body = store.serve().body(&log);
    for text in &kept {
        assert_eq!(body.split("\n\n").filter(|line| line == text).count(), 1, "{text}");
    }
    assert!(held_up > 0 && free > 0, "{held_up} {free}");
    println!(
        "stopped before {} calls of a write: {held_up} in its turn, {free} beside it; others waited at most {longest:?} of {PATIENCE:?}",
        held_up + free
    );
}

/// A command and a server are told in time as well, and then end.
fn assert_a_real_one_is_told(store: &Store, log: &str, pid: u32) {
    let asked = Instant::now();
    let mut server = store.serve();
    let sent = server.send("update_task", json!({"id": log, "body": "- never"}));
    let ran = store.tasktally(["update-task", log, "--body", "- never", "--json"]).finish();
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.said().contains(&format!("process {pid} (tasktally) is stopped")), "{ran:?}");
    let told = server.recv(sent).unwrap();
    assert_eq!(told.refusal(), "busy");
    assert!(server.close().success(), "a server that waits for a turn ends with its client");
    let waited = asked.elapsed();
    println!("a real command and a real server were told after {waited:?}");
    assert!(waited < PROMISED, "{waited:?}");
}

#[test]
fn a_ping_and_a_read_are_answered_while_a_lone_write_waits_for_the_write_lock() {
    let store = Store::new();
    let mut server = store.serve();
    let log = server.task("Log");
    let other = other(&store);
    let (held, is_held) = mpsc::channel();
    let (release, is_released) = mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        other.write(move |_| {
            held.send(()).unwrap();
            is_released.recv().unwrap();
            Ok(())
        })
    });
    is_held.recv().unwrap();
    let write = server.send("update_task", json!({"id": log, "body": "- waits"}));
    for _ in 0..3 {
        assert!(server.request("ping", json!({}))["result"].is_object());
        server.call("get_task", json!({"id": log})).ok();
    }
    assert!(!server.body(&log).contains("- waits"), "another process holds the write lock");
    release.send(()).unwrap();
    holder.join().unwrap().unwrap();
    server.recv(write).unwrap().ok();
    assert!(server.body(&log).contains("- waits"));
    assert!(server.close().success());
}

#[test]
fn a_worker_stopped_with_a_claim_is_overtaken_and_its_completion_is_refused() {
    let store = Store::new();
    let mut other = store.serve();
    for round in 0..rounds("TASKTALLY_ROUNDS", 3) {
        let id = other.task(&format!("Task {round}"));
        let mut victim = store.serve();
        let claim =
            victim.call("claim_task", json!({"worker": "victim", "id": id, "lease_seconds": 60})).ok();
        let token = claim["claim"]["token"].clone();
        stop(victim.pid());
        // Asked while it was stopped: it reads this when it goes on.
        let receipt =
            victim.send("update_task", json!({"id": id, "claim": token, "body": "- by the victim"}));
        let completion = victim.send("complete_task", json!({"id": id, "claim": token}));
        // Its lease runs out meanwhile.
        store.sql().execute("UPDATE task SET expires_at = claimed_at WHERE id = ?1", [&id]).unwrap();
        let taken = other.call("claim_task", json!({"worker": "other", "id": id})).ok();
        signal("CONT", victim.pid());
        let receipt = victim.recv(receipt).unwrap();
        assert_eq!(receipt.refusal(), "claim_lost");
        assert_eq!(victim.recv(completion).unwrap().refusal(), "claim_lost");
        let done = json!({"id": id, "claim": taken["claim"]["token"], "summary": "- by the other"});
        other.call("complete_task", done).ok();
        let body = other.body(&id);
        assert!(body.contains("(late) - by the victim"), "{body}");
        assert_eq!(body.matches("- by the other").count(), 1, "{body}");
    }
    println!("overtaken each time; each late receipt kept");
}

#[test]
fn a_client_that_is_stopped_keeps_nobody_else_waiting() {
    let store = Store::new();
    let log = store.serve().call("create_task", json!({"title": "Log", "body": "x".repeat(60_000)})).ok();
    let log = log.text("/task/id");
    // Nobody reads what this server says: its pipe is full, in the middle of an answer, with writes behind it.
    let mut slow_reader = store.server(&[]);
    slow_reader.initialize_unread();
    for number in 0..30 {
        slow_reader.send("get_task", json!({"id": log}));
        slow_reader.send("update_task", json!({"id": log, "body": format!("- deaf {number}")}));
    }
    let mut other = store.serve();
    let mut longest = Duration::ZERO;
    for number in 0..50 {
        let asked = Instant::now();
        other.call("update_task", json!({"id": log, "body": format!("- other {number}")})).ok();
        longest = longest.max(asked.elapsed());
    }
    println!("beside a client that does not read, 50 writes took at most {longest:?} each");
    slow_reader.listen();
    for _ in 0..61 {
        assert!(slow_reader.next_message().unwrap()["result"].is_object());
    }
}

/// A profile whose worker takes a moment an item.
const SLOW: &str = "[worker.slow]\nper = \"item\"\nmax_parallel = 2\ncommand = [\"sh\", \"-c\", \"sleep 0.05; echo - did $TASKTALLY_ITEM\"]\n";

#[test]
fn a_stopped_runner_supervisor_process_and_worker_continue_where_they_were() {
    let store = Store::new().with_config(SLOW);
    let mut server = store.serve();
    let mut stopped = 0;
    for round in 0..rounds("TASKTALLY_ROUNDS", 1) {
        let id = batch(&mut server, 12, 6, "slow");
        let runner = runner(&mut server, &id);
        eventually("some work", || (stand(&mut server, &id).count("/batch/processed") > 0).then_some(()));
        // The runner first, so that it starts nothing more; then its supervisor processes and their workers, if they are still there.
        let mut all = vec![runner];
        let tell = |name: &str, pid: u32| {
            let args = [format!("-{name}"), pid.to_string()];
            Command::new("kill").args(args).output().unwrap().status.success()
        };
        assert!(tell("STOP", runner));
        let mut next = 0;
        while next < all.len() {
            let started = children(all[next]);
            all.extend(started.into_iter().filter(|pid| tell("STOP", *pid)));
            next += 1;
        }
        stopped += all.len();
        let before = stand(&mut server, &id).count("/batch/processed");
        let log = server.task("Others go on");
        for number in 0..10 {
            server.call("update_task", json!({"id": log, "body": format!("- {number}")})).ok();
        }
        let now = stand(&mut server, &id);
        assert!(now.count("/batch/processed") <= before + 2, "it is stopped: {}", now.value);
        for pid in all {
            tell("CONT", pid);
        }
        until(&mut server, &id, "done");
        let all = settled(&store);
        assert_eq!(all.len(), 12 * (round + 1));
        assert!(
            all.iter().all(|(_, outcome, receipts)| outcome.as_deref() == Some("done") && *receipts == 1)
        );
    }
    println!("{stopped} processes of background work were stopped; every item done once");
    assert!(stopped > 3, "a runner has supervisor processes and workers");
}
