//! A worker that lost its claim changes nothing any more, wherever it runs.

mod support;

use serde_json::{Value, json};

use support::reply::Reply;
use support::server::Server;
use support::store::Store;
use support::{eventually, signal};

/// Takes a task by its id, and for how long.
fn claim(server: &mut Server, worker: &str, id: &str, lease_seconds: u64) -> Reply {
    let arguments = json!({"worker": worker, "id": id, "lease_seconds": lease_seconds});
    server.call("claim_task", arguments)
}

/// Waits until the first worker's lease has run out and the task is the second one's.
fn take_over(server: &mut Server, id: &str) -> Value {
    eventually("an expired claim to be given to another", || {
        let claimed = claim(server, "heir", id, 1800);
        claimed.won().then(|| claimed["claim"]["token"].clone())
    })
}

/// The writes by which a holder changes its task's state, with a token of the caller's.
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

/// Holds the first worker's writes to `claim_lost`; the only trace is a receipt marked late.
fn assert_the_zombie_is_fenced(zombie: &mut Server, judge: &mut Server, id: &str, lost: &Value) {
    let before = judge.look(id);
    for (tool, arguments) in state_changes(id, lost) {
        let reply = zombie.call(tool, arguments.clone());
        assert_eq!(reply.refusal(), "claim_lost", "{tool} {arguments}");
        assert_eq!(judge.look(id), before, "{tool} {arguments} changed something");
    }
    for (tool, field) in [("update_task", "body"), ("complete_task", "summary")] {
        let text = format!("- a {field} of what did happen");
        let late = zombie.call(tool, json!({"id": id, "claim": lost, field: text}));
        assert_eq!(late.refusal(), "claim_lost");
        assert_eq!(late["receipt"]["late"], true, "{}", late.value);
        assert!(late.count("/receipt/number") > 0);
        let after = judge.look(id);
        assert!(after.text("/task/body").contains(&text), "{}", after.value);
    }
    let after = judge.look(id);
    for unchanged in ["/task/status", "/task/assignee", "/task/title"] {
        assert_eq!(after.pointer(unchanged), before.pointer(unchanged));
    }
}

/// The heir's claim is as good as if nobody had interfered.
fn assert_the_heir_can_finish(heir: &mut Server, id: &str, token: &Value) {
    heir.call("update_task", json!({"id": id, "claim": token, "body": "- done by the heir"})).ok();
    heir.call("complete_task", json!({"id": id, "claim": token})).ok();
    assert_eq!(heir.look(id).text("/task/status"), "done");
}

#[test]
fn a_zombie_in_its_own_process_is_refused_and_its_receipt_kept_late() {
    let store = Store::new();
    let (mut zombie, mut heir, mut judge) = (store.serve(), store.serve(), store.serve());
    let id = judge.task("Archive the mail");
    let lost = claim(&mut zombie, "zombie", &id, 1).ok()["claim"]["token"].clone();
    let token = take_over(&mut heir, &id);
    assert_the_zombie_is_fenced(&mut zombie, &mut judge, &id, &lost);
    assert_the_heir_can_finish(&mut heir, &id, &token);
}

#[test]
fn a_zombie_that_shares_the_server_process_and_the_name_is_refused_as_well() {
    let store = Store::new();
    let (mut shared, mut judge) = (store.serve(), store.serve());
    let id = judge.task("Archive the mail");
    let lost = claim(&mut shared, "heir", &id, 1).ok()["claim"]["token"].clone();
    let token = take_over(&mut shared, &id);
    assert_ne!(lost, token, "a token belongs to one claim");
    assert_the_zombie_is_fenced(&mut shared, &mut judge, &id, &lost);
    assert_the_heir_can_finish(&mut shared, &id, &token);
}

#[test]
fn a_process_stopped_past_its_lease_and_woken_is_refused() {
    let store = Store::new();
    let (mut zombie, mut heir, mut judge) = (store.serve(), store.serve(), store.serve());
    let id = judge.task("Archive the mail");
    let lost = claim(&mut zombie, "zombie", &id, 1).ok()["claim"]["token"].clone();

    signal("STOP", zombie.pid());
    // These wait in the stopped process's pipe while its claim goes to another.
    let waiting: Vec<u64> =
        state_changes(&id, &lost).into_iter().map(|(tool, arguments)| zombie.send(tool, arguments)).collect();
    let token = take_over(&mut heir, &id);
    let before = judge.look(&id);
    signal("CONT", zombie.pid());

    for request in waiting {
        assert_eq!(zombie.recv(request).unwrap().refusal(), "claim_lost");
    }
    assert_eq!(judge.look(&id), before);
    assert_the_zombie_is_fenced(&mut zombie, &mut judge, &id, &lost);
    assert_the_heir_can_finish(&mut heir, &id, &token);
}

