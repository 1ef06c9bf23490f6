//! Steps, checkpoints and pauses: what persons decide, and what waits for their decision.

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::steps::{category_by_letter, claim_chunk, create_batch, two_step_batch, work_chunk};
use support::store::Store;

#[test]
fn a_later_step_gets_only_items_of_the_categories_it_names() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, two_step_batch("none"));
    let first = claim_chunk(&mut server, &batch);
    assert!(first["instructions"].as_str().unwrap().contains("Step 'classify' (1 of 2): Say what it is."));
    let output = work_chunk(&mut server, &first, category_by_letter);
    assert!(output.contains("step 'execute' is open for 2 of its items"), "{output}");
    let again = server
        .call("complete_task", json!({"id": first["task"]["id"], "claim": first["claim"]["token"]}))
        .ok();
    assert_eq!(again["duplicate"], true, "a repeated completion is no duplicate: {}", again.value);

    let second = claim_chunk(&mut server, &batch);
    assert_eq!(second["task"]["id"], first["task"]["id"], "the next step has another chunk");
    assert!(second["instructions"].as_str().unwrap().contains("Step 'execute' (2 of 2): Archive it."));
    let keys: Vec<_> = second["items"].as_array().unwrap().iter().map(|item| item["key"].clone()).collect();
    assert_eq!(keys, ["a1", "a2"]);
    assert_eq!(
        second["items"][0]["earlier_steps"],
        json!({"classify": {"outcome": "done", "category": "archive"}})
    );
    let output = work_chunk(&mut server, &second, |_| "archived");
    assert!(output.contains("it is done"), "{output}");
    while let claim = server.call("claim_task", json!({"batch": batch, "worker": "polecat"}))
        && claim.succeeded()
    {
        work_chunk(
            &mut server,
            &claim.value,
            |key| if key == "a3" { "archive" } else { category_by_letter(key) },
        );
    }
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["status"], "done", "{}", after.value);
    assert_eq!(after["batch"]["categories"], json!({"keep": 3, "archived": 2, "archive": 1}));
    assert_eq!(after.count("/batch/processed"), 6);
    server.close();
    store.tasktally(["verify"]).success();
    let steps: i64 = store
        .sql()
        .row("SELECT count(*) FROM receipt WHERE item_key IS NOT NULL AND step_name = 'execute'", &[]);
    assert_eq!(steps, 3, "receipts do not name their step");
}

#[test]
fn no_chunk_of_the_next_step_can_be_claimed_before_a_person_approves() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, two_step_batch("chunk"));
    for _ in 0..2 {
        let chunk = claim_chunk(&mut server, &batch);
        let output = work_chunk(&mut server, &chunk, category_by_letter);
        assert!(output.contains("waits for a review"), "{output}");
    }
    let refused = server.call("claim_task", json!({"batch": batch}));
    assert_eq!(refused.declined(), "nothing_to_claim");
    assert!(refused.message().contains("can be worked before a person decides"), "{}", refused.message());
    let state = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(state["batch"]["status"], "waiting");
    assert_eq!(state["needs_person"], json!([format!("{batch}.01"), format!("{batch}.02")]));

    let review = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    assert_eq!(review["reviews"][0]["categories"], json!({"archive": 2, "keep": 1}));
    assert_eq!(review["reviews"][0]["samples"].as_array().unwrap().len(), 3);
    assert_eq!(review["reviews"][0]["step"], "classify");

    let redo = json!({"id": batch, "chunk": format!("{batch}.01"), "decision": "redo", "reviewer": "Ann",
                      "categories": ["archive"], "note": "a1 is a newsletter"});
    let decided = server.call("review_batch", redo).ok();
    assert!(decided.message().contains("open again for 2 of its items"), "{}", decided.message());
    let again = claim_chunk(&mut server, &batch);
    assert!(
        again["instructions"].as_str().unwrap().contains("redone, with this note:\n> a1 is a newsletter")
    );
    assert_eq!(again["items"].as_array().unwrap().len(), 2);
    work_chunk(&mut server, &again, |key| if key == "a1" { "keep" } else { "archive" });
    let approved = server.call("review_batch", json!({"id": batch, "decision": "approve"})).ok();
    assert!(approved.message().contains("approve for 2 chunks"), "{}", approved.message());
    let mut executed = Vec::new();
    for _ in 0..2 {
        let chunk = claim_chunk(&mut server, &batch);
        executed.extend(chunk["items"].as_array().unwrap().iter().map(|item| item["key"].clone()));
        work_chunk(&mut server, &chunk, |_| "archived");
    }
    assert_eq!(executed, ["a2", "a3"], "items that were not approved as archive");
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["status"], "done", "{}", after.value);
    let body = server.body(&format!("{batch}.01"));
    assert!(body.contains("who names 'Ann') after step 'classify'. a1 is a newsletter"), "{body}");
    assert!(body.contains("Approved by 'tasktally-tests'"), "the person is not named: {body}");
}

