//! The plugin in `packaging/plugin`: its files agree with each other and with the version of the program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use serde_json::Value;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/plugin").join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file(name)).unwrap()).unwrap()
}

#[test]
fn the_files_of_the_plugin_have_the_version_of_the_program() {
    for name in [".claude-plugin/plugin.json", "gemini-extension.json"] {
        assert_eq!(json(name)["version"], VERSION, "{name}");
    }
}

#[test]
fn every_client_starts_the_same_server_of_the_same_version() {
    let (claude, gemini) = (json(".mcp.json"), json("gemini-extension.json"));
    assert_eq!(claude["mcpServers"], gemini["mcpServers"]);
    let server = &claude["mcpServers"][tasktally::prompts::SERVER_KEY];
    assert_eq!(server["command"], "sh", "{server}");
    let script = server["args"][1].as_str().unwrap();
    for word in script.split_whitespace().filter(|word| word.starts_with("tasktally@")) {
        assert_eq!(word, format!("tasktally@{VERSION}"));
    }
    assert_eq!(script.matches(&format!("tasktally@{VERSION} serve")).count(), 2, "{script}");
}

/// The name in its header is the name of a skill's folder, as the clients require, and a skill calls existing tools.
#[test]
fn every_skill_has_the_name_of_its_folder_and_calls_tools_that_exist() {
    let mut calls = 0;
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(file("skills")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(folder.join("SKILL.md")).unwrap();
        assert!(text.starts_with(&format!("---\nname: {name}\ndescription: ")), "{name}: {text}");
        assert!(text.len() < 5_000, "{name}: {} bytes", text.len());
        for (tool, _) in text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once('(')) {
            assert!(tasktally::ops::ALL.iter().any(|entry| entry.name == tool), "{name}: no tool {tool}");
            calls += 1;
        }
        names.push(name);
    }
    names.sort();
    assert_eq!(names, ["batch-processing", "batch-status", "process-all"]);
    assert!(calls > 10, "{calls}");
}
