//! A store whose file has a second name: a hard link, a mount of the file alone, a file that was renamed while a server
//! has it open. Each name has a WAL of its own, so whatever is written under one name could be lost under another.

use serde_json::json;

use crate::support::mount::Mount;
use crate::support::store::Store;

/// Asserts that every kind of command on the second name is refused with these words, and creates nothing beside it.
#[track_caller]
fn assert_refused(store: &Store, name: &str, words: &[&str]) {
    let path = store.folder().join(name);
    let before = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    for args in
        [&["create-task", "--task-title", "Lost"][..], &["list-tasks"], &["verify"], &["export"], &["serve"]]
    {
        let ran = store.tasktally(["--db", path.to_str().unwrap()].iter().chain(args)).finish();
        assert!(matches!(ran.code, Some(1 | 2)), "{args:?}: {ran:?}");
        for word in words {
            assert!(ran.output().contains(word), "{args:?}: no {word:?} in {}", ran.output());
        }
    }
    let doctor = store.tasktally(["--db", path.to_str().unwrap(), "doctor", "--json"]).code(2).json();
    let found = doctor["findings"].as_array().unwrap().iter().find(|found| found["check"] == "file").unwrap();
    assert_eq!(found["level"], "problem", "{doctor}");
    assert!(found["message"].as_str().unwrap().contains(words[0]), "{doctor}");
    assert!(found["fix"].is_string(), "{doctor}");
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), before, "a file was created");
}

#[track_caller]
fn assert_total(store: &Store, total: u64) {
    let listed = store.tasktally(["list-tasks", "--limit", "0", "--json"]).success().json();
    assert_eq!(listed["total"], total);
    store.assert_whole();
}

#[test]
fn a_file_with_a_second_hard_link_is_refused_under_both_names_until_one_is_removed() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    server.create_task("First");
    std::fs::create_dir(store.folder().join("other")).unwrap();
    let link = store.folder().join("other/link.db");
    std::fs::hard_link(store.file(), &link).unwrap();
    assert_refused(&store, "other/link.db", &["2 names (hard links)", "Remove the other names"]);
    assert_refused(&store, "store/tasktally.db", &["2 names (hard links)", "find / -xdev -samefile"]);
    // The server has the only WAL there is, so it goes on.
    server.create_task("Second");
    server.close();
    std::fs::remove_file(link).unwrap();
    assert_total(&store, 2);
}

#[test]
fn a_path_at_which_the_file_alone_is_mounted_is_refused() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    server.create_task("First");
    std::fs::create_dir(store.folder().join("container")).unwrap();
    let path = store.folder().join("container/tasktally.db");
    let Some(mount) = Mount::bind_file(store.file(), path) else { return };
    assert_refused(&store, "container/tasktally.db", &["the file alone is mounted here", "Mount the folder"]);
    server.create_task("Second");
    drop(mount);
    server.close();
    assert_total(&store, 2);
}

#[test]
fn a_mount_of_the_folder_is_the_same_store() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    server.create_task("First");
    let folder = store.folder().join("container");
    let Some(_mount) = Mount::bind_folder(store.file().parent().unwrap(), folder.clone()) else { return };
    let db = folder.join("tasktally.db");
    store.tasktally(["--db", db.to_str().unwrap(), "create-task", "--task-title", "Second"]).success();
    server.create_task("Third");
    server.close();
    assert_total(&store, 3);
}

#[test]
fn a_file_that_another_process_has_open_under_another_name_is_refused() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    let id = server.create_task("First");
    let moved = [store.folder().join("moved"), store.file().with_file_name("renamed.db")];
    std::fs::create_dir(&moved[0]).unwrap();
    for (path, name) in
        [(moved[0].join("tasktally.db"), "moved/tasktally.db"), (moved[1].clone(), "store/renamed.db")]
    {
        std::fs::rename(store.file(), &path).unwrap();
        assert_refused(&store, name, &["open under another name", "End that process"]);
        let refused = server.call("update_task", json!({"id": id, "body": "- lost"}));
        assert!(refused.is_error, "{}", refused.value);
        std::fs::rename(&path, store.file()).unwrap();
        server.call("update_task", json!({"id": id, "body": "- kept"})).ok();
    }
    // Once nobody has the file open, its name is free.
    server.close();
    std::fs::rename(store.file(), &moved[1]).unwrap();
    store.tasktally(["--db", moved[1].to_str().unwrap(), "create-task", "--task-title", "Second"]).success();
    std::fs::rename(&moved[1], store.file()).unwrap();
    assert_total(&store, 2);
}
