//! Waits and forms: a client that answers for its person, and a server that reaches a wait outside of its scope.

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::store::Store;

const APPROVE: &str = r#"{"action": "accept", "content": {"decision": "approve"}}"#;

fn approve() -> Value {
    serde_json::from_str(APPROVE).unwrap()
}

/// A client of protocol 2026-07-28 that runs tasks; `forms` says whether it declares that it can show a form.
fn client(store: &Store, args: &[&str], forms: bool) -> Server {
    let mut server = store.server(args);
    let mut capabilities = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    if forms {
        capabilities["elicitation"] = json!({});
    }
    server.declare_capabilities(capabilities);
    server.stateless();
    server.start_reading();
    server
}

/// A batch for persons with two chunks, of which none is worked on yet.
fn batch_for_persons(server: &mut Server, more: Value) -> String {
    let mut batch = json!({"title": "Secret mail", "instructions": "Sort it.", "items": ["a1", "b1"], "max_chunk": 1,
                           "checkpoint": "chunk", "review": "person"});
    batch.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.call("create_batch", batch).ok().text("/batch/id")
}

fn work_chunk(server: &mut Server, batch: &str) {
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "polecat"})).ok().value;
    let (chunk, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    let receipt = json!({"id": chunk, "claim": token, "item": claim["items"][0]["key"], "outcome": "done",
                         "body": "- sorted"});
    server.call("update_task", receipt).ok();
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
}

fn start_wait(server: &mut Server, batch: &str) -> String {
    let started = server.request("tools/call", json!({"name": "wait_batch", "arguments": {"id": batch}}));
    started["result"]["taskId"].as_str().unwrap_or_else(|| panic!("no handle: {started}")).to_owned()
}

fn state(server: &mut Server, handle: &str) -> Value {
    server.request("tasks/get", json!({"taskId": handle}))
}

fn answer(server: &mut Server, handle: &str, key: &str) -> Value {
    server.request("tasks/update", json!({"taskId": handle, "inputResponses": {key: approve()}}))
}

/// The key of the only question in a state or in a result.
#[track_caller]
fn key_of(answer: &Value) -> String {
    let requests = answer["result"]["inputRequests"].as_object().unwrap_or_else(|| panic!("{answer}"));
    requests.keys().next().unwrap().clone()
}

/// Asserts that no receipt is by a person and that the chunk still waits for one.
#[track_caller]
fn assert_undecided(store: &Store, batch: &str) {
    let persons: u64 = store.sql().row("SELECT count(*) FROM receipt WHERE author_kind = 'person'", &[]);
    assert_eq!(persons, 0, "a receipt by a person");
    let chunk = store.serve().read_task(&format!("{batch}.01"));
    assert_eq!(chunk.text("/task/status"), "review");
}

/// `review_batch` refused the agent's own decision, so it answered through a handle, under a key that it formed itself.
#[test]
fn a_client_without_forms_cannot_answer_for_its_person_through_a_handle() {
    let store = Store::new();
    let mut server = client(&store, &[], false);
    let id = batch_for_persons(&mut server, json!({}));
    work_chunk(&mut server, &id);
    let handle = start_wait(&mut server, &id);
    assert_eq!(state(&mut server, &handle)["result"]["status"], "working");
    for key in [format!("{id}.01:0.1"), format!("{id}.01:0.1~2"), "x".to_owned()] {
        let refused = answer(&mut server, &handle, &key);
        let message = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("does not declare elicitation"), "{refused}");
    }
    assert_undecided(&store, &id);
}

/// The same by a client that can show forms, before it was given a form to show.
#[test]
fn an_answer_to_a_form_that_was_not_issued_decides_nothing() {
    let store = Store::new();
    let mut server = client(&store, &[], true);
    let id = batch_for_persons(&mut server, json!({}));
    work_chunk(&mut server, &id);
    let handle = start_wait(&mut server, &id);
    let (asked, other) = (start_wait(&mut server, &id), start_wait(&mut server, &id));
    let key = key_of(&state(&mut server, &asked));
    assert!(key.starts_with(&format!("{id}.01:0.1~")) && key.len() > id.len() + 20, "{key}");
    // A key that was guessed, and the key of another handle's form.
    for key in [&format!("{id}.01:0.1"), &key] {
        assert_eq!(answer(&mut server, &handle, key)["result"]["resultType"], "complete");
        assert_eq!(answer(&mut server, &other, key)["result"]["resultType"], "complete");
        assert_undecided(&store, &id);
    }
    // The first call of review_batch comes with its answer, with a guessed key and with the key of a handle.
    for key in [&format!("{id}.01:0.1"), &format!("{id}.01:0.1~1"), &key] {
        let params = json!({"name": "review_batch", "arguments": {"id": id, "decision": "approve"},
                            "inputResponses": {key: approve()}});
        let refused = server.request("tools/call", params);
        assert_eq!(refused["result"]["structuredContent"]["code"], "conflict", "{refused}");
    }
    assert_undecided(&store, &id);
    answer(&mut server, &asked, &key);
    assert_eq!(server.read_task(&format!("{id}.01")).text("/task/status"), "done");
}

