//! The store is removed or replaced, or the disk becomes full, while servers use it.

use serde_json::json;

use super::stored_writes::says;
use crate::support::background::{processes_with, start_batch, wait_for_runner};
use crate::support::eventually;
use crate::support::mount::Mount;
use crate::support::server::Server;
use crate::support::store::Store;

/// Asserts that writes are refused with these words.
#[track_caller]
fn assert_writes_refused(server: &mut Server, id: &str, words: &str) {
    for round in 0..3 {
        let written = server.call("update_task", json!({"id": id, "body": format!("- lost {round}")}));
        assert_eq!(written.refusal(), "internal", "{}", written.value);
        assert!(written.message().contains(words), "{}", written.message());
        assert!(written.message().contains("nothing was written"), "round {round}: {}", written.message());
    }
}

/// Asserts that a read is refused with these words.
#[track_caller]
fn assert_read_refused(server: &mut Server, id: &str, words: &str) {
    let read = server.call("get_task", json!({"id": id}));
    assert!(read.is_error && read.message().contains(words), "{}", read.value);
}

#[test]
fn a_server_whose_store_was_removed_refuses_reads_and_writes() {
    let store = Store::new_sqlite();
    let mut servers = [store.serve(), store.serve()];
    let id = servers[0].create_task("Log");
    servers[1].read_task(&id);
    std::fs::remove_dir_all(store.file().parent().unwrap()).unwrap();
    for server in &mut servers {
        assert_writes_refused(server, &id, "removed while tasktally had it open");
        assert_read_refused(server, &id, "removed while tasktally had it open");
    }
    // A new server creates a new store. The running servers must not mistake it for theirs.
    let other = store.serve().create_task("Other");
    for server in &mut servers {
        let written = server.call("create_task", json!({"task_title": "Nowhere"}));
        assert!(written.is_error && says(&written, "while tasktally had it open"), "{}", written.value);
        assert_read_refused(server, &other, "in its place");
    }
    store.assert_whole();
    println!("a removed store: 2 servers refused 6 writes and 4 reads and answered none");
}

#[test]
fn a_server_whose_store_was_replaced_does_not_write_to_the_other_store() {
    let store = Store::new_sqlite();
    let (folder, away) = (store.file().parent().unwrap().to_owned(), store.folder().join("away"));
    let mut server = store.serve();
    let id = server.create_task("Log");
    std::fs::rename(&folder, &away).unwrap();
    let other = store.serve().create_task("Other");
    assert_writes_refused(&mut server, &id, "another file was put in its place");
    assert_read_refused(&mut server, &other, "another file was put in its place");
    let listed = store.serve().call("list_tasks", json!({"limit": 0})).ok();
    assert_eq!(listed.count("/total"), 1, "the other store is unchanged");
    // Once its store is back, the server continues.
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    server.call("update_task", json!({"id": id, "body": "- back"})).ok();
    assert!(server.body(&id).ends_with("- back"));
    server.close();
    store.assert_whole();
    store.tasktally(["verify"]).success();
}

#[test]
fn a_store_that_replaced_one_with_an_empty_wal_is_not_written_to() {
    let store = Store::new_sqlite();
    let beside = |name: &str| store.file().with_file_name(name);
    let other = Store::new_sqlite();
    let kept = other.serve().create_task("Other");
    other.tasktally(["export", "out.jsonl"]).success();
    let mut server = store.serve();
    let id = server.create_task("Log");
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    store.sqlite().query_row(checkpoint, [], |row| row.get::<_, bool>(0)).unwrap();
    assert_eq!(std::fs::metadata(beside("tasktally.db-wal")).unwrap().len(), 0);
    std::fs::rename(store.file(), beside("away.db")).unwrap();
    let lines = other.folder().join("out.jsonl");
    let refused = store.tasktally(["import", lines.to_str().unwrap()]).code(1);
    assert!(refused.output().contains("tasktally.db-wal exists"), "{}", refused.output());
    // A copy by hand is not checked.
    std::fs::copy(other.file(), store.file()).unwrap();
    for _ in 0..3 {
        assert_writes_refused(&mut server, &id, "another file was put in its place");
    }
    drop(server);
    store.assert_whole();
    assert_eq!(store.serve().read_task(&kept).text("/task/id"), kept);
}

#[test]
fn a_wal_that_was_removed_is_not_written_to() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    let id = server.create_task("Log");
    std::fs::remove_file(format!("{}-wal", store.file().display())).unwrap();
    assert_writes_refused(&mut server, &id, "-wal was removed while tasktally had it open");
}

#[test]
fn a_server_whose_disk_was_unmounted_refuses_writes() {
    let store = Store::new_sqlite().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else {
        return;
    };
    let mut server = store.serve();
    let id = server.create_task("Log");
    drop(disk);
    assert_writes_refused(&mut server, &id, "removed while tasktally had it open");
}

#[test]
fn a_full_disk_is_an_error_and_acknowledged_receipts_stay() {
    let store = Store::new_sqlite().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "3m") else {
        return;
    };
    let mut server = store.serve();
    let id = server.create_task("Log");
    let mut acknowledged = Vec::new();
    let refused = loop {
        let text = format!("- {} {}", acknowledged.len(), "x".repeat(20_000));
        let reply = server.call("update_task", json!({"id": id, "body": text}));
        if !reply.succeeded() {
            break reply;
        }
        acknowledged.push(text);
        assert!(acknowledged.len() < 1000, "a disk of 3 MB took 20 MB");
    };
    assert!(refused.is_error, "{}", refused.value);
    assert!(refused.message().to_lowercase().contains("full"), "{}", refused.message());
    assert!(!acknowledged.is_empty());
    assert_eq!(server.body(&id), acknowledged.join("\n\n"), "acknowledged receipts are still read");

    // Restarted while the disk is full.
    server.kill();
    let mut server = store.serve();
    assert_eq!(server.body(&id), acknowledged.join("\n\n"), "acknowledged receipts are read by a new server");
    let refused = server.call("update_task", json!({"id": id, "body": "x".repeat(20_000)}));
    assert!(refused.is_error && refused.message().contains("full"), "{}", refused.value);

    disk.remount("size=64m");
    server.call("update_task", json!({"id": id, "body": "- space again"})).ok();
    server.close();
    store.assert_whole();
    assert_eq!(store.serve().body(&id), format!("{}\n\n- space again", acknowledged.join("\n\n")));
}

#[test]
fn a_runner_whose_store_was_removed_ends_with_all_processes_that_it_started() {
    let profile = "[worker.slow]\nper = \"item\"\ncommand = [\"sleep\", \"2\"]\n";
    let store = Store::new_sqlite().with_config(profile);
    let mut server = store.serve();
    let id = start_batch(&mut server, 1, 1, "slow");
    wait_for_runner(&mut server, &id);
    eventually("a worker to run", || (processes_with(&id).len() > 2).then_some(()));
    std::fs::remove_dir_all(store.file().parent().unwrap()).unwrap();
    eventually("the runner and its workers to end", || processes_with(&id).is_empty().then_some(()));
}
