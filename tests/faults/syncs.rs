//! A write is answered after its commit is on disk: seen in the system calls of the real server.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::server::Server;
use crate::support::store::Store;

/// The server under a tracer that keeps its writes and syncs, with what each file is called.
fn traced(store: &Store, calls: &Path) -> Option<Server> {
    let runs = Command::new("strace").arg("true").output().is_ok_and(|ran| ran.status.success());
    if !runs {
        return None;
    }
    let docket = store.command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "16", "-e", "trace=pwrite64,fdatasync,write", "-o"]).arg(calls);
    strace.arg(docket.get_program()).arg("serve").current_dir(store.folder());
    strace.envs(docket.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut server = Server::spawn(strace);
    server.listen();
    server.initialize("2025-11-25");
    Some(server)
}

#[test]
fn no_write_is_answered_before_the_log_is_synced() {
    let store = Store::new();
    let calls = store.folder().join("calls");
    // The store is there before: making it is not what is looked at.
    store.docket(["list-tasks"]).success();
    let Some(mut server) = traced(&store, &calls) else {
        println!("skipped no_write_is_answered_before_the_log_is_synced: strace is missing or may not trace");
        return;
    };
    let id = server.task("Log");
    for number in 0..50 {
        server.call("update_task", json!({"id": id, "body": format!("- {number}")})).ok();
    }
    let batch = server
        .call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a", "b"], "max_chunk": 1}))
        .ok()
        .text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    let receipt = json!({"id": chunk, "claim": token, "item": "a", "outcome": "done", "request_key": "k"});
    server.call("update_task", receipt.clone()).ok();
    server.call("update_task", receipt).ok();
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    server.call("control_batch", json!({"id": batch, "action": "cancel"})).ok();
    server.close();

    let (mut unsynced, mut syncs, mut answers) = (false, 0, 0);
    for call in std::fs::read_to_string(&calls).unwrap().lines() {
        // What another thread interrupts is told again when it is resumed, by then with its end.
        if call.contains("pwrite64(") && call.contains("-wal>") {
            unsynced = true;
        } else if call.contains("fdatasync(") && call.contains("-wal>") {
            assert!(!call.contains(" = -1"), "{call}");
            (unsynced, syncs) = (false, syncs + 1);
        } else if call.contains(" write(") && call.contains("<pipe:") && call.contains("jsonrpc") {
            answers += 1;
            assert!(!unsynced, "answer {answers} came before the log was synced: {call}");
        }
    }
    println!("{answers} answers, {syncs} syncs");
    assert_eq!(answers, 58, "every request was answered where the tracer saw it");
    assert!(syncs >= 57, "{syncs} syncs for 57 writes");
}
