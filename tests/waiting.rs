//! `wait_batch` as a task of the tasks extension: the wait outlives servers and asks at checkpoints. A client without the
//! extension sees nothing of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;
use support::waits::{batch, start_wait, stateless, tasks_capability, wait_state, work_chunk};

/// The only open question: its key and its text.
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

/// Creates a batch, starts a wait and works one of its two chunks until it is in review. Returns the batch's id, the
/// handle and the key of the question.
#[track_caller]
fn wait_with_question(server: &mut Server) -> (String, String, String) {
    let id = batch(server, "chunk");
    let handle = start_wait(server, &id);
    work_chunk(server, &id);
    let (key, _) = question(&wait_state(server, &handle));
    (id, handle, key)
}

fn decide(decision: &str, note: &str) -> Value {
    json!({"action": "accept", "content": {"decision": decision, "note": note}})
}

fn status_of(server: &mut Server, batch: &str) -> String {
    server.call("get_batch", json!({"id": batch})).ok().text("/batch/status")
}

#[test]
fn a_wait_asks_at_checkpoints_survives_servers_and_ends_with_the_final_counts() {
    let store = Store::new();
    let mut first = stateless(&store, tasks_capability());
    let id = batch(&mut first, "chunk");
    let handle = start_wait(&mut first, &id);
    let state = wait_state(&mut first, &handle);
    assert_eq!(state["status"], "working");
    assert_eq!(state["statusMessage"], "0 of 4 items processed, 0 chunks in progress");
    work_chunk(&mut first, &id);
    let (key, message) = question(&wait_state(&mut first, &handle));
    for expected in ["Mail", "2 items: 2 a", "[a] a1: - a1: sorted"] {
        assert!(message.contains(expected), "{message}");
    }

    // The server is killed. Another process knows the handle and the question.
    first.kill();
    let mut second = stateless(&store, tasks_capability());
    assert_eq!(question(&wait_state(&mut second, &handle)).0, key);
    // A third process accepts the answer.
    let mut third = stateless(&store, tasks_capability());
    answer(&mut third, &handle, &key, decide("approve", "fine"));
    let state = wait_state(&mut second, &handle);
    assert_eq!(state["status"], "working", "{state}");
    assert!(state["statusMessage"].as_str().unwrap().contains("approve:"), "{state}");
    let body = second.body(&format!("{id}.01"));
    assert!(body.contains("Approved by 'person at tasktally-tests'"), "{body}");
    assert!(body.contains("fine"), "{body}");

    work_chunk(&mut second, &id);
    let (key, _) = question(&wait_state(&mut third, &handle));
    answer(&mut second, &handle, &key, decide("approve", ""));
    let state = wait_state(&mut third, &handle);
    assert_eq!(state["status"], "completed", "{state}");
    assert!(state["statusMessage"].as_str().unwrap().starts_with("4 of 4 items processed"), "{state}");
    let table = &state["result"]["structuredContent"];
    assert_eq!(table["batch"]["status"], "done", "{state}");
    assert_eq!(table["batch"]["categories"], json!({"a": 2, "b": 2}), "{state}");
    let text: Value = serde_json::from_str(state["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(&text, table);
    assert_eq!(wait_state(&mut second, &handle)["result"], state["result"], "the result changed");

    // A batch that has ended needs no wait.
    let over = second.call("wait_batch", json!({"id": id})).ok();
    assert_eq!(over["batch"]["status"], "done");
    for mut server in [second, third] {
        server.close();
    }
    store.tasktally(["verify"]).success();
}

#[test]
fn an_answer_after_another_decision_changes_nothing_and_says_so() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_capability());
    let (id, handle, key) = wait_with_question(&mut server);
    let chunk = format!("{id}.01");
    store.tasktally(["review-batch", &id, "--chunk", &chunk, "--decision", "approve"]).success();
    let before = server.read_task(&chunk).value;
    answer(&mut server, &handle, &key, decide("reject", "all wrong"));
    assert_eq!(server.read_task(&chunk).value, before, "the late answer changed the chunk");
    let state = wait_state(&mut server, &handle);
    assert_eq!(state["status"], "working", "{state}");
    assert!(state["statusMessage"].as_str().unwrap().contains("changed nothing"), "{state}");

    // A chunk that is in review again is another question.
    store
        .tasktally(["review-batch", &id, "--chunk", &chunk, "--decision", "redo", "--note", "once more"])
        .success();
    work_chunk(&mut server, &id);
    let (again, _) = question(&wait_state(&mut server, &handle));
    assert_ne!(again, key);
    answer(&mut server, &handle, &key, decide("reject", "all wrong"));
    assert_eq!(server.read_task(&chunk).text("/task/status"), "review");
    answer(&mut server, &handle, "no such question", decide("approve", ""));
    answer(&mut server, &handle, &again, decide("approve", ""));
    assert_eq!(server.read_task(&chunk).text("/task/status"), "done");
}

