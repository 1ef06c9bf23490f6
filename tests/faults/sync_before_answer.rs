//! A write is answered after its WAL sync. Checked in the system calls of real servers, commands and runs, for every
//! operation that writes.

use serde_json::json;

use crate::every_write::{EveryWrite, MadeCall, PROFILE, command_line};
use crate::shim::shim;
use crate::support::cli::Run;
use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{eventually, send_signal};
use crate::trace::{can_trace, check_syncs, traced};

/// Whether the call writes an answer to the client.
fn is_answer(call: &str) -> bool {
    call.contains(" write(") && call.contains("<pipe:") && call.contains("jsonrpc")
}

fn is_output(call: &str) -> bool {
    call.contains(" write(1<pipe:")
}

fn traced_server(store: &Store, calls: &std::path::Path, args: &[&str]) -> Server {
    let mut command = traced(store, calls);
    command.arg("serve").args(args);
    let mut server = Server::spawn(command);
    server.start_reading();
    server
}

/// Fails if a call that wrote was answered without a sync of its own.
fn assert_synced(made: &[MadeCall], syncs: &[usize]) -> usize {
    assert_eq!(made.len(), syncs.len(), "answers in the trace");
    for (call, syncs) in made.iter().zip(syncs).filter(|(call, _)| call.writes) {
        assert!(*syncs > 0, "{} {}: answered without a sync", call.operation, call.arguments);
    }
    made.iter().filter(|call| call.writes).count()
}

#[test]
fn no_write_of_a_server_is_answered_before_the_wal_is_synced() {
    if !can_trace() {
        return;
    }
    for version in ["2024-11-05", "2025-11-25", "2026-07-28"] {
        let store = Store::new_sqlite().with_config(PROFILE);
        // Create the store first, outside of the trace.
        store.create();
        let calls = store.folder().join("calls");
        let mut server = traced_server(&store, &calls, &[]);
        let handshakes = if version == "2026-07-28" {
            server.stateless();
            0
        } else {
            server.initialize(version);
            1
        };
        let mut call =
            |operation: &str, arguments: &serde_json::Value| server.call(operation, arguments.clone());
        let mut every_write = EveryWrite::new(&mut call);
        every_write.run(&store);
        let made = std::mem::take(&mut every_write.calls);
        server.close();
        let trace = check_syncs(&calls, false, is_answer);
        let writes = assert_synced(&made, &trace.syncs_before[handshakes..]);
        println!("{version}: {} answers, {writes} writes, each synced before it was answered", made.len());
    }
}

#[test]
fn each_change_of_a_wait_is_answered_after_a_sync() {
    if !can_trace() {
        return;
    }
    let store = Store::new_sqlite();
    let plan = json!({"title": "B", "instructions": "x", "items": ["a", "b"], "max_chunk": 1, "checkpoint": "chunk"});
    let mut worker = store.serve();
    let batch = worker.call("create_batch", plan).ok().text("/batch/id");
    let claim = worker.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let token = json!({"id": claim["task"]["id"], "claim": claim["claim"]["token"]});
    let mut receipt = token.clone();
    (receipt["item"], receipt["outcome"]) = ("a".into(), "done".into());
    worker.call("update_task", receipt).ok();
    worker.call("complete_task", token).ok();

    let calls = store.folder().join("calls");
    let mut server = traced_server(&store, &calls, &[]);
    server.stateless();
    server.declare_capabilities(
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {"form": {}}}),
    );
    let start = json!({"name": "wait_batch", "arguments": {"id": batch}});
    let started = server.request("tools/call", start);
    let handle = started["result"]["taskId"].clone();
    assert!(handle.is_string(), "{started}");
    let asked = server.request("tasks/get", json!({"taskId": handle}));
    let question = asked["result"]["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let decided = json!({"action": "accept", "content": {"decision": "approve"}});
    let answered =
        server.request("tasks/update", json!({"taskId": handle, "inputResponses": {question: decided}}));
    let cancelled = server.request("tasks/cancel", json!({"taskId": handle}));
    for answer in [&answered, &cancelled] {
        assert!(answer["result"].is_object(), "{answer}");
    }
    server.close();
    let trace = check_syncs(&calls, false, is_answer);
    for (what, number) in [("start", 0), ("answer", 2), ("cancel", 3)] {
        assert!(trace.syncs_before[number] > 0, "{what}: {:?}", trace.syncs_before);
    }
    println!("a wait: started, answered and cancelled, each after a sync");
}

