//! Findings about batches, claims and runners, and files that killed runners left behind.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::background::{
    kill_all_processes, processes_with, read_batch, start_batch, wait_for_runner, wait_for_status,
};
use crate::support::eventually;
use crate::support::store::Store;
use crate::{
    NEWEST, assert_finding, assert_fixed, assert_ok, filled, findings, run, stored_file, write_store,
};

/// A profile whose worker never ends in time.
fn sleeper() -> String {
    "[worker.sleeper]\nper = \"item\"\ncommand = [\"sh\", \"-c\", \"sleep 600\"]\n".to_owned()
}

/// A store with a batch whose runner and workers were killed.
fn with_a_killed_runner() -> (Store, String) {
    let store = Store::new_sqlite().with_config(&sleeper());
    let mut server = store.serve();
    let id = start_batch(&mut server, 2, 1, "sleeper");
    wait_for_runner(&mut server, &id);
    server.close();
    kill_all_processes(&id);
    (store, id)
}

#[test]
fn a_batch_without_a_runner_is_reported_and_started_again() {
    let store = Store::new_sqlite().with_config(&sleeper());
    let mut server = store.serve();
    let id = start_batch(&mut server, 2, 1, "sleeper");
    let first = wait_for_runner(&mut server, &id);
    assert_ok(&store, "batches");
    assert_ok(&store, "runners");
    server.close();
    kill_all_processes(&id);
    assert_eq!(store.tasktally(["doctor"]).finish().code, Some(1));
    let start =
        assert_finding(&store, "runners", "warning", &[&format!("the runner of batch {id} has died")]);
    let command = assert_finding(&store, "batches", "problem", &[&id, "no runner works on it"]);
    assert_eq!(command, start);
    run(&store, &command.unwrap());
    assert_ok(&store, "batches");
    assert_ok(&store, "runners");

    // The batch is cancelled after its runner was killed, so no other runner takes over.
    eventually("the new runner to be recorded", || {
        let sql = "SELECT count(*) FROM runner WHERE pid != ?1";
        (store.sql().row::<u64>(sql, &[&first]) > 0).then_some(())
    });
    kill_all_processes(&id);
    store.tasktally(["control-batch", &id, "--action", "cancel"]).success();
    assert_fixed(&store, "runners", "warning", &["has died"]);
    assert_ok(&store, "leftovers");
}

#[test]
fn failures_that_nobody_retried_or_accepted_are_reported() {
    let store = Store::new_sqlite();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let script = "test $TASKTALLY_ITEM = a";
    store.tasktally(["run", "--items", "items.jsonl", "--", "sh", "-c", script]).code(1);
    let listed = store.tasktally(["get-batch", "--json"]).success().json();
    let id = listed["batches"][0]["id"].as_str().unwrap();
    let words = [id, "ended with failures that nobody retried or accepted", "1 of 2 items failed"];
    let command = assert_finding(&store, "batches", "warning", &words).unwrap();
    assert!(run(&store, &command).contains("1 of 2 items"), "{command}");
    store.tasktally(["review-batch", id, "approve"]).success();
    assert_ok(&store, "batches");
}

#[test]
fn a_batch_whose_profile_is_gone_is_reported_with_the_profile() {
    let (store, id) = with_a_killed_runner();
    std::fs::write(store.config(), "").unwrap();
    let words = [id.as_str(), "there is no profile 'sleeper'", "the operator adds"];
    let command = assert_finding(&store, "batches", "problem", &words).unwrap();
    assert_eq!(command, format!("${{EDITOR:-vi}} {}", store.config().display()));
    // Without the profile, start is refused. Pause and resume work.
    let start = store.tasktally(["control-batch", &id, "--action", "start", "--json"]).code(1).json();
    assert_eq!((&start["success"], &start["code"]), (&false.into(), &"internal".into()));
    assert!(start["message"].as_str().unwrap().contains("no runner could be started"), "{start}");
    for action in ["pause", "resume"] {
        store.tasktally(["control-batch", &id, "--action", action]).success();
    }
    store.tasktally(["control-batch", &id, "--action", "pause"]).success();
    assert_finding(&store, "batches", "problem", &words);
    std::fs::write(store.config(), sleeper()).unwrap();
    store.tasktally(["control-batch", &id, "--action", "start"]).success();
    assert_ok(&store, "batches");
}

