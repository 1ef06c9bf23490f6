//! Processes that are killed, and disks that become full, while a large batch is inserted in several transactions: the
//! batch is there completely or not at all, and its leftovers are deleted.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds, `TASKTALLY_SEED` repeats the same moments.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::mount::Mount;
use crate::support::rng::Rng;
use crate::support::store::Store;
use crate::support::{eventually, rounds};

/// Several slices.
const ITEMS: u64 = 20_000;

fn items() -> String {
    let mut items = String::new();
    for number in 0..ITEMS {
        let key = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        writeln!(items, r#"{{"key":"k{key:016x}","files":["mail/{number}.eml"]}}"#).unwrap();
    }
    items
}

fn plan(request_key: &str) -> Value {
    json!({"title": "Mail", "instructions": "Sort it.", "source": {"path": "items.jsonl"}, "max_chunk": 4,
           "finish": {"title": "Summarize"}, "request_key": request_key})
}

fn count(store: &Store, table: &str) -> u64 {
    store.sql().row(&format!("SELECT count(*) FROM {table}"), &[])
}

fn assert_complete(store: &Store) {
    for (table, rows) in [
        ("item", ITEMS),
        // In a database, an index has the keys.
        (if store.is_sqlite() { "item_key" } else { "item" }, ITEMS),
        ("chunk", ITEMS / 4),
        ("unpublished", 0),
        ("unpublished_chunk", 0),
    ] {
        assert_eq!(count(store, table), rows, "{table}");
    }
    store.assert_whole();
    store.tasktally(["verify"]).success();
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_large_batch_complete_or_invisible() {
    let mut rng = Rng::seeded("large_batches");
    let store = Store::new();
    store.write("items.jsonl", items());
    let started = Instant::now();
    store.serve().call("create_batch", plan("mail")).ok();
    let whole = started.elapsed();
    let (rounds, mut complete, mut partial) = (rounds("TASKTALLY_ROUNDS", 6), 0, 0);
    for round in 0..rounds {
        let store = Store::new();
        store.write("items.jsonl", items());
        let mut other = store.serve();
        let mut victim = store.serve();
        victim.send("create_batch", plan("mail"));
        std::thread::sleep(whole.mul_f64(rng.below(1_100) as f64 / 1_000.0));
        victim.kill();
        partial += u64::from(count(&store, "unpublished") > 0);
        let listed = other.call("list_tasks", json!({"limit": 1})).ok()["total"].as_u64().unwrap();
        assert!([0, ITEMS / 4 + 2].contains(&listed), "round {round}: {listed} tasks are visible");
        complete += u64::from(listed > 0);
        assert_eq!(
            other.call("search_tasks", json!({"query": "Summarize"})).ok()["count"],
            u64::from(listed > 0)
        );
        store.tasktally(["verify"]).success();
        if store.is_sqlite() {
            store.tasktally(["backup", "copy.db"]).success();
            let copy = rusqlite::Connection::open(store.folder().join("copy.db")).unwrap();
            let copied: u64 = copy.query_row("SELECT count(*) FROM item", [], |row| row.get(0)).unwrap();
            assert_eq!(copied, if listed > 0 { ITEMS } else { 0 }, "round {round}");
        }
        // The same request again returns the stored reply, or creates the batch.
        let again = other.call("create_batch", plan("mail")).ok();
        assert_eq!(again["duplicate"] == true, listed > 0, "round {round}");
        assert_complete(&store);
    }
    println!(
        "{rounds} kills within {whole:?}: {complete} after the batch was visible, {partial} with a part of it stored"
    );
}

#[test]
fn a_disk_that_becomes_full_leaves_nothing_of_a_large_batch() {
    let store = Store::new_sqlite().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "3m") else {
        return;
    };
    store.write("items.jsonl", items());
    let mut server = store.serve();
    server.create_task("Kept");
    let refused = server.call("create_batch", plan("mail"));
    assert!(!refused.succeeded() && refused.message().contains("the disk is full"), "{}", refused.message());
    assert_eq!(server.call("list_tasks", json!({"limit": 1})).ok()["total"], 1);
    disk.remount("size=64m");
    let task = eventually("the store to be writable", || {
        let created = server.call("create_task", json!({"task_title": "After"}));
        created.succeeded().then(|| created.text("/task/id"))
    });
    assert_eq!(server.read_task(&task).text("/task/title"), "After");
    server.call("create_batch", plan("mail")).ok();
    assert_complete(&store);
}

#[test]
fn no_receipt_is_refused_while_a_large_batch_is_inserted() {
    let store = Store::new();
    store.write("items.jsonl", items());
    let small: Vec<String> = (0..2_000).map(|number| format!("item-{number}")).collect();
    let small = json!({"title": "Small", "instructions": "x", "items": small, "max_chunk": 500});
    store.serve().call("create_batch", small).ok();
    let mut creator = store.serve();
    let sent = creator.send("create_batch", plan("mail"));
    let longest = crate::support::run_in_parallel(4, |worker| {
        let mut server = store.serve();
        let claim = server.call("claim_task", json!({"worker": format!("w{worker}")})).ok();
        let (id, token) = (claim["task"]["id"].clone(), claim["claim"]["token"].clone());
        let mut longest = Duration::ZERO;
        for item in claim["items"].as_array().unwrap() {
            let receipt = json!({"id": id, "claim": token, "item": item["key"], "outcome": "done"});
            let started = Instant::now();
            server.call("update_task", receipt).ok();
            longest = longest.max(started.elapsed());
        }
        longest
    });
    creator.recv(sent).unwrap().ok();
    println!("the longest receipt took {:?}", longest.iter().max().unwrap());
}
