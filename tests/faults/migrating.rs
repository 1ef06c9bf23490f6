//! A migration that is killed, or for which there is no room: the store is as old as it was or up to date,
//! never between, and nothing of it is lost.
//!
//! `TASKTALLY_ROUNDS` asks for more rounds, `TASKTALLY_SEED` for the same ones again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tasktally::model::receipt::Receipt;
use tasktally::model::timestamp::Timestamp;

use super::old_stores::{NEWEST, assert_all_is_there, everything, look, old};
use crate::support::mount::Mount;
use crate::support::rng::Rng;
use crate::support::store::Store;
use crate::support::{rounds, together};

/// So many more tasks, each with a dependency, make a migration take long enough to be hit.
const TASKS: i64 = 3_000;
/// So many more receipts, their chain as their writer would have made it.
const RECEIPTS: u64 = 300;

/// The kept store of a schema, made large.
fn large(store: Store, schema: i64) -> Store {
    let store = old(store, schema);
    let mut sql = store.sql();
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
            text: format!("- receipt {number}"),
            item: None,
            outcome: None,
            category: None,
            late: false,
            step: None,
            cost: Default::default(),
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

/// The schema of a store.
fn schema(sql: &Connection) -> i64 {
    sql.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

/// Its bytes, to begin every round with.
struct Template {
    bytes: Vec<u8>,
    all: BTreeMap<String, (Vec<String>, Vec<Vec<rusqlite::types::Value>>)>,
}

fn template(schema: i64) -> Template {
    let store = large(Store::new(), schema);
    Template { all: everything(&look(&store)), bytes: std::fs::read(store.file()).unwrap() }
}

fn place(store: &Store, bytes: &[u8]) {
    std::fs::create_dir_all(store.file().parent().unwrap()).unwrap();
    std::fs::write(store.file(), bytes).unwrap();
}

/// How long a migration takes here and now, to know among which moments to choose.
fn usual(template: &Template) -> Duration {
    let store = Store::new();
    place(&store, &template.bytes);
    let begun = Instant::now();
    store.tasktally(["list-tasks"]).success();
    begun.elapsed()
}

#[test]
fn a_migration_killed_at_any_moment_leaves_the_store_old_or_new_with_all_that_is_in_it() {
    let mut rng = Rng::seeded("a_migration_killed_at_any_moment");
    let (mut old_ones, mut inside, mut new_ones) = (0, 0, 0);
    let rounds = rounds("TASKTALLY_ROUNDS", 8);
    let mut templates: BTreeMap<i64, (Template, Duration)> = BTreeMap::new();
    for round in 0..rounds {
        // A few schemas in a short run, all of them in a long one.
        let from = if rounds < 20 { [1, 7][round % 2] } else { 1 + (round as i64 % (NEWEST - 1)) };
        let (template, usual) = templates.entry(from).or_insert_with(|| {
            let made = template(from);
            let usual = usual(&made);
            (made, usual)
        });
        let store = Store::new();
        place(&store, &template.bytes);
        let processes = 1 + rng.below(3) as usize;
        let mut killed: Vec<_> = (0..processes).map(|_| store.tasktally(["list-tasks"]).start()).collect();
        let log = format!("{}-wal", store.file().display());
        let logged = || std::fs::metadata(&log).map_or(0, |log| log.len());
        if round > 0 && rng.below(2) == 0 {
            let span = usual.as_micros() as u64 * processes as u64;
            std::thread::sleep(Duration::from_micros(rng.below(span)));
        } else {
            // Pages of the transaction have left the process: it is in the midst, and may go on a little.
            let give_up = Instant::now() + *usual * 10;
            while logged() == 0 && Instant::now() < give_up {
                std::thread::sleep(Duration::from_micros(200));
            }
            let on = if round == 0 { 0 } else { rng.below(usual.as_micros() as u64 / 2) };
            std::thread::sleep(Duration::from_micros(on));
        }
        for child in &mut killed {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let log = logged();
        let found = schema(&store.sql());
        assert!(found == from || found == NEWEST, "schema {found}, between {from} and {NEWEST}");
        old_ones += usize::from(found == from);
        inside += usize::from(found == from && log > 0);
        new_ones += usize::from(found == NEWEST);
        // Several at once, as after a crash.
        together(3, |_| store.tasktally(["list-tasks", "--limit", "1"]).success());
        assert_eq!(schema(&store.sql()), NEWEST);
        assert_all_is_there(&store, &template.all);
        store.assert_whole();
        store.tasktally(["verify"]).success();
    }
    println!(
        "{rounds} migrations killed: {old_ones} left old, {inside} of them in the midst; {new_ones} were through"
    );
    assert!(inside * 16 >= rounds, "too few kills hit a migration");
}

#[test]
fn a_store_whose_making_is_killed_is_made_by_the_next() {
    let mut rng = Rng::seeded("a_store_whose_making_is_killed");
    let (mut begun, rounds) = (0, rounds("TASKTALLY_ROUNDS", 20));
    let usual = {
        let (store, at) = (Store::new(), Instant::now());
        store.tasktally(["list-tasks"]).success();
        at.elapsed()
    };
    for _ in 0..rounds {
        let store = Store::new();
        let mut child = store.tasktally(["create-task", "--task-title", "First"]).start();
        std::thread::sleep(Duration::from_micros(rng.below(usual.as_micros() as u64)));
        child.kill().unwrap();
        child.wait().unwrap();
        if store.file().exists() {
            begun += 1;
            let found = schema(&store.sql());
            assert!(found == 0 || found == NEWEST, "schema {found}");
        }
        together(2, |_| store.tasktally(["create-task", "--task-title", "Next"]).success());
        let listed = store.tasktally(["list-tasks", "--json"]).success().json();
        assert!(matches!(listed["total"].as_u64(), Some(2 | 3)), "{listed}");
        store.assert_whole();
    }
    println!("{rounds} makings killed, {begun} of them after the file was there");
    assert!(begun > 0, "no kill hit the making");
}

#[test]
fn eight_processes_that_open_an_old_store_at_once_all_find_it_up_to_date() {
    let store = large(Store::new(), 1);
    let before = everything(&look(&store));
    together(8, |number| {
        store.tasktally(["create-task", "--task-title", &format!("By {number}")]).success();
    });
    let listed = store.tasktally(["list-tasks", "--limit", "0", "--json"]).success().json();
    assert_eq!(listed["total"].as_u64().unwrap() as usize, before["task"].1.len() + 8);
    assert_eq!(schema(&store.sql()), NEWEST);
    store.tasktally(["verify"]).success();
    store.assert_whole();
}

#[test]
fn a_migration_for_which_there_is_no_room_leaves_the_store_as_old_as_it_was() {
    let store = Store::new().at("disk/store/tasktally.db");
    let Some(disk) = Mount::tmpfs(store.folder().join("disk"), "64m") else {
        println!("skipped a_migration_for_which_there_is_no_room: no right to mount");
        return;
    };
    let store = large(store, 1);
    let before = everything(&look(&store));
    let used = std::fs::metadata(store.file()).unwrap().len() / 1024;
    let mut refused = 0;
    // From no room at all up to more than enough.
    for room in [64, 256, 512, 1024, 2048, 4096] {
        disk.remount(&format!("size={}k", used + room));
        let ran = store.tasktally(["list-tasks", "--json"]).finish();
        if ran.code == Some(0) {
            break;
        }
        refused += 1;
        let said = ran.said();
        assert!(said.contains("full") && said.contains("is as it was"), "{room} kB: {said}");
        assert_eq!(schema(&look(&store)), 1, "{room} kB");
        assert_eq!(everything(&look(&store)), before, "{room} kB");
    }
    assert!(refused > 1, "the disk was never full");
    disk.remount("size=64m");
    store.tasktally(["list-tasks"]).success();
    assert_all_is_there(&store, &before);
    store.tasktally(["verify"]).success();
    println!("refused {refused} times for want of room");
}
