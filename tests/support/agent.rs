//! A stand-in for an agent: it knows its prompt and what the tools tell, nothing else.
//!
//! A test file lets the profile's command be itself: `command_of("stand_in")` runs its ignored test
//! `stand_in`, which calls [`work`].

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::server::Server;

/// The command that runs an ignored test of the calling test file, as TOML.
pub(crate) fn command_of(test: &str) -> String {
    let program = std::env::current_exe().expect("a test knows its own file");
    json!([program, "--ignored", "--exact", test, "--nocapture"]).to_string()
}

/// What the agent was given: the prompt on its standard input and the server of its configuration.
pub(crate) struct Given {
    pub(crate) prompt: String,
    pub(crate) server: Server,
}

/// Reads the prompt, and starts the one server that `TASKTALLY_MCP_CONFIG` names.
pub(crate) fn given() -> Given {
    let mut prompt = String::new();
    std::io::stdin().read_to_string(&mut prompt).expect("the prompt comes on standard input");
    let path = std::env::var("TASKTALLY_MCP_CONFIG").expect("TASKTALLY_MCP_CONFIG is set");
    let config: Value = serde_json::from_slice(&std::fs::read(path).expect("the configuration is there"))
        .expect("the configuration is JSON");
    let server = &config["mcpServers"]["task_manager"];
    let args: Vec<String> = serde_json::from_value(server["args"].clone()).expect("args are texts");
    let env: BTreeMap<String, String> = serde_json::from_value(server["env"].clone()).expect("env is texts");
    let mut command = Command::new(server["command"].as_str().expect("a command"));
    command.args(args).envs(env).stderr(Stdio::inherit());
    let mut server = Server::spawn(command);
    server.listen();
    server.initialize("2025-11-25");
    Given { prompt, server }
}

/// The word behind `NAME="` in a prompt.
pub(crate) fn named(prompt: &str, name: &str) -> String {
    let from = prompt.split(&format!("{name}=\"")).nth(1).expect("the prompt names it");
    from.split('"').next().expect("a closing quote").to_owned()
}

/// Works a chunk as the prompt says, at most `most` items of it; the tools that were offered.
pub(crate) fn work(given: &mut Given, most: usize) -> Vec<String> {
    let tools = given.server.request("tools/list", json!({}));
    let names = tools["result"]["tools"].as_array().expect("tools").iter();
    let names: Vec<String> = names.map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect();
    let batch = named(&given.prompt, "batch");
    let claim = given.server.call("claim_task", json!({"batch": batch, "worker": "stand-in"})).ok();
    let (id, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    let mut items = claim["items"].as_array().cloned().unwrap_or_default();
    let mut next = claim["next_items_after"].clone();
    while !next.is_null() {
        let page = given.server.call("get_task", json!({"id": id, "items_after": next})).ok();
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        next = page["next_items_after"].clone();
    }
    for item in items.iter().take(most) {
        let receipt = json!({"id": id, "claim": token, "item": item["key"], "outcome": "done",
            "category": "read", "body": format!("- Read: {}", item["key"])});
        given.server.call("update_task", receipt).ok();
    }
    let completed = given.server.call("complete_task", json!({"id": id, "claim": token}));
    println!("complete_task: {}", completed.message());
    names
}
