//! `tasktally run --resume`: which items it processes and which it leaves to other workers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;

use serde_json::{Value, json};

use support::cli::Run;
use support::store::Store;
use support::{eventually, send_signal, wait_for_exit};

const ITEMS: usize = 30;

/// A store with thirty items for three chunks and a slow worker.
fn a_store_with_items() -> Store {
    let store = Store::new();
    let item = |n: usize| json!({"key": format!("k{n:02}"), "date": format!("2025-{:02}-15", 10 + n % 3)});
    let lines: Vec<String> = (0..ITEMS).map(|n| item(n).to_string()).collect();
    store.write("items.jsonl", lines.join("\n"));
    store.write(
        "worker.sh",
        "printf '%s\\n' \"$TASKTALLY_ITEM\" >> \"$1\"; sleep 0.1; echo \"- did $TASKTALLY_ITEM\"",
    );
    store
}

fn run(store: &Store, from: &[&str]) -> Run {
    let args =
        [&["run"], from, &["--workers", "3", "--quiet", "--", "sh", "worker.sh", "starts.log"]].concat();
    store.tasktally(args)
}

const NEW_RUN: &[&str] = &["--items", "items.jsonl", "--split", "month:date"];

/// How often the command of each item was started.
fn starts(store: &Store) -> HashMap<String, usize> {
    let log = std::fs::read_to_string(store.folder().join("starts.log")).unwrap_or_default();
    let mut starts = HashMap::new();
    for key in log.lines() {
        *starts.entry(key.to_owned()).or_insert(0) += 1;
    }
    starts
}

fn batch_of(store: &Store) -> String {
    let listed = store.serve().call("list_tasks", json!({"limit": 0})).ok();
    let parent = listed["tasks"].as_array().unwrap().iter().find_map(|task| task["parent"].as_str());
    parent.unwrap().to_owned()
}

/// The counts of the batch.
fn progress(store: &Store, batch: &str) -> Value {
    store.serve().call("get_batch", json!({"id": batch})).ok()["batch"].clone()
}

fn assert_each_item_ran_once(store: &Store) {
    let starts = starts(store);
    assert_eq!(starts.len(), ITEMS);
    assert!(starts.values().all(|count| *count == 1), "{starts:?}");
}

#[test]
fn a_second_run_of_the_same_batch_is_refused_and_does_not_disturb_the_first() {
    let store = a_store_with_items();
    let mut first = run(&store, NEW_RUN).start();
    eventually("the first run to start items", || (starts(&store).len() > 2).then_some(()));
    let batch = batch_of(&store);
    let second = run(&store, &["--resume", &batch]).finish();
    assert!(matches!(second.code, Some(1 | 2)), "{second:?}");
    assert!(second.output().contains(&batch), "{second:?}");
    assert!(wait_for_exit(&mut first).success());
    assert_each_item_ran_once(&store);
}

#[test]
fn an_interrupted_run_finishes_its_started_items_and_can_be_resumed() {
    let store = a_store_with_items();
    let mut first = run(&store, NEW_RUN).start();
    eventually("the run to start items", || (starts(&store).len() > 2).then_some(()));
    send_signal("INT", first.id());
    assert_eq!(wait_for_exit(&mut first).code(), Some(1));
    let batch = batch_of(&store);
    let processed = progress(&store, &batch)["processed"].as_u64().unwrap() as usize;
    assert_eq!(processed, starts(&store).len(), "a started item has no receipt");
    assert!(processed < ITEMS, "no item was left for the resumed run");
    run(&store, &["--resume", &batch]).success();
    assert_each_item_ran_once(&store);
    assert_eq!(progress(&store, &batch)["outcomes"]["done"], ITEMS);
    run(&store, &["--resume", &batch]).code(3);
    assert_each_item_ran_once(&store);
}

#[test]
fn a_resumed_run_uses_the_command_of_the_first_run() {
    let store = a_store_with_items();
    let mut first = run(&store, NEW_RUN).start();
    eventually("the run to start items", || (starts(&store).len() > 2).then_some(()));
    first.kill().unwrap();
    first.wait().unwrap();
    let batch = batch_of(&store);
    store.tasktally(["run", "--resume", &batch, "--quiet"]).success();
    assert_eq!(starts(&store).len(), ITEMS);
    assert_eq!(progress(&store, &batch)["outcomes"]["done"], ITEMS);
}

