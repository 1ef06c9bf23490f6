//! How failures are reported and retried.

mod support;

use serde_json::json;

use support::store::Store;

#[test]
fn a_chunk_without_attempts_left_shows_why_each_attempt_failed() {
    let store = Store::new();
    let mut server = store.serve();
    let batch =
        json!({"title": "B", "instructions": "x", "items": ["a", "b"], "max_chunk": 1, "max_attempts": 3});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let chunk = format!("{id}.01");
    for reason in ["no network", "no disk", "no hope"] {
        store.clear_backoffs();
        let claim = server.call("claim_task", json!({"id": chunk, "worker": "w"})).ok();
        let token = claim["claim"]["token"].clone();
        server.call("release_task", json!({"id": chunk, "claim": token, "reason": reason})).ok();
    }
    let seen = server.call("get_batch", json!({"id": id, "view": "failures"})).ok();
    let reasons = seen.text("/failures/0/reason");
    for (reason, times) in [("no network", 1), ("no disk", 1), ("no hope", 1), ("attempt 3 of 3", 1)] {
        assert_eq!(reasons.matches(reason).count(), times, "{reason}: {reasons}");
    }
    assert_eq!(seen["needs_person"], json!([chunk]));

    // After a retry the earlier reasons stay in the body and are no longer shown as the reason.
    server.call("control_batch", json!({"id": id, "action": "retry", "chunks": [chunk]})).ok();
    let claim = server.call("claim_task", json!({"id": chunk, "worker": "w"})).ok();
    let failed =
        json!({"id": chunk, "claim": claim["claim"]["token"], "reason": "no more", "outcome": "failed"});
    server.call("release_task", failed).ok();
    let seen = server.call("get_batch", json!({"id": id, "view": "failures"})).ok();
    let reasons = seen.text("/failures/0/reason");
    assert!(reasons.contains("no more") && !reasons.contains("no network"), "{reasons}");
    assert!(server.body(&chunk).contains("no network"));
}

#[test]
fn a_retry_of_items_in_a_chunk_that_has_not_ended_is_explained() {
    let store = Store::new();
    let mut server = store.serve();
    let steps = json!([{"name": "look", "instructions": "x"}, {"name": "act", "instructions": "y"}]);
    let batch = json!({"title": "B", "instructions": "x", "items": ["a", "b"], "steps": steps});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": id, "worker": "w"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    for (item, outcome) in [("a", "failed"), ("b", "done")] {
        let receipt = json!({"id": chunk, "claim": token, "item": item, "outcome": outcome});
        server.call("update_task", receipt).ok();
    }
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    let retry = json!({"id": id, "action": "retry", "items": ["a"]});
    let reply = server.call("control_batch", retry.clone()).ok();
    assert!(reply.message().contains("1 chunk with failed items has not ended"), "{}", reply.message());
    let claim = server.call("claim_task", json!({"batch": id, "worker": "w"})).ok();
    let token = claim["claim"]["token"].clone();
    server.call("update_task", json!({"id": chunk, "claim": token, "item": "b", "outcome": "done"})).ok();
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    let reply = server.call("control_batch", retry).ok();
    assert!(reply.message().contains("1 failed item again"), "{}", reply.message());
}

#[test]
fn the_number_of_failures_that_are_not_shown_is_reported() {
    let store = Store::new();
    let items: Vec<String> = (0..120).map(|number| format!("k{number}")).collect();
    store.write(
        "items.jsonl",
        items.iter().map(|key| json!({"key": key}).to_string()).collect::<Vec<_>>().join("\n"),
    );
    store
        .tasktally(["run", "--items", "items.jsonl", "--quiet", "--pause-after-failures", "0", "--", "false"])
        .code(1);
    let mut server = store.serve();
    let found = server.call("list_tasks", json!({"type": "epic", "limit": 1})).ok();
    let seen = server.call("get_batch", json!({"id": found["tasks"][0]["id"], "view": "failures"})).ok();
    assert_eq!(seen["failures"].as_array().map(Vec::len), Some(100));
    assert!(
        seen.message().contains("120 of 120") && seen.message().contains("first 100"),
        "{}",
        seen.message()
    );
}

