//! Folders that another user, or the author of a repository, prepared before a command of the operator writes there.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::process::Command;

use serde_json::json;

use crate::support::cli::Run;
use crate::support::skip::skip;
use crate::support::store::Store;

/// The user `nobody`.
const NOBODY: u32 = 65_534;

/// Manual pages are built in a folder that others may write to. There, the names of two pages are taken already: by a link to
/// a file of the operator, and by a FIFO that nobody reads.
#[test]
fn manual_pages_are_written_neither_through_a_link_nor_into_a_fifo() {
    let store = Store::new();
    let (pages, key) = (store.folder().join("pages"), store.home().join("key"));
    std::fs::create_dir(&pages).unwrap();
    std::fs::write(&key, "secret").unwrap();
    symlink(&key, pages.join("tasktally.1")).unwrap();
    let fifo = pages.join("tasktally-run.1");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    store.tasktally(["man", "pages"]).success();
    assert_eq!(std::fs::read_to_string(&key).unwrap(), "secret", "the file behind the link was overwritten");
    for page in ["tasktally.1", "tasktally-run.1"] {
        let metadata = std::fs::symlink_metadata(pages.join(page)).unwrap();
        assert!(metadata.is_file() && metadata.len() > 0, "{page}: {metadata:?}");
    }
}

/// With a umask of 000 another user replaces the store of a demo in the folder for temporary files.
#[test]
fn the_folder_of_a_demo_is_closed_to_other_users_whatever_the_umask_is() {
    let store = Store::new();
    let temporary = store.folder().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let run = r#"umask 000; exec "$0" demo --keep"#;
    let mut command = Command::new("sh");
    command.current_dir(store.folder()).env("TMPDIR", &temporary);
    Run::new(command, ["-c", run, env!("CARGO_BIN_EXE_tasktally")]).success();
    let folder = std::fs::read_dir(&temporary).unwrap().next().unwrap().unwrap();
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let items = folder.path().join("commits.jsonl").metadata().unwrap();
    assert_eq!(items.permissions().mode() & 0o777, 0o600);
}

/// An archive unpacks a folder whose name cannot be the name of a project. `init` then configured a server for all projects
/// there, as if the operator had asked for it.
#[test]
fn the_name_of_a_folder_does_not_open_all_projects() {
    for name in ["a\nb", "\u{202e}b", "\u{3164}", " "] {
        let store = Store::new();
        let folder = store.folder().join(name);
        std::fs::create_dir(&folder).unwrap();
        let mut command = store.command();
        command.current_dir(&folder);
        let refused = Run::new(command, ["init", "claude-code", "--write"]).code(2);
        assert!(refused.output().contains("--all-projects"), "{name:?}: {}", refused.output());
        assert!(!folder.join(".mcp.json").exists(), "{name:?}");
    }
    // A name that looks like an option stays the name of the project.
    let store = Store::new();
    let folder = store.folder().join("--all-projects");
    std::fs::create_dir(&folder).unwrap();
    let mut command = store.command();
    command.current_dir(&folder);
    Run::new(command, ["init", "claude-code", "--write"]).success();
    let written = std::fs::read_to_string(folder.join(".mcp.json")).unwrap();
    assert!(written.contains("\"--project=--all-projects\""), "{written}");
    Run::new(store.command(), ["serve", "--project=--all-projects"]).success();
}

/// Whoever may write to the scratch folder knows the id of a batch, and makes its folder there a link to a folder of the
/// operator's. The next receipt and the report changed its mode and wrote there.
#[test]
fn files_of_a_batch_are_not_written_through_a_link_in_the_scratch_folder() {
    let store = Store::new();
    let victim = store.home().join("public");
    std::fs::create_dir(&victim).unwrap();
    std::fs::set_permissions(&victim, Permissions::from_mode(0o755)).unwrap();
    std::fs::write(victim.join("report.md"), "mine").unwrap();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "Do.", "items": ["a", "b"], "max_chunk": 1});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    let scratch = store.folder().join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let planted = scratch.join(format!("batch-{batch}"));
    symlink(&victim, &planted).unwrap();
    for complete in [true, false] {
        let claim = server.call("claim_task", json!({"batch": batch})).ok();
        let (id, token) = (claim.text("/task/id"), claim.text("/claim/token"));
        let receipt = json!({"id": id, "claim": token, "item": claim["items"][0]["key"], "outcome": "done"});
        server.call("update_task", receipt).ok();
        let end = if complete { "complete_task" } else { "release_task" };
        server.call(end, json!({"id": id, "claim": token})).ok();
    }
    let refused = store.tasktally(["report", &batch]).finish();
    assert!(refused.code != Some(0) && refused.output().contains("is a link"), "{}", refused.output());
    assert_eq!(victim.metadata().unwrap().permissions().mode() & 0o777, 0o755, "its mode was changed");
    let left: Vec<_> = std::fs::read_dir(&victim).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["report.md"], "files were written through the link");
    assert_eq!(std::fs::read_to_string(victim.join("report.md")).unwrap(), "mine");
    // A person may still name the same folder.
    store.tasktally(["report", &batch, "--out", victim.to_str().unwrap()]).success();
    assert!(victim.join("report.html").is_file());
}

/// The folder is no link, but belongs to another user, who could read and replace what is written there.
#[test]
fn files_of_a_batch_are_not_written_to_a_folder_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can create folders of another user");
    }
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "Do.", "items": ["a"]});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    let planted = store.folder().join(format!("scratch/batch-{batch}"));
    std::fs::create_dir_all(&planted).unwrap();
    chown(&planted, Some(NOBODY), None).unwrap();
    let refused = store.tasktally(["report", &batch]).finish();
    assert!(
        refused.code != Some(0) && refused.output().contains("belongs to user 65534"),
        "{}",
        refused.output()
    );
    assert_eq!(std::fs::read_dir(&planted).unwrap().count(), 0);
}
