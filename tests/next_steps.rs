//! What replies tell a supervisor: what it decides about, what to do next, and what its request has led to.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::steps::{claim_chunk, create_batch, work_chunk};
use support::store::Store;

/// Sets the last write to the claimed chunks back.
fn set_back(store: &Store, seconds: i64) {
    let quiet =
        "UPDATE task SET updated_at = updated_at - ?1 WHERE status = 'in_progress' AND role = 'chunk'";
    assert!(store.sql().execute(quiet, &[&(seconds * 1_000)]).unwrap() > 0, "no chunk is claimed");
}

fn report(server: &mut Server, claim: &Value, item: &str, outcome: &str) {
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    server.call("update_task", json!({"id": id, "claim": token, "item": item, "outcome": outcome})).ok();
}

#[test]
fn a_quiet_worker_is_named_with_the_call_that_frees_its_chunk() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({
        "title": "B", "instructions": "x", "items": ["a", "b", "c", "d"], "max_chunk": 2, "in_doubt": "ask"
    });
    let batch = create_batch(&mut server, request);
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "polecat"})).ok().value;
    server.call("claim_task", json!({"batch": batch, "worker": "polecat"})).ok();
    report(&mut server, &claim, "a", "started");
    let next = |server: &mut Server| {
        server
            .call("get_batch", json!({"id": batch}))
            .ok()
            .get("next")
            .map_or("", |next| next.as_str().unwrap())
            .to_owned()
    };
    assert!(next(&mut server).starts_with("poll "), "{}", next(&mut server));
    set_back(&store, 400);
    // The other worker is at work: only one of two workers with the same name is quiet.
    report(&mut server, &claim, "a", "started");
    let (said, call) = (next(&mut server), "reset_stalled_tasks(hours=0.11, assignee=\"polecat-2\")");
    assert!(said.contains("'polecat-2'") && said.contains("6 minutes ago") && said.contains(call), "{said}");
    let reset = server.call("reset_stalled_tasks", json!({"hours": 0.11, "assignee": "polecat-2"})).ok();
    assert_eq!(reset.message(), format!("1 task was reset; {batch}.02 can be claimed again"));
    assert_eq!(reset["tasks"][0]["status"], "active");

    // A chunk whose action may have happened waits for a person.
    set_back(&store, 400);
    let reset = server.call("reset_stalled_tasks", json!({"hours": 0.11, "assignee": "polecat"})).ok();
    let review = format!("get_batch(id=\"{batch}\", view=\"review\")");
    assert!(
        reset.message().contains("waits for a person") && reset.message().contains(&review),
        "{}",
        reset.value
    );
    assert_eq!(reset["tasks"][0]["status"], "review");
}

#[test]
fn time_left_is_told_only_while_items_are_settled() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<String> = (0..20).map(|number| format!("i{number}")).collect();
    let batch = create_batch(&mut server, json!({"title": "B", "instructions": "x", "items": items}));
    let claim = claim_chunk(&mut server, &batch);
    for item in &items[..5] {
        report(&mut server, &claim, item, "done");
    }
    let seen = server.call("get_batch", json!({"id": batch})).ok();
    assert!(seen["batch"].get("seconds_left").is_some(), "{}", seen.value);
    store.forge(|sql| {
        sql.execute("UPDATE receipt SET created_at = created_at - 180000", &[]).unwrap();
        sql.execute("UPDATE task SET claimed_at = claimed_at - 180000 WHERE claimed_at IS NOT NULL", &[])
            .unwrap();
    });
    let seen = server.call("get_batch", json!({"id": batch})).ok();
    for field in ["seconds_left", "per_minute"] {
        assert!(seen["batch"].get(field).is_none(), "{field} while nobody works: {}", seen.value);
    }
}

