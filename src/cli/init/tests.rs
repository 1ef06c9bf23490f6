//! `tasktally init --write` on real files.

use std::fs;
use std::path::{Path, PathBuf};

use super::client::ClientProgram;
use super::folders::Folders;
use super::server::{ProgramCommand, ServerEntry};
use super::snippet::snippet;
use super::target::TargetFile;
use super::write_to;

fn server() -> ServerEntry {
    let program = ProgramCommand::of_file(Path::new("/opt/tasktally"), None, None).unwrap();
    ServerEntry::new(&program, Some(Path::new("/data/tasks.db")), None).unwrap()
}

/// The client's file if this folder is the project and the home folder.
fn file_in(client: ClientProgram, folder: &Path) -> TargetFile {
    client.file(client.default_scope(), &Folders::at(folder)).unwrap()
}

/// Writes to a file that holds `before`. Returns whether that succeeded, the output, and the file afterwards.
fn merged(client: ClientProgram, file: &TargetFile, before: Option<&str>) -> (bool, String, Option<String>) {
    let path = &file.path;
    if let Some(before) = before {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, before).unwrap();
    }
    let mut output = Vec::new();
    let done = write_to(client, &server(), file, &mut output).is_ok();
    (done, String::from_utf8(output).unwrap(), fs::read_to_string(path).ok())
}

fn check(client: ClientProgram, before: &str, after: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(client, folder.path());
    let path = file.path.clone();
    let (done, output, text) = merged(client, &file, Some(before));
    assert!(done, "{output}");
    assert_eq!(text.as_deref(), Some(after));
    assert_eq!(fs::read_to_string(bak(&path, "")).unwrap(), before);

    let (done, output, text) = merged(client, &file, None);
    assert!(done && output.contains("nothing to do"), "{output}");
    assert_eq!(text.as_deref(), Some(after));
    assert!(!bak(&path, ".1").exists(), "no change, no backup");
}

fn check_refused(client: ClientProgram, before: &str, reason: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(client, folder.path());
    let path = file.path.clone();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, before).unwrap();
    let mut output = Vec::new();
    let error = write_to(client, &server(), &file, &mut output).unwrap_err().to_string();
    assert!(error.contains(reason) && error.contains("by hand"), "{error}");
    assert!(String::from_utf8(output).unwrap().contains("/opt/tasktally"), "the configuration is shown");
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    assert!(!bak(&path, "").exists());
}

fn bak(path: &Path, number: &str) -> PathBuf {
    PathBuf::from(format!("{}.bak{number}", path.display()))
}

const ENTRY: &str = r#""task_manager": {
      "type": "stdio",
      "command": "/opt/tasktally",
      "args": ["serve", "--db", "/data/tasks.db"]
    }"#;

#[test]
fn a_missing_file_is_created_with_its_folder() {
    for client in ClientProgram::all() {
        let folder = tempfile::tempdir().unwrap();
        let file = file_in(client, &folder.path().join("new"));
        let path = file.path.clone();
        let (done, output, text) = merged(client, &file, None);
        assert!(done && output.contains("a new file"), "{output}");
        assert_eq!(text, Some(snippet(client, &server()).unwrap()));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no other file is left");
    }
}

#[test]
fn the_rest_of_the_file_is_unchanged_byte_for_byte() {
    let rest = r#""z":   1.10, "big": 12345678901234567890123, "a\u0062": [ ]"#;
    check(
        ClientProgram::Vscode,
        &format!("{{\n  {rest},\n  \"servers\": {{\n    \"x\": {{\"a\":1}}\n  }}\n}}"),
        &format!("{{\n  {rest},\n  \"servers\": {{\n    \"x\": {{\"a\":1}},\n    {ENTRY}\n  }}\n}}"),
    );
}

#[test]
fn an_object_without_servers_gets_them() {
    let after = format!("{{\n  \"theme\": \"dark\",\n  \"mcpServers\": {{\n    {ENTRY}\n  }}\n}}\n");
    check(ClientProgram::Cursor, "{\n  \"theme\": \"dark\"\n}\n", &after);
}

#[test]
fn an_empty_object_is_expanded() {
    let after = format!("{{\n  \"mcpServers\": {{\n    {ENTRY}\n  }}\n}}\n");
    check(ClientProgram::ClaudeCode, "{\n  \"mcpServers\": {}\n}\n", &after);
}

