//! Bad input for every operation, and calls whose replies say what to do next.

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::store::Store;

/// A store with tasks and batches in several states.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) store: Store,
    /// A task, and one that depends on it.
    pub(crate) task: String,
    pub(crate) dependent: String,
    /// A task with an open claim.
    pub(crate) claimed: String,
    /// A batch of two chunks, the first of which is claimed with the token.
    pub(crate) batch: String,
    pub(crate) token: String,
    /// A batch whose only chunk waits for a review.
    pub(crate) in_review: String,
    /// A batch with a failed item that has ended.
    pub(crate) failed: String,
    /// A paused batch.
    pub(crate) paused: String,
}

/// One call of a tool.
pub(crate) struct Call {
    pub(crate) tool: &'static str,
    pub(crate) arguments: Value,
}

impl Call {
    /// The same call at the command line.
    pub(crate) fn as_command(&self) -> Vec<String> {
        let mut args = vec![self.tool.replace('_', "-")];
        for (name, value) in self.arguments.as_object().expect("an object") {
            let option = format!("--{}", name.replace('_', "-"));
            let value = match value {
                Value::Bool(true) => {
                    args.push(option);
                    continue;
                }
                Value::String(text) => text.clone(),
                Value::Array(words) if words.iter().all(Value::is_string) && name != "items" => {
                    words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
                }
                other => other.to_string(),
            };
            args.extend([option, value]);
        }
        args
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        let store = Store::new();
        let mut server = store.serve();
        let task = server.create_task("First");
        let dependent = server.call("create_task", json!({"title": "Second", "depends_on": [task]}));
        let dependent = dependent.ok().text("/task/id");
        let claimed = server.create_task("Third");
        let claim = json!({"id": claimed, "status": "in_progress", "assignee": "A"});
        server.call("update_task", claim).ok();
        let batch = make_batch(&mut server, &["a", "b"], json!({"max_chunk": 1, "resources": ["field"]}));
        let (_, token) = claim_chunk(&mut server, &batch);
        let in_review = make_batch(&mut server, &["c"], json!({"checkpoint": "chunk"}));
        settle(&mut server, &in_review, "c", "done");
        let failed = make_batch(&mut server, &["d"], json!({}));
        settle(&mut server, &failed, "d", "failed");
        let paused = make_batch(&mut server, &["e"], json!({}));
        server.call("control_batch", json!({"id": paused, "action": "pause", "reason": "a holiday"})).ok();
        Scene { server, store, task, dependent, claimed, batch, token, in_review, failed, paused }
    }
}

fn make_batch(server: &mut Server, keys: &[&str], more: Value) -> String {
    let items: Vec<Value> = keys.iter().map(|key| json!({"key": key, "field": key})).collect();
    let mut arguments = json!({"title": "Batch", "instructions": "Do it.", "items": items});
    arguments.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    server.call("create_batch", arguments).ok().text("/batch/id")
}

fn claim_chunk(server: &mut Server, batch: &str) -> (String, String) {
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    (claim.text("/task/id"), claim.text("/claim/token"))
}

fn settle(server: &mut Server, batch: &str, item: &str, outcome: &str) {
    let (chunk, token) = claim_chunk(server, batch);
    let receipt = json!({"id": chunk, "claim": token, "item": item, "outcome": outcome, "body": "- did it"});
    server.call("update_task", receipt).ok();
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
}

