//! Backups, exports and imports while other processes write, killed at any moment, or onto a full disk: the result is
//! complete and holds everything acknowledged before its start, or there is no result.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds, `TASKTALLY_SEED` repeats the same ones.

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

/// The texts of the receipts that a writer got acknowledged, in the order of their numbers.
type AcknowledgedTexts = Vec<String>;

/// Asserts that a backup or an imported store passes its checks and holds the acknowledged receipts.
fn assert_holds(store: &Store, file: &Path, tasks: &[String], known: &[AcknowledgedTexts]) {
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
        assert_eq!(&texts[..known.len()], known, "receipts acknowledged before the copy");
    }
}

#[test]
fn a_copy_made_while_four_processes_write_holds_everything_acknowledged_before() {
    let store = Store::new_sqlite();
    let tasks: Vec<String> = (0..WRITERS).map(|n| store.serve().create_task(&format!("Log {n}"))).collect();
    // Large enough that a copy takes several steps, with writes between them.
    let mut server = store.serve();
    let large = server.create_task("Large");
    let text = "many words ".repeat(5_900);
    let sent: Vec<u64> =
        (0..30).map(|_| server.send("update_task", json!({"id": large, "body": text}))).collect();
    sent.into_iter().for_each(|id| drop(server.recv(id).unwrap().ok()));
    server.close();
    let known: Vec<Mutex<AcknowledgedTexts>> = (0..WRITERS).map(|_| Mutex::default()).collect();
    let over = AtomicBool::new(false);
    let so_far =
        || -> Vec<AcknowledgedTexts> { known.iter().map(|known| known.lock().unwrap().clone()).collect() };
    let count = |all: &[AcknowledgedTexts]| all.iter().map(Vec::len).sum::<usize>();
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
    assert!(meanwhile > 0, "no process wrote during the copies");
    println!("{copies} copies while {WRITERS} processes wrote {meanwhile} receipts: each complete");
}

/// Fills a store with 150 tasks of one receipt each. Returns the number of receipts.
fn fill_store(store: &Store) -> u64 {
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

/// The names in a folder that do not start with a dot.
fn visible_files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let mut seen: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    seen.sort();
    seen
}

/// The number of temporary files that a process left in a folder.
fn temporary_files(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with('.')).count()
}

/// The commands under test: name, arguments and the resulting file.
const COMMANDS: [(&str, &[&str], &str); 4] = [
    ("backup", &["backup", "kept/backup.db"], "backup.db"),
    ("export", &["export", "kept/lines.jsonl"], "lines.jsonl"),
    ("import", &["--db", "kept/made.db", "import", "whole.jsonl"], "made.db"),
    ("fill", &["--db", "kept/empty.db", "import", "whole.jsonl"], "empty.db"),
];

