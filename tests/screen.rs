//! `tasktally watch` in a real terminal: what a person sees during work, at a checkpoint and after failure,
//! and what each key does.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use support::screen::Screen;
use support::store::Store;
use support::{eventually, signal};
use tasktally::logs::{LogWriter, Stream, log_path};
use tasktally::model::id::TaskId;

/// A batch of chunks of two items each; gives its id.
fn batch(store: &Store, chunks: usize, more: &[&str]) -> String {
    let items: String = (1..=chunks * 2).map(|number| format!("{{\"key\":\"item-{number}\"}}\n")).collect();
    store.write("items.jsonl", items);
    let args = ["create-batch", "File the mail", "--instructions", "x", "--source", "items.jsonl"];
    let made =
        store.tasktally(args.iter().chain(&["--max-chunk", "2", "--json"]).chain(more)).success().json();
    made["batch"]["id"].as_str().expect("an id").to_owned()
}

/// Somebody's claim on the next chunk.
struct Claim<'a> {
    store: &'a Store,
    chunk: String,
    token: String,
    items: Vec<String>,
}

fn claim<'a>(store: &'a Store, batch: &str, worker: &str) -> Claim<'a> {
    let won =
        store.tasktally(["claim-task", "--batch", batch, "--worker", worker, "--json"]).success().json();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    Claim {
        store,
        chunk: text(&won["task"]["id"]),
        token: text(&won["claim"]["token"]),
        items: won["items"].as_array().expect("items").iter().map(|item| text(&item["key"])).collect(),
    }
}

impl Claim<'_> {
    fn tell(&self, item: usize, outcome: &str, text: &str) {
        let args = ["update-task", &self.chunk, "--claim", &self.token, "--item", &self.items[item]];
        self.store.tasktally(args.iter().chain(&["--outcome", outcome, "--body", text])).success();
    }

    /// Settles what is left and completes the chunk.
    fn finish(self, outcome: &str) -> String {
        for item in 0..self.items.len() {
            self.tell(item, outcome, &format!("- {outcome}: {}", self.items[item]));
        }
        self.store.tasktally(["complete-task", &self.chunk, "--claim", &self.token]).success();
        self.chunk
    }
}

fn status_of(store: &Store, batch: &str, chunk: usize) -> String {
    let reply = store.tasktally(["get-batch", batch, "--json"]).success().json();
    reply["chunks"][chunk - 1]["status"].as_str().expect("a status").to_owned()
}

fn body_of(store: &Store, task: &str) -> String {
    store.tasktally(["get-task", task, "--json"]).success().json()["task"]["body"]
        .as_str()
        .expect("a body")
        .to_owned()
}

#[test]
fn work_is_seen_as_it_happens_at_either_size() {
    if !Screen::is_there() {
        return;
    }
    let store = Store::new();
    let id = batch(&store, 3, &[]);
    let work = claim(&store, &id, "worker-one");
    work.tell(0, "started", "");
    let screen = Screen::watch(&store, (80, 24), "", &id);
    screen.shows(&[
        "File the mail",
        "running",
        "0 of 6",
        "worker-one",
        "item-1",
        "in_progress",
        "1 worker at work",
    ]);
    work.tell(0, "done", "- Filed: \u{5e2}\u{5d1}\u{5e8} 日本 the first");
    screen.shows(&["1 of 6", "16 %", "done - Filed:", "the first"]);
    screen.resize(200, 50);
    eventually("chunks and workers side by side", || {
        let wide = screen.text();
        let row = wide.lines().find(|line| line.contains("─ chunks 3: 1 in progress ─"))?;
        row.contains("─ 1 worker ─").then_some(())
    });
    screen.resize(30, 8);
    screen.shows(&["needs 40×10, this is 30×8"]);
    screen.resize(80, 24);
    screen.shows(&["File the mail"]);
}

