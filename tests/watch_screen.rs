//! `tasktally watch` in a real terminal: what a person sees during work, at a checkpoint and after a failure, and what
//! each key does.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use support::screen::Screen;
use support::skip::has_program;
use support::store::Store;
use support::{eventually, send_signal};
use tasktally::logs::{LogWriter, Stream, log_path};
use tasktally::model::id::TaskId;

/// Creates a batch of chunks with two items each. Returns its id.
fn create_batch(store: &Store, chunks: usize, more: &[&str]) -> String {
    let items: String = (1..=chunks * 2).map(|number| format!("{{\"key\":\"item-{number}\"}}\n")).collect();
    store.write("items.jsonl", items);
    let args = ["create-batch", "File the mail", "--instructions", "x", "--source", "items.jsonl"];
    let made =
        store.tasktally(args.iter().chain(&["--max-chunk", "2", "--json"]).chain(more)).success().json();
    made["batch"]["id"].as_str().expect("an id").to_owned()
}

/// A claim on a chunk.
struct Claim<'a> {
    store: &'a Store,
    chunk: String,
    token: String,
    items: Vec<String>,
}

/// Claims the next chunk.
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
    /// Reports the outcome of an item.
    fn report(&self, item: usize, outcome: &str, text: &str) {
        let args = ["update-task", &self.chunk, "--claim", &self.token, "--item", &self.items[item]];
        self.store.tasktally(args.iter().chain(&["--outcome", outcome, "--body", text])).success();
    }

    /// Settles all items and completes the chunk. Returns the chunk's id.
    fn finish(self, outcome: &str) -> String {
        for item in 0..self.items.len() {
            self.report(item, outcome, &format!("- {outcome}: {}", self.items[item]));
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
fn progress_is_shown_live_at_every_terminal_size() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    let id = create_batch(&store, 3, &[]);
    let work = claim(&store, &id, "worker-one");
    work.report(0, "started", "");
    let screen = Screen::watch(&store, (80, 24), "", &id);
    screen.wait_for(&[
        "File the mail",
        "running",
        "0 of 6",
        "worker-one",
        "item-1",
        "in progress",
        "─ 1 worker ─",
    ]);
    work.report(0, "done", "- Filed: \u{5e2}\u{5d1}\u{5e8} 日本 the first");
    screen.wait_for(&["1 of 6", "16 %", "done - Filed:", "the first"]);
    screen.resize(200, 50);
    eventually("chunks and workers side by side", || {
        let wide = screen.text();
        let row = wide.lines().find(|line| line.contains("─ chunks 3: 1 in progress, 2 queued ─"))?;
        row.contains("─ 1 worker ─").then_some(())
    });
    screen.resize(30, 8);
    screen.wait_for(&["needs 40×10, this is 30×8"]);
    screen.resize(80, 24);
    screen.wait_for(&["File the mail"]);
}

#[test]
fn reviews_are_decided_by_keys_and_recorded_as_receipts_of_the_person() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    let id = create_batch(&store, 3, &["--checkpoint", "chunk"]);
    let chunks: Vec<_> = (0..3).map(|_| claim(&store, &id, "w").finish("done")).collect();
    let screen = Screen::watch(&store, (80, 24), "", &id);
    screen.wait_for(&["waiting", "waits for you: 3 chunks in review", "▸ 01"]);
    screen.press(&["a"]);
    screen.wait_for(&["approve: ", "2 chunks in review"]);
    assert_eq!(status_of(&store, &id, 1), "done");
    assert!(body_of(&store, &chunks[0]).contains("Approved by 'erika'"));
    screen.press(&["n"]);
    screen.wait_for(&["▸ 02"]);
    screen.press(&["r"]);
    screen.wait_for(&["Reject ", "because"]);
    screen.press(&["Enter"]);
    screen.type_in("Not that folder: qy");
    screen.press(&["BSpace", "BSpace", "Enter"]);
    screen.wait_for(&["reject: ", "1 chunk in review", "rejected"]);
    assert_eq!(status_of(&store, &id, 2), "rejected");
    assert!(body_of(&store, &chunks[1]).contains("Rejected by 'erika' after step 'work'. Not that folder:"));
    screen.press(&["n", "d"]);
    screen.type_in("Once more, with care");
    screen.press(&["Enter"]);
    screen.wait_for(&["redo: "]);
    assert_eq!(status_of(&store, &id, 3), "active");
    screen.press(&["Up", "Up", "a"]);
    // The whole message, wrapped, and below it the keys.
    eventually("the refusal", || {
        let shown = screen.text();
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = ["does not wait for a review", "--view review shows the chunks that wait", "q quit"];
        parts.iter().all(|part| words.contains(part)).then_some(())
    });
}

