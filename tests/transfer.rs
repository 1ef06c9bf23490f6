//! Backup, export and import of a store: the copy equals the original. Truncated, changed or misplaced files are refused
//! and nothing is changed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "transfer/refused.rs"]
mod refused;
#[path = "transfer/streams.rs"]
mod streams;
mod support;

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use support::full_store::{fill_every_table, lines_without_time};
use support::rng::Rng;
use support::rounds;
use support::server::Server;
use support::store::Store;

/// A new store, imported from an export.
fn import(lines: &Path) -> Store {
    let other = Store::new();
    other.tasktally(["import", lines.to_str().unwrap()]).success();
    other
}

fn export(store: &Store, name: &str) -> PathBuf {
    store.tasktally(["export", name]).success();
    store.folder().join(name)
}

/// The replies of all reading operations for everything stored.
fn replies(store: &Store) -> Vec<Value> {
    let mut server = store.serve();
    let mut replies = Vec::new();
    let mut ask = |server: &mut Server, tool: &str, arguments: Value| {
        let mut reply = server.call(tool, arguments).value;
        remove_varying(&mut reply);
        replies.push(reply.clone());
        reply
    };
    let listed = ask(&mut server, "list_tasks", json!({"limit": 0}));
    assert!(listed["next_cursor"].is_null(), "one page");
    for task in listed["tasks"].as_array().unwrap() {
        let id = &task["id"];
        ask(&mut server, "get_task", json!({"id": id}));
        if task["type"] == "epic" {
            for view in ["progress", "review", "failures", "receipts"] {
                ask(&mut server, "get_batch", json!({"id": id, "view": view}));
            }
        }
    }
    for query in ["looked", "quoted", "touching"] {
        let found = ask(&mut server, "search_tasks", json!({"query": query}));
        assert_ne!(found["count"], 0, "{query}");
    }
    ask(&mut server, "get_batch", json!({}));
    replies
}

/// Removes values that depend on the current time, and the runner.
fn remove_varying(reply: &mut Value) {
    match reply {
        Value::Object(members) => {
            members.retain(|name, _| {
                !matches!(name.as_str(), "per_minute" | "seconds_left" | "retry_after_seconds" | "runner")
            });
            members.values_mut().for_each(remove_varying);
        }
        Value::Array(values) => values.iter_mut().for_each(remove_varying),
        _ => {}
    }
}

#[test]
fn an_imported_store_equals_the_exported_one() {
    let mut rng = Rng::seeded("what_is_exported_and_imported");
    let mut lines = 0;
    for _ in 0..rounds("TASKTALLY_ROUNDS", 1) {
        let store = Store::new();
        let claims = fill_every_table(&store, &mut rng);
        let first = export(&store, "first.jsonl");
        let header: Value = serde_json::from_str(&lines_without_time(&first)[0]).unwrap();
        for (kind, count) in header["counts"].as_object().unwrap() {
            assert!(count.as_u64().unwrap() > 0, "the exported store has no {kind}");
        }
        let other = import(&first);
        let second = export(&other, "second.jsonl");
        let (ours, theirs) = (lines_without_time(&first), lines_without_time(&second));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(ours.len(), theirs.len());
        lines += ours.len();
        other.tasktally(["verify"]).success();
        other.assert_whole();
        assert_eq!(store.tasktally(["heads"]).success().stdout, other.tasktally(["heads"]).success().stdout);
        let unfound = "SELECT (SELECT max(row_id) FROM task) - last_task + (SELECT max(row_id) FROM receipt) - last_receipt FROM search_progress";
        if other.is_sqlite() {
            assert_eq!(other.sql().row::<i64>(unfound, &[]), 0, "a text is not indexed");
        }
        for (ours, theirs) in replies(&store).iter().zip(replies(&other)) {
            assert_eq!(ours, &theirs);
        }
        assert_usable(&other, &claims);
        assert_usable(&store, &claims);
        assert_claims_can_be_released(&import(&first), &claims);
        // Runners belong to a machine and are not exported.
        let count = |store: &Store| -> u64 { store.sql().row("SELECT count(*) FROM runner", &[]) };
        assert_eq!((count(&store), count(&other)), (1, 0));
    }
    println!("{lines} lines were exported, imported and exported again: equal except for the time");
}

/// Asserts that a store can be used: tokens are valid, request keys are known, new tasks and receipts can be added.
fn assert_usable(store: &Store, claims: &HashMap<String, Value>) {
    let mut server = store.serve();
    for (chunk, token) in claims {
        server.call("update_task", json!({"id": chunk, "claim": token, "body": "- continues"})).ok();
    }
    let again = json!({"task_title": "After", "project": "p", "request_key": "once"});
    assert_eq!(server.call("create_task", again).code(), "conflict", "the request key is not known");
    let id = server.create_task("New");
    server.call("update_task", json!({"id": id, "body": "- new"})).ok();
    assert_eq!(server.call("search_tasks", json!({"query": "new"})).ok()["tasks"][0]["id"], json!(id));
    server.close();
    store.tasktally(["verify"]).success();
}

