//! What users see can't change unseen: tool schemas, help texts.

use std::process::Command;

use docket::mcp::{Toolset, definitions};

#[test]
fn tool_schemas() {
    for tool in definitions(Toolset::All) {
        insta::assert_json_snapshot!(format!("tool_{}", tool.name), tool);
    }
}

#[test]
fn worker_schemas() {
    insta::assert_json_snapshot!("worker_tools", definitions(Toolset::Worker));
}

#[test]
fn help_texts() {
    for command in ["run", "work", "list-tasks", "update-task", "create-batch"] {
        let output = Command::new(env!("CARGO_BIN_EXE_docket"))
            .args([command, "--help"])
            .env_remove("DOCKET_DB")
            .output()
            .expect("docket runs");
        insta::assert_snapshot!(format!("help_{command}"), String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_committed_manifest_is_the_operations() {
    let output = Command::new(env!("CARGO_BIN_EXE_docket")).arg("manifest").output().expect("docket runs");
    let committed = std::fs::read_to_string("mcp-manifest.json").expect("the manifest");
    assert_eq!(String::from_utf8_lossy(&output.stdout), committed, "docket manifest > mcp-manifest.json");
}

#[test]
fn the_worker_prompt_is_short() {
    let prompt = docket::ops::worker_prompt(&"k3m9p0q1r2s3".parse().expect("an id"));
    assert!(prompt.len() < 2_000, "{} bytes", prompt.len());
    insta::assert_snapshot!("worker_prompt", prompt);
}
