//! Every reply that a worker or a supervisor sees, in one story: the success and the refusal of each
//! tool, with ids, times, tokens and rates replaced. The transcript is the snapshot.

mod support;

use serde_json::{Map, Value, json};

use support::reply::Reply;
use support::server::Server;
use support::store::Store;

/// Tools whose reply is what the caller asked to read, and so may be long.
const READS: [&str; 7] =
    ["get_task", "list_tasks", "search_tasks", "get_batch", "wait_batch", "create_batch", "claim_task"];

/// A server, all that was said, and the names that stand for what differs from run to run.
struct Story {
    server: Server,
    text: String,
    names: Vec<(String, String)>,
}

impl Story {
    fn new(store: &Store) -> Self {
        Story { server: store.serve(), text: String::new(), names: Vec::new() }
    }

    fn chapter(&mut self, title: &str) {
        self.text += &format!("\n# {title}\n");
    }

    /// From now on an id or a token is called by a name.
    fn name(&mut self, value: &str, name: &str) {
        self.names.push((value.to_owned(), format!("<{name}>")));
    }

    fn told(&self, text: &str) -> String {
        let mut told = text.to_owned();
        for (value, name) in &self.names {
            told = told.replace(value, name);
        }
        without_times(&told)
    }

    fn shown(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.told(text)),
            Value::Array(values) => {
                let mut values = values.clone();
                // The draw of a sample is by the batch's id, and so is its order.
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

    /// Calls a tool and writes down what was said.
    fn call(&mut self, tool: &str, arguments: Value) -> Reply {
        let reply = self.server.call(tool, arguments.clone());
        self.learn(&reply);
        let kind = match (reply.won(), reply.is_error) {
            (true, _) => "",
            (false, true) => " (error)",
            (false, false) => " (answer)",
        };
        if !READS.contains(&tool) && reply.won() {
            let bytes = reply.value.to_string().len();
            assert!(bytes < 600, "{tool}: {bytes} bytes: {}", reply.value);
        }
        self.text += &format!("\n{tool} {}{kind}\n", self.shown(&arguments));
        self.text += &format!("{:#}\n", self.shown(&reply.value));
        reply
    }

    /// Gives names to ids and tokens that a reply brings.
    fn learn(&mut self, reply: &Reply) {
        for (place, kind) in [
            ("/task/id", "task"),
            ("/batch/id", "batch"),
            ("/batch/finish", "finish"),
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

/// The text, each RFC 3339 time in it replaced.
fn without_times(text: &str) -> String {
    let is_time = |bytes: &[u8]| {
        bytes.iter().zip(b"0000-00-00T00:00:00.000Z").all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        })
    };
    let (mut told, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        if rest.len() >= 24 && is_time(&rest.as_bytes()[..24]) {
            told.push_str("<time>");
            rest = &rest[24..];
        } else {
            told.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    told
}

fn tasks(story: &mut Story) {
    story.chapter("The task queue");
    let first = story.call("create_task", json!({"task_title": "Write the parser", "project": "demo"})).ok();
    let first = first.text("/task/id");
    let second = json!({"task_title": "Use the parser", "project": "demo", "depends_on": [first]});
    let second = story.call("create_task", second).ok().text("/task/id");
    story.call("create_task", json!({"task_title": "Orphan", "parent": "nosuchtask00"})).refusal();
    story.call("list_tasks", json!({"status": "active"})).ok();
    story.call("list_tasks", json!({"status": "waiting for Godot"})).refusal();
    story.call("update_task", json!({"id": first, "status": "in_progress", "assignee": "polecat"})).ok();
    let taken = story.call("update_task", json!({"id": first, "status": "in_progress", "assignee": "other"}));
    assert_eq!(taken.answer(), "already_claimed");
    story.call("update_task", json!({"id": first, "body": "- Archived: 1 | Ann | Lunch"})).ok();
    story.call("update_task", json!({"id": first, "body": "x", "replace_body": true})).refusal();
    story.call("update_task", json!({"id": first, "bodi": "x"})).refusal();
    story.call("get_task", json!({"id": first})).ok();
    story.call("get_task", json!({"id": "nosuchtask00"})).refusal();
    story.call("complete_task", json!({"id": first})).ok();
    story.call("complete_task", json!({"id": first})).ok();
    let third =
        story.call("create_task", json!({"task_title": "Tick", "body": "- [ ] one"})).ok().text("/task/id");
    story.call("complete_task", json!({"id": third}));
    story.call("complete_tasks", json!({"ids": [second, third]}));
    story.call("complete_tasks", json!({"ids": []})).refusal();
    story.call("search_tasks", json!({"query": "parser"})).ok();
    story.call("search_tasks", json!({"query": ""})).refusal();
    story.call("reset_stalled_tasks", json!({"hours": 2.0, "dry_run": true})).ok();
    story.call("reset_stalled_tasks", json!({"hours": -1.0})).refusal();
}

/// A batch with a checkpoint, made; gives its id.
fn plan(story: &mut Story) -> String {
    story.chapter("A supervisor makes a batch");
    story.call("get_batch", json!({"project": "mail"})).ok();
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
    story.call("create_batch", with("split", json!("month:when"))).refusal();
    story.call("create_batch", with("resources", json!("split"))).refusal();
    let mut shared = with("dry_run", json!(true));
    shared["items"][2]["files"] = json!(["a/beneath"]);
    story.call("create_batch", shared).refusal();
    let batch = story.call("create_batch", plan).ok().text("/batch/id");
    story
        .call("add_items", json!({"id": batch, "items": [{"id": "m3"}, {"id": "m4", "date": "soon"}]}))
        .refusal();
    let more = json!([{"id": "m3", "date": "2025-11-05"}, {"id": "m4", "date": "2025-11-06", "files": "a"}]);
    story.call("add_items", json!({"id": batch, "items": more})).refusal();
    let more = json!([{"id": "m3", "date": "2025-11-05"}, {"id": "m4", "date": "2025-11-06", "files": "d"}]);
    story.call("add_items", json!({"id": batch, "items": more})).ok();
    batch
}

/// A worker's calls for a whole chunk, every item of one category; gives its id and token.
fn work(story: &mut Story, batch: &str, category: &str) -> (String, String) {
    let claim = story.call("claim_task", json!({"batch": batch, "worker": "polecat-1"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    for item in claim["items"].as_array().into_iter().flatten() {
        let receipt = json!({"id": chunk, "claim": token, "item": item["key"], "outcome": "done",
                             "category": category, "body": "- looked at it", "model": "small", "tokens_in": 100,
                             "tokens_out": 20, "cost": 0.01});
        story.call("update_task", receipt).ok();
    }
    story.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    (chunk, token)
}

#[test]
fn what_is_decided_on_a_batch_is_answered_in_600_bytes_whatever_it_is_called() {
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
fn what_a_worker_and_a_supervisor_are_told() {
    let store = Store::new();
    let mut story = Story::new(&store);
    tasks(&mut story);
    let batch = plan(&mut story);

    story.chapter("A worker works a chunk");
    let claim = story.call("claim_task", json!({"batch": batch, "worker": "polecat-1"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    let receipt = |token: &str, item: &str, outcome: &str| json!({"id": chunk, "claim": token, "item": item, "outcome": outcome, "category": "archive"});
    story.call("update_task", receipt(&token, "m1", "started")).ok();
    story.call("update_task", receipt(&token, "m1", "done")).ok();
    story.call("update_task", receipt(&token, "m1", "done")).ok();
    story.call("update_task", receipt(&token, "m1", "failed")).refusal();
    story.call("update_task", receipt(&token, "m9", "done")).refusal();
    story.call("update_task", json!({"id": chunk, "item": "m2", "outcome": "done"})).refusal();
    story.call("complete_task", json!({"id": chunk, "claim": token})).refusal();
    story.call("get_batch", json!({"id": batch})).ok();
    story.call("update_task", receipt(&token, "m2", "started")).ok();
    story.call("release_task", json!({"id": chunk, "claim": token, "reason": "tired"})).ok();
    story.call("release_task", json!({"id": chunk, "claim": token, "reason": "tired"}));
    story.call("update_task", receipt(&token, "m2", "done"));
    let rested =
        "UPDATE task SET blocker_count = 0, hold_count = 0, held_until = NULL WHERE held_until IS NOT NULL";
    assert_eq!(store.sql().execute(rested, []).ok(), Some(1), "the chunk rests");
    let claim = story.call("claim_task", json!({"id": chunk, "worker": "polecat-2"})).ok();
    let token = claim.text("/claim/token");
    story.call("update_task", receipt(&token, "m2", "failed")).ok();
    story.call("complete_task", json!({"id": chunk, "claim": token})).ok();

    story.chapter("A person looks at it");
    story.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    story.call("review_batch", json!({"id": batch, "decision": "redo"})).refusal();
    story.call("review_batch", json!({"id": batch, "decision": "approve", "reviewer": "Ann"})).ok();
    story.call("review_batch", json!({"id": batch, "decision": "approve"}));
    story.call("get_batch", json!({"id": batch, "view": "failures"})).ok();
    story.call("control_batch", json!({"id": batch, "action": "pause", "reason": "lunch"})).ok();
    assert_eq!(story.call("claim_task", json!({"batch": batch, "worker": "w"})).answer(), "paused");
    story.call("control_batch", json!({"id": batch, "action": "resume"})).ok();
    story.call("control_batch", json!({"id": batch, "action": "pause", "items": ["m1"]})).refusal();
    story.call("get_batch", json!({"project": "mail"})).ok();

    story.chapter("To its end");
    work(&mut story, &batch, "archived");
    work(&mut story, &batch, "fyi");
    let none = story.call("claim_task", json!({"batch": batch, "worker": "w"}));
    assert_eq!(none.answer(), "nothing_to_claim");
    story.call("review_batch", json!({"id": batch, "decision": "approve", "reviewer": "Ann"})).ok();
    let since = story.call("get_batch", json!({"id": batch})).ok().text("/since");
    story.call("get_batch", json!({"id": batch, "since": since})).ok();
    story.call("get_batch", json!({"id": batch, "view": "receipts"})).ok();
    story.call("wait_batch", json!({"id": batch})).ok();
    story.call("wait_batch", json!({"id": "nosuchbatch0"})).refusal();
    story.call("control_batch", json!({"id": batch, "action": "retry"})).ok();
    story.call("get_batch", json!({"id": "nosuchbatch0"})).refusal();
    story.call("add_items", json!({"id": chunk, "items": ["x"]})).refusal();
    story.call("control_batch", json!({"id": batch, "action": "cancel", "reason": "enough"})).ok();
    let finish = story.call("claim_task", json!({"project": "mail", "worker": "supervisor"})).ok();
    let finish =
        json!({"id": finish.text("/task/id"), "claim": finish.text("/claim/token"), "summary": "Pushed."});
    story.call("complete_task", finish).ok();
    assert_eq!(story.call("claim_task", json!({"batch": batch, "worker": "w"})).answer(), "cancelled");
    insta::assert_snapshot!("replies", story.text);
}
