//! Waiting for a batch by a handle: it outlives servers, asks at checkpoints and never loops, and a
//! client that does not know of it sees nothing of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

fn tasks() -> Value {
    json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {"form": {}}})
}

/// A server whose client speaks 2026-07-28 and declares this.
fn stateless(store: &Store, capabilities: Value) -> Server {
    let mut server = store.server(&[]);
    server.listen();
    server.stateless();
    server.declare(capabilities);
    server
}

fn batch(server: &mut Server, checkpoint: &str) -> String {
    let batch = json!({"title": "Mail", "instructions": "Sort it.", "items": ["a1", "a2", "b1", "b2"],
                       "max_chunk": 2, "checkpoint": checkpoint});
    server.call("create_batch", batch).ok().text("/batch/id")
}

/// Claims the next chunk of a batch and works it through.
fn work(server: &mut Server, batch: &str) {
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "polecat"})).ok().value;
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    for item in claim["items"].as_array().unwrap() {
        let key = item["key"].as_str().unwrap();
        let receipt = json!({"id": id, "claim": token, "item": key, "outcome": "done", "category": &key[..1],
                             "body": format!("- {key}: sorted")});
        server.call("update_task", receipt).ok();
    }
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
}

/// Begins to wait; gives the handle.
#[track_caller]
fn wait(server: &mut Server, batch: &str) -> String {
    let answer =
        server.request("tools/call", json!({"name": "wait_batch", "arguments": {"id": batch}}))["result"]
            .clone();
    assert_eq!(answer["resultType"], "task", "{answer}");
    assert_eq!(answer["status"], "working", "{answer}");
    assert!(answer["pollIntervalMs"].as_u64().is_some_and(|ms| ms > 0), "{answer}");
    answer["taskId"].as_str().unwrap().to_owned()
}

#[track_caller]
fn look(server: &mut Server, handle: &str) -> Value {
    let answer = server.request("tasks/get", json!({"taskId": handle}));
    assert!(answer["result"]["taskId"] == handle, "{answer}");
    answer["result"].clone()
}

/// The one question that is asked: its key, and what the person reads.
#[track_caller]
fn question(state: &Value) -> (String, String) {
    assert_eq!(state["status"], "input_required", "{state}");
    let requests = state["inputRequests"].as_object().unwrap();
    assert_eq!(requests.len(), 1, "{state}");
    let (key, request) = requests.iter().next().unwrap();
    assert_eq!(request["method"], "elicitation/create", "{state}");
    let form = &request["params"]["requestedSchema"];
    assert_eq!(form["properties"]["decision"]["enum"], json!(["approve", "reject", "redo"]), "{state}");
    assert_eq!(form["required"], json!(["decision"]), "{state}");
    (key.clone(), request["params"]["message"].as_str().unwrap().to_owned())
}

#[track_caller]
fn answer(server: &mut Server, handle: &str, key: &str, given: Value) {
    let params = json!({"taskId": handle, "inputResponses": {key: given}});
    let answer = server.request("tasks/update", params);
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
}

/// A batch that is waited for, with one chunk of two in review: its id, the handle, the question's key.
#[track_caller]
fn one_in_review(server: &mut Server) -> (String, String, String) {
    let id = batch(server, "chunk");
    let handle = wait(server, &id);
    work(server, &id);
    let (key, _) = question(&look(server, &handle));
    (id, handle, key)
}

fn decide(decision: &str, note: &str) -> Value {
    json!({"action": "accept", "content": {"decision": decision, "note": note}})
}

fn status_of(server: &mut Server, batch: &str) -> String {
    server.call("get_batch", json!({"id": batch})).ok().text("/batch/status")
}

