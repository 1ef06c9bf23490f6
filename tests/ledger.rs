//! Random batches, steps, outcomes, kills and reviews: whatever happens, every item is in one chunk,
//! has at most one accepted outcome a step, and every count is what the receipts say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;

use serde_json::{Value, json};

use support::rng::Rng;
use support::rounds;
use support::server::Server;
use support::store::Store;

const CATEGORIES: [&str; 3] = ["keep", "archive", "reply"];

/// A random batch; gives its id.
fn make(server: &mut Server, rng: &mut Rng) -> String {
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

/// Holds every count to what the rows and receipts say.
fn assert_adds_up(store: &Store, server: &mut Server, batch: &str, items: u64, what: &str) {
    let told = server.call("get_batch", json!({"id": batch})).ok();
    let sql = store.sql();
    let count = |query: &str, id: &str| -> u64 { sql.query_row(query, [id], |row| row.get(0)).unwrap() };
    let mut processed = 0;
    for chunk in told["chunks"].as_array().unwrap() {
        let id = chunk["id"].as_str().unwrap();
        let by_category: u64 =
            chunk["categories"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        let settled = count(
            "SELECT count(*) FROM item i JOIN task t ON t.n = i.chunk WHERE t.id = ?1 AND i.outcome IS NOT NULL",
            id,
        );
        let proved = count(
            "SELECT count(*) FROM item i JOIN task t ON t.n = i.chunk
               JOIN receipt r ON r.task = i.chunk AND r.number = i.receipt AND r.item = i.key
                AND r.outcome = i.outcome AND r.category IS i.category AND NOT r.late
              WHERE t.id = ?1",
            id,
        );
        let shown = chunk["processed"].as_u64().unwrap();
        assert_eq!((shown, by_category, proved), (settled, settled, settled), "{what}: {chunk}");
        processed += settled;
    }
    assert_eq!(told.count("/batch/processed"), processed, "{what}: {}", told.value);
    let by_category: u64 =
        told["batch"]["categories"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(by_category, processed, "{what}: {}", told.value);
    let keys =
        count("SELECT count(DISTINCT i.key) FROM item i JOIN task t ON t.n = i.batch WHERE t.id = ?1", batch);
    let rows = count("SELECT count(*) FROM item i JOIN task t ON t.n = i.batch WHERE t.id = ?1", batch);
    assert_eq!((keys, rows), (items, items), "{what}: every item is in one chunk");
    let unproved = count(
        "SELECT count(*) FROM earlier e JOIN item i USING (chunk, position) JOIN task t ON t.n = i.batch
          WHERE t.id = ?1 AND (e.step >= i.step OR NOT EXISTS (
            SELECT 1 FROM receipt r WHERE r.task = e.chunk AND r.number = e.receipt AND r.item = i.key
               AND r.outcome = e.outcome AND r.category IS e.category AND NOT r.late))",
        batch,
    );
    assert_eq!(unproved, 0, "{what}: an earlier outcome without its receipt");
}

/// One random step of a worker or a person.
fn act(server: &mut Server, rng: &mut Rng, batch: &str, held: &mut HashMap<String, Value>) -> String {
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
        2 if !held.is_empty() => {
            let id = held.keys().min().unwrap().clone();
            let token = held.remove(&id).unwrap();
            let arguments = json!({"id": id, "claim": token, "reason": "tired", "outcome": "failed"});
            server.call("release_task", arguments);
            "release".to_owned()
        }
        3..=5 => {
            let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"}));
            if claim.won() {
                held.insert(claim.text("/task/id"), claim["claim"]["token"].clone());
            }
            "claim".to_owned()
        }
        _ => {
            let Some(id) = held.keys().min().cloned() else { return "nothing".to_owned() };
            let token = held[&id].clone();
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
            if completed.won() {
                held.remove(&id);
            }
            "work".to_owned()
        }
    }
}

#[test]
fn counts_add_up_whatever_workers_people_and_kills_do() {
    let rounds = rounds("DOCKET_LEDGER_ROUNDS", 12);
    let mut rng = Rng::seeded("ledger");
    for round in 0..rounds {
        let store = Store::new();
        let mut server = store.serve();
        let batch = make(&mut server, &mut rng);
        let items = server.call("get_batch", json!({"id": batch})).ok().count("/batch/total");
        let mut held = HashMap::new();
        for turn in 0..60 {
            let did = act(&mut server, &mut rng, &batch, &mut held);
            if rng.below(12) == 0 {
                // The tokens outlive the process: they belong to the claims.
                server.kill();
                server = store.serve();
            }
            assert_adds_up(&store, &mut server, &batch, items, &format!("round {round}, turn {turn}, {did}"));
        }
        server.close();
        store.docket(["verify"]).success();
    }
}