/// The calls, in an order in which none changes what a later one is about.
pub(crate) fn calls(scene: &Scene) -> Vec<Call> {
    let Scene { task, dependent, claimed, batch, token, in_review, failed, paused, .. } = scene;
    let (chunk, second) = (format!("{batch}.1"), format!("{batch}.2"));
    let batch_with = |more: Value| {
        let mut arguments =
            json!({"title": "B", "instructions": "x", "items": [{"key": "k"}], "dry_run": true});
        for (name, value) in more.as_object().expect("an object") {
            arguments[name] = value.clone();
        }
        arguments.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        ("create_batch", arguments)
    };
    let all = [
        ("create_task", json!({})),
        ("create_task", json!({"task_title": " "})),
        ("create_task", json!({"task_title": "T", "parent": "nothing"})),
        ("create_task", json!({"task_title": "T", "depends_on": ["nothing"]})),
        ("create_task", json!({"task_title": "T", "priority": 9})),
        ("create_task", json!({"task_title": "T", "due": "tomorrow"})),
        ("create_task", json!({"task_title": "T", "type": "chore"})),
        ("create_task", json!({"task_title": "T", "status": "finished"})),
        ("create_task", json!({"task_title": "T", "request_key": "once"})),
        ("create_task", json!({"task_title": "Another", "request_key": "once"})),
        ("get_task", json!({"id": "nothing"})),
        ("get_task", json!({"id": "not an id"})),
        ("get_task", json!({"id": batch})),
        ("list_tasks", json!({"since": "last week"})),
        ("list_tasks", json!({"cursor": "page 2"})),
        ("list_tasks", json!({"batch": task})),
        ("list_tasks", json!({"limit": 2})),
        ("update_task", json!({"id": "nothing", "body": "x"})),
        ("update_task", json!({"id": task, "parent": task})),
        ("update_task", json!({"id": task, "task_title": ""})),
        ("update_task", json!({"id": task, "outcome": "done"})),
        ("update_task", json!({"id": task, "item": "a", "outcome": "done", "body": "x"})),
        ("update_task", json!({"id": claimed, "status": "in_progress", "assignee": "B"})),
        ("update_task", json!({"id": dependent, "status": "in_progress", "assignee": "B"})),
        ("update_task", json!({"id": batch, "status": "done"})),
        ("update_task", json!({"id": chunk, "status": "done"})),
        ("update_task", json!({"id": second, "status": "in_progress", "assignee": "B"})),
        ("update_task", json!({"id": chunk, "item": "a", "outcome": "done", "body": "x"})),
        ("update_task", json!({"id": chunk, "claim": "stale", "item": "a", "outcome": "done", "body": "x"})),
        ("update_task", json!({"id": chunk, "claim": token, "item": "z", "outcome": "done", "body": "x"})),
        ("complete_task", json!({"id": "nothing"})),
        ("complete_task", json!({"id": dependent})),
        ("complete_task", json!({"id": batch})),
        ("complete_task", json!({"id": chunk})),
        ("complete_task", json!({"id": chunk, "claim": token})),
        ("complete_tasks", json!({"ids": ["nothing", dependent]})),
        ("claim_task", json!({"worker": "w", "id": "nothing"})),
        ("claim_task", json!({"worker": "w", "id": batch})),
        ("claim_task", json!({"worker": "w", "id": chunk})),
        ("claim_task", json!({"worker": "w", "id": dependent})),
        ("claim_task", json!({"worker": "w", "batch": chunk})),
        ("claim_task", json!({"worker": "w", "batch": paused})),
        ("claim_task", json!({"worker": "w", "batch": in_review})),
        ("claim_task", json!({"worker": "w", "batch": failed})),
        ("claim_task", json!({"worker": "w", "project": "none"})),
        ("claim_task", json!({"worker": "w", "lease_seconds": 0})),
        ("release_task", json!({"id": chunk})),
        ("release_task", json!({"id": chunk, "claim": "stale"})),
        ("release_task", json!({"id": batch, "claim": "stale"})),
        ("reset_stalled_tasks", json!({"hours": -1})),
        ("reset_stalled_tasks", json!({"dry_run": true})),
        ("search_tasks", json!({"query": ""})),
        ("search_tasks", json!({"query": "nothing"})),
        batch_with(json!({})),
        batch_with(json!({"items": null})),
        batch_with(json!({"items": [1]})),
        batch_with(json!({"items": [{"key": "k"}, {"key": "k"}]})),
        batch_with(json!({"items": [{"key": "k"}, {}], "on_bad_item": "skip"})),
        batch_with(json!({"items": null, "source": "nothing.jsonl"})),
        batch_with(json!({"items": null, "query": {"status": "done"}})),
        batch_with(json!({"items": null, "query": {"nothing": 1}})),
        batch_with(json!({"split": "time"})),
        batch_with(json!({"max_chunk": 0})),
        batch_with(json!({"max_parallel": 99})),
        batch_with(json!({"worker": "nothing"})),
        batch_with(json!({"steps": [{"name": "one"}]})),
        batch_with(json!({"resources": ["nothing"]})),
        batch_with(json!({"items": [{"key": "k", "field": "a"}], "resources": ["field"]})),
        ("add_items", json!({"id": "nothing", "items": [{"key": "k"}]})),
        ("add_items", json!({"id": task, "items": [{"key": "k"}]})),
        ("add_items", json!({"id": failed, "items": [{"key": "k"}]})),
        ("add_items", json!({"id": batch})),
        ("get_batch", json!({})),
        ("get_batch", json!({"id": task})),
        ("get_batch", json!({"id": chunk})),
        ("get_batch", json!({"id": batch})),
        ("get_batch", json!({"id": in_review, "view": "review"})),
        ("get_batch", json!({"id": failed, "view": "failures"})),
        ("get_batch", json!({"id": paused})),
        ("get_batch", json!({"id": batch, "since": "last week"})),
        ("review_batch", json!({"id": batch, "decision": "approve"})),
        ("review_batch", json!({"id": in_review, "decision": "reject"})),
        ("review_batch", json!({"id": in_review, "chunk": second, "decision": "approve"})),
        ("review_batch", json!({"id": in_review, "decision": "redo", "note": "n", "categories": ["none"]})),
        ("control_batch", json!({"id": task, "action": "pause"})),
        ("control_batch", json!({"id": batch, "action": "start"})),
        ("control_batch", json!({"id": batch, "action": "resume"})),
        ("control_batch", json!({"id": batch, "action": "retry"})),
        ("control_batch", json!({"id": batch, "action": "retry", "chunks": ["nothing"]})),
        ("control_batch", json!({"id": failed, "action": "retry", "items": ["nothing"]})),
        ("control_batch", json!({"id": failed, "action": "pause"})),
        ("wait_batch", json!({"id": "nothing"})),
        ("wait_batch", json!({"id": batch})),
        ("wait_batch", json!({"id": in_review})),
        // These change something.
        ("claim_task", json!({"worker": "w", "id": second})),
        ("control_batch", json!({"id": failed, "action": "retry"})),
        ("review_batch", json!({"id": in_review, "decision": "approve"})),
        ("control_batch", json!({"id": batch, "action": "cancel"})),
    ];
    all.into_iter().map(|(tool, arguments)| Call { tool, arguments }).collect()
}
