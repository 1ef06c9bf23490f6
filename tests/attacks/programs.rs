//! Programs and configurations that an agent could change.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;

use crate::support::server::Server;
use crate::support::store::Store;

fn script(path: &Path, mode: u32) {
    std::fs::write(path, "#!/bin/sh\necho '- done'\n").unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn assert_refused(store: &Store, server: &mut Server, why: &str) {
    let request = json!({"title": "B", "instructions": "Do.", "items": ["a"], "worker": "w"});
    let refused = server.call("create_batch", request);
    assert_eq!(refused.refusal(), "invalid_argument");
    assert!(refused.message().contains(why), "{}", refused.message());
    assert_eq!(store.sql().row::<u64>("SELECT count(*) FROM batch", &[]), 0);
}

/// The profile names a script in the project. The agent that works there rewrites it, and then asks for a worker.
#[test]
fn a_profile_starts_no_program_that_an_agent_or_everybody_can_write_to() {
    let store = Store::new();
    let (inside, shared) = (store.folder().join("worker.sh"), store.home().join("shared.sh"));
    script(&inside, 0o755);
    script(&shared, 0o757);
    let profile = |program: &Path| format!("[worker.w]\nper = \"item\"\ncommand = [{program:?}]\n");
    let store = store.with_config(&profile(&inside));
    let mut server = store.serve();
    assert_refused(&store, &mut server, "a folder that agents write to");
    std::fs::write(store.config(), profile(&shared)).unwrap();
    assert_refused(&store, &mut server, "can be written to by everybody (mode 0757)");
    let refused = store.tasktally(["config", "check"]).code(2);
    assert!(refused.output().contains("run chmod o-w"), "{}", refused.output());
}

/// An entry of a project's MCP configuration sets TASKTALLY_CONFIG to a file that an agent wrote to a folder for temporary
/// files.
#[test]
fn a_server_takes_no_configuration_from_a_folder_for_temporary_files() {
    let store = Store::new();
    let folder = tempfile::tempdir().unwrap();
    let planted = folder.path().join("config.toml");
    std::fs::write(&planted, "[worker.w]\nper = \"item\"\ncommand = [\"true\"]\n").unwrap();
    std::fs::set_permissions(&planted, Permissions::from_mode(0o600)).unwrap();
    let mut command = store.command();
    command.arg("serve").env("TASKTALLY_CONFIG", &planted);
    let mut server = Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    assert_refused(&store, &mut server, "a folder that agents write to");
}

/// A worker's environment names a configuration that another user wrote, or that waits for a writer. `connect` became the
/// program that it names.
#[test]
fn connect_starts_no_program_that_another_user_named() {
    let store = Store::new();
    store.create();
    let (mark, config) = (store.folder().join("was-run"), store.folder().join("mcp.json"));
    let server = json!({"command": "touch", "args": [mark]});
    std::fs::write(&config, json!({"mcpServers": {"task_manager": server}}).to_string()).unwrap();
    let connect = |path: &Path, why: &str| {
        let mut command = store.command();
        command.arg("connect").env("TASKTALLY_MCP_CONFIG", path);
        let output = command.output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && message.contains(why), "{message}");
        assert!(!mark.exists(), "{why}: the program was started");
    };
    std::fs::set_permissions(&config, Permissions::from_mode(0o666)).unwrap();
    connect(&config, "can be written to by others (mode 0666)");
    std::fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
    let (link, fifo) = (store.folder().join("link.json"), store.folder().join("fifo"));
    std::os::unix::fs::symlink(&config, &link).unwrap();
    connect(&link, "cannot be opened");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    connect(&fifo, "is no regular file");
    // Only root can give a file to another user.
    if std::os::unix::fs::chown(&config, Some(65_534), None).is_ok() {
        connect(&config, "belongs to user 65534");
        std::os::unix::fs::chown(&config, Some(0), None).unwrap();
    }
    let mut command = store.command();
    command.arg("connect").env("TASKTALLY_MCP_CONFIG", &config);
    assert!(command.status().unwrap().success() && mark.exists(), "the file of the runner is used");
}