#[test]
fn a_checkpoint_is_answered_by_keys_and_the_decisions_are_receipts_of_who_decided() {
    if !Screen::is_there() {
        return;
    }
    let store = Store::new();
    let id = batch(&store, 3, &["--checkpoint", "chunk"]);
    let chunks: Vec<_> = (0..3).map(|_| claim(&store, &id, "w").finish("done")).collect();
    let screen = Screen::watch(&store, (80, 24), "", &id);
    screen.shows(&["waiting", "waits for you: 3 chunks in review", "▸ 01"]);
    screen.press(&["a"]);
    screen.shows(&["approve: ", "2 chunks in review"]);
    assert_eq!(status_of(&store, &id, 1), "done");
    assert!(body_of(&store, &chunks[0]).contains("Approved by 'erika'"));
    screen.press(&["n"]);
    screen.shows(&["▸ 02"]);
    screen.press(&["r"]);
    screen.shows(&["Reject ", "because"]);
    screen.press(&["Enter"]);
    screen.type_in("Not that folder: qy");
    screen.press(&["BSpace", "BSpace", "Enter"]);
    screen.shows(&["reject: ", "1 chunk in review", "1 chunk failed or blocked"]);
    assert_eq!(status_of(&store, &id, 2), "failed");
    assert!(body_of(&store, &chunks[1]).contains("Rejected by 'erika' after step 'work'. Not that folder:"));
    screen.press(&["n", "d"]);
    screen.type_in("Once more, with care");
    screen.press(&["Enter"]);
    screen.shows(&["redo: "]);
    assert_eq!(status_of(&store, &id, 3), "active");
    screen.press(&["Up", "Up", "a"]);
    screen.shows(&["it does not wait for a review"]);
}

#[test]
fn a_batch_is_paused_let_go_on_and_cancelled_by_keys() {
    if !Screen::is_there() {
        return;
    }
    let store = Store::new();
    let id = batch(&store, 2, &[]);
    let screen = Screen::watch(&store, (80, 24), "", "");
    screen.shows(&["open batches", &id]);
    screen.press(&["Enter"]);
    screen.shows(&["running", "chunks 2"]);
    screen.press(&["p"]);
    screen.shows(&["paused: decided in tasktally watch"]);
    screen.press(&["p"]);
    eventually("the batch to go on", || screen.text().lines().next()?.contains("running").then_some(()));
    screen.press(&["c"]);
    screen.shows(&["Cancel the batch?"]);
    screen.press(&["n"]);
    screen.shows(&["Not cancelled"]);
    screen.press(&["c", "y"]);
    screen.shows(&["cancelled", "2 chunks had not ended"]);
    assert_eq!(status_of(&store, &id, 1), "cancelled");
    screen.press(&["p"]);
    eventually("the refusal in words", || screen.text().lines().last()?.contains(&id).then_some(()));
    screen.press(&["q"]);
    screen.shows(&["No batch is open"]);
    screen.press(&["q"]);
    screen.shows(&["ended with 0"]);
}

#[test]
fn receipts_and_log_open_and_hostile_text_stays_text() {
    if !Screen::is_there() {
        return;
    }
    let store = Store::new();
    let id = batch(&store, 2, &[]);
    let work = claim(&store, &id, "w");
    for number in 1..=40 {
        let text = format!("note {number}");
        store.tasktally(["update-task", &work.chunk, "--claim", &work.token, "--body", &text]).success();
    }
    let folder = store.file().parent().expect("a folder");
    let chunk: TaskId = work.chunk.parse().expect("an id");
    let mut log = LogWriter::open(&log_path(folder, &chunk, 1, Stream::Out), 4_096).expect("a log");
    log.write("\x1b[2J\x1b[31mred\u{202e}\nsecond\n".as_bytes()).expect("it is written");
    let screen = Screen::watch(&store, (80, 24), "", &id);
    screen.shows(&["File the mail"]);
    screen.press(&["Enter"]);
    let end = screen.shows(&["─ receipts of 01 ", "note 40"]);
    assert!(!end.contains("note 5\n"), "{end}");
    screen.press(&["Home"]);
    screen.shows(&["note 1\n", "   1  "]);
    screen.press(&["l"]);
    screen.shows(&[
        "─ log of 01 ",
        "── attempt 1 ──",
        "── out ──",
        "\\u{1b}[2J\\u{1b}[31mred\\u{202e}",
        "second",
    ]);
    log.write(b"third\n").expect("it is written");
    screen.shows(&["third"]);
    screen.press(&["q", "Down", "l"]);
    screen.shows(&["─ log of 02 ", "no log"]);
    screen.press(&["Escape"]);
    screen.shows(&["─ chunks 2"]);
    screen.press(&["?"]);
    screen.shows(&["─ keys ─", "approve the chunk"]);
}