#[test]
fn a_batch_is_paused_resumed_and_cancelled_by_keys() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    let id = create_batch(&store, 2, &[]);
    let screen = Screen::watch(&store, (80, 24), "", "");
    // The only open batch is shown at once.
    screen.wait_for(&[&id, "running", "chunks 2: 2 queued"]);
    screen.press(&["p"]);
    screen.wait_for(&["Pause the batch?"]);
    screen.press(&["n"]);
    screen.wait_for(&["Not paused"]);
    screen.press(&["p", "y"]);
    screen.wait_for(&["paused: decided in tasktally watch"]);
    screen.press(&["p", "y"]);
    eventually("the batch to be resumed", || screen.text().lines().next()?.contains("running").then_some(()));
    screen.press(&["c"]);
    screen.wait_for(&["Cancel the batch?"]);
    screen.press(&["n"]);
    screen.wait_for(&["Not cancelled"]);
    screen.press(&["c", "y"]);
    screen.wait_for(&["cancelled", "2 chunks had not ended"]);
    assert_eq!(status_of(&store, &id, 1), "cancelled");
    screen.press(&["c"]);
    screen.wait_for(&["The batch has ended and is cancelled"]);
    screen.press(&["Escape"]);
    screen.wait_for(&["No batch is open"]);
    screen.press(&["q"]);
    screen.wait_for(&["ended with 0"]);
}

#[test]
fn receipts_and_logs_are_shown_with_hostile_text_escaped() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    let id = create_batch(&store, 2, &[]);
    let work = claim(&store, &id, "w");
    for number in 1..=40 {
        let text = format!("note {number}");
        store.tasktally(["update-task", &work.chunk, "--claim", &work.token, "--body", &text]).success();
    }
    let folder = store.data_folder();
    let chunk: TaskId = work.chunk.parse().expect("an id");
    let mut log = LogWriter::open(&log_path(&folder, &chunk, 1, Stream::Out), 4_096).expect("a log");
    log.write("\x1b[2J\x1b[31mred\u{202e}\nsecond\n".as_bytes()).expect("it is written");
    let screen = Screen::watch(&store, (80, 24), "", &id);
    screen.wait_for(&["File the mail"]);
    screen.press(&["Enter"]);
    let end = screen.wait_for(&["─ receipts of 01 ", "note 40"]);
    assert!(!end.contains("note 5\n"), "{end}");
    screen.press(&["Home"]);
    screen.wait_for(&["note 1\n", "   1  "]);
    screen.press(&["l"]);
    screen.wait_for(&[
        "─ log of 01 ",
        "── attempt 1 ──",
        "── out ──",
        "\\u{1b}[2J\\u{1b}[31mred\\u{202e}",
        "second",
    ]);
    log.write(b"third\n").expect("it is written");
    screen.wait_for(&["third"]);
    screen.press(&["BSpace", "Down", "l"]);
    screen.wait_for(&["─ log of 02 ", "no log"]);
    screen.press(&["Escape"]);
    screen.wait_for(&["─ chunks 2"]);
    screen.press(&["?"]);
    screen.wait_for(&["─ keys ─", "approve the chunk"]);
}

#[test]
fn failed_items_are_shown_and_retried() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    let id = create_batch(&store, 2, &[]);
    claim(&store, &id, "w").finish("done");
    let work = claim(&store, &id, "w");
    work.report(0, "failed", "exit code 3: no such folder");
    let args = ["release-task", &work.chunk, "--claim", &work.token, "--reason", "no", "--outcome", "failed"];
    store.tasktally(args).success();
    let screen = Screen::watch(&store, (80, 24), "", &id);
    screen.wait_for(&["failed", "exit code 3: no such folder", "1 chunk failed or blocked", "1 failed"]);
    screen.press(&["n", "t"]);
    screen.wait_for(&["Opened 1 chunk with 1 failed item again"]);
    assert_eq!(status_of(&store, &id, 2), "active");
}

