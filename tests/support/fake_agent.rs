//! A program that stands for an agent: it reads its prompt and calls tools, and knows nothing else.
//!
//! A test file uses its own binary as the profile's command: [`test_command`] runs an ignored test of that file,
//! which calls [`work_chunk`].

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::server::Server;

/// The command that runs an ignored test of the calling test file, as a TOML list.
pub(crate) fn test_command(test: &str) -> String {
    let program = std::env::current_exe().expect("the path of the test binary");
    json!([program, "--ignored", "--exact", test, "--nocapture"]).to_string()
}

/// What a runner gives an agent: the prompt on its standard input and the server in its configuration file.
pub(crate) struct Assignment {
    pub(crate) prompt: String,
    pub(crate) server: Server,
}

/// Reads the prompt and starts the server that the file `TASKTALLY_MCP_CONFIG` names.
pub(crate) fn read_assignment() -> Assignment {
    let mut prompt = String::new();
    std::io::stdin().read_to_string(&mut prompt).expect("a prompt on standard input");
    let path = std::env::var("TASKTALLY_MCP_CONFIG").expect("TASKTALLY_MCP_CONFIG is set");
    let config: Value = serde_json::from_slice(&std::fs::read(path).expect("the configuration exists"))
        .expect("the configuration is JSON");
    let server = &config["mcpServers"]["task_manager"];
    let args: Vec<String> = serde_json::from_value(server["args"].clone()).expect("args are strings");
    let env: BTreeMap<String, String> =
        serde_json::from_value(server["env"].clone()).expect("env is strings");
    let mut command = Command::new(server["command"].as_str().expect("a command"));
    command.args(args).envs(env).stderr(Stdio::inherit());
    let mut server = Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    Assignment { prompt, server }
}

/// The value of `NAME="…"` in a prompt.
pub(crate) fn quoted_value(prompt: &str, name: &str) -> String {
    let rest = prompt.split(&format!("{name}=\"")).nth(1).expect("the prompt has the parameter");
    rest.split('"').next().expect("a closing quote").to_owned()
}

/// Works a chunk as the prompt says, at most `max_items` of its items. Returns the names of the offered tools.
pub(crate) fn work_chunk(assignment: &mut Assignment, max_items: usize) -> Vec<String> {
    let server = &mut assignment.server;
    let tools = server.request("tools/list", json!({}));
    let names = tools["result"]["tools"].as_array().expect("tools").iter();
    let names: Vec<String> = names.map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect();
    let batch = quoted_value(&assignment.prompt, "batch");
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "fake-agent"})).ok();
    let (id, token) = (claim.text("/task/id"), claim.text("/claim/token"));
    let mut items = claim["items"].as_array().cloned().unwrap_or_default();
    let mut next = claim["next_items_after"].clone();
    while !next.is_null() {
        let page = server.call("get_task", json!({"id": id, "items_after": next})).ok();
        items.extend(page["items"].as_array().cloned().unwrap_or_default());
        next = page["next_items_after"].clone();
    }
    for item in items.iter().take(max_items) {
        let receipt = json!({"id": id, "claim": token, "item": item["key"], "outcome": "done",
            "category": "read", "body": format!("- Read: {}", item["key"])});
        server.call("update_task", receipt).ok();
    }
    let completed = server.call("complete_task", json!({"id": id, "claim": token}));
    println!("complete_task: {}", completed.message());
    names
}
