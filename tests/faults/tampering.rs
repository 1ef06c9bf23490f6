//! The owner of the store's file can change it at will. `verify` with chain heads that were stored elsewhere finds every
//! forgery.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds, `TASKTALLY_SEED` repeats the same ones.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::sql::Sql;
use crate::support::store::Store;
use tasktally::model::chain::ChainHead;

const TASKS: u64 = 6;
const RECEIPTS: u64 = 12;

/// A store of tasks with receipts, and the heads of their chains.
fn store_with_heads() -> (Store, Vec<ChainHead>) {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    for task in 1..=TASKS {
        let id = server.create_task(&format!("Task {task}"));
        for number in 1..=RECEIPTS {
            server.call("update_task", json!({"id": id, "body": format!("- mail {number} of {task}")})).ok();
        }
    }
    server.close();
    let listed = store.tasktally(["heads"]).success().stdout;
    store.write("heads", &listed);
    let heads: Vec<ChainHead> = listed.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(heads.len() as u64, TASKS);
    (store, heads)
}

/// Recomputes the hashes of a task from a receipt on, as a forger who knows the algorithm would.
fn rehash(sql: &Sql, task: &str, from: u64) {
    let row: i64 = sql.row("SELECT row_id FROM task WHERE id = ?1", &[&task]);
    let of = |number: u64| -> Vec<u8> {
        let hash = "SELECT hash FROM receipt WHERE task = ?1 AND number = ?2";
        sql.rows(hash, &[&row, &number]).pop().unwrap_or_else(|| vec![0; 32])
    };
    let last: u64 = sql.row("SELECT max(number) FROM receipt WHERE task = ?1", &[&row]);
    for number in from..=last {
        let before: [u8; 32] = of(number - 1).try_into().unwrap();
        let receipt =
            "SELECT created_at, author, text, author_kind FROM receipt WHERE task = ?1 AND number = ?2";
        let (at, author, text, kind): (i64, String, String, Option<String>) =
            sql.row(receipt, &[&row, &number]);
        let receipt = tasktally::model::receipt::Receipt {
            number,
            at: tasktally::model::timestamp::Timestamp::from_millis(at),
            author,
            author_kind: kind.map(|kind| kind.parse().unwrap()),
            text,
            item: None,
            outcome: None,
            category: None,
            late: false,
            step: None,
            cost: Default::default(),
            decision: None,
        };
        let hash = receipt.hash(task, &before);
        let update = "UPDATE receipt SET hash = ?3 WHERE task = ?1 AND number = ?2";
        sql.execute(update, &[&row, &number, &hash]).unwrap();
    }
}

#[test]
fn every_forgery_is_found_with_heads_from_before() {
    let mut rng = Rng::seeded("every_forgery_is_found");
    let (store, heads) = store_with_heads();
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
        let mut named = None;
        store.forge(|forger| {
            let of_task = format!("task = (SELECT row_id FROM task WHERE id = '{task}')");
            let edit = |sql: &str| assert!(forger.execute(sql, &[]).unwrap() > 0, "{sql} changed nothing");
            // The receipt that `verify` must name, if it can name one.
            named = match kind {
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
                    edit(&format!(
                        "UPDATE receipt SET number = {number} WHERE number = {other} AND {of_task}"
                    ));
                    edit(&format!("UPDATE receipt SET number = {other} WHERE number = 1000 AND {of_task}"));
                    Some(number.min(other))
                }
                // The last receipts deleted, and the count adjusted.
                3 => {
                    edit(&format!("DELETE FROM receipt WHERE number >= {number} AND {of_task}"));
                    edit(&format!("UPDATE task SET receipt_count = {} WHERE id = '{task}'", number - 1));
                    None
                }
                // A receipt changed, and the hashes recomputed.
                4 => {
                    edit(&format!(
                        "UPDATE receipt SET text = 'forged' WHERE number = {number} AND {of_task}"
                    ));
                    rehash(forger, &task, number);
                    None
                }
                // A receipt deleted, the later ones renumbered and rehashed.
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
                        rehash(forger, &task, number);
                    }
                    None
                }
                _ => {
                    edit(&format!("DELETE FROM receipt WHERE {of_task}"));
                    edit(&format!("DELETE FROM task WHERE id = '{task}'"));
                    None
                }
            };
        });
        let ran = store.tasktally(["verify", "--from", "heads"]).finish();
        assert_eq!(ran.code, Some(1), "kind {kind}, receipt {number}: {}", ran.output());
        assert!(ran.stdout.contains(&format!("task {task}")), "kind {kind}: {}", ran.output());
        if let Some(number) = named {
            assert!(ran.stdout.contains(&format!("receipt {number} ")), "kind {kind}: {}", ran.output());
        }
    }
    println!("all forgeries found: {kinds:?} of each kind");
}

#[test]
fn receipts_and_tasks_added_after_the_heads_are_no_forgery() {
    let (store, heads) = store_with_heads();
    let mut server = store.serve();
    server.call("update_task", json!({"id": heads[0].task.as_str(), "body": "- one more"})).ok();
    server.create_task("A new one");
    store.tasktally(["verify", "--from", "heads"]).success();
}

#[test]
fn an_invalid_list_of_heads_is_refused_with_its_line() {
    let (store, _) = store_with_heads();
    let hash = Sha256::digest("x").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (text, names) in [
        ("", "it holds no heads"),
        ("abc 3\n", "line 1: 'abc 3' is not a chain head"),
        (&format!("abc.01 3 {hash}\nabc.01 three {hash}\n"), "line 2"),
    ] {
        store.write("bad", text);
        let refused = store.tasktally(["verify", "--from", "bad"]).code(2);
        assert!(refused.output().contains(names), "{}", refused.output());
    }
    assert!(store.tasktally(["verify", "--from", "gone"]).code(2).output().contains("cannot be opened"));
}
