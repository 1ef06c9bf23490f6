//! A random batch, and random operations of workers and persons on it.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::rng::Rng;
use super::server::Server;

const CATEGORIES: [&str; 3] = ["keep", "archive", "reply"];

/// Creates a random batch. Returns its id.
pub(crate) fn create_random_batch(server: &mut Server, rng: &mut Rng) -> String {
    let items: Vec<String> = (0..1 + rng.below(40)).map(|n| format!("i{n}")).collect();
    let names = ["classify", "check", "execute"];
    let steps: Vec<Value> = names[..rng.below(4) as usize]
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let mut step = json!({"name": name, "instructions": "x"});
            if number > 0 && rng.below(2) == 0 {
                step["only_categories"] = json!([CATEGORIES[rng.below(3) as usize]]);
            }
            step
        })
        .collect();
    let checkpoint = ["none", "chunk", "step"][rng.below(3) as usize];
    let mut batch = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 1 + rng.below(12),
                           "checkpoint": checkpoint, "max_attempts": 50});
    if !steps.is_empty() {
        batch["steps"] = json!(steps);
    }
    if rng.below(3) == 0 {
        batch["max_failures"] = json!("40%");
    }
    server.call("create_batch", batch).ok().text("/batch/id")
}

/// One random operation of a worker or a person. `claims` holds the tokens of the claimed chunks. Returns what was
/// done.
pub(crate) fn random_operation(
    server: &mut Server,
    rng: &mut Rng,
    batch: &str,
    claims: &mut HashMap<String, Value>,
) -> String {
    match rng.below(10) {
        0 => {
            let decision = ["approve", "redo", "reject"][rng.below(3) as usize];
            let mut answer = json!({"id": batch, "decision": decision, "note": "see"});
            if decision == "redo" && rng.below(2) == 0 {
                answer["categories"] = json!([CATEGORIES[rng.below(3) as usize]]);
            }
            server.call("review_batch", answer);
            decision.to_owned()
        }
        1 => {
            let action = ["pause", "resume", "resume", "retry"][rng.below(4) as usize];
            server.call("control_batch", json!({"id": batch, "action": action}));
            action.to_owned()
        }
        2 if !claims.is_empty() => {
            let id = claims.keys().min().unwrap().clone();
            let token = claims.remove(&id).unwrap();
            let arguments = json!({"id": id, "claim": token, "reason": "tired", "outcome": "failed"});
            server.call("release_task", arguments);
            "release".to_owned()
        }
        3..=5 => {
            let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"}));
            if claim.succeeded() {
                claims.insert(claim.text("/task/id"), claim["claim"]["token"].clone());
            }
            "claim".to_owned()
        }
        _ => {
            let Some(id) = claims.keys().min().cloned() else { return "nothing".to_owned() };
            let token = claims[&id].clone();
            let open = server.call("get_task", json!({"id": id})).ok();
            let items = open["items"].as_array().cloned().unwrap_or_default();
            for item in items.iter().take(1 + rng.below(8) as usize) {
                let outcome = ["done", "done", "done", "failed", "skipped"][rng.below(5) as usize];
                let mut receipt = json!({"id": id, "claim": token, "item": item["key"], "outcome": outcome});
                if rng.below(4) > 0 {
                    receipt["category"] = json!(CATEGORIES[rng.below(3) as usize]);
                }
                server.call("update_task", receipt).ok();
            }
            let completed = server.call("complete_task", json!({"id": id, "claim": token}));
            if completed.succeeded() {
                claims.remove(&id);
            }
            "work".to_owned()
        }
    }
}