#[test]
fn what_failed_is_found_and_retried() {
    if !Screen::is_there() {
        return;
    }
    let store = Store::new();
    let id = batch(&store, 2, &[]);
    claim(&store, &id, "w").finish("done");
    let work = claim(&store, &id, "w");
    work.tell(0, "failed", "exit code 3: no such folder");
    let args = ["release-task", &work.chunk, "--claim", &work.token, "--reason", "no", "--outcome", "failed"];
    store.tasktally(args).success();
    let screen = Screen::watch(&store, (80, 24), "", &id);
    screen.shows(&["failed", "exit code 3: no such folder", "1 chunk failed or blocked", "1 failed"]);
    screen.press(&["n", "t"]);
    screen.shows(&["Opened 1 chunks with 1 failed items again"]);
    assert_eq!(status_of(&store, &id, 2), "active");
}

#[test]
fn however_it_ends_the_terminal_is_as_before() {
    if !Screen::is_there() {
        return;
    }
    type End = fn(&Screen);
    let ends: [(&str, End); 3] = [
        ("q", |screen| screen.press(&["q"])),
        ("Ctrl-C", |screen| screen.press(&["C-c"])),
        ("TERM", |screen| signal("TERM", screen.process())),
    ];
    for (name, end) in ends {
        let store = Store::new();
        let id = batch(&store, 1, &[]);
        let screen = Screen::watch(&store, (80, 24), "", &id);
        screen.shows(&["File the mail"]);
        // The cursor is hidden just after the first picture is there.
        eventually("a hidden cursor", || {
            (screen.ask("#{alternate_on} #{cursor_flag}") == "1 0").then_some(())
        });
        end(&screen);
        screen.shows(&["ended with 0"]);
        assert_eq!(screen.ask("#{alternate_on} #{cursor_flag}"), "0 1", "{name}");
        screen.type_in("echoed");
        screen.shows(&["echoed"]);
    }
}

#[test]
fn no_color_is_heeded_and_a_dumb_terminal_gets_lines() {
    if !Screen::is_there() {
        return;
    }
    let store = Store::new();
    let id = batch(&store, 1, &[]);
    let coloured = |screen: &Screen| {
        screen.shows(&["File the mail", "░"]);
        let shown = screen.colours();
        shown.split("\x1b[").skip(1).filter_map(|part| part.split_once('m')).any(|(codes, _)| {
            codes.split(';').any(|code| {
                code.parse().is_ok_and(|code| (30..=38).contains(&code) || (90..=97).contains(&code))
            })
        })
    };
    assert!(coloured(&Screen::watch(&store, (80, 24), "", &id)));
    assert!(!coloured(&Screen::watch(&store, (80, 24), "NO_COLOR=1", &id)));
    let dumb = Screen::watch(&store, (80, 24), "TERM=dumb", &id);
    dumb.shows(&[&format!("{id} File the mail: running, 0 of 2 items")]);
    assert_eq!(dumb.ask("#{alternate_on}"), "0");
}

#[test]
fn ten_thousand_chunks_are_walked_through_and_only_what_changes_is_sent() {
    if !Screen::is_there() {
        return;
    }
    let store = Store::new();
    let items: String = (1..=10_000).map(|number| format!("{{\"key\":\"item-{number}\"}}\n")).collect();
    store.write("items.jsonl", items);
    let args = [
        "create-batch",
        "Many",
        "--instructions",
        "x",
        "--source",
        "items.jsonl",
        "--max-chunk",
        "1",
        "--json",
    ];
    let made = store.tasktally(args).success().json();
    let id = made["batch"]["id"].as_str().expect("an id").to_owned();
    let screen = Screen::watch(&store, (80, 24), "", &id);
    screen.shows(&["chunks 10000", "▸ 00001"]);
    screen.press(&["End"]);
    screen.shows(&["▸ 10000"]);
    screen.press(&["Home"]);
    screen.shows(&["▸ 00001"]);
    let sent = store.folder().join("sent");
    screen.record(&sent.display().to_string());
    let work = claim(&store, &id, "w");
    work.tell(0, "done", "- Filed");
    screen.shows(&["1 of 10000", "- Filed"]);
    let bytes = std::fs::metadata(&sent).expect("a record").len();
    assert!((1..3_000).contains(&bytes), "{bytes} bytes for one receipt");
}
