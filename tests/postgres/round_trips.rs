//! How often a call waits for the database. A group of statements that are sent together is one round trip. The numbers are
//! those of a process that has made such calls before, which knows the queries that follow each other.

use std::sync::Arc;

use serde_json::{Value, json};
use tasktally::items::SourceRoots;
use tasktally::ops::{self, LocalFolders, Session};
use tasktally::store::postgres::{Address, PostgresStore};

use crate::support::postgres::Cluster;

/// A session on a store in this process.
struct Process {
    store: Arc<PostgresStore>,
    session: Session,
}

impl Process {
    /// Calls an operation. Returns its reply and the number of round trips.
    fn call(&self, name: &str, arguments: Value) -> (Value, u64) {
        let before = self.store.round_trips();
        let entry = ops::find_operation(name).unwrap();
        let reply = (entry.call)(&self.session, arguments).unwrap();
        (reply, self.store.round_trips() - before)
    }
}

#[test]
fn a_call_waits_for_the_database_a_few_times_only() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.create_database();
    let folder = tempfile::tempdir().unwrap();
    let address = Address::parse(database.url(), |_| None).unwrap();
    let store = Arc::new(PostgresStore::open(address).unwrap());
    let session = Session::new(
        store.clone(),
        LocalFolders::in_one(folder.path().to_owned()),
        SourceRoots::new([folder.path()]),
        "w",
    );
    let process = Process { store, session };
    let items: Vec<String> = (0..40).map(|item| format!("k{item:02}")).collect();
    let request = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 8});
    let batch = process.call("create_batch", request).0["batch"]["id"].clone();
    let mut counts = Vec::new();
    for chunk in 0..3 {
        let (claimed, claim) = process.call("claim_task", json!({"batch": batch, "worker": "w"}));
        let (task, token) = (&claimed["task"]["id"], &claimed["claim"]["token"]);
        let mut receipts = Vec::new();
        for item in 0..8 {
            let item = format!("k{:02}", chunk * 8 + item);
            let receipt = json!({"id": task, "claim": token, "item": item, "outcome": "done", "category": "c",
                "body": format!("- did {item}")});
            receipts.push(process.call("update_task", receipt).1);
        }
        let (_, poll) = process.call("get_batch", json!({"id": batch}));
        let (_, poll_again) = process.call("get_batch", json!({"id": batch}));
        let (_, completion) = process.call("complete_task", json!({"id": task, "claim": token}));
        println!(
            "claim {claim}, receipts {receipts:?}, poll {poll}, the same poll {poll_again}, completion {completion}"
        );
        // The first receipt asks about the chunk for the first time.
        let (first, others) = receipts.split_first().unwrap();
        counts.push([claim, *first, *others.iter().max().unwrap(), poll, poll_again, completion]);
    }
    let [claim, first, others, poll, poll_again, completion] = counts[2];
    assert!(claim <= 13, "claim_task: {claim}");
    assert!(first <= 8 && others <= 5, "update_task with a receipt: {first}, then {others}");
    assert!(poll <= 3 && poll_again <= 3, "get_batch: {poll}, then {poll_again}");
    assert!(completion <= 22, "complete_task: {completion}");
}
