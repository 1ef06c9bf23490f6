//! A store as a whole: backed up, exported, imported. What comes out is what went in, and what is cut,
//! changed or in the way is told and changes nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "movers/refused.rs"]
mod refused;
#[path = "movers/streams.rs"]
mod streams;
mod support;

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use support::ledger::{act, make};
use support::rng::Rng;
use support::rounds;
use support::server::Server;
use support::store::Store;

/// A store in which every table has a row; gives the tokens of the chunks that are claimed.
fn rich(store: &Store, rng: &mut Rng) -> HashMap<String, Value> {
    let mut server = store.serve();
    let mut held = HashMap::new();
    for _ in 0..3 {
        let batch = make(&mut server, rng);
        for _ in 0..30 {
            act(&mut server, rng, &batch, &mut held);
        }
    }
    // A worker that looks like JSON, text that would break a line, a parent made after its child.
    let odd = server.task("{\"line\":\"end\"}");
    let awkward = "- \"quoted\" \\ back\tand\n\ntwo lines \u{2028} עברית 😀";
    server.call("update_task", json!({"id": odd, "body": awkward, "assignee": "null"})).ok();
    let later = server.task("Made later");
    server.call("update_task", json!({"id": odd, "parent": later, "due": "2027-01-01"})).ok();
    let after = json!({"task_title": "After", "depends_on": [odd], "soft_depends_on": [later], "body": "- [ ] box",
        "tags": ["a", "b \"c\""], "project": "p", "request_key": "once", "complexity": "mechanical"});
    server.call("create_task", after).ok();
    // Costs, resources, somebody at work on them, an item that was only begun.
    let items = json!([{"key": "1", "files": "src/a", "n": 1.0}, {"key": "2", "files": "src/a", "deep": {"x": [null]}},
        {"key": "3", "files": ["src/a", "b"]}]);
    let batch = json!({"title": "Touching", "instructions": "x", "items": items, "max_chunk": 1, "in_doubt": "ask",
        "on_conflict": "serialize", "steps": [{"name": "one", "instructions": "x"}, {"name": "two", "instructions": "y"}],
        "finish": {"title": "Wrap up"}});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    let key = claim.text("/items/0/key");
    server.call("update_task", json!({"id": chunk, "claim": token, "item": key, "outcome": "started"})).ok();
    let spent =
        json!({"id": chunk, "claim": token, "body": "- looked", "model": "m", "tokens_in": 5, "cost": 0.25});
    server.call("update_task", spent).ok();
    let late = json!({"id": chunk, "claim": "wrong", "body": "- late", "item": key, "outcome": "done"});
    assert_eq!(server.call("update_task", late).code(), "claim_lost");
    held.insert(chunk, token);
    let mut waiting = store.server(&[]);
    waiting.listen();
    waiting.stateless();
    waiting
        .declare(json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {"form": {}}}));
    waiting.request("tools/call", json!({"name": "wait_batch", "arguments": {"id": batch}}));
    waiting.close();
    server.close();
    let sql = store.sql();
    sql.execute_batch(
        "INSERT INTO paused_profile VALUES ('mail', 'it cannot be found');
         INSERT INTO wait_question SELECT handle, 'q', 1, 0 FROM wait;
         INSERT INTO runner (batch, run_marker, profile, pid, host, started_at, heartbeat_at) SELECT task, 'n', 'mail', 1, 'h', 1, 1 FROM batch LIMIT 1;",
    )
    .unwrap();
    // Random work need not have come to these.
    sql.execute_batch(
        "INSERT INTO category_count SELECT task, 'sure', 1 FROM batch WHERE NOT EXISTS (SELECT 1 FROM category_count) LIMIT 1;
         INSERT INTO earlier_outcome SELECT chunk, position, 0, 'done', NULL, 1 FROM item
          WHERE NOT EXISTS (SELECT 1 FROM earlier_outcome) LIMIT 1;",
    )
    .unwrap();
    held
}

