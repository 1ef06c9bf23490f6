//! Invalid calls: each is refused with an error that names the field and what is allowed, and changes nothing.

mod support;

use serde_json::{Value, json};

use support::reply::Reply;
use support::server::Server;
use support::store::Store;

/// A server whose store must stay unchanged. It has two tasks, the second of which depends on the first.
struct UnchangedStore {
    server: Server,
    first: String,
    second: String,
    _store: Store,
}

impl UnchangedStore {
    fn new() -> Self {
        let store = Store::new();
        let mut server = store.serve();
        let first = server.create_task("First");
        let waiting = json!({"title": "Second", "depends_on": [first], "parent": first});
        let second = server.call("create_task", waiting).ok().text("/task/id");
        UnchangedStore { server, first, second, _store: store }
    }

    /// Everything in the store, with its change number.
    fn state(&mut self) -> (Reply, Reply, Reply) {
        let all = self.server.call("list_tasks", json!({"limit": 0})).ok();
        (all, self.server.read_task(&self.first), self.server.read_task(&self.second))
    }

    /// Asserts that a call is refused with one of these codes, that its message contains these words, and that the store
    /// is unchanged.
    #[track_caller]
    fn check(&mut self, tool: &str, arguments: Value, codes: &[&str], names: &[&str]) {
        let call: String = format!("{tool} {arguments}").chars().take(200).collect();
        let before = self.state();
        let reply = self.server.call(tool, arguments);
        assert!(reply.is_error && !reply.succeeded(), "{call}: accepted: {}", reply.value);
        assert!(codes.contains(&reply.code()), "{call}: {}, not {codes:?}", reply.value);
        for name in names {
            assert!(reply.message().contains(name), "{call}: no {name:?} in {:?}", reply.message());
        }
        let raw = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!reply.message().chars().any(raw), "{call}: raw characters in {:?}", reply.message());
        assert!(reply.value.to_string().len() < 1000, "{call}: a long error");
        assert_eq!(self.state(), before, "{call}: something changed");
    }

    /// The same for the code `invalid_argument`.
    #[track_caller]
    fn invalid(&mut self, tool: &str, arguments: Value, names: &[&str]) {
        self.check(tool, arguments, &["invalid_argument"], names);
    }
}

#[test]
fn an_unknown_tool_is_a_protocol_error_that_names_it() {
    let mut unchanged = UnchangedStore::new();
    let before = unchanged.state();
    for name in ["creat_task", "", "../../bin/sh"] {
        let answer = unchanged.server.request("tools/call", json!({"name": name, "arguments": {}}));
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(name), "{answer}");
    }
    assert_eq!(unchanged.state(), before);
}

#[test]
fn a_call_whose_arguments_are_no_object_is_an_error() {
    let mut unchanged = UnchangedStore::new();
    let before = unchanged.state();
    for params in [
        json!({"name": "create_task", "arguments": [1, 2]}),
        json!({"name": "create_task", "arguments": "title"}),
        json!({"name": 7, "arguments": {}}),
        json!({"arguments": {}}),
        json!([]),
    ] {
        let answer = unchanged.server.request("tools/call", params.clone());
        let refused = answer["error"]["code"].is_i64() || answer["result"]["isError"] == true;
        assert!(refused, "{params}: {answer}");
        assert_ne!(answer["error"]["code"], -32601, "the method is known: {answer}");
    }
    unchanged.invalid("create_task", json!({}), &["task_title"]);
    assert_eq!(unchanged.state(), before);
}

#[test]
fn an_unknown_or_misspelt_argument_is_named_with_a_suggestion() {
    let mut unchanged = UnchangedStore::new();
    let id = unchanged.first.clone();
    unchanged.invalid("create_task", json!({"title": "T", "frobnicate": 1}), &["frobnicate"]);
    unchanged.invalid("create_task", json!({"title": "T", "prioritty": 1}), &["prioritty", "priority"]);
    unchanged.invalid("update_task", json!({"id": id, "statsu": "done"}), &["statsu", "status"]);
    unchanged.invalid("update_task", json!({"id": id, "assigne": "w"}), &["assigne", "assignee"]);
    unchanged.invalid("list_tasks", json!({"statu": "active"}), &["statu", "status"]);
    unchanged.invalid("claim_task", json!({"worker": "w", "lease": 5}), &["lease", "lease_seconds"]);
    unchanged.invalid("get_task", json!({"task_id": id}), &["task_id"]);
}

