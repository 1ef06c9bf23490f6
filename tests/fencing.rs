//! A worker that lost its claim can change nothing, whichever process it runs in.

mod support;

use serde_json::{Value, json};

use support::reply::Reply;
use support::server::Server;
use support::store::Store;
use support::{eventually, send_signal};

/// Claims a task.
fn claim(server: &mut Server, worker: &str, id: &str) -> Reply {
    let arguments = json!({"worker": worker, "id": id});
    server.call("claim_task", arguments)
}

/// Lets the lease of a task expire and claims it for the next worker. Returns the new token.
fn take_over(store: &Store, server: &mut Server, id: &str) -> Value {
    store.expire_claim(id);
    claim(server, "next", id).ok()["claim"]["token"].clone()
}

/// The calls that change the state of a task, with a token.
fn state_changes(id: &str, token: &Value) -> Vec<(&'static str, Value)> {
    vec![
        ("update_task", json!({"id": id, "claim": token, "status": "done"})),
        ("update_task", json!({"id": id, "claim": token, "status": "blocked"})),
        ("update_task", json!({"id": id, "claim": token, "status": "active", "assignee": ""})),
        ("update_task", json!({"id": id, "claim": token, "priority": 0, "task_title": "Stolen"})),
        ("complete_task", json!({"id": id, "claim": token})),
        ("complete_task", json!({"id": id, "claim": token, "force": true})),
        ("release_task", json!({"id": id, "claim": token, "reason": "tired"})),
        ("release_task", json!({"id": id, "claim": token, "outcome": "failed", "reason": "no"})),
    ]
}

/// Asserts that writes with a lost token are refused as `claim_lost` and leave nothing but late receipts.
fn assert_fenced(zombie: &mut Server, observer: &mut Server, id: &str, lost: &Value) {
    let before = observer.read_task(id);
    for (tool, arguments) in state_changes(id, lost) {
        let reply = zombie.call(tool, arguments.clone());
        assert_eq!(reply.refusal(), "claim_lost", "{tool} {arguments}");
        assert_eq!(observer.read_task(id), before, "{tool} {arguments} changed something");
    }
    for (tool, field) in [("update_task", "body"), ("complete_task", "summary")] {
        let text = format!("- a {field} of what did happen");
        let late = zombie.call(tool, json!({"id": id, "claim": lost, field: text}));
        assert_eq!(late.refusal(), "claim_lost");
        assert_eq!(late["receipt"]["late"], true, "{}", late.value);
        assert!(late.count("/receipt/number") > 0);
        let after = observer.read_task(id);
        assert!(after.text("/task/body").contains(&text), "{}", after.value);
    }
    let after = observer.read_task(id);
    for unchanged in ["/task/status", "/task/assignee", "/task/title"] {
        assert_eq!(after.pointer(unchanged), before.pointer(unchanged));
    }
}

/// Asserts that the new holder can complete the task.
fn assert_can_complete(next: &mut Server, id: &str, token: &Value) {
    next.call("update_task", json!({"id": id, "claim": token, "body": "- done by the next"})).ok();
    next.call("complete_task", json!({"id": id, "claim": token})).ok();
    assert_eq!(next.read_task(id).text("/task/status"), "done");
}

#[test]
fn a_worker_that_lost_its_claim_is_refused_and_its_receipt_is_kept_as_late() {
    let store = Store::new();
    let (mut zombie, mut next, mut observer) = (store.serve(), store.serve(), store.serve());
    let id = observer.create_task("Archive the mail");
    let lost = claim(&mut zombie, "zombie", &id).ok()["claim"]["token"].clone();
    let token = take_over(&store, &mut next, &id);
    assert_fenced(&mut zombie, &mut observer, &id, &lost);
    assert_can_complete(&mut next, &id, &token);
}

#[test]
fn a_worker_that_lost_its_claim_to_one_of_the_same_name_and_server_is_refused() {
    let store = Store::new();
    let (mut shared, mut observer) = (store.serve(), store.serve());
    let id = observer.create_task("Archive the mail");
    let lost = claim(&mut shared, "next", &id).ok()["claim"]["token"].clone();
    let token = take_over(&store, &mut shared, &id);
    assert_ne!(lost, token, "a token belongs to one claim");
    assert_fenced(&mut shared, &mut observer, &id, &lost);
    assert_can_complete(&mut shared, &id, &token);
}

#[test]
fn a_process_stopped_until_its_lease_expired_is_refused() {
    let store = Store::new();
    let (mut zombie, mut next, mut observer) = (store.serve(), store.serve(), store.serve());
    let id = observer.create_task("Archive the mail");
    let lost = claim(&mut zombie, "zombie", &id).ok()["claim"]["token"].clone();

    send_signal("STOP", zombie.pid());
    // These requests wait in the pipe of the stopped process while another worker claims the task.
    let waiting: Vec<u64> =
        state_changes(&id, &lost).into_iter().map(|(tool, arguments)| zombie.send(tool, arguments)).collect();
    let token = take_over(&store, &mut next, &id);
    let before = observer.read_task(&id);
    send_signal("CONT", zombie.pid());

    for request in waiting {
        assert_eq!(zombie.recv(request).unwrap().refusal(), "claim_lost");
    }
    assert_eq!(observer.read_task(&id), before);
    assert_fenced(&mut zombie, &mut observer, &id, &lost);
    assert_can_complete(&mut next, &id, &token);
}

