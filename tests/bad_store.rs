//! Bad stores: not ours, unwritable, full (old and newer ones: faults/old_stores.rs). Each is told, and none is touched.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::mount::Mount;
use support::store::Store;
use support::untouched::assert_refused_untouched;

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

/// Reading may work on a store that cannot be written; writing says why it doesn't.
fn assert_read_only(store: &Store) {
    let ran = store.tasktally(["create-task", "--task-title", "New", "--json"]).finish();
    assert!(matches!(ran.code, Some(1 | 2)), "{ran:?}");
    assert!(ran.said().contains("read_only") || ran.said().to_lowercase().contains("read-only"), "{ran:?}");
    let listed = store.tasktally(["list-tasks", "--limit", "0", "--json"]).finish();
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
    let store = Store::new().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else {
        println!("skipped a_store_on_a_read_only_disk: no right to mount");
        return;
    };
    let store = filled(store);
    disk.remount("ro");
    assert_read_only(&store);
    disk.remount("rw");
}
