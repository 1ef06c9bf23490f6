//! Items in doubt: an item whose action may have happened is never silently processed again.

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;
use support::{eventually, send_signal, wait_for_exit};

/// Creates a batch of one chunk with three items. Returns its id.
fn create_batch(server: &mut Server, rule: Option<&str>) -> String {
    let mut batch = json!({"title": "Mail", "instructions": "Archive each mail.", "items": ["a", "b", "c"]});
    if let Some(rule) = rule {
        batch["in_doubt"] = rule.into();
    }
    server.call("create_batch", batch).ok().text("/batch/id")
}

fn claim(server: &mut Server, batch: &str, worker: &str) -> Value {
    let arguments = json!({"worker": worker, "batch": batch});
    eventually("a chunk to be claimed", || {
        let claimed = server.call("claim_task", arguments.clone());
        claimed.succeeded().then_some(claimed.value)
    })
}

/// Reports an outcome for an item.
fn report(server: &mut Server, claim: &Value, item: &str, outcome: &str) -> support::reply::Reply {
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    server.call("update_task", json!({"id": id, "claim": token, "item": item, "outcome": outcome}))
}

/// A worker settles `a`, starts `b` and releases the chunk without an outcome for `b`.
fn leave_item_in_doubt(server: &mut Server, batch: &str) {
    let first = claim(server, batch, "polecat");
    report(server, &first, "a", "done").ok();
    report(server, &first, "b", "started").ok();
    assert_eq!(in_doubt(server, batch), 0, "a started item of a live claim is in doubt");
    let (id, token) = (&first["task"]["id"], &first["claim"]["token"]);
    server.call("release_task", json!({"id": id, "claim": token, "reason": "out of context"})).ok();
}

/// The number of items in doubt.
fn in_doubt(server: &mut Server, batch: &str) -> u64 {
    server.call("get_batch", json!({"id": batch})).ok().count("/batch/in_doubt")
}

fn finish(server: &mut Server, claim: &Value, items: &[&str]) {
    for item in items {
        report(server, claim, item, "done").ok();
    }
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
}

#[test]
fn the_next_worker_sees_when_and_by_whom_an_item_in_doubt_was_started() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, None);
    leave_item_in_doubt(&mut server, &batch);
    assert_eq!(in_doubt(&mut server, &batch), 1);
    let shown = server.read_task(&format!("{batch}.01"));
    assert_eq!(shown["items"][0]["in_doubt"]["by"], "polecat", "{}", shown.value);

    let second = claim(&mut server, &batch, "next");
    let items = second["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["key"], "b");
    assert_eq!(items[0]["in_doubt"]["by"], "polecat");
    assert!(items[0]["in_doubt"]["since"].as_str().unwrap().starts_with("20"), "{}", items[0]);
    assert!(items[1].get("in_doubt").is_none(), "c was never started: {}", items[1]);
    assert!(second["instructions"].as_str().unwrap().contains("Items in doubt: 1."), "{second}");
    assert_eq!(in_doubt(&mut server, &batch), 1, "the item is in doubt until it is settled");
    report(&mut server, &second, "b", "started").ok();
    assert_eq!(in_doubt(&mut server, &batch), 0, "the next worker has started the item again");
    finish(&mut server, &second, &["b", "c"]);
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["status"], "done");
    assert_eq!(after.count("/batch/in_doubt"), 0);
    assert_eq!(after["batch"]["outcomes"], json!({"done": 3}), "`started` is no outcome");
    assert_eq!(after["batch"]["categories"], json!({"done": 3}));
    server.close();
    store.tasktally(["verify"]).success();
}

