//! Messages name commands and options for a person at a terminal, and tools and parameters for an MCP caller.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod commands;

use serde_json::{Value, json};
use tasktally::ops;

use calls::{Call, Scene, calls};
use support::store::Store;

/// Names in a text that only an MCP caller can use: tools, parameters with a value, and the server's key.
fn mcp_names(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '=');
    let is_for_mcp = |word: &&str| {
        let (name, has_value) = word.split_once('=').map_or((*word, false), |(name, _)| (name, true));
        name == "task_manager"
            || ops::find_operation(name).is_some()
            || has_value && name.contains('_') && !name.contains(char::is_uppercase)
    };
    words.filter(is_for_mcp).map(str::to_owned).collect()
}

/// Names in a text that only a person at a terminal can use: commands of the program, and options.
fn terminal_names(text: &str) -> Vec<String> {
    let root = tasktally::cli::command();
    let commands = root.get_subcommands().filter_map(|command| {
        let name = format!("tasktally {}", command.get_name());
        text.contains(&name).then_some(name)
    });
    let options = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let options = options.filter(|word| word.strip_prefix("--").is_some_and(|name| !name.is_empty()));
    commands.chain(options.map(str::to_owned)).collect()
}

/// The output of a command, without the prompt for workers, which is for agents that call the MCP tools.
fn for_people(output: &str) -> String {
    let paragraphs = output.split("\n\n").filter(|text| !text.starts_with("prompt for MCP workers"));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[test]
fn a_person_at_a_terminal_reads_no_tool_names() {
    let scene = Scene::new();
    let operations = calls(&scene).into_iter().map(|call| call.as_command());
    let all: Vec<Vec<String>> = operations.chain(commands::refused(&scene)).collect();
    assert!(all.len() >= 40, "{} commands", all.len());
    let mut wrong = Vec::new();
    for args in all {
        let ran = scene.store.tasktally(&args).finish();
        let names = mcp_names(&for_people(&ran.output()));
        if !names.is_empty() {
            wrong.push(format!("{names:?} after {args:?}:\n{}", ran.output()));
        }
    }
    assert!(wrong.is_empty(), "{} outputs name tools:\n\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_mcp_caller_reads_no_commands_or_options() {
    let mut scene = Scene::new();
    let all = calls(&scene);
    assert!(all.len() >= 40, "{} calls", all.len());
    let mut wrong = Vec::new();
    for Call { tool, arguments } in all {
        let reply = scene.server.call(tool, arguments.clone()).value;
        let names = terminal_names(&reply.to_string());
        if !names.is_empty() {
            wrong.push(format!("{names:?} after {tool} {arguments}:\n{reply}"));
        }
    }
    assert!(wrong.is_empty(), "{} replies name commands:\n\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_message_names_the_store_in_its_commands() {
    let store = Store::new();
    store.create();
    let said = store.tasktally(["get-task", "nothing"]).code(1).stderr;
    let command = format!("tasktally --db {} list-tasks", store.url());
    assert!(said.contains(&command), "{said}");
    let json: Value = store.tasktally(["get-task", "nothing", "--json"]).code(1).json();
    assert!(json["message"].as_str().expect("a message").contains("list_tasks()"), "{json}");
    assert_eq!(json["success"], json!(false));
}

#[test]
fn data_in_quotes_is_not_rewritten() {
    let store = Store::new();
    let said = store.tasktally(["get-task", "list_tasks()"]).finish().stderr;
    assert!(said.contains("'list_tasks()'"), "{said}");
}

#[test]
fn every_option_of_every_command_has_a_help_text() {
    let (mut missing, mut wrong) = (Vec::new(), Vec::new());
    let mut open = vec![("tasktally".to_owned(), tasktally::cli::command())];
    while let Some((path, mut command)) = open.pop() {
        command.build();
        let help = command.clone().render_long_help().to_string();
        wrong.extend(mcp_names(&help).into_iter().map(|name| format!("{path}: {name}")));
        if command.get_about().is_none_or(|about| about.to_string().is_empty()) {
            missing.push(path.clone());
        }
        for arg in command.get_arguments() {
            let help = arg.get_help().or(arg.get_long_help()).map(ToString::to_string).unwrap_or_default();
            if help.trim().is_empty() {
                missing.push(format!("{path} {}", arg.get_id()));
            }
        }
        let inner = command.get_subcommands().filter(|inner| inner.get_name() != "help");
        open.extend(inner.map(|inner| (format!("{path} {}", inner.get_name()), inner.clone())));
    }
    assert!(missing.is_empty(), "{} have no help text:\n{}", missing.len(), missing.join("\n"));
    assert!(wrong.is_empty(), "{} help texts name tools:\n{}", wrong.len(), wrong.join("\n"));
}
