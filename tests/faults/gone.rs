//! The store is taken away, or the disk is full, under servers that are at work.

use serde_json::json;

use super::asked::says;
use crate::support::background::{batch, processes, runner};
use crate::support::eventually;
use crate::support::mount::Mount;
use crate::support::server::Server;
use crate::support::store::Store;

/// Writing and reading, each of which must be refused in these words.
#[track_caller]
fn assert_refused(server: &mut Server, id: &str, words: &str) {
    for round in 0..3 {
        let written = server.call("update_task", json!({"id": id, "body": format!("- lost {round}")}));
        assert_eq!(written.refusal(), "internal", "{}", written.value);
        assert!(written.message().contains(words), "{}", written.message());
        assert!(written.message().contains("nothing was written"), "round {round}: {}", written.message());
    }
}

#[track_caller]
fn assert_unread(server: &mut Server, id: &str, words: &str) {
    let read = server.call("get_task", json!({"id": id}));
    assert!(read.is_error && read.message().contains(words), "{}", read.value);
}

#[test]
fn a_store_that_was_removed_under_a_server_keeps_nothing_and_says_so() {
    let store = Store::new();
    let mut servers = [store.serve(), store.serve()];
    let id = servers[0].task("Log");
    servers[1].look(&id);
    std::fs::remove_dir_all(store.file().parent().unwrap()).unwrap();
    for server in &mut servers {
        assert_refused(server, &id, "removed while tasktally was at work");
        assert_unread(server, &id, "removed while tasktally was at work");
    }
    // A new one is made by who starts anew; those at work still don't take it for theirs.
    let other = store.serve().task("Other");
    for server in &mut servers {
        let written = server.call("create_task", json!({"task_title": "Nowhere"}));
        assert!(written.is_error && says(&written, "while tasktally was at work"), "{}", written.value);
        assert_unread(server, &other, "in its place");
    }
    store.assert_whole();
    println!("a removed store: 2 servers, 6 writes and 4 reads refused, none answered");
}

#[test]
fn a_store_that_was_replaced_under_a_server_is_not_written_for_the_other() {
    let store = Store::new();
    let (folder, away) = (store.file().parent().unwrap().to_owned(), store.folder().join("away"));
    let mut server = store.serve();
    let id = server.task("Log");
    std::fs::rename(&folder, &away).unwrap();
    let other = store.serve().task("Other");
    assert_refused(&mut server, &id, "another file was put in its place");
    assert_unread(&mut server, &other, "another file was put in its place");
    let listed = store.serve().call("list_tasks", json!({"limit": 0})).ok();
    assert_eq!(listed.count("/total"), 1, "the other is as it was");
    // Put back, it goes on with all that is in it.
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    server.call("update_task", json!({"id": id, "body": "- back"})).ok();
    assert!(server.body(&id).ends_with("- back"));
    server.close();
    store.assert_whole();
    store.tasktally(["verify"]).success();
}

#[test]
fn a_store_that_came_to_the_place_of_one_with_an_empty_log_is_not_written_to_by_its_server() {
    let store = Store::new();
    let beside = |name: &str| store.file().with_file_name(name);
    let other = Store::new();
    let kept = other.serve().task("Other");
    other.tasktally(["export", "out.jsonl"]).success();
    let mut server = store.serve();
    let id = server.task("Log");
    let fold = "PRAGMA wal_checkpoint(TRUNCATE)";
    store.sql().query_row(fold, [], |row| row.get::<_, bool>(0)).unwrap();
    assert_eq!(std::fs::metadata(beside("tasktally.db-wal")).unwrap().len(), 0);
    std::fs::rename(store.file(), beside("away.db")).unwrap();
    let lines = other.folder().join("out.jsonl");
    let refused = store.tasktally(["import", lines.to_str().unwrap()]).code(1);
    assert!(refused.said().contains("tasktally.db-wal lies there"), "{}", refused.said());
    // Whoever copies it there by hand is not asked.
    std::fs::copy(other.file(), store.file()).unwrap();
    for _ in 0..3 {
        assert_refused(&mut server, &id, "another file was put in its place");
    }
    drop(server);
    store.assert_whole();
    assert_eq!(store.serve().look(&kept).text("/task/id"), kept);
}

#[test]
fn a_log_that_was_removed_under_a_server_is_not_written_to() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.task("Log");
    std::fs::remove_file(format!("{}-wal", store.file().display())).unwrap();
    assert_refused(&mut server, &id, "-wal was removed while tasktally was at work");
}

#[test]
fn a_disk_that_was_taken_away_is_told() {
    let store = Store::new().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "16m") else {
        println!("skipped a_disk_that_was_taken_away: no right to mount");
        return;
    };
    let mut server = store.serve();
    let id = server.task("Log");
    drop(disk);
    assert_refused(&mut server, &id, "removed while tasktally was at work");
}

#[test]
fn a_full_disk_is_an_error_and_what_was_acknowledged_stays() {
    let store = Store::new().at("disk/store/tasktally.db");
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

    // Killed and started anew while there is no room.
    server.kill();
    let mut server = store.serve();
    assert_eq!(server.body(&id), kept.join("\n\n"), "what was acknowledged is read by a new server");
    let refused = server.call("update_task", json!({"id": id, "body": "x".repeat(20_000)}));
    assert!(refused.is_error && refused.message().contains("full"), "{}", refused.value);

    disk.remount("size=64m");
    server.call("update_task", json!({"id": id, "body": "- room again"})).ok();
    server.close();
    store.assert_whole();
    assert_eq!(store.serve().body(&id), format!("{}\n\n- room again", kept.join("\n\n")));
}

#[test]
fn a_runner_whose_store_was_removed_ends_with_all_that_it_started() {
    let profile = "[worker.slow]\nper = \"item\"\ncommand = [\"sleep\", \"2\"]\n";
    let store = Store::new().with_config(profile);
    let mut server = store.serve();
    let id = batch(&mut server, 1, 1, "slow");
    runner(&mut server, &id);
    eventually("a worker to be at work", || (processes(&id).len() > 2).then_some(()));
    std::fs::remove_dir_all(store.file().parent().unwrap()).unwrap();
    eventually("all of it to end", || processes(&id).is_empty().then_some(()));
}
