//! Workers that won't end: ignoring TERM, forking, in sessions of their own, orphaned by forking twice, with an
//! empty environment, printing without end. Nothing of them is left, whoever ends first.
//!
//! `TASKTALLY_ROUNDS` asks for more rounds.
mod support;

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use support::background::{batch, children, processes, runner, settled, stand, until};
use support::server::Server;
use support::store::Store;
use support::{eventually, rounds, signal};

/// How many workers there are at once, and how many processes of each can be told by their sleep.
const WORKERS: usize = 4;
const SLEEPERS: usize = 6;

/// A worker that settles its first item of two, then goes wild. Its processes are told by how long they sleep.
fn wild(nap: &str) -> String {
    let script = format!(
        "case $TASKTALLY_ITEM in *[13579]) echo '- tame'; exit 0;; esac
         trap '' TERM INT HUP
         (setsid sh -c 'trap \"\" TERM; (sleep {nap} &) ; sleep {nap}' &)
         setsid sh -c 'trap \"\" TERM; sleep {nap} & sleep {nap} & wait' &
         (env -i PATH=$PATH sh -c '(setsid sleep {nap} &)' &)
         yes wild | head -c 100000000 &
         sleep {nap}"
    );
    format!(
        "[worker.wild]\nper = \"item\"\ngrace_s = 0\nmax_parallel = {WORKERS}\ncommand = [\"sh\", \"-c\", {script:?}]\n"
    )
}

/// A number of seconds that no other process sleeps for.
fn nap(test: u32) -> String {
    format!("{}{test:02}", 1_000_000 + std::process::id())
}

fn sleepers(nap: &str) -> Vec<u32> {
    processes(&format!("sleep\0{nap}\0"))
}

/// A batch of which each worker has gone wild.
fn gone_wild(server: &mut Server, nap: &str) -> String {
    let id = batch(server, 2 * WORKERS, 2, "wild");
    eventually("all workers to go wild", || (sleepers(nap).len() >= WORKERS * SLEEPERS).then_some(()));
    id
}

fn assert_kept(store: &Store, server: &mut Server, id: &str) {
    let reply = stand(server, id);
    assert_eq!(reply.count("/batch/processed"), WORKERS as u64, "receipts written until then are kept");
    assert!(settled(store).iter().all(|(_, _, receipts)| *receipts <= 1), "an item was accepted twice");
}

#[test]
fn a_cancel_leaves_nothing_of_any_worker() {
    let nap = nap(1);
    let store = Store::new().with_config(&wild(&nap));
    let mut server = store.serve();
    let mut longest = 0;
    for _ in 0..rounds("TASKTALLY_ROUNDS", 3) {
        let id = gone_wild(&mut server, &nap);
        server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
        let cancelled = Instant::now();
        eventually("everything to end", || sleepers(&nap).is_empty().then_some(()));
        longest = longest.max(cancelled.elapsed().as_millis());
        assert_kept(&store, &mut server, &id);
        eventually("the runner and its supervisor processes to end", || {
            processes(&id).is_empty().then_some(())
        });
    }
    println!("nothing was left at most {longest} ms after a cancel");
}

#[test]
fn a_runner_killed_in_full_work_leaves_nothing_and_is_taken_over() {
    let nap = nap(2);
    let store = Store::new().with_config(&wild(&nap));
    let mut server = store.serve();
    for _ in 0..rounds("TASKTALLY_ROUNDS", 3) {
        let id = gone_wild(&mut server, &nap);
        let (first, before) = (runner(&mut server, &id), sleepers(&nap));
        signal("KILL", first);
        eventually("its workers to end", || {
            let now = sleepers(&nap);
            (!before.iter().any(|pid| now.contains(pid))).then_some(())
        });
        eventually("another to take over", || (runner(&mut server, &id) != first).then_some(()));
        eventually("all workers to go wild again", || {
            (sleepers(&nap).len() >= WORKERS * SLEEPERS).then_some(())
        });
        server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
        eventually("everything to end", || sleepers(&nap).is_empty().then_some(()));
        assert_kept(&store, &mut server, &id);
        eventually("the runner and its supervisor processes to end", || {
            processes(&id).is_empty().then_some(())
        });
    }
}