/// Another store, of which nothing is there yet.
fn import(lines: &Path) -> Store {
    let other = Store::new();
    other.tasktally(["import", lines.to_str().unwrap()]).success();
    other
}

fn export(store: &Store, name: &str) -> PathBuf {
    store.tasktally(["export", name]).success();
    store.folder().join(name)
}

/// The lines of an export without what tells when it was made.
fn timeless(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut first: Value = serde_json::from_str(&lines[0]).unwrap();
    first["exported"] = Value::Null;
    lines[0] = first.to_string();
    let mut last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    last["sha256"] = Value::Null;
    *lines.last_mut().unwrap() = last.to_string();
    lines
}

/// What every reading operation answers of everything that is stored.
fn replies(store: &Store) -> Vec<Value> {
    let mut server = store.serve();
    let mut told = Vec::new();
    let mut ask = |server: &mut Server, tool: &str, arguments: Value| {
        let mut reply = server.call(tool, arguments).value;
        without_the_moment(&mut reply);
        told.push(reply.clone());
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
    told
}

/// Leaves out what is different a moment later in one and the same store, and who runs a batch.
fn without_the_moment(reply: &mut Value) {
    match reply {
        Value::Object(members) => {
            members.retain(|name, _| {
                !matches!(name.as_str(), "per_minute" | "seconds_left" | "retry_after_seconds" | "runner")
            });
            members.values_mut().for_each(without_the_moment);
        }
        Value::Array(values) => values.iter_mut().for_each(without_the_moment),
        _ => {}
    }
}

#[test]
fn what_is_exported_and_imported_is_the_same_store() {
    let mut rng = Rng::seeded("what_is_exported_and_imported");
    let mut lines = 0;
    for _ in 0..rounds("TASKTALLY_ROUNDS", 1) {
        let store = Store::new();
        let held = rich(&store, &mut rng);
        let first = export(&store, "first.jsonl");
        let header: Value = serde_json::from_str(&timeless(&first)[0]).unwrap();
        for (kind, count) in header["counts"].as_object().unwrap() {
            assert!(count.as_u64().unwrap() > 0, "no {kind} in the store that is moved");
        }
        let other = import(&first);
        let second = export(&other, "second.jsonl");
        let (ours, theirs) = (timeless(&first), timeless(&second));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs);
        }
        assert_eq!(ours.len(), theirs.len());
        lines += ours.len();
        other.tasktally(["verify"]).success();
        other.assert_whole();
        assert_eq!(store.tasktally(["heads"]).success().stdout, other.tasktally(["heads"]).success().stdout);
        let unfound = "SELECT (SELECT max(row_id) FROM task) - last_task + (SELECT max(row_id) FROM receipt) - last_receipt FROM search_progress";
        let unfound: i64 = other.sql().query_row(unfound, [], |row| row.get(0)).unwrap();
        assert_eq!(unfound, 0, "all can be searched for");
        for (ours, theirs) in replies(&store).iter().zip(replies(&other)) {
            assert_eq!(ours, &theirs);
        }
        works_on(&other, &held);
        works_on(&store, &held);
        gives_back(&import(&first), &held);
        // A machine's own runner stays at home.
        let count = |store: &Store| -> u64 {
            store.sql().query_row("SELECT count(*) FROM runner", [], |row| row.get(0)).unwrap()
        };
        assert_eq!((count(&store), count(&other)), (1, 0));
    }
    println!("{lines} lines were exported, imported and exported again: the same but for the moment");
}

/// Claims go on by their tokens, requests with a key are answered as before, new work is counted on.
fn works_on(store: &Store, held: &HashMap<String, Value>) {
    let mut server = store.serve();
    for (chunk, token) in held {
        server.call("update_task", json!({"id": chunk, "claim": token, "body": "- goes on"})).ok();
    }
    let again = json!({"task_title": "After", "request_key": "once"});
    assert_eq!(
        server.call("create_task", again).code(),
        "conflict",
        "another request under the key is refused"
    );
    let id = server.task("New");
    server.call("update_task", json!({"id": id, "body": "- new"})).ok();
    assert_eq!(server.call("search_tasks", json!({"query": "new"})).ok()["tasks"][0]["id"], json!(id));
    server.close();
    store.tasktally(["verify"]).success();
}