#[test]
fn files_that_killed_runners_left_are_reported_and_cleared() {
    let (store, id) = with_a_killed_runner();
    store.tasktally(["control-batch", &id, "--action", "cancel"]).success();
    let data = store.file().parent().unwrap();
    // A job file with a token, as the worker of a chunk gets it. Context files of the killed
    // workers are there already.
    std::fs::create_dir_all(data.join("jobs")).unwrap();
    std::fs::write(data.join(format!("jobs/{id}.01.json")), "{}").unwrap();
    let log = data.join(format!("logs/runner-{id}.log"));
    assert_finding(
        &store,
        "leftovers",
        "warning",
        &["locks that no process holds: 1 ", &format!("run-{id}.lock")],
    );
    assert_finding(&store, "leftovers", "warning", &["files of workers whose runner is dead: "]);
    assert!(
        findings(&store, "leftovers", &[]).iter().all(|(_, message, _)| !message.contains("logs of runners"))
    );
    let eight_days_ago = SystemTime::now() - Duration::from_secs(8 * 24 * 3600);
    std::fs::File::options().append(true).open(&log).unwrap().set_modified(eight_days_ago).unwrap();
    assert_finding(&store, "leftovers", "warning", &["logs of runners whose batches ended", "runner-"]);
    let command = assert_finding(&store, "leftovers", "warning", &["locks"]).unwrap();
    let output = run(&store, &command);
    assert!(
        output.contains("removed lock ") && output.contains("removed the record of the runner"),
        "{output}"
    );
    assert_ok(&store, "leftovers");
    assert_ok(&store, "runners");
    assert!(!log.exists() && !data.join(format!("run-{id}.lock")).exists());
}

#[test]
fn files_of_a_batch_that_is_being_worked_are_no_leftovers() {
    let store = Store::new_sqlite().with_config(&sleeper());
    let mut server = store.serve();
    let id = start_batch(&mut server, 2, 1, "sleeper");
    let running = wait_for_runner(&mut server, &id);
    assert_ok(&store, "leftovers");
    store.tasktally(["doctor", "--fix"]).success();
    assert!(store.file().parent().unwrap().join(format!("run-{id}.lock")).exists());
    assert_eq!(wait_for_runner(&mut server, &id), running, "the runner was ended");
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    wait_for_status(&mut server, &id, "cancelled");
    eventually("the runner to end", || processes_with(&id).is_empty().then_some(()));
    assert_ok(&store, "leftovers");
}

