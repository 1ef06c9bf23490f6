//! Snapshots of tool schemas, prompts and help texts, so that no text that users see changes unnoticed.

use std::process::Command;

use serde_json::json;
use tasktally::mcp::{Toolset, definitions};
use tasktally::ops::ServerScope;

#[test]
fn tool_schemas() {
    for tool in definitions(Toolset::All, &ServerScope::default()) {
        insta::assert_json_snapshot!(format!("tool_{}", tool.name), tool);
    }
}

#[test]
fn worker_schemas() {
    insta::assert_json_snapshot!("worker_tools", definitions(Toolset::Worker, &ServerScope::default()));
}

#[test]
fn help_texts() {
    for command in [
        "run",
        "demo",
        "init",
        "work",
        "prompt",
        "report",
        "watch",
        "logs",
        "backup",
        "export",
        "import",
        "db",
        "list-tasks",
        "update-task",
        "create-batch",
        "get-batch",
        "review-batch",
        "verify",
        "heads",
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_tasktally"))
            .args([command, "--help"])
            .env_remove("TASKTALLY_DB")
            .output()
            .expect("tasktally runs");
        insta::assert_snapshot!(format!("help_{command}"), String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_committed_manifest_is_up_to_date() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_tasktally")).arg("manifest").output().expect("tasktally runs");
    let committed = std::fs::read_to_string("mcp-manifest.json").expect("the manifest");
    assert_eq!(String::from_utf8_lossy(&output.stdout), committed, "tasktally manifest > mcp-manifest.json");
}

#[test]
fn prompts_are_short() {
    for (name, arguments) in [
        ("work_chunk", json!({"batch": "k3m9p0q1r2s3"})),
        ("supervise_batch", json!({"goal": "File each mail."})),
    ] {
        let prompt = tasktally::prompts::find_prompt(tasktally::prompts::ALL.iter(), name).expect("a prompt");
        let text = prompt
            .render(arguments.as_object().expect("an object"), &tasktally::prompts::Facts::NONE)
            .expect("its text");
        assert!(text.len() < 2_000, "{name}: {} bytes", text.len());
        insta::assert_snapshot!(format!("prompt_{name}"), text);
    }
}