/// Whose holders don't come along are given back as tasktally import says, and their tokens are worth nothing.
fn gives_back(store: &Store, held: &HashMap<String, Value>) {
    store.tasktally(["reset-stalled-tasks", "--hours", "0"]).success();
    let mut server = store.serve();
    for (chunk, token) in held {
        let late = server.call("complete_task", json!({"id": chunk, "claim": token}));
        assert_eq!(late.code(), "claim_lost", "{}", late.value);
    }
}

#[test]
fn a_backup_is_one_file_for_its_owner_alone_and_holds_the_store() {
    let mut rng = Rng::seeded("a_backup_is_one_file");
    let store = Store::new();
    rich(&store, &mut rng);
    std::fs::create_dir(store.folder().join("kept")).unwrap();
    let told = store.tasktally(["backup", "kept/backup.db", "--json"]).success().json();
    let kept = store.folder().join("kept");
    let names: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["backup.db"], "nothing beside it");
    let file = kept.join("backup.db");
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(told["bytes"], metadata.len());
    let count = |sql: &str| -> u64 { store.sql().query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(told["tasks"], count("SELECT count(*) FROM task"));
    assert_eq!(told["receipts"], count("SELECT count(*) FROM receipt"));
    assert_eq!(told["change"], count("SELECT max(change_number) FROM task"));

    let refused = store.tasktally(["backup", "kept/backup.db"]).code(1);
    assert!(refused.said().contains("--replace"), "{}", refused.said());
    store.tasktally(["backup", "kept/backup.db", "--replace"]).success();

    // As its message says: used where it is, or put in the place of a store.
    let restored = Store::new();
    std::fs::create_dir(restored.file().parent().unwrap()).unwrap();
    std::fs::copy(&file, restored.file()).unwrap();
    restored.tasktally(["verify"]).success();
    let runners: u64 = restored.sql().query_row("SELECT count(*) FROM runner", [], |row| row.get(0)).unwrap();
    assert_eq!(runners, 0, "nobody runs a batch of a backup");
    assert_eq!(timeless(&export(&store, "a.jsonl")), timeless(&export(&restored, "b.jsonl")));
}

#[test]
fn a_backup_never_takes_the_place_of_what_is_not_one() {
    let store = Store::new();
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
        (&format!("{file}-turn"), "part of it"),
        (&format!("{file}-wal"), "part of it"),
        ("store/../store/tasktally.db-journal", "part of it"),
        ("folder", "a folder"),
        ("/dev/null", "no regular file"),
        ("stray.db", "the log of another file"),
        ("gone/backup.db", "gone"),
    ] {
        for command in ["backup", "export"] {
            let ran = store.tasktally([command, target, "--replace"]).finish();
            assert!(matches!(ran.code, Some(1 | 2)), "{command} {target}: {}", ran.said());
            assert!(ran.said().contains(why), "{command} {target}: {}", ran.said());
        }
    }
    assert!(std::fs::read(file).unwrap() == whole, "the store is as it was");
}

