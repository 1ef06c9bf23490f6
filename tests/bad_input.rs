//! Bad calls: each a clear error that names the field and what is allowed, and nothing changed.

mod support;

use serde_json::{Value, json};

use support::reply::Reply;
use support::server::Server;
use support::store::Store;

/// Two tasks, the second one waiting for the first, and a store that must stay as it is.
struct Scene {
    server: Server,
    first: String,
    second: String,
    _store: Store,
}

impl Scene {
    fn new() -> Self {
        let store = Store::new();
        let mut server = store.serve();
        let first = server.task("First");
        let waiting = json!({"title": "Second", "depends_on": [first], "parent": first});
        let second = server.call("create_task", waiting).ok().text("/task/id");
        Scene { server, first, second, _store: store }
    }

    /// All that the store says of itself, with the number of its last change.
    fn state(&mut self) -> (Reply, Reply, Reply) {
        let all = self.server.call("list_tasks", json!({"limit": 0})).ok();
        (all, self.server.look(&self.first), self.server.look(&self.second))
    }

    /// Calls a tool and holds the refusal to one of some codes and to what its message names.
    #[track_caller]
    fn check(&mut self, tool: &str, arguments: Value, codes: &[&str], names: &[&str]) {
        let told: String = format!("{tool} {arguments}").chars().take(200).collect();
        let before = self.state();
        let reply = self.server.call(tool, arguments);
        assert!(reply.is_error && !reply.won(), "{told}: taken: {}", reply.value);
        assert!(codes.contains(&reply.code()), "{told}: {}, not {codes:?}", reply.value);
        for name in names {
            assert!(reply.message().contains(name), "{told}: no {name:?} in {:?}", reply.message());
        }
        let raw = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!reply.message().chars().any(raw), "{told}: raw characters in {:?}", reply.message());
        assert!(reply.value.to_string().len() < 1000, "{told}: a long error");
        assert_eq!(self.state(), before, "{told}: something changed");
    }

    /// As `check`, for a bad value of one field.
    #[track_caller]
    fn invalid(&mut self, tool: &str, arguments: Value, names: &[&str]) {
        self.check(tool, arguments, &["invalid_argument"], names);
    }
}

#[test]
fn an_unknown_tool_is_a_protocol_error_that_names_it() {
    let mut scene = Scene::new();
    let before = scene.state();
    for name in ["creat_task", "", "../../bin/sh"] {
        let answer = scene.server.request("tools/call", json!({"name": name, "arguments": {}}));
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(name), "{answer}");
    }
    assert_eq!(scene.state(), before);
}

#[test]
fn a_call_without_a_proper_object_of_arguments_is_an_error() {
    let mut scene = Scene::new();
    let before = scene.state();
    for params in [
        json!({"name": "create_task", "arguments": [1, 2]}),
        json!({"name": "create_task", "arguments": "title"}),
        json!({"name": 7, "arguments": {}}),
        json!({"arguments": {}}),
        json!([]),
    ] {
        let answer = scene.server.request("tools/call", params.clone());
        let refused = answer["error"]["code"].is_i64() || answer["result"]["isError"] == true;
        assert!(refused, "{params}: {answer}");
        assert_ne!(answer["error"]["code"], -32601, "the method is known: {answer}");
    }
    scene.invalid("create_task", json!({}), &["task_title"]);
    assert_eq!(scene.state(), before);
}