#[test]
fn after_a_declined_question_the_review_stays_open_and_is_not_asked_again() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_capability());
    let id = batch(&mut server, "chunk");
    let handle = start_wait(&mut server, &id);
    work_chunk(&mut server, &id);
    work_chunk(&mut server, &id);
    for (action, left) in [("decline", "input_required"), ("cancel", "completed")] {
        let (key, _) = question(&wait_state(&mut server, &handle));
        answer(&mut server, &handle, &key, json!({"action": action}));
        let state = wait_state(&mut server, &handle);
        assert_eq!(state["status"], left, "a chunk is asked about twice: {state}");
        assert!(state["statusMessage"].as_str().unwrap().contains("the review stays open"), "{state}");
    }
    let state = wait_state(&mut server, &handle);
    assert!(
        state["statusMessage"].as_str().unwrap().contains("2 chunks in review: review_batch("),
        "{state}"
    );
    // The wait has ended with what the caller can do.
    let reply = &state["result"]["structuredContent"];
    assert_eq!(reply["batch"]["status"], "waiting", "{state}");
    assert!(reply["next"].as_str().unwrap().contains("ask the person, then review_batch("), "{state}");
    // Another wait asks its own question.
    let other = start_wait(&mut server, &id);
    question(&wait_state(&mut server, &other));
    // A client without forms passes the decision on.
    store.serve().call("review_batch", json!({"id": id, "decision": "approve"})).ok();
    assert_eq!(wait_state(&mut server, &other)["status"], "completed");
}

#[test]
fn an_invalid_answer_is_asked_for_again_under_another_key() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_capability());
    let (id, handle, key) = wait_with_question(&mut server);
    answer(&mut server, &handle, &key, json!({"action": "accept", "content": {"decision": "reject"}}));
    let state = wait_state(&mut server, &handle);
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
    let (third, _) = question(&wait_state(&mut server, &handle));
    assert!(third != key && third != again);
    answer(&mut server, &handle, &key, decide("approve", ""));
    assert_eq!(
        server.read_task(&format!("{id}.01")).text("/task/status"),
        "review",
        "an old key decided the review"
    );
    answer(&mut server, &handle, &third, decide("reject", "all wrong"));
    let chunk = server.read_task(&format!("{id}.01"));
    assert_eq!(chunk.text("/task/status"), "rejected");
    assert!(chunk.text("/task/body").contains("Rejected by 'person at tasktally-tests'"), "{}", chunk.value);
}

#[test]
fn a_step_checkpoint_is_asked_as_one_question() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_capability());
    let request = json!({"title": "Mail", "instructions": "Sort it.", "items": ["a1", "a2", "b1", "b2"],
        "max_chunk": 2, "checkpoint": "step",
        "steps": [{"name": "classify", "instructions": "Look."}, {"name": "execute", "instructions": "Do."}]});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    let handle = start_wait(&mut server, &id);
    work_chunk(&mut server, &id);
    assert_eq!(
        wait_state(&mut server, &handle)["status"],
        "working",
        "the question came before the step was complete"
    );
    work_chunk(&mut server, &id);
    let (key, message) = question(&wait_state(&mut server, &handle));
    assert!(message.contains("2 chunks in review (1-2)"), "{message}");
    assert!(message.contains("4 items: 2 a, 2 b"), "{message}");
    answer(&mut server, &handle, &key, decide("approve", ""));
    let after = server.call("get_batch", json!({"id": id})).ok();
    assert_eq!(
        (after.text("/batch/status"), after.text("/batch/step")),
        ("running".into(), "execute".into())
    );
}

