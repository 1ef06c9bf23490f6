//! `tasktally logs` shows the escaped output of a chunk's worker and follows it until the attempt ends.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;
use support::store::Store;
use support::wait_for_exit;
use tasktally::logs::{LogWriter, Stream, log_path};
use tasktally::model::id::TaskId;

/// Creates a batch of one chunk. Returns the chunk's id.
fn chunk(store: &Store) -> String {
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
    let made = store
        .tasktally(["create-batch", "Print", "--instructions", "x", "--source", "items.jsonl", "--json"])
        .success();
    made.json()["chunks"][0]["id"].as_str().expect("a chunk").to_owned()
}

fn writer(store: &Store, chunk: &str, attempt: u64, stream: Stream) -> LogWriter {
    let folder = store.data_folder();
    let chunk: TaskId = chunk.parse().expect("an id");
    LogWriter::open(&log_path(&folder, &chunk, attempt, stream), 64).expect("a log")
}

#[test]
fn both_streams_are_labelled_and_control_characters_are_escaped() {
    let store = Store::new();
    let chunk = chunk(&store);
    writer(&store, &chunk, 1, Stream::Out).write(b"old\n").expect("it is written");
    writer(&store, &chunk, 2, Stream::Out).write("a\x1b[2J\u{202e}b\nc".as_bytes()).expect("it is written");
    writer(&store, &chunk, 2, Stream::Err).write(b"oh\n").expect("it is written");
    let shown = |args: &[&str]| {
        let args = ["logs", chunk.as_str()].into_iter().chain(args.iter().copied());
        store.tasktally(args).success().stdout
    };
    assert_eq!(shown(&[]), "── out ──\na\\u{1b}[2J\\u{202e}b\nc\n── err ──\noh\n");
    assert_eq!(shown(&["--attempt", "1"]), "── out ──\nold\n");
    assert_eq!(shown(&["--err"]), "── err ──\noh\n");
    assert_eq!(shown(&["--tail", "1", "--out"]), "── out ──\nc\n");
    assert_eq!(shown(&["--raw", "--out"]), "a\x1b[2J\u{202e}b\nc");
    let lines = shown(&["--json"]);
    let parsed: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((parsed[1]["stream"].as_str(), parsed[1]["text"].as_str()), (Some("err"), Some("oh\n")));
}

#[test]
fn the_number_of_bytes_left_out_of_a_long_log_is_shown() {
    let store = Store::new();
    let chunk = chunk(&store);
    writer(&store, &chunk, 1, Stream::Out).write(&[b'x'; 1_000]).expect("it is written");
    let shown = store.tasktally(["logs", &chunk]).success().stdout;
    assert!(shown.contains(&format!("\n… {} bytes left out …\n", 1_000 - 64)), "{shown}");
}

#[test]
fn the_error_for_a_chunk_without_a_log_names_the_command_for_its_receipts() {
    let store = Store::new();
    let chunk = chunk(&store);
    let output = store.tasktally(["logs", &chunk]).code(1).stderr;
    assert!(output.contains(&format!(" get-task {chunk} shows its receipts")), "{output}");
    writer(&store, &chunk, 3, Stream::Out).write(b"x").expect("it is written");
    let output = store.tasktally(["logs", &chunk, "--attempt", "1"]).code(1).stderr;
    assert!(output.contains("attempt 1 of chunk") && output.contains("these have one: 3"), "{output}");
    let batch = chunk.split('.').next().expect("a batch");
    let output = store.tasktally(["logs", batch]).code(2).stderr;
    assert!(output.contains("is a batch"), "{output}");
    let output = store.tasktally(["logs", "nothing.1"]).code(1).stderr;
    assert!(output.contains("No task 'nothing.1'"), "{output}");
}

#[test]
fn follow_continues_until_the_attempt_has_ended() {
    let store = Store::new();
    let chunk = chunk(&store);
    let claim = store.tasktally(["claim-task", "--id", &chunk, "--worker", "w", "--json"]).success().json();
    let token = claim["claim"]["token"].as_str().expect("a token").to_owned();
    let mut log = writer(&store, &chunk, 1, Stream::Out);
    log.write(b"first\n").expect("it is written");
    let mut follower = store
        .command()
        .args(["logs", &chunk, "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("tasktally starts");
    let mut lines = BufReader::new(follower.stdout.take().expect("stdout is piped")).lines();
    let mut next = || lines.next().map(|line| line.expect("a line"));
    assert_eq!((next().as_deref(), next().as_deref()), (Some("── out ──"), Some("first")));
    log.write("日本 second\n".as_bytes()).expect("it is written");
    assert_eq!(next().as_deref(), Some("日本 second"), "while it is written");
    log.write(b"last\n").expect("it is written");
    store.tasktally(["release-task", &chunk, "--claim", &token, "--reason", "over"]).success();
    assert_eq!((next().as_deref(), next()), (Some("last"), None));
    assert!(wait_for_exit(&mut follower).success());
}
