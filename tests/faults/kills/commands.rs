//! Command lines: each prints its success, or is wholly there or not at all.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use super::Timestamp;
use crate::support::cli::Run;
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::store::Store;

/// What a command was told to do: its words, and how much of it is there, of how much.
struct Asked {
    words: Vec<String>,
    /// A query that gives how many of its rows there are.
    there: String,
    /// How many there are where it was done.
    whole: u64,
}

/// A command, and how to see what it did.
fn choose(rng: &mut Rng, sql: &Connection, log: &str, round: usize) -> Asked {
    let asked = |words: &[&str], there: String, whole| Asked {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        there,
        whole,
    };
    let receipt = |text: &str| format!("SELECT count(*) FROM receipt WHERE text = '{text}'");
    let open = "SELECT id FROM task WHERE status = 'active' AND title LIKE 'Task %' LIMIT 1";
    let open: Option<String> = sql.query_row(open, [], |row| row.get(0)).ok();
    match (rng.below(5), open) {
        (0, _) => {
            let title = format!("Task {round}");
            let there = format!("SELECT count(*) FROM task WHERE title = '{title}'");
            asked(&["create-task", "--task-title", &title], there, 1)
        }
        (1, Some(id)) => {
            let text = format!("- done {round}");
            // The summary and the status come together.
            let there = format!(
                "{} + (SELECT count(*) FROM task WHERE id = '{id}' AND status = 'done')",
                receipt(&text).replacen("SELECT count(*)", "SELECT (SELECT count(*)", 1) + ")"
            );
            asked(&["complete-task", &id, "--summary", &text], there, 2)
        }
        (2, _) => {
            let title = format!("Batch {round}");
            // The batch's task, three chunks' tasks, six items and their fields.
            let there = format!(
                "SELECT (SELECT count(*) FROM task WHERE title = '{title}')
                      + (SELECT count(*) FROM chunk c JOIN task t ON t.row_id = c.batch WHERE t.title = '{title}')
                      + (SELECT count(*) FROM item i JOIN task t ON t.row_id = i.batch WHERE t.title = '{title}')"
            );
            let items = r#"["a","b","c","d","e","f"]"#;
            let words = [
                "create-batch",
                "--title",
                &title,
                "--instructions",
                "x",
                "--items",
                items,
                "--max-chunk",
                "2",
            ];
            asked(&words, there, 10)
        }
        _ => {
            let text = format!("- receipt {round}");
            asked(&["update-task", log, "--body", &text], receipt(&text), 1)
        }
    }
}

/// Runs a command until it ends or its moment has come: its exit code, where it was not killed, and what it
/// had printed by then.
fn run_until(store: &Store, words: &[String], moment: Timestamp) -> (Option<i32>, String) {
    let mut command = store.command();
    moment.prepare(&mut command);
    command.args(words).arg("--json").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    let mut code = None;
    while started.elapsed() < moment.at_the_latest() && code.is_none() {
        std::thread::sleep(Duration::from_micros(200));
        code = child.try_wait().unwrap();
    }
    let _ = child.kill();
    let status = code.unwrap_or(child.wait().unwrap());
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    (status.code(), printed)
}

#[test]
fn a_command_killed_at_any_moment_is_done_wholly_or_not_at_all_and_done_where_it_said_so() {
    let mut rng = Rng::seeded("a_command_killed_at_any_moment");
    let all = rounds("TASKTALLY_ROUNDS", 60);
    let (mut said, mut silent, mut absent, mut whole) = (0, 0, 0, 0);
    let mut store = Store::new();
    let mut log = String::new();
    for round in 0..all {
        if round % 50 == 0 {
            store = Store::new();
            log = store.serve().task("Log");
        }
        let asked = choose(&mut rng, &store.sql(), &log, round);
        let (code, printed) = run_until(&store, &asked.words, Timestamp::any(&mut rng, 30, 60));
        let sql = store.sql();
        let there: u64 = sql.query_row(&asked.there, [], |row| row.get(0)).unwrap();
        let told = serde_json::from_str::<Value>(&printed).is_ok_and(|reply| reply["success"] == true);
        if code == Some(0) || told {
            said += 1;
            assert!(told, "{:?} ended with {code:?} and printed {printed:?}", asked.words);
            assert_eq!(there, asked.whole, "{:?} printed its success", asked.words);
        } else {
            silent += 1;
            assert_eq!(code, None, "{:?} failed and was not killed: {printed}", asked.words);
            assert!(there == 0 || there == asked.whole, "{:?} is there in part: {there}", asked.words);
            *(if there == 0 { &mut absent } else { &mut whole }) += 1;
        }
        if round % 25 == 24 || round + 1 == all {
            store.assert_whole();
            Run::new(store.command(), ["verify"]).success();
        }
    }
    println!(
        "{all} commands: {said} said that they had succeeded and had, {silent} were killed before ({absent} not done at all, {whole} wholly)"
    );
    assert!(said > 0 && absent > 0);
}
