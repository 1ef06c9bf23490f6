//! `tasktally init --write` on real files.

use std::fs;
use std::path::{Path, PathBuf};

use super::client::ClientProgram;
use super::server::ServerEntry;
use super::snippet::snippet;
use super::write_to;

fn server() -> ServerEntry {
    ServerEntry::new(Path::new("/opt/tasktally"), Some(Path::new("/data/tasks.db"))).unwrap()
}

/// Writes to a file that holds `before`. Returns whether that succeeded, the output, and the file afterwards.
fn merged(client: ClientProgram, path: &Path, before: Option<&str>) -> (bool, String, Option<String>) {
    if let Some(before) = before {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, before).unwrap();
    }
    let mut output = Vec::new();
    let done = write_to(client, &server(), path, &mut output).is_ok();
    (done, String::from_utf8(output).unwrap(), fs::read_to_string(path).ok())
}

fn check(client: ClientProgram, before: &str, after: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = client.file(folder.path(), Some(folder.path())).unwrap();
    let (done, output, text) = merged(client, &path, Some(before));
    assert!(done, "{output}");
    assert_eq!(text.as_deref(), Some(after));
    assert_eq!(fs::read_to_string(bak(&path, "")).unwrap(), before);

    let (done, output, text) = merged(client, &path, None);
    assert!(done && output.contains("nothing to do"), "{output}");
    assert_eq!(text.as_deref(), Some(after));
    assert!(!bak(&path, ".1").exists(), "no change, no backup");
}

fn check_refused(client: ClientProgram, before: &str, reason: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = client.file(folder.path(), Some(folder.path())).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, before).unwrap();
    let mut output = Vec::new();
    let error = write_to(client, &server(), &path, &mut output).unwrap_err().to_string();
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
      "args": [
        "serve",
        "--db",
        "/data/tasks.db"
      ]
    }"#;

#[test]
fn a_missing_file_is_created_with_its_folder() {
    for client in ClientProgram::all() {
        let folder = tempfile::tempdir().unwrap();
        let path = client.file(&folder.path().join("new"), Some(&folder.path().join("new"))).unwrap();
        let (done, output, text) = merged(client, &path, None);
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
fn a_single_line_file_stays_a_single_line() {
    check(
        ClientProgram::Gemini,
        r#"{"ui":{"a":1}}"#,
        r#"{"ui":{"a":1}, "mcpServers": {"task_manager":{"command":"/opt/tasktally","args":["serve","--db","/data/tasks.db"]}}}"#,
    );
}

#[test]
fn tabs_and_crlf_are_kept() {
    check(
        ClientProgram::Gemini,
        "{\r\n\t\"mcpServers\": {\r\n\t}\r\n}\r\n",
        "{\r\n\t\"mcpServers\": {\r\n\t\t\"task_manager\": {\r\n\t\t\t\"command\": \"/opt/tasktally\",\r\n\t\t\t\"args\": [\r\n\t\t\t\t\"serve\",\r\n\t\t\t\t\"--db\",\r\n\t\t\t\t\"/data/tasks.db\"\r\n\t\t\t]\r\n\t\t}\r\n\t}\r\n}\r\n",
    );
}

#[test]
fn an_older_entry_is_changed_and_keeps_its_other_fields() {
    check(
        ClientProgram::Gemini,
        r#"{"mcpServers": {"task_manager": {"command": "old", "timeout": 9, "args": []}, "b": {}}}"#,
        r#"{"mcpServers": {"task_manager": {"command":"/opt/tasktally","timeout":9,"args":["serve","--db","/data/tasks.db"]}, "b": {}}}"#,
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
    check(
        ClientProgram::Codex,
        "[mcp_servers.task_manager]\ncommand = \"old\" # why\nargs = [\"serve\", \"--db\", \"/data/tasks.db\"]\nenabled = false\n",
        "[mcp_servers.task_manager]\ncommand = \"/opt/tasktally\" # why\nargs = [\"serve\", \"--db\", \"/data/tasks.db\"]\nenabled = false\n",
    );
}

#[test]
fn a_file_that_cannot_be_merged_into_is_not_changed() {
    check_refused(ClientProgram::Vscode, "{ // comment\n}", "not JSON without comments");
    check_refused(ClientProgram::Vscode, "{\"a\": 1,}", "not JSON without comments");
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
    let path = folder.path().join(".mcp.json");
    fs::write(bak(&path, ""), "first").unwrap();
    assert!(merged(ClientProgram::ClaudeCode, &path, Some("{}")).0);
    assert_eq!(fs::read_to_string(bak(&path, "")).unwrap(), "first");
    assert_eq!(fs::read_to_string(bak(&path, ".1")).unwrap(), "{}");
}

#[test]
fn a_folder_in_place_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".mcp.json");
    fs::create_dir(&path).unwrap();
    let (done, output, _) = merged(ClientProgram::ClaudeCode, &path, None);
    assert!(!done && output.contains("/opt/tasktally"));
}

#[cfg(unix)]
#[test]
fn a_link_is_not_changed_and_permissions_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join(".mcp.json"), folder.path().join("link.json"));
    fs::write(&path, "{}").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&path, &link).unwrap();
    assert!(!merged(ClientProgram::ClaudeCode, &link, None).0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}");

    assert!(merged(ClientProgram::ClaudeCode, &path, None).0);
    for file in [path.clone(), bak(&path, "")] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
