//! Workers that resist their end: they ignore TERM, fork, start sessions, orphan processes by forking twice, clear the
//! environment and print a lot. No process of them is left, whichever process ends first.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds.
mod support;

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use support::background::{
    children, processes_with, read_batch, settled_items, start_batch, wait_for_runner, wait_for_status,
};
use support::server::Server;
use support::skip::skip;
use support::store::Store;
use support::{eventually, rounds, send_signal};

/// The number of parallel workers, and the number of `sleep` processes that each starts.
const WORKERS: usize = 4;
const SLEEPERS: usize = 6;

/// A profile whose worker settles its first item and starts many processes for the second. The processes are
/// recognised by how long they sleep.
fn forking_profile(seconds: &str) -> String {
    let script = format!(
        "case $TASKTALLY_ITEM in *[13579]) echo '- settled'; exit 0;; esac
         trap '' TERM INT HUP
         (setsid sh -c 'trap \"\" TERM; (sleep {seconds} &) ; sleep {seconds}' &)
         setsid sh -c 'trap \"\" TERM; sleep {seconds} & sleep {seconds} & wait' &
         (env -i PATH=$PATH sh -c '(setsid sleep {seconds} &)' &)
         yes output | head -c 100000000 &
         sleep {seconds}"
    );
    format!(
        "[worker.forking]\nper = \"item\"\ngrace_s = 0\nmax_parallel = {WORKERS}\ncommand = [\"sh\", \"-c\", {script:?}]\n"
    )
}

/// A number of seconds that no other process sleeps for.
fn sleep_seconds(test: u32) -> String {
    format!("{}{test:02}", 1_000_000 + std::process::id())
}

/// The processes that sleep for this number of seconds.
fn sleepers(seconds: &str) -> Vec<u32> {
    processes_with(&format!("sleep\0{seconds}\0"))
}

/// Starts a batch and waits until each worker has started all its processes. Returns the batch's id.
fn start_forking_batch(server: &mut Server, seconds: &str) -> String {
    let id = start_batch(server, 2 * WORKERS, 2, "forking");
    eventually("all workers to start their processes", || {
        (sleepers(seconds).len() >= WORKERS * SLEEPERS).then_some(())
    });
    id
}

fn assert_receipts_kept(store: &Store, server: &mut Server, id: &str) {
    let reply = read_batch(server, id);
    assert_eq!(reply.count("/batch/processed"), WORKERS as u64, "a receipt is lost");
    assert!(settled_items(store).iter().all(|(_, _, receipts)| *receipts <= 1), "an item was accepted twice");
}

#[test]
fn a_cancel_leaves_no_process_of_any_worker() {
    let seconds = sleep_seconds(1);
    let store = Store::new().with_config(&forking_profile(&seconds));
    let mut server = store.serve();
    let mut max_ms = 0;
    for _ in 0..rounds("TASKTALLY_ROUNDS", 3) {
        let id = start_forking_batch(&mut server, &seconds);
        server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
        let cancelled = Instant::now();
        eventually("all worker processes to end", || sleepers(&seconds).is_empty().then_some(()));
        max_ms = max_ms.max(cancelled.elapsed().as_millis());
        assert_receipts_kept(&store, &mut server, &id);
        eventually("the runner and its supervisor processes to end", || {
            processes_with(&id).is_empty().then_some(())
        });
    }
    println!("no process was left at most {max_ms} ms after a cancel");
}

#[test]
fn a_killed_runner_leaves_no_worker_process_and_is_taken_over() {
    let seconds = sleep_seconds(2);
    let store = Store::new().with_config(&forking_profile(&seconds));
    let mut server = store.serve();
    for _ in 0..rounds("TASKTALLY_ROUNDS", 3) {
        let id = start_forking_batch(&mut server, &seconds);
        let (first, before) = (wait_for_runner(&mut server, &id), sleepers(&seconds));
        send_signal("KILL", first);
        eventually("its workers to end", || {
            let now = sleepers(&seconds);
            (!before.iter().any(|pid| now.contains(pid))).then_some(())
        });
        eventually("another runner to take over", || {
            (wait_for_runner(&mut server, &id) != first).then_some(())
        });
        eventually("all new workers to start their processes", || {
            (sleepers(&seconds).len() >= WORKERS * SLEEPERS).then_some(())
        });
        server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
        eventually("all worker processes to end", || sleepers(&seconds).is_empty().then_some(()));
        assert_receipts_kept(&store, &mut server, &id);
        eventually("the runner and its supervisor processes to end", || {
            processes_with(&id).is_empty().then_some(())
        });
    }
}