#[test]
fn worktrees_of_chunks_that_have_ended_are_cleared_unless_they_hold_work() {
    let store = filled(Store::new_sqlite());
    let repository = store.folder().join("code");
    let git = |folder: &Path, args: &[&str]| {
        let ran = Command::new("git").arg("-C").arg(folder).args(args).output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    std::fs::create_dir(&repository).unwrap();
    git(&repository, &["init", "--quiet"]);
    let who = ["-c", "user.name=t", "-c", "user.email=t@t"];
    git(&repository, &[&who[..], &["commit", "--quiet", "--allow-empty", "-m", "first"]].concat());
    let worktrees = store.file().parent().unwrap().join("worktrees");
    std::fs::create_dir(&worktrees).unwrap();
    let made = store.tasktally([
        "create-batch",
        "B",
        "--instructions",
        "x",
        "--items",
        "[\"a\", \"b\"]",
        "--max-chunk",
        "1",
        "--json",
    ]);
    let id = made.success().json()["batch"]["id"].as_str().unwrap().to_owned();
    store.tasktally(["control-batch", &id, "--action", "cancel"]).success();
    let (clean, changed) = (format!("{id}.01"), format!("{id}.02"));
    // The last one belongs to another store that shares the folder: whether it has ended is not known here.
    for chunk in [clean.as_str(), &changed, "other.01"] {
        let folder = worktrees.join(chunk);
        git(
            &repository,
            &["worktree", "add", "--quiet", "-b", &format!("tasktally/{chunk}"), folder.to_str().unwrap()],
        );
    }
    std::fs::write(worktrees.join(&changed).join("notes.txt"), "not lost").unwrap();
    let status =
        assert_finding(&store, "leftovers", "warning", &[&changed, "uncommitted changes", "notes.txt"])
            .unwrap();
    assert!(run(&store, &status).contains("notes.txt"));
    let command =
        assert_finding(&store, "leftovers", "warning", &["worktrees of chunks that have ended: 1 ", &clean]);
    let output = run(&store, &command.unwrap());
    assert!(output.contains("removed worktree") && output.contains("kept worktree"), "{output}");
    assert!(!worktrees.join(&clean).exists());
    assert_eq!(std::fs::read_to_string(worktrees.join(&changed).join("notes.txt")).unwrap(), "not lost");
    std::fs::remove_file(worktrees.join(&changed).join("notes.txt")).unwrap();
    assert_fixed(&store, "leftovers", "warning", &[&changed]);
    assert!(worktrees.join("other.01").exists(), "the worktree of another store was removed");
}

#[test]
fn batches_that_wait_for_a_person_and_expired_claims_are_reported() {
    let store = write_store(Store::new_sqlite(), stored_file(NEWEST));
    let resume = assert_finding(&store, "batches", "warning", &["is paused: a holiday"]).unwrap();
    run(&store, &resume);
    let all = findings(&store, "batches", &[]);
    assert!(all.iter().all(|(_, message, _)| !message.contains("is paused")), "{all:?}");
    let review =
        assert_finding(&store, "batches", "warning", &["waits for a person; chunks in review: 1"]).unwrap();
    assert!(run(&store, &review).contains("review"), "{review}");
    assert_fixed(&store, "claims", "warning", &["2 expired before their holders released them"]);
}

#[test]
fn a_killed_run_is_reported_and_resumed() {
    let store = Store::new_sqlite();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let script = "test -e go || sleep 600; echo done";
    let mut killed = store.tasktally(["run", "--items", "items.jsonl", "--", "sh", "-c", script]).start();
    eventually("the run to have claimed", || {
        let sql = "SELECT count(*) FROM task WHERE status = 'in_progress' AND role = 'chunk'";
        let exists = store.file().exists();
        exists
            .then(|| store.sqlite().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0))
            .filter(|at| *at > 0)
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    store.write("go", "");
    assert_fixed(
        &store,
        "batches",
        "warning",
        &["made by tasktally run, which ended before the batch was finished"],
    );
    assert_ok(&store, "leftovers");
}

#[test]
fn a_paused_profile_is_reported_with_the_reason() {
    let failing =
        "[worker.failing]\nper = \"item\"\ncommand = [\"sh\", \"-c\", \"exit 3\"]\nmax_parallel = 1\n";
    let store = Store::new_sqlite().with_config(failing);
    let mut server = store.serve();
    let id = start_batch(&mut server, 20, 1, "failing");
    wait_for_status(&mut server, &id, "paused");
    let command =
        assert_finding(&store, "batches", "warning", &["is paused", "starts in a row failed"]).unwrap();
    assert!(command.ends_with(&format!("control-batch {id} --action start")), "{command}");
    let config = store.config();
    std::fs::write(&config, failing.replace("exit 3", "echo done")).unwrap();
    run(&store, &command);
    eventually("the batch to end", || {
        let status = read_batch(&mut server, &id).text("/batch/status");
        matches!(status.as_str(), "done" | "failed").then_some(())
    });
    // The items that failed before the pause are still to be looked at.
    let status = read_batch(&mut server, &id);
    if status["batch"]["outcomes"]["failed"].as_u64() > Some(0) {
        assert_finding(&store, "batches", "warning", &["ended with failures"]);
        store.tasktally(["review-batch", &id, "approve"]).success();
    }
    assert_ok(&store, "batches");
}
