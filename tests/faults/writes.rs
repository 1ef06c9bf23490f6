//! A story in which every operation writes, in each of its ways; held to the list of operations, so that a new
//! one cannot be left out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::reply::Reply;
use crate::support::store::Store;
use tasktally::ops;
use tasktally::ops::Effect;

/// A profile that takes no work: the story only names it.
pub(crate) const PROFILE: &str =
    "[worker.idle]\nper = \"item\"\nmax_parallel = 1\ncommand = [\"sh\", \"-c\", \"exit 75\"]\n";

/// A call of the story: which operation, whether it must have written, and what it was asked.
pub(crate) struct Told {
    pub(crate) operation: String,
    pub(crate) writes: bool,
    pub(crate) arguments: Value,
}

/// Whoever tells the story: a server's client, or one who types commands.
pub(crate) struct Story<'a> {
    call: &'a mut dyn FnMut(&str, &Value) -> Reply,
    pub(crate) told: Vec<Told>,
}

impl<'a> Story<'a> {
    pub(crate) fn by(call: &'a mut dyn FnMut(&str, &Value) -> Reply) -> Self {
        Story { call, told: Vec::new() }
    }

    fn ask(&mut self, operation: &str, arguments: Value) -> Reply {
        let reply = (self.call)(operation, &arguments);
        let effect = ops::find_operation(operation).unwrap().effect;
        let writes = effect != Effect::Read && reply.won() && arguments["dry_run"] != true;
        self.told.push(Told { operation: operation.to_owned(), writes, arguments });
        reply
    }

    #[track_caller]
    fn did(&mut self, operation: &str, arguments: Value) -> Reply {
        self.ask(operation, arguments).ok()
    }

    /// Asked twice under one key: the second answer tells of the first.
    #[track_caller]
    fn twice(&mut self, operation: &str, mut arguments: Value) -> Reply {
        arguments["request_key"] = format!("key-{}", self.told.len()).into();
        let first = self.did(operation, arguments.clone());
        let again = self.did(operation, arguments);
        assert!(again.value.to_string().contains("\"duplicate\":true"), "{}", again.value);
        first
    }

    #[track_caller]
    fn task(&mut self, title: &str) -> String {
        self.did("create_task", json!({"task_title": title})).text("/task/id")
    }

    fn claim(&mut self, arguments: Value) -> (String, Value, Vec<Value>) {
        let claim = self.did("claim_task", arguments);
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
        self.did("complete_task", json!({"id": id, "claim": claim}));
        id
    }

    fn tasks(&mut self, store: &Store) {
        let id =
            self.twice("create_task", json!({"task_title": "First", "tags": ["a", "b"]})).text("/task/id");
        self.did("update_task", json!({"id": id, "body": "- by hand"}));
        self.twice("update_task", json!({"id": id, "body": "- by hand, with a key"}));
        self.did("update_task", json!({"id": id, "priority": 1, "task_title": "Renamed"}));
        self.did("update_task", json!({"id": id, "status": "in_progress", "assignee": "w"}));
        self.ask("update_task", json!({"id": id, "status": "in_progress", "assignee": "v"}));
        self.did("complete_task", json!({"id": id, "summary": "- done"}));
        let two = [self.task("Second"), self.task("Third")];
        self.did("complete_tasks", json!({"ids": two}));
        for outcome in values("release_task", "outcome") {
            let id = self.task(&format!("Released: {outcome}"));
            let (id, claim, _) = self.claim(json!({"id": id, "worker": "w"}));
            self.did("update_task", json!({"id": id, "claim": claim, "body": "- under a claim"}));
            let given = json!({"id": id, "claim": claim, "outcome": outcome, "reason": "no"});
            self.did("release_task", given);
            // Late: refused, and its receipt is kept.
            let late = self.ask("update_task", json!({"id": id, "claim": claim, "body": "- late"}));
            assert_eq!(late.code(), "claim_lost");
        }
        let id = self.task("Stalled");
        self.claim(json!({"id": id, "worker": "w"}));
        store.sql().execute("UPDATE task SET expires_at = claimed_at WHERE id = ?1", [&id]).unwrap();
        self.did("reset_stalled_tasks", json!({}));
        self.did("search_tasks", json!({"query": "renamed"}));
    }

    fn batches(&mut self) {
        let items: Vec<String> = (0..10).map(|n| format!("item-{n}")).collect();
        let mut plan = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 2,
            "checkpoint": "chunk", "dry_run": true});
        self.did("create_batch", plan.clone());
        plan["dry_run"] = false.into();
        let id = self.twice("create_batch", plan).text("/batch/id");
        self.twice("add_items", json!({"id": id, "items": ["more-1", "more-2", "more-3"]}));
        self.did("add_items", json!({"id": id, "items": ["more-3", "more-4"]}));
        for decision in values("review_batch", "decision") {
            let chunk = self.work_chunk(&id);
            let decided =
                json!({"id": id, "chunk": chunk, "decision": decision, "note": "so", "reviewer": "p"});
            self.did("review_batch", decided);
        }
        self.did("wait_batch", json!({"id": id}));
        let (chunk, claim, _) = self.claim(json!({"batch": id, "worker": "w"}));
        let failed = json!({"id": chunk, "claim": claim, "outcome": "failed", "reason": "no"});
        self.did("release_task", failed);
        for action in ["pause", "resume", "retry", "start", "cancel"] {
            let mut asked = json!({"id": id, "action": action, "reason": "so"});
            if action == "start" {
                asked["worker"] = "idle".into();
            }
            self.did("control_batch", asked);
        }
        // Its schema lists no actions; whoever names none of them is told all.
        let command =
            (ops::find_operation("control_batch").unwrap().command)(clap::Command::new("tasktally"));
        let refused =
            command.try_get_matches_from(["tasktally", "--id=x", "--action=none"]).unwrap_err().to_string();
        assert!(
            refused.contains("one of pause, resume, cancel, retry, start\n"),
            "another is to be told: {refused}"
        );
    }

    /// All of it; fails where an operation that writes was not asked to.
    pub(crate) fn tell(&mut self, store: &Store) {
        self.tasks(store);
        self.batches();
        let told: BTreeSet<&str> =
            self.told.iter().filter(|told| told.writes).map(|told| told.operation.as_str()).collect();
        for entry in ops::ALL.iter().filter(|entry| entry.effect != Effect::Read) {
            assert!(told.contains(entry.name), "{} writes and is not in the story", entry.name);
        }
    }
}

/// The values that a parameter may have, as the tool's schema lists them.
fn values(operation: &str, parameter: &str) -> Vec<String> {
    let schema = (ops::find_operation(operation).unwrap().input)();
    let listed = find_enum(&schema["properties"][parameter]);
    let values = listed.unwrap_or_else(|| panic!("{operation}: {parameter} lists no values: {schema}"));
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn find_enum(schema: &Value) -> Option<&Vec<Value>> {
    schema["enum"].as_array().or_else(|| schema["anyOf"].as_array()?.iter().find_map(find_enum))
}

/// The same arguments as words of a command.
pub(crate) fn words(operation: &str, arguments: &Value) -> Vec<String> {
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