#[test]
fn an_outcome_with_a_lost_token_is_recorded_and_does_not_count() {
    let store = Store::new();
    let (mut zombie, mut next) = (store.serve(), store.serve());
    let items = json!([{"key": "a"}, {"key": "b"}]);
    let made = zombie.call("create_batch", json!({"title": "Mail", "instructions": "Sort.", "items": items}));
    let batch = made.ok().text("/batch/id");
    let first = json!({"worker": "zombie", "batch": batch});
    let claimed = zombie.call("claim_task", first).ok();
    let (chunk, lost) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
    let token = take_over(&store, &mut next, &chunk);
    let settle = |token: &Value, key: &str, outcome: &str| {
        json!({"id": chunk, "claim": token, "item": key, "outcome": outcome,
               "category": "fyi", "body": format!("- {outcome} {key}")})
    };

    let late = zombie.call("update_task", settle(&lost, "a", "done"));
    assert_eq!(late.refusal(), "claim_lost");
    assert_eq!(late["receipt"]["late"], true, "{}", late.value);
    let progress = next.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(progress.count("/batch/processed"), 0, "{}", progress.value);
    assert!(next.body(&chunk).contains("- done a"), "the late receipt is not recorded");

    // The late outcome does not bind the holder, who may settle the item differently.
    let settled = next.call("update_task", settle(&token, "a", "failed")).ok();
    assert_ne!(settled["receipt"]["duplicate"], true, "{}", settled.value);
    next.call("update_task", settle(&token, "b", "done")).ok();
    next.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    let progress = next.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(progress.count("/batch/processed"), 2);
    assert_eq!(progress["batch"]["outcomes"]["failed"], 1, "{}", progress.value);
}

#[test]
fn a_repeated_late_receipt_is_kept_once() {
    let store = Store::new();
    let (mut zombie, mut next) = (store.serve(), store.serve());
    let id = next.create_task("Archive the mail");
    let lost = claim(&mut zombie, "zombie", &id).ok()["claim"]["token"].clone();
    take_over(&store, &mut next, &id);
    let late = json!({"id": id, "claim": lost, "body": "- it did happen", "request_key": "mail-17"});
    let first = zombie.call("update_task", late.clone());
    let again = zombie.call("update_task", late.clone());
    let elsewhere = next.call("update_task", late);
    for reply in [&again, &elsewhere] {
        assert_eq!(reply.refusal(), "claim_lost");
        assert_eq!(reply["receipt"]["number"], first["receipt"]["number"], "{}", reply.value);
    }
    assert_eq!(next.body(&id).matches("- it did happen").count(), 1);
}

#[test]
fn a_write_without_its_token_cannot_change_a_fenced_task() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.create_task("Archive the mail");
    claim(&mut server, "holder", &id).ok();
    let other = server.create_task("Another task");
    let foreign = claim(&mut server, "holder", &other).ok()["claim"]["token"].clone();
    let before = server.read_task(&id);
    for (tool, arguments) in [
        ("update_task", json!({"id": id, "status": "done"})),
        ("update_task", json!({"id": id, "status": "active"})),
        ("update_task", json!({"id": id, "assignee": "thief"})),
        ("complete_task", json!({"id": id, "force": true})),
        ("complete_task", json!({"id": id})),
        ("release_task", json!({"id": id, "reason": "tired"})),
    ] {
        let reply = server.call(tool, arguments.clone());
        assert_eq!(reply.refusal(), "claim_required", "{tool} {arguments}: {}", reply.value);
        assert_eq!(server.read_task(&id), before, "{tool} {arguments} changed something");
    }
    for (tool, arguments) in state_changes(&id, &foreign) {
        let reply = server.call(tool, arguments.clone());
        assert_eq!(reply.refusal(), "claim_lost", "{tool} {arguments}: {}", reply.value);
        assert_eq!(server.read_task(&id), before, "{tool} {arguments} changed something");
    }
    // Any caller may add a receipt; nothing else changes.
    server.call("update_task", json!({"id": id, "body": "- from another caller"})).ok();
    let after = server.read_task(&id);
    assert_eq!(after.pointer("/task/status"), before.pointer("/task/status"));
    assert_eq!(after.length("/task/receipts"), 1);
}

#[test]
fn a_write_by_the_holder_renews_the_lease() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.create_task("Archive the mail");
    let claim = json!({"worker": "holder", "id": id, "lease_seconds": 60});
    let claimed = server.call("claim_task", claim).ok();
    let expires = |reply: &Reply| {
        let claim = reply.pointer("/claim").or_else(|| reply.pointer("/task/claim")).unwrap();
        claim["expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let first = expires(&claimed);
    let token = claimed["claim"]["token"].clone();
    eventually("the lease to be renewed", || {
        server.call("update_task", json!({"id": id, "claim": token, "body": "- still here"})).ok();
        let seen = server.read_task(&id);
        assert!(!seen.to_string().contains(token.as_str().unwrap()), "the token is shown to another caller");
        (expires(&seen) > first).then_some(())
    });
}
