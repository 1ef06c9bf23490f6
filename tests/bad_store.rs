//! Bad stores: not ours, too new, unwritable, full. Each is told, and none is touched.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use support::store::Store;

/// A store with one task in it, closed.
fn filled(store: Store) -> Store {
    store.docket(["create-task", "--task-title", "Kept", "--json"]).success();
    store
}

/// Every file beside the store, byte for byte; without what a reader of a log-keeping file has to make.
fn bytes(store: &Store) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = store.file().parent().unwrap();
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let contents =
        entries.filter(|path| path.is_file()).map(|path| (path.clone(), std::fs::read(path).unwrap()));
    contents.filter(|(path, bytes)| !(path.ends_with("docket.db-shm") || bytes.is_empty())).collect()
}

/// Holds reading, writing and serving to exit code 2, a reason, and files that stay as they are.
#[track_caller]
fn assert_refused_untouched(store: &Store, reason: &str) {
    let before = bytes(store);
    for args in
        [&["list-tasks"][..], &["create-task", "--task-title", "New"], &["list-tasks", "--json"], &["serve"]]
    {
        let ran = store.docket(args).code(2);
        let said = ran.said();
        assert!(said.to_lowercase().contains(reason), "{args:?}: no {reason:?} in {said}");
        assert!(said.contains(store.file().to_str().unwrap()), "{args:?}: which file? {said}");
        assert_eq!(bytes(store), before, "{args:?} touched the files");
    }
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    for content in ["hello\n".repeat(1000).into_bytes(), b"x".to_vec(), vec![0; 8192]] {
        let store = Store::new();
        std::fs::create_dir(store.file().parent().unwrap()).unwrap();
        std::fs::write(store.file(), content).unwrap();
        assert_refused_untouched(&store, "not a");
    }
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let store = Store::new();
    std::fs::create_dir(store.file().parent().unwrap()).unwrap();
    store.sql().execute_batch("CREATE TABLE recipe (name TEXT); INSERT INTO recipe VALUES ('soup')").unwrap();
    assert_refused_untouched(&store, "another program");
}

#[test]
fn a_store_with_a_newer_user_version_is_left_byte_for_byte() {
    let store = filled(Store::new());
    store.sql().execute_batch("PRAGMA user_version = 999").unwrap();
    assert_refused_untouched(&store, "newer");
}

#[test]
fn a_store_with_a_newer_migration_is_left_byte_for_byte() {
    let store = filled(Store::new());
    let newer = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                 VALUES (999, 'from_the_future', '2030-01-01T00:00:00Z', '1')";
    store.sql().execute_batch(newer).unwrap();
    assert_refused_untouched(&store, "newer");
}

#[test]
fn a_folder_given_as_the_store_holds_the_file() {
    let store = Store::new().at("folder");
    std::fs::create_dir(store.file()).unwrap();
    let store = filled(store);
    assert!(store.file().join("docket.db").is_file());
}

#[test]
fn the_store_is_its_owners_alone() {
    let store = filled(Store::new());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(store.file()), 0o600);
    assert_eq!(mode(store.file().parent().unwrap()), 0o700);
}

