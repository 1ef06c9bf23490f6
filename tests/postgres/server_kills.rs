//! Processes killed (SIGKILL) under load: backends, the postmaster and `tasktally serve`. Everything acknowledged is kept,
//! nothing is there twice, and the clients go on without a restart.
//!
//! `TASKTALLY_ROUNDS` sets the number of kills, `TASKTALLY_SEED` repeats the same ones.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::patient_client::{Acknowledged, PatientClient, assert_kept};
use crate::support::postgres::Cluster;
use crate::support::rng::Rng;
use crate::support::store::Store;
use crate::support::{eventually, rounds, run_in_parallel, send_signal};

pub(crate) const CLIENTS: usize = 4;
/// Within what time a call that failed is carried out, on a machine that does other things as well.
const RECOVERY: Duration = Duration::from_secs(60);

/// Runs clients under load while `kill` does harm. Returns what was acknowledged to each.
pub(crate) fn run_clients(
    store: &Store,
    kill: impl FnOnce(&[Mutex<Option<u32>>]) + Send,
) -> Vec<Acknowledged> {
    let log = store.serve().create_task("Log");
    let pids: Vec<Mutex<Option<u32>>> = (0..CLIENTS).map(|_| Mutex::new(None)).collect();
    let stop = AtomicBool::new(false);
    let all = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            eventually("all clients to start", || {
                pids.iter().all(|pid| pid.lock().unwrap().is_some()).then_some(())
            });
            // Clients end even if the killer fails.
            let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| kill(&pids)));
            stop.store(true, Ordering::Release);
            killed
        });
        let all = run_in_parallel(CLIENTS, |number| {
            let mut client = PatientClient::new(store, format!("client {number}"), &pids[number]);
            let mut batch = client.create_batch();
            // The last rounds are after the last kill.
            let mut after = 0;
            while after < 2 {
                after += usize::from(stop.load(Ordering::Acquire));
                client.work(&log, &mut batch);
            }
            client.acknowledged
        });
        if let Err(panic) = killer.join().unwrap() {
            std::panic::resume_unwind(panic);
        }
        all
    });
    assert_kept(store, &all);
    report(&all);
    all
}

fn report(all: &[Acknowledged]) {
    let mut errors: BTreeMap<&str, u64> = BTreeMap::new();
    for (error, times) in all.iter().flat_map(|known| &known.errors) {
        *errors.entry(error).or_default() += times;
    }
    let receipts: usize = all.iter().map(|known| known.receipts.len()).sum();
    let completed: usize = all.iter().map(|known| known.completed.len()).sum();
    let longest = all.iter().map(|known| known.longest).max().unwrap_or_default();
    println!("{receipts} receipts and {completed} completions kept; the longest call took {longest:?}");
    for (error, times) in errors {
        println!("{times} times: {error}");
    }
    assert!(longest < RECOVERY, "a client did not go on by itself for {longest:?}");
}

/// Kills a backend of the store or the postmaster, again and again.
fn kill_database(rng: &mut Rng, cluster: &Cluster, store: &Store, kills: usize) {
    for kill in 0..kills {
        sleep(Duration::from_millis(200 + rng.below(1500)));
        let backends = store.database().backends();
        // The first kill is of the postmaster.
        if kill % 3 == 0 || backends.is_empty() {
            cluster.kill();
            sleep(Duration::from_millis(rng.below(1000)));
            cluster.start();
        } else {
            cluster.kill_backend(backends[rng.below(backends.len() as u64) as usize]);
            cluster.wait_until_ready();
        }
    }
    sleep(Duration::from_millis(500));
}

#[test]
fn a_killed_database_has_kept_every_acknowledged_write_and_clients_go_on() {
    let mut rng = Rng::seeded("a_killed_database");
    let Some(cluster) = Cluster::durable() else { return };
    let store = Store::in_database(cluster.create_database());
    let kills = rounds("TASKTALLY_ROUNDS", 6);
    let all = run_clients(&store, |_| kill_database(&mut rng, &cluster, &store, kills));
    assert!(all.iter().all(|known| known.restarts == 0), "a server ended");
    println!("{kills} kills of backends and postmasters");
}

#[test]
fn servers_killed_at_any_moment_have_kept_every_acknowledged_write() {
    let mut rng = Rng::seeded("servers_killed");
    let Some(store) = Store::new_postgres() else { return };
    let kills = rounds("TASKTALLY_ROUNDS", 20);
    let all = run_clients(&store, |pids| {
        for _ in 0..kills {
            sleep(Duration::from_millis(rng.below(400)));
            let pid = pids[rng.below(CLIENTS as u64) as usize].lock().unwrap().take();
            if let Some(pid) = pid {
                send_signal("KILL", pid);
            }
        }
    });
    let restarts: u64 = all.iter().map(|known| known.restarts).sum();
    println!("{restarts} servers killed");
    assert!(restarts > 0);
}
