//! Workers that fail: temporary failures are tried again, and a batch whose work fails is paused instead of lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::background::{item_keys, read_batch, start_batch, wait_for_status};
use support::eventually;
use support::server::Server;
use support::steps::{claim_chunk, create_batch, two_step_batch, work_chunk};
use support::store::Store;

/// A profile whose worker is a shell script. It runs in a folder of its chunk in the store's folder.
fn profile(per: &str, script: &str, more: &str) -> String {
    format!("[worker.w]\nper = {per:?}\ncommand = [\"sh\", \"-c\", {script:?}]\n{more}\n")
}

/// Items in a file, and the words of `tasktally run` over it.
fn items(store: &Store, count: usize) {
    let lines = item_keys(count);
    let lines = lines.as_array().unwrap().iter().map(|key| json!({ "key": key }).to_string());
    store.write("items.jsonl", lines.collect::<Vec<_>>().join("\n"));
}

/// The events of `tasktally run --json`.
fn events(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_item_that_fails_temporarily_is_tried_again_after_the_others() {
    let store = Store::new();
    items(&store, 3);
    let script = "if [ $TASKTALLY_ITEM = item-002 ] && ! [ -e tried-twice ]; then
        if [ -e tried ]; then touch tried-twice; else touch tried; fi
        echo 'the service is busy' >&2; exit 75; fi; echo '- read'";
    let run = ["run", "--items", "items.jsonl", "--workers", "1", "--json", "--", "sh", "-c", script];
    let ran = store.tasktally(run).success();
    let events = events(&ran.stdout);
    let settled: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "item")
        .map(|event| event["item"].as_str().unwrap())
        .collect();
    assert_eq!(settled, ["item-001", "item-003", "item-002"]);
    let notes: Vec<&str> = events.iter().filter_map(|event| event["message"].as_str()).collect();
    for delay in ["tried again in 1 s", "tried again in 2 s"] {
        let note = notes.iter().find(|note| note.contains(delay));
        assert!(note.is_some_and(|note| note.contains("the service is busy")), "{delay}: {notes:?}");
    }
    assert_eq!(events.last().unwrap()["batch"]["outcomes"], json!({"done": 3}));
}

#[test]
fn an_outage_leaves_all_items_open_and_they_are_done_when_it_is_over() {
    let script = "test -e ../../up || { echo 'no network' >&2; exit 75; }";
    let store = Store::new().with_config(&profile(
        "item",
        script,
        "retry = { first_delay_s = 0.05, longest_delay_s = 0.1 }",
    ));
    let mut server = store.serve();
    let id = start_batch(&mut server, 20, 5, "w");
    eventually("the batch to say what it waits for", || {
        let batch = read_batch(&mut server, &id);
        let reason = batch.pointer("/batch/runner/waits_for").and_then(Value::as_str).unwrap_or_default();
        (reason.contains("tried again") && reason.contains("no network")).then_some(())
    });
    let open = read_batch(&mut server, &id);
    assert_eq!((open.text("/batch/status").as_str(), open.count("/batch/processed")), ("running", 0));
    std::fs::write(store.data_folder().join("up"), "").unwrap();
    let ended = wait_for_status(&mut server, &id, "done");
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 20}));
}

#[test]
fn retries_that_end_pause_the_batch_or_fail_the_item_if_others_succeed() {
    let retry = "retry = { first_delay_s = 0.01, total_s = 0.05 }";
    let store = Store::new().with_config(&profile("item", "exit 75", retry));
    let mut server = store.serve();
    let id = start_batch(&mut server, 3, 3, "w");
    let paused = wait_for_status(&mut server, &id, "paused");
    assert_eq!(paused.count("/batch/processed"), 0);
    let why = paused.text("/batch/paused");
    assert!(why.contains("exit code 75") && why.contains("action=\"resume\""), "{why}");

    let only_one = "test $TASKTALLY_ITEM != item-002 || exit 75";
    let store = Store::new().with_config(&profile("item", only_one, retry));
    let mut server = store.serve();
    let id = start_batch(&mut server, 5, 5, "w");
    let ended = wait_for_status(&mut server, &id, "done");
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 4, "failed": 1}));
    assert!(server.body(&format!("{id}.01")).contains("times within"));
}

#[test]
fn a_command_says_when_it_can_be_tried_again() {
    let script = "echo 'too many requests' >&2; echo 'Retry-After: 1234' >&2; exit 75";
    let store = Store::new().with_config(&profile("item", script, ""));
    let mut server = store.serve();
    let id = start_batch(&mut server, 1, 1, "w");
    let log = store.data_folder().join("logs").join(format!("runner-{id}.log"));
    eventually("the runner to log the delay", || {
        std::fs::read_to_string(&log).ok()?.contains("tried again in 1234 s").then_some(())
    });
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
}