#[test]
fn a_resumed_run_does_not_touch_the_live_claim_of_an_agent() {
    let store = a_store_with_items();
    let mut agent = store.serve();
    let split = json!({"by": "time", "field": "date", "period": "month"});
    let made = agent.call(
        "create_batch",
        json!({"title": "Mail", "instructions": "Sort.", "source": {"path": "items.jsonl"}, "split": split}),
    );
    let batch = made.ok().text("/batch/id");
    for name in ["polecat", "run-4711"] {
        // A released chunk can be claimed only after its backoff.
        let claimed = eventually("a chunk to be claimed", || {
            let claimed = agent.call("claim_task", json!({"worker": name, "batch": batch}));
            claimed.succeeded().then_some(claimed)
        });
        let (chunk, token) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
        let key = claimed.text("/items/0/key");
        run(&store, &["--resume", &batch]).finish();
        let settle =
            json!({"id": chunk, "claim": token, "item": key, "outcome": "skipped", "body": "- mine"});
        let reply = agent.call("update_task", settle);
        assert!(reply.succeeded(), "{name}: {}", reply.value);
        assert!(!starts(&store).contains_key(&key), "{name}: the run did the agent's item");
        agent.call("release_task", json!({"id": chunk, "claim": token})).ok();
    }
}

/// Adds items to the items file.
fn grow(store: &Store, items: usize) {
    let item = |n: usize| json!({"key": format!("k{n:02}"), "date": format!("2025-{:02}-15", 10 + n % 3)});
    let lines: Vec<String> = (0..items).map(|n| item(n).to_string()).collect();
    store.write("items.jsonl", lines.join("\n"));
}

#[test]
fn a_resumed_run_with_items_adds_only_new_items() {
    let store = a_store_with_items();
    let mut first = run(&store, NEW_RUN).start();
    eventually("the run to start items", || (starts(&store).len() > 2).then_some(()));
    send_signal("INT", first.id());
    assert_eq!(wait_for_exit(&mut first).code(), Some(1));
    let batch = batch_of(&store);
    grow(&store, 40);
    let args = ["run", "--resume", &batch, "--items", "items.jsonl", "--workers", "3", "--json"];
    let ran = store.tasktally(args).success();
    let added = ran.stdout.lines().find(|line| line.contains(r#""event":"added""#)).unwrap();
    let added: Value = serde_json::from_str(added).unwrap();
    assert_eq!((&added["added"], &added["known"]), (&json!(10), &json!(ITEMS)), "{added}");
    let starts = starts(&store);
    assert_eq!(starts.len(), 40);
    assert!(starts.values().all(|count| *count == 1), "{starts:?}");
    let standing = progress(&store, &batch);
    assert_eq!((&standing["total"], &standing["outcomes"]["done"]), (&json!(40), &json!(40)));
    let receipts: u64 = store.sql().row("SELECT count(*) FROM receipt WHERE outcome <> 'started'", &[]);
    assert_eq!(receipts, 40, "an item has a second receipt");
}

#[test]
fn a_run_that_has_ended_accepts_no_items_and_says_what_to_do() {
    let store = a_store_with_items();
    run(&store, NEW_RUN).success();
    let batch = batch_of(&store);
    let again = ["--resume", &batch, "--items", "items.jsonl"];
    run(&store, &again).code(3);
    grow(&store, 31);
    let refused = run(&store, &again).code(1);
    assert!(refused.output().contains("is done") && refused.output().contains("new batch"), "{refused:?}");
    assert_each_item_ran_once(&store);
}

#[test]
fn the_same_run_again_is_refused_while_the_first_one_is_not_finished() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let script = "echo $TASKTALLY_ITEM >> ran; test $TASKTALLY_ITEM = b || test -e go";
    let run = |more: &[&str], script: &str| {
        let words =
            [&["run", "--items", "./items.jsonl", "--workers", "1", "--pause-after-failures", "1"], more];
        store.tasktally([&words.concat()[..], &["--", "sh", "-c", script]].concat())
    };
    run(&[], script).code(1);
    let batch = batch_of(&store);
    let starts = || std::fs::read_to_string(store.folder().join("ran")).unwrap().lines().count();
    let before = starts();
    let refused = run(&[], script).code(1);
    let resume = format!("run --resume {batch}");
    for part in [batch.as_str(), "1 of 2 items", &resume, "--new"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert_eq!(starts(), before, "something ran");
    // Another command is other work; so is another file.
    run(&[], "true").success();
    run(&["--new"], script).code(1);
    store.write("go", "");
    run(&["--new"], script).success();
}

#[test]
fn the_same_run_again_is_refused_while_failures_can_be_retried() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let script = "echo $TASKTALLY_ITEM >> ran; test $TASKTALLY_ITEM = a || test -e go";
    let run = |more: &[&str]| {
        let words = [&["run", "--items", "items.jsonl"], more, &["--", "sh", "-c", script]];
        store.tasktally(words.concat())
    };
    let ran = || std::fs::read_to_string(store.folder().join("ran")).unwrap().lines().count();
    run(&[]).code(1);
    let batch = batch_of(&store);
    assert_eq!(ran(), 2);
    let refused = run(&[]).code(1);
    let (retry, accept) = (format!("control-batch {batch} retry"), format!("review-batch {batch} approve"));
    for part in
        [batch.as_str(), "1 of 2 items failed", &retry, &format!("run --resume {batch}"), &accept, "--new"]
    {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert_eq!(ran(), 2, "something ran");
    // The commands that it names work only on what failed.
    store.write("go", "");
    store.tasktally(["control-batch", &batch, "retry"]).success();
    store.tasktally(["run", "--resume", &batch]).success();
    assert_eq!(ran(), 3);
    // Without failures there is nothing to refuse for.
    run(&[]).success();
    assert_eq!(ran(), 5);
}

#[test]
fn accepted_failures_do_not_stop_the_next_run() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n");
    let run = |more: &[&str]| {
        store.tasktally([&["run", "--items", "items.jsonl"], more, &["--", "false"]].concat()).code(1)
    };
    run(&[]);
    assert!(run(&[]).stderr.contains("--new"));
    run(&["--new"]);
    let failed = store.tasktally(["get-batch", "--json"]).success().json();
    for batch in failed["batches"].as_array().unwrap() {
        store.tasktally(["review-batch", batch["id"].as_str().unwrap(), "approve"]).success();
    }
    assert!(!run(&[]).stderr.contains("--new"));
}

#[test]
fn a_resumed_run_continues_in_the_folder_of_the_first_one() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let script = store.write("step.sh", "#!/bin/sh\ntest $TASKTALLY_ITEM = b || test -e go\n");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let first = ["run", "--items", "items.jsonl", "--workers", "1", "--", "./step.sh"];
    store.tasktally([&first[..5], &["--pause-after-failures", "1"], &first[5..]].concat()).code(1);
    let batch = batch_of(&store);
    store.write("go", "");
    let elsewhere = tempfile::tempdir().unwrap();
    let resume = |folder: &std::path::Path, words: &[&str]| {
        let mut command = store.command();
        command.current_dir(folder);
        Run::new(command, [&["run", "--resume", &batch, "--quiet"], words].concat())
    };
    // A command of its own runs in the current folder.
    let refused = resume(elsewhere.path(), &["--", "./step.sh"]).code(2);
    assert!(refused.stderr.contains("./step.sh does not exist"), "{}", refused.stderr);
    resume(elsewhere.path(), &[]).code(1);
    assert_eq!(progress(&store, &batch)["outcomes"], json!({"done": 1, "failed": 1}));
}

