//! Batches of steps, worked letter by letter.

use serde_json::{Value, json};

use super::server::Server;

/// Claims a chunk of a batch.
pub(crate) fn claim(server: &mut Server, batch: &str) -> Value {
    server.call("claim_task", json!({"batch": batch, "worker": "polecat"})).ok().value
}

/// Settles every item of a claim with the category that `sort` gives it, and completes the chunk.
pub(crate) fn work(server: &mut Server, claim: &Value, sort: impl Fn(&str) -> &'static str) -> String {
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    for item in claim["items"].as_array().unwrap() {
        let key = item["key"].as_str().unwrap();
        let receipt = json!({"id": id, "claim": token, "item": key, "outcome": "done", "category": sort(key),
                             "body": format!("- {key}: {}", sort(key))});
        server.call("update_task", receipt).ok();
    }
    server.call("complete_task", json!({"id": id, "claim": token})).ok().message().to_owned()
}

pub(crate) fn by_letter(key: &str) -> &'static str {
    if key.starts_with('a') { "archive" } else { "keep" }
}

pub(crate) fn two_steps(checkpoint: &str) -> Value {
    json!({"title": "Mail", "instructions": "Look at each mail.", "items": ["a1", "a2", "b1", "a3", "b2", "b3"],
           "max_chunk": 3, "checkpoint": checkpoint,
           "steps": [{"name": "classify", "instructions": "Say what it is."},
                     {"name": "execute", "instructions": "Archive it.", "only_categories": ["archive"]}]})
}

pub(crate) fn make(server: &mut Server, batch: Value) -> String {
    server.call("create_batch", batch).ok().text("/batch/id")
}