#[test]
fn cancelling_a_wait_does_not_change_the_batch() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_capability());
    let id = batch(&mut server, "none");
    let handle = start_wait(&mut server, &id);
    let before = server.call("get_batch", json!({"id": id})).ok().value;
    for _ in 0..2 {
        let answer = server.request("tasks/cancel", json!({"taskId": handle}));
        assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    }
    assert_eq!(server.call("get_batch", json!({"id": id})).ok().value, before);
    work_chunk(&mut server, &id);
    work_chunk(&mut server, &id);
    let state = wait_state(&mut server, &handle);
    assert_eq!(state["status"], "cancelled", "{state}");
    assert!(state["statusMessage"].as_str().unwrap().contains("wait was cancelled"), "{state}");
    assert_eq!(status_of(&mut server, &id), "done");

    // The wait for a batch that has ended cannot be cancelled, even if its state was never read.
    let id = batch(&mut server, "none");
    let handle = start_wait(&mut server, &id);
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    server.request("tasks/cancel", json!({"taskId": handle}));
    let state = wait_state(&mut server, &handle);
    assert_eq!(state["status"], "completed", "{state}");
    assert_eq!(state["result"]["structuredContent"]["batch"]["status"], "cancelled", "{state}");
}

#[test]
fn a_wait_that_has_ended_stays_ended_after_the_batch_is_reopened() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_capability());
    let id = batch(&mut server, "chunk");
    let handle = start_wait(&mut server, &id);
    work_chunk(&mut server, &id);
    work_chunk(&mut server, &id);
    // A client without forms passes the decisions on.
    let mut without_forms = store.serve();
    without_forms.call("review_batch", json!({"id": id, "decision": "reject", "note": "all wrong"})).ok();
    assert_eq!(wait_state(&mut server, &handle)["status"], "completed");
    without_forms
        .call(
            "review_batch",
            json!({"id": id, "chunk": format!("{id}.01"), "decision": "redo", "note": "again"}),
        )
        .ok();
    assert_eq!(status_of(&mut server, &id), "running");
    assert_eq!(wait_state(&mut server, &handle)["status"], "completed", "the wait started again");
}

#[test]
fn an_unknown_or_foreign_handle_is_refused_with_the_reason() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_capability());
    let id = batch(&mut server, "none");
    let handle = start_wait(&mut server, &id);
    let mut stranger = stateless(&store, tasks_capability());
    stranger.set_client_name("stranger");
    for (handle, expected) in
        [(handle.as_str(), "another client"), ("nothing", "No wait has the handle 'nothing'")]
    {
        for (method, params) in [
            ("tasks/get", json!({"taskId": handle})),
            ("tasks/cancel", json!({"taskId": handle})),
            ("tasks/update", json!({"taskId": handle, "inputResponses": {}})),
        ] {
            let answer = stranger.request(method, params);
            assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
            assert!(answer["error"]["message"].as_str().unwrap().contains(expected), "{method}: {answer}");
        }
    }
    assert_eq!(wait_state(&mut server, &handle)["status"], "working");
    let unknown = server.call("wait_batch", json!({"id": "nothing"}));
    assert_eq!(unknown.refusal(), "not_found");
    let malformed = server.request("tasks/get", json!({"task": 1}));
    assert_eq!(malformed["error"]["code"], -32602, "{malformed}");
}

/// What `next` of the reply says with which a wait has ended.
#[track_caller]
#[test]
fn a_client_without_the_extension_sees_nothing_of_it() {
    let store = Store::new();
    // A client before 2026-07-28, even if it declares the extension.
    for (capabilities, version) in
        [(json!({}), "2025-11-25"), (tasks_capability(), "2025-11-25"), (tasks_capability(), "2026-07-28")]
    {
        let mut server = store.server(&[]);
        server.start_reading();
        server.declare_capabilities(capabilities);
        let welcome = server.initialize(version);
        assert_eq!(welcome["protocolVersion"], "2025-11-25");
        assert!(!welcome.to_string().contains("io.modelcontextprotocol/tasks"), "{welcome}");
        let id = batch(&mut server, "none");
        let reply = server.call("wait_batch", json!({"id": id})).ok();
        let mut same = server.call("get_batch", json!({"id": id})).ok();
        same.value["since"] = reply["since"].clone();
        assert_eq!(reply, same, "not the reply of get_batch");
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
    // A client of 2026-07-28 that declares nothing.
    let mut server = stateless(&store, json!({}));
    let found = server.request("server/discover", json!({}));
    assert!(!found.to_string().contains("io.modelcontextprotocol/tasks"), "{found}");
    let id = batch(&mut server, "none");
    assert_eq!(server.call("wait_batch", json!({"id": id})).ok()["batch"]["status"], "running");
    server.declare_capabilities(tasks_capability());
    let found = server.request("server/discover", json!({}));
    let extensions = &found["result"]["capabilities"]["extensions"];
    assert!(extensions["io.modelcontextprotocol/tasks"].is_object(), "{found}");
    // The command behaves as the tool without the extension.
    let ran = store.tasktally(["wait-batch", &id, "--json"]).finish();
    let reply: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(reply["batch"]["id"], *id);
}