#[test]
fn a_single_line_file_is_expanded_where_the_entry_is() {
    check(
        ClientProgram::Cursor,
        r#"{"ui":{"a":1}}"#,
        &format!("{{\n  \"ui\":{{\"a\":1}},\n  \"mcpServers\": {{\n    {ENTRY}\n  }}\n}}"),
    );
}

#[test]
fn tabs_and_crlf_are_kept() {
    let after = format!("{{\n  \"mcpServers\": {{\n    {ENTRY}\n  }}\n}}\n");
    let after = after.replace("  ", "\t").replace('\n', "\r\n");
    check(ClientProgram::Cursor, "{\r\n\t\"mcpServers\": {\r\n\t}\r\n}\r\n", &after);
}

#[test]
fn comments_and_trailing_commas_are_kept() {
    let text = |entry: &str| {
        format!(
            "// mine\n{{\n  /* all */\n  \"inputs\": [1, 2,], // first\n  \"servers\": {{\n    // other\n    \"x\": {{ \"a\": 1 }}, // last{entry}\n  }},\n}}\n"
        )
    };
    let (before, after) = (text(""), text(&format!("\n    {},", ENTRY.replace("\"]", "\"],"))));
    check(ClientProgram::Vscode, &before, &after);
    check(ClientProgram::Vscode, &before.replace('\n', "\r\n"), &after.replace('\n', "\r\n"));
    check(ClientProgram::Vscode, &format!("\u{feff}{before}"), &format!("\u{feff}{after}"));
    let only = "// nothing yet\n";
    check(ClientProgram::Vscode, only, &format!("{only}{{\n  \"servers\": {{\n    {ENTRY}\n  }}\n}}\n"));
}

/// Asserts that an earlier entry is replaced as a whole, and that its text is printed.
fn check_replaced(client: ClientProgram, before: &str, after: &str, printed: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(client, folder.path());
    let (done, output, text) = merged(client, &file, Some(before));
    assert!(done && output.contains("replaced task_manager in "), "{output}");
    printed.iter().for_each(|part| assert!(output.contains(part), "no {part} in {output}"));
    assert_eq!(text.as_deref(), Some(after));
}

#[test]
fn nothing_of_an_earlier_entry_is_kept() {
    let text =
        |entry: &str| format!("{{\n  \"servers\": {{\n    {entry}, // mine\n    \"b\": {{}}\n  }}\n}}\n");
    let hostile = r#""task_manager": { // ours
      "type": "stdio", "command": "/opt/tasktally", "args": ["serve", "--db", "/data/tasks.db"],
      "env": {"LD_PRELOAD": "./evil.so"}, "cwd": "/tmp"
    }"#;
    let printed = ["\"LD_PRELOAD\": \"./evil.so\"", "\"cwd\""];
    check_replaced(ClientProgram::Vscode, &text(hostile), &text(ENTRY), &printed);
    let hidden = "\"task_manager\": {\"command\": \"old\", \"env\": {\"A\": \"\u{202e}\"}}";
    check_replaced(ClientProgram::Vscode, &text(hidden), &text(ENTRY), &["\\u{202e}"]);

    let entry = "command = \"/opt/tasktally\"\nargs = [\"serve\", \"--db\", \"/data/tasks.db\"]\n";
    let header = "# mine\n[mcp_servers.task_manager] # header\n";
    check_replaced(
        ClientProgram::Codex,
        &format!(
            "{header}{entry}[mcp_servers.task_manager.env]\nLD_PRELOAD = \"./evil.so\"\n\n[tui]\na = 1\n"
        ),
        &format!("{header}{entry}\n[tui]\na = 1\n"),
        &["LD_PRELOAD = \"./evil.so\"", "[mcp_servers.task_manager.env]"],
    );
    check_replaced(
        ClientProgram::Codex,
        "mcp_servers.task_manager = { command = \"old\", env = { A = \"b\" } } # why\nb = 1\n",
        "mcp_servers.task_manager = { command = \"/opt/tasktally\", args = [\"serve\", \"--db\", \"/data/tasks.db\"] } # why\nb = 1\n",
        &["A = \"b\""],
    );
}