#[test]
fn an_unknown_or_misspelt_argument_is_named_with_a_suggestion() {
    let mut scene = Scene::new();
    let id = scene.first.clone();
    scene.invalid("create_task", json!({"title": "T", "frobnicate": 1}), &["frobnicate"]);
    scene.invalid("create_task", json!({"title": "T", "prioritty": 1}), &["prioritty", "priority"]);
    scene.invalid("update_task", json!({"id": id, "statsu": "done"}), &["statsu", "status"]);
    scene.invalid("update_task", json!({"id": id, "assigne": "w"}), &["assigne", "assignee"]);
    scene.invalid("list_tasks", json!({"statu": "active"}), &["statu", "status"]);
    scene.invalid("claim_task", json!({"worker": "w", "lease": 5}), &["lease", "lease_seconds"]);
    scene.invalid("get_task", json!({"task_id": id}), &["task_id"]);
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_its_field() {
    let mut scene = Scene::new();
    let id = scene.first.clone();
    scene.invalid("create_task", json!({"task_title": 5}), &["task_title"]);
    scene.invalid("create_task", json!({"task_title": ["T"]}), &["task_title"]);
    scene.invalid("create_task", json!({"task_title": "T", "priority": "high"}), &["priority"]);
    scene.invalid("create_task", json!({"task_title": "T", "priority": 1.5}), &["priority"]);
    scene.invalid("create_task", json!({"task_title": "T", "tags": 7}), &["tags"]);
    scene.invalid("create_task", json!({"task_title": "T", "tags": [7]}), &["tags"]);
    scene.invalid("create_task", json!({"task_title": "T", "depends_on": {"a": 1}}), &["depends_on"]);
    scene.invalid("complete_task", json!({"id": id, "force": "certainly"}), &["force"]);
    scene.invalid("complete_task", json!({"id": {}}), &["id"]);
    scene.invalid("complete_tasks", json!({"ids": 3}), &["ids"]);
    scene.invalid("list_tasks", json!({"limit": "many"}), &["limit"]);
    scene.invalid("update_task", json!({"id": id, "body": 5}), &["body"]);
}

#[test]
fn what_stands_in_the_wrong_place_is_told_what_belongs_there() {
    let mut scene = Scene::new();
    let batch = json!({"title": "B", "instructions": "x", "items": ["a"]});
    let id = scene.server.call("create_batch", batch.clone()).ok().text("/batch/id");
    let chunk = format!("{id}.01");
    scene.invalid(
        "claim_task",
        json!({"worker": "w", "batch": chunk}),
        &["batch", &chunk, &format!("is {id},")],
    );
    let with = |field: &str, value: Value| {
        let mut batch = batch.clone();
        batch[field] = value;
        batch
    };
    scene.invalid(
        "create_batch",
        with("steps", json!(["classify"])),
        &["steps[0]", "{name, instructions, only_categories?}"],
    );
    scene.invalid("create_batch", with("finish", json!("Push")), &["finish", "{title, body?}"]);
}

#[test]
fn null_and_empty_are_refused_where_something_is_needed() {
    let mut scene = Scene::new();
    for title in [json!(null), json!(""), json!("   "), json!("\n")] {
        scene.invalid("create_task", json!({"task_title": title}), &["task_title"]);
    }
    scene.invalid("update_task", json!({"id": scene.first, "task_title": ""}), &["task_title"]);
    for tool in ["get_task", "update_task", "complete_task", "release_task"] {
        scene.invalid(tool, json!({"id": null}), &["id"]);
        scene.check(tool, json!({"id": ""}), &["invalid_argument", "not_found"], &["id"]);
        scene.invalid(tool, json!({}), &["id"]);
    }
    scene.invalid("complete_tasks", json!({"ids": []}), &["ids"]);
    scene.invalid("search_tasks", json!({"query": ""}), &["query"]);
    scene.invalid("update_task", json!({"id": scene.first, "status": ""}), &["status"]);
}

#[test]
fn control_and_bidirectional_characters_are_refused_in_every_text() {
    let mut scene = Scene::new();
    let id = scene.first.clone();
    for bad in ['\0', '\x01', '\x07', '\x08', '\x1b', '\x1f', '\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}']
    {
        let text = format!("a{bad}b");
        scene.invalid("create_task", json!({"task_title": text}), &["task_title"]);
        scene.invalid("create_task", json!({"task_title": "T", "body": text}), &["body"]);
        scene.invalid("update_task", json!({"id": id, "body": text}), &["body"]);
        scene.invalid(
            "update_task",
            json!({"id": id, "status": "in_progress", "assignee": text}),
            &["assignee"],
        );
    }
    let text = "a\u{202e}b\0";
    scene.invalid("create_task", json!({"task_title": "T", "tags": ["good", text]}), &["tags"]);
    scene.invalid("create_task", json!({"task_title": "T", "project": text}), &["project"]);
    scene.invalid("create_task", json!({"task_title": "T", "request_key": text}), &["request_key"]);
    scene.invalid("claim_task", json!({"worker": text}), &["worker"]);
    scene.invalid("complete_task", json!({"id": id, "summary": text}), &["summary"]);
    scene.invalid("update_task", json!({"id": id, "context": text}), &["context"]);
    let items = json!([{"key": text}]);
    scene.invalid("create_batch", json!({"title": "B", "instructions": "I", "items": items}), &["key"]);
    // Text in any language, tabs and lines are what text is made of.
    let good = "Übersicht\t日本語\r\nالعربية 🦀";
    scene.server.call("update_task", json!({"id": id, "body": good})).ok();
    assert_eq!(scene.server.look(&id).text("/task/body"), good);
}

#[test]
fn an_id_that_nobody_has_is_not_found_and_named() {
    let mut scene = Scene::new();
    for stranger in ["zzzzzzzzzzzz", "zzzzzzzzzzzz.01"] {
        for tool in ["get_task", "update_task", "complete_task", "release_task", "get_batch"] {
            let mut arguments = json!({"id": stranger});
            if tool == "release_task" {
                arguments["claim"] = json!("zzzzzzzzzzzz");
            }
            scene.check(tool, arguments, &["not_found"], &[stranger]);
        }
        scene.check("claim_task", json!({"worker": "w", "id": stranger}), &["not_found"], &[stranger]);
        scene.check(
            "control_batch",
            json!({"id": stranger, "action": "cancel"}),
            &["not_found"],
            &[stranger],
        );
        let codes = ["not_found", "invalid_argument"];
        scene.check("create_task", json!({"title": "T", "parent": stranger}), &codes, &["parent", stranger]);
        scene.check(
            "create_task",
            json!({"title": "T", "depends_on": [stranger]}),
            &codes,
            &["depends_on", stranger],
        );
        let first = scene.first.clone();
        scene.check("update_task", json!({"id": first, "parent": stranger}), &codes, &["parent", stranger]);
    }
    let odd = ["not an id", "' OR 1=1 --", "../../etc/passwd", "%", "-1"];
    for id in odd {
        scene.check("get_task", json!({"id": id}), &["not_found", "invalid_argument"], &[]);
    }
}

#[test]
fn own_and_circular_parents_and_dependencies_are_refused() {
    let mut scene = Scene::new();
    let (first, second) = (scene.first.clone(), scene.second.clone());
    let codes = ["invalid_argument", "conflict"];
    scene.check("update_task", json!({"id": first, "parent": first}), &codes, &["parent"]);
    scene.check("update_task", json!({"id": first, "depends_on": [first]}), &codes, &["depends_on"]);
    scene.check("update_task", json!({"id": first, "parent": second}), &codes, &["parent"]);
    scene.check("update_task", json!({"id": first, "depends_on": [second]}), &codes, &["depends_on"]);
}

#[test]
fn a_number_out_of_range_is_told_its_range() {
    let mut scene = Scene::new();
    let id = scene.first.clone();
    let huge = json!(9_223_372_036_854_775_808_u64);
    for bad in [json!(-1), huge.clone(), json!(1.0e300)] {
        scene.invalid("list_tasks", json!({"limit": bad}), &["limit"]);
        scene.invalid("search_tasks", json!({"query": "x", "limit": bad}), &["limit"]);
        scene.invalid("get_task", json!({"id": id, "receipts_after": bad}), &["receipts_after"]);
        scene.invalid("claim_task", json!({"worker": "w", "lease_seconds": bad}), &["lease_seconds"]);
        scene.invalid("reset_stalled_tasks", json!({"hours": bad}), &["hours"]);
    }
    for bad in [json!(-1), json!(5), huge] {
        scene.invalid("create_task", json!({"title": "T", "priority": bad}), &["priority", "0", "4"]);
        scene.invalid("update_task", json!({"id": id, "priority": bad}), &["priority", "0", "4"]);
    }
    scene.invalid("claim_task", json!({"worker": "w", "lease_seconds": 0}), &["lease_seconds", "1"]);
    scene.invalid("create_task", json!({"title": "T", "order": 1.0e300}), &["order"]);
}

#[test]
fn a_time_before_1970_or_far_ahead_or_of_no_form_is_refused() {
    let mut scene = Scene::new();
    for bad in
        ["1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "tomorrow", "2025-13-01", "10000-01-01T00:00:00Z"]
    {
        scene.invalid("create_task", json!({"title": "T", "due": bad}), &["due"]);
        scene.invalid("update_task", json!({"id": scene.first, "due": bad}), &["due"]);
    }
}

#[test]
fn a_word_outside_its_list_is_answered_with_the_list() {
    let mut scene = Scene::new();
    let id = scene.first.clone();
    scene.invalid(
        "update_task",
        json!({"id": id, "status": "finished"}),
        &["status", "finished", "in_progress"],
    );
    scene.invalid("list_tasks", json!({"status": "finished"}), &["status", "finished", "in_progress"]);
    scene.invalid("create_task", json!({"title": "T", "type": "chore"}), &["type", "chore", "feature"]);
    scene.invalid(
        "create_task",
        json!({"title": "T", "complexity": "hard"}),
        &["complexity", "hard", "multi-step"],
    );
    scene.invalid("control_batch", json!({"id": id, "action": "explode"}), &["action", "explode", "cancel"]);
    scene.invalid(
        "update_task",
        json!({"id": id, "item": "a", "outcome": "great"}),
        &["outcome", "great", "skipped"],
    );
    scene.invalid("list_tasks", json!({"since": "last week"}), &["since"]);
    scene.invalid("list_tasks", json!({"cursor": "page 2"}), &["cursor"]);
}
