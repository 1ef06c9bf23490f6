//! The tools that a model is offered: a short list, each tool with everything that clients need.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

const WORKER_TOOLS: [&str; 6] =
    ["list_tasks", "get_task", "claim_task", "update_task", "complete_task", "release_task"];

fn tools(server: &mut Server) -> Vec<Value> {
    server.request("tools/list", json!({}))["result"]["tools"].as_array().expect("tools").clone()
}

fn size(value: &impl serde::Serialize) -> usize {
    serde_json::to_string(value).unwrap().len()
}

#[test]
fn the_list_of_tools_is_short_and_always_in_the_same_order() {
    let store = Store::new();
    let mut server = store.serve();
    let listed = tools(&mut server);
    for _ in 0..5 {
        assert_eq!(tools(&mut server), listed);
        assert_eq!(tools(&mut store.serve()), listed);
    }
    let read_by_a_model: Vec<Value> =
        listed.iter().map(|tool| json!([tool["name"], tool["description"], tool["inputSchema"]])).collect();
    println!("tools/list: {} bytes, {} of them for the model", size(&listed), size(&read_by_a_model));
    assert!(size(&read_by_a_model) < 14_000, "{} bytes", size(&read_by_a_model));
}

#[test]
fn a_background_worker_is_offered_six_tools_in_five_kilobytes() {
    let store = Store::new();
    let mut server = store.serve_with(&["--toolset", "worker"]);
    let listed = tools(&mut server);
    let names: BTreeSet<&str> = listed.iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from(WORKER_TOOLS));
    let read_by_a_model: Vec<Value> =
        listed.iter().map(|tool| json!([tool["name"], tool["description"], tool["inputSchema"]])).collect();
    println!("worker toolset: {} bytes, {} of them for the model", size(&listed), size(&read_by_a_model));
    assert!(size(&read_by_a_model) < 5_000, "{} bytes", size(&read_by_a_model));
    let (id, line) =
        server.encode_request("tools/call", json!({"name": "create_task", "arguments": {"title": "No"}}));
    server.write_line(&line);
    let answer = server.answer(id).unwrap();
    assert_eq!(answer["error"]["code"], -32602, "a tool that isn't offered can't be called: {answer}");
}

/// Older clients report an error after a call that succeeded, if there is an output schema and no structured content.
#[test]
fn versions_without_structured_content_get_no_output_schema() {
    let store = Store::new();
    for (version, has_schemas) in
        [("2024-11-05", false), ("2025-03-26", false), ("2025-06-18", true), ("2025-11-25", true)]
    {
        let mut server = store.server(&[]);
        server.start_reading();
        server.initialize(version);
        for tool in tools(&mut server) {
            assert_eq!(tool.get("outputSchema").is_some(), has_schemas, "{version}: {}", tool["name"]);
        }
    }
}

/// A validator in strict mode refuses a schema that requires what it does not describe.
#[test]
fn output_schemas_describe_what_they_require() {
    fn check(path: &str, schema: &Value) {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(
                schema["properties"].get(name.as_str().unwrap()).is_some(),
                "{path}: {name} is not described"
            );
        }
        for (name, inner) in schema.as_object().into_iter().flatten() {
            check(&format!("{path}.{name}"), inner);
        }
        schema.as_array().into_iter().flatten().for_each(|inner| check(path, inner));
    }
    let store = Store::new();
    for toolset in ["all", "worker"] {
        for tool in tools(&mut store.serve_with(&["--toolset", toolset])) {
            let schema = &tool["outputSchema"];
            assert_eq!(schema["required"], json!(["success", "message"]), "{}", tool["name"]);
            check(tool["name"].as_str().unwrap(), schema);
        }
    }
}

/// What clients convert in a wrong way: a choice of types, an object whose fields are not listed, a closed root object.
#[test]
fn schemas_have_only_the_shapes_that_every_client_converts() {
    fn check(path: &str, schema: &Value) {
        for odd in ["anyOf", "oneOf", "allOf", "$ref", "nullable"] {
            assert!(schema.get(odd).is_none(), "{path} has {odd}");
        }
        assert!(schema["type"].is_string(), "{path}: {}", schema["type"]);
        if schema["type"] == "array" {
            check(&format!("{path}[]"), &schema["items"]);
        }
        let fields = schema["properties"].as_object();
        let is_list_of_items = path.ends_with("items[]");
        assert!(
            schema["type"] != "object" || is_list_of_items || fields.is_some_and(|fields| !fields.is_empty()),
            "{path} lists no fields"
        );
        if schema["type"] == "object" {
            assert!(
                schema.get("default").is_none(),
                "{path}: AutoGen loses the description of an object with a default"
            );
        }
        let is_nested = path.contains('.');
        for (name, field) in fields.into_iter().flatten().filter(|_| is_nested) {
            let number_or_word = field["type"] == "integer" || field["enum"].is_array();
            let is_required = schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
            assert!(
                !number_or_word || is_required || field.get("default").is_some(),
                "{path}.{name}: LangChain requires it from Gemini, and it has no empty value"
            );
        }
        if is_list_of_items && schema["type"] == "object" {
            assert_eq!(
                schema["additionalProperties"],
                json!({}),
                "{path}: openai-agents closes an object without it"
            );
        }
        for (name, field) in fields.into_iter().flatten() {
            check(&format!("{path}.{name}"), field);
        }
    }
    let store = Store::new();
    for tool in tools(&mut store.serve()) {
        assert!(tool["inputSchema"].get("additionalProperties").is_none(), "{}", tool["name"]);
        check(tool["name"].as_str().unwrap(), &tool["inputSchema"]);
    }
}

