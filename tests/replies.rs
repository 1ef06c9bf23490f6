//! A transcript of every reply that a worker or a supervisor sees: the success and the refusal of each tool, with ids,
//! times, tokens and rates replaced. The transcript is compared with a snapshot.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Map, Value, json};

use support::reply::Reply;
use support::server::Server;
use support::store::Store;

/// Tools that read, whose replies may be long.
const READS: [&str; 7] =
    ["get_task", "list_tasks", "search_tasks", "get_batch", "wait_batch", "create_batch", "claim_task"];

/// A server, the transcript so far, and the names that replace what differs between runs.
struct Transcript {
    server: Server,
    text: String,
    names: Vec<(String, String)>,
}

impl Transcript {
    fn new(store: &Store) -> Self {
        Transcript { server: store.serve(), text: String::new(), names: Vec::new() }
    }

    fn chapter(&mut self, title: &str) {
        self.text += &format!("\n# {title}\n");
    }

    /// Replaces an id or a token with a name from now on.
    fn name(&mut self, value: &str, name: &str) {
        self.names.push((value.to_owned(), format!("<{name}>")));
    }

    fn reply(&self, text: &str) -> String {
        let mut reply = text.to_owned();
        for (value, name) in &self.names {
            reply = reply.replace(value, name);
        }
        without_times(&reply)
    }