#[test]
fn the_runner_ends_the_worker_of_a_killed_supervisor_process() {
    let seconds = sleep_seconds(3);
    let store = Store::new().with_config(&forking_profile(&seconds));
    let mut server = store.serve();
    let id = start_forking_batch(&mut server, &seconds);
    let before = sleepers(&seconds);
    let runner = wait_for_runner(&mut server, &id);
    let supervisors =
        children(runner).into_iter().filter(|pid| command_line(*pid).contains("supervisor-process"));
    let supervisors: Vec<u32> = supervisors.collect();
    assert_eq!(supervisors.len(), WORKERS);
    supervisors.iter().for_each(|pid| send_signal("KILL", *pid));
    eventually("their workers to end", || {
        let now = sleepers(&seconds);
        (!before.iter().any(|pid| now.contains(pid))).then_some(())
    });
    let released = eventually("the chunks to be released", || {
        let body = server.body(&format!("{id}.01"));
        body.contains("the supervisor process of its worker was killed").then_some(body)
    });
    assert!(!released.contains("no worker could be started"), "a started item is not in doubt: {released}");
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    eventually("all worker processes to end", || sleepers(&seconds).is_empty().then_some(()));
    assert_receipts_kept(&store, &mut server, &id);
}

#[test]
fn processes_of_a_dead_runner_are_recognised_by_the_run_marker_and_never_by_the_process_id() {
    let store =
        Store::new().with_config("[worker.quick]\nper = \"item\"\ncommand = [\"echo\", \"- done\"]\n");
    let mut server = store.serve();
    let plan = server.call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a"]})).ok();
    let id = plan.text("/batch/id");
    let sleeper = |marker: &str| {
        Command::new("sleep").arg("600").env("TASKTALLY_RUNNER", marker).stdin(Stdio::null()).spawn().unwrap()
    };
    let (mut stray, mut unrelated) = (sleeper("nonce-of-the-dead"), sleeper("nonce-of-another"));
    // The process id of the dead runner now belongs to the unrelated process.
    let recorded = "INSERT INTO runner (batch, run_marker, profile, pid, host, started_at, heartbeat_at)
        SELECT row_id, 'nonce-of-the-dead', 'quick', ?2, 'here', 0, 0 FROM task WHERE id = ?1";
    store.sql().execute(recorded, &[&id, &unrelated.id()]).unwrap();
    server.call("control_batch", json!({"id": id, "action": "start", "worker": "quick"})).ok();
    wait_for_status(&mut server, &id, "done");
    eventually("the process with the run marker to end", || stray.try_wait().unwrap());
    assert!(unrelated.try_wait().unwrap().is_none(), "a process that only has the same id was ended");
    unrelated.kill().unwrap();
    unrelated.wait().unwrap();
}

fn command_line(pid: u32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).into_owned()
}

#[test]
fn orphans_with_an_empty_environment_are_found_by_their_control_group_after_all_supervisors_were_killed() {
    let groups = tempfile::tempdir().unwrap();
    let mount = Command::new("mount").args(["-t", "cgroup2", "none"]).arg(groups.path()).output().unwrap();
    if !mount.status.success() {
        skip(&format!("no control groups can be mounted: {}", String::from_utf8_lossy(&mount.stderr)));
        return;
    }
    let seconds = sleep_seconds(4);
    let store = Store::new().with_config(&forking_profile(&seconds));
    let mut server = store.serve();
    let id = start_forking_batch(&mut server, &seconds);
    let before = sleepers(&seconds);
    let runner = wait_for_runner(&mut server, &id);
    let marker: String = store.sql().row("SELECT run_marker FROM runner", &[]);
    // All are stopped before they are killed, so that none can end the workers of another.
    let all: Vec<u32> = [runner].into_iter().chain(children(runner)).collect();
    let (standby, dying): (Vec<u32>, Vec<u32>) =
        all.into_iter().partition(|pid| command_line(*pid).contains("--standby"));
    dying.iter().for_each(|pid| send_signal("STOP", *pid));
    dying.iter().rev().for_each(|pid| send_signal("KILL", *pid));
    assert_eq!(standby.len(), 1, "there is no standby runner");
    eventually("the orphans to end", || {
        let now = sleepers(&seconds);
        (!before.iter().any(|pid| now.contains(pid))).then_some(())
    });
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    eventually("all worker processes to end", || sleepers(&seconds).is_empty().then_some(()));
    eventually("the runner and its supervisor processes to end", || {
        processes_with(&id).is_empty().then_some(())
    });
    let left = Command::new("find")
        .arg(groups.path())
        .args(["-name", &format!("tasktally-{marker}-*")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "control groups are left");
    Command::new("umount").arg(groups.path()).status().unwrap();
}