#[test]
fn a_reviewer_sees_the_items_that_are_decided_on() {
    let store = Store::new();
    let mut server = store.serve();
    let long = "x".repeat(5_000);
    let items = json!([
        {"key": "a", "subject": "Lunch?", "body": long}, {"key": "b", "subject": "Invoice"}, {"key": "c", "subject": "Sale"}
    ]);
    let request = json!({
        "title": "B", "instructions": "x", "items": items, "checkpoint": "chunk", "in_doubt": "ask"
    });
    let batch = create_batch(&mut server, request);
    let claim = claim_chunk(&mut server, &batch);
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    let receipt = json!({
        "id": id, "claim": token, "item": "a", "outcome": "done", "category": "private", "body": "- from a friend"
    });
    server.call("update_task", receipt).ok();
    report(&mut server, &claim, "b", "started");
    server.call("release_task", json!({"id": id, "claim": token, "reason": "unclear"})).ok();

    let listed = server.call("get_batch", json!({"id": batch, "view": "items"})).ok();
    let first = &listed["items"][0];
    assert_eq!((&first["fields"]["subject"], &first["text"]), (&json!("Lunch?"), &json!("- from a friend")));
    assert_eq!((first["fields"].get("body"), &first["fields_left_out"]), (None, &json!(1)));
    let open = &listed["items"][2];
    assert_eq!((&open["fields"]["subject"], open.get("text")), (&json!("Sale"), None));

    let review = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    assert_eq!(review["reviews"][0]["samples"][0]["fields"]["subject"], "Lunch?");
    assert_eq!(review["reviews"][0]["in_doubt"][0]["fields"]["subject"], "Invoice");
    let next = review.text("/next");
    assert!(next.starts_with("ask the person, then review_batch("), "{next}");
    let of_category = json!({"id": batch, "view": "review", "category": "private"});
    let of_category = server.call("get_batch", of_category).ok();
    assert_eq!(of_category["reviews"][0]["samples"][0]["fields"]["subject"], "Lunch?");
}

#[test]
fn the_plan_and_the_batch_name_the_rules_for_doubts_and_decisions() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({
        "title": "B", "instructions": "x", "items": ["a"], "in_doubt": "ask", "review": "person", "dry_run": true
    });
    let plan = server.call("create_batch", request.clone()).ok();
    assert_eq!((&plan["in_doubt"], &plan["review"]), (&json!("ask"), &json!("person")));
    let mut request = request;
    request["dry_run"] = json!(false);
    let batch = create_batch(&mut server, request);
    let seen = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(
        (&seen["batch"]["in_doubt_policy"], &seen["batch"]["review"]),
        (&json!("ask"), &json!("person"))
    );
    assert_eq!(seen["batch"]["in_doubt"], 0, "the number of items in doubt");
}

#[test]
fn a_supervisor_without_the_prompt_gets_it_with_the_number_of_workers() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "Send it. It cannot be undone.", "items": ["a", "b"], "max_chunk": 1});
    let created = server.call("create_batch", request).ok();
    let batch = created.text("/batch/id");
    let seen = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(seen["worker_prompt"], created["worker_prompt"]);
    assert!(
        seen.text("/next").contains("start 2 workers") && seen.text("/next").contains("with worker_prompt")
    );
    // The overview stays small: its short prompt relies on the instructions of the claim.
    let overview = server.call("get_batch", json!({})).ok();
    assert!(overview.get("worker_prompt").is_none(), "{}", overview.value);
    assert!(overview.text("/next").contains("claim_task(batch="), "{}", overview.value);
    let claim = claim_chunk(&mut server, &batch);
    let instructions = claim["instructions"].as_str().unwrap();
    assert!(instructions.contains("BEFORE an action that cannot be undone"), "{instructions}");
}

#[test]
fn the_last_approval_names_the_finish_task() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({
        "title": "B", "instructions": "x", "items": ["a", "b"], "max_chunk": 1, "checkpoint": "chunk",
        "finish": {"title": "Write the list"}
    });
    let created = server.call("create_batch", request).ok();
    let batch = created.text("/batch/id");
    for _ in 0..2 {
        let claim = claim_chunk(&mut server, &batch);
        work_chunk(&mut server, &claim, |_| "k");
    }
    let approve = |server: &mut Server, chunk: &str| {
        server.call("review_batch", json!({"id": batch, "chunk": chunk, "decision": "approve"})).ok()
    };
    assert!(approve(&mut server, "1").get("next").is_none());
    let next = approve(&mut server, "2").text("/next");
    let finish = created.text("/finish/id");
    assert_eq!(next, format!("claim_task(id=\"{finish}\"): the finish task is ready"));
}

#[test]
fn failures_of_ended_batches_do_not_hide_open_ones() {
    let store = Store::new();
    let mut server = store.serve();
    for number in 0..5 {
        let request = json!({"title": format!("Failed {number}"), "instructions": "x", "items": ["a"]});
        let batch = create_batch(&mut server, request);
        let claim = claim_chunk(&mut server, &batch);
        report(&mut server, &claim, "a", "failed");
        server
            .call("complete_task", json!({"id": claim["task"]["id"], "claim": claim["claim"]["token"]}))
            .ok();
    }
    let open = create_batch(&mut server, json!({"title": "Open", "instructions": "x", "items": ["a"]}));
    let overview = server.call("get_batch", json!({})).ok();
    assert_eq!(overview["batches"][0]["id"], open.as_str(), "{}", overview.value);
    assert!(overview.message().contains("5 ended with failures"), "{}", overview.message());
    assert!(overview.text("/next").contains("view=\"failures\""), "{}", overview.text("/next"));
}

