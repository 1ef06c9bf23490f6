//! Files that are not stores and stores that cannot be written: each is refused with the reason and left unchanged.
//! Old and newer stores are tested in `faults/old_stores.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use support::mount::Mount;
use support::store::Store;
use support::unchanged::assert_refused_unchanged;
use support::unprivileged::UserStore;

/// A store with one task in it, closed.
fn filled(store: Store) -> Store {
    store.tasktally(["create-task", "--task-title", "Kept", "--json"]).success();
    store
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    for content in ["hello\n".repeat(1000).into_bytes(), b"x".to_vec(), vec![0; 8192]] {
        let store = Store::new();
        std::fs::create_dir(store.file().parent().unwrap()).unwrap();
        std::fs::write(store.file(), content).unwrap();
        assert_refused_unchanged(&store, "not a");
    }
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let store = Store::new();
    std::fs::create_dir(store.file().parent().unwrap()).unwrap();
    store.sql().execute_batch("CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('soup')").unwrap();
    assert_refused_unchanged(&store, "another program");
}

#[test]
fn a_folder_given_as_the_store_holds_the_file() {
    let store = Store::new().at("folder");
    std::fs::create_dir(store.file()).unwrap();
    let store = filled(store);
    assert!(store.file().join("tasktally.db").is_file());
}

#[test]
fn the_store_is_its_owners_alone() {
    let store = filled(Store::new());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.file()), 0o600);
    assert_eq!(mode(store.file().parent().unwrap()), 0o700);
}

/// Asserts that writing is refused as `read_only`, and that reading either works or is refused as `read_only`.
fn assert_read_only(run: impl Fn(&[&str]) -> Output) {
    let text = |ran: &Output| {
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
    };
    let ran = run(&["create-task", "--task-title", "New", "--json"]);
    assert!(matches!(ran.status.code(), Some(1 | 2)), "{ran:?}");
    let output = text(&ran).to_lowercase();
    assert!(output.contains("read_only") || output.contains("read-only"), "{ran:?}");
    let listed = run(&["list-tasks", "--limit", "0", "--json"]);
    match listed.status.code() {
        Some(0) => {
            let reply: Value = serde_json::from_slice(&listed.stdout).unwrap();
            assert_eq!(reply["total"], 1);
        }
        code => {
            assert_eq!(code, Some(2), "{listed:?}");
            assert!(text(&listed).contains("read_only"), "{listed:?}");
        }
    }
}

#[test]
fn a_store_that_the_user_may_not_write_is_refused_as_read_only() {
    let Some(user) = UserStore::new(filled(Store::new())) else { return };
    let folder = user.store.file().parent().unwrap().to_owned();
    let set =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set(user.store.file(), 0o400);
    set(&folder, 0o500);
    assert_read_only(|args| user.tasktally(args));
    set(&folder, 0o700);
}

#[test]
fn a_store_on_a_read_only_disk_is_refused_as_read_only() {
    let store = Store::new().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else { return };
    let store = filled(store);
    disk.remount("ro");
    assert_read_only(|args| store.command().args(args).output().unwrap());
    disk.remount("rw");
}
