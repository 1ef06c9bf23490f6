//! Values in other types than a schema asks for, as real clients, people and worker commands write them.

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

/// A server whose store has the tasks A and B.
fn server() -> (Store, Server, [String; 2]) {
    let store = Store::new();
    let mut server = store.serve();
    let ids = ["A", "B"].map(|title| server.create_task(title));
    (store, server, ids)
}

#[test]
fn a_tool_takes_numbers_booleans_and_lists_as_text() {
    let (_store, mut server, [a, b]) = server();
    for limit in [json!("1"), json!(1.0), json!("1.0"), json!(" 1 ")] {
        let listed = server.call("list_tasks", json!({"limit": limit, "ready": "true"})).ok();
        assert_eq!(listed["tasks"].as_array().unwrap().len(), 1, "{limit}");
    }
    let task = json!({"title": "C", "depends_on": format!("[\"{a}\", \"{b}\"]"), "tags": "[\"x\", \"y, z\"]",
        "priority": "1", "order": 2.0});
    let id = server.call("create_task", task).ok().text("/task/id");
    let task = server.read_task(&id);
    assert_eq!(task["task"]["depends_on"], json!([a, b]));
    assert_eq!(task["task"]["tags"], json!(["x", "y, z"]));
    assert_eq!((&task["task"]["priority"], &task["task"]["order"]), (&json!(1), &json!(2)));
    let batch = json!({"title": "T", "instructions": "I", "items": "[\"a\", {\"key\": \"b\"}]", "dry_run": "True",
        "max_chunk": "1", "steps": "[{\"name\": \"s\", \"instructions\": \"i\"}]", "max_failures": 3,
        "split": "{\"by\": \"size\"}", "finish": "{\"title\": \"End\"}", "resources": "[\"key\"]"});
    let plan = server.call("create_batch", batch).ok();
    assert_eq!((plan.count("/batch/items"), plan.count("/batch/chunks")), (2, 2));
    let of_tasks = json!({"title": "T", "instructions": "I", "dry_run": true,
        "query": {"ready": "true", "priority_max": "2", "tags": "[]", "project": null}});
    assert_eq!(server.call("create_batch", of_tasks).ok().count("/batch/items"), 2);
}

#[test]
fn null_and_empty_values_count_as_absent() {
    let (_store, mut server, [a, _]) = server();
    let task = json!({"title": "C", "type": "", "status": "", "priority": "", "parent": "", "depends_on": [],
        "tags": "", "due": "", "assignee": null, "complexity": "", "request_key": "", "wait_for_previous": true});
    let id = server.call("create_task", task).ok().text("/task/id");
    assert_eq!(server.read_task(&id)["task"]["status"], "active");
    let batch = json!({"title": "T", "instructions": "I", "items": ["a"], "source": {}, "key": "",
        "worker": "", "steps": [], "max_failures": "", "finish": {}, "split": "", "max_chunk": null});
    assert_eq!(server.call("create_batch", batch).ok().count("/batch/items"), 1);
    let batch =
        json!({"title": "T", "instructions": "I", "items": [], "source": "", "query": {}, "dry_run": true});
    assert_eq!(server.call("create_batch", batch).ok().count("/batch/items"), 3);
    assert!(server.call("list_tasks", json!({"status": "", "cursor": "", "limit": ""})).ok().succeeded());
    assert!(server.call("get_batch", json!({"id": "", "wait_for_previous": false})).ok().succeeded());
    // An update clears what can be cleared, and leaves alone what cannot.
    let filled = json!({"id": id, "due": "2025-11-03", "tags": ["x"], "depends_on": [a], "parent": a,
        "complexity": "mechanical", "effort": "1 h"});
    server.call("update_task", filled).ok();
    let cleared = json!({"id": id, "due": "", "tags": "", "depends_on": "", "parent": "", "complexity": "",
        "effort": "", "status": "", "priority": "", "item": "", "outcome": "", "claim": "", "body": ""});
    let cleared = server.call("update_task", cleared).ok();
    let modified = cleared["modified_fields"].as_array().unwrap();
    assert_eq!(modified.len(), 6, "{}", cleared.value);
    let task = server.read_task(&id).value["task"].clone();
    assert_eq!((&task["tags"], &task["depends_on"]), (&json!([]), &json!([])), "{task}");
    for field in ["due", "parent", "complexity", "effort"] {
        assert!(task[field].is_null(), "{field}: {task}");
    }
    assert_eq!(task["status"], "active");
}

