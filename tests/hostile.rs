//! Hostile agents: whatever they ask for, they choose no command and no place, and reach nobody else's task.
//!
//! The requests stand in `hostile/*.txt`, a line each with how it is refused; after every one of them all rows of
//! all tables are as they were before.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "hostile/scene.rs"]
mod scene;
mod support;

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::json;

use scene::{Scene, differences, rows};
use support::cli::Run;
use support::reply::Reply;
use support::server::Server;
use support::store::Store;

/// A batch of items, two a chunk.
fn batch(server: &mut Server, items: &[&str]) -> String {
    let request = json!({"title": "Sort", "instructions": "Sort it.", "items": items, "max_chunk": 2});
    server.call("create_batch", request).ok().text("/batch/id")
}

fn claim(server: &mut Server, batch: &str) -> Reply {
    server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok()
}

/// A server as the worker of a job is given it.
fn worker(store: &Store, job: &str) -> Server {
    let mut command = store.command();
    command.args(["serve", "--toolset", "worker"]).env("TASKTALLY_JOB", job);
    let mut server = Server::spawn(command);
    server.listen();
    server.initialize("2025-11-25");
    server
}

/// A chunk in the hands of a worker, and all that is none of its business.
struct Held {
    scene: Scene,
    full: Server,
    batch: String,
    chunk: String,
    token: String,
}

impl Held {
    fn new() -> Self {
        let mut scene = Scene::new();
        let mut full = scene.store.serve();
        let task = full.task("Somebody's");
        let other = batch(&mut full, &["x", "y"]);
        let others = claim(&mut full, &other);
        let own = batch(&mut full, &["a", "b", "c", "d"]);
        let held = claim(&mut full, &own);
        let chunk = held.text("/task/id");
        assert_eq!(chunk, format!("{own}.01"));
        let token = held.text("/claim/token");
        // The longer names first.
        scene.names.extend([
            ("$OTHERCHUNK", others.text("/task/id")),
            ("$OTHERTOKEN", others.text("/claim/token")),
            ("$OTHER", other),
            ("$SIBLING", format!("{own}.02")),
            ("$UPPER", chunk.to_uppercase()),
            ("$CHUNK", chunk.clone()),
            ("$BATCH", own.clone()),
            ("$TOKEN", token.clone()),
            ("$TASK", task),
        ]);
        Held { scene, full, batch: own, chunk, token }
    }

    fn job(&self) -> String {
        format!("{}:{}", self.chunk, self.token)
    }
}

#[test]
fn an_agent_names_a_profile_and_chooses_nothing_else() {
    let mut scene = Scene::new();
    let mut server = scene.store.serve();
    let own = batch(&mut server, &["a"]);
    let dots = json!({"title": "Sort", "instructions": "Sort it.", "items": ["a"], "project": ".."});
    let dots = server.call("create_batch", dots).ok().text("/batch/id");
    let task = server.task("A task");
    scene.names.extend([("$CHUNK", format!("{own}.01")), ("$BATCH", own), ("$DOTS", dots), ("$TASK", task)]);
    let here = |name: &str| scene.store.folder().join(name);
    scene.store.write("items.jsonl", "{\"key\": \"a\"}\n");
    symlink(scene.outside("secret.jsonl"), here("link.jsonl")).unwrap();
    symlink(scene.outside(""), here("linked")).unwrap();
    symlink("../link.jsonl", here("code/chain.jsonl")).unwrap();
    symlink("/dev/zero", here("device")).unwrap();
    symlink("nothing", here("nowhere")).unwrap();
    symlink("store/tasktally.db", here("soft.jsonl")).unwrap();
    std::fs::hard_link(scene.store.file(), here("hard.jsonl")).unwrap();
    assert!(Command::new("mkfifo").arg(here("fifo")).status().unwrap().success());
    let _socket = UnixListener::bind(here("socket")).unwrap();
    let count = scene.refuses(&mut server, include_str!("hostile/agent.txt"));
    assert!(count >= 200, "only {count}");
    scene.store.assert_whole();
    // Nor was anything made outside, or beneath the folder where workers may be.
    assert_eq!(std::fs::read_dir(scene.outside("")).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(here("code")).unwrap().count(), 1);
}