#[test]
fn failures_of_an_ended_batch_stay_in_sight_until_they_are_retried() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n{\"key\":\"c\"}\n");
    store.write("worker.sh", "[ \"$TASKTALLY_ITEM\" != b ] || [ -e fixed ]");
    let run = ["run", "--items", "items.jsonl", "--quiet", "--", "sh", "worker.sh"];
    let ran = store.tasktally(run).code(1);
    let mut server = store.serve();
    let id = server.call("list_tasks", json!({"type": "epic"})).ok().text("/tasks/0/id");
    for part in
        ["1 of 3 items failed", "--view failures\n", "--action retry\n", &format!("run --resume {id}\n")]
    {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains(&format!("get-batch {id}")), "a command of the terminal: {}", ran.stdout);

    let overview = server.call("get_batch", json!({})).ok();
    assert!(overview.message().contains("1 ended with failures"), "{}", overview.message());
    assert_eq!(overview["batches"][0]["failed"], 1, "{}", overview.value);
    let calls = format!(
        "get_batch(id=\"{id}\", view=\"failures\") shows why; control_batch(id=\"{id}\", action=\"retry\")"
    );
    assert!(overview.text("/next").starts_with(&calls), "{}", overview.value);
    let seen = server.call("get_batch", json!({"id": id})).ok();
    assert!(seen.message().contains("1 of 3 items failed"), "{}", seen.message());
    assert_eq!(seen["next"], overview["next"]);
    let watched = store.tasktally(["watch", &id, "--plain"]).code(1);
    assert!(
        watched.stdout.contains("1 failed; ") && watched.stdout.contains("--view failures"),
        "{}",
        watched.stdout
    );

    store.write("fixed", "");
    let retried = store.tasktally(["control-batch", &id, "--action", "retry"]).success();
    assert!(retried.stdout.contains(&format!("run --resume {id}")), "{}", retried.stdout);
    let resumed = store.tasktally(["run", "--resume", &id, "--quiet"]).success();
    assert!(!resumed.stdout.contains("Next:"), "{}", resumed.stdout);
    let overview = server.call("get_batch", json!({})).ok();
    assert_eq!(overview["batches"], json!([]), "{}", overview.value);
    assert!(server.call("get_batch", json!({"id": id})).ok().get("next").is_none());
}

#[test]
fn chunks_that_failed_as_a_whole_are_counted_as_failures() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = json!({"title": "B", "instructions": "x", "items": ["a", "b", "c"], "max_chunk": 2, "max_attempts": 1});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    for _ in 0..2 {
        let claim = server.call("claim_task", json!({"batch": id})).ok();
        let failed =
            json!({"id": claim["task"]["id"], "claim": claim["claim"]["token"], "reason": "no network"});
        server.call("release_task", failed).ok();
    }
    let seen = server.call("get_batch", json!({"id": id, "view": "failures"})).ok();
    assert_eq!(seen.message(), "2 of 2 chunks failed, 3 items were not processed");
    assert!(seen.text("/next").contains("action=\"retry\""), "{}", seen.value);
    let overview = server.call("get_batch", json!({})).ok();
    assert_eq!(overview["batches"][0]["id"], json!(id), "{}", overview.value);
    // A batch of another project is not in sight.
    let other = server.call("get_batch", json!({"project": "other"})).ok();
    assert_eq!(other["batches"], json!([]), "{}", other.value);
}

