//! A process opens a store's file once. SQLite's locks are POSIX locks: closing any descriptor of the file drops the
//! locks of all connections of the process, and another process could then delete the WAL under them.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tasktally::clock::Clock;
use tasktally::items::SourceRoots;
use tasktally::ops::{self, LocalFolders, Session};
use tasktally::store::sqlite::{ReadOnlyStore, SqliteStore};

use crate::support::store::Store;

/// Creates a task through the store that this process has open.
fn create_task(session: &Session, title: &str) {
    (ops::find_operation("create_task").unwrap().call)(session, json!({"task_title": title})).unwrap();
}

#[test]
fn a_second_open_in_one_process_is_refused_and_leaves_the_locks_of_the_first() {
    let store = Store::new_sqlite();
    let opened = Arc::new(SqliteStore::open(store.file(), Clock::system()).unwrap());
    let folders = LocalFolders::in_one(store.folder().to_owned());
    let session = Session::new(opened.clone(), folders, SourceRoots::new(Vec::<PathBuf>::new()), "test");
    create_task(&session, "First");

    let link = store.folder().join("link.db");
    symlink(store.file(), &link).unwrap();
    for path in [store.file(), &link] {
        let as_writer = SqliteStore::open(path, Clock::system()).err().map(|error| error.to_string());
        let as_reader = ReadOnlyStore::open(path, Clock::system()).err().map(|error| error.to_string());
        // Another process that finds no locks on the store checkpoints the WAL and deletes it when it ends.
        store.tasktally(["list-tasks"]).success();
        create_task(&session, "Written after the second open");
        for refusal in [as_writer, as_reader] {
            let refusal = refusal.expect("the second open is refused");
            assert!(refusal.contains("already open in this process"), "{refusal}");
        }
    }
    drop(session);
    drop(opened);

    let again =
        SqliteStore::open(store.file(), Clock::system()).expect("it can be opened after it was closed");
    drop(again);
    let listed = store.tasktally(["list-tasks", "--limit", "0", "--json"]).success().json();
    assert_eq!(listed["total"], 3);
    store.assert_whole();
}
