//! A tool and its command have the same parameters and defaults, and return the same replies.

use std::collections::BTreeSet;
use std::process::Command;

use clap::Command as Clap;
use serde_json::{Value, json};
use tasktally::ops;

/// The clap command of an operation.
fn command_of(entry: &ops::Entry) -> Clap {
    (entry.command)(Clap::new(entry.name))
}

#[test]
fn every_operation_has_the_same_parameters_and_defaults_as_tool_and_command() {
    for entry in ops::ALL {
        let (schema, parsed) = ((entry.input)(), (entry.types)());
        let properties = schema["properties"].as_object().expect("an object of properties");
        let command = command_of(entry);
        let arguments: Vec<_> = command.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
        let named: BTreeSet<String> =
            arguments.iter().filter_map(|arg| arg.get_long()).map(|long| long.replace('-', "_")).collect();
        let tool: BTreeSet<String> = properties.keys().cloned().collect();
        assert_eq!(tool, named, "{}", entry.name);
        let required: BTreeSet<&str> = schema["required"]
            .as_array()
            .map_or_else(BTreeSet::new, |names| names.iter().filter_map(Value::as_str).collect());
        for arg in arguments {
            let name = arg.get_long().expect("a long name").replace('-', "_");
            let property = &properties[&name];
            let at_command: Vec<String> =
                arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
            let at_tool = match &parsed["properties"][&name]["default"] {
                Value::Null => vec![],
                Value::Array(values) if values.is_empty() => vec![],
                Value::String(text) => vec![text.clone()],
                Value::Object(split) => vec![split["by"].as_str().unwrap_or_default().to_owned()],
                // The command line shows a whole number without its fraction.
                Value::Number(number) => vec![number.as_f64().unwrap_or_default().to_string()],
                other => vec![other.to_string()],
            };
            let not_empty = |defaults: &[String]| {
                defaults.iter().filter(|default| !default.is_empty()).cloned().collect::<Vec<_>>()
            };
            assert_eq!(not_empty(&at_tool), not_empty(&at_command), "{}: default of {name}", entry.name);
            // The schema says it in the description, which every client passes on.
            let described = property["description"].as_str().unwrap_or_default().to_lowercase();
            for default in
                not_empty(&at_tool).iter().filter(|default| !["false", "0"].contains(&default.as_str()))
            {
                assert!(
                    described.contains(&format!("default {default}")),
                    "{}: {name} does not say 'default {default}': {described}",
                    entry.name
                );
            }
            assert_eq!(
                required.contains(name.as_str()),
                arg.is_required_set(),
                "{}: {name} is required",
                entry.name
            );
        }
        for positional in std::iter::once(entry.positional).chain(entry.second_positional) {
            assert!(named.contains(&positional.replace('-', "_")), "{}: no {positional}", entry.name);
        }
    }
}

/// Replaces what differs between two calls: ids, times, tokens and change numbers.
fn mask_varying(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map.iter_mut() {
                let varies = [
                    "id",
                    "created",
                    "updated",
                    "since",
                    "token",
                    "expires_at",
                    "parent",
                    "next_cursor",
                    "per_minute",
                ];
                if varies.contains(&name.as_str()) && !inner.is_null() {
                    *inner = json!("…");
                } else {
                    mask_varying(inner);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask_varying),
        _ => {}
    }
}

#[test]
fn the_same_request_gets_the_same_reply() {
    let folder = tempfile::tempdir().expect("a folder");
    let (by_tool, by_command) = (folder.path().join("tool.db"), folder.path().join("command.db"));
    let store = tasktally::store::sqlite::SqliteStore::open(&by_tool, tasktally::clock::Clock::system())
        .expect("a store");
    let session = ops::Session::new(
        std::sync::Arc::new(store),
        ops::LocalFolders::in_one(folder.path().to_owned()),
        tasktally::items::SourceRoots::new(["/"]),
        "person",
    );
    let cases: &[(&str, Value, &[&str])] = &[
        (
            "create_task",
            json!({"task_title": "One", "priority": 1, "tags": ["a", "b"]}),
            &["--task-title", "One", "--priority", "1", "--tags", "a,b"],
        ),
        ("list_tasks", json!({"status": "active"}), &["--status", "active"]),
        ("list_tasks", json!({"limit": 0, "ready": true}), &["--limit", "0", "--ready"]),
        ("claim_task", json!({"worker": "w"}), &["--worker", "w"]),
        ("search_tasks", json!({"query": "One"}), &["--query", "One"]),
        ("reset_stalled_tasks", json!({}), &[]),
        (
            "create_batch",
            json!({"title": "B", "instructions": "do", "items": ["x", "y"], "dry_run": true}),
            &["--title", "B", "--instructions", "do", "--items", "[\"x\",\"y\"]", "--dry-run"],
        ),
        ("get_batch", json!({}), &[]),
    ];
    for (name, arguments, words) in cases {
        let entry = ops::find_operation(name).expect("an operation");
        let mut tool = (entry.call)(&session, arguments.clone()).expect("a reply");
        let output = Command::new(env!("CARGO_BIN_EXE_tasktally"))
            .arg(name.replace('_', "-"))
            .args(*words)
            .arg("--json")
            .env("TASKTALLY_DB", &by_command)
            .env("USER", "person")
            .output()
            .expect("tasktally runs");
        let mut command: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{name}: {error}: {output:?}"));
        for reply in [&mut tool, &mut command] {
            mask_varying(reply);
            for text in ["message", "instructions"] {
                // Messages contain ids.
                if reply[text].is_string() {
                    reply[text] = json!("…");
                }
            }
        }
        assert_eq!(tool, command, "{name}");
    }
}