/// A folder mounted for the test; needs the right to mount, unmounts itself.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(folder: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder).output();
        mounted.is_ok_and(|done| done.status.success()).then_some(Mount(folder))
    }

    fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status();
        assert!(done.unwrap().success(), "remount {options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_store_of_the_first_schema_is_brought_up_to_date_with_all_that_is_in_it() {
    let store = Store::new();
    std::fs::create_dir(store.file().parent().unwrap()).unwrap();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store-schema-1.db"), store.file())
        .unwrap();
    let mut server = store.serve();
    let listed = server.call("list_tasks", json!({"project": ""})).ok();
    assert_eq!(listed.count("/total"), 6, "{}", listed.value);
    let second = server.call("search_tasks", json!({"query": "second"})).ok();
    let needs = server.call("get_task", json!({"id": second.text("/tasks/0/id")})).ok();
    assert_eq!(needs.value["task"]["depends_on"], json!(["v48s861mgb4h"]), "{}", needs.value);
    assert_eq!(
        server.body("v48s861mgb4h"),
        "Opening text\n\n- A receipt of the first schema\n\n- A receipt of the first schema"
    );
    assert_eq!(server.call("search_tasks", json!({"query": "parser"})).ok().count("/count"), 1);
    assert_eq!(server.call("search_tasks", json!({"query": "first schema"})).ok().count("/count"), 1);
    let batch = server.call("get_batch", json!({"id": "p7mf0y2h20sq"})).ok();
    assert_eq!((batch.count("/batch/total"), batch.count("/batch/processed")), (6, 1), "{}", batch.value);
    server.call("update_task", json!({"id": "v48s861mgb4h", "body": "- and one of today"})).ok();
    server.call("update_task", json!({"id": "p7mf0y2h20sq", "body": "- the batch's own"})).ok();
    let receipts = json!({"id": "p7mf0y2h20sq", "view": "receipts", "since": "0"});
    let receipts = server.call("get_batch", receipts).ok();
    let old = receipts["receipts"].as_array().unwrap();
    assert!(old.iter().any(|receipt| receipt["outcome"] == "done"), "{}", receipts.value);
    assert_eq!(old.last().unwrap()["text"], "- the batch's own", "{}", receipts.value);
    let more = json!({"id": "p7mf0y2h20sq", "items": [{"key": "new", "files": "x"}]});
    server.call("add_items", more).ok();
    server.close();
    store.assert_whole();
    store.docket(["verify"]).success();
}

/// Reading may work on a store that cannot be written; writing says why it doesn't.
fn assert_read_only(store: &Store) {
    let ran = store.docket(["create-task", "--task-title", "New", "--json"]).finish();
    assert!(matches!(ran.code, Some(1 | 2)), "{ran:?}");
    assert!(ran.said().contains("read_only") || ran.said().to_lowercase().contains("read-only"), "{ran:?}");
    let listed = store.docket(["list-tasks", "--limit", "0", "--json"]).finish();
    match listed.code {
        Some(0) => assert_eq!(listed.json()["total"], 1),
        code => {
            assert_eq!(code, Some(2), "{listed:?}");
            assert!(listed.said().contains("read_only"), "{listed:?}");
        }
    }
}

#[test]
fn a_store_without_the_right_to_write_is_told_as_read_only() {
    let store = filled(Store::new());
    let folder = store.file().parent().unwrap().to_owned();
    let set =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    set(store.file(), 0o400);
    set(&folder, 0o500);
    if std::fs::write(folder.join("probe"), "x").is_ok() {
        println!("skipped a_store_without_the_right_to_write: root may write anywhere");
    } else {
        assert_read_only(&store);
    }
    set(&folder, 0o700);
}

#[test]
fn a_store_on_a_read_only_disk_is_told_as_read_only() {
    let store = Store::new().at("disk/store/docket.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else {
        println!("skipped a_store_on_a_read_only_disk: no right to mount");
        return;
    };
    let store = filled(store);
    disk.remount("ro");
    assert_read_only(&store);
    disk.remount("rw");
}

#[test]
fn a_full_disk_is_an_error_and_what_was_acknowledged_stays() {
    let store = Store::new().at("disk/store/docket.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "3m") else {
        println!("skipped a_full_disk: no right to mount");
        return;
    };
    let mut server = store.serve();
    let id = server.task("Log");
    let mut kept = Vec::new();
    let refused = loop {
        let text = format!("- {} {}", kept.len(), "x".repeat(20_000));
        let reply = server.call("update_task", json!({"id": id, "body": text}));
        if !reply.won() {
            break reply;
        }
        kept.push(text);
        assert!(kept.len() < 1000, "a disk of 3 MB took 20 MB");
    };
    assert!(refused.is_error, "{}", refused.value);
    assert!(refused.message().to_lowercase().contains("full"), "{}", refused.message());
    assert!(!kept.is_empty());
    assert_eq!(server.body(&id), kept.join("\n\n"), "what was acknowledged is still read");

    disk.remount("size=64m");
    server.call("update_task", json!({"id": id, "body": "- room again"})).ok();
    server.close();
    store.assert_whole();
    assert_eq!(store.serve().body(&id), format!("{}\n\n- room again", kept.join("\n\n")));
}