/// Some clients fill every parameter: with an empty value, 0 or false, or with the schema's default.
#[test]
fn a_call_with_every_parameter_empty_is_accepted() {
    let (_store, mut server, [a, b]) = server();
    let tools = server.request("tools/list", json!({}))["result"]["tools"].as_array().unwrap().clone();
    let batch = json!({"title": "B", "instructions": "I", "items": ["a", "b"]});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    for with_defaults in [false, true] {
        for tool in &tools {
            let name = tool["name"].as_str().unwrap();
            let chosen = match name {
                "create_task" => json!({"task_title": "x"}),
                "get_task" | "update_task" => json!({"id": a}),
                "complete_task" => json!({"id": server.create_task("y")}),
                "complete_tasks" => json!({"ids": [server.create_task("z")]}),
                "release_task" => {
                    let claim = server.call("claim_task", json!({"id": b, "worker": "w"})).ok();
                    json!({"id": b, "claim": claim.text("/claim/token")})
                }
                "search_tasks" => json!({"query": "x"}),
                "create_batch" => json!({"title": "x", "instructions": "y", "items": [{"key": "k"}]}),
                "add_items" => json!({"id": batch, "items": [{"key": format!("more-{with_defaults}")}]}),
                "wait_batch" => json!({"id": batch}),
                "control_batch" => {
                    json!({"id": batch, "action": if with_defaults { "resume" } else { "pause" }})
                }
                // There is nothing to review: see below.
                "review_batch" => continue,
                _ => json!({}),
            };
            let mut arguments = serde_json::Map::new();
            for (parameter, schema) in tool["inputSchema"]["properties"].as_object().unwrap() {
                let empty = match schema["type"].as_str().unwrap() {
                    "string" => json!(""),
                    "array" => json!([]),
                    "object" => json!({}),
                    "boolean" => json!(false),
                    _ => json!(0),
                };
                let value = schema.get("default").filter(|_| with_defaults).cloned().unwrap_or(empty);
                arguments.insert(parameter.clone(), value);
            }
            arguments.extend(chosen.as_object().unwrap().clone());
            let reply = server.call(name, arguments.clone().into());
            assert!(reply.succeeded(), "{name} {arguments:?}: {}", reply.value);
        }
    }
    let empty = json!({"id": batch, "chunk": "", "decision": "approve", "categories": [], "note": "", "reviewer": ""});
    assert_eq!(server.call("review_batch", empty)["code"], "not_ready");
}

/// Such a client can claim the task or a chunk of the batch that it names.
#[test]
fn a_claim_by_id_or_batch_with_every_other_parameter_empty_finds_its_task() {
    let (_store, mut server, [a, b]) = server();
    let empty = |mut request: Value| {
        let rest = json!({"project": "", "type": "", "priority_max": 0, "tags": [], "lease_seconds": 0, "request_key": ""});
        for (name, value) in rest.as_object().unwrap() {
            request[name] = value.clone();
        }
        request
    };
    let claimed = server.call("claim_task", empty(json!({"id": a, "batch": "", "worker": ""}))).ok();
    assert_eq!(claimed["task"]["id"], a);
    let batch = json!({"title": "B", "instructions": "I", "items": ["x"]});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    let claimed = server.call("claim_task", empty(json!({"id": "", "batch": batch, "worker": ""}))).ok();
    assert_eq!(claimed["task"]["parent"], batch);
    // Any other limit is a filter, and so is 0 where the caller named nothing.
    let refused = server.call("claim_task", json!({"id": b, "priority_max": 1}));
    assert!(refused.message().starts_with("priority_max: "), "{}", refused.message());
    assert_eq!(server.call("claim_task", json!({"priority_max": 0}))["code"], "nothing_to_claim");
}

/// The fields of an object, too.
#[test]
fn an_object_with_every_field_empty_is_absent_and_a_single_empty_field_as_well() {
    let (_store, mut server, [a, _]) = server();
    server.call("update_task", json!({"id": a, "project": "home", "priority": 0})).ok();
    let items = |server: &mut Server, request: Value| {
        let mut batch = json!({"title": "T", "instructions": "I", "dry_run": true});
        batch.as_object_mut().unwrap().extend(request.as_object().unwrap().clone());
        server.call("create_batch", batch).ok().count("/batch/items")
    };
    let query = json!({"project": "", "status": "", "type": "", "priority_max": 0, "assignee": "", "parent": "",
        "ready": false});
    let empty = json!({"items": [{"key": "k"}], "source": {"path": "", "glob": "", "delimiter": ""}, "query": query,
        "split": {"by": "", "field": "", "period": "", "undated": false}, "finish": {"title": "", "body": ""}});
    assert_eq!(items(&mut server, empty.clone()), 1);
    // As text, and with null.
    let as_text = ["source", "query", "split", "finish"].map(|name| (name, json!(empty[name].to_string())));
    let mut texts = empty.clone();
    texts.as_object_mut().unwrap().extend(as_text.map(|(name, text)| (name.to_owned(), text)));
    assert_eq!(items(&mut server, texts), 1);
    let split = json!({"by": "size", "field": "", "period": null, "undated": false});
    assert_eq!(items(&mut server, json!({"items": [{"key": "k"}], "split": split})), 1);
    let of_home =
        json!({"project": "home", "status": "", "type": "", "assignee": "", "parent": "", "ready": false});
    assert_eq!(items(&mut server, json!({"items": [], "query": of_home})), 1);
    // Where nothing else gives the items, 0 is a filter.
    let only = json!({"status": "", "priority_max": 0, "ready": false});
    for query in
        [json!({"priority_max": 0}), only, json!({"status": "active", "type": "", "priority_max": 0})]
    {
        assert_eq!(items(&mut server, json!({"query": query})), 1, "{query}");
    }
    // An item's own fields are kept as they are.
    let kept = json!({"title": "T", "instructions": "I", "items": [{"key": "k", "note": "", "list": []}]});
    let batch = server.call("create_batch", kept).ok().text("/batch/id");
    let claimed = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    assert_eq!(claimed["items"][0]["fields"], json!({"key": "k", "note": "", "list": []}));
}

