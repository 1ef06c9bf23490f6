//! A `tasktally work` or `run` process that was killed: whatever continues its batch takes over at once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::Child;

use serde_json::{Value, json};

use support::background::{item_keys, processes_with, read_batch, wait_for_status};
use support::eventually;
use support::server::Server;
use support::store::Store;

/// Creates a batch of four items in two chunks.
fn create_batch(server: &mut Server) -> String {
    let request = json!({"title": "B", "instructions": "x", "items": item_keys(4), "max_chunk": 2});
    server.call("create_batch", request).ok().text("/batch/id")
}

/// The worker's script: it waits until the file `go` exists.
const SCRIPT: &str = "while ! [ -e go ]; do sleep 0.05; done; echo '- read'";

/// Starts `tasktally work` on a batch, waits until both chunks are claimed, and kills it.
fn work_and_kill(store: &Store, server: &mut Server, batch: &str) {
    let work = ["work", "--batch", batch, "--workers", "2", "--", "sh", "-c", SCRIPT];
    let mut child: Child = store.tasktally(work).start();
    eventually("both chunks to be claimed", || {
        let chunks = read_batch(server, batch)["chunks"].clone();
        chunks.as_array().unwrap().iter().all(|chunk| chunk["status"] == "in_progress").then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    store.write("go", "");
}

#[track_caller]
fn assert_done(server: &mut Server, batch: &str) {
    let ended = wait_for_status(server, batch, "done");
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 4}));
}

#[test]
fn another_work_takes_over_from_a_killed_one() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server);
    work_and_kill(&store, &mut server, &batch);
    store.tasktally(["work", "--batch", &batch, "--", "true"]).success();
    assert_done(&mut server, &batch);
    // Also without naming the batch.
    std::fs::remove_file(store.folder().join("go")).unwrap();
    let batch = create_batch(&mut server);
    work_and_kill(&store, &mut server, &batch);
    store.tasktally(["work", "--", "true"]).success();
    assert_done(&mut server, &batch);
}

#[test]
fn run_takes_over_from_a_killed_work_and_work_from_a_killed_run() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server);
    work_and_kill(&store, &mut server, &batch);
    store.tasktally(["run", "--resume", &batch, "--quiet", "--", "true"]).success();
    assert_done(&mut server, &batch);

    std::fs::remove_file(store.folder().join("go")).unwrap();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let mut run = store.tasktally(["run", "--items", "items.jsonl", "--", "sh", "-c", SCRIPT]).start();
    let batch = eventually("the run to claim", || {
        let found = server.call("list_tasks", json!({"status": "in_progress", "limit": 0})).ok();
        let tasks = found["tasks"].as_array()?.clone();
        tasks.iter().find_map(|task| task["id"].as_str()?.split_once('.').map(|(batch, _)| batch.to_owned()))
    });
    run.kill().unwrap();
    run.wait().unwrap();
    store.tasktally(["work", "--batch", &batch, "--", "true"]).success();
    let ended = wait_for_status(&mut server, &batch, "done");
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 2}));
}

#[test]
fn a_background_runner_takes_over_from_a_killed_work() {
    let store = Store::new().with_config("[worker.w]\nper = \"item\"\ncommand = [\"true\"]\n");
    let mut server = store.serve();
    let batch = create_batch(&mut server);
    work_and_kill(&store, &mut server, &batch);
    server.call("control_batch", json!({"id": batch, "action": "start", "worker": "w"})).ok();
    assert_done(&mut server, &batch);
}

#[test]
fn a_work_that_lives_keeps_its_claims() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server);
    let work = ["work", "--batch", &batch, "--workers", "2", "--", "sh", "-c", SCRIPT];
    let mut living = store.tasktally(work).start();
    eventually("both chunks to be claimed", || {
        let chunks = read_batch(&mut server, &batch)["chunks"].clone();
        chunks.as_array().unwrap().iter().all(|chunk| chunk["status"] == "in_progress").then_some(())
    });
    let ran = store.tasktally(["work", "--batch", &batch, "--", "false"]).code(3);
    assert!(
        ran.output().contains("next comes free") || ran.output().contains("No ready task"),
        "{}",
        ran.output()
    );
    store.tasktally(["doctor", "--fix"]).finish();
    let ran = store.tasktally(["run", "--resume", &batch, "--", "false"]).code(1);
    assert!(ran.output().contains(&format!("run --resume {batch}")), "{}", ran.output());
    store.write("go", "");
    assert!(living.wait().unwrap().success());
    assert_done(&mut server, &batch);
}

#[test]
fn doctor_finds_and_releases_the_claims_of_a_killed_work() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server);
    work_and_kill(&store, &mut server, &batch);
    eventually("its processes to end", || processes_with(SCRIPT).is_empty().then_some(()));
    let found = store.tasktally(["doctor"]).finish().output();
    assert!(found.contains("locks that no process holds"), "{found}");
    store.tasktally(["doctor", "--fix"]).finish();
    let chunks = read_batch(&mut server, &batch)["chunks"].clone();
    assert!(chunks.as_array().unwrap().iter().all(|chunk| chunk["status"] == "active"), "{chunks}");
    let left: Vec<String> = std::fs::read_dir(store.data_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("work-"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn two_stores_in_one_folder_leave_each_other_alone() {
    let config = format!("[worker.w]\nper = \"item\"\ncommand = [\"sh\", \"-c\", {SCRIPT:?}]\n");
    let store = Store::new_sqlite().with_config(&config);
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "x", "items": ["a"], "worker": "w"});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    eventually("the item to be started", || {
        (read_batch(&mut server, &batch)["chunks"][0]["status"] == "in_progress").then_some(())
    });
    let other = store.data_folder().join("other.db");
    let other = other.to_str().unwrap();
    store.tasktally(["--db", other, "create-task", "T"]).success();
    let files = || {
        let mut names = Vec::new();
        for folder in ["", "jobs", "logs", "work"] {
            let folder = store.data_folder().join(folder);
            names.extend(std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()));
        }
        names.sort();
        names.retain(|name| !name.to_string_lossy().contains("other.db"));
        names
    };
    let before = files();
    store.tasktally(["--db", other, "doctor", "--fix"]).finish();
    store.tasktally(["--db", other, "work", "--", "true"]).finish();
    assert_eq!(files(), before);
    std::fs::write(store.data_folder().join("work").join(format!("{batch}.01/go")), "").unwrap();
    wait_for_status(&mut server, &batch, "done");
}

#[test]
fn a_program_that_cannot_run_is_refused_before_anything_is_created_or_claimed() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n");
    let crlf = store.write("crlf.sh", "#!/bin/sh\r\necho\r\n");
    std::fs::set_permissions(&crlf, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (command, part) in [
        ("./nofile.sh", "./nofile.sh does not exist"),
        ("no-such-program", "no program 'no-such-program' in PATH"),
        ("./crlf.sh", "CRLF"),
        ("./items.jsonl", "chmod +x"),
    ] {
        let ran = store.tasktally(["run", "--items", "items.jsonl", "--", command]).code(2);
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        store.tasktally(["work", "--", command]).code(2);
    }
    let all: Value = store.tasktally(["list-tasks", "--json"]).success().json();
    assert_eq!(all["total"], 0, "a batch was created");
}
