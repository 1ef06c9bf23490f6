//! Hosts that lose the network and get it back while all of them work on one batch.
//!
//! `TASKTALLY_ROUNDS` sets how often a host is cut off, `TASKTALLY_SEED` repeats the same hosts and times.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::hosts::Hosts;
use crate::support::background::item_keys;
use crate::support::rng::Rng;
use crate::support::{eventually, rounds};

const HOSTS: [&str; 3] = ["ash", "birch", "cedar"];
/// How long a lease lasts, with a margin.
const LEASE: Duration = Duration::from_secs(23);

/// A worker that reports if another one works on its item at the same moment, on whichever host. The kernel releases the lock
/// when the worker is killed.
const WORKER: &str = "exec 9> \"lock-$TASKTALLY_ITEM\"
    flock -n 9 || echo \"$TASKTALLY_ITEM on $(uname -n)\" >> overlaps
    echo \"$TASKTALLY_ITEM $(uname -n)\" >> started
    sleep 0.3";

/// Creates a batch and returns its id.
fn create_batch(hosts: &Hosts, items: usize) -> String {
    let batch = json!({"title": "B", "instructions": "x", "items": item_keys(items), "max_chunk": 4});
    hosts.store.serve().call("create_batch", batch).ok().text("/batch/id")
}

fn has_ended(hosts: &Hosts, batch: &str) -> bool {
    let sql = "SELECT status IN ('done', 'failed') FROM task WHERE id = ?1";
    hosts.store.sql().row::<i64>(sql, &[&batch]) != 0
}

/// Asserts that every item has one outcome, that no work was accepted twice, and that no two workers had one item at once.
fn assert_worked_once(hosts: &Hosts, items: usize) {
    let sql = hosts.store.sql();
    let accepted: Vec<(String, i64)> = sql.rows(
        "SELECT item_key, count(*) FROM receipt WHERE outcome = 'done' AND late = 0 GROUP BY item_key",
        &[],
    );
    assert_eq!(accepted.len(), items);
    assert!(accepted.iter().all(|(_, count)| *count == 1), "{accepted:?}");
    assert_eq!(sql.row::<i64>("SELECT items_done FROM batch", &[]), items as i64);
    let overlaps = std::fs::read_to_string(hosts.store.folder().join("overlaps")).unwrap_or_default();
    assert_eq!(overlaps, "", "two workers had an item at once");
    hosts.store.tasktally(["verify"]).success();
}

#[test]
fn three_hosts_of_which_one_is_cut_off_again_and_again_work_every_item_once() {
    let mut rng = Rng::seeded("three_hosts");
    let Some(hosts) = Hosts::new(&HOSTS, |_| String::new()) else { return };
    let rounds = rounds("TASKTALLY_ROUNDS", 3);
    let items = 80 + 200 * rounds;
    let batch = create_batch(&hosts, items);
    let (ended, lost) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for host in HOSTS {
            let (hosts, batch, ended, lost) = (&hosts, &batch, &ended, &lost);
            scope.spawn(move || {
                // A process that was cut off for too long ends itself, and an operator's service manager starts it again.
                while !ended.load(Ordering::Acquire) {
                    let work = ["work", "--batch", batch, "--workers", "2", "--", "sh", "-c", WORKER];
                    // It may take as long as the batch.
                    let ran = hosts.command(host).args(work).output().unwrap();
                    if String::from_utf8_lossy(&ran.stderr).contains("this process no longer works on") {
                        lost.store(true, Ordering::Release);
                    }
                    sleep(Duration::from_millis(300));
                }
            });
        }
        let cut = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            sleep(Duration::from_secs(2));
            for round in 0..rounds {
                if round > 0 && has_ended(&hosts, &batch) {
                    println!("the batch has ended after {round} rounds");
                    break;
                }
                let host = HOSTS[rng.below(3) as usize];
                // Every third time, the leases of the host end.
                let ms = if round % 3 == 0 { LEASE.as_millis() as u64 } else { 500 + rng.below(9_000) };
                println!("{host} is cut off for {ms} ms");
                hosts.cut_off(host);
                sleep(Duration::from_millis(ms));
                hosts.reconnect(host);
                sleep(Duration::from_millis(500 + rng.below(3_000)));
            }
            let started = Instant::now();
            while !has_ended(&hosts, &batch) {
                let state = hosts.store.tasktally(["get-batch", &batch]).finish().output();
                assert!(started.elapsed() < Duration::from_secs(300), "the batch does not end: {state}");
                sleep(Duration::from_millis(500));
            }
        }));
        ended.store(true, Ordering::Release);
        cut.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert_worked_once(&hosts, items);
    assert!(lost.into_inner(), "no process ended when its lease did");
    let started = std::fs::read_to_string(hosts.store.folder().join("started")).unwrap();
    let times = started.lines().count();
    println!("{items} items were worked in {times} starts");
    for host in HOSTS {
        assert!(started.lines().any(|line| line.ends_with(host)), "{host} has not worked");
    }
}