/// A small store's export, and its lines.
fn small() -> (Store, PathBuf, Vec<String>) {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.task("First");
    for n in 0..3 {
        server.call("update_task", json!({"id": id, "body": format!("- mail {n}")})).ok();
    }
    server.call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a", "b"]})).ok();
    server.close();
    let path = export(&store, "whole.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    (store, path, lines)
}

/// Every file beneath a folder with what is in it.
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
fn the_largest_texts_come_back_whole() {
    let store = Store::new();
    let mut server = store.serve();
    // Each character takes six in JSON.
    let id =
        server.call("create_task", json!({"task_title": "Large", "body": "\"\\\t".repeat(300_000)})).ok();
    let id = id.text("/task/id");
    for _ in 0..3 {
        server.call("update_task", json!({"id": id, "body": "\n\"".repeat(32_000)})).ok();
    }
    server.close();
    let path = export(&store, "large.jsonl");
    let other = import(&path);
    assert_eq!(timeless(&path), timeless(&export(&other, "again.jsonl")));
}

#[test]
fn a_store_with_something_in_it_is_left_byte_for_byte() {
    let (_store, path, _) = small();
    let lines = path.to_str().unwrap();
    let other = Store::new();
    other.tasktally(["create-task", "--task-title", "Theirs"]).success();
    let folder = other.file().parent().unwrap();
    // A log that nobody has folded in stays as it is, too.
    let held = other.sql();
    held.execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE task SET effort = 'some'").unwrap();
    let kept = |folder: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        files(folder).into_iter().filter(|(path, _)| !path.ends_with("tasktally.db-shm")).collect()
    };
    let before = kept(folder);
    let refused = other.tasktally(["import", lines]).code(1);
    assert!(refused.said().contains("never mixed") && refused.said().contains("--db"), "{}", refused.said());
    assert!(kept(folder) == before, "the store was touched");
    drop(held);

    // Nor is a foreign file, or one that lies where a store's log would.
    let stray = Store::new();
    std::fs::create_dir(stray.file().parent().unwrap()).unwrap();
    std::fs::write(format!("{}-wal", stray.file().display()), "stray").unwrap();
    let said = stray.tasktally(["import", lines]).code(1).said();
    assert!(said.contains("the log of another file"), "{said}");
    std::fs::write(stray.file(), "hello\n".repeat(1000)).unwrap();
    assert!(stray.tasktally(["import", lines]).code(2).said().contains("not a SQLite file"));
}

#[test]
fn an_empty_store_is_filled_under_the_servers_that_have_it_open() {
    let (store, path, lines) = small();
    let other = Store::new();
    let mut server = other.serve();
    assert_eq!(server.call("list_tasks", json!({})).ok().count("/total"), 0);
    let file = std::fs::File::open(&path).unwrap();
    let mut command = other.command();
    let ran = command.args(["import", "-"]).stdin(file).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let total = lines.iter().filter(|line| line.starts_with("{\"line\":\"task\"")).count() as u64;
    assert_eq!(server.call("list_tasks", json!({"limit": 0})).ok().count("/total"), total);
    server.task("One more");
    let refused = other.tasktally(["import", path.to_str().unwrap()]).code(1);
    assert!(refused.said().contains("never mixed"), "{}", refused.said());
    server.close();
    other.tasktally(["verify"]).success();
    other.assert_whole();
    let heads = other.tasktally(["heads"]).success().stdout;
    assert_eq!(store.tasktally(["heads"]).success().stdout, heads);
}

#[test]
fn a_store_that_was_tampered_with_is_neither_backed_up_nor_exported() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.task("First");
    server.call("update_task", json!({"id": id, "body": "- mail"})).ok();
    server.close();
    let sql = store.sql();
    sql.execute_batch("DROP TRIGGER receipt_is_never_changed; UPDATE receipt SET text = '- forged'").unwrap();
    drop(sql);
    for command in ["backup", "export"] {
        let ran = store.tasktally([command, "kept"]).code(1);
        assert!(ran.said().contains("receipt 1 is not as it was written"), "{}", ran.said());
        assert!(!store.folder().join("kept").exists());
    }
    let ran = store.tasktally(["export"]).code(1);
    assert_eq!(ran.stdout, "", "not a line");
}

#[test]
fn whoever_reads_no_further_ends_an_export_quietly() {
    let (store, _, _) = small();
    let mut command = store.command();
    let mut child = command.arg("export").stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(support::ended(&mut child).success());
}