#[test]
fn a_person_can_pause_and_stop_a_batch_whose_items_wait() {
    let store = Store::new().with_config(&profile(
        "item",
        "exit 75",
        "retry = { first_delay_s = 600, longest_delay_s = 900 }",
    ));
    let mut server = store.serve();
    let id = start_batch(&mut server, 1, 1, "w");
    eventually("the item to be tried", || {
        read_batch(&mut server, &id).pointer("/batch/runner/waits_for").map(|_| ())
    });
    server.call("control_batch", json!({"id": id, "action": "pause"})).ok();
    eventually("the chunk to be released", || {
        (read_batch(&mut server, &id)["chunks"][0]["status"] == "active").then_some(())
    });
}

#[test]
fn failures_in_a_row_pause_the_batch_and_the_rest_stays_open() {
    // The first item is done, then everything fails.
    let store = Store::new();
    items(&store, 200);
    let script = "test $TASKTALLY_ITEM = item-001 || { echo 'no such host' >&2; exit 1; }";
    let run = ["run", "--items", "items.jsonl", "--workers", "1", "--json", "--", "sh", "-c", script];
    let ran = store.tasktally(run).code(1);
    let end = events(&ran.stdout).pop().unwrap();
    assert_eq!(end["batch"]["status"], "paused");
    assert_eq!(end["batch"]["outcomes"], json!({"done": 1, "failed": 10}));
    let why = end["batch"]["paused"].as_str().unwrap();
    for part in ["10 failures in a row", "no such host", "item-011", "resume", "retry"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert_eq!(end["batch"]["in_doubt"], 0);

    // At a terminal, the remedy is a command.
    let shown = store.tasktally(["get-batch", end["batch"]["id"].as_str().unwrap()]).success();
    assert!(shown.stdout.contains("--action resume"), "{}", shown.stdout);

    // With several workers, the items in hand end as well.
    let store = Store::new();
    items(&store, 200);
    let run = ["run", "--items", "items.jsonl", "--max-chunk", "10", "--json", "--", "false"];
    let end = events(&store.tasktally(run).code(1).stdout).pop().unwrap();
    let failed = end["batch"]["outcomes"]["failed"].as_u64().unwrap();
    assert!((5..=12).contains(&failed), "{failed} of 200 failed, though nothing has succeeded");
    assert_eq!(end["batch"]["status"], "paused");

    let store = Store::new();
    items(&store, 30);
    let run = ["run", "--items", "items.jsonl", "--pause-after-failures", "0", "--json", "--", "false"];
    let end = events(&store.tasktally(run).code(1).stdout).pop().unwrap();
    assert_eq!(end["batch"]["outcomes"], json!({"failed": 30}));
}

#[test]
fn slow_failures_of_chunk_workers_pause_the_batch_before_any_chunk_fails() {
    let store = Store::new().with_config(&profile("chunk", "sleep 1.1; echo 'not logged in'; exit 1", ""));
    let mut server = store.serve();
    let id = start_batch(&mut server, 8, 1, "w");
    let paused = wait_for_status(&mut server, &id, "paused");
    assert!(paused.text("/batch/paused").contains("5 failures in a row"), "{}", paused.text("/batch/paused"));
    eventually("all workers to end", || {
        let chunks = read_batch(&mut server, &id)["chunks"].clone();
        chunks.as_array().unwrap().iter().all(|chunk| chunk["status"] == "active").then_some(())
    });
}

#[test]
fn a_temporary_failure_of_a_chunk_worker_is_no_attempt() {
    let script = "echo tried >> ../../tries; exit 75";
    let retry = "retry = { first_delay_s = 0.01, factor = 1, longest_delay_s = 0.01 }";
    let store = Store::new().with_config(&profile("chunk", script, retry));
    let mut server = store.serve();
    let request =
        json!({"title": "B", "instructions": "x", "items": ["a"], "max_attempts": 1, "worker": "w"});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    eventually("the worker to be started three times", || {
        let tries = std::fs::read_to_string(store.data_folder().join("tries")).unwrap_or_default();
        (tries.lines().count() >= 3).then_some(())
    });
    assert_eq!(read_batch(&mut server, &id)["batch"]["status"], "running");
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
}

#[test]
fn max_failures_stops_after_the_items_in_hand() {
    let store =
        Store::new().with_config(&profile("item", "test $TASKTALLY_ITEM = item-001", "max_parallel = 2"));
    let mut server = store.serve();
    let request =
        json!({"title": "B", "instructions": "x", "items": item_keys(200), "max_failures": 3, "worker": "w"});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    let paused = wait_for_status(&mut server, &id, "paused");
    assert!(paused.text("/batch/paused").contains("max_failures"), "{}", paused.text("/batch/paused"));
    let ended = eventually("all workers to end", || {
        let batch = read_batch(&mut server, &id);
        let chunks = batch["chunks"].as_array().unwrap().clone();
        chunks.iter().all(|chunk| chunk["status"] == "active").then_some(batch)
    });
    let failed = ended.count("/batch/outcomes/failed");
    assert!((4..=5).contains(&failed), "{failed} failed with two workers");
    assert_eq!(ended.count("/batch/in_doubt"), 0);
}

#[test]
fn failed_items_can_be_retried_by_chunk_key_or_category() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(
        &mut server,
        json!({"title": "B", "instructions": "x", "items": ["a", "b", "c", "d"], "max_chunk": 2}),
    );
    for _ in 0..2 {
        let chunk = claim_chunk(&mut server, &batch);
        let (id, token) = (&chunk["task"]["id"], &chunk["claim"]["token"]);
        for (item, category) in chunk["items"].as_array().unwrap().iter().zip(["timeout", "gone"]) {
            let receipt = json!({"id": id, "claim": token, "item": item["key"], "outcome": "failed",
                                 "category": category, "body": "- no"});
            server.call("update_task", receipt).ok();
        }
        server.call("complete_task", json!({"id": id, "claim": token})).ok();
    }
    let mut retry = |chosen: Value| {
        let mut arguments = json!({"id": batch, "action": "retry"});
        arguments.as_object_mut().unwrap().extend(chosen.as_object().unwrap().clone());
        server.call("control_batch", arguments)
    };
    assert!(
        retry(json!({"items": ["nowhere"]}))
            .ok()
            .message()
            .contains("has no failed items or chunks to retry")
    );
    let by_key = retry(json!({"items": ["b"]})).ok();
    assert!(by_key.message().contains("1 chunk with 1 failed item"), "{}", by_key.message());
    let by_both = retry(json!({"chunks": [format!("{batch}.02")], "categories": ["timeout"]})).ok();
    assert!(by_both.message().contains("1 chunk with 1 failed item"), "{}", by_both.message());
    let stranger = retry(json!({"chunks": [batch.clone()]}));
    assert!(stranger.message().contains("is not a chunk of batch"), "{}", stranger.message());
    let mut open = Vec::new();
    for _ in 0..2 {
        let chunk = claim_chunk(&mut server, &batch);
        open.extend(chunk["items"].as_array().unwrap().iter().map(|item| item["key"].clone()));
        work_chunk(&mut server, &chunk, |_| "k");
    }
    assert_eq!(open, ["b", "c"], "the others stay failed");
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["outcomes"], json!({"done": 2, "failed": 2}));
    assert_eq!(after["batch"]["categories"], json!({"k": 2, "gone": 1, "timeout": 1}));
}