/// Words that a refusal lists as allowed are a fixed set. They have to be in the schema, for clients and models.
#[test]
fn every_parameter_has_a_description_and_fixed_words_are_an_enum() {
    let store = Store::new();
    let mut found_words = 0;
    for toolset in ["all", "worker"] {
        let mut server = store.serve_with(&["--toolset", toolset]);
        let id = store.serve().create_task("T");
        for tool in tools(&mut server) {
            let name = tool["name"].as_str().unwrap();
            let text = tool["description"].as_str().unwrap();
            assert!(text.len() < 2_000 && text.ends_with('.'), "{name}: {text}");
            for (parameter, schema) in tool["inputSchema"]["properties"].as_object().unwrap() {
                let text = schema["description"].as_str().unwrap_or_default();
                assert!(text.len() > 2, "{toolset} {name}.{parameter} has no description");
                if schema["type"] != "string" {
                    continue;
                }
                // A word that nothing allows shows whether the set is fixed.
                let mut call =
                    json!({"id": id, "task_title": "T", "title": "T", "instructions": "x", "items": ["a"]});
                let known = &tool["inputSchema"]["properties"];
                call.as_object_mut().unwrap().retain(|given, _| known.get(given).is_some());
                call[parameter] = json!("nosuchword");
                let refused = server.call(name, call);
                let has_words = refused.message().contains("is not a valid");
                found_words += u32::from(has_words);
                assert!(
                    schema["enum"].is_array() || !has_words,
                    "{toolset} {name}.{parameter} has no enum: {}",
                    refused.message()
                );
            }
        }
    }
    assert!(found_words > 15, "only {found_words} parameters refused a wrong word");
}

/// Clients that convert schemas drop bounds and defaults, so that a model reads them in the descriptions only.
#[test]
fn bounds_and_defaults_are_in_the_descriptions() {
    fn described(listed: &[Value], tool: &str, parameter: &str) -> String {
        let tool = listed.iter().find(|found| found["name"] == tool).unwrap();
        tool["inputSchema"]["properties"][parameter]["description"].as_str().unwrap().to_owned()
    }
    let store = Store::new();
    let listed = tools(&mut store.serve());
    for (tool, parameter, words) in [
        ("create_task", "type", &["default task"][..]),
        ("create_task", "status", &["default active"]),
        ("create_task", "priority", &["0 ", "to 4", "default 2"]),
        ("list_tasks", "limit", &["to 1000", "default 5"]),
        ("get_task", "limit", &["to 1000", "default 200"]),
        ("search_tasks", "limit", &["to 1000", "default 10"]),
        ("claim_task", "lease_seconds", &["1 to 86400", "default 1800"]),
        ("release_task", "outcome", &["default retry"]),
        ("reset_stalled_tasks", "hours", &["default 4"]),
        ("create_batch", "key", &["default key"]),
        ("create_batch", "on_bad_item", &["default reject"]),
        ("create_batch", "max_chunk", &["1 to 10000", "default 50"]),
        ("create_batch", "on_conflict", &["default reject"]),
        ("create_batch", "max_parallel", &["1 to 64", "default 8"]),
        ("create_batch", "max_attempts", &["1 to 100", "default 3"]),
        ("create_batch", "checkpoint", &["default none"]),
        ("create_batch", "in_doubt", &["default retry"]),
        ("create_batch", "resources", &["default files"]),
        ("control_batch", "max_parallel", &["1 to 64"]),
    ] {
        let text = described(&listed, tool, parameter).to_lowercase();
        for word in words {
            assert!(text.contains(word), "{tool}.{parameter}: {text:?} has no {word:?}");
        }
    }
    // A field of a nested object whose name is also a keyword of schemas.
    let batch = listed.iter().find(|found| found["name"] == "create_batch").unwrap();
    let format = &batch["inputSchema"]["properties"]["source"]["properties"]["format"];
    assert_eq!(format["type"], "string");
}

#[test]
fn every_tool_has_a_title_an_output_schema_and_annotations() {
    let store = Store::new();
    for tool in tools(&mut store.serve()) {
        let name = tool["name"].as_str().expect("a name");
        assert!(tool["title"].as_str().is_some_and(|title| !title.is_empty()), "{name}: title");
        assert!(tool["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}: description");
        assert_eq!(tool["inputSchema"]["type"], "object", "{name}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{name}");
        let hints = &tool["annotations"];
        let read_only = hints["readOnlyHint"].as_bool();
        assert_eq!(
            read_only,
            Some(matches!(name, "get_task" | "list_tasks" | "search_tasks" | "get_batch" | "wait_batch")),
            "{name}"
        );
        if read_only == Some(false) {
            assert!(hints["destructiveHint"].is_boolean(), "{name}: {hints}");
            assert!(hints["idempotentHint"].is_boolean(), "{name}: {hints}");
        }
    }
}