#[test]
fn with_a_step_checkpoint_all_chunks_are_decided_together() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, two_step_batch("step"));
    let chunk = claim_chunk(&mut server, &batch);
    work_chunk(&mut server, &chunk, category_by_letter);
    let early = server.call("review_batch", json!({"id": batch, "decision": "approve"}));
    assert_eq!(early.declined(), "not_ready", "{}", early.value);
    let chunk = claim_chunk(&mut server, &batch);
    work_chunk(&mut server, &chunk, category_by_letter);
    server.call("review_batch", json!({"id": batch, "decision": "approve"})).ok();
    let next = claim_chunk(&mut server, &batch);
    assert!(next["instructions"].as_str().unwrap().contains("Step 'execute'"));
}

#[test]
fn a_rejected_chunk_fails_and_ends_the_series_of_approvals() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<String> = (0..5).map(|n| format!("i{n}")).collect();
    let batch = create_batch(
        &mut server,
        json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 1, "checkpoint": "chunk",
               "auto_approve_after": 1}),
    );
    let first = claim_chunk(&mut server, &batch);
    assert!(work_chunk(&mut server, &first, |_| "k").contains("waits for a review"));
    server.call("review_batch", json!({"id": batch, "decision": "approve"})).ok();
    let second = claim_chunk(&mut server, &batch);
    assert!(
        work_chunk(&mut server, &second, |_| "k").contains("it is done"),
        "the chunk is not approved by rule"
    );
    assert!(server.body(&format!("{batch}.02")).contains("Approved automatically"));
    let bare = server
        .call("review_batch", json!({"id": batch, "decision": "reject", "chunk": format!("{batch}.01")}));
    assert!(bare.message().contains("note"), "{}", bare.message());
    let redone = server
        .call(
            "review_batch",
            json!({"id": batch, "decision": "redo", "chunk": format!("{batch}.01"), "note": "look again"}),
        )
        .ok();
    assert_eq!(redone.count("/batch/processed"), 1, "{}", redone.value);
    let chunk = claim_chunk(&mut server, &batch);
    assert!(
        work_chunk(&mut server, &chunk, |_| "k").contains("waits for a review"),
        "the series of approvals did not end"
    );
    let rejected =
        server.call("review_batch", json!({"id": batch, "decision": "reject", "note": "no good"})).ok();
    assert!(rejected.message().contains("is rejected"), "{}", rejected.message());
    let nothing = server.call("review_batch", json!({"id": batch, "decision": "approve"}));
    assert_eq!(nothing.declined(), "not_ready");
}

#[test]
fn a_paused_batch_refuses_claims_and_lets_claimed_chunks_finish() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(
        &mut server,
        json!({"title": "B", "instructions": "x", "items": ["a", "b", "c"], "max_chunk": 1}),
    );
    let claimed = claim_chunk(&mut server, &batch);
    server.call("control_batch", json!({"id": batch, "action": "pause", "reason": "lunch"})).ok();
    let refused = server.call("claim_task", json!({"batch": batch}));
    assert_eq!(
        (refused.declined(), refused.message().contains("lunch")),
        ("paused", true),
        "{}",
        refused.value
    );
    assert_eq!(server.call("claim_task", json!({})).declined(), "nothing_to_claim");
    assert_eq!(server.call("claim_task", json!({"id": format!("{batch}.02")})).declined(), "paused");
    assert!(work_chunk(&mut server, &claimed, |_| "k").contains("it is done"));
    let state = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!((state.text("/batch/status"), state.text("/batch/paused")), ("paused".into(), "lunch".into()));
    server.call("control_batch", json!({"id": batch, "action": "resume"})).ok();
    for _ in 0..2 {
        let chunk = claim_chunk(&mut server, &batch);
        work_chunk(&mut server, &chunk, |_| "k");
    }
    assert_eq!(server.call("get_batch", json!({"id": batch})).ok()["batch"]["status"], "done");
}

