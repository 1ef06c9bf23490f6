//! Random batches, steps, outcomes, kills and reviews: at any time, every item is in one chunk, has at most one
//! accepted outcome per step, and every count agrees with the receipts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;

use serde_json::{Value, json};

use support::random_batch::{create_random_batch, random_operation};
use support::rng::Rng;
use support::rounds;
use support::server::Server;
use support::store::Store;

/// Asserts that every count in `get_batch` agrees with the rows and receipts.
fn assert_adds_up(store: &Store, server: &mut Server, batch: &str, items: u64, what: &str) {
    let reply = server.call("get_batch", json!({"id": batch})).ok();
    let sql = store.sql();
    let count = |query: &str, id: &str| -> u64 { sql.row(query, &[&id]) };
    let mut processed = 0;
    for chunk in reply["chunks"].as_array().unwrap() {
        let id = chunk["id"].as_str().unwrap();
        let by_category: u64 =
            chunk["categories"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        let settled = count(
            "SELECT count(*) FROM item i JOIN task t ON t.row_id = i.chunk WHERE t.id = ?1 AND i.outcome IS NOT NULL",
            id,
        );
        let with_receipt = count(
            "SELECT count(*) FROM item i JOIN task t ON t.row_id = i.chunk
               JOIN receipt r ON r.task = i.chunk AND r.number = i.receipt_number AND r.item_key = i.key
                AND r.outcome = i.outcome AND r.category IS NOT DISTINCT FROM i.category AND r.late = 0
              WHERE t.id = ?1",
            id,
        );
        let shown = chunk["processed"].as_u64().unwrap();
        assert_eq!((shown, by_category, with_receipt), (settled, settled, settled), "{what}: {chunk}");
        processed += settled;
    }
    assert_eq!(reply.count("/batch/processed"), processed, "{what}: {}", reply.value);
    let by_category: u64 =
        reply["batch"]["categories"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(by_category, processed, "{what}: {}", reply.value);
    let keys = count(
        "SELECT count(DISTINCT i.key) FROM item i JOIN task t ON t.row_id = i.batch WHERE t.id = ?1",
        batch,
    );
    let rows = count("SELECT count(*) FROM item i JOIN task t ON t.row_id = i.batch WHERE t.id = ?1", batch);
    assert_eq!((keys, rows), (items, items), "{what}: every item is in one chunk");
    let without_receipt = count(
        "SELECT count(*) FROM earlier_outcome e JOIN item i USING (chunk, position) JOIN task t ON t.row_id = i.batch
          WHERE t.id = ?1 AND (e.step_index >= i.step_index OR NOT EXISTS (
            SELECT 1 FROM receipt r WHERE r.task = e.chunk AND r.number = e.receipt_number AND r.item_key = i.key
               AND r.outcome = e.outcome AND r.category IS NOT DISTINCT FROM e.category AND r.late = 0))",
        batch,
    );
    assert_eq!(without_receipt, 0, "{what}: an earlier outcome without its receipt");
}

#[test]
fn counts_add_up_after_any_work_review_or_kill() {
    let rounds = rounds("TASKTALLY_ROUNDS", 12);
    let mut rng = Rng::seeded("random work");
    for round in 0..rounds {
        let store = Store::new();
        let mut server = store.serve();
        let batch = create_random_batch(&mut server, &mut rng);
        let items = server.call("get_batch", json!({"id": batch})).ok().count("/batch/total");
        let mut claims = HashMap::new();
        for turn in 0..60 {
            let operation = random_operation(&mut server, &mut rng, &batch, &mut claims);
            if rng.below(12) == 0 {
                // Tokens belong to the claims and stay valid in a new process.
                server.kill();
                server = store.serve();
            }
            assert_adds_up(
                &store,
                &mut server,
                &batch,
                items,
                &format!("round {round}, turn {turn}, {operation}"),
            );
        }
        server.close();
        store.tasktally(["verify"]).success();
    }
}
