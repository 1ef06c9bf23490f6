//! A backup, an export or an import while others write, killed at any moment, or onto a full disk: a whole
//! one, with all that was acknowledged before it began, or none.
//!
//! `TASKTALLY_ROUNDS` asks for more rounds, `TASKTALLY_SEED` for the same ones again.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;

use crate::support::mount::Mount;
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::store::Store;

const WRITERS: usize = 4;

/// What a copy must hold: the text of each receipt that a writer was acknowledged, by its number.
type Acknowledged = Vec<String>;

/// A store that is used where a backup lies, or that was made by an import.
fn assert_holds(store: &Store, file: &Path, tasks: &[String], known: &[Acknowledged]) {
    let file = file.to_str().unwrap();
    store.tasktally(["--db", file, "verify"]).success();
    let sql = Connection::open(file).unwrap();
    let whole: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    for (task, known) in tasks.iter().zip(known) {
        let mut texts = sql
            .prepare(
                "SELECT text FROM receipt WHERE task = (SELECT row_id FROM task WHERE id = ?1) ORDER BY number",
            )
            .unwrap();
        let texts: Vec<String> =
            texts.query_map([task], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert!(texts.len() >= known.len(), "{} of {} acknowledged receipts", texts.len(), known.len());
        assert_eq!(&texts[..known.len()], known, "what was acknowledged before it began");
    }
}

#[test]
fn a_copy_made_while_four_processes_write_holds_all_that_was_acknowledged_before() {
    let store = Store::new();
    let tasks: Vec<String> = (0..WRITERS).map(|n| store.serve().task(&format!("Log {n}"))).collect();
    // More than one step of a copy, so that writes come between.
    let mut server = store.serve();
    let large = server.task("Large");
    let text = "many words ".repeat(5_900);
    let sent: Vec<u64> =
        (0..30).map(|_| server.send("update_task", json!({"id": large, "body": text}))).collect();
    sent.into_iter().for_each(|id| drop(server.recv(id).unwrap().ok()));
    server.close();
    let known: Vec<Mutex<Acknowledged>> = (0..WRITERS).map(|_| Mutex::default()).collect();
    let over = AtomicBool::new(false);
    let so_far =
        || -> Vec<Acknowledged> { known.iter().map(|known| known.lock().unwrap().clone()).collect() };
    let count = |all: &[Acknowledged]| all.iter().map(Vec::len).sum::<usize>();
    let (mut meanwhile, mut copies) = (0, 0);
    thread::scope(|scope| {
        for (task, known) in tasks.iter().zip(&known) {
            let (store, over) = (&store, &over);
            scope.spawn(move || {
                let mut server = store.serve();
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let text = format!("- {number} {}", "x".repeat(200));
                    server.call("update_task", json!({"id": task, "body": text})).ok();
                    known.lock().unwrap().push(text);
                }
                server.close();
            });
        }
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..rounds("TASKTALLY_ROUNDS", 2) {
                let before = so_far();
                let (backup, lines) = (format!("backup-{round}.db"), format!("lines-{round}.jsonl"));
                store.tasktally(["backup", &backup]).success();
                let between = so_far();
                store.tasktally(["export", &lines]).success();
                meanwhile += count(&so_far()) - count(&before);
                let (backup, made) =
                    (store.folder().join(backup), store.folder().join(format!("made-{round}.db")));
                assert_holds(&store, &backup, &tasks, &before);
                store.tasktally(["--db", made.to_str().unwrap(), "import", &lines]).success();
                assert_holds(&store, &made, &tasks, &between);
                copies += 2;
            }
        }));
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    store.tasktally(["verify"]).success();
    assert!(meanwhile > 0, "nobody wrote meanwhile");
    println!("{copies} copies while {WRITERS} processes wrote {meanwhile} receipts: each whole");
}

/// A store of some size; gives how many receipts it has.
fn sizeable(store: &Store) -> u64 {
    const TASKS: u64 = 150;
    let mut server = store.serve();
    let text = "x".repeat(1_500);
    let tasks: Vec<u64> = (0..TASKS)
        .map(|n| server.send("create_task", json!({"task_title": format!("Task {n}"), "body": text})))
        .collect();
    for task in tasks {
        let id = server.recv(task).unwrap().ok().text("/task/id");
        server.call("update_task", json!({"id": id, "body": format!("- {text}")})).ok();
    }
    server.close();
    TASKS
}

/// The names in a folder that a person would see.
fn seen(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let mut seen: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    seen.sort();
    seen
}

/// What killed processes left aside.
fn aside(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with('.')).count()
}

/// What is done to a folder: the arguments, and the file that comes of it.
const DEEDS: [(&str, &[&str], &str); 4] = [
    ("backup", &["backup", "kept/backup.db"], "backup.db"),
    ("export", &["export", "kept/lines.jsonl"], "lines.jsonl"),
    ("import", &["--db", "kept/made.db", "import", "whole.jsonl"], "made.db"),
    ("fill", &["--db", "kept/empty.db", "import", "whole.jsonl"], "empty.db"),
];

