//! A migration that is killed or runs out of disk space: the store has its old schema or the newest one, never one
//! between, and loses nothing.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds, `TASKTALLY_SEED` repeats the same ones.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tasktally::model::receipt::Receipt;
use tasktally::model::timestamp::Timestamp;

use super::old_stores::{NEWEST, assert_content_kept, everything, old, open_read_only};
use crate::support::mount::Mount;
use crate::support::rng::Rng;
use crate::support::store::Store;
use crate::support::{rounds, run_in_parallel};

/// Additional tasks with dependencies, so that a migration takes long enough for kills to hit it.
const TASKS: i64 = 3_000;
/// Additional receipts, hashed as their writer would have done.
const RECEIPTS: u64 = 300;

/// A large store of an old schema.
fn large_old_store(store: Store, schema: i64) -> Store {
    let store = old(store, schema);
    let mut sql = store.sqlite();
    let tx = sql.transaction().unwrap();
    tx.execute(
        "WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < ?1)
         INSERT INTO task (id, title, type, status, priority, position, tags, role, opening, boxes, created, updated, changed)
         SELECT printf('bulk%08d', n), 'Task ' || n, 'task', 'active', 2, 0, '[]', 'task', printf('%.1000c', 'x'), 0, 1, 1, 100000 + n FROM k",
        [TASKS],
    )
    .unwrap();
    let first: i64 =
        tx.query_row("SELECT min(n) FROM task WHERE id LIKE 'bulk%'", [], |row| row.get(0)).unwrap();
    let needs = if schema >= 2 { "UPDATE task SET needs = 1 WHERE id LIKE 'bulk%'" } else { "" };
    tx.execute_batch(&format!(
        "INSERT INTO dependency (task, needs, soft, position)
         SELECT n, {first}, 1, 0 FROM task WHERE id LIKE 'bulk%' AND n > {first}; {needs}"
    ))
    .unwrap();
    let mut before = [0; 32];
    for number in 1..=RECEIPTS {
        let receipt = Receipt {
            number,
            at: Timestamp::from_millis(1),
            author: "w".into(),
            author_kind: None,
            text: format!("- receipt {number}"),
            item: None,
            outcome: None,
            category: None,
            late: false,
            step: None,
            cost: Default::default(),
            decision: None,
        };
        before = receipt.hash("bulk00000001", &before);
        tx.execute(
            "INSERT INTO receipt (task, number, at, author, text, late, hash) VALUES (?1, ?2, 1, 'w', ?3, 0, ?4)",
            params![first, number, receipt.text, before],
        )
        .unwrap();
    }
    tx.commit().unwrap();
    sql.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(sql);
    store
}