#[test]
fn a_killed_command_leaves_a_complete_copy_or_none() {
    let mut rng = Rng::seeded("a_killed_command_leaves_a_complete_copy");
    let store = Store::new_sqlite();
    let receipts = fill_store(&store);
    store.tasktally(["export", "whole.jsonl"]).success();
    let kept = store.folder().join("kept");
    let fresh = |command: &str| {
        let _ = std::fs::remove_dir_all(&kept);
        std::fs::create_dir(&kept).unwrap();
        if command == "fill" {
            store.tasktally(["--db", "kept/empty.db", "serve"]).success();
        }
    };
    let (mut killed, mut complete, mut left) = (0, 0, 0);
    // How long each command takes, so that kills can be spread over its duration.
    let durations: Vec<Duration> = COMMANDS
        .iter()
        .map(|(command, args, _)| {
            fresh(command);
            let start = Instant::now();
            store.tasktally(*args).success();
            start.elapsed()
        })
        .collect();
    for round in 0..rounds("TASKTALLY_ROUNDS", 12) {
        let (command, args, name) = COMMANDS[round % COMMANDS.len()];
        fresh(command);
        let mut child = store.tasktally(args).start();
        thread::sleep(durations[round % COMMANDS.len()].mul_f64(rng.below(1_100) as f64 / 1_000.0));
        child.kill().unwrap();
        let has_ended = child.wait().unwrap().success();
        killed += usize::from(!has_ended);
        left += temporary_files(&kept);
        let file = kept.join(name);
        let others: Vec<String> =
            visible_files(&kept).into_iter().filter(|seen| !seen.starts_with(name)).collect();
        assert!(others.is_empty(), "{command}, round {round}: {others:?}");
        if file.exists() {
            complete += assert_complete(&store, command, &file, receipts, has_ended);
        } else {
            assert!(!has_ended, "{command}, round {round}: it succeeded without a result");
        }
        // Run the command again over what the killed one left.
        if !file.exists() {
            store.tasktally(args).success();
            assert_eq!(
                temporary_files(&kept),
                0,
                "{command}, round {round}: the temporary files of the killed command are gone"
            );
            assert_eq!(assert_complete(&store, command, &file, receipts, true), 1);
        }
    }
    assert!(killed > 0, "nothing was killed");
    println!(
        "{killed} were killed, {left} temporary files were left, {complete} results were complete, the others not there"
    );
}

/// Asserts that a result holds the whole store. A store that was to be filled may be empty unless `must_be_full`.
/// Returns 1 if it is complete and 0 if it is empty.
fn assert_complete(store: &Store, command: &str, file: &Path, receipts: u64, must_be_full: bool) -> usize {
    let named = file.to_str().unwrap();
    if command == "export" {
        let made = store.folder().join("again.db");
        store.tasktally(["--db", made.to_str().unwrap(), "import", named]).success();
        std::fs::remove_file(&made).unwrap();
        return 1;
    }
    let reply = store.tasktally(["--db", named, "verify", "--json"]).success().json();
    if command == "fill" && !must_be_full && reply["receipts"] == 0 && reply["tasks"] == 0 {
        return 0;
    }
    assert_eq!(reply["receipts"], receipts, "{command}");
    1
}

#[test]
fn on_a_full_disk_a_command_is_refused_and_leaves_nothing() {
    let mut rng = Rng::seeded("on_a_full_disk");
    let store = Store::new_sqlite();
    let receipts = fill_store(&store);
    store.tasktally(["export", "whole.jsonl"]).success();
    let kept = store.folder().join("kept");
    let Some(disk) = Mount::tmpfs(kept.clone(), "64m") else {
        return;
    };
    let (mut full, mut done) = (0, 0);
    for round in 0..rounds("TASKTALLY_ROUNDS", 12) {
        let (command, args, name) = COMMANDS[round % COMMANDS.len()];
        disk.remount("size=64m");
        if command == "fill" {
            store.tasktally(["--db", "kept/empty.db", "serve"]).success();
        }
        disk.remount(&format!("size={}k", 500 + rng.below(2_500)));
        let before = visible_files(&kept);
        let ran = store.tasktally(args).finish();
        let file = kept.join(name);
        assert_eq!(temporary_files(&kept), 0, "{command}: a temporary file was left: {}", ran.output());
        if ran.code == Some(0) {
            done += assert_complete(&store, command, &file, receipts, true);
        } else {
            full += 1;
            let output = ran.output().to_lowercase();
            assert!(output.contains("full") || output.contains("no space"), "{command}: {output}");
            disk.remount("size=64m");
            if command == "fill" {
                assert_eq!(
                    assert_complete(&store, command, &file, receipts, false),
                    0,
                    "{command}: the store is not empty"
                );
            } else {
                assert_eq!(visible_files(&kept), before, "{command}: {output}");
            }
        }
        for name in visible_files(&kept) {
            std::fs::remove_file(kept.join(name)).unwrap();
        }
    }
    assert!(full > 0, "no disk was full");
    println!("{full} found the disk full and left nothing, {done} succeeded and were complete");
}