#[test]
fn killed_at_any_moment_there_is_a_whole_copy_or_none() {
    let mut rng = Rng::seeded("killed_at_any_moment_there_is_a_whole_copy");
    let store = Store::new();
    let receipts = sizeable(&store);
    store.tasktally(["export", "whole.jsonl"]).success();
    let kept = store.folder().join("kept");
    let fresh = |deed: &str| {
        let _ = std::fs::remove_dir_all(&kept);
        std::fs::create_dir(&kept).unwrap();
        if deed == "fill" {
            store.tasktally(["--db", "kept/empty.db", "list-tasks"]).success();
        }
    };
    let (mut killed, mut whole, mut left) = (0, 0, 0);
    // How long each takes unhindered, so that the kills come while it is at it.
    let takes: Vec<Duration> = DEEDS
        .iter()
        .map(|(deed, args, _)| {
            fresh(deed);
            let start = Instant::now();
            store.tasktally(*args).success();
            start.elapsed()
        })
        .collect();
    for round in 0..rounds("TASKTALLY_ROUNDS", 12) {
        let (deed, args, name) = DEEDS[round % DEEDS.len()];
        fresh(deed);
        let mut child = store.tasktally(args).start();
        thread::sleep(takes[round % DEEDS.len()].mul_f64(rng.below(1_100) as f64 / 1_000.0));
        child.kill().unwrap();
        let has_ended = child.wait().unwrap().success();
        killed += usize::from(!has_ended);
        left += aside(&kept);
        let file = kept.join(name);
        let others: Vec<String> = seen(&kept).into_iter().filter(|seen| !seen.starts_with(name)).collect();
        assert!(others.is_empty(), "{deed}, round {round}: {others:?}");
        if file.exists() {
            whole += assert_whole(&store, deed, &file, receipts, has_ended);
        } else {
            assert!(!has_ended, "{deed}, round {round}: it said that it was done");
        }
        // Once more, over what was left.
        if !file.exists() {
            store.tasktally(args).success();
            assert_eq!(aside(&kept), 0, "{deed}, round {round}: what a killed one left is gone");
            assert_eq!(assert_whole(&store, deed, &file, receipts, true), 1);
        }
    }
    assert!(killed > 0, "nothing was killed");
    println!("{killed} were killed, {left} left something aside, {whole} were done: whole or not there");
}

/// Holds a file to be all of the store; an empty store that was to be filled may be empty. Gives how many are whole.
fn assert_whole(store: &Store, deed: &str, file: &Path, receipts: u64, must: bool) -> usize {
    let named = file.to_str().unwrap();
    if deed == "export" {
        let made = store.folder().join("again.db");
        store.tasktally(["--db", made.to_str().unwrap(), "import", named]).success();
        std::fs::remove_file(&made).unwrap();
        return 1;
    }
    let told = store.tasktally(["--db", named, "verify", "--json"]).success().json();
    if deed == "fill" && !must && told["receipts"] == 0 && told["tasks"] == 0 {
        return 0;
    }
    assert_eq!(told["receipts"], receipts, "{deed}");
    1
}

#[test]
fn on_a_full_disk_it_is_told_and_nothing_is_left() {
    let mut rng = Rng::seeded("on_a_full_disk");
    let store = Store::new();
    let receipts = sizeable(&store);
    store.tasktally(["export", "whole.jsonl"]).success();
    let kept = store.folder().join("kept");
    let Some(disk) = Mount::tmpfs(kept.clone(), "64m") else {
        println!("skipped on_a_full_disk: no right to mount");
        return;
    };
    let (mut full, mut done) = (0, 0);
    for round in 0..rounds("TASKTALLY_ROUNDS", 12) {
        let (deed, args, name) = DEEDS[round % DEEDS.len()];
        disk.remount("size=64m");
        if deed == "fill" {
            store.tasktally(["--db", "kept/empty.db", "list-tasks"]).success();
        }
        disk.remount(&format!("size={}k", 500 + rng.below(2_500)));
        let before = seen(&kept);
        let ran = store.tasktally(args).finish();
        let file = kept.join(name);
        assert_eq!(aside(&kept), 0, "{deed}: something was left: {}", ran.said());
        if ran.code == Some(0) {
            done += assert_whole(&store, deed, &file, receipts, true);
        } else {
            full += 1;
            let said = ran.said().to_lowercase();
            assert!(said.contains("full") || said.contains("no space"), "{deed}: {said}");
            disk.remount("size=64m");
            if deed == "fill" {
                assert_eq!(
                    assert_whole(&store, deed, &file, receipts, false),
                    0,
                    "{deed}: it is empty still"
                );
            } else {
                assert_eq!(seen(&kept), before, "{deed}: {said}");
            }
        }
        for name in seen(&kept) {
            std::fs::remove_file(kept.join(name)).unwrap();
        }
    }
    assert!(full > 0, "no disk was full");
    println!("{full} found the disk full and left nothing, {done} had room and were whole");
}
