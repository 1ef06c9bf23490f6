//! How often a call waits for the database. A group of statements that are sent together is one round trip. The numbers are
//! those of a process that has made such calls before, which knows the queries that follow each other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tasktally::error::Result;
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
    /// Opens a store in an empty database. Its files are below `folder`.
    fn new(url: &str, folder: &Path) -> Self {
        let address = Address::parse(url, |_| None).unwrap();
        let store = Arc::new(PostgresStore::open(address).unwrap());
        let folders = LocalFolders::in_one(folder.to_owned());
        let session = Session::new(store.clone(), folders, SourceRoots::new([folder]), "w");
        Process { store, session }
    }

    /// Creates a batch of 40 items in chunks of this size. Returns its id.
    fn create_batch(&self, max_chunk: u64) -> Value {
        let items: Vec<String> = (0..40).map(|item| format!("k{item:02}")).collect();
        let request = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": max_chunk});
        self.call("create_batch", request).0["batch"]["id"].clone()
    }

    /// Calls an operation. Returns its reply and the number of round trips.
    fn call(&self, name: &str, arguments: Value) -> (Value, u64) {
        let before = self.store.round_trips();
        let reply = self.try_call(name, arguments).unwrap();
        (reply, self.store.round_trips() - before)
    }

    fn try_call(&self, name: &str, arguments: Value) -> Result<Value> {
        (ops::find_operation(name).unwrap().call)(&self.session, arguments)
    }
}

#[test]
fn a_call_waits_for_the_database_a_few_times_only() {
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.create_database();
    let folder = tempfile::tempdir().unwrap();
    let process = Process::new(database.url(), folder.path());
    let batch = process.create_batch(8);
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
    assert!(claim <= 6, "claim_task: {claim}");
    assert!(first <= 2 && others <= 2, "update_task with a receipt: {first}, then {others}");
    assert!(poll <= 3 && poll_again <= 3, "get_batch: {poll}, then {poll_again}");
    assert!(completion <= 8, "complete_task: {completion}");
}

/// Receipts that arrive while the store is locked are one group, whatever their number. A request that is refused after it
/// appended its receipt leaves nothing, and the others go on.
#[test]
fn a_group_of_receipts_waits_a_few_times_only() {
    const WRITERS: usize = 64;
    const REFUSED: usize = 4;
    let Some(cluster) = Cluster::shared() else { return };
    let database = cluster.create_database();
    let folder = tempfile::tempdir().unwrap();
    let process = Process::new(database.url(), folder.path());
    let batch = process.create_batch(40);
    let (claimed, _) = process.call("claim_task", json!({"batch": batch, "worker": "w"}));
    let (task, token) = (&claimed["task"]["id"], &claimed["claim"]["token"]);
    let note = |text: String| json!({"id": task, "claim": token, "body": text});
    process.call("update_task", note("first".into()));
    let before = process.store.round_trips();
    let other = database.sql();
    let lock = "hashtextextended('tasktally.' || current_schema(), 0)";
    other.execute_all(&format!("SELECT pg_advisory_lock({lock})")).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (process, note, batch) = (&process, &note, &batch);
            scope.spawn(move || {
                let request = match writer {
                    _ if writer >= WRITERS - REFUSED => {
                        let refused = json!({"id": task, "claim": token, "body": "refused", "parent": batch});
                        process.try_call("update_task", refused).unwrap_err();
                        return;
                    }
                    0..40 => {
                        json!({"id": task, "claim": token, "item": format!("k{writer:02}"), "outcome": "done",
                        "category": "c", "body": format!("- did {writer}"), "cost": 0.5, "model": "m"})
                    }
                    _ => note(format!("note {writer}")),
                };
                process.call("update_task", request);
            });
        }
        // All but the first one wait in the queue then.
        std::thread::sleep(Duration::from_secs(2));
        other.execute_all(&format!("SELECT pg_advisory_unlock({lock})")).unwrap();
    });
    let round_trips = process.store.round_trips() - before;
    println!("{WRITERS} receipts: {round_trips} round trips");
    assert!(round_trips <= 10, "{WRITERS} receipts: {round_trips}");
    let (found, _) = process.call("get_task", json!({"id": task}));
    assert_eq!(found["task"]["receipts"].as_array().unwrap().len(), WRITERS - REFUSED + 1);
    assert!(!found.to_string().contains("refused"), "{found}");
    assert_eq!(found["items_left"], 0, "{found}");
}
