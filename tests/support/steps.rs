//! Batches with several steps.

use serde_json::{Value, json};

use super::server::Server;

/// Claims a chunk of a batch. Returns the reply.
pub(crate) fn claim_chunk(server: &mut Server, batch: &str) -> Value {
    server.call("claim_task", json!({"batch": batch, "worker": "polecat"})).ok().value
}

/// Settles every item of a claim with the category that `category` returns for its key, and completes the chunk.
/// Returns the message of the completion.
pub(crate) fn work_chunk(
    server: &mut Server,
    claim: &Value,
    category: impl Fn(&str) -> &'static str,
) -> String {
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    for item in claim["items"].as_array().unwrap() {
        let key = item["key"].as_str().unwrap();
        let receipt = json!({"id": id, "claim": token, "item": key, "outcome": "done", "category": category(key),
                             "body": format!("- {key}: {}", category(key))});
        server.call("update_task", receipt).ok();
    }
    server.call("complete_task", json!({"id": id, "claim": token})).ok().message().to_owned()
}

/// `archive` for keys that start with `a`, `keep` for the others.
pub(crate) fn category_by_letter(key: &str) -> &'static str {
    if key.starts_with('a') { "archive" } else { "keep" }
}

/// A request for a batch of six items that are classified and then executed.
pub(crate) fn two_step_batch(checkpoint: &str) -> Value {
    json!({"title": "Mail", "instructions": "Look at each mail.", "items": ["a1", "a2", "b1", "a3", "b2", "b3"],
           "max_chunk": 3, "checkpoint": checkpoint,
           "steps": [{"name": "classify", "instructions": "Say what it is."},
                     {"name": "execute", "instructions": "Archive it.", "only_categories": ["archive"]}]})
}

/// Creates a batch. Returns its id.
pub(crate) fn create_batch(server: &mut Server, batch: Value) -> String {
    server.call("create_batch", batch).ok().text("/batch/id")
}

/// Claims a chunk of a batch and settles these items of it: key, outcome and category.
pub(crate) fn settle(server: &mut Server, batch: &str, outcomes: &[(&str, &str, &str)], completes: bool) {
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let (id, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    for (item, outcome, category) in outcomes {
        let receipt = json!({"id": id, "claim": token, "item": item, "outcome": outcome, "category": category, "body": "x"});
        server.call("update_task", receipt).ok();
    }
    if completes {
        server.call("complete_task", json!({"id": id, "claim": token})).ok();
    }
}