#[test]
fn a_parameter_that_would_be_ignored_is_refused() {
    let mut unchanged = UnchangedStore::new();
    let id = unchanged.first.clone();
    let items = json!({"title": "B", "instructions": "x", "items": [{"key": "a"}]});
    let batch = unchanged.server.call("create_batch", items).ok().text("/batch/id");
    unchanged.invalid("update_task", json!({"id": id, "category": "c"}), &["category", "item"]);
    unchanged.invalid("update_task", json!({"id": id, "category": "c", "body": "x"}), &["category", "item"]);
    unchanged.invalid("get_batch", json!({"view": "review"}), &["'review'", "view of one batch"]);
    unchanged.invalid("get_batch", json!({"chunks_after": 1}), &["chunks_after"]);
    unchanged.invalid("get_batch", json!({"id": batch, "project": "p"}), &["project", "without id only"]);
    for (name, value) in [
        ("batch", json!(batch)),
        ("project", json!("p")),
        ("type", json!("bug")),
        ("priority_max", json!(1)),
        ("tags", json!(["t"])),
    ] {
        unchanged.invalid(
            "claim_task",
            json!({"id": id, "worker": "w", name: value}),
            &[name, "does not match"],
        );
    }
    let split = json!({"title": "B", "instructions": "x", "items": [{"key": "a"}], "split": "category:kind"});
    unchanged.invalid("create_batch", split, &["split", "'kind'"]);
    unchanged.check(
        "get_task",
        json!({"id": format!("{batch}.9")}),
        &["not_found"],
        &[&format!("No task '{batch}.9'")],
    );
}