#[test]
fn too_many_failures_pause_a_batch_until_a_person_resumes_it() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(
        &mut server,
        json!({"title": "B", "instructions": "x", "items": ["a", "b", "c", "d"], "max_chunk": 1, "max_failures": "25%"}),
    );
    let fail = |server: &mut Server| {
        let chunk = claim_chunk(server, &batch);
        let (id, token) = (&chunk["task"]["id"], &chunk["claim"]["token"]);
        let item = &chunk["items"][0]["key"];
        server
            .call(
                "update_task",
                json!({"id": id, "claim": token, "item": item, "outcome": "failed", "body": "- no"}),
            )
            .ok();
        server.call("complete_task", json!({"id": id, "claim": token})).ok();
        server.call("get_batch", json!({"id": batch})).ok().text("/batch/status")
    };
    assert_eq!(fail(&mut server), "running", "one failure of four pauses the batch");
    assert_eq!(fail(&mut server), "paused", "two failures of four do not pause the batch");
    let body = server.body(&batch);
    assert!(body.contains("2 of 4 items failed, more than max_failures 25%"), "{body}");
    server.call("control_batch", json!({"id": batch, "action": "resume", "reason": "known"})).ok();
    assert_eq!(fail(&mut server), "running", "failures from before the resume still count");
}

#[test]
fn a_released_chunk_can_be_claimed_only_after_its_backoff() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(&mut server, json!({"title": "B", "instructions": "x", "items": ["a"]}));
    let chunk = claim_chunk(&mut server, &batch);
    let (id, token) = (&chunk["task"]["id"], &chunk["claim"]["token"]);
    server.call("release_task", json!({"id": id, "claim": token, "reason": "server down"})).ok();
    let early = server.call("claim_task", json!({"id": id}));
    assert_eq!(early.declined(), "not_ready", "{}", early.value);
    assert!(early.message().contains("because its last worker gave it back"), "{}", early.message());
    let soon = server.call("claim_task", json!({"batch": batch}));
    assert!(soon.message().contains("failed and can be claimed again at"), "{}", soon.message());
    support::eventually("the backoff to end", || {
        server.call("claim_task", json!({"batch": batch})).succeeded().then_some(())
    });
}

#[test]
fn the_finish_task_becomes_ready_with_the_counts_once_every_chunk_has_ended() {
    let store = Store::new();
    let mut server = store.serve();
    let made = server
        .call(
            "create_batch",
            json!({"title": "Mail", "instructions": "x", "items": ["a", "b"], "max_chunk": 1, "project": "post",
                   "finish": {"title": "Test and push once", "body": "Run the tests first."}}),
        )
        .ok();
    let batch = made.text("/batch/id");
    let finish = server.call("get_batch", json!({"id": batch})).ok().text("/batch/finish");
    let early = server.call("claim_task", json!({"id": finish}));
    assert_eq!(early.declined(), "not_ready", "{}", early.value);
    assert!(early.message().contains("when the batch it finishes has ended"), "{}", early.message());

    let first = claim_chunk(&mut server, &batch);
    work_chunk(&mut server, &first, |_| "archive");
    let second = claim_chunk(&mut server, &batch);
    let (id, token) = (&second["task"]["id"], &second["claim"]["token"]);
    let failed =
        json!({"id": id, "claim": token, "item": "b", "outcome": "failed", "body": "- no such folder"});
    server.call("update_task", failed).ok();
    server.call("complete_task", json!({"id": id, "claim": token})).ok();

    let claimed = server.call("claim_task", json!({"project": "post", "worker": "supervisor"})).ok();
    assert_eq!(claimed.text("/task/id"), finish);
    let body = server.body(&finish);
    assert!(body.starts_with("Run the tests first."), "{body}");
    for expected in
        ["2 of 2 items processed, 1 done, 1 failed", "- archive: 1", "- failed: b: - no such folder"]
    {
        assert!(body.contains(expected), "no {expected:?} in {body}");
    }
    let token = claimed["claim"]["token"].clone();
    server.call("release_task", json!({"id": finish, "claim": token, "reason": "retry first"})).ok();
    server.call("control_batch", json!({"id": batch, "action": "retry"})).ok();
    assert_eq!(
        server.call("claim_task", json!({"id": finish})).declined(),
        "not_ready",
        "the finish task is ready while a chunk is open"
    );
    let again = claim_chunk(&mut server, &batch);
    work_chunk(&mut server, &again, |_| "archive");
    let ready = server.call("claim_task", json!({"id": finish})).ok();
    assert!(server.body(&ready.text("/task/id")).contains("2 done, 0 failed"));
}

