//! The power is cut at random moments. Every acknowledged write must be stored afterwards, whatever the disk did with
//! unsynced data.
//!
//! The calls of real servers are recorded (`calls.rs`); for each cut a disk is rebuilt from the record (`disk.rs`).
//! `TASKTALLY_ROUNDS` sets the number of cuts, `TASKTALLY_SEED` repeats the same random ones.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::calls::{Call, Calls};
use super::disk::{Disk, Names};
use super::stored_writes::{Acknowledged, ExpectedWrite, RequestedWrites, texts};
use crate::support::rng::Rng;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{rounds, run_in_parallel};

/// The number of power cuts per recording.
pub(crate) const CUTS: usize = 12;

/// The requested writes, by process and request id.
pub(crate) type Record = Vec<((u32, u64), ExpectedWrite)>;

/// Requests a write, waits for the answer and returns it.
fn ask(
    server: &mut Server,
    record: &mut Record,
    tool: &str,
    arguments: serde_json::Value,
    leaves: ExpectedWrite,
) -> crate::support::reply::Reply {
    let id = server.send(tool, arguments);
    record.push(((server.pid(), id), leaves));
    server.recv(id).expect("an answer of a running server")
}

/// The writes of one agent: tasks, receipts on a shared task, batches, claims, outcomes.
fn work(server: &mut Server, shared: &str, name: &str, writes: usize) -> Record {
    let mut all = Record::new();
    let record = &mut all;
    for round in 0..writes {
        let tag = format!("{name}-{round}");
        let text = format!("- receipt {tag} {}", "x".repeat(40 * (round % 50)));
        let leaves = ExpectedWrite::Receipt { task: shared.to_owned(), text: text.clone(), item: None };
        ask(server, record, "update_task", json!({"id": shared, "body": text}), leaves).ok();
        if round % 4 == 0 {
            let title = format!("Task {tag}");
            let made = json!({"task_title": title});
            let id =
                ask(server, record, "create_task", made, ExpectedWrite::Task(title)).ok().text("/task/id");
            let claim = json!({"id": id, "status": "in_progress", "assignee": name});
            ask(server, record, "update_task", claim, ExpectedWrite::Status(id.clone(), "in_progress")).ok();
            ask(server, record, "complete_task", json!({"id": id}), ExpectedWrite::Status(id, "done")).ok();
        }
        if round % 8 == 3 {
            let title = format!("Batch {tag}");
            let items: Vec<String> = (0..4).map(|item| format!("{tag}-{item}")).collect();
            let make = json!({"title": title, "instructions": "x", "items": items, "max_chunk": 4});
            let batch = ask(server, record, "create_batch", make, ExpectedWrite::Batch(title, 4))
                .ok()
                .text("/batch/id");
            let claim = server.call("claim_task", json!({"batch": batch})).ok();
            let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
            for key in items {
                let text = format!("- did {key}");
                let receipt =
                    json!({"id": chunk, "claim": token, "item": key, "outcome": "done", "body": text});
                let leaves = ExpectedWrite::Receipt { task: chunk.clone(), text, item: Some(key) };
                ask(server, record, "update_task", receipt, leaves).ok();
            }
            let leaves = ExpectedWrite::Status(chunk.clone(), "done");
            ask(server, record, "complete_task", json!({"id": chunk, "claim": token}), leaves).ok();
        }
    }
    all
}

/// Runs one WAL checkpoint, which a server does only after thousands of pages.
pub(crate) fn checkpoint(store: &Store, calls: &Calls) {
    let mut this = calls.before(store, std::process::Command::new(std::env::current_exe().unwrap()));
    this.args(["--ignored", "--exact", "power_cut::one_checkpoint"]).env("TASKTALLY_DB", store.file());
    let status = this.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.unwrap().success());
}

#[test]
#[ignore = "run by `checkpoint` in a separate process"]
fn one_checkpoint() {
    let sql = rusqlite::Connection::open(std::env::var_os("TASKTALLY_DB").unwrap()).unwrap();
    sql.busy_timeout(crate::support::PATIENCE).unwrap();
    sql.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
    // The last connection to close the store would otherwise delete the WAL.
    sql.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
}

/// Random moments for the cuts: one half just after an answer, the other half after any call.
fn moments(calls: &[Call], cuts: usize, rng: &mut Rng) -> Vec<usize> {
    let answers: Vec<usize> =
        (0..calls.len()).filter(|at| matches!(calls[*at], Call::Answered { .. })).collect();
    let mut moments: Vec<usize> = (0..cuts)
        .map(|cut| match cut % 2 {
            0 => answers[rng.below(answers.len() as u64) as usize] + 1,
            _ => rng.below(calls.len() as u64 + 1) as usize,
        })
        .collect();
    moments.sort_unstable();
    moments
}

