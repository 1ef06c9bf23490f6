//! Processes stopped (SIGSTOP) at any moment: other processes continue or are refused in bounded time with the number
//! of the stopped process; nothing is lost or accepted twice after it continues.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds.

use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::shim::shim;
use crate::support::background::{
    children, process_state, read_batch, settled_items, start_batch, wait_for_runner, wait_for_status,
};
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{eventually, rounds, send_signal};
use tasktally::ops;

/// How long a write of the session in this process waits for the write lock. Real processes wait 30 s.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);
/// How long such a write may take until it is done or refused. Far above its patience, because the machine may be
/// loaded; a write that hangs takes longer.
const MAX_WAIT: Duration = Duration::from_secs(20);
/// How long a write of a real process may take: its patience of 30 s, and as much again for a loaded machine.
const MAX_REAL_WAIT: Duration = Duration::from_secs(60);

/// A session on the store in this process, with less patience than a real process has.
fn impatient_session(store: &Store) -> ops::Session {
    let opened =
        tasktally::store::sqlite::SqliteStore::open(store.file(), tasktally::clock::Clock::system()).unwrap();
    let folders = ops::LocalFolders::in_one(store.folder().to_owned());
    ops::Session::new(Arc::new(opened), folders, tasktally::items::SourceRoots::new(["/"]), "other")
        .with_max_write_wait(Some(LOCK_PATIENCE))
}

fn call(session: &ops::Session, operation: &str, arguments: Value) -> tasktally::error::Result<Value> {
    (ops::find_operation(operation).unwrap().call)(session, arguments)
}

/// A server that stops itself before its n-th call that writes or syncs a file.
fn server_that_stops_at(store: &Store, call: usize) -> Server {
    let mut command = store.command();
    command.arg("serve").env("LD_PRELOAD", shim("stop")).env("TASKTALLY_STOP_AT", call.to_string());
    let mut server = Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    server
}

fn is_stopped(pid: u32) -> bool {
    process_state(&pid.to_string()) == 'T'
}

fn stop(pid: u32) {
    send_signal("STOP", pid);
    eventually("a process to be stopped", || is_stopped(pid).then_some(()));
}