#[test]
fn wrong_usage_with_json_is_reported_as_json() {
    let store = Store::new();
    let reply: Value = store.tasktally(["get-task", "--no-such-option", "--json"]).code(2).json();
    assert_eq!((&reply["success"], &reply["code"]), (&json!(false), &json!("invalid_argument")), "{reply}");
    assert!(reply["message"].as_str().is_some_and(|text| text.contains("--no-such-option")), "{reply}");
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_its_field() {
    let mut unchanged = UnchangedStore::new();
    let id = unchanged.first.clone();
    unchanged.invalid("create_task", json!({"task_title": 5}), &["task_title"]);
    unchanged.invalid("create_task", json!({"task_title": ["T"]}), &["task_title"]);
    unchanged.invalid("create_task", json!({"task_title": "T", "priority": "high"}), &["priority"]);
    unchanged.invalid("create_task", json!({"task_title": "T", "priority": 1.5}), &["priority"]);
    unchanged.invalid("create_task", json!({"task_title": "T", "tags": 7}), &["tags"]);
    unchanged.invalid("create_task", json!({"task_title": "T", "tags": [7]}), &["tags"]);
    unchanged.invalid("create_task", json!({"task_title": "T", "depends_on": {"a": 1}}), &["depends_on"]);
    unchanged.invalid("complete_task", json!({"id": id, "force": "certainly"}), &["force"]);
    unchanged.invalid("complete_task", json!({"id": {}}), &["id"]);
    unchanged.invalid("complete_tasks", json!({"ids": 3}), &["ids"]);
    unchanged.invalid("list_tasks", json!({"limit": "many"}), &["limit"]);
    unchanged.invalid("update_task", json!({"id": id, "body": 5}), &["body"]);
}

#[test]
fn a_value_of_the_wrong_shape_is_refused_with_the_expected_shape() {
    let mut unchanged = UnchangedStore::new();
    let batch = json!({"title": "B", "instructions": "x", "items": ["a"]});
    let id = unchanged.server.call("create_batch", batch.clone()).ok().text("/batch/id");
    let chunk = format!("{id}.01");
    unchanged.invalid(
        "claim_task",
        json!({"worker": "w", "batch": chunk}),
        &["batch", &chunk, &format!("batch {id};")],
    );
    let with = |field: &str, value: Value| {
        let mut batch = batch.clone();
        batch[field] = value;
        batch
    };
    unchanged.invalid(
        "create_batch",
        with("steps", json!(["classify"])),
        &["steps[0]", "{name, instructions, only_categories?}"],
    );
    unchanged.invalid("create_batch", with("finish", json!("Push")), &["finish", "{title, body?}"]);
}

#[test]
fn null_and_empty_values_are_refused_for_required_fields() {
    let mut unchanged = UnchangedStore::new();
    for title in [json!(null), json!(""), json!("   "), json!("\n")] {
        unchanged.invalid("create_task", json!({"task_title": title}), &["task_title"]);
    }
    unchanged.invalid("update_task", json!({"id": unchanged.first, "task_title": "  "}), &["task_title"]);
    for tool in ["get_task", "update_task", "complete_task", "release_task"] {
        unchanged.invalid(tool, json!({"id": null}), &["id"]);
        unchanged.check(tool, json!({"id": ""}), &["invalid_argument", "not_found"], &["id"]);
        unchanged.invalid(tool, json!({}), &["id"]);
    }
    unchanged.invalid("complete_tasks", json!({"ids": []}), &["ids"]);
    unchanged.invalid("search_tasks", json!({"query": ""}), &["query"]);
    // A status cannot be cleared, so an empty one counts as absent.
    let before = unchanged.state();
    unchanged.server.call("update_task", json!({"id": unchanged.first, "status": ""})).ok();
    assert_eq!(unchanged.state(), before);
}

#[test]
fn control_and_bidirectional_characters_are_refused_in_every_text() {
    let mut unchanged = UnchangedStore::new();
    let id = unchanged.first.clone();
    for bad in ['\0', '\x01', '\x07', '\x08', '\x1b', '\x1f', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}']
    {
        let text = format!("a{bad}b");
        unchanged.invalid("create_task", json!({"task_title": text}), &["task_title"]);
        unchanged.invalid("create_task", json!({"task_title": "T", "body": text}), &["body"]);
        unchanged.invalid("update_task", json!({"id": id, "body": text}), &["body"]);
        unchanged.invalid(
            "update_task",
            json!({"id": id, "status": "in_progress", "assignee": text}),
            &["assignee"],
        );
    }
    let text = "a\u{202e}b\0";
    unchanged.invalid("create_task", json!({"task_title": "T", "tags": ["good", text]}), &["tags"]);
    unchanged.invalid("create_task", json!({"task_title": "T", "project": text}), &["project"]);
    unchanged.invalid("create_task", json!({"task_title": "T", "request_key": text}), &["request_key"]);
    unchanged.invalid("claim_task", json!({"worker": text}), &["worker"]);
    unchanged.invalid("complete_task", json!({"id": id, "summary": text}), &["summary"]);
    unchanged.invalid("update_task", json!({"id": id, "context": text}), &["context"]);
    let items = json!([{"key": text}]);
    unchanged.invalid("create_batch", json!({"title": "B", "instructions": "I", "items": items}), &["key"]);
    // Text in any language, tabs and line ends are allowed.
    let good = "Übersicht\t日本語\r\nالعربية 🦀";
    unchanged.server.call("update_task", json!({"id": id, "body": good})).ok();
    assert_eq!(unchanged.server.texts(&id), [good]);
}

#[test]
fn an_unknown_id_is_not_found_and_named() {
    let mut unchanged = UnchangedStore::new();
    for unknown in ["zzzzzzzzzzzz", "zzzzzzzzzzzz.01"] {
        for tool in ["get_task", "update_task", "complete_task", "release_task", "get_batch"] {
            let mut arguments = json!({"id": unknown});
            if tool == "release_task" {
                arguments["claim"] = json!("zzzzzzzzzzzz");
            }
            unchanged.check(tool, arguments, &["not_found"], &[unknown]);
        }
        unchanged.check("claim_task", json!({"worker": "w", "id": unknown}), &["not_found"], &[unknown]);
        unchanged.check(
            "control_batch",
            json!({"id": unknown, "action": "cancel"}),
            &["not_found"],
            &[unknown],
        );
        let codes = ["not_found", "invalid_argument"];
        unchanged.check(
            "create_task",
            json!({"title": "T", "parent": unknown}),
            &codes,
            &["parent", unknown],
        );
        unchanged.check(
            "create_task",
            json!({"title": "T", "depends_on": [unknown]}),
            &codes,
            &["depends_on", unknown],
        );
        let first = unchanged.first.clone();
        unchanged.check("update_task", json!({"id": first, "parent": unknown}), &codes, &["parent", unknown]);
    }
    let odd = ["not an id", "' OR 1=1 --", "../../etc/passwd", "%", "-1"];
    for id in odd {
        unchanged.check("get_task", json!({"id": id}), &["not_found", "invalid_argument"], &[]);
    }
}

#[test]
fn own_and_circular_parents_and_dependencies_are_refused() {
    let mut unchanged = UnchangedStore::new();
    let (first, second) = (unchanged.first.clone(), unchanged.second.clone());
    let codes = ["invalid_argument", "conflict"];
    unchanged.check("update_task", json!({"id": first, "parent": first}), &codes, &["parent"]);
    unchanged.check("update_task", json!({"id": first, "depends_on": [first]}), &codes, &["depends_on"]);
    unchanged.check("update_task", json!({"id": first, "parent": second}), &codes, &["parent"]);
    unchanged.check("update_task", json!({"id": first, "depends_on": [second]}), &codes, &["depends_on"]);
}

#[test]
fn a_number_out_of_range_is_refused_with_the_range() {
    let mut unchanged = UnchangedStore::new();
    let id = unchanged.first.clone();
    let huge = json!(9_223_372_036_854_775_808_u64);
    for bad in [json!(-1), huge.clone(), json!(1.0e300)] {
        unchanged.invalid("list_tasks", json!({"limit": bad}), &["limit"]);
        unchanged.invalid("search_tasks", json!({"query": "x", "limit": bad}), &["limit"]);
        unchanged.invalid("get_task", json!({"id": id, "receipts_after": bad}), &["receipts_after"]);
        unchanged.invalid("claim_task", json!({"worker": "w", "lease_seconds": bad}), &["lease_seconds"]);
        unchanged.invalid("reset_stalled_tasks", json!({"hours": bad}), &["hours"]);
    }
    for bad in [json!(-1), json!(5), huge] {
        unchanged.invalid("create_task", json!({"title": "T", "priority": bad}), &["priority", "0", "4"]);
        unchanged.invalid("update_task", json!({"id": id, "priority": bad}), &["priority", "0", "4"]);
    }
    unchanged.invalid("claim_task", json!({"worker": "w", "lease_seconds": 86_401}), &["lease_seconds", "1"]);
    unchanged.invalid("create_task", json!({"title": "T", "order": 1.0e300}), &["order"]);
}

#[test]
fn a_time_before_1970_or_far_ahead_or_malformed_is_refused() {
    let mut unchanged = UnchangedStore::new();
    for bad in
        ["1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "tomorrow", "2025-13-01", "10000-01-01T00:00:00Z"]
    {
        unchanged.invalid("create_task", json!({"title": "T", "due": bad}), &["due"]);
        unchanged.invalid("update_task", json!({"id": unchanged.first, "due": bad}), &["due"]);
    }
}

#[test]
fn an_unknown_enum_value_is_refused_with_the_allowed_values() {
    let mut unchanged = UnchangedStore::new();
    let id = unchanged.first.clone();
    unchanged.invalid(
        "update_task",
        json!({"id": id, "status": "finished"}),
        &["status", "finished", "in_progress"],
    );
    unchanged.invalid("list_tasks", json!({"status": "finished"}), &["status", "finished", "in_progress"]);
    unchanged.invalid("create_task", json!({"title": "T", "type": "chore"}), &["type", "chore", "feature"]);
    unchanged.invalid(
        "create_task",
        json!({"title": "T", "complexity": "hard"}),
        &["complexity", "hard", "multi-step"],
    );
    unchanged.invalid(
        "control_batch",
        json!({"id": id, "action": "explode"}),
        &["action", "explode", "cancel"],
    );
    unchanged.invalid(
        "update_task",
        json!({"id": id, "item": "a", "outcome": "great"}),
        &["outcome", "great", "skipped"],
    );
    unchanged.invalid("list_tasks", json!({"since": "last week"}), &["since"]);
    unchanged.invalid("list_tasks", json!({"cursor": "page 2"}), &["cursor"]);
}