#[test]
fn a_handle_asks_at_checkpoints_survives_servers_and_ends_with_the_final_table() {
    let store = Store::new();
    let mut first = stateless(&store, tasks());
    let id = batch(&mut first, "chunk");
    let handle = wait(&mut first, &id);
    let state = look(&mut first, &handle);
    assert_eq!(state["status"], "working");
    assert_eq!(state["statusMessage"], "0 of 4 items processed, 0 chunks in progress");
    work(&mut first, &id);
    let (key, message) = question(&look(&mut first, &handle));
    for told in ["Mail", "2 items: 2 a", "[a] a1: - a1: sorted"] {
        assert!(message.contains(told), "{message}");
    }

    // The server dies; another process, started later, knows the handle and the question.
    first.kill();
    let mut second = stateless(&store, tasks());
    assert_eq!(question(&look(&mut second, &handle)).0, key);
    // And a third one, beside it, takes the answer.
    let mut third = stateless(&store, tasks());
    answer(&mut third, &handle, &key, decide("approve", "fine"));
    let state = look(&mut second, &handle);
    assert_eq!(state["status"], "working", "{state}");
    assert!(state["statusMessage"].as_str().unwrap().contains("approve:"), "{state}");
    let body = second.body(&format!("{id}.01"));
    assert!(body.contains("Approved by 'person at tasktally-tests'"), "{body}");
    assert!(body.contains("fine"), "{body}");

    work(&mut second, &id);
    let (key, _) = question(&look(&mut third, &handle));
    answer(&mut second, &handle, &key, decide("approve", ""));
    let state = look(&mut third, &handle);
    assert_eq!(state["status"], "completed", "{state}");
    assert!(state["statusMessage"].as_str().unwrap().starts_with("4 of 4 items processed"), "{state}");
    let table = &state["result"]["structuredContent"];
    assert_eq!(table["batch"]["status"], "done", "{state}");
    assert_eq!(table["batch"]["categories"], json!({"a": 2, "b": 2}), "{state}");
    let text: Value = serde_json::from_str(state["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(&text, table);
    assert_eq!(look(&mut second, &handle)["result"], state["result"], "it stays ended");

    // A batch that is over needs no handle.
    let over = second.call("wait_batch", json!({"id": id})).ok();
    assert_eq!(over["batch"]["status"], "done");
    for mut server in [second, third] {
        server.close();
    }
    store.tasktally(["verify"]).success();
}

#[test]
fn an_answer_to_what_others_decided_meanwhile_changes_nothing_and_says_so() {
    let store = Store::new();
    let mut server = stateless(&store, tasks());
    let (id, handle, key) = one_in_review(&mut server);
    let chunk = format!("{id}.01");
    store.tasktally(["review-batch", &id, "--chunk", &chunk, "--decision", "approve"]).success();
    let before = server.look(&chunk).value;
    answer(&mut server, &handle, &key, decide("reject", "all wrong"));
    assert_eq!(server.look(&chunk).value, before, "not a receipt");
    let state = look(&mut server, &handle);
    assert_eq!(state["status"], "working", "{state}");
    assert!(state["statusMessage"].as_str().unwrap().contains("changed nothing"), "{state}");

    // A chunk that comes to review again is another question.
    store
        .tasktally(["review-batch", &id, "--chunk", &chunk, "--decision", "redo", "--note", "once more"])
        .success();
    work(&mut server, &id);
    let (again, _) = question(&look(&mut server, &handle));
    assert_ne!(again, key);
    answer(&mut server, &handle, &key, decide("reject", "all wrong"));
    assert_eq!(server.look(&chunk).text("/task/status"), "review");
    answer(&mut server, &handle, "no such question", decide("approve", ""));
    answer(&mut server, &handle, &again, decide("approve", ""));
    assert_eq!(server.look(&chunk).text("/task/status"), "done");
}

#[test]
fn a_question_that_was_declined_stays_open_and_is_not_asked_again() {
    let store = Store::new();
    let mut server = stateless(&store, tasks());
    let id = batch(&mut server, "chunk");
    let handle = wait(&mut server, &id);
    work(&mut server, &id);
    work(&mut server, &id);
    for (action, left) in [("decline", "input_required"), ("cancel", "working")] {
        let (key, _) = question(&look(&mut server, &handle));
        answer(&mut server, &handle, &key, json!({"action": action}));
        let state = look(&mut server, &handle);
        assert_eq!(state["status"], left, "each chunk is asked about once: {state}");
        assert!(state["statusMessage"].as_str().unwrap().contains("the review stays open"), "{state}");
    }
    let state = look(&mut server, &handle);
    assert!(
        state["statusMessage"].as_str().unwrap().contains("2 chunks in review: review_batch("),
        "{state}"
    );
    assert_eq!(status_of(&mut server, &id), "waiting");
    // Somebody else's handle asks for itself.
    let other = wait(&mut server, &id);
    question(&look(&mut server, &other));
    server.call("review_batch", json!({"id": id, "decision": "approve"})).ok();
    assert_eq!(look(&mut server, &handle)["status"], "completed");
}

#[test]
fn an_answer_that_cannot_be_carried_out_is_asked_for_again_under_another_key() {
    let store = Store::new();
    let mut server = stateless(&store, tasks());
    let (id, handle, key) = one_in_review(&mut server);
    answer(&mut server, &handle, &key, json!({"action": "accept", "content": {"decision": "reject"}}));
    let state = look(&mut server, &handle);
    assert!(
        state["statusMessage"]
            .as_str()
            .unwrap()
            .contains("decision 'reject' needs a note that says what is wrong"),
        "{state}"
    );
    let (again, _) = question(&state);
    assert_ne!(again, key);
    answer(&mut server, &handle, &again, json!({"action": "accept", "content": {"decision": "perhaps"}}));
    let (third, _) = question(&look(&mut server, &handle));
    assert!(third != key && third != again);
    answer(&mut server, &handle, &key, decide("approve", ""));
    assert_eq!(server.look(&format!("{id}.01")).text("/task/status"), "review", "an old key decides nothing");
    answer(&mut server, &handle, &third, decide("reject", "all wrong"));
    let chunk = server.look(&format!("{id}.01"));
    assert_eq!(chunk.text("/task/status"), "failed");
    assert!(chunk.text("/task/body").contains("Rejected by 'person at tasktally-tests'"), "{}", chunk.value);
}

#[test]
fn a_step_that_is_approved_as_a_whole_is_asked_about_as_a_whole() {
    let store = Store::new();
    let mut server = stateless(&store, tasks());
    let request = json!({"title": "Mail", "instructions": "Sort it.", "items": ["a1", "a2", "b1", "b2"],
        "max_chunk": 2, "checkpoint": "step",
        "steps": [{"name": "classify", "instructions": "Look."}, {"name": "execute", "instructions": "Do."}]});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    let handle = wait(&mut server, &id);
    work(&mut server, &id);
    assert_eq!(look(&mut server, &handle)["status"], "working", "the step is not through");
    work(&mut server, &id);
    let (key, message) = question(&look(&mut server, &handle));
    assert!(message.contains("all 2 chunks in review"), "{message}");
    assert!(message.contains("4 items: 2 a, 2 b"), "{message}");
    answer(&mut server, &handle, &key, decide("approve", ""));
    let after = server.call("get_batch", json!({"id": id})).ok();
    assert_eq!(
        (after.text("/batch/status"), after.text("/batch/step")),
        ("running".into(), "execute".into())
    );
}

#[test]
fn cancelling_a_handle_ends_the_waiting_and_leaves_the_batch_alone() {
    let store = Store::new();
    let mut server = stateless(&store, tasks());
    let id = batch(&mut server, "none");
    let handle = wait(&mut server, &id);
    let before = server.call("get_batch", json!({"id": id})).ok().value;
    for _ in 0..2 {
        let answer = server.request("tasks/cancel", json!({"taskId": handle}));
        assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    }
    assert_eq!(server.call("get_batch", json!({"id": id})).ok().value, before);
    work(&mut server, &id);
    work(&mut server, &id);
    let state = look(&mut server, &handle);
    assert_eq!(state["status"], "cancelled", "{state}");
    assert!(state["statusMessage"].as_str().unwrap().contains("wait was cancelled"), "{state}");
    assert_eq!(status_of(&mut server, &id), "done");

    // What is over is not cancelled any more, even where nobody had looked yet.
    let id = batch(&mut server, "none");
    let handle = wait(&mut server, &id);
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    server.request("tasks/cancel", json!({"taskId": handle}));
    let state = look(&mut server, &handle);
    assert_eq!(state["status"], "completed", "{state}");
    assert_eq!(state["result"]["structuredContent"]["batch"]["status"], "cancelled", "{state}");
}

#[test]
fn what_has_ended_stays_ended_when_the_batch_is_taken_up_again() {
    let store = Store::new();
    let mut server = stateless(&store, tasks());
    let id = batch(&mut server, "chunk");
    let handle = wait(&mut server, &id);
    work(&mut server, &id);
    work(&mut server, &id);
    server.call("review_batch", json!({"id": id, "decision": "reject", "note": "all wrong"})).ok();
    assert_eq!(look(&mut server, &handle)["status"], "completed");
    server
        .call(
            "review_batch",
            json!({"id": id, "chunk": format!("{id}.01"), "decision": "redo", "note": "again"}),
        )
        .ok();
    assert_eq!(status_of(&mut server, &id), "running");
    assert_eq!(look(&mut server, &handle)["status"], "completed", "a task that ended does not begin again");
}

#[test]
fn an_unknown_or_foreign_handle_is_refused_with_a_sentence() {
    let store = Store::new();
    let mut server = stateless(&store, tasks());
    let id = batch(&mut server, "none");
    let handle = wait(&mut server, &id);
    let mut stranger = stateless(&store, tasks());
    stranger.call_client("stranger");
    for (handle, told) in
        [(handle.as_str(), "another client"), ("nothing", "No wait has the handle 'nothing'")]
    {
        for (method, params) in [
            ("tasks/get", json!({"taskId": handle})),
            ("tasks/cancel", json!({"taskId": handle})),
            ("tasks/update", json!({"taskId": handle, "inputResponses": {}})),
        ] {
            let answer = stranger.request(method, params);
            assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
            assert!(answer["error"]["message"].as_str().unwrap().contains(told), "{method}: {answer}");
        }
    }
    assert_eq!(look(&mut server, &handle)["status"], "working");
    let unknown = server.call("wait_batch", json!({"id": "nothing"}));
    assert_eq!(unknown.refusal(), "not_found");
    let malformed = server.request("tasks/get", json!({"task": 1}));
    assert_eq!(malformed["error"]["code"], -32602, "{malformed}");
}

#[test]
fn who_cannot_have_a_person_asked_is_told_what_to_do_instead() {
    let store = Store::new();
    let mut server = stateless(&store, json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}));
    let id = batch(&mut server, "chunk");
    let handle = wait(&mut server, &id);
    work(&mut server, &id);
    let state = look(&mut server, &handle);
    assert_eq!(state["status"], "working", "{state}");
    assert!(state["statusMessage"].as_str().unwrap().contains("1 chunk in review: review_batch("), "{state}");
}