#[test]
fn toml_keeps_comments_order_and_line_ends() {
    let entry = "[mcp_servers.task_manager]\ncommand = \"/opt/tasktally\"\nargs = [\"serve\", \"--db\", \"/data/tasks.db\"]\n";
    let before =
        "# mine\nmodel = \"m\" # best\n\n[mcp_servers.z]\ncommand = \"z\"\n\n[tui] # last\na = 1.10\n";
    let after = format!(
        "# mine\nmodel = \"m\" # best\n\n[mcp_servers.z]\ncommand = \"z\"\n\n{entry}\n[tui] # last\na = 1.10\n"
    );
    check(ClientProgram::Codex, before, &after);
    check(ClientProgram::Codex, &before.replace('\n', "\r\n"), &after.replace('\n', "\r\n"));
    check(ClientProgram::Codex, "a = 1\n", &format!("a = 1\n\n{entry}"));
    check(
        ClientProgram::Codex,
        "mcp_servers = { z = { command = \"z\" } }\n",
        "mcp_servers = { z = { command = \"z\" } , task_manager = { command = \"/opt/tasktally\", args = [\"serve\", \"--db\", \"/data/tasks.db\"] } }\n",
    );
    check(ClientProgram::Codex, &format!("\u{feff}{before}"), &format!("\u{feff}{after}"));
}

#[test]
fn a_file_that_cannot_be_merged_into_is_not_changed() {
    check_refused(ClientProgram::Vscode, "{\"a\": 1", "not JSON");
    check_refused(ClientProgram::Vscode, "{'a': 1}", "not JSON");
    check_refused(ClientProgram::Vscode, "{\"a\": 1 \"b\": 2}", "not JSON");
    check_refused(ClientProgram::Vscode, &"[".repeat(100_000), "not JSON");
    check_refused(ClientProgram::Vscode, "[1]", "not a JSON object");
    check_refused(ClientProgram::Vscode, "{\"servers\": []}", "servers is not an object");
    check_refused(ClientProgram::Vscode, "{\"servers\": {}, \"servers\": {}}", "twice");
    check_refused(
        ClientProgram::Vscode,
        "{\"servers\": {\"task_manager\": {\"url\": \"u\"}}}",
        "reached by url",
    );
    check_refused(ClientProgram::Codex, "a = \n", "not TOML");
    check_refused(ClientProgram::Codex, "mcp_servers = 1\n", "not a table");
}

#[test]
fn backups_are_numbered() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(ClientProgram::ClaudeCode, folder.path());
    let path = file.path.clone();
    fs::write(bak(&path, ""), "first").unwrap();
    assert!(merged(ClientProgram::ClaudeCode, &file, Some("{}")).0);
    assert_eq!(fs::read_to_string(bak(&path, "")).unwrap(), "first");
    assert_eq!(fs::read_to_string(bak(&path, ".1")).unwrap(), "{}");
}

#[test]
fn a_folder_in_place_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(ClientProgram::ClaudeCode, folder.path());
    fs::create_dir(&file.path).unwrap();
    let (done, output, _) = merged(ClientProgram::ClaudeCode, &file, None);
    assert!(!done && output.contains("/opt/tasktally"));
}

#[cfg(unix)]
#[test]
fn a_link_is_not_changed_and_permissions_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let file = file_in(ClientProgram::ClaudeCode, folder.path());
    let path = file.path.clone();
    fs::write(&path, "{}").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&path, folder.path().join("link.json")).unwrap();
    let link = TargetFile::of_project(folder.path(), "link.json");
    assert!(!merged(ClientProgram::ClaudeCode, &link, None).0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}");

    // A folder of the project that is a link could lead to files of the user.
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), folder.path().join(".vscode")).unwrap();
    let (done, output, _) =
        merged(ClientProgram::Vscode, &file_in(ClientProgram::Vscode, folder.path()), None);
    assert!(!done && output.contains("/opt/tasktally"));
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);

    // The project itself, and a file of the user's own, may be reached through a link.
    let through = outside.path().join("project");
    symlink(folder.path(), &through).unwrap();
    assert!(merged(ClientProgram::Gemini, &file_in(ClientProgram::Gemini, &through), None).0);
    let (kept, codex) = (folder.path().join("kept.toml"), folder.path().join("config.toml"));
    fs::write(&kept, "a = 1\n").unwrap();
    symlink(&kept, &codex).unwrap();
    assert!(merged(ClientProgram::Codex, &TargetFile::of_user(codex.clone()), None).0);
    assert!(codex.is_symlink() && fs::read_to_string(&kept).unwrap().contains("task_manager"));

    assert!(merged(ClientProgram::ClaudeCode, &file, None).0);
    for file in [path.clone(), bak(&path, "")] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