#[test]
fn a_claim_that_finds_nothing_writes_nothing_but_still_expires_leases() {
    if !can_trace() {
        return;
    }
    let store = Store::new_sqlite();
    let mut worker = store.serve();
    let id = worker.create_task("Claimed");
    worker.call("claim_task", json!({"id": id, "worker": "w"})).ok();
    let calls = store.folder().join("calls");
    let mut server = traced_server(&store, &calls, &[]);
    server.initialize("2025-11-25");
    let nothing = json!({"project": "none"});
    for _ in 0..5 {
        assert_eq!(server.call("claim_task", nothing.clone()).value["code"], "nothing_to_claim");
    }
    store.sqlite().execute("UPDATE task SET expires_at = claimed_at WHERE id = ?1", [&id]).unwrap();
    assert_eq!(server.call("claim_task", nothing.clone()).value["code"], "nothing_to_claim");
    assert_eq!(worker.read_task(&id).text("/task/status"), "active");
    assert_eq!(server.call("claim_task", nothing).value["code"], "nothing_to_claim");
    server.call("claim_task", json!({"id": id})).ok();
    server.close();
    let syncs = check_syncs(&calls, false, is_answer).syncs_before;
    let written: Vec<bool> = syncs[1..].iter().map(|syncs| *syncs > 0).collect();
    assert_eq!(written, [false, false, false, false, false, true, false, true], "{syncs:?}");
}

