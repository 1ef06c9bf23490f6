//! Commands: what a command did is there if it printed its success, and completely or not at all if it was killed.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::KillTime;
use crate::support::cli::Run;
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::sql::Sql;
use crate::support::store::Store;

/// A command and how to check what it did.
struct CommandCase {
    words: Vec<String>,
    /// A query that counts the rows that the command wrote.
    count_sql: String,
    /// The number of rows if the command was carried out.
    rows: u64,
}

/// A random command.
fn choose(rng: &mut Rng, sql: &Sql, log: &str, round: usize) -> CommandCase {
    let case = |words: &[&str], count_sql: String, rows| CommandCase {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        count_sql,
        rows,
    };
    let receipt = |text: &str| format!("SELECT count(*) FROM receipt WHERE text = '{text}'");
    let open = "SELECT id FROM task WHERE status = 'active' AND title LIKE 'Task %' LIMIT 1";
    let open: Option<String> = sql.rows(open, &[]).pop();
    match (rng.below(5), open) {
        (0, _) => {
            let title = format!("Task {round}");
            let count_sql = format!("SELECT count(*) FROM task WHERE title = '{title}'");
            case(&["create-task", "--task-title", &title], count_sql, 1)
        }
        (1, Some(id)) => {
            let text = format!("- done {round}");
            // The summary and the status are written together.
            let count_sql = format!(
                "{} + (SELECT count(*) FROM task WHERE id = '{id}' AND status = 'done')",
                receipt(&text).replacen("SELECT count(*)", "SELECT (SELECT count(*)", 1) + ")"
            );
            case(&["complete-task", &id, "--summary", &text], count_sql, 2)
        }
        (2, _) => {
            let title = format!("Batch {round}");
            // The batch's task, three chunks' tasks, six items and their fields.
            let count_sql = format!(
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
            case(&words, count_sql, 10)
        }
        _ => {
            let text = format!("- receipt {round}");
            case(&["update-task", log, "--body", &text], receipt(&text), 1)
        }
    }
}

/// Runs a command until it ends or is killed. Returns its exit code, if it was not killed, and what it had printed.
fn run_until(store: &Store, words: &[String], kill: KillTime) -> (Option<i32>, String) {
    let mut command = store.command();
    kill.prepare(&mut command);
    command.args(words).arg("--json").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    let mut code = None;
    while started.elapsed() < kill.deadline() && code.is_none() {
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
fn a_command_killed_at_any_moment_is_done_completely_or_not_at_all() {
    let mut rng = Rng::seeded("a_command_killed_at_any_moment");
    let all = rounds("TASKTALLY_ROUNDS", 60);
    let (mut succeeded, mut killed, mut absent, mut complete) = (0, 0, 0, 0);
    let mut store = Store::new();
    let mut log = String::new();
    for round in 0..all {
        if round % 50 == 0 {
            store = Store::new();
            log = store.serve().create_task("Log");
        }
        let case = choose(&mut rng, &store.sql(), &log, round);
        // Some commands are never killed and some are killed before they write, so that both outcomes occur.
        let kill = match round % 10 {
            0 => KillTime::Never,
            5 => KillTime::before_any_write(),
            _ => KillTime::random(&mut rng, 30, 60),
        };
        let (code, printed) = run_until(&store, &case.words, kill);
        let sql = store.sql();
        let rows: u64 = sql.row(&case.count_sql, &[]);
        let printed_success =
            serde_json::from_str::<Value>(&printed).is_ok_and(|reply| reply["success"] == true);
        if code == Some(0) || printed_success {
            succeeded += 1;
            assert!(printed_success, "{:?} ended with {code:?} and printed {printed:?}", case.words);
            assert_eq!(rows, case.rows, "{:?} printed its success", case.words);
        } else {
            killed += 1;
            assert_eq!(code, None, "{:?} failed and was not killed: {printed}", case.words);
            assert!(rows == 0 || rows == case.rows, "{:?} is there in part: {rows} rows", case.words);
            *(if rows == 0 { &mut absent } else { &mut complete }) += 1;
        }
        if round % 25 == 24 || round + 1 == all {
            store.assert_whole();
            Run::new(store.command(), ["verify"]).success();
        }
    }
    println!(
        "{all} commands: {succeeded} printed their success and had succeeded, {killed} were killed before ({absent} not done, {complete} done completely)"
    );
    assert!(succeeded > 0 && absent > 0);
}