#[test]
fn failures_are_accepted_with_a_key_and_q_quits_from_a_batch() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    let id = create_batch(&store, 1, &[]);
    claim(&store, &id, "w").finish("failed");
    let screen = Screen::watch(&store, (80, 24), "", "");
    screen.wait_for(&["2 items failed", "x accept", "T retry all"]);
    screen.press(&["Escape"]);
    screen.wait_for(&["─ batches that ended with failures", "File the mail "]);
    screen.press(&["Enter"]);
    screen.wait_for(&["x accept"]);
    screen.press(&["x"]);
    screen.wait_for(&["Accept the failures (2 failed items)?"]);
    screen.press(&["y"]);
    eventually("the failures to be accepted", || (!screen.text().contains("x accept")).then_some(()));
    assert!(body_of(&store, &id).contains("'erika' accepted the failures"), "{}", body_of(&store, &id));
    screen.press(&["q"]);
    screen.wait_for(&["ended with 0"]);
}

#[test]
fn the_terminal_is_restored_at_every_kind_of_end() {
    if !has_program("tmux") {
        return;
    }
    type End = fn(&Screen);
    let ends: [(&str, End); 3] = [
        ("q", |screen| screen.press(&["q"])),
        ("Ctrl-C", |screen| screen.press(&["C-c"])),
        ("TERM", |screen| send_signal("TERM", screen.process())),
    ];
    for (name, end) in ends {
        let store = Store::new();
        let id = create_batch(&store, 1, &[]);
        let screen = Screen::watch(&store, (80, 24), "", &id);
        screen.wait_for(&["File the mail"]);
        // The cursor is hidden right after the first frame.
        eventually("a hidden cursor", || {
            (screen.tmux_format("#{alternate_on} #{cursor_flag}") == "1 0").then_some(())
        });
        end(&screen);
        screen.wait_for(&["ended with 0"]);
        assert_eq!(screen.tmux_format("#{alternate_on} #{cursor_flag}"), "0 1", "{name}");
        screen.type_in("echoed");
        screen.wait_for(&["echoed"]);
    }
}

#[test]
fn no_color_is_respected_and_a_dumb_terminal_gets_lines() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    let id = create_batch(&store, 1, &[]);
    let coloured = |screen: &Screen| {
        screen.wait_for(&["File the mail", "░"]);
        let shown = screen.coloured_text();
        shown.split("\x1b[").skip(1).filter_map(|part| part.split_once('m')).any(|(codes, _)| {
            codes.split(';').any(|code| {
                code.parse().is_ok_and(|code| (30..=38).contains(&code) || (90..=97).contains(&code))
            })
        })
    };
    assert!(coloured(&Screen::watch(&store, (80, 24), "", &id)));
    assert!(!coloured(&Screen::watch(&store, (80, 24), "NO_COLOR=1", &id)));
    let dumb = Screen::watch(&store, (80, 24), "TERM=dumb", &id);
    dumb.wait_for(&[&format!("{id} File the mail: running, 0 of 2 items")]);
    assert_eq!(dumb.tmux_format("#{alternate_on}"), "0");
}

#[test]
fn a_run_leaves_a_table_of_whole_rows_and_no_bar() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    let items: String =
        (1..=24).map(|number| format!("{{\"key\":\"item-{number}\",\"date\":\"2025-11-02\"}}\n")).collect();
    store.write("items.jsonl", items);
    store.write(
        "worker.sh",
        "cat > /dev/null\nsleep 0.2\ncase $TASKTALLY_ITEM in *[147]) c=a-long-category ;; *[258]) c=another-long-category ;; *) c=third ;; esac\n\
         printf '{\"receipt\":\"- read\",\"category\":\"%s\"}' $c\n",
    );
    let run = "run --items items.jsonl --split month:date --max-chunk 6 -- sh worker.sh";
    let screen = Screen::command(&store, (80, 24), "", run);
    // The total is one line, with everything after the bar.
    let total = eventually("the total's bar", || {
        screen.text().lines().find(|line| line.starts_with("all ")).map(str::to_owned)
    });
    assert!(total.trim_end().ends_with("left"), "{total}");
    let end = screen.wait_for(&["ended with 0"]);
    let rows: Vec<&str> = end.lines().filter(|line| line.contains(" done ")).collect();
    assert_eq!(rows.len(), 6, "a header, four chunks and the total: {end}");
    assert!(rows.iter().skip(1).all(|row| row.contains(", ") || row.contains('+')), "{end}");
    assert!(!end.contains('━') && !end.lines().any(|line| line.starts_with("all ")), "a bar is left: {end}");
    assert!(end.contains("24 items in ") && end.lines().any(|line| line.starts_with("Receipts: ")), "{end}");
}