/// Cuts the power at several moments of a recording, on one kind of disk. Returns the number of answers that were
/// checked.
pub(crate) fn cut<'a>(
    mut disk: Disk<'a>,
    asked: &RequestedWrites,
    calls: &'a [Call],
    cuts: usize,
    rng: &mut Rng,
) -> usize {
    let acknowledged = asked.acknowledged(calls);
    let (mut done, mut held) = (0, 0);
    for moment in moments(calls, cuts, rng) {
        calls[done..moment].iter().for_each(|call| disk.apply(call, rng));
        done = moment;
        let found = Store::new_sqlite();
        disk.cut(found.folder(), rng);
        let before: Vec<&Acknowledged<'_>> =
            acknowledged.iter().filter(|(at, _)| *at < moment).map(|(_, what)| what).collect();
        let when = format!("cut after call {moment} of {}, names {:?}", calls.len(), disk.names());
        asked.assert_kept(&found, &before, &when);
        held += before.len();
    }
    held
}

/// Records the calls of `work` and cuts the power at several moments of the recording.
fn record_and_cut(
    what: &str,
    rng: &mut Rng,
    store: impl Fn() -> Store,
    work: impl Fn(&Store, &Calls) -> Vec<Record>,
    saw: impl Fn(&[Call]),
) {
    let rounds = rounds("TASKTALLY_ROUNDS", CUTS);
    let (mut cuts, mut held, mut recorded) = (0, 0, 0);
    while cuts < rounds {
        let store = store();
        let disks = [Names::WithTheFolder, Names::WithAnySync].map(|names| Disk::of(store.folder(), names));
        let before = if store.file().exists() { texts(&store) } else { Vec::new() };
        let recording = Calls::recording();
        let asked = RequestedWrites::of(work(&store, &recording).into_iter().flatten()).with_existing(before);
        let calls = recording.record();
        saw(&calls);
        for disk in disks {
            held += cut(disk, &asked, &calls, CUTS / 2, rng);
        }
        cuts += CUTS;
        recorded += 1;
    }
    println!("{what}: {cuts} cuts over {recorded} recordings, {held} answers checked, none lost");
    assert!(held > 0, "no answer came before any cut");
}

const SERVERS: usize = 3;

#[test]
fn every_acknowledged_write_survives_a_power_cut() {
    let mut rng = Rng::seeded("what_was_acknowledged_is_there");
    let work_all = |store: &Store, calls: &Calls| {
        let mut first = calls.serve(store);
        let mut record = Record::new();
        let made = json!({"task_title": "Shared"});
        let made = ask(&mut first, &mut record, "create_task", made, ExpectedWrite::Task("Shared".into()));
        let shared = made.ok().text("/task/id");
        let mut records = vec![record];
        // From the third pass on, the servers open a store that all others have closed.
        for pass in 0..4 {
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        checkpoint(store, calls);
                    }
                });
                records.extend(run_in_parallel(SERVERS, |worker| {
                    let mut server = calls.serve(store);
                    let record = work(&mut server, &shared, &format!("agent-{pass}-{worker}"), 6);
                    server.close();
                    record
                }));
                done.store(true, Ordering::Release);
            });
            // Checkpoint everything while no reader is active, so that the next writer resets the WAL.
            checkpoint(store, calls);
            if pass == 1 {
                first.close();
            }
        }
        records
    };
    record_and_cut("any power cut", &mut rng, Store::new, work_all, |calls| {
        let resets = calls
            .iter()
            .filter(|call| matches!(call, Call::Wrote { offset: 0, data, .. } if data.len() == 32));
        assert!(resets.count() > 2, "the WAL was never reset between writes");
    });
}

#[test]
fn a_new_store_survives_a_power_cut_after_its_first_answer() {
    let mut rng = Rng::seeded("a_new_store_is_there");
    let work_all = |store: &Store, calls: &Calls| {
        run_in_parallel(SERVERS, |worker| {
            let (mut server, mut record) = (calls.serve(store), Record::new());
            for number in 0..2 {
                let title = format!("Task {worker}-{number}");
                let made = json!({"task_title": title});
                ask(&mut server, &mut record, "create_task", made, ExpectedWrite::Task(title)).ok();
            }
            server.kill();
            record
        })
    };
    record_and_cut("a new store", &mut rng, Store::new, work_all, |_| {});
}

#[test]
fn an_old_store_survives_a_power_cut_during_its_migration() {
    let mut rng = Rng::seeded("an_old_store_survives");
    let old = || {
        let store = Store::new_sqlite();
        std::fs::create_dir(store.file().parent().unwrap()).unwrap();
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/store-1.db");
        std::fs::copy(fixture, store.file()).unwrap();
        store
    };
    let work_all = |store: &Store, calls: &Calls| {
        run_in_parallel(SERVERS, |worker| {
            let (mut server, mut record) = (calls.serve(store), Record::new());
            let text = format!("- worker {worker}");
            let leaves =
                ExpectedWrite::Receipt { task: "v48s861mgb4h".into(), text: text.clone(), item: None };
            let receipt = json!({"id": "v48s861mgb4h", "body": text});
            ask(&mut server, &mut record, "update_task", receipt, leaves).ok();
            server.close();
            record
        })
    };
    record_and_cut("an old store", &mut rng, old, work_all, |_| {});
}