#[test]
fn a_client_that_did_not_declare_the_extension_sees_nothing_of_it() {
    let store = Store::new();
    // A legacy client, even one that declares it.
    for (capabilities, version) in
        [(json!({}), "2025-11-25"), (tasks(), "2025-11-25"), (tasks(), "2026-07-28")]
    {
        let mut server = store.server(&[]);
        server.listen();
        server.declare(capabilities);
        let welcome = server.initialize(version);
        assert_eq!(welcome["protocolVersion"], "2025-11-25");
        assert!(!welcome.to_string().contains("io.modelcontextprotocol/tasks"), "{welcome}");
        let id = batch(&mut server, "none");
        let told = server.call("wait_batch", json!({"id": id})).ok();
        let mut same = server.call("get_batch", json!({"id": id})).ok();
        same.value["since"] = told["since"].clone();
        assert_eq!(told, same, "it is get_batch");
        for (method, params) in [
            ("tasks/get", json!({"taskId": "x"})),
            ("tasks/update", json!({"taskId": "x", "inputResponses": {}})),
            ("tasks/cancel", json!({"taskId": "x"})),
            ("tasks/cancel", json!({})),
        ] {
            let answer = server.request(method, params);
            assert_eq!(answer["error"]["code"], -32601, "{method}: {answer}");
        }
    }
    // One that speaks 2026-07-28 and declares nothing.
    let mut server = stateless(&store, json!({}));
    let found = server.request("server/discover", json!({}));
    assert!(!found.to_string().contains("io.modelcontextprotocol/tasks"), "{found}");
    let id = batch(&mut server, "none");
    assert_eq!(server.call("wait_batch", json!({"id": id})).ok()["batch"]["status"], "running");
    server.declare(tasks());
    let found = server.request("server/discover", json!({}));
    let extensions = &found["result"]["capabilities"]["extensions"];
    assert!(extensions["io.modelcontextprotocol/tasks"].is_object(), "{found}");
    // The command is the same as the tool without it.
    let ran = store.tasktally(["wait-batch", &id, "--json"]).finish();
    let told: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(told["batch"]["id"], *id);
}
