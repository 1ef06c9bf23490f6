//! Requests of hostile agents: they can choose neither commands nor paths, and cannot reach other tasks.
//!
//! The requests are in `hostile_requests/*.txt`, one per line with the expected refusal. After each of them every row of
//! every table must be unchanged.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "hostile_requests/request_file.rs"]
mod request_file;
mod support;

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::json;

use request_file::{HostileStore, differences, rows};
use support::cli::Run;
use support::reply::Reply;
use support::server::Server;
use support::store::Store;

/// Creates a batch with two items per chunk. Returns its id.
fn batch(server: &mut Server, items: &[&str]) -> String {
    let request = json!({"title": "Sort", "instructions": "Sort it.", "items": items, "max_chunk": 2});
    server.call("create_batch", request).ok().text("/batch/id")
}

fn claim(server: &mut Server, batch: &str) -> Reply {
    server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok()
}

/// The server that a worker with this job gets.
fn worker_server(store: &Store, job: &str) -> Server {
    let mut command = store.command();
    command.args(["serve", "--toolset", "worker"]).env("TASKTALLY_JOB", job);
    let mut server = Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    server
}

/// A store with a chunk that a worker has claimed, and with other tasks, batches and claims.
struct ClaimedChunk {
    hostile: HostileStore,
    full: Server,
    batch: String,
    chunk: String,
    token: String,
}