#[test]
fn an_item_is_started_once_per_claim_and_never_after_its_outcome() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, None);
    let held = claim(&mut server, &batch, "polecat");
    let first = report(&mut server, &held, "a", "started").ok();
    let again = report(&mut server, &held, "a", "started").ok();
    assert_eq!(again["receipt"]["duplicate"], true, "{}", again.value);
    assert_eq!(again["receipt"]["number"], first["receipt"]["number"]);
    assert_eq!(first["items_left"], 3, "{}", first.value);
    let early = json!({"id": held["task"]["id"], "claim": held["claim"]["token"]});
    let refused = server.call("complete_task", early);
    assert_eq!(refused.refusal(), "incomplete_items", "a started item counts as settled");
    report(&mut server, &held, "a", "done").ok();
    let late = report(&mut server, &held, "a", "started");
    assert_eq!(late.refusal(), "conflict");
    assert!(late.message().contains("already done by receipt 2"), "{}", late.message());
}

#[test]
fn a_started_item_is_in_doubt_as_soon_as_the_lease_expires() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, None);
    let held = claim(&mut server, &batch, "polecat");
    report(&mut server, &held, "a", "started").ok();
    store.expire_claim(&format!("{batch}.01"));
    assert_eq!(in_doubt(&mut server, &batch), 1);
    let late = report(&mut server, &held, "b", "started");
    assert_eq!(late.refusal(), "claim_lost", "the claim is not reported as lost");
    let next = claim(&mut server, &batch, "next");
    assert!(next["items"][0]["in_doubt"].is_object());
    assert!(next["items"][1].get("in_doubt").is_none(), "a late receipt started an item: {next}");
}

#[test]
fn with_the_rule_skip_an_item_in_doubt_is_skipped_with_a_receipt() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, Some("skip"));
    leave_item_in_doubt(&mut server, &batch);
    let second = claim(&mut server, &batch, "next");
    let keys: Vec<_> = second["items"].as_array().unwrap().iter().map(|item| item["key"].clone()).collect();
    assert_eq!(keys, ["c"]);
    assert!(server.body(&format!("{batch}.01")).contains("- b: skipped, in doubt: 'polecat' started it"));
    finish(&mut server, &second, &["c"]);
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["outcomes"], json!({"done": 2, "skipped": 1}));
    assert_eq!(after.count("/batch/in_doubt"), 0);
}

/// Creates a batch with the rule `ask` and an item in doubt. Asserts that the chunk waits for a person. Returns its id.
fn batch_that_asks(server: &mut Server) -> String {
    let batch = create_batch(server, Some("ask"));
    leave_item_in_doubt(server, &batch);
    let refused = server.call("claim_task", json!({"batch": batch}));
    assert_eq!(refused.declined(), "nothing_to_claim");
    let state = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    assert_eq!(state["batch"]["status"], "waiting", "{}", state.value);
    assert_eq!(state["needs_person"], json!([format!("{batch}.01")]));
    assert_eq!(state["reviews"][0]["in_doubt"][0]["item"], "b");
    assert_eq!(state["reviews"][0]["in_doubt"][0]["by"], "polecat");
    batch
}

#[test]
fn with_the_rule_ask_a_person_can_approve_an_item_in_doubt_as_done() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = batch_that_asks(&mut server);
    let approved =
        server.call("review_batch", json!({"id": batch, "decision": "approve", "reviewer": "Ann"})).ok();
    assert!(approved.message().contains("1 item in doubt was settled as done"), "{}", approved.message());
    let second = claim(&mut server, &batch, "next");
    assert_eq!(second["items"].as_array().unwrap().len(), 1, "only c is left: {second}");
    finish(&mut server, &second, &["c"]);
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["outcomes"], json!({"done": 3}));
    assert!(
        server
            .body(&format!("{batch}.01"))
            .contains("- b: done, approved by 'tasktally-tests' (relayed by an agent, who names 'Ann')")
    );
}

#[test]
fn with_the_rule_ask_a_person_can_have_only_the_item_in_doubt_redone() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = batch_that_asks(&mut server);
    let redo =
        json!({"id": batch, "decision": "redo", "note": "it is still in the inbox", "reviewer": "Ann"});
    server.call("review_batch", redo).ok();
    let second = claim(&mut server, &batch, "next");
    let keys: Vec<_> = second["items"].as_array().unwrap().iter().map(|item| item["key"].clone()).collect();
    assert_eq!(keys, ["b", "c"], "a stays done");
    assert!(second["items"][0].get("in_doubt").is_none(), "a person has decided: {second}");
    assert!(second["instructions"].as_str().unwrap().contains("it is still in the inbox"));
    finish(&mut server, &second, &["b", "c"]);
    assert_eq!(server.call("get_batch", json!({"id": batch})).ok()["batch"]["status"], "done");
}

