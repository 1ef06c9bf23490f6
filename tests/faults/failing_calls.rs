//! One system call fails, any of them and with different errors. The answer must be correct, or an error that says
//! whether the write is stored, and the store must stay intact.
//!
//! `TASKTALLY_ROUNDS` sets how many calls of a scenario fail in turn for each kind of fault, `TASKTALLY_SEED` repeats
//! the same random ones.

use serde_json::{Value, json};

use super::calls::{Calls, EIO, EMFILE, ENOMEM, ENOSPC, EROFS, Fault, file, kind};
use super::stored_writes::{ExpectedWrite, ReplyLog, UNKNOWN, says, texts};
use crate::support::cli::Run;
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::server::Server;
use crate::support::store::Store;

/// The faults: a name, the kind of call, the error, and whether the first failing write writes half of its data.
const FAULTS: [(&str, u64, u64, bool); 11] = [
    ("write", kind::WRITE, EIO, false),
    ("write", kind::WRITE, ENOSPC, false),
    ("write, half of it", kind::WRITE, ENOSPC, true),
    ("sync", kind::SYNC, EIO, false),
    ("sync", kind::SYNC, ENOSPC, false),
    ("truncate", kind::TRUNCATE, EIO, false),
    ("open", kind::OPEN, EIO, false),
    ("open", kind::OPEN, EMFILE, false),
    ("map", kind::MAP, ENOMEM, false),
    ("name", kind::NAME, EIO, false),
    // The disk is read-only from there on.
    ("change", kind::WRITE | kind::SYNC | kind::TRUNCATE | kind::NAME, EROFS, false),
];

/// The process in which a call fails.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scenario {
    /// A server that receives writes of all kinds.
    Server,
    /// A batch that exceeds the memory of a connection, so that part of it is written before the commit.
    Batch,
    Command,
}

impl ReplyLog {
    /// Requests one write. Returns the reply if it succeeded.
    fn ask(
        &mut self,
        server: &mut Server,
        tool: &str,
        arguments: Value,
        leaves: ExpectedWrite,
    ) -> Option<Value> {
        let id = server.send(tool, arguments);
        let reply = server.recv(id)?;
        self.record(&reply, leaves);
        reply.succeeded().then_some(reply.value)
    }

    fn receipt(&mut self, server: &mut Server, task: &str, text: String) {
        let leaves = ExpectedWrite::Receipt { task: task.to_owned(), text: text.clone(), item: None };
        self.ask(server, "update_task", json!({"id": task, "body": text}), leaves);
    }

    /// A bit of everything, as far as it comes.
    fn work(&mut self, server: &mut Server) {
        let made = json!({"task_title": "Task"});
        if let Some(made) = self.ask(server, "create_task", made, ExpectedWrite::Task("Task".into())) {
            let id = made["task"]["id"].as_str().unwrap().to_owned();
            (0..3).for_each(|number| self.receipt(server, &id, format!("- receipt {number}")));
            self.receipt(server, &id, format!("- long {}", "x".repeat(60_000)));
            let read = server.call("get_task", json!({"id": id, "receipts_limit": 1}));
            assert!(read.succeeded() || read.is_error, "{}", read.value);
        }
        let batch = json!({"title": "Batch", "instructions": "x", "items": ["a", "b"], "max_chunk": 2});
        let Some(batch) = self.ask(server, "create_batch", batch, ExpectedWrite::Batch("Batch".into(), 2))
        else {
            return;
        };
        let claimed = server.call("claim_task", json!({"batch": batch["batch"]["id"]}));
        if !claimed.succeeded() {
            return;
        }
        let (chunk, token) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
        let mut done = 0;
        for key in ["a", "b"] {
            let text = format!("- did {key}");
            let leaves =
                ExpectedWrite::Receipt { task: chunk.clone(), text: text.clone(), item: Some(key.into()) };
            let receipt = json!({"id": chunk, "claim": token, "item": key, "outcome": "done", "body": text});
            done += usize::from(self.ask(server, "update_task", receipt, leaves).is_some());
        }
        if done == 2 {
            let complete = json!({"id": chunk, "claim": token});
            self.ask(server, "complete_task", complete, ExpectedWrite::Status(chunk, "done"));
        }
        let last = json!({"task_title": "Last"});
        self.ask(server, "create_task", last, ExpectedWrite::Task("Last".into()));
    }

    fn long_batch(&mut self, server: &mut Server) {
        let items: Vec<Value> = (0..700).map(long_item).collect();
        let long = json!({"title": "Long", "instructions": "x", "items": items});
        self.ask(server, "create_batch", long, ExpectedWrite::Batch("Long".into(), 700));
        let last = json!({"task_title": "Last"});
        self.ask(server, "create_task", last, ExpectedWrite::Task("Last".into()));
    }

    /// A command, to its end.
    fn command(&mut self, calls: &Calls, store: &Store) {
        let run =
            Run::new(calls.before(store, store.command()), ["create-task", "--task-title", "Made", "--json"]);
        let ran = run.finish();
        let leaves = ExpectedWrite::Task("Made".into());
        if ran.code == Some(0) {
            self.possible.push(leaves.clone());
            self.acknowledged.push((leaves, ran.json()));
        } else {
            assert!(!ran.output().is_empty(), "{ran:?}");
            self.record_error(ran.output().contains(UNKNOWN), leaves);
        }
    }
}