impl ClaimedChunk {
    fn new() -> Self {
        let mut hostile = HostileStore::new(Store::new());
        let mut full = hostile.store.serve();
        let task = full.create_task("Another task");
        let other = batch(&mut full, &["x", "y"]);
        let others = claim(&mut full, &other);
        let own = batch(&mut full, &["a", "b", "c", "d"]);
        let claimed = claim(&mut full, &own);
        let chunk = claimed.text("/task/id");
        assert_eq!(chunk, format!("{own}.01"));
        let token = claimed.text("/claim/token");
        // Longer names first, because they are replaced in this order.
        hostile.names.extend([
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
        ClaimedChunk { hostile, full, batch: own, chunk, token }
    }

    fn job(&self) -> String {
        format!("{}:{}", self.chunk, self.token)
    }
}

#[test]
fn an_agent_can_name_a_profile_and_choose_nothing_else() {
    let mut hostile = HostileStore::new(Store::new_sqlite());
    let mut server = hostile.store.serve();
    let own = batch(&mut server, &["a"]);
    let dots = json!({"title": "Sort", "instructions": "Sort it.", "items": ["a"], "project": ".."});
    let dots = server.call("create_batch", dots).ok().text("/batch/id");
    let task = server.create_task("A task");
    hostile.names.extend([
        ("$CHUNK", format!("{own}.01")),
        ("$BATCH", own),
        ("$DOTS", dots),
        ("$TASK", task),
    ]);
    let here = |name: &str| hostile.store.folder().join(name);
    hostile.store.write("items.jsonl", "{\"key\": \"a\"}\n");
    symlink(hostile.outside("secret.jsonl"), here("link.jsonl")).unwrap();
    symlink(hostile.outside(""), here("linked")).unwrap();
    symlink("../link.jsonl", here("code/chain.jsonl")).unwrap();
    symlink("/dev/zero", here("device")).unwrap();
    symlink("nothing", here("nowhere")).unwrap();
    symlink("store/tasktally.db", here("soft.jsonl")).unwrap();
    std::fs::hard_link(hostile.store.file(), here("hard.jsonl")).unwrap();
    assert!(Command::new("mkfifo").arg(here("fifo")).status().unwrap().success());
    let _socket = UnixListener::bind(here("socket")).unwrap();
    let count = hostile.assert_refuses_all(&mut server, include_str!("hostile_requests/agent.txt"));
    assert!(count >= 200, "only {count}");
    hostile.store.assert_whole();
    // A store with a second name is refused when it is opened.
    std::fs::remove_file(here("hard.jsonl")).unwrap();
    let own = hostile.names.iter().find(|(name, _)| *name == "$BATCH").unwrap().1.clone();
    for scope in [&["--project", ".."][..], &["--batch", &own], &["--read-only"], &["--toolset", "worker"]] {
        let mut server = hostile.store.serve_with(scope);
        hostile.assert_changes_nothing(&mut server, include_str!("hostile_requests/agent.txt"));
    }
    // Nothing was created outside the store's folder or in the folder of the workers.
    assert_eq!(std::fs::read_dir(hostile.outside("")).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(here("code")).unwrap().count(), 1);
    assert_eq!(std::fs::read_dir(here("home/code")).unwrap().count(), 0);
}

#[test]
fn the_worker_of_a_chunk_can_reach_only_its_chunk() {
    let claimed = ClaimedChunk::new();
    let mut worker = worker_server(&claimed.hostile.store, &claimed.job());
    let count = claimed.hostile.assert_refuses_all(&mut worker, include_str!("hostile_requests/worker.txt"));
    assert!(count >= 150, "only {count}");
}

#[test]
fn replies_to_a_worker_name_no_other_task() {
    let mut claimed = ClaimedChunk::new();
    let waits = json!({"task_title": "After it", "depends_on": [claimed.chunk]});
    let waits = claimed.full.call("create_task", waits).ok().text("/task/id");
    let mut worker = worker_server(&claimed.hostile.store, &claimed.job());
    let mut shown = String::new();
    for id in [&claimed.chunk, &claimed.batch] {
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
    assert!(shown.contains(&claimed.chunk), "{shown}");
    let names = ["$OTHER", "$OTHERCHUNK", "$OTHERTOKEN", "$SIBLING", "$TASK"];
    let hidden = claimed.hostile.names.iter().filter(|(name, _)| names.contains(name)).map(|(_, id)| id);
    for id in hidden.chain([&waits]) {
        assert!(!shown.contains(id.as_str()), "{id} is shown: {shown}");
    }
}

#[test]
fn a_worker_that_runs_commands_can_reach_only_its_chunk() {
    let claimed = ClaimedChunk::new();
    let name = |name: &str| claimed.hostile.names.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let (sibling, other, task, chunk, own) =
        (name("$SIBLING"), name("$OTHER"), name("$TASK"), name("$CHUNK"), name("$BATCH"));
    let before = claimed.hostile.rows();
    for (arguments, code, words) in [
        (vec!["get-task", &sibling], 1, "outside your scope"),
        (vec!["get-task", &task], 1, "outside your scope"),
        (vec!["update-task", &sibling, "--body", "- x"], 1, "outside your scope"),
        (vec!["update-task", &chunk, "--body", "- x", "--force"], 2, "cannot pass it"),
        (vec!["update-task", &chunk, "--body", "- x", "--replace-body"], 2, "cannot pass it"),
        (vec!["update-task", &chunk, "--priority", "0"], 2, "cannot pass it"),
        (vec!["update-task", &own, "--status", "cancelled"], 2, "the batch's task"),
        (vec!["complete-task", &chunk, "--force"], 2, "cannot pass it"),
        (vec!["complete-task", &sibling], 1, "outside your scope"),
        (vec!["complete-tasks", &sibling], 2, "worker cannot call it"),
        (vec!["claim-task", "--batch", &other], 1, "outside your scope"),
        (vec!["claim-task", "--project", "p"], 2, "cannot pass it"),
        (vec!["list-tasks", "--parent", &other], 1, "outside your scope"),
        (vec!["release-task", &other], 1, "outside your scope"),
        (vec!["create-task", "Mine"], 2, "worker cannot call it"),
        (vec!["search-tasks", "Somebody"], 2, "worker cannot call it"),
        (vec!["reset-stalled-tasks", "--hours", "0"], 2, "worker cannot call it"),
        (vec!["get-batch", &own], 2, "worker cannot call it"),
        (vec!["review-batch", &own, "--decision", "approve"], 2, "worker cannot call it"),
        (vec!["control-batch", &own, "--action", "cancel"], 2, "worker cannot call it"),
        (
            vec!["create-batch", "T", "--instructions", "I", "--items", "[\"a\"]", "--worker", "mail"],
            2,
            "worker cannot call it",
        ),
        (vec!["add-items", &own, "--items", "[\"z\"]"], 2, "worker cannot call it"),
        (vec!["work", "--batch", &other, "--worker", "mail"], 2, "TASKTALLY_JOB is set"),
        (vec!["work", "--", "touch", "ran"], 2, "TASKTALLY_JOB is set"),
        (vec!["run", "--items", "items.jsonl", "--", "touch", "ran"], 2, "TASKTALLY_JOB is set"),
        (vec!["report", &other], 2, "TASKTALLY_JOB is set"),
        (vec!["verify"], 2, "TASKTALLY_JOB is set"),
        (vec!["init"], 2, "TASKTALLY_JOB is set"),
        (vec!["manifest"], 2, "TASKTALLY_JOB is set"),
    ] {
        let mut command = claimed.hostile.store.command();
        command.env("TASKTALLY_JOB", claimed.job());
        let ran = Run::new(command, &arguments).code(code);
        assert!(ran.output().contains(words), "{arguments:?}: no {words:?} in {}", ran.output());
        let after = claimed.hostile.rows();
        assert!(before == after, "{arguments:?}: {}", differences(&before, &after));
    }
    assert!(!claimed.hostile.has_run());
    // Another toolset offers no more tools.
    let mut command = claimed.hostile.store.command();
    command.args(["serve", "--toolset", "all"]).env("TASKTALLY_JOB", claimed.job());
    let mut server = Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    let answer = server.request("tools/list", json!({}));
    assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), 6, "{answer}");
}

#[test]
fn a_forged_job_is_refused() {
    let claimed = ClaimedChunk::new();
    let other = Store::new();
    let mut elsewhere = other.serve();
    let foreign = batch(&mut elsewhere, &["a"]);
    let foreign = claim(&mut elsewhere, &foreign);
    let name = |name: &str| claimed.hostile.names.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let (chunk, token) = (&claimed.chunk, &claimed.token);
    let cut = &token[..token.len() - 1];
    let before = claimed.hostile.rows();
    let no_job = "is not the scope of a worker; allowed: CHUNK:TOKEN";
    for (job, words) in [
        (format!("{chunk}:{cut}"), "has ended; stop"),
        (format!("{chunk}:{token}x"), "has ended; stop"),
        (format!("{chunk}:{token}:"), "has ended; stop"),
        (format!("{chunk}:{}", token.to_uppercase()), "has ended; stop"),
        (format!("{chunk}:run-{token}"), "has ended; stop"),
        (format!("{chunk}:{}", name("$OTHERTOKEN")), "has ended; stop"),
        (format!("{}:{token}", name("$SIBLING")), "has ended; stop"),
        (format!("{}:{token}", name("$OTHERCHUNK")), "has ended; stop"),
        (format!("{}:{token}", claimed.batch), "has ended; stop"),
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
            let mut command = claimed.hostile.store.command();
            command.env("TASKTALLY_JOB", &job);
            let ran = Run::new(command, arguments).finish();
            assert!(matches!(ran.code, Some(1 | 2)), "{job}: {arguments:?}: {ran:?}");
            assert!(ran.output().contains(words), "{job}: no {words:?} in {}", ran.output());
            assert!(!ran.output().contains(token.as_str()), "{job}: a token is shown: {}", ran.output());
        }
    }
    // A job that is not UTF-8 is refused and not treated as if there were no job.
    let mut command = claimed.hostile.store.command();
    command.env("TASKTALLY_JOB", std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    let ran = Run::new(command, ["get-task", chunk]).code(2);
    assert!(ran.output().contains(no_job), "{}", ran.output());
    let after = claimed.hostile.rows();
    assert!(before == after, "{}", differences(&before, &after));
}

#[test]
fn a_wrong_token_changes_nothing_and_its_receipt_is_kept_as_late() {
    let claimed = ClaimedChunk::new();
    let mut worker = worker_server(&claimed.hostile.store, &claimed.job());
    let name = |name: &str| claimed.hostile.names.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let cut = claimed.token[..claimed.token.len() - 1].to_owned();
    for token in [
        cut,
        format!("{}x", claimed.token),
        name("$OTHERTOKEN"),
        "run-0123456789abcd".into(),
        "forged".into(),
    ] {
        let before = claimed.hostile.rows();
        for (tool, arguments) in [
            ("complete_task", json!({"id": claimed.chunk, "claim": token})),
            (
                "release_task",
                json!({"id": claimed.chunk, "claim": token, "outcome": "failed", "reason": "- x"}),
            ),
            ("update_task", json!({"id": claimed.chunk, "claim": token})),
            ("update_task", json!({"id": claimed.chunk, "claim": token, "status": "done"})),
        ] {
            let reply = worker.call(tool, arguments);
            assert_eq!(reply.refusal(), "claim_lost", "{tool}");
            assert!(reply["receipt"].is_null(), "{}", reply.value);
            let after = claimed.hostile.rows();
            assert!(before == after, "{tool}: {}", differences(&before, &after));
        }
        let arguments =
            json!({"id": claimed.chunk, "claim": token, "item": "a", "outcome": "done", "body": "- a"});
        let reply = worker.call("update_task", arguments);
        assert_eq!(reply.refusal(), "claim_lost");
        assert_eq!(reply["receipt"]["late"], true, "{}", reply.value);
        assert_only_late_receipts(&before, &claimed.hostile.store);
    }
    for token in ["a b", "a\u{0}b", &"x".repeat(10_000)] {
        let reply = worker.call("complete_task", json!({"id": claimed.chunk, "claim": token}));
        assert_eq!(reply.refusal(), "invalid_argument", "{}", reply.value);
    }
    // An empty token counts as none, and the scope's own token does not replace it.
    let reply = worker.call("complete_task", json!({"id": claimed.chunk, "claim": ""}));
    assert_eq!(reply.refusal(), "claim_required", "{}", reply.value);
}

/// Asserts that only late receipts were added: no item is settled and no counter or claim changed.
#[track_caller]
fn assert_only_late_receipts(before: &request_file::Rows, store: &Store) {
    let after = rows(store);
    for table in ["item", "chunk", "batch", "category_count"] {
        assert_eq!(before.get(table), after.get(table), "{table}");
    }
    let late = "SELECT count(*) FROM receipt WHERE late = 1";
    let late: i64 = store.sql().row(late, &[]);
    assert!(late > 0, "{}", differences(before, &after));
}

#[test]
fn a_worker_whose_chunk_was_taken_over_can_only_write_late_receipts() {
    let mut claimed = ClaimedChunk::new();
    let mut worker = worker_server(&claimed.hostile.store, &claimed.job());
    claimed
        .full
        .call("release_task", json!({"id": claimed.chunk, "claim": claimed.token, "outcome": "failed"}))
        .ok();
    claimed.full.call("control_batch", json!({"id": claimed.batch, "action": "retry"})).ok();
    let again = claimed.full.call("claim_task", json!({"id": claimed.chunk, "worker": "next"})).ok();
    assert_ne!(again.text("/claim/token"), claimed.token);
    let before = claimed.hostile.rows();
    for (tool, arguments) in [
        ("get_task", json!({"id": claimed.chunk})),
        ("get_task", json!({"id": claimed.batch})),
        ("list_tasks", json!({})),
        ("claim_task", json!({})),
        ("claim_task", json!({"batch": claimed.batch})),
        ("complete_task", json!({"id": claimed.chunk})),
        ("release_task", json!({"id": claimed.chunk})),
        ("update_task", json!({"id": claimed.chunk, "status": "done"})),
        ("update_task", json!({"id": claimed.chunk, "status": "in_progress"})),
    ] {
        let reply = worker.call(tool, arguments.clone());
        assert_eq!(reply.refusal(), "claim_lost", "{tool} {arguments}: {}", reply.value);
        assert!(!reply.value.to_string().contains(&again.text("/claim/token")), "{}", reply.value);
        let after = claimed.hostile.rows();
        assert!(before == after, "{tool}: {}", differences(&before, &after));
    }
    for (tool, arguments) in [
        ("update_task", json!({"id": claimed.chunk, "item": "a", "outcome": "done", "body": "- a: sent"})),
        ("update_task", json!({"id": claimed.chunk, "body": "- it may have happened"})),
        ("update_task", json!({"id": claimed.batch, "body": "- to all workers"})),
        ("complete_task", json!({"id": claimed.chunk, "summary": "- all done"})),
    ] {
        let reply = worker.call(tool, arguments.clone());
        assert_eq!(reply.refusal(), "claim_lost", "{tool} {arguments}: {}", reply.value);
        assert_eq!(reply["receipt"]["late"], true, "{tool} {arguments}: {}", reply.value);
        assert_only_late_receipts(&before, &claimed.hostile.store);
    }
    // A new process with the old job is refused, too.
    let mut command = claimed.hostile.store.command();
    command.env("TASKTALLY_JOB", claimed.job());
    let ran = Run::new(command, ["get-task", &claimed.chunk]).code(1);
    assert!(ran.output().contains("has ended; stop"), "{}", ran.output());
}

#[test]
fn a_repeated_completion_is_a_duplicate() {
    let claimed = ClaimedChunk::new();
    let mut worker = worker_server(&claimed.hostile.store, &claimed.job());
    for item in ["a", "b"] {
        worker.call("update_task", json!({"id": claimed.chunk, "item": item, "outcome": "done"})).ok();
    }
    worker.call("complete_task", json!({"id": claimed.chunk})).ok();
    let before = claimed.hostile.rows();
    let again = worker.call("complete_task", json!({"id": claimed.chunk})).ok();
    assert_eq!(again["duplicate"], true, "{}", again.value);
    let after = claimed.hostile.rows();
    assert!(before == after, "{}", differences(&before, &after));
    // A receipt on the batch after the completion is not late.
    let output = worker.call("update_task", json!({"id": claimed.batch, "body": "- chunk 1: 2 done"})).ok();
    assert_eq!(output["receipt"]["late"], false, "{}", output.value);
}

#[test]
fn a_workers_request_key_does_not_collide_with_the_same_key_of_others() {
    let mut claimed = ClaimedChunk::new();
    let mut worker = worker_server(&claimed.hostile.store, &claimed.job());
    worker.call("update_task", json!({"id": claimed.batch, "body": "- mine", "request_key": "deploy"})).ok();
    let again =
        worker.call("update_task", json!({"id": claimed.batch, "body": "- mine", "request_key": "deploy"}));
    assert_eq!(again.ok()["duplicate"], true);
    let request = json!({"task_title": "Deploy", "request_key": "deploy"});
    claimed.full.call("create_task", request).ok();
}

#[test]
fn a_hostile_client_name_becomes_a_printable_author() {
    let store = Store::new();
    let mut server = store.server(&[]);
    server.start_reading();
    let client = json!({"name": format!("\u{1b}[2J\u{202e}\n{}", "x".repeat(100_000)), "version": "0"});
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    server.request("initialize", hello);
    server.write_line(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
    let task = server.create_task("A task");
    server.call("update_task", json!({"id": task, "body": "- x"})).ok();
    let author: String = store.sql().row("SELECT author FROM receipt", &[]);
    assert!(author.len() < 400 && !author.chars().any(char::is_control), "{author:?}");
}