/// Asserts that the command that `tasktally import` prints releases all claims and makes their tokens invalid.
fn assert_claims_can_be_released(store: &Store, claims: &HashMap<String, Value>) {
    store.tasktally(["reset-stalled-tasks", "--hours", "0"]).success();
    let mut server = store.serve();
    for (chunk, token) in claims {
        let late = server.call("complete_task", json!({"id": chunk, "claim": token}));
        assert_eq!(late.code(), "claim_lost", "{}", late.value);
    }
}

#[test]
fn a_backup_is_one_private_file_with_the_whole_store() {
    let mut rng = Rng::seeded("a_backup_is_one_file");
    let store = Store::new_sqlite();
    fill_every_table(&store, &mut rng);
    std::fs::create_dir(store.folder().join("kept")).unwrap();
    let reply = store.tasktally(["backup", "kept/backup.db", "--json"]).success().json();
    let kept = store.folder().join("kept");
    let names: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["backup.db"], "other files were created");
    let file = kept.join("backup.db");
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(reply["bytes"], metadata.len());
    let count = |sql: &str| -> u64 { store.sql().row(sql, &[]) };
    assert_eq!(reply["tasks"], count("SELECT count(*) FROM task"));
    assert_eq!(reply["receipts"], count("SELECT count(*) FROM receipt"));
    assert_eq!(reply["change"], count("SELECT max(change_number) FROM task"));

    let refused = store.tasktally(["backup", "kept/backup.db"]).code(1);
    assert!(refused.output().contains("--replace"), "{}", refused.output());
    store.tasktally(["backup", "kept/backup.db", "--replace"]).success();

    // As the message says, a backup can be copied to the path of a store.
    let restored = Store::new_sqlite();
    std::fs::create_dir(restored.file().parent().unwrap()).unwrap();
    std::fs::copy(&file, restored.file()).unwrap();
    restored.tasktally(["verify"]).success();
    let runners: u64 = restored.sql().row("SELECT count(*) FROM runner", &[]);
    assert_eq!(runners, 0, "the backup contains runners");
    assert_eq!(
        lines_without_time(&export(&store, "a.jsonl")),
        lines_without_time(&export(&restored, "b.jsonl"))
    );
}

#[test]
fn a_backup_never_replaces_the_store_or_a_file_that_is_no_backup() {
    let store = Store::new_sqlite();
    store.tasktally(["create-task", "--task-title", "Kept"]).success();
    let file = store.file().to_str().unwrap();
    let whole = std::fs::read(file).unwrap();
    let link = store.folder().join("link.db");
    std::os::unix::fs::symlink(file, &link).unwrap();
    std::fs::hard_link(file, store.folder().join("hard.db")).unwrap();
    std::fs::create_dir(store.folder().join("folder")).unwrap();
    store.write("stray.db-wal", "a log of another file");
    for (target, why) in [
        (file, "the store itself"),
        ("link.db", "the store itself"),
        ("hard.db", "the store itself"),
        (&format!("{file}-lock"), "part of it"),
        (&format!("{file}-wal"), "part of it"),
        ("store/../store/tasktally.db-journal", "part of it"),
        ("folder", "a folder"),
        ("/dev/null", "no regular file"),
        ("stray.db", "the log of another file"),
        ("gone/backup.db", "gone"),
    ] {
        for command in ["backup", "export"] {
            let ran = store.tasktally([command, target, "--replace"]).finish();
            assert!(matches!(ran.code, Some(1 | 2)), "{command} {target}: {}", ran.output());
            assert!(ran.output().contains(why), "{command} {target}: {}", ran.output());
        }
    }
    assert!(std::fs::read(file).unwrap() == whole, "the store is as it was");
}

