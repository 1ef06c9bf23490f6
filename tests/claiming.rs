//! Which task `claim_task` hands out, what it says if there is none, and a claim whose reply was lost.

mod support;

use serde_json::json;

use support::store::Store;

#[test]
fn a_claim_whose_reply_was_lost_is_made_again_with_the_same_key() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = json!({"title": "B", "instructions": "x", "items": ["a", "b"]});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = json!({"batch": id, "worker": "w", "request_key": "w-1"});
    let first = server.call("claim_task", claim.clone()).ok();
    // The worker never saw that reply. Without the key it would wait for the end of its own lease.
    assert_eq!(server.call("claim_task", json!({"batch": id, "worker": "w"})).declined(), "nothing_to_claim");
    let (chunk, token) = (first.text("/task/id"), first.text("/claim/token"));
    server.call("update_task", json!({"id": chunk, "claim": token, "item": "a", "outcome": "done"})).ok();
    let mut other = store.serve();
    let again = other.call("claim_task", claim.clone()).ok();
    assert_eq!(again["duplicate"], true, "{}", again.value);
    assert_eq!(again.text("/claim/token"), token);
    assert_eq!((again.count("/claim/generation"), again.count("/items_left")), (1, 1), "{}", again.value);

    let different = json!({"batch": id, "worker": "v", "request_key": "w-1"});
    assert_eq!(server.call("claim_task", different).refusal(), "conflict");

    // Once that claim has ended, the key gives no claim any more, least of all a new one.
    store.expire_claim(&chunk);
    let ended = server.call("claim_task", claim.clone());
    assert_eq!(ended.refusal(), "claim_lost");
    assert!(ended.message().contains("choose a new key"), "{}", ended.message());
    let new = json!({"batch": id, "worker": "w", "request_key": "w-2"});
    assert_eq!(server.call("claim_task", new).ok().count("/claim/generation"), 2);
    assert_eq!(server.call("claim_task", claim).refusal(), "claim_lost");
}

#[test]
fn a_key_that_found_nothing_may_claim_later() {
    let store = Store::new();
    let mut server = store.serve();
    let claim = json!({"project": "p", "request_key": "k"});
    assert_eq!(server.call("claim_task", claim.clone()).declined(), "nothing_to_claim");
    let id = server.call("create_task", json!({"task_title": "T", "project": "p"})).ok().text("/task/id");
    assert_eq!(server.call("claim_task", claim).ok().text("/task/id"), id);
}

#[test]
fn children_are_claimed_before_their_parent() {
    let store = Store::new();
    let mut server = store.serve();
    let parent =
        server.call("create_task", json!({"task_title": "Parent", "priority": 0})).ok().text("/task/id");
    let child = json!({"task_title": "Child", "parent": parent, "priority": 4});
    let child = server.call("create_task", child).ok().text("/task/id");
    let claim = server.call("claim_task", json!({"worker": "w"})).ok();
    assert_eq!(claim.text("/task/id"), child);

    let refused = server.call("claim_task", json!({"worker": "v"}));
    assert_eq!(refused.declined(), "nothing_to_claim");
    assert!(refused.message().contains(&format!("claim_task(id=\"{parent}\")")), "{}", refused.message());
    server.call("complete_task", json!({"id": child, "claim": claim["claim"]["token"]})).ok();
    assert_eq!(server.call("claim_task", json!({"worker": "v"})).ok().text("/task/id"), parent);
}

#[test]
fn a_parent_can_be_claimed_by_its_id_before_its_children() {
    let store = Store::new();
    let mut server = store.serve();
    let parent = server.create_task("Parent");
    server.call("create_task", json!({"task_title": "Child", "parent": parent})).ok();
    assert_eq!(server.call("claim_task", json!({"id": parent})).ok().text("/task/id"), parent);
}

#[test]
fn the_reason_for_an_empty_queue_holds_for_the_filters() {
    let store = Store::new();
    let mut server = store.serve();
    let mut create = |arguments| server.call("create_task", arguments).ok().text("/task/id");
    create(json!({"task_title": "Held", "project": "p1", "tags": ["t"]}));
    let open = create(json!({"task_title": "Open", "project": "p3"}));
    create(json!({"task_title": "Waits", "project": "p4", "depends_on": [open]}));
    let held = server.call("claim_task", json!({"project": "p1", "lease_seconds": 600})).ok();
    let expiry = held.text("/claim/expires_at");

    let mut refused = |filter| server.call("claim_task", filter);
    let same = refused(json!({"project": "p1"}));
    assert!(same.message().contains(&expiry), "{}", same.message());
    let seconds = same.count("/retry_after_s");
    assert!((1..=600).contains(&seconds), "{seconds}");
    for filter in [
        json!({"project": "p2"}),
        json!({"project": "p1", "type": "bug"}),
        json!({"project": "p1", "priority_max": 0}),
        json!({"project": "p1", "tags": ["other"]}),
    ] {
        let none = refused(filter.clone());
        assert_eq!(none.declined(), "nothing_to_claim");
        assert!(none.message().contains("no unfinished task matches"), "{filter}: {}", none.message());
        assert!(none.get("retry_after_s").is_none(), "{filter}: {}", none.value);
    }
    let waits = refused(json!({"project": "p4"}));
    let reason = format!("waits for {open}, which is active");
    assert!(waits.message().ends_with(&reason), "{}", waits.message());
    // The hint of an empty list of active tasks follows the filters as well.
    let list = |server: &mut support::server::Server, project: &str| {
        let arguments = json!({"status": "active", "project": project});
        server.call("list_tasks", arguments).ok().message().to_owned()
    };
    assert!(list(&mut server, "p1").contains(&expiry));
    assert!(!list(&mut server, "p2").contains("free"));
}

#[test]
fn a_claim_says_how_to_tick_the_boxes_of_the_task() {
    let store = Store::new();
    let mut server = store.serve();
    let made = json!({"task_title": "Report", "body": "- [ ] summary"});
    let id = server.call("create_task", made).ok().text("/task/id");
    let claim = server.call("claim_task", json!({"worker": "w"})).ok();
    let call = format!("update_task(id=\"{id}\", body=\"- [x] summary\")");
    assert!(claim.text("/instructions").contains(&call), "{}", claim.value);
}
