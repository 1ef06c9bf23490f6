//! Folders that another user, or the author of a repository, prepared before a command of the operator writes there.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use crate::support::cli::Run;
use crate::support::store::Store;

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