/// A small store, the path of its export, and the lines of the export.
fn small_export() -> (Store, PathBuf, Vec<String>) {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.create_task("First");
    for n in 0..3 {
        server.call("update_task", json!({"id": id, "body": format!("- mail {n}")})).ok();
    }
    server.call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a", "b"]})).ok();
    server.close();
    let path = export(&store, "whole.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    (store, path, lines)
}

/// The content of every file in a folder and its subfolders.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

#[test]
fn the_largest_texts_are_exported_and_imported() {
    let store = Store::new();
    let mut server = store.serve();
    // Characters that JSON must escape.
    let id =
        server.call("create_task", json!({"task_title": "Large", "body": "\"\\\t".repeat(300_000)})).ok();
    let id = id.text("/task/id");
    for _ in 0..3 {
        server.call("update_task", json!({"id": id, "body": "\n\"".repeat(32_000)})).ok();
    }
    server.close();
    let path = export(&store, "large.jsonl");
    let other = import(&path);
    assert_eq!(lines_without_time(&path), lines_without_time(&export(&other, "again.jsonl")));
}

#[test]
fn an_import_leaves_a_store_with_content_byte_for_byte() {
    let (_store, path, _) = small_export();
    let lines = path.to_str().unwrap();
    let other = Store::new_sqlite();
    other.tasktally(["create-task", "--task-title", "Theirs"]).success();
    let folder = other.file().parent().unwrap();
    // A WAL that was not checkpointed stays unchanged, too.
    let claims = other.sqlite();
    claims.execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE task SET effort = 'some'").unwrap();
    let kept = |folder: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        files(folder).into_iter().filter(|(path, _)| !path.ends_with("tasktally.db-shm")).collect()
    };
    let before = kept(folder);
    let refused = other.tasktally(["import", lines]).code(1);
    assert!(
        refused.output().contains("never mixed") && refused.output().contains("--db"),
        "{}",
        refused.output()
    );
    assert!(kept(folder) == before, "the store was touched");
    drop(claims);

    // A file of another program, or one at the path of the store's WAL, stays unchanged, too.
    let stray = Store::new_sqlite();
    std::fs::create_dir(stray.file().parent().unwrap()).unwrap();
    std::fs::write(format!("{}-wal", stray.file().display()), "stray").unwrap();
    let output = stray.tasktally(["import", lines]).code(1).output();
    assert!(output.contains("the log of another file"), "{output}");
    std::fs::write(stray.file(), "hello\n".repeat(1000)).unwrap();
    assert!(stray.tasktally(["import", lines]).code(2).output().contains("not a SQLite file"));
}

#[test]
fn an_empty_store_can_be_filled_while_servers_have_it_open() {
    let (store, path, lines) = small_export();
    let other = Store::new();
    let mut server = other.serve();
    assert_eq!(server.call("list_tasks", json!({})).ok().count("/total"), 0);
    let file = std::fs::File::open(&path).unwrap();
    let mut command = other.command();
    let ran = command.args(["import", "-"]).stdin(file).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let total = lines.iter().filter(|line| line.starts_with("{\"line\":\"task\"")).count() as u64;
    assert_eq!(server.call("list_tasks", json!({"limit": 0})).ok().count("/total"), total);
    let more = server.create_task("One more");
    let refused = other.tasktally(["import", path.to_str().unwrap()]).code(1);
    assert!(refused.output().contains("never mixed"), "{}", refused.output());
    server.close();
    other.tasktally(["verify"]).success();
    other.assert_whole();
    let heads = other.tasktally(["heads"]).success().stdout;
    let imported: Vec<&str> = heads.lines().filter(|head| !head.starts_with(&more)).collect();
    assert_eq!(store.tasktally(["heads"]).success().stdout.lines().collect::<Vec<_>>(), imported);
}

#[test]
fn a_forged_store_is_neither_backed_up_nor_exported() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    let id = server.create_task("First");
    server.call("update_task", json!({"id": id, "body": "- mail"})).ok();
    server.close();
    store.forge(|sql| assert!(sql.execute_all("UPDATE receipt SET text = '- forged'").unwrap() > 0));
    for command in ["backup", "export"] {
        let ran = store.tasktally([command, "kept"]).code(1);
        assert!(ran.output().contains("receipt 1 is not as it was written"), "{}", ran.output());
        assert!(!store.folder().join("kept").exists());
    }
    let ran = store.tasktally(["export"]).code(1);
    assert_eq!(ran.stdout, "", "not a line");
}

#[test]
fn an_export_into_a_closed_pipe_ends_without_an_error() {
    let (store, _, _) = small_export();
    let mut command = store.command();
    let mut child = command.arg("export").stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(support::wait_for_exit(&mut child).success());
}

#[test]
fn an_import_counts_claims_and_no_open_batches() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "x", "items": ["a", "b"], "max_chunk": 1});
    let batch = server.call("create_batch", request).ok().text("/batch/id");
    let import = |name: &str| {
        let file = store.folder().join(name).display().to_string();
        store.tasktally(["export", &file]).success();
        store.tasktally(["import", &file, "--db", &format!("{file}.db")]).success().stdout
    };
    let open = import("open.jsonl");
    assert!(open.contains("Imported 3 tasks and 0 receipts") && !open.contains("claim"), "{open}");
    server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let claimed = import("claimed.jsonl");
    assert!(claimed.contains("; 1 claim was imported: "), "{claimed}");
}
