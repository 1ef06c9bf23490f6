//! Processes that race for the chunks of one batch, and for the numbers of one task's receipts.

use std::collections::HashMap;
use std::sync::Barrier;

use serde_json::{Value, json};

use crate::patient_client::{Acknowledged, assert_kept, receipts};
use crate::support::background::item_keys;
use crate::support::steps::create_batch;
use crate::support::store::Store;
use crate::support::{rounds, run_in_parallel};

const PROCESSES: usize = 8;

#[test]
fn eight_servers_take_each_chunk_of_a_batch_once() {
    let Some(store) = Store::new_postgres() else { return };
    let chunks = rounds("TASKTALLY_ROUNDS", 48);
    let mut supervisor = store.serve();
    let plan = json!({"title": "B", "instructions": "x", "items": item_keys(chunks * 2), "max_chunk": 2});
    let batch = create_batch(&mut supervisor, plan);

    let barrier = Barrier::new(PROCESSES);
    let workers = run_in_parallel(PROCESSES, |worker| {
        let mut server = store.serve();
        let mut known = Acknowledged::default();
        let mut tokens: Vec<Value> = Vec::new();
        barrier.wait();
        loop {
            let claimed = server.call("claim_task", json!({"batch": batch, "worker": "polecat"}));
            if !claimed.succeeded() {
                assert_eq!(claimed.declined(), "nothing_to_claim");
                return (known, tokens);
            }
            let (id, token) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
            for item in claimed["items"].as_array().unwrap() {
                let text = format!("- {worker} did {id} {}", item["key"]);
                let receipt =
                    json!({"id": id, "claim": token, "item": item["key"], "outcome": "done", "body": text});
                let number = server.call("update_task", receipt).ok().count("/receipt/number");
                known.receipts.push((id.clone(), number, text));
            }
            server.call("complete_task", json!({"id": id, "claim": token})).ok();
            known.completed.push(id);
            tokens.push(token);
        }
    });

    let mut taken = HashMap::new();
    for (worker, (known, _)) in workers.iter().enumerate() {
        for chunk in &known.completed {
            assert_eq!(taken.insert(chunk.clone(), worker), None, "{chunk} was taken twice");
        }
    }
    assert_eq!(taken.len(), chunks);
    let mut tokens: Vec<String> =
        workers.iter().flat_map(|(_, tokens)| tokens).map(ToString::to_string).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), chunks, "a token belongs to one claim");
    let shares: Vec<usize> = workers.iter().map(|(known, _)| known.completed.len()).collect();
    println!("{chunks} chunks, taken by {PROCESSES} processes: {shares:?}");
    let reply = supervisor.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(reply.count("/batch/processed"), 2 * chunks as u64);
    assert_kept(&store, workers.iter().map(|(known, _)| known));
}

#[test]
fn of_eight_servers_that_claim_the_same_task_one_wins_and_receipts_get_each_number_once() {
    let Some(store) = Store::new_postgres() else { return };
    let tasks = rounds("TASKTALLY_ROUNDS", 20);
    let mut supervisor = store.serve();
    let ids: Vec<String> =
        (0..tasks).map(|number| supervisor.create_task(&format!("Prize {number}"))).collect();
    let log = supervisor.create_task("Log");
    let barrier = Barrier::new(PROCESSES);
    let workers = run_in_parallel(PROCESSES, |worker| {
        let mut server = store.serve();
        let (mut known, mut wins) = (Acknowledged::default(), Vec::new());
        for id in &ids {
            barrier.wait();
            let claim = server.call("claim_task", json!({"id": id, "worker": format!("polecat-{worker}")}));
            wins.push(claim.succeeded());
            assert!(claim.succeeded() || claim.declined() == "already_claimed", "{}", claim.value);
            let text = format!("- {worker} on {id}");
            let number = server.call("update_task", json!({"id": log, "body": text})).ok();
            known.receipts.push((log.clone(), number.count("/receipt/number"), text));
        }
        (known, wins)
    });
    for round in 0..tasks {
        assert_eq!(workers.iter().filter(|(_, wins)| wins[round]).count(), 1, "round {round}");
    }
    assert_eq!(receipts(&store.sql(), &log).len(), tasks * PROCESSES);
    assert_kept(&store, workers.iter().map(|(known, _)| known));
}
