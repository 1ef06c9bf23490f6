//! Waits of clients with the tasks extension: `wait_batch` as a task.

use serde_json::{Value, json};

use super::server::Server;
use super::store::Store;

/// The capabilities of a client with the tasks extension and elicitation.
pub(crate) fn tasks_capability() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {"form": {}}})
}

/// A server whose client uses 2026-07-28 and declares these capabilities.
pub(crate) fn stateless(store: &Store, capabilities: Value) -> Server {
    let mut server = store.server(&[]);
    server.start_reading();
    server.stateless();
    server.declare_capabilities(capabilities);
    server
}

/// The capabilities of a client with the tasks extension and without forms.
pub(crate) fn tasks_without_elicitation() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}})
}

/// A batch of two chunks with two items each. Returns its id.
pub(crate) fn batch(server: &mut Server, checkpoint: &str) -> String {
    let batch = json!({"title": "Mail", "instructions": "Sort it.", "items": ["a1", "a2", "b1", "b2"],
                       "max_chunk": 2, "checkpoint": checkpoint});
    server.call("create_batch", batch).ok().text("/batch/id")
}

/// Claims the next chunk of a batch, settles its items and completes it.
pub(crate) fn work_chunk(server: &mut Server, batch: &str) {
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "polecat"})).ok().value;
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    for item in claim["items"].as_array().unwrap() {
        let key = item["key"].as_str().unwrap();
        let receipt = json!({"id": id, "claim": token, "item": key, "outcome": "done", "category": &key[..1],
                             "body": format!("- {key}: sorted")});
        server.call("update_task", receipt).ok();
    }
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
}

/// Starts a wait. Returns its handle.
#[track_caller]
pub(crate) fn start_wait(server: &mut Server, batch: &str) -> String {
    let answer =
        server.request("tools/call", json!({"name": "wait_batch", "arguments": {"id": batch}}))["result"]
            .clone();
    assert_eq!(answer["resultType"], "task", "{answer}");
    assert_eq!(answer["status"], "working", "{answer}");
    assert!(answer["pollIntervalMs"].as_u64().is_some_and(|ms| ms > 0), "{answer}");
    answer["taskId"].as_str().unwrap().to_owned()
}

/// The state of a wait.
#[track_caller]
pub(crate) fn wait_state(server: &mut Server, handle: &str) -> Value {
    let answer = server.request("tasks/get", json!({"taskId": handle}));
    assert!(answer["result"]["taskId"] == handle, "{answer}");
    answer["result"].clone()
}