#[test]
fn a_process_stopped_at_any_call_of_a_write_delays_others_by_a_bounded_time_and_loses_nothing() {
    let store = Store::new_sqlite();
    let log = store.serve().create_task("Log");
    let other = impatient_session(&store);
    let (mut kept, mut held_up, mut free, mut max_wait) = (Vec::new(), 0, 0, Duration::ZERO);
    let real_too = rounds("TASKTALLY_ROUNDS", 1) > 1;
    'ends: for ends in ["CONT", "KILL"] {
        for at in 1.. {
            let mut victim = server_that_stops_at(&store, at);
            let text = format!("- victim {ends} {at}");
            let sent = victim.send("update_task", json!({"id": log, "body": text}));
            let pid = victim.pid();
            let seen = store.sqlite();
            let is_there = |text: &str| -> bool {
                let sql = "SELECT count(*) FROM receipt WHERE text = ?1";
                seen.query_row(sql, [text], |row| row.get::<_, u64>(0)).unwrap() == 1
            };
            let answered = eventually("the server to stop or to reply", || match victim.try_recv(sent) {
                Some(reply) => Some(Some(reply)),
                None => is_stopped(pid).then_some(None),
            });
            if let Some(reply) = answered {
                reply.ok();
                kept.push(text);
                assert!(at > 3, "a write takes some calls");
                continue 'ends;
            }
            // Reads never wait.
            call(&other, "get_task", json!({"id": log})).unwrap();
            let mine = format!("- other {ends} {at}");
            // Done, or refused with the number of the stopped process. If the machine stalls for longer than the
            // patience, the refusal may name no process or another one: then the write is tried again.
            let is_done = eventually("a write to be done or to name the stopped process", || {
                let start = Instant::now();
                let written = call(&other, "update_task", json!({"id": log, "body": mine}));
                let waited = start.elapsed();
                assert!(waited < MAX_WAIT, "a write waited {waited:?}");
                max_wait = max_wait.max(waited);
                let Err(error) = written else { return Some(true) };
                assert_eq!(error.code, tasktally::error::Code::Busy, "{error}");
                let names = [format!("process {pid} (tasktally) is stopped"), format!("kill -CONT {pid}")];
                names.iter().all(|name| error.message.contains(name)).then_some(false)
            });
            match is_done {
                true => {
                    free += 1;
                    kept.push(mine.clone());
                }
                false => {
                    held_up += 1;
                    // This takes half a minute, so only some stops are checked.
                    if real_too && held_up % 8 == 1 {
                        assert_real_processes_are_refused(&store, &log, pid);
                    }
                }
            }
            send_signal(ends, pid);
            if ends == "CONT" {
                victim.recv(sent).unwrap().ok();
                kept.push(text);
            } else {
                assert!(victim.recv(sent).is_none(), "the process was killed before its reply");
            }
            // The other session can write now, and what was refused is not written.
            let again = format!("- again {ends} {at}");
            eventually("the write lock to be free", || {
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
        "stopped before {} calls of a write: {held_up} with the write lock, {free} without; others waited at most {max_wait:?} with a patience of {LOCK_PATIENCE:?}",
        held_up + free
    );
}

/// Asserts that a real command and a real server are refused in bounded time and then end.
fn assert_real_processes_are_refused(store: &Store, log: &str, pid: u32) {
    let start = Instant::now();
    let mut server = store.serve();
    let sent = server.send("update_task", json!({"id": log, "body": "- never"}));
    let ran = store.tasktally(["update-task", log, "--body", "- never", "--json"]).finish();
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.output().contains(&format!("process {pid} (tasktally) is stopped")), "{ran:?}");
    let reply = server.recv(sent).unwrap();
    assert_eq!(reply.refusal(), "busy");
    assert!(server.close().success(), "a server that waits for the write lock ends with its client");
    let waited = start.elapsed();
    println!("a real command and a real server were refused after {waited:?}");
    assert!(waited < MAX_REAL_WAIT, "{waited:?}");
}

#[test]
fn a_ping_and_a_read_are_answered_while_a_lone_write_waits_for_the_write_lock() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    let log = server.create_task("Log");
    let other = impatient_session(&store);
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
fn a_stopped_worker_loses_its_expired_claim_and_its_completion_is_refused() {
    let store = Store::new_sqlite();
    let mut other = store.serve();
    for round in 0..rounds("TASKTALLY_ROUNDS", 3) {
        let id = other.create_task(&format!("Task {round}"));
        let mut victim = store.serve();
        let claim =
            victim.call("claim_task", json!({"worker": "victim", "id": id, "lease_seconds": 60})).ok();
        let token = claim["claim"]["token"].clone();
        stop(victim.pid());
        // These requests wait in the pipe until the server continues.
        let receipt =
            victim.send("update_task", json!({"id": id, "claim": token, "body": "- by the victim"}));
        let completion = victim.send("complete_task", json!({"id": id, "claim": token}));
        // The lease expires meanwhile.
        store.expire_claim(&id);
        let taken = other.call("claim_task", json!({"worker": "other", "id": id})).ok();
        send_signal("CONT", victim.pid());
        let receipt = victim.recv(receipt).unwrap();
        assert_eq!(receipt.refusal(), "claim_lost");
        assert_eq!(victim.recv(completion).unwrap().refusal(), "claim_lost");
        let done = json!({"id": id, "claim": taken["claim"]["token"], "summary": "- by the other"});
        other.call("complete_task", done).ok();
        let task = other.read_task(&id);
        let written = |text: &str| -> Vec<bool> {
            let receipts = task["task"]["receipts"].as_array().unwrap().iter();
            receipts
                .filter(|receipt| receipt["text"] == text)
                .map(|receipt| receipt["late"] == true)
                .collect()
        };
        assert_eq!(written("- by the victim"), [true], "{}", task.value);
        assert_eq!(written("- by the other"), [false], "{}", task.value);
    }
    println!("each claim was taken over, each late receipt kept");
}

#[test]
fn a_client_that_does_not_read_delays_no_other_client() {
    let store = Store::new_sqlite();
    let log = store.serve().call("create_task", json!({"title": "Log", "body": "x".repeat(60_000)})).ok();
    let log = log.text("/task/id");
    // This server's responses are not read: its pipe is full in the middle of a response, with writes queued behind it.
    let mut slow_reader = store.server(&[]);
    slow_reader.initialize_without_reading();
    for number in 0..30 {
        slow_reader.send("get_task", json!({"id": log}));
        slow_reader.send("update_task", json!({"id": log, "body": format!("- unread {number}")}));
    }
    let mut other = store.serve();
    let mut max_wait = Duration::ZERO;
    for number in 0..50 {
        let start = Instant::now();
        other.call("update_task", json!({"id": log, "body": format!("- other {number}")})).ok();
        max_wait = max_wait.max(start.elapsed());
    }
    println!("beside a client that does not read, 50 writes took at most {max_wait:?} each");
    assert!(max_wait < MAX_WAIT, "{max_wait:?}");
    slow_reader.start_reading();
    for _ in 0..61 {
        assert!(slow_reader.next_message().unwrap()["result"].is_object());
    }
}

/// A profile whose worker settles the first item at once and the others after the file `go` exists.
const SLOW: &str = "[worker.slow]\nper = \"item\"\nmax_parallel = 2\ncommand = [\"sh\", \"-c\", \"[ $TASKTALLY_ITEM = item-001 ] || while [ ! -e ../../go ]; do sleep 0.05; done; echo - did $TASKTALLY_ITEM\"]\n";

#[test]
fn a_stopped_runner_supervisor_process_and_worker_continue_where_they_stopped() {
    let store = Store::new_sqlite().with_config(SLOW);
    let mut server = store.serve();
    let mut stopped = 0;
    for round in 0..rounds("TASKTALLY_ROUNDS", 1) {
        let go = store.file().with_file_name("go");
        let _ = std::fs::remove_file(&go);
        let id = start_batch(&mut server, 12, 6, "slow");
        let runner = wait_for_runner(&mut server, &id);
        eventually("some work", || {
            (read_batch(&mut server, &id).count("/batch/processed") > 0).then_some(())
        });
        // Stop the runner first, so that it starts no more processes, then its supervisor processes and their workers.
        let mut all = vec![runner];
        let try_signal = |name: &str, pid: u32| {
            let args = [format!("-{name}"), pid.to_string()];
            Command::new("kill").args(args).output().unwrap().status.success()
        };
        assert!(try_signal("STOP", runner));
        let mut next = 0;
        while next < all.len() {
            let started = children(all[next]);
            all.extend(started.into_iter().filter(|pid| try_signal("STOP", *pid)));
            next += 1;
        }
        stopped += all.len();
        let before = read_batch(&mut server, &id).count("/batch/processed");
        let log = server.create_task("Others continue");
        for number in 0..10 {
            server.call("update_task", json!({"id": log, "body": format!("- {number}")})).ok();
        }
        let now = read_batch(&mut server, &id);
        assert!(now.count("/batch/processed") <= before + 2, "the runner was not stopped: {}", now.value);
        for pid in all {
            try_signal("CONT", pid);
        }
        std::fs::write(&go, "").unwrap();
        wait_for_status(&mut server, &id, "done");
        let all = settled_items(&store);
        assert_eq!(all.len(), 12 * (round + 1));
        assert!(
            all.iter().all(|(_, outcome, receipts)| outcome.as_deref() == Some("done") && *receipts == 1)
        );
    }
    println!("{stopped} processes of background work were stopped; every item done once");
    assert!(stopped > 3, "the runner had no supervisor process and worker");
}