#[test]
fn the_finish_task_of_a_cancelled_batch_shows_its_progress() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = create_batch(
        &mut server,
        json!({"title": "B", "instructions": "x", "items": ["a", "b"], "max_chunk": 1, "finish": {"title": "Push"}}),
    );
    let first = claim_chunk(&mut server, &batch);
    work_chunk(&mut server, &first, |_| "k");
    server.call("control_batch", json!({"id": batch, "action": "cancel"})).ok();
    let finish = server.call("claim_task", json!({"worker": "supervisor"})).ok();
    assert_eq!(finish.text("/task/title"), "Push");
    let body = server.body(&finish.text("/task/id"));
    assert!(body.contains("is cancelled: 1 of 2 items processed"), "{body}");
    assert!(body.contains(&format!("- chunk {batch}.02 (Item 2, chunk 2 of 2) is cancelled")), "{body}");
}

#[test]
fn the_overview_shows_open_batches_and_the_next_call() {
    let store = Store::new();
    let mut server = store.serve();
    let empty = server.call("get_batch", json!({})).ok();
    assert!(empty.text("/next").starts_with("no batch is open"), "{}", empty.value);
    let title = "A long title, as people write them when nobody stops them in time";
    let create = |server: &mut Server, project: &str, checkpoint: &str| {
        create_batch(
            server,
            json!({"title": title, "instructions": "x", "items": ["a", "b"], "max_chunk": 1, "project": project,
                   "checkpoint": checkpoint}),
        )
    };
    let running = create(&mut server, "post", "none");
    let asking = create(&mut server, "post", "chunk");
    let others: Vec<String> = (0..6).map(|_| create(&mut server, "elsewhere", "none")).collect();
    for _ in 0..2 {
        let chunk = claim_chunk(&mut server, &asking);
        work_chunk(&mut server, &chunk, |_| "k");
    }
    let reply = server.call("get_batch", json!({"project": "post"})).ok();
    let size = serde_json::to_string(&reply.value).unwrap().len();
    assert!(size < 1_000, "{size} bytes: {}", reply.value);
    let ids: Vec<_> = reply["batches"].as_array().unwrap().iter().map(|batch| batch["id"].clone()).collect();
    assert_eq!(ids, [asking.as_str(), running.as_str()]);
    assert_eq!(reply["batches"][0]["status"], "waiting");
    assert_eq!(reply["needs_person"], json!([format!("{asking}.01"), format!("{asking}.02")]));
    assert!(
        reply.text("/next").contains("view=\"review\""),
        "what waits for a person comes first: {}",
        reply.value
    );
    server.call("control_batch", json!({"id": others[5], "action": "pause"})).ok();
    let all = server.call("get_batch", json!({})).ok();
    let size = serde_json::to_string(&all.value).unwrap().len();
    assert!(size < 1_000, "{size} bytes: {}", all.value);
    assert!(all.text("/next").contains(&asking), "the most urgent of all, not of the newest: {}", all.value);
    let elsewhere = server.call("get_batch", json!({"project": "elsewhere"})).ok();
    assert!(elsewhere.text("/next").contains("resume"), "{}", elsewhere.value);
}

#[test]
fn the_text_of_the_finish_task_names_failures_of_the_first_and_the_last_chunk() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<String> = (1..=230).map(|n| format!("i{n}")).collect();
    let batch = create_batch(
        &mut server,
        json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 1, "finish": {"title": "Push"}}),
    );
    for number in 1..=230 {
        let chunk = claim_chunk(&mut server, &batch);
        if number < 230 {
            work_chunk(&mut server, &chunk, |_| "k");
        } else {
            let given_up =
                json!({"id": chunk["task"]["id"], "claim": chunk["claim"]["token"], "outcome": "failed"});
            server.call("release_task", given_up).ok();
        }
    }
    let finish = server.call("claim_task", json!({"worker": "supervisor"})).ok();
    let body = server.body(&finish.text("/task/id"));
    assert!(body.contains(&format!("- chunk {batch}.230 (Item 230, chunk 230 of 230) is failed")), "{body}");
}

