//! Files that are not stores and stores that cannot be written: each is refused with the reason and left unchanged.
//! Old and newer stores are tested in `faults/old_stores.rs`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

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
        let store = Store::new_sqlite();
        std::fs::create_dir(store.file().parent().unwrap()).unwrap();
        std::fs::write(store.file(), content).unwrap();
        assert_refused_unchanged(&store, "not a");
    }
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let store = Store::new_sqlite();
    std::fs::create_dir(store.file().parent().unwrap()).unwrap();
    store
        .sqlite()
        .execute_batch("CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('soup')")
        .unwrap();
    assert_refused_unchanged(&store, "another program");
}

#[test]
fn a_folder_given_as_the_store_holds_the_file() {
    let store = Store::new_sqlite().at("folder");
    std::fs::create_dir(store.file()).unwrap();
    let store = filled(store);
    assert!(store.file().join("tasktally.db").is_file());
}

#[test]
fn the_store_is_its_owners_alone() {
    let store = filled(Store::new_sqlite());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.file()), 0o600);
    assert_eq!(mode(store.file().parent().unwrap()), 0o700);
}

/// Asserts that writing is refused as `read_only`, and that reading either works or is refused as `read_only`.
fn assert_read_only(run: impl Fn(&[&str]) -> Output, total: u64) {
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
            assert_eq!(reply["total"], total);
        }
        code => {
            assert_eq!(code, Some(2), "{listed:?}");
            assert!(text(&listed).contains("read_only"), "{listed:?}");
        }
    }
}

#[test]
fn a_store_that_the_user_may_not_write_is_refused_as_read_only() {
    let Some(user) = UserStore::new(filled(Store::new_sqlite())) else { return };
    let folder = user.store.file().parent().unwrap().to_owned();
    let set =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set(user.store.file(), 0o400);
    set(&folder, 0o500);
    assert_read_only(|args| user.tasktally(args), 1);
    set(&folder, 0o700);
}

#[test]
fn a_store_on_a_read_only_disk_can_be_read_checked_exported_and_backed_up() {
    for killed in [false, true] {
        let store = Store::new_sqlite().at("disk/store/tasktally.db");
        let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else { return };
        let store = filled(store);
        // A server that was killed leaves a WAL with the last writes in it.
        let mut server = store.serve();
        let id = server.create_task("Second");
        server.call("update_task", json!({"id": id, "body": "- kept"})).ok();
        if killed {
            server.kill();
        } else {
            server.close();
        }
        disk.remount("ro");
        assert_read_only(|args| store.command().args(args).output().unwrap(), 2);
        assert!(store.tasktally(["get-task", &id]).success().stdout.contains("- kept"));
        for args in [&["verify"][..], &["heads"], &["get-batch"], &["search-tasks", "kept"]] {
            store.tasktally(args).success();
        }
        let exported = store.tasktally(["export"]).success();
        assert!(exported.stdout.contains("- kept"), "{}", exported.stdout);
        store.tasktally(["export", "export.jsonl"]).success();
        store.tasktally(["backup", "backup.db"]).success();
        let refused = store.tasktally(["update-task", &id, "--body", "- lost"]).code(2);
        for words in ["nothing was written", "read-only"] {
            assert!(refused.output().contains(words), "no {words:?} in {}", refused.output());
        }
        // A server answers reads and refuses writes.
        let mut server = store.serve();
        assert!(server.body(&id).ends_with("- kept"));
        assert_eq!(server.call("update_task", json!({"id": id, "body": "- lost"})).refusal(), "read_only");
        drop(server);
        disk.remount("rw");
        let listed = store.tasktally(["--db", "backup.db", "list-tasks", "--json"]).success().json();
        assert_eq!(listed["total"], 2);
        store.tasktally(["update-task", &id, "--body", "- written again"]).success();
    }
}

#[test]
fn a_store_of_an_older_schema_on_a_read_only_disk_is_refused_with_the_reason() {
    let store = Store::new_sqlite().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else { return };
    std::fs::create_dir(store.file().parent().unwrap()).unwrap();
    std::fs::copy(format!("{}/tests/data/store-5.db", env!("CARGO_MANIFEST_DIR")), store.file()).unwrap();
    disk.remount("ro");
    let ran = store.tasktally(["list-tasks"]).code(2);
    assert!(ran.output().to_lowercase().contains("read-only"), "{}", ran.output());
    disk.remount("rw");
}

#[test]
fn a_store_that_another_program_has_locked_is_busy_after_30_seconds_and_doctor_names_the_program() {
    let store = filled(Store::new_sqlite());
    let other = store.sqlite();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE").unwrap();
    let pid = format!("process {}", std::process::id());
    let started = Instant::now();
    let doctor = store.tasktally(["doctor", "--json"]).code(2).json();
    let found = doctor["findings"].as_array().unwrap().iter().find(|found| found["check"] == "file").unwrap();
    let message = found["message"].as_str().unwrap();
    assert!(message.contains(&pid) && message.contains("locked it exclusively"), "{doctor}");
    assert!(started.elapsed() < Duration::from_secs(20), "doctor waited {:?}", started.elapsed());

    let started = Instant::now();
    let ran = store.tasktally(["create-task", "--task-title", "New", "--json"]).code(1);
    let waited = started.elapsed();
    assert_eq!(ran.json()["code"], "busy", "{}", ran.output());
    assert!((25..50).contains(&waited.as_secs()), "waited {waited:?}");
    drop(other);
    store.tasktally(["create-task", "--task-title", "New"]).success();
}