/// A profile whose worker takes a moment for an item.
fn profile(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "[worker.slow]\nper = \"item\"\nmax_parallel = 2\ncommand = [\"sh\", \"-c\", '''cd {folder}\n{WORKER}''']\n"
    )
}

/// On which host the last item was started.
fn last_host(hosts: &Hosts) -> Option<String> {
    let started = std::fs::read_to_string(hosts.store.folder().join("started")).ok()?;
    started.lines().last()?.split(' ').next_back().map(str::to_owned)
}

#[test]
fn another_host_takes_over_from_a_runner_that_was_cut_off_and_that_changes_nothing_afterwards() {
    let Some(hosts) = Hosts::new(&["ash", "birch"], profile) else { return };
    let items = 110;
    let batch = create_batch(&hosts, items);
    let detach = ["work", "--batch", &batch, "--worker", "slow", "--detach"];
    hosts.tasktally("ash", &detach).success();
    eventually("ash to work", || (last_host(&hosts)? == "ash").then_some(()));

    // The other host knows where the runner is.
    let again = hosts.tasktally("birch", &["work", "--batch", &batch, "--worker", "slow"]).finish();
    assert!(again.code != Some(0) && again.output().contains("on host ash works on batch"), "{again:?}");
    let state: Value = hosts.tasktally("birch", &["--json", "get-batch", &batch]).success().json();
    assert!(state["message"].as_str().unwrap().ends_with("its runner works on host ash"), "{state}");
    assert_eq!(state["batch"]["runner"]["host"], "ash", "{state}");
    assert_eq!(state["batch"]["hosts"][0]["host"], "ash", "{state}");
    let start = ["--json", "control-batch", &batch, "--action", "start"];
    let started = hosts.tasktally("birch", &start).success().json();
    assert!(started["message"].as_str().unwrap().ends_with("on host ash"), "{started}");
    let doctor = hosts.tasktally("birch", &["doctor"]).finish().output();
    let words: Vec<&str> = doctor.split_whitespace().collect();
    assert!(words.join(" ").contains("all alive; by host: ash: 1 runner, 0 tasktally work"), "{doctor}");
    let log = hosts.tasktally("birch", &["logs", &format!("{batch}.1")]).finish();
    assert!(log.output().contains("was worked on host ash, where its log is"), "{log:?}");

    hosts.cut_off("ash");
    let cut_at = Instant::now();
    eventually("birch to take over", || {
        let ran = hosts.tasktally("birch", &detach).finish();
        let taken = ran.code == Some(0)
            && ran.stdout.contains("in the background")
            && !ran.stdout.contains("already");
        assert!(taken || cut_at.elapsed() < Duration::from_secs(60), "{ran:?}");
        taken.then_some(())
    });
    println!("birch took over {:?} after ash was cut off", cut_at.elapsed());
    eventually("birch to work", || (last_host(&hosts)? == "birch").then_some(()));

    // What is left on the other host is the runner that stands by. It changes nothing while this one works.
    let record = || hosts.store.sql().row::<(String, String)>("SELECT host, run_marker FROM runner", &[]);
    let before = record();
    assert_eq!(before.0, "birch");
    hosts.reconnect("ash");
    sleep(Duration::from_secs(5));
    assert_eq!(record(), before);
    assert_eq!(last_host(&hosts).as_deref(), Some("birch"));
    eventually("the batch to end", || has_ended(&hosts, &batch).then_some(()));
    assert_worked_once(&hosts, items);
    let started = std::fs::read_to_string(hosts.store.folder().join("started")).unwrap();
    let from_birch = started.lines().skip_while(|line| line.ends_with("ash"));
    assert!(from_birch.clone().all(|line| line.ends_with("birch")), "ash went on:\n{started}");
    eventually("all runners to end", || {
        HOSTS[..2].iter().all(|host| hosts.processes(host).is_empty()).then_some(())
    });
}