#[test]
fn with_the_rule_ask_a_rejected_chunk_fails() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = batch_that_asks(&mut server);
    let reject = json!({"id": batch, "decision": "reject", "note": "leave it", "reviewer": "Ann"});
    server.call("review_batch", reject).ok();
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["status"], "failed");
    assert_eq!(after.count("/batch/in_doubt"), 1, "the item is no longer shown as in doubt");
}

#[test]
fn a_resumed_run_knows_which_command_was_running_at_the_kill() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n{\"key\":\"c\"}\n");
    store.write(
        "worker.sh",
        "item=$(cat); echo \"$TASKTALLY_ITEM in_doubt=${TASKTALLY_IN_DOUBT:+yes} by=$TASKTALLY_IN_DOUBT_BY $item\" >> seen.log
         [ \"$TASKTALLY_ITEM\" = b ] && [ ! -e again ] && { touch again; sleep 60; }
         echo \"- did $TASKTALLY_ITEM\"",
    );
    let args = ["run", "--items", "items.jsonl", "--workers", "1", "--quiet", "--", "sh", "worker.sh"];
    let mut first = store.tasktally(args).start();
    eventually("the second item to be started", || store.folder().join("again").exists().then_some(()));
    send_signal("KILL", first.id());
    first.wait().unwrap();

    let mut server = store.serve();
    let listed = server.call("get_batch", json!({})).ok();
    let batch = listed.text("/batches/0/id");
    server.close();
    store.tasktally(["run", "--resume", &batch, "--quiet"]).success();
    let seen = std::fs::read_to_string(store.folder().join("seen.log")).unwrap();
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines.len(), 4, "{seen}");
    assert!(lines[0].starts_with("a in_doubt= by="), "{seen}");
    assert!(lines[1].starts_with("b in_doubt= by="), "{seen}");
    assert!(lines[2].starts_with("b in_doubt=yes by="), "in the environment: {seen}");
    assert!(lines[2].ends_with(" {\"key\":\"b\"}"), "the item as it stood in the source: {seen}");
    assert!(lines[3].starts_with("c in_doubt= by="), "never started: {seen}");
    let after = store.serve().call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["outcomes"], json!({"done": 3}));
}

#[test]
fn a_run_starts_each_item_in_the_commit_that_settles_the_one_before() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
    let args = ["run", "--items", "items.jsonl", "--workers", "1", "--quiet", "--", "true"];
    store.tasktally(args).success();
    let sql = store.sql();
    let rows: Vec<(String, String, i64)> = sql.rows(
        "SELECT item_key, outcome, created_at FROM receipt WHERE item_key IS NOT NULL ORDER BY row_id",
        &[],
    );
    let words: Vec<(&str, &str)> =
        rows.iter().map(|(item, outcome, _)| (item.as_str(), outcome.as_str())).collect();
    assert_eq!(words, [("a", "started"), ("a", "done"), ("b", "started"), ("b", "done")]);
    assert_eq!(rows[1].2, rows[2].2, "settled and started in different transactions");
}

#[test]
fn an_item_whose_retry_cannot_start_is_in_doubt() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    // The command acts, deletes itself and asks for a retry (exit code 75).
    let command = store.write("once", "#!/bin/sh\ntouch acted\nrm \"$0\"\nexit 75\n");
    std::fs::set_permissions(&command, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = ["run", "--items", "items.jsonl", "--workers", "1", "--", command.to_str().unwrap()];
    let ran = store.tasktally(run).code(2);
    assert!(ran.output().contains("cannot be started"), "{}", ran.output());
    assert!(store.folder().join("acted").exists());
    let mut server = store.serve();
    let batch = server.call("get_batch", json!({})).ok().text("/batches/0/id");
    assert_eq!(server.call("get_batch", json!({"id": batch})).ok().count("/batch/in_doubt"), 1);
}

