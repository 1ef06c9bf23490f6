//! What of the work needs somebody, and what runners left behind.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::background::{batch, end_all, processes, runner, stand, until};
use crate::support::eventually;
use crate::support::store::Store;
use crate::{all_well, filled, finds, kept, look_with, mended, placed, run};

fn sleeper() -> String {
    "[worker.sleeper]\nper = \"item\"\ncommand = [\"sh\", \"-c\", \"sleep 600\"]\n".to_owned()
}

/// A store, and its batch whose runner and workers were killed.
fn with_a_killed_runner() -> (Store, String) {
    let store = Store::new().with_config(&sleeper());
    let mut server = store.serve();
    let id = batch(&mut server, 2, 1, "sleeper");
    runner(&mut server, &id);
    server.close();
    end_all(&id);
    (store, id)
}

#[test]
fn a_batch_without_its_runner_is_told_and_started_again() {
    let store = Store::new().with_config(&sleeper());
    let mut server = store.serve();
    let id = batch(&mut server, 2, 1, "sleeper");
    let first = runner(&mut server, &id);
    all_well(&store, "batches");
    all_well(&store, "runners");
    server.close();
    end_all(&id);
    assert_eq!(store.tasktally(["doctor"]).finish().code, Some(1));
    let start = finds(&store, "runners", "warning", &[&format!("the runner of batch {id} has died")]);
    let command = finds(&store, "batches", "problem", &[&id, "no runner works on it"]);
    assert_eq!(command, start);
    run(&store, &command.unwrap());
    all_well(&store, "batches");
    all_well(&store, "runners");

    // One that is over, whose runner was killed: nobody comes after it.
    eventually("the new runner to be on record", || {
        let sql = "SELECT count(*) FROM runner WHERE pid != ?1";
        let count = store.sql().query_row(sql, [first], |row| row.get::<_, i64>(0)).unwrap();
        (count > 0).then_some(())
    });
    end_all(&id);
    store.tasktally(["control-batch", &id, "--action", "cancel"]).success();
    mended(&store, "runners", "warning", &["has died"]);
    all_well(&store, "leftovers");
}

#[test]
fn a_batch_whose_profile_is_gone_is_told_with_the_profile() {
    let (store, id) = with_a_killed_runner();
    std::fs::write(store.config(), "").unwrap();
    let words = [id.as_str(), "there is no profile 'sleeper'", "tasktally config example"];
    let command = finds(&store, "batches", "problem", &words).unwrap();
    assert_eq!(command, format!("${{EDITOR:-vi}} {}", store.config().display()));
    // What cannot be started was not done; all else that is done to a batch was.
    let start = store.tasktally(["control-batch", &id, "--action", "start", "--json"]).code(1).json();
    assert_eq!((&start["success"], &start["code"]), (&false.into(), &"internal".into()));
    assert!(start["message"].as_str().unwrap().contains("no runner could be started"), "{start}");
    for action in ["pause", "resume"] {
        store.tasktally(["control-batch", &id, "--action", action]).success();
    }
    store.tasktally(["control-batch", &id, "--action", "pause"]).success();
    finds(&store, "batches", "problem", &words);
    std::fs::write(store.config(), sleeper()).unwrap();
    store.tasktally(["control-batch", &id, "--action", "start"]).success();
    all_well(&store, "batches");
}

#[test]
fn what_runners_left_when_they_were_killed_is_told_and_cleared() {
    let (store, id) = with_a_killed_runner();
    store.tasktally(["control-batch", &id, "--action", "cancel"]).success();
    let data = store.file().parent().unwrap();
    // A job with a token in it, as a worker of a chunk is given.
    std::fs::create_dir_all(data.join("jobs")).unwrap();
    std::fs::write(data.join(format!("jobs/{id}.01.json")), "{}").unwrap();
    let log = data.join(format!("logs/runner-{id}.log"));
    finds(
        &store,
        "leftovers",
        "warning",
        &["run locks that no process holds: 1 ", &format!("run-{id}.lock")],
    );
    finds(&store, "leftovers", "warning", &["files of workers whose runner is dead: 1 "]);
    assert!(
        look_with(&store, "leftovers", &[])
            .iter()
            .all(|(_, message, _)| !message.contains("logs of runners"))
    );
    let long_ago = SystemTime::now() - Duration::from_secs(8 * 24 * 3600);
    std::fs::File::options().append(true).open(&log).unwrap().set_modified(long_ago).unwrap();
    finds(&store, "leftovers", "warning", &["logs of runners whose batches ended", "runner-"]);
    let command = finds(&store, "leftovers", "warning", &["locks"]).unwrap();
    let said = run(&store, &command);
    assert!(said.contains("removed lock ") && said.contains("removed the record of the runner"), "{said}");
    all_well(&store, "leftovers");
    all_well(&store, "runners");
    assert!(!log.exists() && !data.join(format!("run-{id}.lock")).exists());
}

