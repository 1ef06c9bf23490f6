//! A sequence of calls in which every operation that writes is called in each of its ways. The test compares it with
//! the list of operations, so that no new operation can be left out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::reply::Reply;
use crate::support::store::Store;
use tasktally::ops;
use tasktally::ops::Effect;

/// A profile whose worker does nothing.
pub(crate) const PROFILE: &str =
    "[worker.idle]\nper = \"item\"\nmax_parallel = 1\ncommand = [\"sh\", \"-c\", \"exit 75\"]\n";

/// A call that was made: the operation, its arguments and whether it must have written.
pub(crate) struct MadeCall {
    pub(crate) operation: String,
    pub(crate) writes: bool,
    pub(crate) arguments: Value,
}

/// Makes the calls, through a server or by commands, and records them.
pub(crate) struct EveryWrite<'a> {
    call: &'a mut dyn FnMut(&str, &Value) -> Reply,
    pub(crate) calls: Vec<MadeCall>,
}

impl<'a> EveryWrite<'a> {
    pub(crate) fn new(call: &'a mut dyn FnMut(&str, &Value) -> Reply) -> Self {
        EveryWrite { call, calls: Vec::new() }
    }

    /// Makes a call.
    fn ask(&mut self, operation: &str, arguments: Value) -> Reply {
        let reply = (self.call)(operation, &arguments);
        let effect = ops::find_operation(operation).unwrap().effect;
        let writes = effect != Effect::Read && reply.succeeded() && arguments["dry_run"] != true;
        self.calls.push(MadeCall { operation: operation.to_owned(), writes, arguments });
        reply
    }

    /// Makes a call that must succeed.
    #[track_caller]
    fn do_call(&mut self, operation: &str, arguments: Value) -> Reply {
        self.ask(operation, arguments).ok()
    }

    /// Makes a call twice with the same request key. The second reply must be a duplicate.
    #[track_caller]
    fn twice(&mut self, operation: &str, mut arguments: Value) -> Reply {
        arguments["request_key"] = format!("key-{}", self.calls.len()).into();
        let first = self.do_call(operation, arguments.clone());
        let again = self.do_call(operation, arguments);
        assert!(again.value.to_string().contains("\"duplicate\":true"), "{}", again.value);
        first
    }

    #[track_caller]
    fn task(&mut self, title: &str) -> String {
        self.do_call("create_task", json!({"task_title": title})).text("/task/id")
    }

    fn claim(&mut self, arguments: Value) -> (String, Value, Vec<Value>) {
        let claim = self.do_call("claim_task", arguments);
        let items = claim["items"].as_array().cloned().unwrap_or_default();
        (claim.text("/task/id"), claim["claim"]["token"].clone(), items)
    }

    fn work_chunk(&mut self, batch: &str) -> String {
        let (id, claim, items) = self.claim(json!({"batch": batch, "worker": "w"}));
        for item in items {
            let receipt =
                json!({"id": id, "claim": claim, "item": item["key"], "outcome": "done", "category": "read"});
            self.twice("update_task", receipt);
        }
        self.do_call("complete_task", json!({"id": id, "claim": claim}));
        id
    }

    fn tasks(&mut self, store: &Store) {
        let id =
            self.twice("create_task", json!({"task_title": "First", "tags": ["a", "b"]})).text("/task/id");
        self.do_call("update_task", json!({"id": id, "body": "- by hand"}));
        self.twice("update_task", json!({"id": id, "body": "- by hand, with a key"}));
        self.do_call("update_task", json!({"id": id, "priority": 1, "task_title": "Renamed"}));
        self.do_call("update_task", json!({"id": id, "status": "in_progress", "assignee": "w"}));
        self.ask("update_task", json!({"id": id, "status": "in_progress", "assignee": "v"}));
        self.do_call("complete_task", json!({"id": id, "summary": "- done"}));
        let two = [self.task("Second"), self.task("Third")];
        self.do_call("complete_tasks", json!({"ids": two}));
        for outcome in values("release_task", "outcome") {
            let id = self.task(&format!("Released: {outcome}"));
            let (id, claim, _) = self.claim(json!({"id": id, "worker": "w"}));
            self.do_call("update_task", json!({"id": id, "claim": claim, "body": "- under a claim"}));
            let given = json!({"id": id, "claim": claim, "outcome": outcome, "reason": "no"});
            self.do_call("release_task", given);
            // A late receipt is refused and kept.
            let late = self.ask("update_task", json!({"id": id, "claim": claim, "body": "- late"}));
            assert_eq!(late.code(), "claim_lost");
        }
        let id = self.task("Stalled");
        self.claim(json!({"id": id, "worker": "w"}));
        store.expire_claim(&id);
        self.do_call("reset_stalled_tasks", json!({}));
        self.do_call("search_tasks", json!({"query": "renamed"}));
    }