#[test]
fn what_cannot_be_converted_without_loss_is_refused_with_field_and_value() {
    let (_store, mut server, _) = server();
    for (tool, arguments, words) in [
        ("list_tasks", json!({"limit": "2.5"}), ["limit", "2.5"]),
        ("list_tasks", json!({"limit": 1e300}), ["limit", "whole number"]),
        ("list_tasks", json!({"limit": "two"}), ["limit", "two"]),
        ("list_tasks", json!({"limit": "0x10"}), ["limit", "0x10"]),
        ("list_tasks", json!({"ready": "yes"}), ["ready", "yes"]),
        ("list_tasks", json!({"ready": 1}), ["ready", "1"]),
        ("create_task", json!({"title": "T", "tags": "[\"x\""}), ["tags", "'[\"x\"'"]),
        ("create_task", json!({"title": "T", "tags": "x,y"}), ["tags", "x,y"]),
        ("create_task", json!({"title": "T", "tags": "{\"x\": 1}"}), ["tags", "x"]),
        ("create_task", json!({"title": 5}), ["title", "5"]),
        ("create_batch", json!({"title": "T", "instructions": "I", "query": "[1]"}), ["query", "[1]"]),
    ] {
        let refused = server.call(tool, arguments.clone());
        assert_eq!(refused.refusal(), "invalid_argument", "{arguments}: {}", refused.value);
        for word in words {
            assert!(refused.message().contains(word), "{arguments}: no {word:?} in {}", refused.message());
        }
    }
}

#[test]
fn the_command_line_takes_a_json_array_where_it_takes_words() {
    let store = Store::new();
    let create = |tags: &[&str]| {
        let ran =
            store.tasktally([&["create-task", "T", "--json", "--priority", "1.0"], tags].concat()).success();
        ran.json()["task"]["id"].as_str().unwrap().to_owned()
    };
    let tags = |id: &str| -> Value {
        store.tasktally(["get-task", id, "--json"]).success().json()["task"]["tags"].clone()
    };
    for (written, expected) in [
        (&["--tags", r#"["x","y"]"#][..], json!(["x", "y"])),
        (&[r#"--tags=["x, y", "z"]"#], json!(["x, y", "z"])),
        (&["--tags", "x,y", "--tags", "z"], json!(["x", "y", "z"])),
        (&["--tags", "[wip]"], json!(["[wip]"])),
    ] {
        assert_eq!(tags(&create(written)), expected, "{written:?}");
    }
    let (a, b) = (create(&[]), create(&[]));
    let c = create(&["--depends-on", &format!("[\"{a}\",\"{b}\"]")]);
    let task = store.tasktally(["get-task", &c, "--json"]).success().json();
    assert_eq!(task["task"]["depends_on"], json!([a, b]));
    let done = store.tasktally(["complete-tasks", &format!("[\"{a}\", \"{b}\"]"), "--json"]).success().json();
    assert_eq!(done["success_count"], 2, "{done}");
    // Text that is no list stays as it is.
    let body = r#"["a, b"]"#;
    let ran = store.tasktally(["create-task", "x, y", "--body", body, "--json"]).success();
    let id = ran.json()["task"]["id"].as_str().unwrap().to_owned();
    let task = store.tasktally(["get-task", &id, "--json"]).success().json();
    assert_eq!((&task["task"]["title"], &task["task"]["body"]), (&json!("x, y"), &json!(body)));
}

#[test]
fn a_worker_command_may_print_its_cost_in_any_type_and_nothing_is_dropped() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n");
    let run = |line: &str| {
        let script = format!("printf '%s\\n' '{line}'");
        store.tasktally(["run", "--items", "items.jsonl", "--quiet", "--", "sh", "-c", &script]).success();
        let sql = "SELECT id FROM task WHERE id LIKE '%.01' ORDER BY row_id DESC LIMIT 1";
        let id: String = store.sql().row(sql, &[]);
        store.tasktally(["get-task", &id, "--json"]).success().json()
    };
    let task =
        run(r#"{"receipt": "- a", "category": 5, "tokens_in": 10.0, "tokens_out": "20", "cost": "0.5"}"#);
    let batch = task["task"]["parent"].as_str().unwrap();
    let text = store.tasktally(["get-batch", batch, "--json"]).success().stdout;
    assert!(text.contains("\"tokens_in\":10") && text.contains("\"tokens_out\":20"), "{text}");
    let task = run(r#"{"receipt": "- a", "tokens_in": -3, "model": ["m"]}"#);
    assert!(task.to_string().contains("not recorded: model: "), "{task}");
    assert!(task.to_string().contains("tokens_in: -3 is out of range"), "{task}");
}