#[test]
fn items_begun_and_not_settled_are_counted_and_listed_at_any_time() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, None);
    let held = claim(&mut server, &batch, "polecat");
    report(&mut server, &held, "a", "done").ok();
    report(&mut server, &held, "b", "started").ok();
    // The claim is live, so the item is not in doubt, but its action may have happened all the same.
    let seen = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!((seen.count("/batch/begun"), seen.count("/batch/in_doubt")), (1, 0));
    assert!(seen.message().contains("1 begun and not settled"), "{}", seen.message());
    let verified = store.tasktally(["verify"]).success();
    for expected in
        ["begun and not settled, which may have happened: 1 (tasktally --db ", &format!(" get-batch {batch}")]
    {
        assert!(verified.stdout.contains(expected), "{}", verified.stdout);
    }

    let mut items = |more: Value| {
        let mut request = json!({"id": batch, "view": "items"});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.call("get_batch", request).ok()
    };
    let begun = items(json!({"outcome": "started"}));
    assert_eq!(begun["items"].as_array().map(Vec::len), Some(1), "{}", begun.value);
    assert_eq!(begun["items"][0]["key"], "b");
    assert_eq!(begun["items"][0]["begun"]["by"], "polecat");
    assert_eq!(begun["items"][0]["begun"]["worker"], "unknown", "{}", begun.value);
    assert!(begun.text("/items/0/begun/claim_until") > begun.text("/items/0/begun/at"));
    let done = items(json!({"outcome": "done"}));
    assert_eq!(
        done["items"][0],
        json!({"key": "a", "chunk": format!("{batch}.01"), "step": "work",
        "outcome": "done", "receipt": 1, "text": "- a: done"})
    );
    for (filter, count) in [
        (json!({}), 3),
        (json!({"outcome": "open"}), 2),
        (json!({"category": "done"}), 1),
        (json!({"category": "other"}), 0),
        (json!({"chunk": format!("{batch}.01")}), 3),
        (json!({"items_after": 2}), 1),
    ] {
        assert_eq!(items(filter.clone())["items"].as_array().map(Vec::len), Some(count), "{filter}");
    }

    store.expire_claim(&format!("{batch}.01"));
    let begun = server.call("get_batch", json!({"id": batch, "view": "items", "outcome": "started"})).ok();
    assert_eq!(begun["items"][0]["begun"]["worker"], "gone", "{}", begun.value);
}

#[test]
fn the_items_of_a_killed_run_show_that_their_worker_is_gone() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
    store.write("worker.sh", "touch began; sleep 60");
    let args = ["run", "--items", "items.jsonl", "--workers", "1", "--quiet", "--", "sh", "worker.sh"];
    check_worker_state(&store, store.tasktally(args).start());
}

#[test]
fn the_items_of_a_killed_work_command_show_that_their_worker_is_gone() {
    let store = Store::new();
    store.write("worker.sh", "touch began; sleep 60");
    let mut server = store.serve();
    let batch = create_batch(&mut server, None);
    let args = ["work", "--batch", &batch, "--workers", "1", "--quiet", "--", "sh", "worker.sh"];
    check_worker_state(&store, store.tasktally(args).start());
}

/// Waits until the process works on an item, kills it, and asserts what is shown of the worker before and after that.
fn check_worker_state(store: &Store, mut process: std::process::Child) {
    eventually("the first item to be started", || store.folder().join("began").exists().then_some(()));
    let mut server = store.serve();
    let batch = server.call("list_tasks", json!({"type": "epic"})).ok().text("/tasks/0/id");
    let mut worker = || {
        let request = json!({"id": batch, "view": "items", "outcome": "started"});
        server.call("get_batch", request).ok().text("/items/0/begun/worker")
    };
    assert_eq!(worker(), "at_work");
    send_signal("KILL", process.id());
    wait_for_exit(&mut process);
    // The lease runs on, but the process holds its lock no longer.
    assert_eq!(worker(), "gone");
}