#[test]
fn batches_that_need_a_person_are_listed_first() {
    let store = Store::new();
    let mut server = store.serve();
    let plan =
        |server: &mut Server, request: Value| server.call("create_batch", request).ok().text("/batch/id");
    let waits = plan(
        &mut server,
        json!({"title": "Waits", "instructions": "x", "items": ["a"], "checkpoint": "chunk"}),
    );
    let claim = server.call("claim_task", json!({"batch": waits})).ok();
    let (id, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    server.call("update_task", json!({"id": id, "claim": token, "item": "a", "outcome": "done"})).ok();
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
    for number in 1..=6 {
        plan(&mut server, json!({"title": format!("Later {number}"), "instructions": "x", "items": ["a"]}));
    }
    let reply = server.call("get_batch", json!({})).ok();
    assert_eq!(reply.message(), "7 batches are open; 4 are shown, open and urgent ones first");
    assert_eq!(reply["batches"][0]["id"], waits.as_str());
    assert_eq!(reply["needs_person"], json!([id]));
    assert!(reply.text("/next").contains(&format!("review_batch(id=\"{waits}\"")), "{}", reply.text("/next"));
}

#[test]
fn a_rejected_chunk_is_final_until_a_person_says_redo() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "x", "items": ["a", "b"], "checkpoint": "chunk"});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch})).ok();
    let (id, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    for (item, outcome) in [("a", "done"), ("b", "failed")] {
        let receipt = json!({"id": id, "claim": token, "item": item, "outcome": outcome});
        server.call("update_task", receipt).ok();
    }
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
    server.call("review_batch", json!({"id": batch, "decision": "reject", "note": "not ours"})).ok();
    assert_eq!(server.call("get_batch", json!({"id": batch})).ok()["needs_person"], json!([]));
    for selected in [json!({}), json!({"chunks": [id]}), json!({"items": ["b"]})] {
        let mut retry = json!({"id": batch, "action": "retry"});
        retry.as_object_mut().unwrap().extend(selected.as_object().unwrap().clone());
        let reply = server.call("control_batch", retry).ok();
        assert!(reply.message().contains("1 chunk stays rejected"), "{}", reply.message());
        assert_eq!(server.read_task(&id)["task"]["status"], "rejected", "{selected}");
    }
    let forced = server.call("complete_task", json!({"id": id, "force": true}));
    assert_eq!(forced.declined(), "not_ready");
    let overview = server.call("get_batch", json!({})).ok();
    assert_eq!(overview["needs_person"], json!([]), "{}", overview.value);

    let redo = json!({"id": batch, "chunk": id, "decision": "redo", "note": "after all"});
    server.call("review_batch", redo).ok();
    assert_eq!(server.call("claim_task", json!({"batch": batch})).ok().count("/items_left"), 2);
}

/// A batch whose first chunk has completed its first step, and the claim of that chunk's second step.
fn claim_second_step(server: &mut Server) -> (String, Value) {
    let batch = create_batch(server, two_step_batch("none"));
    let first = claim_chunk(server, &batch);
    work_chunk(server, &first, category_by_letter);
    let second = claim_chunk(server, &batch);
    (batch, second)
}

#[test]
fn an_item_keeps_its_category_in_a_later_step_unless_the_report_names_another() {
    let store = Store::new();
    let mut server = store.serve();
    let (batch, second) = claim_second_step(&mut server);
    let (id, token) = (&second["task"]["id"], &second["claim"]["token"]);
    let report = |item: &str, category: Value| json!({"id": id, "claim": token, "item": item, "outcome": "done", "category": category, "body": "- moved"});
    let kept = server.call("update_task", report("a1", json!(""))).ok();
    assert_eq!(kept["receipt"]["category"], "archive", "{}", kept.value);
    let repeated = server.call("update_task", report("a1", Value::Null)).ok();
    assert_eq!(repeated["receipt"]["duplicate"], true, "{}", repeated.value);
    let other = server.call("update_task", report("a2", json!("archived"))).ok();
    assert_eq!(other["receipt"]["category"], "archived", "{}", other.value);
    let repeated = server.call("update_task", report("a2", Value::Null)).ok();
    assert_eq!(repeated["receipt"]["duplicate"], true, "{}", repeated.value);
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(
        after["batch"]["categories"],
        json!({"archive": 1, "archived": 1, "keep": 1}),
        "{}",
        after.value
    );
    server.close();
    store.tasktally(["verify"]).success();
}

#[test]
fn a_failure_in_a_later_step_does_not_look_like_the_result_of_the_step_before() {
    let store = Store::new();
    let mut server = store.serve();
    let (batch, second) = claim_second_step(&mut server);
    let (id, token) = (&second["task"]["id"], &second["claim"]["token"]);
    let failed = json!({"id": id, "claim": token, "item": "a1", "outcome": "failed", "body": "no access"});
    server.call("update_task", failed).ok();
    let after = server.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["categories"], json!({"failed": 1, "keep": 1}), "{}", after.value);
}
