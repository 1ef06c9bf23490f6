//! When a wait ends although its batch has not, and what its result says to do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;

use support::server::Server;
use support::store::Store;
use support::waits::{
    batch, start_wait, stateless, tasks_capability, tasks_without_elicitation, wait_state, work_chunk,
};

fn status_of(server: &mut Server, batch: &str) -> String {
    server.call("get_batch", json!({"id": batch})).ok().text("/batch/status")
}

fn next_after(server: &mut Server, handle: &str) -> String {
    let state = wait_state(server, handle);
    assert_eq!(state["status"], "completed", "{state}");
    state["result"]["structuredContent"]["next"].as_str().unwrap().to_owned()
}

#[test]
fn without_elicitation_the_wait_ends_when_a_chunk_needs_a_person() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_without_elicitation());
    let id = batch(&mut server, "chunk");
    let handle = start_wait(&mut server, &id);
    assert_eq!(wait_state(&mut server, &handle)["status"], "working");
    work_chunk(&mut server, &id);
    let next = next_after(&mut server, &handle);
    assert!(next.contains("view=\"review\"") && next.contains("review_batch("), "{next}");
    // The same call again waits for the other chunk while that can be worked.
    let again = start_wait(&mut server, &id);
    assert_eq!(wait_state(&mut server, &again)["status"], "working");
    work_chunk(&mut server, &id);
    next_after(&mut server, &again);
    // Nothing goes on without the person: a wait ends at once.
    let third = server.call("wait_batch", json!({"id": id})).ok();
    assert!(third.text("/next").contains("review_batch("), "{}", third.value);
    server.call("review_batch", json!({"id": id, "decision": "approve"})).ok();
    assert_eq!(status_of(&mut server, &id), "done");
}

#[test]
fn at_a_step_checkpoint_the_wait_ends_when_all_chunks_have_ended_the_step() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_without_elicitation());
    let id = batch(&mut server, "step");
    let handle = start_wait(&mut server, &id);
    work_chunk(&mut server, &id);
    assert_eq!(wait_state(&mut server, &handle)["status"], "working");
    work_chunk(&mut server, &id);
    next_after(&mut server, &handle);
}

#[test]
fn a_wait_ends_when_the_batch_is_paused_or_a_chunk_fails() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_capability());
    let id = batch(&mut server, "none");
    let handle = start_wait(&mut server, &id);
    server.call("control_batch", json!({"id": id, "action": "pause", "reason": "lunch"})).ok();
    let next = next_after(&mut server, &handle);
    assert!(next.contains("action=\"resume\""), "{next}");
    server.call("control_batch", json!({"id": id, "action": "resume"})).ok();
    assert_eq!(wait_state(&mut server, &handle)["status"], "completed", "the wait started again");

    let handle = start_wait(&mut server, &id);
    assert_eq!(wait_state(&mut server, &handle)["status"], "working");
    let claim = server.call("claim_task", json!({"batch": id, "worker": "polecat"})).ok().value;
    let release = json!({"id": claim["task"]["id"], "claim": claim["claim"]["token"], "outcome": "failed",
                         "reason": "no access"});
    server.call("release_task", release).ok();
    let next = next_after(&mut server, &handle);
    assert!(next.contains("view=\"failures\"") && next.contains("action=\"retry\""), "{next}");
}

#[test]
fn a_wait_ends_when_no_worker_has_been_at_work_for_two_minutes() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_capability());
    let id = batch(&mut server, "none");
    let ago = |handle: &str, seconds: i64| {
        let sql = "UPDATE wait SET created_at = created_at - ?1 WHERE handle = ?2";
        assert_eq!(store.sql().execute(sql, &[&(seconds * 1_000), &handle]), Ok(1));
    };
    // Workers were not started.
    let handle = start_wait(&mut server, &id);
    ago(&handle, 100);
    assert_eq!(wait_state(&mut server, &handle)["status"], "working");
    ago(&handle, 30);
    let next = next_after(&mut server, &handle);
    assert!(next.starts_with("start 2 workers"), "{next}");

    // A worker is at work; then it dies.
    let handle = start_wait(&mut server, &id);
    let claim = server.call("claim_task", json!({"batch": id, "worker": "polecat"})).ok();
    ago(&handle, 1_000);
    assert_eq!(wait_state(&mut server, &handle)["status"], "working");
    store.expire_claim(&claim.text("/task/id"));
    let next = next_after(&mut server, &handle);
    assert!(next.contains("is stalled, the next claim_task() takes it over"), "{next}");
}

#[test]
fn a_wait_ends_when_an_expired_claim_leaves_a_decision_to_a_person() {
    let store = Store::new();
    let mut server = stateless(&store, tasks_without_elicitation());
    let request = json!({"title": "Mail", "instructions": "Delete it.", "items": ["a", "b"], "max_chunk": 1,
                         "in_doubt": "ask"});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    let handle = start_wait(&mut server, &id);
    let [claim, other] =
        ["w1", "w2"].map(|worker| server.call("claim_task", json!({"batch": id, "worker": worker})).ok());
    for claim in [&claim, &other] {
        let start = json!({"id": claim["task"]["id"], "claim": claim["claim"]["token"],
                           "item": claim["items"][0]["key"], "outcome": "started"});
        server.call("update_task", start).ok();
    }
    assert_eq!(wait_state(&mut server, &handle)["status"], "working");
    store.expire_claim(&claim.text("/task/id"));
    let next = next_after(&mut server, &handle);
    assert!(next.starts_with("get_batch(") && next.contains("view=\"review\""), "{next}");
    // The same call again waits for the other chunk while that is worked.
    let earlier =
        "UPDATE task SET expires_at = expires_at - 60000, claimed_at = claimed_at - 60000 WHERE id = ?1";
    store.sql().execute(earlier, &[&claim.text("/task/id")]).unwrap();
    let again = start_wait(&mut server, &id);
    assert_eq!(wait_state(&mut server, &again)["status"], "working");
    // Nothing goes on without the person.
    store.expire_claim(&other.text("/task/id"));
    next_after(&mut server, &again);
}