#[test]
fn options_that_do_nothing_with_resume_are_refused() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n");
    store.tasktally(["run", "--items", "items.jsonl", "--", "true"]).success();
    let batch = batch_of(&store);
    for option in ["--split", "--key", "--max-chunk", "--title", "--project", "--on-bad-item"] {
        let value = match option {
            "--max-chunk" => "5",
            "--on-bad-item" => "skip",
            "--split" => "size",
            _ => "x",
        };
        let refused = store.tasktally(["run", "--resume", &batch, option, value]).code(2);
        assert!(refused.stderr.contains(option) || refused.stderr.contains("--items"), "{}", refused.stderr);
    }
    store.tasktally(["run", "--resume", &batch, "--new"]).code(2);
}

/// A new run that another program starts.
fn run_by(store: &Store, program: &[&str]) -> std::process::Child {
    let mut command = std::process::Command::new(program[0]);
    command.args(&program[1..]).arg(env!("CARGO_BIN_EXE_tasktally"));
    let template = store.command();
    command.current_dir(store.folder());
    command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.arg("run").args(NEW_RUN);
    command.args(["--workers", "3", "--quiet", "--", "sh", "worker.sh", "starts.log"]);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap()
}

#[test]
fn a_closed_terminal_ends_a_run_as_term_does_unless_hangups_are_ignored() {
    let store = a_store_with_items();
    // The tests themselves may run under nohup, so `env` restores the default action.
    let mut first = run_by(&store, &["env", "--default-signal=HUP"]);
    eventually("some items to start", || (starts(&store).len() >= 3).then_some(()));
    // The kernel and the shell may both send one.
    send_signal("HUP", first.id());
    send_signal("HUP", first.id());
    wait_for_exit(&mut first);
    let batch = batch_of(&store);
    let stopped = progress(&store, &batch);
    let processed = stopped["processed"].as_u64().unwrap();
    assert!((3..ITEMS as u64).contains(&processed), "{stopped}");
    assert_eq!(stopped["in_doubt"], 0, "an item was interrupted: {stopped}");
    run(&store, &["--resume", &batch]).success();
    assert_each_item_ran_once(&store);

    // As under nohup.
    let store = a_store_with_items();
    let mut ignoring = run_by(&store, &["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]);
    eventually("some items to start", || (starts(&store).len() >= 3).then_some(()));
    send_signal("HUP", ignoring.id());
    assert!(wait_for_exit(&mut ignoring).success());
    assert_each_item_ran_once(&store);
}
