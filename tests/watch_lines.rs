//! `tasktally watch` without a terminal: one line per change until the batch ends.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;
use support::store::Store;
use support::{eventually, wait_for_exit};

fn batch(store: &Store) -> String {
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
    let args = ["create-batch", "File the mail", "--instructions", "x", "--source", "items.jsonl"];
    let made = store
        .tasktally(args.iter().chain(&["--max-chunk", "1", "--checkpoint", "chunk", "--json"]))
        .success();
    made.json()["batch"]["id"].as_str().expect("an id").to_owned()
}

fn watch(store: &Store, args: &[&str]) -> (Child, impl FnMut() -> Option<String> + use<>) {
    let mut child =
        store.command().arg("watch").args(args).stdout(Stdio::piped()).spawn().expect("tasktally starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
    (child, move || lines.next().map(|line| line.expect("a line")))
}

fn work(store: &Store, batch: &str, outcome: &str) -> String {
    let won = store.tasktally(["claim-task", "--batch", batch, "--worker", "w", "--json"]).success().json();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let (chunk, token) = (text(&won["task"]["id"]), text(&won["claim"]["token"]));
    let item = text(&won["items"][0]["key"]);
    let args = ["update-task", &chunk, "--claim", &token, "--item", &item, "--outcome", outcome];
    store.tasktally(args).success();
    store.tasktally(["complete-task", &chunk, "--claim", &token]).success();
    chunk
}

#[test]
fn each_change_is_a_line_and_the_exit_code_shows_the_result() {
    for (outcome, code) in [("done", 0), ("failed", 1)] {
        let store = Store::new();
        let id = batch(&store);
        // Without a terminal lines are printed by default.
        let (mut child, mut next) = watch(&store, &[]);
        assert_eq!(next(), Some(format!("{id} File the mail: running, 0 of 2 items")));
        let first = work(&store, &id, "done");
        let mut until = |wanted: &str| {
            while let Some(line) = next() {
                if line.contains(wanted) {
                    return line;
                }
            }
            panic!("no line with {wanted}")
        };
        assert!(until(": review").contains(&first));
        let second = work(&store, &id, outcome);
        let line = until(&format!("{second} "));
        assert!(line.contains("review, 1 of 1"), "{line}");
        let line = until(": waiting");
        assert!(line.contains(&format!("review-batch {id} --decision approve")), "{line}");
        store.tasktally(["review-batch", &id, "--decision", "approve"]).success();
        let line = until(&format!("{id} File the mail: done, 2 of 2 items"));
        assert_eq!(line.contains(", 1 failed"), code == 1, "{line}");
        assert_eq!(wait_for_exit(&mut child).code(), Some(code));
    }
}

#[test]
fn workers_whose_process_died_are_reported_with_the_command_that_takes_over() {
    let store = Store::new();
    let id = batch(&store);
    let in_progress = |store: &Store| {
        let reply = store.tasktally(["get-batch", &id, "--json"]).success().json();
        let chunks = reply["chunks"].as_array().expect("chunks").clone();
        (chunks.iter().filter(|chunk| chunk["status"] == "in_progress").count() == 2).then_some(())
    };
    let script = "while ! [ -e go ]; do sleep 0.05; done";
    let args = ["work", "--batch", &id, "--workers", "2", "--", "sh", "-c", script];
    let mut work = store.tasktally(args).start();
    eventually("both chunks to be claimed", || in_progress(&store));
    let (mut child, mut next) = watch(&store, &[]);
    let line = next().expect("a line");
    assert!(!line.contains("died"), "{line}");
    work.kill().expect("it is killed");
    wait_for_exit(&mut work);
    let line = std::iter::from_fn(&mut next).find(|line| line.contains("died")).expect("a line");
    assert!(line.contains("2 workers died; to go on: tasktally"), "{line}");
    assert!(line.ends_with(&format!("work --batch {id} -- COMMAND")), "{line}");
    store.write("go", "");
    // A run is continued by another command.
    let mut run = store.tasktally(["run", "--resume", &id, "--quiet", "--", "sh", "-c", script]).start();
    wait_for_exit(&mut run);
    store.tasktally(["control-batch", &id, "--action", "cancel"]).finish();
    let rest: Vec<String> = std::iter::from_fn(&mut next).collect();
    assert!(!rest.last().expect("lines").contains("died"), "{rest:?}");
    wait_for_exit(&mut child);
}

#[test]
fn a_cancelled_batch_is_no_longer_reported_as_paused() {
    let store = Store::new();
    let id = batch(&store);
    store.tasktally(["control-batch", &id, "--action", "pause", "--reason", "for lunch"]).success();
    let shown = store.tasktally(["watch", &id]).code(1).stdout;
    assert!(shown.contains("paused: for lunch"), "{shown}");
    store.tasktally(["control-batch", &id, "--action", "cancel"]).success();
    let shown = store.tasktally(["watch", &id]).code(1).stdout;
    assert!(shown.contains("cancelled") && !shown.contains("for lunch"), "{shown}");
}

#[test]
fn json_output_is_an_object_per_line_with_the_whole_batch_last() {
    let store = Store::new();
    let id = batch(&store);
    let (mut child, mut next) = watch(&store, &[&id, "--json"]);
    let first: Value = serde_json::from_str(&next().expect("a line")).expect("JSON");
    assert_eq!((first["event"].as_str(), first["total"].as_u64()), (Some("batch"), Some(2)));
    store.tasktally(["control-batch", &id, "--action", "cancel"]).success();
    let events: Vec<Value> =
        std::iter::from_fn(next).map(|line| serde_json::from_str(&line).expect("JSON")).collect();
    let last = events.last().expect("events");
    assert_eq!((last["event"].as_str(), last["batch"]["status"].as_str()), (Some("done"), Some("cancelled")));
    assert_eq!(wait_for_exit(&mut child).code(), Some(1));
}

#[test]
fn without_an_id_the_only_open_batch_is_watched_or_the_open_batches_are_listed() {
    let output = Store::new_sqlite().tasktally(["watch"]).code(2).stderr;
    assert!(output.contains("there is no such file"), "{output}");
    let store = Store::new();
    let first = batch(&store);
    store.tasktally(["control-batch", &first, "--action", "cancel"]).success();
    let output = store.tasktally(["watch"]).code(3).stdout;
    assert!(output.contains("No batch is open"), "{output}");
    let (second, third) = (batch(&store), batch(&store));
    let output = store.tasktally(["watch"]).code(2).stderr;
    assert!(
        output.contains("2 batches are open") && output.contains(&second) && output.contains(&third),
        "{output}"
    );
    let output = store.tasktally(["watch", "nothing"]).code(1).stderr;
    assert!(output.contains("No batch 'nothing'"), "{output}");
}