/// The person was shown a form without a proposal and asked for a redo. The agent added its own note to the answered call.
#[test]
fn the_answer_to_one_call_is_no_answer_to_another_and_counts_once() {
    let store = Store::new();
    let mut server = client(&store, &[], true);
    let id = batch_for_persons(&mut server, json!({}));
    work_chunk(&mut server, &id);
    let call = |server: &mut Server, arguments: Value, responses: Value| {
        let mut params = json!({"name": "review_batch", "arguments": arguments});
        if !responses.is_null() {
            params["inputResponses"] = responses;
        }
        server.request("tools/call", params)
    };
    let (plain, proposed) = (json!({"id": id}), json!({"id": id, "decision": "approve", "note": "all read"}));
    let key = key_of(&call(&mut server, plain.clone(), Value::Null));
    let refused = call(&mut server, proposed, json!({key.clone(): approve()}));
    assert_eq!(refused["result"]["structuredContent"]["code"], "conflict", "{refused}");
    // After the person declined, the same key does not decide.
    let declined = call(&mut server, plain.clone(), json!({key.clone(): {"action": "decline"}}));
    assert_eq!(declined["result"]["structuredContent"]["code"], "not_ready", "{declined}");
    let replayed = call(&mut server, plain, json!({key: approve()}));
    assert_eq!(replayed["result"]["structuredContent"]["code"], "conflict", "{replayed}");
    assert_undecided(&store, &id);
}

/// An agent with a server for one project found the handle of another project's wait, and gave its client the same name.
#[test]
fn a_handle_outside_of_the_servers_scope_is_unknown() {
    let store = Store::new();
    let mut supervisor = client(&store, &[], true);
    let id = batch_for_persons(&mut supervisor, json!({"project": "theirs"}));
    let other = batch_for_persons(&mut supervisor, json!({"project": "mine"}));
    let handle = start_wait(&mut supervisor, &id);
    work_chunk(&mut supervisor, &id);
    let key = key_of(&state(&mut supervisor, &handle));
    for scope in [
        &["--project", "mine"][..],
        &["--batch", &other],
        &["--read-only"],
        &["--toolset", "worker"],
        &["--project", "theirs", "--read-only"],
    ] {
        let mut server = client(&store, scope, true);
        for (method, params) in [
            ("tasks/get", json!({"taskId": handle})),
            ("tasks/update", json!({"taskId": handle, "inputResponses": {key.clone(): approve()}})),
            ("tasks/cancel", json!({"taskId": handle})),
        ] {
            let refused = server.request(method, params).to_string();
            assert!(refused.contains("\"error\""), "{scope:?} {method}: {refused}");
            assert!(!refused.contains("Secret") && !refused.contains(&id), "{scope:?} {method}: {refused}");
            assert_eq!(
                refused.contains("No wait has the handle"),
                !scope.contains(&"--read-only") && !scope.contains(&"worker"),
                "{scope:?} {method}: {refused}"
            );
        }
        assert_undecided(&store, &id);
    }
    assert_eq!(state(&mut supervisor, &handle)["result"]["status"], "input_required");
    // Inside of its scope, a server serves the wait.
    let mut server = client(&store, &["--project", "theirs"], true);
    assert_eq!(key_of(&state(&mut server, &handle)), key);
}

/// A client of the same name that shows no forms polled the handle: the open question became an end of the wait.
#[test]
fn a_client_without_forms_does_not_end_the_wait_of_one_that_asks() {
    let store = Store::new();
    let mut supervisor = client(&store, &[], true);
    let id = batch_for_persons(&mut supervisor, json!({}));
    let handle = start_wait(&mut supervisor, &id);
    work_chunk(&mut supervisor, &id);
    let mut namesake = client(&store, &[], false);
    let seen = state(&mut namesake, &handle);
    assert_eq!(seen["result"]["status"], "working", "{seen}");
    let key = key_of(&state(&mut supervisor, &handle));
    assert_eq!(state(&mut namesake, &handle)["result"]["status"], "working");
    answer(&mut supervisor, &handle, &key);
    assert_eq!(supervisor.read_task(&format!("{id}.01")).text("/task/status"), "done");
}
