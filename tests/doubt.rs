//! Items that may have happened: nothing in doubt is silently done again.

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;
use support::{eventually, signal};

/// A batch of one chunk with three items.
fn make(server: &mut Server, rule: Option<&str>) -> String {
    let mut batch = json!({"title": "Mail", "instructions": "Archive each mail.", "items": ["a", "b", "c"]});
    if let Some(rule) = rule {
        batch["in_doubt"] = rule.into();
    }
    server.call("create_batch", batch).ok().text("/batch/id")
}

fn claim(server: &mut Server, batch: &str, worker: &str, lease_seconds: u64) -> Value {
    let arguments = json!({"worker": worker, "batch": batch, "lease_seconds": lease_seconds});
    eventually("a chunk to be claimed", || {
        let claimed = server.call("claim_task", arguments.clone());
        claimed.won().then_some(claimed.value)
    })
}

fn say(server: &mut Server, claim: &Value, item: &str, outcome: &str) -> support::reply::Reply {
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    server.call("update_task", json!({"id": id, "claim": token, "item": item, "outcome": outcome}))
}

/// A worker settles `a`, begins `b`, and gives the chunk back without a word about it.
fn dies_in_the_middle(server: &mut Server, batch: &str) {
    let first = claim(server, batch, "polecat", 1800);
    say(server, &first, "a", "done").ok();
    say(server, &first, "b", "started").ok();
    assert_eq!(in_doubt(server, batch), 0, "what is in hand is not in doubt");
    let (id, token) = (&first["task"]["id"], &first["claim"]["token"]);
    server.call("release_task", json!({"id": id, "claim": token, "reason": "out of context"})).ok();
}

fn in_doubt(server: &mut Server, batch: &str) -> u64 {
    server.call("get_batch", json!({"id": batch})).ok().count("/batch/in_doubt")
}

fn finish(server: &mut Server, claim: &Value, items: &[&str]) {
    for item in items {
        say(server, claim, item, "done").ok();
    }
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
}

#[test]
fn whoever_gets_an_item_in_doubt_is_told_when_and_by_whom() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = make(&mut server, None);
    dies_in_the_middle(&mut server, &batch);
    assert_eq!(in_doubt(&mut server, &batch), 1);
    let shown = server.look(&format!("{batch}.01"));
    assert_eq!(shown["items"][0]["in_doubt"]["by"], "polecat", "{}", shown.value);

    let second = claim(&mut server, &batch, "heir", 1800);
    let items = second["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!(items[0]["key"], "b");
    assert_eq!(items[0]["in_doubt"]["by"], "polecat");
    assert!(items[0]["in_doubt"]["since"].as_str().unwrap().starts_with("20"), "{}", items[0]);
    assert!(items[1].get("in_doubt").is_none(), "c was never begun: {}", items[1]);
    assert!(
        second["instructions"].as_str().unwrap().contains("1 of the items may have happened"),
        "{second}"
    );
    assert_eq!(in_doubt(&mut server, &batch), 1, "until somebody settles it");
    say(&mut server, &second, "b", "started").ok();
    assert_eq!(in_doubt(&mut server, &batch), 0, "it is in the heir's hands now");
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
fn an_item_is_begun_once_by_a_holder_and_never_after_its_outcome() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = make(&mut server, None);
    let held = claim(&mut server, &batch, "polecat", 1800);
    let first = say(&mut server, &held, "a", "started").ok();
    let again = say(&mut server, &held, "a", "started").ok();
    assert_eq!(again["receipt"]["duplicate"], true, "{}", again.value);
    assert_eq!(again["receipt"]["number"], first["receipt"]["number"]);
    assert_eq!(first["receipt"]["items_left"], 3, "{}", first.value);
    let early = json!({"id": held["task"]["id"], "claim": held["claim"]["token"]});
    let refused = server.call("complete_task", early);
    assert_eq!(refused.refusal(), "incomplete_items", "begun is not settled");
    say(&mut server, &held, "a", "done").ok();
    let late = say(&mut server, &held, "a", "started");
    assert_eq!(late.refusal(), "conflict");
    assert!(late.message().contains("already done by receipt 2"), "{}", late.message());
}

#[test]
fn a_lease_that_runs_out_leaves_what_was_begun_in_doubt_before_anybody_looks() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = make(&mut server, None);
    let held = claim(&mut server, &batch, "polecat", 1);
    say(&mut server, &held, "a", "started").ok();
    eventually("the lease to run out", || (in_doubt(&mut server, &batch) == 1).then_some(()));
    let late = say(&mut server, &held, "b", "started");
    assert_eq!(late.refusal(), "claim_lost", "a worker that lost its claim learns it before it acts");
    let heir = claim(&mut server, &batch, "heir", 1800);
    assert!(heir["items"][0]["in_doubt"].is_object());
    assert!(heir["items"][1].get("in_doubt").is_none(), "a late receipt begins nothing: {heir}");
}

#[test]
fn by_the_rule_skip_an_item_in_doubt_is_skipped_with_a_receipt() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = make(&mut server, Some("skip"));
    dies_in_the_middle(&mut server, &batch);
    let second = claim(&mut server, &batch, "heir", 1800);
    let keys: Vec<_> = second["items"].as_array().unwrap().iter().map(|item| item["key"].clone()).collect();
    assert_eq!(keys, ["c"]);
    assert!(server.body(&format!("{batch}.01")).contains("- b: skipped, in doubt: 'polecat' started it"));
    finish(&mut server, &second, &["c"]);
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["outcomes"], json!({"done": 2, "skipped": 1}));
    assert_eq!(after.count("/batch/in_doubt"), 0);
}

