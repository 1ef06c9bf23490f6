//! `review_batch` without a decision asks the person behind the client, by the method of the client's protocol version.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

/// A server whose client uses a protocol before 2026-07-28 and declares these capabilities.
fn legacy(store: &Store, version: &str, capabilities: Value) -> Server {
    let mut server = store.server(&[]);
    server.start_reading();
    server.declare_capabilities(capabilities);
    server.initialize(version);
    server
}

/// Creates a batch and works its chunks until they wait for a review. Returns its id.
fn batch_in_review(server: &mut Server) -> String {
    let batch = json!({"title": "Mail", "instructions": "Sort it.", "items": ["a1", "b1"], "max_chunk": 1,
                       "checkpoint": "chunk"});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    for _ in 0..2 {
        let claim = server.call("claim_task", json!({"batch": id, "worker": "polecat"})).ok().value;
        let (chunk, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
        let receipt = json!({"id": chunk, "claim": token, "item": claim["items"][0]["key"], "outcome": "done",
                             "category": "fyi", "body": "- sorted"});
        server.call("update_task", receipt).ok();
        server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    }
    id
}

/// Calls `review_batch` without a decision. Returns the id of the call and the question to the person.
#[track_caller]
fn ask(server: &mut Server, arguments: Value) -> (u64, Value) {
    let call = server.send("review_batch", arguments);
    let question = server.receive("elicitation/create");
    assert!(question["params"]["message"].as_str().unwrap().contains("[fyi] a1: - sorted"), "{question}");
    let form = &question["params"]["requestedSchema"];
    assert_eq!(form["properties"]["decision"]["enum"], json!(["approve", "reject", "redo"]), "{question}");
    (call, question)
}

#[test]
fn a_legacy_client_with_elicitation_is_asked_directly() {
    for (version, capabilities) in
        [("2025-06-18", json!({"elicitation": {}})), ("2025-11-25", json!({"elicitation": {"form": {}}}))]
    {
        let store = Store::new();
        let mut server = legacy(&store, version, capabilities);
        let id = batch_in_review(&mut server);
        let (call, question) = ask(&mut server, json!({"id": id, "chunk": format!("{id}.01")}));
        // Other requests are served while the person thinks.
        server.create_task("Meanwhile");
        let content = json!({"decision": "redo", "note": "look again"});
        server.respond(&question, json!({"action": "accept", "content": content}));
        let reply = server.recv(call).unwrap().ok();
        assert!(reply.message().starts_with("redo:"), "{}", reply.message());
        let body = server.body(&format!("{id}.01"));
        assert!(body.contains("by 'person at tasktally-tests'") && body.contains("look again"), "{body}");
        assert_eq!(server.read_task(&format!("{id}.02")).text("/task/status"), "review");
        assert!(server.close().success());
        store.tasktally(["verify"]).success();
    }
}

#[test]
fn a_person_who_does_not_decide_leaves_the_review_open() {
    let store = Store::new();
    let mut server = legacy(&store, "2025-11-25", json!({"elicitation": {}}));
    let id = batch_in_review(&mut server);
    for action in ["decline", "cancel"] {
        let (call, question) = ask(&mut server, json!({"id": id}));
        server.respond(&question, json!({"action": action}));
        let reply = server.recv(call).unwrap();
        assert_eq!(reply.declined(), "not_ready");
        assert!(reply.message().contains(&format!("the answer was {action}")), "{}", reply.message());
        // A client without a person declines by itself.
        let elsewhere = format!("tasktally review-batch {id} approve");
        assert!(reply.message().contains(&elsewhere), "{}", reply.message());
    }
    for content in [json!({"decision": "reject"}), json!({"decision": "maybe"}), json!(7)] {
        let (call, question) = ask(&mut server, json!({"id": id}));
        server.respond(&question, json!({"action": "accept", "content": content}));
        assert_eq!(server.recv(call).unwrap().refusal(), "invalid_argument");
    }
    let (call, question) = ask(&mut server, json!({"id": id}));
    let error = json!({"code": -32000, "message": "no window"});
    server.write_line(&json!({"jsonrpc": "2.0", "id": question["id"], "error": error}).to_string());
    let reply = server.recv(call).unwrap();
    assert!(reply.message().contains("no window"), "{}", reply.message());
    let after = server.call("get_batch", json!({"id": id, "view": "review"})).ok();
    assert_eq!(after["reviews"].as_array().unwrap().len(), 2);
}

#[test]
fn an_answer_that_comes_after_another_decision_changes_nothing() {
    let store = Store::new();
    let mut server = legacy(&store, "2025-11-25", json!({"elicitation": {}}));
    let id = batch_in_review(&mut server);
    let (call, question) = ask(&mut server, json!({"id": id}));
    store.tasktally(["review-batch", &id, "--chunk", &format!("{id}.01"), "--decision", "approve"]).success();
    server.respond(&question, json!({"action": "accept", "content": {"decision": "reject", "note": "bad"}}));
    let reply = server.recv(call).unwrap();
    assert_eq!(reply.refusal(), "conflict");
    assert!(reply.message().contains("came too late"), "{}", reply.message());
    assert_eq!(server.read_task(&format!("{id}.02")).text("/task/status"), "review");
}

#[test]
fn a_hundred_requests_are_answered_while_many_questions_are_open() {
    const ASKED: usize = 32;
    let store = Store::new();
    let mut server = legacy(&store, "2025-11-25", json!({"elicitation": {}}));
    let id = batch_in_review(&mut server);
    let mut asked: Vec<_> = (0..ASKED).map(|_| ask(&mut server, json!({"id": id}))).collect();
    // One more question is refused with the limit.
    let refused = server.call("review_batch", json!({"id": id}));
    assert_eq!(refused.refusal(), "too_large");
    assert!(refused.message().contains("32"), "{}", refused.message());
    let calls: Vec<u64> =
        (0..100).map(|n| server.send("create_task", json!({"title": format!("T{n}")}))).collect();
    for call in calls {
        server.recv(call).unwrap().ok();
    }
    // A cancelled call is not answered, and its question is cancelled.
    let (call, question) = asked.pop().unwrap();
    server.cancel(call);
    let withdrawn = server.receive("notifications/cancelled");
    assert_eq!(withdrawn["params"]["requestId"], question["id"]);
    // Another question can be asked again.
    asked.push(ask(&mut server, json!({"id": id})));
    let (first, question) = asked.remove(0);
    server.respond(&question, json!({"action": "accept", "content": {"decision": "approve"}}));
    server.recv(first).unwrap().ok();
    // The client closes its end with open questions. Their calls are answered.
    assert!(server.close().success());
    for (call, _) in asked {
        let reply = server.recv(call).unwrap();
        assert!(reply.message().contains("the client disconnected"), "{}", reply.message());
    }
    assert_eq!(server.next_message(), None, "the cancelled call is answered");
}

#[test]
fn a_stateless_client_gets_the_question_as_a_response_and_repeats_the_call_with_the_answer() {
    let store = Store::new();
    let mut server = store.server(&[]);
    server.start_reading();
    server.stateless();
    server.declare_capabilities(json!({"elicitation": {"form": {}}}));
    let id = batch_in_review(&mut server);
    let call = |server: &mut Server, responses: Value| {
        let mut params = json!({"name": "review_batch", "arguments": {"id": id}});
        if !responses.is_null() {
            params["inputResponses"] = responses;
        }
        server.request("tools/call", params)["result"].clone()
    };
    let asked = call(&mut server, Value::Null);
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let requests = asked["inputRequests"].as_object().unwrap();
    let key = requests.keys().next().unwrap().clone();
    assert_eq!(requests[&key]["method"], "elicitation/create");
    // An answer to another question changes nothing.
    let late = call(&mut server, json!({"other": {"action": "accept", "content": {"decision": "approve"}}}));
    assert_eq!(late["structuredContent"]["code"], "conflict", "{late}");
    let declined = call(&mut server, json!({key.clone(): {"action": "decline"}}));
    assert_eq!(declined["structuredContent"]["code"], "not_ready", "{declined}");
    // Each question takes one answer.
    let asked = call(&mut server, Value::Null);
    let key = asked["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    // Any server process accepts the answer.
    let mut other = store.server(&[]);
    other.start_reading();
    other.stateless();
    other.declare_capabilities(json!({"elicitation": {}}));
    let done =
        call(&mut other, json!({key.clone(): {"action": "accept", "content": {"decision": "approve"}}}));
    assert_eq!(done["structuredContent"]["batch"]["status"], "done", "{done}");
    let again = call(&mut server, json!({key: {"action": "accept", "content": {"decision": "approve"}}}));
    assert_eq!(again["structuredContent"]["code"], "not_ready", "{again}");
    assert_eq!(server.unread_count("elicitation/create"), 0, "a request was sent to a stateless client");
}

#[test]
fn without_elicitation_the_error_says_what_to_do() {
    let store = Store::new();
    let mut server = legacy(&store, "2025-11-25", json!({}));
    let id = batch_in_review(&mut server);
    let mut only_links = legacy(&store, "2025-11-25", json!({"elicitation": {"url": {}}}));
    for server in [&mut server, &mut only_links] {
        let reply = server.call("review_batch", json!({"id": id}));
        assert_eq!(reply.refusal(), "invalid_argument");
        for part in ["approve", "reject", "redo", "view=\"review\""] {
            assert!(reply.message().contains(part), "{}", reply.message());
        }
    }
    let ran = store.tasktally(["review-batch", &id]).finish();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("approve, or reject"), "{}", ran.stderr);
    // A note without a decision is refused.
    let mut asks = legacy(&store, "2025-11-25", json!({"elicitation": {}}));
    assert_eq!(asks.call("review_batch", json!({"id": id, "note": "fine"})).refusal(), "invalid_argument");
}
