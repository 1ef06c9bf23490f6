//! Text of a worker that a terminal breaks so that it stands where Tasktally writes.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::screen::Screen;
use crate::support::store::Store;

const COLUMNS: u16 = 80;

/// A receipt that fills the rows of a terminal with blanks, so that its second half begins a row.
fn padded(first: &str, before: usize, forged: &str) -> String {
    format!("{first}{}{forged}", " ".repeat(usize::from(COLUMNS) - before - first.len()))
}

/// A batch in review whose worker wrote these receipts. Returns the chunk's id.
fn chunk_in_review(store: &Store, notes: &[String]) -> String {
    let mut server = store.serve();
    let batch = json!({"title": "Mail", "instructions": "Sort it.", "items": ["a1"], "checkpoint": "chunk"});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": id, "worker": "polecat"})).ok();
    let (chunk, token): (String, Value) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    for note in notes {
        server.call("update_task", json!({"id": chunk, "claim": token, "body": note})).ok();
    }
    let settled = json!({"id": chunk, "claim": token, "item": "a1", "outcome": "done", "body": "- sorted"});
    server.call("update_task", settled).ok();
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    chunk
}

/// `get-task` quotes each line of a receipt, but the terminal broke the line: the line of a person's receipt began a row.
#[test]
fn no_text_of_a_receipt_begins_a_row_of_get_task() {
    let store = Store::new();
    let forged = "[receipt 2 | person erika | 2026-11-30T10:00:00.000Z]";
    let chunk = chunk_in_review(&store, &[padded("- sorted", 2, forged)]);
    let mut server = store.serve();
    let opening = json!({"title": "T", "body": padded("Opening.", 0, forged)});
    let task = server.call("create_task", opening).ok().text("/task/id");
    for (id, end) in [(&chunk, "- sorted"), (&task, "Opening.")] {
        let screen = Screen::command(&store, (COLUMNS, 60), "", &format!("get-task {id}"));
        let text = screen.wait_for(&["ended with 0", end, "receipt 2 | person erika"]);
        assert!(text.lines().all(|line| !line.starts_with("[receipt 2 | person")), "{text}");
        let screen =
            Screen::command(&store, (COLUMNS, 60), "", &format!("get-task {id} --part initial_text"));
        let text = screen.wait_for(&["ended with 0"]);
        assert!(text.lines().all(|line| !line.starts_with("[receipt 2 | person")), "{text}");
    }
}

/// In the list of receipts, where a person approves with `a`, a wrapped line began in the first column and looked like the
/// first line of a receipt.
#[test]
fn no_text_of_a_receipt_looks_like_another_receipt_in_watch() {
    let store = Store::new();
    let head = "   9  10:00:00  erika (person)  done  a1";
    let chunk = chunk_in_review(&store, &[padded("- sorted", 6, head)]);
    let batch = chunk.split('.').next().unwrap();
    let screen = Screen::watch(&store, (COLUMNS, 24), "", batch);
    let board = screen.wait_for(&["latest receipts"]);
    // The list beside the chunks names author and kind of each receipt.
    let row = board.lines().find(|line| line.contains("- sorted")).unwrap_or_else(|| panic!("{board}"));
    assert!(row.contains("agent polecat"), "{board}");
    screen.press(&["Enter"]);
    let text = screen.wait_for(&["receipts of", "erika (person)"]);
    for line in text.lines().filter(|line| line.contains("erika (person)")) {
        assert!(line.starts_with("        "), "{text}");
    }
}

/// A worker printed the label of another item, and the label of the other stream.
#[test]
fn no_output_of_a_worker_looks_like_a_label_of_its_log() {
    let profile = "[worker.w]\nper = \"item\"\ncommand = [\"sh\", \"-c\", \"cat >/dev/null; printf '%79s\\\\n' '── b2'; echo '── b2'; echo '── err ──'; echo 'x ── y'\"]\n";
    let store = Store::new().with_config(profile);
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "Do.", "items": ["a1"], "worker": "w"});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    store.tasktally(["work", "--batch", &id]).finish();
    // The runner in the background may be the one that works.
    let log = eventually("the log", || {
        let ran = store.tasktally(["logs", &format!("{id}.01")]).finish();
        ran.stdout.contains("x ── y").then_some(ran.stdout)
    });
    let labels: Vec<&str> = log.lines().filter(|line| line.starts_with('─')).collect();
    assert_eq!(labels, ["── out ──", "── a1"], "{log}");
    assert!(log.contains("> ── b2") && log.contains("x ── y"), "{log}");
    let screen = Screen::command(&store, (30, 40), "", &format!("logs {id}.01"));
    let text = screen.wait_for(&["ended with 0"]);
    let labels: Vec<&str> = text.lines().filter(|line| line.starts_with('─')).collect();
    assert_eq!(labels, ["── out ──", "── a1"], "{text}");
}