#[test]
fn no_write_of_a_workers_server_is_answered_before_the_wal_is_synced() {
    if !can_trace() {
        return;
    }
    let store = Store::new_sqlite();
    let plan = json!({"title": "B", "instructions": "x", "items": ["a", "b"], "max_chunk": 1});
    let batch = store.serve().call("create_batch", plan).ok().text("/batch/id");
    let calls = store.folder().join("calls");
    let mut server = traced_server(&store, &calls, &["--toolset", "worker"]);
    server.initialize("2025-11-25");
    for last_call in ["complete_task", "release_task"] {
        let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
        let (id, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
        let key = claim["items"][0]["key"].clone();
        server.call("update_task", json!({"id": id, "claim": token, "item": key, "outcome": "done"})).ok();
        server.call(last_call, json!({"id": id, "claim": token})).ok();
    }
    server.close();
    let trace = check_syncs(&calls, false, is_answer);
    assert_eq!(trace.syncs_before.len(), 7);
    assert!(trace.syncs_before[1..].iter().all(|syncs| *syncs > 0), "{:?}", trace.syncs_before);
    println!("a worker's server: 6 writes, each synced before it was answered");
}

#[test]
fn no_command_prints_its_success_before_the_wal_is_synced() {
    if !can_trace() {
        return;
    }
    let store = Store::new_sqlite().with_config(PROFILE);
    store.create();
    // Keep the store open: the last connection to close it would checkpoint the WAL, which adds syncs.
    let other = store.sqlite();
    other.query_row("SELECT count(*) FROM task", [], |row| row.get::<_, i64>(0)).unwrap();
    let calls = store.folder().join("calls");
    let mut syncs = Vec::new();
    let mut call = |operation: &str, arguments: &serde_json::Value| {
        let ran = Run::new(traced(&store, &calls), command_line(operation, arguments)).finish();
        let trace = check_syncs(&calls, false, is_output);
        // A long reply is printed by several calls; only the first counts.
        syncs.push(trace.syncs_before[0]);
        Reply { value: ran.json(), is_error: false }
    };
    let mut every_write = EveryWrite::new(&mut call);
    every_write.run(&store);
    let made = std::mem::take(&mut every_write.calls);
    let writes = assert_synced(&made, &syncs);
    println!("commands: {} runs, {writes} writes, each synced before it was printed", made.len());
}

#[test]
fn a_run_prints_nothing_and_starts_no_worker_before_the_wal_is_synced() {
    if !can_trace() {
        return;
    }
    let store =
        Store::new_sqlite().with_config("[worker.echo]\nper = \"item\"\ncommand = [\"echo\", \"- done\"]\n");
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n{\"key\":\"c\"}\n");
    let calls = store.folder().join("calls");
    // A message to a supervisor process, written to a Unix socket, must not precede the sync either.
    let is_message = |call: &str| is_output(call) || (call.contains(" write(") && call.contains("<UNIX"));
    let args = ["run", "--items", "items.jsonl", "--workers", "1", "--json", "--", "sh", "-c", "echo - done"];
    Run::new(traced(&store, &calls), args).success();
    let run = check_syncs(&calls, true, is_message).syncs_before;
    let batch = store.serve().call(
        "create_batch",
        json!({"title": "B", "instructions": "x", "items": ["a", "b"], "worker": "missing"}),
    );
    assert_eq!(batch.refusal(), "invalid_argument", "an unknown profile");
    let plan = json!({"title": "B", "instructions": "x", "items": ["a", "b"]});
    let batch = store.serve().call("create_batch", plan).ok().text("/batch/id");
    let work = ["work", "--batch", &batch, "--worker", "echo", "--json"];
    Run::new(traced(&store, &calls), work).success();
    let runner = check_syncs(&calls, true, is_message).syncs_before;
    let both: usize = run.iter().chain(&runner).sum();
    println!("a run wrote {} messages, a runner {}, after {both} syncs", run.len(), runner.len());
    assert!(both > 8 && run.len() > 3 && runner.len() > 2);
}

/// A server that committed a write and stopped before it synced the WAL.
fn stopped_before_sync(store: &Store, operation: &str, arguments: &serde_json::Value) -> Server {
    let key = arguments["request_key"].as_str().unwrap();
    for at in 1..200 {
        let mut command = store.command();
        command.arg("serve").env("LD_PRELOAD", shim("stop")).env("TASKTALLY_STOP_AT", at.to_string());
        let mut server = Server::spawn(command);
        server.start_reading();
        server.initialize("2025-11-25");
        let pid = server.pid();
        server.send(operation, arguments.clone());
        eventually("the server to stop", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.contains(") T ").then_some(())
        });
        // The stored key begins with the project and the author.
        let sql = "SELECT count(*) FROM stored_response WHERE request_key LIKE '%' || ?1";
        if store.sqlite().query_row(sql, [key], |row| row.get::<_, u64>(0)).unwrap() == 1 {
            return server;
        }
        server.kill();
    }
    panic!("{operation} never committed");
}

#[test]
fn a_repeat_is_not_answered_before_the_first_commit_is_on_disk_also_one_of_another_process() {
    if !can_trace() {
        return;
    }
    let store = Store::new_sqlite();
    let plan = json!({"title": "B", "instructions": "x", "items": ["a"]});
    let batch = store.serve().call("create_batch", plan.clone()).ok().text("/batch/id");
    let mut other = store.serve();
    let task = other.create_task("Log");
    let calls = store.folder().join("calls");
    let mut plan = plan;
    plan["title"] = "Another".into();
    for (operation, mut arguments) in [
        ("create_task", json!({"task_title": "T"})),
        ("update_task", json!({"id": task, "body": "- once"})),
        ("create_batch", plan),
        ("add_items", json!({"id": batch, "items": ["b"]})),
    ] {
        arguments["request_key"] = format!("{operation}-key").into();
        let first = stopped_before_sync(&store, operation, &arguments);
        let mut second = traced_server(&store, &calls, &[]);
        second.initialize("2025-11-25");
        let again = second.call(operation, arguments).ok();
        assert!(again.value.to_string().contains("\"duplicate\":true"), "{}", again.value);
        second.close();
        let trace = check_syncs(&calls, false, is_answer);
        assert!(trace.syncs_before[1] > 0, "{operation}: a repeat was answered without a sync");
        send_signal("KILL", first.pid());
    }
    println!(
        "4 repeated writes that another process had committed but not synced: each synced before the answer"
    );
}