/// A lease expires without a write, so nothing has put the chunk into review yet.
#[test]
fn a_person_is_asked_about_what_an_expired_claim_began_without_a_worker_in_between() {
    for decision in ["approve", "redo"] {
        let store = Store::new();
        let mut server = store.serve();
        let request = json!({
            "title": "B", "instructions": "x", "items": ["a", "b", "c", "d"], "max_chunk": 2, "in_doubt": "ask"
        });
        let batch = create_batch(&mut server, request);
        let claim = claim_chunk(&mut server, &batch);
        report(&mut server, &claim, "a", "started");
        let chunk = format!("{batch}.01");
        store.expire_claim(&chunk);

        let overview = server.call("get_batch", json!({})).ok();
        let review =
            format!("get_batch(id=\"{batch}\", view=\"review\"), ask the person, then review_batch(");
        assert!(overview.text("/next").starts_with(&review), "{}", overview.value);
        assert!(
            overview.text("/next").contains("without waiting for that, start 1 worker"),
            "{}",
            overview.value
        );
        assert_eq!(overview["needs_person"], json!([chunk]), "{}", overview.value);
        assert_eq!(overview["stalled"], json!([]), "{}", overview.value);
        // Nothing was written, so that a poll has to look for it.
        let poll = server.call("get_batch", json!({"id": batch, "since": overview["since"]})).ok();
        assert_eq!(poll["needs_person"], json!([chunk]), "{}", poll.value);
        assert!(poll.text("/next").starts_with(&review) && poll.get("stalled").is_none(), "{}", poll.value);

        let begun =
            server.call("get_batch", json!({"id": batch, "view": "items", "outcome": "started"})).ok();
        assert!(begun.message().contains("a person decides: get_batch("), "{}", begun.value);
        let shown = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
        assert_eq!(shown["reviews"][0]["in_doubt"][0]["item"], "a", "{}", shown.value);
        assert!(shown.message().starts_with("1 chunk waits for a person's decision"), "{}", shown.value);
        let instructions = format!("get_task(id=\"{batch}\") has the instructions");
        assert!(shown.message().contains(&instructions), "{}", shown.value);

        let decided = server
            .call(
                "review_batch",
                json!({"id": batch, "chunk": "1", "decision": decision, "note": "seen", "reviewer": "erika"}),
            )
            .ok();
        assert!(decided.message().contains("2 chunks are open now (1-2)"), "{}", decided.value);
        let after = server.call("get_batch", json!({"id": batch})).ok();
        assert_eq!(
            after["batch"]["outcomes"].get("done").is_some(),
            decision == "approve",
            "{}",
            after.value
        );
        let again = server.call("claim_task", json!({"id": chunk, "worker": "w"})).ok();
        assert_eq!(again["items"].as_array().unwrap().len(), if decision == "approve" { 1 } else { 2 });
    }
}

#[test]
fn a_chunk_that_waits_for_a_person_does_not_ask_for_workers() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "x", "items": ["a", "b"], "in_doubt": "ask"});
    let batch = create_batch(&mut server, request);
    let claim = claim_chunk(&mut server, &batch);
    report(&mut server, &claim, "a", "started");
    store.expire_claim(&format!("{batch}.01"));
    let seen = server.call("get_batch", json!({"id": batch})).ok();
    assert!(!seen.text("/next").contains("start"), "{}", seen.value);
    assert!(seen.get("worker_prompt").is_none(), "{}", seen.value);
    // A server that may only read shows the same.
    let mut reader = store.serve_with(&["--read-only"]);
    let same = reader.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    assert_eq!(same["reviews"][0]["in_doubt"][0]["item"], "a", "{}", same.value);
}