#[test]
fn the_worker_of_a_chunk_reaches_nothing_but_its_chunk() {
    let held = Held::new();
    let mut worker = worker(&held.scene.store, &held.job());
    let count = held.scene.refuses(&mut worker, include_str!("hostile/worker.txt"));
    assert!(count >= 150, "only {count}");
}

#[test]
fn what_a_worker_is_shown_names_nobody_elses_task() {
    let mut held = Held::new();
    let waits = json!({"task_title": "After it", "depends_on": [held.chunk]});
    let waits = held.full.call("create_task", waits).ok().text("/task/id");
    let mut worker = worker(&held.scene.store, &held.job());
    let mut shown = String::new();
    for id in [&held.chunk, &held.batch] {
        shown += &worker.call("get_task", json!({"id": id})).ok().value.to_string();
    }
    for (tool, arguments) in [("list_tasks", json!({"limit": 0})), ("claim_task", json!({}))] {
        shown += &worker.call(tool, arguments).ok().value.to_string();
    }
    for (method, params) in [
        ("prompts/list", json!({})),
        ("tools/list", json!({})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "work_chunk"}, "argument": {"name": "batch", "value": ""}}),
        ),
    ] {
        shown += &worker.request(method, params).to_string();
    }
    assert!(shown.contains(&held.chunk), "{shown}");
    let names = ["$OTHER", "$OTHERCHUNK", "$OTHERTOKEN", "$SIBLING", "$TASK"];
    let hidden = held.scene.names.iter().filter(|(name, _)| names.contains(name)).map(|(_, id)| id);
    for id in hidden.chain([&waits]) {
        assert!(!shown.contains(id.as_str()), "{id} is told of: {shown}");
    }
}

#[test]
fn a_worker_that_calls_commands_is_held_to_its_chunk_by_them_too() {
    let held = Held::new();
    let name = |name: &str| held.scene.names.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let (sibling, other, task, chunk, own) =
        (name("$SIBLING"), name("$OTHER"), name("$TASK"), name("$CHUNK"), name("$BATCH"));
    let before = held.scene.rows();
    for (arguments, code, words) in [
        (vec!["get-task", &sibling], 1, "not yours"),
        (vec!["get-task", &task], 1, "not yours"),
        (vec!["update-task", &sibling, "--body", "- x"], 1, "not yours"),
        (vec!["update-task", &chunk, "--body", "- x", "--force"], 2, "cannot pass it"),
        (vec!["update-task", &chunk, "--body", "- x", "--replace-body"], 2, "cannot pass it"),
        (vec!["update-task", &chunk, "--priority", "0"], 2, "cannot pass it"),
        (vec!["update-task", &own, "--status", "cancelled"], 2, "your batch's task"),
        (vec!["complete-task", &chunk, "--force"], 2, "cannot pass it"),
        (vec!["complete-task", &sibling], 1, "not yours"),
        (vec!["complete-tasks", &sibling], 2, "not for the worker"),
        (vec!["claim-task", "--batch", &other], 1, "not yours"),
        (vec!["claim-task", "--project", "p"], 2, "cannot pass it"),
        (vec!["list-tasks", "--parent", &other], 1, "not yours"),
        (vec!["release-task", &other], 1, "not yours"),
        (vec!["create-task", "Mine"], 2, "not for the worker"),
        (vec!["search-tasks", "Somebody"], 2, "not for the worker"),
        (vec!["reset-stalled-tasks", "--hours", "0"], 2, "not for the worker"),
        (vec!["get-batch", &own], 2, "not for the worker"),
        (vec!["review-batch", &own, "--decision", "approve"], 2, "not for the worker"),
        (vec!["control-batch", &own, "--action", "cancel"], 2, "not for the worker"),
        (
            vec!["create-batch", "T", "--instructions", "I", "--items", "[\"a\"]", "--worker", "mail"],
            2,
            "not for the worker",
        ),
        (vec!["add-items", &own, "--items", "[\"z\"]"], 2, "not for the worker"),
        (vec!["work", "--batch", &other, "--worker", "mail"], 2, "TASKTALLY_JOB is set"),
        (vec!["work", "--", "touch", "ran"], 2, "TASKTALLY_JOB is set"),
        (vec!["run", "--items", "items.jsonl", "--", "touch", "ran"], 2, "TASKTALLY_JOB is set"),
        (vec!["report", &other], 2, "TASKTALLY_JOB is set"),
        (vec!["verify"], 2, "TASKTALLY_JOB is set"),
        (vec!["init"], 2, "TASKTALLY_JOB is set"),
        (vec!["manifest"], 2, "TASKTALLY_JOB is set"),
    ] {
        let mut command = held.scene.store.command();
        command.env("TASKTALLY_JOB", held.job());
        let ran = Run::new(command, &arguments).code(code);
        assert!(ran.said().contains(words), "{arguments:?}: no {words:?} in {}", ran.said());
        let after = held.scene.rows();
        assert!(before == after, "{arguments:?}: {}", differences(&before, &after));
    }
    assert!(!held.scene.has_run());
    // It offers no more by another toolset.
    let mut command = held.scene.store.command();
    command.args(["serve", "--toolset", "all"]).env("TASKTALLY_JOB", held.job());
    let mut server = Server::spawn(command);
    server.listen();
    server.initialize("2025-11-25");
    let answer = server.request("tools/list", json!({}));
    assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), 6, "{answer}");
}