#[test]
fn a_person_accepts_failures_and_new_ones_come_into_sight_again() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = json!({"title": "B", "instructions": "x", "items": ["a", "b", "c"], "max_chunk": 2, "max_attempts": 1});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let approve = json!({"id": id, "decision": "approve", "reviewer": "Ann", "note": "known"});
    assert_eq!(
        server.call("review_batch", approve.clone()).declined(),
        "not_ready",
        "nothing has failed yet"
    );
    let fail = |server: &mut support::server::Server| {
        let claim = server.call("claim_task", json!({"batch": id})).ok();
        let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
        for item in claim["items"].as_array().unwrap() {
            let receipt = json!({"id": chunk, "claim": token, "item": item["key"], "outcome": "failed"});
            server.call("update_task", receipt).ok();
        }
        (chunk, token)
    };
    let (first, token) = fail(&mut server);
    server.call("complete_task", json!({"id": first, "claim": token})).ok();
    assert_eq!(server.call("review_batch", approve.clone()).declined(), "not_ready", "the batch is at work");
    let claim = server.call("claim_task", json!({"batch": id})).ok();
    let failed = json!({"id": claim["task"]["id"], "claim": claim["claim"]["token"], "reason": "no network"});
    server.call("release_task", failed).ok();
    let overview = server.call("get_batch", json!({})).ok();
    let call = format!("review_batch(id=\"{id}\", decision=\"approve\")");
    assert!(overview.text("/next").contains(&call), "{}", overview.value);

    let accepted = server.call("review_batch", approve.clone()).ok();
    assert!(
        accepted.message().starts_with("Accepted: 2 of 3 items and 1 of 2 chunks failed"),
        "{}",
        accepted.message()
    );
    assert!(accepted.message().contains("who names 'Ann'), note 'known'; "), "{}", accepted.message());
    let overview = server.call("get_batch", json!({})).ok();
    assert_eq!(
        (&overview["batches"], &overview["needs_person"]),
        (&json!([]), &json!([])),
        "{}",
        overview.value
    );
    let seen = server.call("get_batch", json!({"id": id})).ok();
    assert!(seen.message().contains("failed (accepted)"), "the failures are still told: {}", seen.message());
    assert!(seen.get("next").is_none(), "{}", seen.value);
    assert!(server.body(&id).contains("who names 'Ann') accepted the failures"), "the decision is on record");
    assert_eq!(server.call("review_batch", approve).declined(), "not_ready", "nothing is left to accept");

    // A retry may follow all the same. What fails then was accepted by nobody.
    server.call("control_batch", json!({"id": id, "action": "retry", "chunks": [first]})).ok();
    let (first, token) = fail(&mut server);
    server.call("complete_task", json!({"id": first, "claim": token})).ok();
    let overview = server.call("get_batch", json!({})).ok();
    assert_eq!(overview["batches"][0]["id"], json!(id), "{}", overview.value);
    server.close();
    store.tasktally(["verify"]).success();
}

/// The commands that an output tells to use next, each without what calls the program for this store.
fn next_commands(store: &Store, output: &str) -> Vec<String> {
    let called = format!("tasktally --db {} ", store.url());
    let lines = output.lines().filter(|line| line.contains("tasktally "));
    lines
        .map(|line| {
            line.split_once(&called).unwrap_or_else(|| panic!("no {called:?} in {line:?}")).1.to_owned()
        })
        .collect()
}

#[test]
fn the_commands_at_the_end_of_a_run_and_of_an_approval_can_be_copied() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n{\"key\":\"c\"}\n");
    let run = ["run", "--items", "items.jsonl", "--quiet", "--max-chunk=2", "--"];
    let ran = store.tasktally(run.into_iter().chain(["sh", "-c", "[ $TASKTALLY_ITEM != c ]"])).code(1);
    let commands = next_commands(&store, &ran.stdout);
    let names: Vec<&str> = commands.iter().map(|command| command.split(' ').next().unwrap()).collect();
    let expected = ["get-batch", "report", "verify", "get-batch", "control-batch", "run", "review-batch"];
    assert_eq!(names, expected, "{}", ran.stdout);
    let run = |command: &str| store.tasktally(command.split(' ')).finish();
    let receipts = run(&commands[0]);
    for item in ["a", "b", "c"] {
        assert!(receipts.stdout.contains(&format!(" {item} ")), "{item}: {}", receipts.output());
    }
    for (command, code) in commands.iter().zip([0, 0, 0, 0, 0, 1, 0]) {
        let ran = run(command);
        assert_eq!(ran.code, Some(code), "{command}: {}", ran.output());
        if command.starts_with("review-batch") {
            assert!(ran.stdout.starts_with("Accepted: 1 of 3 items failed; decided by "), "{}", ran.stdout);
            let commands = next_commands(&store, ran.stdout.rsplit("\n\n").next().unwrap());
            assert_eq!(commands.len(), 2, "{}", ran.stdout);
            assert!(commands[0].starts_with("report ") && commands[1] == "verify", "{commands:?}");
        }
    }
}

#[test]
fn the_commands_at_the_end_of_a_run_fit_into_80_columns() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":\"a\"}\n");
    let mut command = store.command();
    command.env_remove("TASKTALLY_DB").env("XDG_DATA_HOME", store.folder().join("data"));
    let ran = command.args(["run", "--items", "items.jsonl", "--", "false"]).output().unwrap();
    let output = String::from_utf8(ran.stdout).unwrap();
    let commands: Vec<&str> = output.lines().filter(|line| line.contains("tasktally ")).collect();
    assert!(commands.len() == 7 && !output.contains("--db"), "{output}");
    assert!(commands.iter().all(|line| line.chars().count() <= 80), "{output}");
}