#[test]
fn pages_of_items_and_filtered_receipts_cover_everything_once() {
    let store = Store::new();
    let mut server = store.serve();
    let keys: Vec<String> = (0..250).map(|number| format!("k{number:03}")).collect();
    let batch = json!({"title": "B", "instructions": "x", "items": keys, "max_chunk": 60});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let held = claim(&mut server, &id, "w");
    for (number, key) in keys.iter().take(50).enumerate() {
        let outcome = if number % 2 == 0 { "done" } else { "failed" };
        report(&mut server, &held, key, outcome).ok();
    }
    let (mut seen, mut next) = (Vec::new(), json!({}));
    loop {
        let mut request = json!({"id": id, "view": "items"});
        request.as_object_mut().unwrap().extend(next.as_object().unwrap().clone());
        let page = server.call("get_batch", request).ok();
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["key"].as_str().unwrap().to_owned()),
        );
        if page.get("next_items_after").is_none() {
            break;
        }
        next = json!({"chunks_after": page["next_chunks_after"], "items_after": page["next_items_after"]});
    }
    assert_eq!(seen, keys);

    let (mut failed, mut since) = (0, "0".to_owned());
    loop {
        let request = json!({"id": id, "view": "receipts", "outcome": "failed", "since": since});
        let page = server.call("get_batch", request).ok();
        let receipts = page["receipts"].as_array().unwrap();
        assert!(receipts.iter().all(|receipt| receipt["outcome"] == "failed"), "{}", page.value);
        failed += receipts.len();
        if !page.message().contains("more follow") {
            break;
        }
        since = page.text("/since");
    }
    assert_eq!(failed, 25);
    let latest = json!({"id": id, "view": "receipts", "outcome": "done"});
    let latest = server.call("get_batch", latest).ok();
    assert_eq!(latest["receipts"][19]["item"], "k048", "{}", latest.value);
    let refused = server.call("get_batch", json!({"id": id, "outcome": "done"}));
    assert_eq!(refused.refusal(), "invalid_argument");
}

#[test]
fn what_a_worker_was_about_to_do_is_shown_and_becomes_the_category() {
    let store = Store::new();
    let mut server = store.serve();
    let request =
        json!({"title": "Mail", "instructions": "Delete it.", "items": ["a", "b"], "in_doubt": "ask"});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let (id, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    for (item, category) in [("a", json!("delete")), ("b", Value::Null)] {
        let start =
            json!({"id": id, "claim": token, "item": item, "outcome": "started", "category": category});
        server.call("update_task", start).ok();
    }
    // A worker that changes its mind is shown with its last word; one that repeats itself is not stored twice.
    let mut start = |category: Value| {
        let start =
            json!({"id": id, "claim": token, "item": "a", "outcome": "started", "category": category});
        server.call("update_task", start).ok()["receipt"].clone()
    };
    assert_eq!(start(json!("archive"))["duplicate"], false);
    let again = start(json!("delete"));
    assert_eq!((&again["duplicate"], &again["category"]), (&json!(false), &json!("delete")), "{again}");
    let repeated = start(Value::Null);
    assert_eq!(
        (&repeated["duplicate"], &repeated["category"]),
        (&json!(true), &json!("delete")),
        "{repeated}"
    );
    assert_eq!(repeated["number"], again["number"]);
    server.call("release_task", json!({"id": id, "claim": token, "reason": "unclear"})).ok();
    let review = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    let in_doubt = &review["reviews"][0]["in_doubt"];
    assert_eq!(
        (&in_doubt[0]["category"], in_doubt[1].get("category")),
        (&json!("delete"), None),
        "{in_doubt}"
    );
    let items = server.call("get_batch", json!({"id": batch, "view": "items", "outcome": "started"})).ok();
    assert_eq!(items["items"][0]["begun"]["category"], "delete", "{}", items.value);
    server.call("review_batch", json!({"id": batch, "decision": "approve", "reviewer": "erika"})).ok();
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["categories"], json!({"delete": 1, "done": 1}), "{}", after.value);
    server.close();
    store.tasktally(["verify"]).success();
}