/// Keeps the shell that starts the command alive when a key sends a signal to both.
const SHELL_STAYS: &str = "X=1; trap : INT QUIT";

#[test]
fn an_interrupted_run_says_that_it_waits_and_leaves_no_line_twice() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":1}\n{\"key\":2}\n{\"key\":3}\n{\"key\":4}\n");
    store.write("worker.sh", "touch started-$TASKTALLY_ITEM; while ! test -e go; do sleep 0.1; done\n");
    let run = "run --items items.jsonl --workers 2 -- sh worker.sh";
    let screen = Screen::command(&store, (80, 24), SHELL_STAYS, run);
    eventually("two items to start", || {
        [1, 3].iter().all(|key| store.folder().join(format!("started-{key}")).exists()).then_some(())
    });
    screen.wait_for(&["all "]);
    screen.type_in("typed");
    screen.press(&["Enter", "Enter", "C-c"]);
    let shown = screen.wait_for(&["Stopping: waiting for the items in work. A second Ctrl-C"]);
    assert!(!shown.contains("^C") && !shown.contains("typed"), "{shown}");
    let totals = shown.lines().filter(|line| line.starts_with("all ")).count();
    assert_eq!(totals, 1, "{shown}");
    store.write("go", "");
    let end = screen.wait_for(&["ended with 1", "Stopped.", "To continue: "]);
    assert!(!end.lines().any(|line| line.starts_with("all ")), "a bar is left: {end}");
    // The terminal shows again what is typed.
    screen.type_in("echoed");
    screen.wait_for(&["echoed"]);
}

#[test]
fn the_terminal_echoes_again_after_a_run_is_ended_by_a_quit_signal() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":1}\n");
    let run = "run --items items.jsonl -- sh -c 'touch on; sleep 60'";
    let screen = Screen::command(&store, (80, 24), SHELL_STAYS, run);
    eventually("the item to start", || store.folder().join("on").exists().then_some(()));
    screen.wait_for(&["all "]);
    screen.press(&["C-\\"]);
    screen.wait_for(&["ended with 131"]);
    screen.type_in("echoed");
    screen.wait_for(&["echoed"]);
}

#[test]
fn a_server_at_a_terminal_says_what_it_waits_for() {
    if !has_program("tmux") {
        return;
    }
    let store = Store::new();
    let screen = Screen::command(&store, (200, 24), "", "serve");
    screen.wait_for(&["This is an MCP server", "tasktally init"]);
    // Without a terminal, a client reads nothing but the protocol.
    let piped = store.tasktally(["serve"]).success();
    assert_eq!(piped.output().trim(), "");
}

#[test]
fn ten_thousand_chunks_can_be_scrolled_and_only_changes_are_sent_to_the_terminal() {
    if !has_program("tmux") {
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
    screen.wait_for(&["chunks 10000", "▸ 00001"]);
    screen.press(&["End"]);
    screen.wait_for(&["▸ 10000"]);
    screen.press(&["Home"]);
    screen.wait_for(&["▸ 00001"]);
    let sent = store.folder().join("sent");
    screen.record(&sent.display().to_string());
    let work = claim(&store, &id, "w");
    work.report(0, "done", "- Filed");
    screen.wait_for(&["1 of 10000", "- Filed"]);
    let bytes = std::fs::metadata(&sent).expect("a record").len();
    assert!((1..3_000).contains(&bytes), "{bytes} bytes for one receipt");
}
