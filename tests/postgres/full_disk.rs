//! A full disk of the database: writes are refused or wait, nothing that was acknowledged is lost, and the same processes go on
//! once there is space.

use std::io::Write as _;

use serde_json::json;

use crate::patient_client::receipts;
use crate::support::mount::Mount;
use crate::support::postgres::Cluster;
use crate::support::reply::Reply;
use crate::support::rng::Rng;
use crate::support::server::Server;
use crate::support::store::Store;

/// More than the disk has place for, in receipts.
const MANY: usize = 400;

/// A text that is hard to compress.
fn text(rng: &mut Rng, number: usize) -> String {
    let random: String = (0..8_000).map(|_| format!("{:08x}", rng.below(1 << 32))).collect();
    format!("- {number} {random}")
}

/// Writes receipts until one is refused. Returns the texts that were acknowledged, and the refusal.
fn write_until_refused(server: &mut Server, rng: &mut Rng, task: &str) -> (Vec<String>, Reply) {
    let mut acknowledged = Vec::new();
    for number in 0..MANY {
        let text = text(rng, number);
        let reply = server.call("update_task", json!({"id": task, "body": text, "request_key": text[..20]}));
        if !reply.succeeded() {
            println!("after {number} receipts: {}: {}", reply.code(), reply.message());
            return (acknowledged, reply);
        }
        acknowledged.push(text);
    }
    panic!("the disk never became full");
}

/// A folder of the cluster's own on a small disk.
fn small_disk(cluster: &Cluster, size: &str) -> Option<Mount> {
    let disk = Mount::tmpfs(cluster.folder().join("disk"), size)?;
    cluster.give_to_owner(&cluster.folder().join("disk"));
    Some(disk)
}

/// Asserts that everything acknowledged is stored, and that the same server goes on.
fn assert_goes_on(store: &Store, server: &mut Server, task: &str, acknowledged: &[String]) {
    server.call("update_task", json!({"id": task, "body": "- after"})).ok();
    let stored = receipts(&store.sql(), task);
    // The receipt that was refused may have been stored if its outcome was unknown.
    assert_eq!(stored[..acknowledged.len()], *acknowledged);
    assert!(stored.len() <= acknowledged.len() + 2 && stored.last().unwrap() == "- after");
    store.tasktally(["verify"]).success();
}

#[test]
fn a_write_to_a_full_disk_is_refused_and_says_which_disk() {
    let mut rng = Rng::seeded("full_disk");
    let Some(cluster) = Cluster::durable() else { return };
    let Some(disk) = small_disk(&cluster, "16m") else { return };
    let database = cluster.create_database();
    let place = cluster.folder().join("disk").display().to_string();
    cluster.run(&format!("CREATE TABLESPACE small LOCATION '{place}'"));
    cluster.run(&format!("ALTER DATABASE {} SET TABLESPACE small", database.name()));
    let store = Store::in_database(database);
    let mut server = store.serve();
    let task = server.create_task("Task");
    let (acknowledged, refused) = write_until_refused(&mut server, &mut rng, &task);
    assert_eq!(refused.code(), "internal");
    for words in ["the disk of the database is full", "nothing was changed", "Free some space"] {
        assert!(refused.message().contains(words), "{}", refused.message());
    }
    assert_eq!(receipts(&store.sql(), &task).len(), acknowledged.len());
    server.read_task(&task);
    disk.remount("size=32m");
    assert_goes_on(&store, &mut server, &task, &acknowledged);
}

#[test]
#[ignore = "waits for about a minute: cargo test --test postgres -- --ignored full_disk"]
fn a_full_disk_of_the_wal_stops_the_database_and_loses_nothing() {
    let mut rng = Rng::seeded("full_wal_disk");
    let Some(cluster) = Cluster::durable_with(&["max_wal_size=2MB", "min_wal_size=2MB"]) else { return };
    let store = Store::in_database(cluster.create_database());
    store.create();
    cluster.kill();
    let Some(disk) = small_disk(&cluster, "16m") else { return };
    cluster.move_wal(&cluster.folder().join("disk"));
    cluster.start();
    let mut server = store.serve();
    let task = server.create_task("Task");
    let mut filler = std::fs::File::create(cluster.folder().join("disk/filler")).unwrap();
    while filler.write_all(&[7; 4096]).is_ok() {}
    let (acknowledged, _) = write_until_refused(&mut server, &mut rng, &task);
    disk.remount("size=64m");
    drop(filler);
    cluster.start_if_ended();
    assert_goes_on(&store, &mut server, &task, &acknowledged);
}