/// A batch by the rule `ask` whose worker died in the middle: nothing of it can be claimed.
fn asks(server: &mut Server) -> String {
    let batch = make(server, Some("ask"));
    dies_in_the_middle(server, &batch);
    let refused = server.call("claim_task", json!({"batch": batch}));
    assert_eq!(refused.answer(), "nothing_to_claim");
    let state = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    assert_eq!(state["batch"]["status"], "waiting", "{}", state.value);
    assert_eq!(state["needs_person"], json!([format!("{batch}.01")]));
    assert_eq!(state["reviews"][0]["in_doubt"][0]["item"], "b");
    assert_eq!(state["reviews"][0]["in_doubt"][0]["by"], "polecat");
    batch
}

#[test]
fn by_the_rule_ask_a_person_says_that_it_happened() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = asks(&mut server);
    let approved =
        server.call("review_batch", json!({"id": batch, "decision": "approve", "reviewer": "Ann"})).ok();
    assert!(approved.message().contains("1 items in doubt were settled as done"), "{}", approved.message());
    let second = claim(&mut server, &batch, "heir", 1800);
    assert_eq!(second["items"].as_array().unwrap().len(), 1, "only c is left: {second}");
    finish(&mut server, &second, &["c"]);
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["outcomes"], json!({"done": 3}));
    assert!(server.body(&format!("{batch}.01")).contains("- b: done, as 'Ann' says"));
}

#[test]
fn by_the_rule_ask_a_person_has_it_done_again_and_nothing_else() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = asks(&mut server);
    let redo =
        json!({"id": batch, "decision": "redo", "note": "it is still in the inbox", "reviewer": "Ann"});
    server.call("review_batch", redo).ok();
    let second = claim(&mut server, &batch, "heir", 1800);
    let keys: Vec<_> = second["items"].as_array().unwrap().iter().map(|item| item["key"].clone()).collect();
    assert_eq!(keys, ["b", "c"], "a stays done");
    assert!(second["items"][0].get("in_doubt").is_none(), "a person has decided: {second}");
    assert!(second["instructions"].as_str().unwrap().contains("it is still in the inbox"));
    finish(&mut server, &second, &["b", "c"]);
    assert_eq!(server.call("get_batch", json!({"id": batch})).ok()["batch"]["status"], "done");
}

#[test]
fn by_the_rule_ask_a_rejected_chunk_goes_no_further() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = asks(&mut server);
    let reject = json!({"id": batch, "decision": "reject", "note": "leave it", "reviewer": "Ann"});
    server.call("review_batch", reject).ok();
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["status"], "failed");
    assert_eq!(after.count("/batch/in_doubt"), 1, "nobody knows, and that is said");
}

#[test]
fn a_run_that_is_killed_tells_its_successor_which_command_was_under_way() {
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
    eventually("the second item to be under way", || store.folder().join("again").exists().then_some(()));
    signal("KILL", first.id());
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
    assert!(lines[2].starts_with("b in_doubt=yes by="), "told in the environment: {seen}");
    assert!(lines[2].contains("\"in_doubt\":{\"since\":\""), "and in the item's JSON: {seen}");
    assert!(lines[3].starts_with("c in_doubt= by="), "never begun: {seen}");
    let after = store.serve().call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["outcomes"], json!({"done": 3}));
}

#[test]
fn a_run_begins_each_item_in_the_commit_that_settles_the_one_before() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
    let args = ["run", "--items", "items.jsonl", "--workers", "1", "--quiet", "--", "true"];
    store.tasktally(args).success();
    let sql = store.sql();
    let mut receipts = sql
        .prepare(
            "SELECT item_key, outcome, created_at FROM receipt WHERE item_key IS NOT NULL ORDER BY row_id",
        )
        .unwrap();
    let told: Vec<(String, String, i64)> = receipts
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let words: Vec<(&str, &str)> =
        told.iter().map(|(item, told, _)| (item.as_str(), told.as_str())).collect();
    assert_eq!(words, [("a", "started"), ("a", "done"), ("b", "started"), ("b", "done")]);
    assert_eq!(told[1].2, told[2].2, "one moment, one transaction");
}

#[test]
fn an_item_that_asked_for_another_try_and_cannot_have_it_is_in_doubt() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    // It acts, asks for another try, and is gone.
    let command = store.write("once", "#!/bin/sh\ntouch acted\nrm \"$0\"\nexit 75\n");
    std::fs::set_permissions(&command, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = ["run", "--items", "items.jsonl", "--workers", "1", "--", command.to_str().unwrap()];
    let ran = store.tasktally(run).code(2);
    assert!(ran.said().contains("cannot be started"), "{}", ran.said());
    assert!(store.folder().join("acted").exists());
    let mut server = store.serve();
    let batch = server.call("get_batch", json!({})).ok().text("/batches/0/id");
    assert_eq!(server.call("get_batch", json!({"id": batch})).ok().count("/batch/in_doubt"), 1);
}