/// The schema version of a store.
fn schema(sql: &Connection) -> i64 {
    sql.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// A store that every round starts with.
struct Template {
    bytes: Vec<u8>,
    content: BTreeMap<String, (Vec<String>, Vec<Vec<rusqlite::types::Value>>)>,
}

fn template(schema: i64) -> Template {
    let store = large_old_store(Store::new_sqlite(), schema);
    Template { content: everything(&open_read_only(&store)), bytes: std::fs::read(store.file()).unwrap() }
}

fn write_store(store: &Store, bytes: &[u8]) {
    std::fs::create_dir_all(store.file().parent().unwrap()).unwrap();
    std::fs::write(store.file(), bytes).unwrap();
}

/// How long a migration takes on this machine, so that kills can be spread over its duration.
fn duration_of(template: &Template) -> Duration {
    let store = Store::new_sqlite();
    write_store(&store, &template.bytes);
    let start = Instant::now();
    store.tasktally(["list-tasks"]).success();
    start.elapsed()
}

#[test]
fn a_migration_killed_at_any_moment_leaves_the_old_or_the_new_schema_and_all_content() {
    let mut rng = Rng::seeded("a_migration_killed_at_any_moment");
    let (mut old_ones, mut inside, mut new_ones) = (0, 0, 0);
    let rounds = rounds("TASKTALLY_ROUNDS", 8);
    let mut templates: BTreeMap<i64, (Template, Duration)> = BTreeMap::new();
    for round in 0..rounds {
        // A few schemas in a short run, all of them in a long one.
        let from = if rounds < 20 { [1, 7][round % 2] } else { 1 + (round as i64 % (NEWEST - 1)) };
        let (template, usual) = templates.entry(from).or_insert_with(|| {
            let made = template(from);
            let usual = duration_of(&made);
            (made, usual)
        });
        let store = Store::new_sqlite();
        write_store(&store, &template.bytes);
        let processes = 1 + rng.below(3) as usize;
        let mut killed: Vec<_> = (0..processes).map(|_| store.tasktally(["list-tasks"]).start()).collect();
        let wal = format!("{}-wal", store.file().display());
        let wal_bytes = || std::fs::metadata(&wal).map_or(0, |wal| wal.len());
        if round > 0 && rng.below(2) == 0 {
            let span = usual.as_micros() as u64 * processes as u64;
            std::thread::sleep(Duration::from_micros(rng.below(span)));
        } else {
            // Once the WAL has data, the migration is running. Kill it a random time later.
            let deadline = Instant::now() + *usual * 10;
            while wal_bytes() == 0 && Instant::now() < deadline {
                std::thread::sleep(Duration::from_micros(200));
            }
            let delay = if round == 0 { 0 } else { rng.below(usual.as_micros() as u64 / 2) };
            std::thread::sleep(Duration::from_micros(delay));
        }
        for child in &mut killed {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let in_wal = wal_bytes();
        let found = schema(&store.sqlite());
        assert!(found == from || found == NEWEST, "schema {found}, between {from} and {NEWEST}");
        old_ones += usize::from(found == from);
        inside += usize::from(found == from && in_wal > 0);
        new_ones += usize::from(found == NEWEST);
        // Several processes open the store at once, as after a crash.
        run_in_parallel(3, |_| store.tasktally(["list-tasks", "--limit", "1"]).success());
        assert_eq!(schema(&store.sqlite()), NEWEST);
        assert_content_kept(&store, &template.content);
        store.assert_whole();
        store.tasktally(["verify"]).success();
    }
    println!(
        "{rounds} migrations killed: {old_ones} kept the old schema, {inside} of them killed during the migration; {new_ones} had the new schema"
    );
    assert!(inside * 16 >= rounds, "too few kills hit a running migration");
}

#[test]
fn a_store_whose_creation_was_killed_is_created_by_the_next_process() {
    let mut rng = Rng::seeded("a_store_whose_creation_was_killed");
    let (mut started, rounds) = (0, rounds("TASKTALLY_ROUNDS", 20));
    let usual = {
        let (store, at) = (Store::new_sqlite(), Instant::now());
        store.tasktally(["create-task", "--task-title", "First"]).success();
        at.elapsed()
    };
    for _ in 0..rounds {
        let store = Store::new_sqlite();
        let mut child = store.tasktally(["create-task", "--task-title", "First"]).start();
        std::thread::sleep(Duration::from_micros(rng.below(usual.as_micros() as u64)));
        child.kill().unwrap();
        child.wait().unwrap();
        if store.file().exists() {
            started += 1;
            let found = schema(&store.sqlite());
            assert!(found == 0 || found == NEWEST, "schema {found}");
        }
        run_in_parallel(2, |_| store.tasktally(["create-task", "--task-title", "Next"]).success());
        let listed = store.tasktally(["list-tasks", "--json"]).success().json();
        assert!(matches!(listed["total"].as_u64(), Some(2 | 3)), "{listed}");
        store.assert_whole();
    }
    println!("{rounds} creations killed, {started} of them after the file existed");
    assert!(started > 0, "no kill hit the creation");
}

#[test]
fn eight_processes_that_open_an_old_store_at_once_migrate_it_once() {
    let store = large_old_store(Store::new_sqlite(), 1);
    let before = everything(&open_read_only(&store));
    run_in_parallel(8, |number| {
        store.tasktally(["create-task", "--task-title", &format!("By {number}")]).success();
    });
    let listed = store.tasktally(["list-tasks", "--limit", "0", "--json"]).success().json();
    assert_eq!(listed["total"].as_u64().unwrap() as usize, before["task"].1.len() + 8);
    assert_eq!(schema(&store.sqlite()), NEWEST);
    store.tasktally(["verify"]).success();
    store.assert_whole();
}

#[test]
fn a_migration_without_disk_space_leaves_the_store_unchanged() {
    let store = Store::new_sqlite().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "64m") else {
        return;
    };
    let store = large_old_store(store, 1);
    let before = everything(&open_read_only(&store));
    let used = std::fs::metadata(store.file()).unwrap().len() / 1024;
    let mut refused = 0;
    // From no free space up to more than enough.
    for free_kb in [64, 256, 512, 1024, 2048, 4096] {
        disk.remount(&format!("size={}k", used + free_kb));
        let ran = store.tasktally(["list-tasks", "--json"]).finish();
        if ran.code == Some(0) {
            break;
        }
        refused += 1;
        let output = ran.output();
        assert!(output.contains("full") && output.contains("is unchanged"), "{free_kb} kB: {output}");
        assert_eq!(schema(&open_read_only(&store)), 1, "{free_kb} kB");
        assert_eq!(everything(&open_read_only(&store)), before, "{free_kb} kB");
    }
    assert!(refused > 1, "the disk was never full");
    disk.remount("size=64m");
    store.tasktally(["list-tasks"]).success();
    assert_content_kept(&store, &before);
    store.tasktally(["verify"]).success();
    println!("refused {refused} times for lack of disk space");
}