/// An item of a page's length.
fn long_item(number: usize) -> Value {
    json!({"key": format!("long-{number}"), "fields": {"text": "x".repeat(4000)}})
}

/// A scenario over a new store, with a fault in it; what was injected, and how many calls matched.
fn run(fault: Fault, scenario: Scenario, kill: bool, replies: &mut ReplyLog) -> (Store, u64, u64) {
    let (store, calls) = (Store::new_sqlite(), Calls::failing());
    calls.fail(fault);
    if scenario == Scenario::Command {
        replies.command(&calls, &store);
    } else if let Some(mut server) = calls.try_serve(&store) {
        match scenario {
            Scenario::Batch => replies.long_batch(&mut server),
            _ => replies.work(&mut server),
        }
        if kill {
            server.kill();
        } else {
            server.close();
        }
    }
    let matched = calls.matched();
    (store, calls.heal(), matched)
}

/// Tries calls of a scenario, each kind of fault once and for ever: every one of them, where so many are asked for.
fn try_all(scenario: Scenario, faults: &[(&str, u64, u64, bool)], rng: &mut Rng) {
    let tries = rounds("TASKTALLY_ROUNDS", 1) as u64;
    for &(name, kind, errno, short) in faults {
        let none = Fault { kind, first: 1, count: 0, errno, short, files: file::ANY };
        let mut whole = ReplyLog::default();
        let (_, _, matched) = run(none, scenario, false, &mut whole);
        assert_eq!(whole.errors, 0, "nothing failed yet: {:?}", whole.possible);
        let (mut runs, mut injected, mut errors, mut unknown) = (0, 0, 0, 0);
        // Once, and from then on; in a hurry one of them.
        let counts = if tries > 1 { vec![1, u64::MAX] } else { vec![[1, u64::MAX][rng.below(2) as usize]] };
        for count in counts {
            for number in 0..tries.min(matched) {
                let first = if tries < matched { 1 + rng.below(matched) } else { number + 1 };
                let fault = Fault { first, count, ..none };
                let mut replies = ReplyLog::default();
                let (mut store, mut failed, _) = run(fault, scenario, first.is_multiple_of(2), &mut replies);
                if failed == 0 {
                    // Only one that ends by itself comes so far.
                    replies = ReplyLog::default();
                    (store, failed, _) = run(fault, scenario, false, &mut replies);
                }
                (runs, injected) = (runs + 1, injected + failed);
                (errors, unknown) = (errors + replies.errors, unknown + replies.unknown);
                replies.assert_kept(&store, &format!("{scenario:?}: {name} {first} of {matched}, {fault:?}"));
            }
        }
        println!(
            "{scenario:?}: {name} with error {errno}: {runs} runs over {matched} calls, {injected} failed, {errors} answered as errors ({unknown} as unknown), none wrong"
        );
        // A command need not come to a call of each kind.
        assert!(
            injected > 0 || scenario == Scenario::Command && matched == 0,
            "{scenario:?}: no {name} failed"
        );
    }
}

#[test]
fn a_server_whose_system_calls_fail_answers_rightly_and_leaves_the_store_whole() {
    try_all(Scenario::Server, &FAULTS, &mut Rng::seeded("a_server_whose_system_calls_fail"));
}

#[test]
fn a_long_batch_whose_writes_fail_is_there_or_not() {
    let writes: Vec<_> = FAULTS.into_iter().filter(|(_, kind, ..)| kind & kind::WRITE != 0).collect();
    try_all(Scenario::Batch, &writes, &mut Rng::seeded("a_long_batch_whose_writes_fail"));
}

#[test]
fn a_command_whose_system_calls_fail_answers_rightly_and_leaves_the_store_whole() {
    try_all(Scenario::Command, &FAULTS, &mut Rng::seeded("a_command_whose_system_calls_fail"));
}

#[test]
fn a_commit_that_is_in_the_log_and_not_in_its_index_is_not_told_as_unwritten() {
    let (store, calls) = (Store::new_sqlite(), Calls::failing());
    let mut server = calls.serve(&store);
    let id = server.create_task("Log");
    // The index of the log grows by a page of memory after 4062 frames.
    let frames = || std::fs::metadata(format!("{}-wal", store.file().display())).unwrap().len() / 4120;
    while frames() < 3900 {
        server.call("update_task", json!({"id": id, "body": "x".repeat(60_000)})).ok();
    }
    calls.fail(Fault { kind: kind::MAP, first: 1, count: 1, errno: ENOMEM, short: false, files: file::ANY });
    let items: Vec<Value> = (0..700).map(long_item).collect();
    let batch = server.call("create_batch", json!({"title": "Batch", "instructions": "x", "items": items}));
    assert_eq!(calls.heal(), 1, "the log's index did not grow");
    server.kill();
    let kept = texts(&store).iter().any(|text| text == "Batch");
    assert!(batch.is_error, "{}", batch.value);
    assert!(!kept || says(&batch, UNKNOWN), "kept, and answered by {}", batch.value);
    store.assert_whole();
    store.tasktally(["verify"]).success();
    println!("a log that could not be indexed: its write {}", if kept { "was kept" } else { "was lost" });
}