#[test]
fn nothing_of_a_batch_that_is_being_worked_is_a_leftover() {
    let store = Store::new().with_config(&sleeper());
    let mut server = store.serve();
    let id = batch(&mut server, 2, 1, "sleeper");
    let at_work = runner(&mut server, &id);
    all_well(&store, "leftovers");
    store.tasktally(["doctor", "--fix"]).success();
    assert!(store.file().parent().unwrap().join(format!("run-{id}.lock")).exists());
    assert_eq!(runner(&mut server, &id), at_work, "it is left at work");
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    until(&mut server, &id, "cancelled");
    eventually("the runner to end", || processes(&id).is_empty().then_some(()));
    all_well(&store, "leftovers");
}

#[test]
fn worktrees_of_chunks_that_have_ended_are_cleared_unless_they_hold_work() {
    let store = filled(Store::new());
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
    for chunk in ["gone.01", "gone.02"] {
        let folder = worktrees.join(chunk);
        git(
            &repository,
            &["worktree", "add", "--quiet", "-b", &format!("tasktally/{chunk}"), folder.to_str().unwrap()],
        );
    }
    std::fs::write(worktrees.join("gone.02/notes.txt"), "not lost").unwrap();
    let status =
        finds(&store, "leftovers", "warning", &["gone.02", "uncommitted changes", "notes.txt"]).unwrap();
    assert!(run(&store, &status).contains("notes.txt"));
    let command =
        finds(&store, "leftovers", "warning", &["worktrees of chunks that have ended: 1 ", "gone.01"]);
    let said = run(&store, &command.unwrap());
    assert!(said.contains("removed worktree") && said.contains("kept worktree"), "{said}");
    assert!(!worktrees.join("gone.01").exists());
    assert_eq!(std::fs::read_to_string(worktrees.join("gone.02/notes.txt")).unwrap(), "not lost");
    std::fs::remove_file(worktrees.join("gone.02/notes.txt")).unwrap();
    mended(&store, "leftovers", "warning", &["gone.02"]);
}

#[test]
fn batches_that_wait_for_somebody_and_claims_that_ran_out_are_told() {
    let store = placed(Store::new(), kept(8));
    let resume = finds(&store, "batches", "warning", &["is paused: a holiday"]).unwrap();
    run(&store, &resume);
    let all = look_with(&store, "batches", &[]);
    assert!(all.iter().all(|(_, message, _)| !message.contains("is paused")), "{all:?}");
    let review = finds(&store, "batches", "warning", &["waits for a person; chunks in review: 1"]).unwrap();
    assert!(run(&store, &review).contains("review"), "{review}");
    mended(&store, "claims", "warning", &["2 expired before their holders released them"]);
}

#[test]
fn a_run_that_was_killed_is_told_and_goes_on() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let script = "test -e go || sleep 600; echo done";
    let mut killed = store.tasktally(["run", "--items", "items.jsonl", "--", "sh", "-c", script]).start();
    eventually("the run to have claimed", || {
        let sql = "SELECT count(*) FROM task WHERE status = 'in_progress' AND role = 'chunk'";
        let exists = store.file().exists();
        exists
            .then(|| store.sql().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0))
            .filter(|at| *at > 0)
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    store.write("go", "");
    mended(
        &store,
        "batches",
        "warning",
        &["made by tasktally run, which ended before the batch was finished"],
    );
    all_well(&store, "leftovers");
}

#[test]
fn a_profile_that_was_paused_is_told_with_why() {
    let failing =
        "[worker.failing]\nper = \"item\"\ncommand = [\"sh\", \"-c\", \"exit 3\"]\nmax_parallel = 1\n";
    let store = Store::new().with_config(failing);
    let mut server = store.serve();
    let id = batch(&mut server, 20, 1, "failing");
    until(&mut server, &id, "paused");
    let command = finds(&store, "batches", "warning", &["is paused", "starts in a row failed"]).unwrap();
    assert!(command.ends_with(&format!("control-batch {id} --action start")), "{command}");
    let config = store.config();
    std::fs::write(&config, failing.replace("exit 3", "echo done")).unwrap();
    run(&store, &command);
    eventually("the batch to end", || {
        let status = stand(&mut server, &id).text("/batch/status");
        matches!(status.as_str(), "done" | "failed").then_some(())
    });
    all_well(&store, "batches");
}
