//! More servers than the database has connections: each gives its connections back while it is idle.

use serde_json::json;

use crate::support::postgres::Cluster;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{rounds, run_in_parallel};

/// PostgreSQL's default.
const MAX_CONNECTIONS: usize = 100;

#[test]
fn more_servers_than_connections_all_succeed() {
    let Some(cluster) = Cluster::durable_with(&["max_connections=100"]) else { return };
    let store = Store::in_database(cluster.create_database());
    let count = rounds("TASKTALLY_ROUNDS", 150);
    let log = store.serve().create_task("Log");
    // Started by a few threads, because each start takes a moment of a processor.
    let servers: Vec<Vec<Server>> =
        run_in_parallel(8, |thread| (thread..count).step_by(8).map(|_| store.serve()).collect());
    let mut servers: Vec<Server> = servers.into_iter().flatten().collect();
    assert_eq!(servers.len(), count);

    // All write at once, and then all read at once.
    let send = |server: &mut Server, number: usize| {
        server.send("update_task", json!({"id": log, "body": format!("- from {number}")}))
    };
    let sent: Vec<u64> =
        servers.iter_mut().enumerate().map(|(number, server)| send(server, number)).collect();
    let mut numbers: Vec<u64> = Vec::new();
    for (server, id) in servers.iter_mut().zip(sent) {
        numbers.push(server.recv(id).unwrap().ok().count("/receipt/number"));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=count as u64).collect::<Vec<_>>());
    let sent: Vec<u64> =
        servers.iter_mut().map(|server| server.send("get_task", json!({"id": log}))).collect();
    for (server, id) in servers.iter_mut().zip(sent) {
        server.recv(id).unwrap().ok();
    }
    let refused = cluster.log().matches("too many clients").count();
    println!("{count} servers, {MAX_CONNECTIONS} connections, {refused} connections refused and tried again");
}
