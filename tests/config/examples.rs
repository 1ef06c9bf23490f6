//! The example profiles and the script of the documents.

use super::*;

#[test]
fn every_example_is_a_valid_configuration() {
    let home = ConfigHome::new();
    for name in ["claude-code", "codex", "gemini", "script"] {
        let text = home.config(&["example", name]).success().stdout;
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/workers/{name}.toml"));
        assert_eq!(text, std::fs::read_to_string(kept).unwrap(), "{name}");
        write_file(&home.file(), &text);
        let json = home.config(&["--json"]).success().json();
        assert!(json["workers"][name].is_object(), "{json}");
    }
    home.config(&["example", "nobody"]).code(2);
}

/// The commented settings of an example, each a block of lines that can be uncommented.
fn commented_blocks(text: &str) -> Vec<Vec<usize>> {
    let is_setting = |line: &str| {
        line.strip_prefix("# ").is_some_and(|rest| {
            let name = rest.split(" = ").next().unwrap_or_default();
            let is_key =
                name.len() < rest.len() && name.chars().all(|c| c.is_ascii_lowercase() || "_.".contains(c));
            is_key || (rest.starts_with('[') && rest.ends_with(']'))
        })
    };
    let mut blocks: Vec<Vec<usize>> = Vec::new();
    for (at, _) in text.lines().enumerate().filter(|(_, line)| is_setting(line)) {
        match blocks.last_mut() {
            Some(block) if block.last() == Some(&(at - 1)) => block.push(at),
            _ => blocks.push(vec![at]),
        }
    }
    blocks
}

#[test]
fn the_commented_settings_of_every_example_can_be_uncommented_alone_and_together() {
    let home = ConfigHome::new();
    let mut found = 0;
    for name in ["claude-code", "codex", "gemini", "script"] {
        let text = home.config(&["example", name]).success().stdout;
        let blocks = commented_blocks(&text);
        found += blocks.len();
        let together = blocks.iter().flatten().copied().collect();
        for block in blocks.iter().chain([&together]) {
            let uncommented = text.lines().enumerate().map(|(at, line)| match line.strip_prefix("# ") {
                Some(rest) if block.contains(&at) => format!("{rest}\n"),
                _ => format!("{line}\n"),
            });
            write_file(&home.file(), &uncommented.collect::<String>());
            let json = home.config(&["--json"]).success().json();
            assert!(json["workers"][name].is_object(), "{name}: {json}");
        }
    }
    assert!(found >= 2, "no commented settings were recognised");
}

#[test]
fn the_script_in_the_docs_works() {
    let store = Store::new();
    let docs = include_str!("../../docs/workers.md");
    let script =
        docs.split("```sh\n").find(|block| block.contains("by the first word of the subject")).unwrap();
    let script = store.write("sort-mail", script.split("```").next().unwrap());
    set_mode(&script, 0o755);
    let items =
        [r#"{"key": "a", "subject": "Invoice 7"}"#, r#"{"key": "b", "subject": "Hello"}"#, r#"{"key": "c"}"#];
    let items = store.write("items.jsonl", items.join("\n"));
    let (items, script) = (items.to_str().unwrap(), script.to_str().unwrap());
    let ran = store.tasktally(["run", "--json", "--items", items, "--", script]).code(1);
    let done: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(done["batch"]["outcomes"], serde_json::json!({"done": 2, "failed": 1}), "{done}");
    assert_eq!(done["batch"]["categories"]["money"], 1, "{done}");
}

#[test]
fn connect_runs_the_server_of_the_workers_configuration() {
    let home = ConfigHome::new();
    let file = home.path().join("mcp.json");
    write_file(
        &file,
        r#"{"mcpServers": {"other": {"command": "false"}, "task_manager":
            {"command": "sh", "args": ["-c", "echo $0 $TOKEN $#", "a b"], "env": {"TOKEN": "secret"}, "trust": true}}}"#,
    );
    let connect = |file: Option<&Path>| {
        let mut command = home.store.command();
        command.env_remove("TASKTALLY_MCP_CONFIG");
        if let Some(file) = file {
            command.env("TASKTALLY_MCP_CONFIG", file);
        }
        Run::new(command, ["connect"])
    };
    assert_eq!(connect(Some(&file)).success().stdout, "a b secret 0\n");
    assert!(connect(None).code(2).stderr.contains("TASKTALLY_MCP_CONFIG is not set"));
    let gone = connect(Some(&home.path().join("gone.json"))).code(2).stderr;
    assert!(gone.contains("cannot be opened"), "{gone}");
    write_file(&file, r#"{"mcpServers": {}}"#);
    let none = connect(Some(&file)).code(2).stderr;
    assert!(none.contains("has no server 'task_manager'"), "{none}");
}