#[test]
fn items_are_retried_in_the_step_in_which_they_failed() {
    let store = Store::new();
    let mut server = store.serve();
    let mut batch = two_step_batch("none");
    (batch["items"], batch["max_chunk"]) = (json!(["a1", "a2"]), json!(2));
    let batch = create_batch(&mut server, batch);
    let fail = |server: &mut Server, failing: &str| {
        let chunk = claim_chunk(server, &batch);
        let (id, token) = (&chunk["task"]["id"], &chunk["claim"]["token"]);
        let keys: Vec<_> =
            chunk["items"].as_array().unwrap().iter().map(|item| item["key"].clone()).collect();
        for key in &keys {
            let outcome = if key == failing { "failed" } else { "done" };
            let receipt =
                json!({"id": id, "claim": token, "item": key, "outcome": outcome, "category": "archive"});
            server.call("update_task", receipt).ok();
        }
        server.call("complete_task", json!({"id": id, "claim": token})).ok();
        (chunk["instructions"].as_str().unwrap().contains("Step 'execute'"), json!(keys))
    };
    assert_eq!(fail(&mut server, "a1"), (false, json!(["a1", "a2"])));
    assert_eq!(fail(&mut server, "a2"), (true, json!(["a2"])));
    let retry = |server: &mut Server| {
        server.call("control_batch", json!({"id": batch, "action": "retry"})).ok().message().to_owned()
    };
    assert!(retry(&mut server).contains("1 failed item "), "one step at a time");
    assert_eq!(fail(&mut server, ""), (false, json!(["a1"])), "what failed to be classified is classified");
    assert_eq!(fail(&mut server, ""), (true, json!(["a1"])), "and then executed");
    assert!(retry(&mut server).contains("1 failed item "));
    assert_eq!(fail(&mut server, ""), (true, json!(["a2"])));
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["outcomes"], json!({"done": 2}), "{}", after.value);
}

#[test]
fn a_retry_does_not_reopen_a_chunk_that_a_person_rejected() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "x", "items": ["a"], "checkpoint": "chunk"});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch})).ok();
    let (id, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    server.call("update_task", json!({"id": id, "claim": token, "item": "a", "outcome": "done"})).ok();
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
    server.call("review_batch", json!({"id": batch, "decision": "reject", "note": "not ours"})).ok();
    let reply = server.call("control_batch", json!({"id": batch, "action": "retry"})).ok();
    assert!(reply.message().contains("1 chunk stays rejected"), "{}", reply.message());
    assert_eq!(server.read_task(&id)["task"]["status"], "rejected");
}