    fn batches(&mut self) {
        let items: Vec<String> = (0..10).map(|n| format!("item-{n}")).collect();
        let mut plan = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 2,
            "checkpoint": "chunk", "dry_run": true});
        self.do_call("create_batch", plan.clone());
        plan["dry_run"] = false.into();
        let id = self.twice("create_batch", plan).text("/batch/id");
        self.twice("add_items", json!({"id": id, "items": ["more-1", "more-2", "more-3"]}));
        self.do_call("add_items", json!({"id": id, "items": ["more-3", "more-4"]}));
        for decision in values("review_batch", "decision") {
            let chunk = self.work_chunk(&id);
            let decided =
                json!({"id": id, "chunk": chunk, "decision": decision, "note": "so", "reviewer": "p"});
            self.do_call("review_batch", decided);
        }
        self.do_call("wait_batch", json!({"id": id}));
        let (chunk, claim, _) = self.claim(json!({"batch": id, "worker": "w"}));
        let failed = json!({"id": chunk, "claim": claim, "outcome": "failed", "reason": "no"});
        self.do_call("release_task", failed);
        self.do_call("control_batch", json!({"id": id, "max_parallel": 3}));
        for action in ["pause", "resume", "retry", "start", "cancel", "recreate"] {
            let mut asked = json!({"id": id, "action": action, "reason": "so"});
            if action == "start" {
                asked["worker"] = "idle".into();
            }
            self.do_call("control_batch", asked);
        }
        // The schema does not list the actions, but the error for an unknown one does.
        let command =
            (ops::find_operation("control_batch").unwrap().command)(clap::Command::new("tasktally"));
        let refused =
            command.try_get_matches_from(["tasktally", "--id=x", "--action=none"]).unwrap_err().to_string();
        assert!(
            refused.contains("allowed: pause, resume, cancel, retry, start, recreate\n"),
            "an action is missing in this test: {refused}"
        );
    }

    /// Makes all calls. Asserts that every operation that can write did write.
    pub(crate) fn run(&mut self, store: &Store) {
        self.tasks(store);
        self.batches();
        let written: BTreeSet<&str> =
            self.calls.iter().filter(|call| call.writes).map(|call| call.operation.as_str()).collect();
        for entry in ops::ALL.iter().filter(|entry| entry.effect != Effect::Read) {
            assert!(written.contains(entry.name), "{} writes and is not called here", entry.name);
        }
    }
}

/// The values of a parameter that the tool's schema lists.
fn values(operation: &str, parameter: &str) -> Vec<String> {
    let schema = (ops::find_operation(operation).unwrap().input)();
    let listed = find_enum(&schema["properties"][parameter]);
    let values = listed.unwrap_or_else(|| panic!("{operation}: {parameter} lists no values: {schema}"));
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn find_enum(schema: &Value) -> Option<&Vec<Value>> {
    schema["enum"].as_array().or_else(|| schema["anyOf"].as_array()?.iter().find_map(find_enum))
}

/// The command-line arguments for a tool call.
pub(crate) fn command_line(operation: &str, arguments: &Value) -> Vec<String> {
    let mut words = vec![operation.replace('_', "-")];
    for (name, value) in arguments.as_object().unwrap() {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(values) if name != "items" => {
                values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
            }
            other => other.to_string(),
        };
        words.extend([format!("--{}={text}", name.replace('_', "-"))]);
    }
    words.push("--json".into());
    words
}