#[test]
fn an_outcome_that_comes_with_a_lost_token_is_on_record_and_counts_for_nothing() {
    let store = Store::new();
    let (mut zombie, mut heir) = (store.serve(), store.serve());
    let items = json!([{"key": "a"}, {"key": "b"}]);
    let made = zombie.call("create_batch", json!({"title": "Mail", "instructions": "Sort.", "items": items}));
    let batch = made.ok().text("/batch/id");
    let first = json!({"worker": "zombie", "batch": batch, "lease_seconds": 1});
    let claimed = zombie.call("claim_task", first).ok();
    let (chunk, lost) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
    let token = take_over(&mut heir, &chunk);
    let settle = |token: &Value, key: &str, outcome: &str| {
        json!({"id": chunk, "claim": token, "item": key, "outcome": outcome,
               "category": "fyi", "body": format!("- {outcome} {key}")})
    };

    let late = zombie.call("update_task", settle(&lost, "a", "done"));
    assert_eq!(late.refusal(), "claim_lost");
    assert_eq!(late["receipt"]["late"], true, "{}", late.value);
    let progress = heir.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(progress.count("/batch/processed"), 0, "{}", progress.value);
    assert!(heir.body(&chunk).contains("- done a"), "what may have happened is on record");

    // The late outcome binds nobody: the holder settles the item as it finds it.
    let settled = heir.call("update_task", settle(&token, "a", "failed")).ok();
    assert_ne!(settled["receipt"]["duplicate"], true, "{}", settled.value);
    heir.call("update_task", settle(&token, "b", "done")).ok();
    heir.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    let progress = heir.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(progress.count("/batch/processed"), 2);
    assert_eq!(progress["batch"]["outcomes"]["failed"], 1, "{}", progress.value);
}

#[test]
fn a_late_receipt_that_is_sent_again_is_kept_once() {
    let store = Store::new();
    let (mut zombie, mut heir) = (store.serve(), store.serve());
    let id = heir.task("Archive the mail");
    let lost = claim(&mut zombie, "zombie", &id, 1).ok()["claim"]["token"].clone();
    take_over(&mut heir, &id);
    let late = json!({"id": id, "claim": lost, "body": "- it did happen", "request_key": "mail-17"});
    let first = zombie.call("update_task", late.clone());
    let again = zombie.call("update_task", late.clone());
    let elsewhere = heir.call("update_task", late);
    for reply in [&again, &elsewhere] {
        assert_eq!(reply.refusal(), "claim_lost");
        assert_eq!(reply["receipt"]["number"], first["receipt"]["number"], "{}", reply.value);
    }
    assert_eq!(heir.body(&id).matches("- it did happen").count(), 1);
}

#[test]
fn a_write_without_its_token_cannot_change_a_fenced_task() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.task("Archive the mail");
    claim(&mut server, "holder", &id, 1800).ok();
    let other = server.task("Another task");
    let foreign = claim(&mut server, "holder", &other, 1800).ok()["claim"]["token"].clone();
    let before = server.look(&id);
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
        assert_eq!(server.look(&id), before, "{tool} {arguments} changed something");
    }
    for (tool, arguments) in state_changes(&id, &foreign) {
        let reply = server.call(tool, arguments.clone());
        assert_eq!(reply.refusal(), "claim_lost", "{tool} {arguments}: {}", reply.value);
        assert_eq!(server.look(&id), before, "{tool} {arguments} changed something");
    }
    // Anybody may add a receipt, and nothing but the receipt changes.
    server.call("update_task", json!({"id": id, "body": "- from a passer-by"})).ok();
    let after = server.look(&id);
    assert_eq!(after.pointer("/task/status"), before.pointer("/task/status"));
    assert_eq!(after.count("/task/receipts"), 1);
}

#[test]
fn a_write_by_the_holder_renews_the_lease() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.task("Archive the mail");
    let claimed = claim(&mut server, "holder", &id, 60).ok();
    let expires = |reply: &Reply| {
        let claim = reply.pointer("/claim").or_else(|| reply.pointer("/task/claim")).unwrap();
        claim["expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let first = expires(&claimed);
    let token = claimed["claim"]["token"].clone();
    eventually("the lease to move on", || {
        server.call("update_task", json!({"id": id, "claim": token, "body": "- still here"})).ok();
        let seen = server.look(&id);
        assert!(!seen.to_string().contains(token.as_str().unwrap()), "a token is told to its holder alone");
        (expires(&seen) > first).then_some(())
    });
}