#[test]
fn a_job_that_no_runner_gave_opens_nothing() {
    let held = Held::new();
    let other = Store::new();
    let mut elsewhere = other.serve();
    let foreign = batch(&mut elsewhere, &["a"]);
    let foreign = claim(&mut elsewhere, &foreign);
    let name = |name: &str| held.scene.names.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let (chunk, token) = (&held.chunk, &held.token);
    let cut = &token[..token.len() - 1];
    let before = held.scene.rows();
    let no_job = "is no job token, which is CHUNK:TOKEN";
    for (job, words) in [
        (format!("{chunk}:{cut}"), "has ended; stop"),
        (format!("{chunk}:{token}x"), "has ended; stop"),
        (format!("{chunk}:{token}:"), "has ended; stop"),
        (format!("{chunk}:{}", token.to_uppercase()), "has ended; stop"),
        (format!("{chunk}:run-{token}"), "has ended; stop"),
        (format!("{chunk}:{}", name("$OTHERTOKEN")), "has ended; stop"),
        (format!("{}:{token}", name("$SIBLING")), "has ended; stop"),
        (format!("{}:{token}", name("$OTHERCHUNK")), "has ended; stop"),
        (format!("{}:{token}", held.batch), "has ended; stop"),
        (format!("{}:{token}", name("$TASK")), "has ended; stop"),
        (format!("000000000000.01:{token}"), "has ended; stop"),
        (format!("{}:{token}", chunk.to_uppercase()), "has ended; stop"),
        (format!("{}:{}", foreign.text("/task/id"), foreign.text("/claim/token")), "has ended; stop"),
        (format!("{chunk}:*"), "has ended; stop"),
        (format!("{chunk}:%"), "has ended; stop"),
        (format!("{chunk}:null"), "has ended; stop"),
        (chunk.clone(), no_job),
        (format!("{chunk}:"), no_job),
        (format!(":{token}"), no_job),
        (format!("{chunk} :{token}"), no_job),
        (format!("{chunk}:{token} "), no_job),
        (format!("{chunk}: {token}"), no_job),
        (format!("{chunk}:{token}\n"), no_job),
        (format!("../{chunk}:{token}"), no_job),
        (format!("' OR 1=1 --:{token}"), no_job),
        (format!("{chunk}:{}", "x".repeat(10_000)), no_job),
        (":".into(), no_job),
        (" ".into(), no_job),
    ] {
        for arguments in [&["serve", "--toolset", "worker"][..], &["serve"], &["get-task", chunk]] {
            let mut command = held.scene.store.command();
            command.env("TASKTALLY_JOB", &job);
            let ran = Run::new(command, arguments).finish();
            assert!(matches!(ran.code, Some(1 | 2)), "{job}: {arguments:?}: {ran:?}");
            assert!(ran.said().contains(words), "{job}: no {words:?} in {}", ran.said());
            assert!(!ran.said().contains(token.as_str()), "{job}: a token is shown: {}", ran.said());
        }
    }
    // What is no text is no job, and above all not none.
    let mut command = held.scene.store.command();
    command.env("TASKTALLY_JOB", std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    let ran = Run::new(command, ["get-task", chunk]).code(2);
    assert!(ran.said().contains(no_job), "{}", ran.said());
    let after = held.scene.rows();
    assert!(before == after, "{}", differences(&before, &after));
}

#[test]
fn a_token_that_is_not_the_live_one_changes_nothing_and_its_receipt_is_kept_as_late() {
    let held = Held::new();
    let mut worker = worker(&held.scene.store, &held.job());
    let name = |name: &str| held.scene.names.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let cut = held.token[..held.token.len() - 1].to_owned();
    for token in
        [cut, format!("{}x", held.token), name("$OTHERTOKEN"), "run-0123456789abcd".into(), "forged".into()]
    {
        let before = held.scene.rows();
        for (tool, arguments) in [
            ("complete_task", json!({"id": held.chunk, "claim": token})),
            ("release_task", json!({"id": held.chunk, "claim": token, "outcome": "failed", "reason": "- x"})),
            ("update_task", json!({"id": held.chunk, "claim": token})),
            ("update_task", json!({"id": held.chunk, "claim": token, "status": "done"})),
        ] {
            let reply = worker.call(tool, arguments);
            assert_eq!(reply.refusal(), "claim_lost", "{tool}");
            assert!(reply["receipt"].is_null(), "{}", reply.value);
            let after = held.scene.rows();
            assert!(before == after, "{tool}: {}", differences(&before, &after));
        }
        let arguments =
            json!({"id": held.chunk, "claim": token, "item": "a", "outcome": "done", "body": "- a"});
        let reply = worker.call("update_task", arguments);
        assert_eq!(reply.refusal(), "claim_lost");
        assert_eq!(reply["receipt"]["late"], true, "{}", reply.value);
        only_a_late_receipt(&before, &held.scene.store);
    }
    for token in ["", "a b", "a\u{0}b", &"x".repeat(10_000)] {
        let reply = worker.call("complete_task", json!({"id": held.chunk, "claim": token}));
        assert_eq!(reply.refusal(), "invalid_argument", "{}", reply.value);
    }
}

/// Fails where more than a late receipt has come to the store: no item is settled, nothing counted, no claim moved.
#[track_caller]
fn only_a_late_receipt(before: &scene::Rows, store: &Store) {
    let after = rows(store);
    for table in ["item", "chunk", "batch", "category_count"] {
        assert_eq!(before.get(table), after.get(table), "{table}");
    }
    let late = "SELECT count(*) FROM receipt WHERE late";
    let late: i64 = store.sql().query_row(late, [], |row| row.get(0)).unwrap();
    assert!(late > 0, "{}", differences(before, &after));
}

#[test]
fn a_worker_whose_chunk_went_to_another_may_only_say_what_happened() {
    let mut held = Held::new();
    let mut worker = worker(&held.scene.store, &held.job());
    held.full.call("release_task", json!({"id": held.chunk, "claim": held.token, "outcome": "failed"})).ok();
    held.full.call("control_batch", json!({"id": held.batch, "action": "retry"})).ok();
    let again = held.full.call("claim_task", json!({"id": held.chunk, "worker": "next"})).ok();
    assert_ne!(again.text("/claim/token"), held.token);
    let before = held.scene.rows();
    for (tool, arguments) in [
        ("get_task", json!({"id": held.chunk})),
        ("get_task", json!({"id": held.batch})),
        ("list_tasks", json!({})),
        ("claim_task", json!({})),
        ("claim_task", json!({"batch": held.batch})),
        ("complete_task", json!({"id": held.chunk})),
        ("release_task", json!({"id": held.chunk})),
        ("update_task", json!({"id": held.chunk, "status": "done"})),
        ("update_task", json!({"id": held.chunk, "status": "in_progress"})),
    ] {
        let reply = worker.call(tool, arguments.clone());
        assert_eq!(reply.refusal(), "claim_lost", "{tool} {arguments}: {}", reply.value);
        assert!(!reply.value.to_string().contains(&again.text("/claim/token")), "{}", reply.value);
        let after = held.scene.rows();
        assert!(before == after, "{tool}: {}", differences(&before, &after));
    }
    for (tool, arguments) in [
        ("update_task", json!({"id": held.chunk, "item": "a", "outcome": "done", "body": "- a: sent"})),
        ("update_task", json!({"id": held.chunk, "body": "- it may have happened"})),
        ("update_task", json!({"id": held.batch, "body": "- to everybody"})),
        ("complete_task", json!({"id": held.chunk, "summary": "- all done"})),
    ] {
        let reply = worker.call(tool, arguments.clone());
        assert_eq!(reply.refusal(), "claim_lost", "{tool} {arguments}: {}", reply.value);
        assert_eq!(reply["receipt"]["late"], true, "{tool} {arguments}: {}", reply.value);
        only_a_late_receipt(&before, &held.scene.store);
    }
    // And a new process with the old job is no way round.
    let mut command = held.scene.store.command();
    command.env("TASKTALLY_JOB", held.job());
    let ran = Run::new(command, ["get-task", &held.chunk]).code(1);
    assert!(ran.said().contains("has ended; stop"), "{}", ran.said());
}

#[test]
fn a_completion_whose_answer_was_lost_is_told_once_more() {
    let held = Held::new();
    let mut worker = worker(&held.scene.store, &held.job());
    for item in ["a", "b"] {
        worker.call("update_task", json!({"id": held.chunk, "item": item, "outcome": "done"})).ok();
    }
    worker.call("complete_task", json!({"id": held.chunk})).ok();
    let before = held.scene.rows();
    let again = worker.call("complete_task", json!({"id": held.chunk})).ok();
    assert_eq!(again["duplicate"], true, "{}", again.value);
    let after = held.scene.rows();
    assert!(before == after, "{}", differences(&before, &after));
    // And what it says of its chunk to all is no late receipt.
    let said = worker.call("update_task", json!({"id": held.batch, "body": "- chunk 1: 2 done"})).ok();
    assert_eq!(said["receipt"]["late"], false, "{}", said.value);
}

#[test]
fn a_workers_request_key_is_no_other_requests() {
    let mut held = Held::new();
    let mut worker = worker(&held.scene.store, &held.job());
    worker.call("update_task", json!({"id": held.batch, "body": "- mine", "request_key": "deploy"})).ok();
    let again =
        worker.call("update_task", json!({"id": held.batch, "body": "- mine", "request_key": "deploy"}));
    assert_eq!(again.ok()["duplicate"], true);
    let request = json!({"task_title": "Deploy", "request_key": "deploy"});
    held.full.call("create_task", request).ok();
}

#[test]
fn a_clients_name_is_an_author_that_can_be_shown() {
    let store = Store::new();
    let mut server = store.server(&[]);
    server.listen();
    let client = json!({"name": format!("\u{1b}[2J\u{202e}\n{}", "x".repeat(100_000)), "version": "0"});
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    server.request("initialize", hello);
    server.write_line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
    let task = server.task("A task");
    server.call("update_task", json!({"id": task, "body": "- x"})).ok();
    let author: String = store.sql().query_row("SELECT author FROM receipt", [], |row| row.get(0)).unwrap();
    assert!(author.len() < 400 && !author.chars().any(char::is_control), "{author:?}");
}
