//! A primary server killed under load, and its standby promoted. With a synchronous standby everything acknowledged is kept,
//! nothing is accepted twice, and the clients, whose address names both servers, go on without a restart.
//!
//! `TASKTALLY_ROUNDS` sets the number of failovers, `TASKTALLY_SEED` repeats the same ones.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crate::server_kills::run_clients;
use crate::support::postgres::Cluster;
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::store::Store;

/// Two clusters: the second one follows the first one.
fn pair() -> Option<[Arc<Cluster>; 2]> {
    let (primary, standby) = (Cluster::durable()?, Cluster::durable()?);
    standby.kill();
    standby.follow(&primary);
    Some([primary, standby])
}

/// A store of a new database on either of two clusters.
fn store_of_pair(clusters: &[Arc<Cluster>; 2]) -> Store {
    let database = clusters[0].create_database();
    let url = Cluster::url_of_pair([&clusters[0], &clusters[1]], database.name());
    Store::in_database(database.with_url(url))
}

#[test]
fn a_failover_to_a_synchronous_standby_keeps_every_acknowledged_write() {
    let mut rng = Rng::seeded("failover");
    let Some(clusters) = pair() else { return };
    let store = store_of_pair(&clusters);
    clusters[0].wait_for_standbys();
    // After an even number, the first cluster is the primary again, which the test then reads.
    let failovers = rounds("TASKTALLY_ROUNDS", 2).next_multiple_of(2);
    let all = run_clients(&store, |_| {
        for number in 0..failovers {
            let (primary, standby) = (&clusters[number % 2], &clusters[(number + 1) % 2]);
            sleep(Duration::from_millis(300 + rng.below(1500)));
            primary.kill();
            sleep(Duration::from_millis(rng.below(300)));
            standby.promote();
            // Until now it waits for standbys as well, and has none.
            standby.forget_standbys();
            primary.follow(standby);
            standby.wait_for_standbys();
        }
        sleep(Duration::from_millis(500));
    });
    assert!(all.iter().all(|known| known.restarts == 0), "a server ended");
    println!("{failovers} failovers");
}

#[test]
fn a_server_that_does_not_answer_is_left_for_the_next_one() {
    let Some((cluster, address)) = Cluster::on_network("host all all 0.0.0.0/0 trust") else { return };
    // The kernel accepts connections, and nothing answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let database = cluster.create_database();
    let url = format!(
        "postgres://tasktally@{},{address}:5432/{}?target_session_attrs=read-write&connect_timeout=2",
        silent.local_addr().unwrap(),
        database.name()
    );
    let store = Store::in_database(database.with_url(url));
    let mut server = store.serve();
    let task = server.create_task("Task");
    server.read_task(&task);
    // Once the other server is gone, too, the error names both.
    cluster.kill();
    let refused = server.call("get_task", serde_json::json!({"id": task}));
    println!("{}", refused.message());
    assert_eq!(refused.refusal(), "busy");
    for words in ["did not answer within 2 s", "cannot be reached", &address] {
        assert!(refused.message().contains(words), "{}", refused.message());
    }
}

#[test]
fn the_doctor_names_the_risk_of_each_kind_of_standby() {
    let Some(clusters) = pair() else { return };
    let store = store_of_pair(&clusters);
    store.create();
    let doctor =
        || store.tasktally(["doctor"]).finish().output().split_whitespace().collect::<Vec<_>>().join(" ");
    let found = doctor();
    assert!(found.contains("1 standby is connected, and synchronous_standby_names is empty"), "{found}");
    assert!(found.contains("acknowledged writes can be lost in a failover"), "{found}");
    clusters[0].wait_for_standbys();
    let found = doctor();
    assert!(found.contains("a write waits for synchronous_standby_names = *"), "{found}");
    clusters[1].kill();
    crate::support::eventually("the primary to notice", || {
        let found = doctor();
        found.contains("no standby is connected: every write waits").then_some(())
    });
}
