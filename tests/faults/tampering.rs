//! Whoever owns the file can write anything to it: against heads that were kept elsewhere every forgery is found.
//!
//! `TASKTALLY_ROUNDS` asks for more rounds, `TASKTALLY_SEED` for the same ones again.

use rusqlite::{Connection, params};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::store::Store;
use tasktally::model::chain::Head;

const TASKS: u64 = 6;
const RECEIPTS: u64 = 12;

/// Tasks with receipts, and the heads of their chains.
fn scene() -> (Store, Vec<Head>) {
    let store = Store::new();
    let mut server = store.serve();
    for task in 1..=TASKS {
        let id = server.task(&format!("Task {task}"));
        for number in 1..=RECEIPTS {
            server.call("update_task", json!({"id": id, "body": format!("- mail {number} of {task}")})).ok();
        }
    }
    server.close();
    let told = store.tasktally(["heads"]).success().stdout;
    store.write("heads", &told);
    let heads: Vec<Head> = told.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(heads.len() as u64, TASKS);
    (store, heads)
}

/// Lays the triggers aside, as an owner of the file can.
fn open(store: &Store) -> Connection {
    let connection = store.sql();
    let triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'";
    let names: Vec<String> = connection
        .prepare(triggers)
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    names.iter().for_each(|name| connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    connection
}

/// The chain of a task hashed anew from a receipt on, as its writer would have: a forger who knows how.
fn hash_anew(store: &Connection, task: &str, from: u64) {
    let row: i64 =
        store.query_row("SELECT row_id FROM task WHERE id = ?1", [task], |row| row.get(0)).unwrap();
    let of = |number: u64| -> Vec<u8> {
        let sql = "SELECT hash FROM receipt WHERE task = ?1 AND number = ?2";
        store.query_row(sql, params![row, number], |row| row.get(0)).unwrap_or_else(|_| vec![0; 32])
    };
    let last: u64 =
        store.query_row("SELECT max(number) FROM receipt WHERE task = ?1", [row], |row| row.get(0)).unwrap();
    for number in from..=last {
        let before: [u8; 32] = of(number - 1).try_into().unwrap();
        let (at, author, text): (i64, String, String) = store
            .query_row(
                "SELECT created_at, author, text FROM receipt WHERE task = ?1 AND number = ?2",
                params![row, number],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .unwrap();
        let receipt = tasktally::model::receipt::Receipt {
            number,
            at: tasktally::model::timestamp::Timestamp::from_millis(at),
            author,
            text,
            item: None,
            outcome: None,
            category: None,
            late: false,
            step: None,
            cost: Default::default(),
        };
        let hash = receipt.hash(task, &before);
        store
            .execute(
                "UPDATE receipt SET hash = ?3 WHERE task = ?1 AND number = ?2",
                params![row, number, hash],
            )
            .unwrap();
    }
}

#[test]
fn every_forgery_is_found_against_heads_that_were_noted_before() {
    let mut rng = Rng::seeded("every_forgery_is_found");
    let (store, heads) = scene();
    let whole = std::fs::read(store.file()).unwrap();
    assert!(store.tasktally(["verify", "--from", "heads"]).success().stdout.contains("6 heads agree"));
    let mut kinds = [0; 7];
    for _ in 0..rounds("TASKTALLY_ROUNDS", 60) {
        std::fs::write(store.file(), &whole).unwrap();
        for ending in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", store.file().display()));
        }
        let task = heads[rng.below(TASKS) as usize].task.to_string();
        let number = 1 + rng.below(RECEIPTS);
        let kind = rng.below(7) as usize;
        kinds[kind] += 1;
        let forger = open(&store);
        let of_task = format!("task = (SELECT row_id FROM task WHERE id = '{task}')");
        let edit = |sql: &str| assert!(forger.execute(sql, []).unwrap() > 0, "{sql} changed nothing");
        // The receipt that is named, where one can be.
        let named = match kind {
            0 => {
                let fields = [
                    "text = text || '!'",
                    "author = 'x'",
                    "created_at = created_at + 1",
                    "late = 1",
                    "category = 'c'",
                ];
                let field = fields[rng.below(5) as usize];
                edit(&format!("UPDATE receipt SET {field} WHERE number = {number} AND {of_task}"));
                Some(number)
            }
            1 => {
                edit(&format!("DELETE FROM receipt WHERE number = {number} AND {of_task}"));
                None
            }
            2 => {
                let other = 1 + number % RECEIPTS;
                edit(&format!("UPDATE receipt SET number = 1000 WHERE number = {number} AND {of_task}"));
                edit(&format!("UPDATE receipt SET number = {number} WHERE number = {other} AND {of_task}"));
                edit(&format!("UPDATE receipt SET number = {other} WHERE number = 1000 AND {of_task}"));
                Some(number.min(other))
            }
            // A tail cut off, with all that counts it.
            3 => {
                edit(&format!("DELETE FROM receipt WHERE number >= {number} AND {of_task}"));
                edit(&format!("UPDATE task SET receipt_count = {} WHERE id = '{task}'", number - 1));
                None
            }
            // Written anew, with hashes that are right.
            4 => {
                edit(&format!("UPDATE receipt SET text = 'forged' WHERE number = {number} AND {of_task}"));
                hash_anew(&forger, &task, number);
                None
            }
            // One left out, the rest moved up and hashed anew.
            5 => {
                edit(&format!("DELETE FROM receipt WHERE number = {number} AND {of_task}"));
                for later in number + 1..=RECEIPTS {
                    edit(&format!(
                        "UPDATE receipt SET number = {} WHERE number = {later} AND {of_task}",
                        later - 1
                    ));
                }
                edit(&format!("UPDATE task SET receipt_count = {} WHERE id = '{task}'", RECEIPTS - 1));
                if number < RECEIPTS {
                    hash_anew(&forger, &task, number);
                }
                None
            }
            _ => {
                edit(&format!("DELETE FROM receipt WHERE {of_task}"));
                edit(&format!("DELETE FROM task WHERE id = '{task}'"));
                None
            }
        };
        drop(forger);
        let ran = store.tasktally(["verify", "--from", "heads"]).finish();
        assert_eq!(ran.code, Some(1), "kind {kind}, receipt {number}: {}", ran.said());
        assert!(ran.stdout.contains(&format!("task {task}")), "kind {kind}: {}", ran.said());
        if let Some(number) = named {
            assert!(ran.stdout.contains(&format!("receipt {number} ")), "kind {kind}: {}", ran.said());
        }
    }
    println!("found all: {kinds:?} of each kind");
}

#[test]
fn what_came_since_the_heads_were_noted_is_no_forgery() {
    let (store, heads) = scene();
    let mut server = store.serve();
    server.call("update_task", json!({"id": heads[0].task.as_str(), "body": "- one more"})).ok();
    server.task("A new one");
    store.tasktally(["verify", "--from", "heads"]).success();
}

#[test]
fn what_is_no_list_of_heads_is_refused_by_line() {
    let (store, _) = scene();
    let hash = Sha256::digest("x").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (text, names) in [
        ("", "there is no head in it"),
        ("abc 3\n", "line 1: 'abc 3' is no head"),
        (&format!("abc.01 3 {hash}\nabc.01 three {hash}\n"), "line 2"),
    ] {
        store.write("bad", text);
        let refused = store.tasktally(["verify", "--from", "bad"]).code(2);
        assert!(refused.said().contains(names), "{}", refused.said());
    }
    assert!(store.tasktally(["verify", "--from", "gone"]).code(2).said().contains("cannot be opened"));
}