#[test]
fn the_runner_kills_the_worker_of_a_killed_supervisor_process() {
    let nap = nap(3);
    let store = Store::new().with_config(&wild(&nap));
    let mut server = store.serve();
    let id = gone_wild(&mut server, &nap);
    let before = sleepers(&nap);
    let runner = runner(&mut server, &id);
    let supervisors =
        children(runner).into_iter().filter(|pid| command_line(*pid).contains("supervisor-process"));
    let supervisors: Vec<u32> = supervisors.collect();
    assert_eq!(supervisors.len(), WORKERS);
    supervisors.iter().for_each(|pid| signal("KILL", *pid));
    eventually("their workers to end", || {
        let now = sleepers(&nap);
        (!before.iter().any(|pid| now.contains(pid))).then_some(())
    });
    let given_back = eventually("the chunks to be given back", || {
        let body = server.body(&format!("{id}.01"));
        body.contains("the supervisor process of its worker was killed").then_some(body)
    });
    assert!(
        !given_back.contains("no worker could be started"),
        "what was under way stays in doubt: {given_back}"
    );
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    eventually("everything to end", || sleepers(&nap).is_empty().then_some(()));
    assert_kept(&store, &mut server, &id);
}

#[test]
fn what_a_runner_left_behind_is_known_by_its_mark_and_never_by_a_number_alone() {
    let store =
        Store::new().with_config("[worker.quick]\nper = \"item\"\ncommand = [\"echo\", \"- done\"]\n");
    let mut server = store.serve();
    let plan = server.call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a"]})).ok();
    let id = plan.text("/batch/id");
    let sleeper = |mark: &str| {
        Command::new("sleep").arg("600").env("TASKTALLY_RUNNER", mark).stdin(Stdio::null()).spawn().unwrap()
    };
    let (mut stray, mut stranger) = (sleeper("nonce-of-the-dead"), sleeper("nonce-of-another"));
    // The dead runner's number is the stranger's by now.
    let recorded = "INSERT INTO runner (batch, run_marker, profile, pid, host, started_at, heartbeat_at)
        SELECT row_id, 'nonce-of-the-dead', 'quick', ?2, 'here', 0, 0 FROM task WHERE id = ?1";
    store.sql().execute(recorded, (&id, stranger.id())).unwrap();
    server.call("control_batch", json!({"id": id, "action": "start", "worker": "quick"})).ok();
    until(&mut server, &id, "done");
    eventually("the stray to end", || stray.try_wait().unwrap());
    assert!(stranger.try_wait().unwrap().is_none(), "a process that only has the number was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

fn command_line(pid: u32) -> String {
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()).into_owned()
}

#[test]
fn what_forked_twice_with_an_empty_environment_is_found_by_its_control_group_when_all_were_killed() {
    let groups = tempfile::tempdir().unwrap();
    let mount = Command::new("mount").args(["-t", "cgroup2", "none"]).arg(groups.path()).output().unwrap();
    if !mount.status.success() {
        println!("skipped: no control groups can be mounted here");
        return;
    }
    let nap = nap(4);
    let store = Store::new().with_config(&wild(&nap));
    let mut server = store.serve();
    let id = gone_wild(&mut server, &nap);
    let before = sleepers(&nap);
    let runner = runner(&mut server, &id);
    let mark: String = store.sql().query_row("SELECT run_marker FROM runner", [], |row| row.get(0)).unwrap();
    // Stopped first, so that neither can end the workers of the other.
    let all: Vec<u32> = [runner].into_iter().chain(children(runner)).collect();
    let (standby, dying): (Vec<u32>, Vec<u32>) =
        all.into_iter().partition(|pid| command_line(*pid).contains("--standby"));
    dying.iter().for_each(|pid| signal("STOP", *pid));
    dying.iter().rev().for_each(|pid| signal("KILL", *pid));
    assert_eq!(standby.len(), 1, "one stands by");
    eventually("all that was left to end", || {
        let now = sleepers(&nap);
        (!before.iter().any(|pid| now.contains(pid))).then_some(())
    });
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    eventually("everything to end", || sleepers(&nap).is_empty().then_some(()));
    eventually("the runner and its supervisor processes to end", || processes(&id).is_empty().then_some(()));
    let left = Command::new("find")
        .arg(groups.path())
        .args(["-name", &format!("tasktally-{mark}-*")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "groups are left");
    Command::new("umount").arg(groups.path()).status().unwrap();
}
