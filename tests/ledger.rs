//! Random batches, steps, outcomes, kills and reviews: whatever happens, every item is in one chunk,
//! has at most one accepted outcome a step, and every count is what the receipts say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;

use serde_json::{Value, json};

use support::ledger::{act, make};
use support::rng::Rng;
use support::rounds;
use support::server::Server;
use support::store::Store;

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
            "SELECT count(*) FROM item i JOIN task t ON t.row_id = i.chunk WHERE t.id = ?1 AND i.outcome IS NOT NULL",
            id,
        );
        let proved = count(
            "SELECT count(*) FROM item i JOIN task t ON t.row_id = i.chunk
               JOIN receipt r ON r.task = i.chunk AND r.number = i.receipt_number AND r.item_key = i.key
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
    let keys = count(
        "SELECT count(DISTINCT i.key) FROM item i JOIN task t ON t.row_id = i.batch WHERE t.id = ?1",
        batch,
    );
    let rows = count("SELECT count(*) FROM item i JOIN task t ON t.row_id = i.batch WHERE t.id = ?1", batch);
    assert_eq!((keys, rows), (items, items), "{what}: every item is in one chunk");
    let unproved = count(
        "SELECT count(*) FROM earlier_outcome e JOIN item i USING (chunk, position) JOIN task t ON t.row_id = i.batch
          WHERE t.id = ?1 AND (e.step_index >= i.step_index OR NOT EXISTS (
            SELECT 1 FROM receipt r WHERE r.task = e.chunk AND r.number = e.receipt_number AND r.item_key = i.key
               AND r.outcome = e.outcome AND r.category IS e.category AND NOT r.late))",
        batch,
    );
    assert_eq!(unproved, 0, "{what}: an earlier outcome without its receipt");
}

#[test]
fn counts_add_up_whatever_workers_people_and_kills_do() {
    let rounds = rounds("TASKTALLY_LEDGER_ROUNDS", 12);
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
        store.tasktally(["verify"]).success();
    }
}