    fn shown(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.reply(text)),
            Value::Array(values) => {
                let mut values = values.clone();
                // The choice and order of samples depend on the batch's id.
                if values.iter().all(|value| value["receipt"].is_string()) {
                    values.sort_by_key(|value| value["item"].to_string());
                }
                values.iter().map(|value| self.shown(value)).collect()
            }
            Value::Object(map) => {
                let shown = map.iter().map(|(name, value)| {
                    let value = match name.as_str() {
                        "per_minute" | "seconds_left" | "retry_after_seconds" => json!("…"),
                        _ => self.shown(value),
                    };
                    (name.clone(), value)
                });
                Value::Object(shown.collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    /// Calls a tool and adds the call and the reply to the transcript.
    fn call(&mut self, tool: &str, arguments: Value) -> Reply {
        let reply = self.server.call(tool, arguments.clone());
        self.name_ids(&reply);
        let kind = match (reply.succeeded(), reply.is_error) {
            (true, _) => "",
            (false, true) => " (error)",
            (false, false) => " (answer)",
        };
        if !READS.contains(&tool) && reply.succeeded() {
            // The prompt for workers to start is as long as it has to be.
            let mut read = reply.value.clone();
            read.as_object_mut().unwrap().remove("worker_prompt");
            let bytes = read.to_string().len();
            assert!(bytes < 600, "{tool}: {bytes} bytes: {}", reply.value);
        }
        self.text += &format!("\n{tool} {}{kind}\n", self.shown(&arguments));
        self.text += &format!("{:#}\n", self.shown(&reply.value));
        reply
    }

    /// Names the new ids and tokens in a reply.
    fn name_ids(&mut self, reply: &Reply) {
        for (place, kind) in [
            ("/task/id", "task"),
            ("/batch/id", "batch"),
            ("/batch/finish", "finish"),
            ("/finish/id", "finish"),
            ("/claim/token", "token"),
        ] {
            let Some(value) = reply.pointer(place).and_then(Value::as_str) else { continue };
            if value.contains('.') || self.names.iter().any(|(known, _)| known == value) {
                continue;
            }
            let number =
                self.names.iter().filter(|(_, name)| name.starts_with(&format!("<{kind}"))).count() + 1;
            self.name(value, &format!("{kind} {number}"));
        }
    }
}

/// The text with each RFC 3339 time replaced.
fn without_times(text: &str) -> String {
    let is_time = |bytes: &[u8]| {
        bytes.iter().zip(b"0000-00-00T00:00:00.000Z").all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        })
    };
    let (mut reply, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        if rest.len() >= 24 && is_time(&rest.as_bytes()[..24]) {
            reply.push_str("<time>");
            rest = &rest[24..];
        } else {
            reply.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    reply
}

fn tasks(transcript: &mut Transcript) {
    transcript.chapter("The task queue");
    let first =
        transcript.call("create_task", json!({"task_title": "Write the parser", "project": "demo"})).ok();
    let first = first.text("/task/id");
    let second = json!({"task_title": "Use the parser", "project": "demo", "depends_on": [first]});
    let second = transcript.call("create_task", second).ok().text("/task/id");
    transcript.call("create_task", json!({"task_title": "Orphan", "parent": "nosuchtask00"})).refusal();
    transcript.call("list_tasks", json!({"status": "active"})).ok();
    transcript.call("list_tasks", json!({"status": "waiting for Godot"})).refusal();
    transcript.call("update_task", json!({"id": first, "status": "in_progress", "assignee": "polecat"})).ok();
    let taken =
        transcript.call("update_task", json!({"id": first, "status": "in_progress", "assignee": "other"}));
    assert_eq!(taken.declined(), "already_claimed");
    transcript.call("update_task", json!({"id": first, "body": "- Archived: 1 | Ann | Lunch"})).ok();
    transcript.call("update_task", json!({"id": first, "body": "x", "replace_body": true})).refusal();
    transcript.call("update_task", json!({"id": first, "bodi": "x"})).refusal();
    transcript.call("get_task", json!({"id": first})).ok();
    transcript.call("get_task", json!({"id": "nosuchtask00"})).refusal();
    transcript.call("complete_task", json!({"id": first})).ok();
    transcript.call("complete_task", json!({"id": first})).ok();
    let third = transcript
        .call("create_task", json!({"task_title": "Tick", "body": "- [ ] one"}))
        .ok()
        .text("/task/id");
    transcript.call("complete_task", json!({"id": third}));
    transcript.call("complete_tasks", json!({"ids": [second, third]}));
    transcript.call("complete_tasks", json!({"ids": []})).refusal();
    transcript.call("search_tasks", json!({"query": "parser"})).ok();
    transcript.call("search_tasks", json!({"query": ""})).refusal();
    transcript.call("reset_stalled_tasks", json!({"hours": 2.0, "dry_run": true})).ok();
    transcript.call("reset_stalled_tasks", json!({"hours": -1.0})).refusal();
}

/// Creates a batch with a checkpoint. Returns its id.
fn plan(transcript: &mut Transcript) -> String {
    transcript.chapter("A supervisor makes a batch");
    transcript.call("get_batch", json!({"project": "mail"})).ok();
    let items = json!([{"id": "m1", "date": "2025-10-03", "files": ["a"]},
                       {"id": "m2", "date": "2025-10-04", "files": ["b"]},
                       {"id": "m3", "date": "2025-11-05", "files": ["c"]}]);
    let plan = json!({"title": "Archive mail", "instructions": "Sort each mail.", "items": items, "key": "id",
                      "split": "month:date", "project": "mail", "checkpoint": "chunk",
                      "steps": [{"name": "classify", "instructions": "Say what it is."},
                                {"name": "execute", "instructions": "Archive it.", "only_categories": ["archive"]}],
                      "finish": {"title": "Push once"}});
    let with = |field: &str, value: Value| {
        let mut plan = plan.clone();
        plan[field] = value;
        plan
    };
    transcript.call("create_batch", with("split", json!("month:when"))).refusal();
    transcript.call("create_batch", with("resources", json!("split"))).refusal();
    let mut shared = with("dry_run", json!(true));
    shared["items"][2]["files"] = json!(["a/beneath"]);
    transcript.call("create_batch", shared).refusal();
    let batch = transcript.call("create_batch", plan).ok().text("/batch/id");
    transcript
        .call("add_items", json!({"id": batch, "items": [{"id": "m3"}, {"id": "m4", "date": "soon"}]}))
        .refusal();
    let more = json!([{"id": "m3", "date": "2025-11-05"}, {"id": "m4", "date": "2025-11-06", "files": "a"}]);
    transcript.call("add_items", json!({"id": batch, "items": more})).refusal();
    let more = json!([{"id": "m3", "date": "2025-11-05"}, {"id": "m4", "date": "2025-11-06", "files": "d"}]);
    transcript.call("add_items", json!({"id": batch, "items": more})).ok();
    batch
}

/// The calls of a worker for a whole chunk with one category. Returns the chunk's id and the token.
fn work(transcript: &mut Transcript, batch: &str, category: &str) -> (String, String) {
    let claim = transcript.call("claim_task", json!({"batch": batch, "worker": "polecat-1"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    for item in claim["items"].as_array().into_iter().flatten() {
        let receipt = json!({"id": chunk, "claim": token, "item": item["key"], "outcome": "done",
                             "category": category, "body": "- looked at it", "model": "small", "tokens_in": 100,
                             "tokens_out": 20, "cost": 0.01});
        transcript.call("update_task", receipt).ok();
    }
    transcript.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    (chunk, token)
}

#[test]
fn a_decision_on_a_batch_with_a_long_title_is_answered_in_600_bytes() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<String> = (0..40).map(|number| format!("k{number}")).collect();
    let batch = json!({"title": "t".repeat(900), "instructions": "x", "items": items, "max_chunk": 40,
                       "checkpoint": "chunk", "finish": {"title": "Push"}});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": id, "worker": "w"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    for (number, item) in items.iter().enumerate() {
        let category = format!("a category with the number {number:02}");
        let receipt =
            json!({"id": chunk, "claim": token, "item": item, "outcome": "done", "category": category});
        server.call("update_task", receipt).ok();
    }
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    let small = |reply: &Reply| {
        let bytes = reply.value.to_string().len();
        assert!(bytes < 600, "{bytes} bytes: {}", reply.value);
        let categories =
            reply["batch"]["categories"].as_object().map(|map| map.values().filter_map(Value::as_u64).sum());
        assert_eq!(categories, Some(40), "they add up: {}", reply.value);
    };
    let why = "because ".repeat(100);
    small(&server.call("control_batch", json!({"id": id, "action": "pause", "reason": why})).ok());
    small(&server.call("control_batch", json!({"id": id, "action": "resume"})).ok());
    small(&server.call("review_batch", json!({"id": id, "decision": "approve", "note": why})).ok());
}

#[test]
fn replies_to_workers_and_supervisors_are_as_in_the_snapshot() {
    let store = Store::new();
    let mut transcript = Transcript::new(&store);
    tasks(&mut transcript);
    let batch = plan(&mut transcript);

    transcript.chapter("A worker works a chunk");
    let claim = transcript.call("claim_task", json!({"batch": batch, "worker": "polecat-1"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    let receipt = |token: &str, item: &str, outcome: &str| json!({"id": chunk, "claim": token, "item": item, "outcome": outcome, "category": "archive"});
    transcript.call("update_task", receipt(&token, "m1", "started")).ok();
    transcript.call("update_task", receipt(&token, "m1", "done")).ok();
    transcript.call("update_task", receipt(&token, "m1", "done")).ok();
    transcript.call("update_task", receipt(&token, "m1", "failed")).refusal();
    transcript.call("update_task", receipt(&token, "m9", "done")).refusal();
    transcript.call("update_task", json!({"id": chunk, "item": "m2", "outcome": "done"})).refusal();
    transcript.call("complete_task", json!({"id": chunk, "claim": token})).refusal();
    transcript.call("get_batch", json!({"id": batch})).ok();
    transcript.call("update_task", receipt(&token, "m2", "started")).ok();
    transcript.call("release_task", json!({"id": chunk, "claim": token, "reason": "tired"})).ok();
    transcript.call("release_task", json!({"id": chunk, "claim": token, "reason": "tired"}));
    transcript.call("update_task", receipt(&token, "m2", "done"));
    assert_eq!(store.clear_backoffs(), 1, "the chunk has no backoff");
    let claim = transcript.call("claim_task", json!({"id": chunk, "worker": "polecat-2"})).ok();
    let token = claim.text("/claim/token");
    transcript.call("update_task", receipt(&token, "m2", "failed")).ok();
    transcript.call("complete_task", json!({"id": chunk, "claim": token})).ok();

    transcript.chapter("A person looks at it");
    transcript.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    transcript.call("review_batch", json!({"id": batch, "decision": "redo"})).refusal();
    transcript.call("review_batch", json!({"id": batch, "decision": "approve", "reviewer": "Ann"})).ok();
    transcript.call("review_batch", json!({"id": batch, "decision": "approve"}));
    transcript.call("get_batch", json!({"id": batch, "view": "failures"})).ok();
    transcript.call("control_batch", json!({"id": batch, "action": "pause", "reason": "lunch"})).ok();
    assert_eq!(transcript.call("claim_task", json!({"batch": batch, "worker": "w"})).declined(), "paused");
    transcript.call("control_batch", json!({"id": batch, "action": "resume"})).ok();
    transcript.call("control_batch", json!({"id": batch, "action": "pause", "items": ["m1"]})).refusal();
    transcript.call("get_batch", json!({"project": "mail"})).ok();

    transcript.chapter("To its end");
    work(&mut transcript, &batch, "archived");
    work(&mut transcript, &batch, "fyi");
    let none = transcript.call("claim_task", json!({"batch": batch, "worker": "w"}));
    assert_eq!(none.declined(), "nothing_to_claim");
    transcript.call("review_batch", json!({"id": batch, "decision": "approve", "reviewer": "Ann"})).ok();
    let since = transcript.call("get_batch", json!({"id": batch})).ok().text("/since");
    transcript.call("get_batch", json!({"id": batch, "since": since})).ok();
    transcript.call("get_batch", json!({"id": batch, "view": "receipts"})).ok();
    transcript.call("wait_batch", json!({"id": batch})).ok();
    transcript.call("wait_batch", json!({"id": "nosuchbatch0"})).refusal();
    transcript.call("control_batch", json!({"id": batch, "action": "retry"})).ok();
    transcript.call("get_batch", json!({"id": "nosuchbatch0"})).refusal();
    transcript.call("add_items", json!({"id": chunk, "items": ["x"]})).refusal();
    transcript.call("control_batch", json!({"id": batch, "action": "cancel", "reason": "enough"})).ok();
    let finish = transcript.call("claim_task", json!({"project": "mail", "worker": "supervisor"})).ok();
    let finish =
        json!({"id": finish.text("/task/id"), "claim": finish.text("/claim/token"), "summary": "Pushed."});
    transcript.call("complete_task", finish).ok();
    assert_eq!(transcript.call("claim_task", json!({"batch": batch, "worker": "w"})).declined(), "cancelled");
    insta::assert_snapshot!("replies", transcript.text);
}