#[test]
fn the_review_of_a_redo_shows_what_was_worked_again() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<String> = (0..30).map(|number| format!("i{number:02}")).collect();
    let request = json!({"title": "B", "instructions": "x", "items": items, "checkpoint": "chunk"});
    let batch = create_batch(&mut server, request);
    let claim = claim_chunk(&mut server, &batch);
    // The items with the largest hashes are no samples of their category at first.
    let is_hasty = |key: &str| key.ends_with('7');
    work_chunk(&mut server, &claim, |key| if is_hasty(key) { "hasty" } else { "fix" });
    let first = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    assert!(first["reviews"][0].get("redone").is_none(), "{}", first.value);
    let redo = json!({"id": batch, "decision": "redo", "categories": ["hasty"], "note": "look closely", "reviewer": "erika"});
    let reply = server.call("review_batch", redo).ok();
    assert!(
        reply.message().contains("open again for 3 of its items, then all of it waits for a review"),
        "{}",
        reply.value
    );
    let claim = claim_chunk(&mut server, &batch);
    work_chunk(&mut server, &claim, |_| "fix");
    let second = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    let review = &second["reviews"][0];
    assert_eq!((&review["redone"], &review["redo_note"]), (&json!(3), &json!("look closely")), "{review}");
    let samples: Vec<&str> =
        review["samples"].as_array().unwrap().iter().map(|sample| sample["item"].as_str().unwrap()).collect();
    assert_eq!(samples.len(), 3);
    assert!(samples.iter().all(|key| is_hasty(key)), "{samples:?}");
    assert_eq!(review["samples"][0]["redone"], true, "{review}");
}

#[test]
fn a_page_of_items_says_how_many_there_are() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<Value> =
        (0..90).map(|number| json!({"key": format!("i{number}"), "text": "x".repeat(600)})).collect();
    let batch = create_batch(&mut server, json!({"title": "B", "instructions": "x", "items": items}));
    let page = server.call("get_batch", json!({"id": batch, "view": "items"})).ok();
    let count = page["items"].as_array().unwrap().len();
    assert!(
        count < 90 && page.message().starts_with(&format!("{count} of 90 items, more follow")),
        "{}",
        page.message()
    );
}

/// A person decides on what was shown, not on what a lease left in doubt since.
#[test]
fn a_decision_on_all_that_wait_leaves_alone_what_an_expired_claim_left_since() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({
        "title": "B", "instructions": "x", "items": ["a", "b"], "max_chunk": 1, "in_doubt": "ask", "checkpoint": "chunk"
    });
    let batch = create_batch(&mut server, request);
    let first = claim_chunk(&mut server, &batch);
    work_chunk(&mut server, &first, |_| "k");
    let second = claim_chunk(&mut server, &batch);
    report(&mut server, &second, "b", "started");
    store.expire_claim(&format!("{batch}.02"));
    let approve = json!({"id": batch, "decision": "approve", "reviewer": "erika"});
    server.call("review_batch", approve.clone()).ok();
    let after = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    assert_eq!(after["reviews"][0]["in_doubt"][0]["item"], "b", "{}", after.value);
    assert_eq!(after["batch"]["processed"], 1, "{}", after.value);
    let doctor = store.tasktally(["doctor"]).finish().output();
    assert!(doctor.contains(&format!("batch {batch} waits for a person")), "{doctor}");
    server.call("review_batch", approve).ok();
    assert_eq!(server.call("get_batch", json!({"id": batch})).ok()["batch"]["processed"], 2);
}

#[test]
fn only_items_that_were_worked_before_count_as_worked_again() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({
        "title": "B", "instructions": "x", "items": ["a", "b", "c", "d"], "in_doubt": "ask", "checkpoint": "chunk"
    });
    let batch = create_batch(&mut server, request);
    let claim = claim_chunk(&mut server, &batch);
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    let settle = json!({"id": id, "claim": token, "item": "a", "outcome": "done", "category": "k"});
    server.call("update_task", settle).ok();
    report(&mut server, &claim, "b", "started");
    store.expire_claim(&format!("{batch}.01"));
    // The category that the reply names lists the items of such a chunk as well.
    let listed = server.call("get_batch", json!({"id": batch, "view": "review", "category": "k"})).ok();
    assert_eq!(listed["reviews"][0]["samples"][0]["item"], "a", "{}", listed.value);
    let redo = json!({"id": batch, "chunk": 1, "decision": "redo", "note": "it did not happen", "reviewer": "erika"});
    server.call("review_batch", redo).ok();
    let claim = claim_chunk(&mut server, &batch);
    work_chunk(&mut server, &claim, |_| "k");
    let review = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    assert_eq!(review["reviews"][0]["redone"], 1, "{}", review.value);
    assert_eq!(review["reviews"][0]["samples"][0]["item"], "b", "{}", review.value);
    let shown = store.tasktally(["get-batch", &batch, "--view", "review"]).success().stdout;
    assert!(shown.contains("worked again: 1") && shown.contains("it did not happen"), "{shown}");
}
