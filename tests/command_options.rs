//! The options of `tasktally run` and `tasktally work` for their command: `--timeout`, `--retries`, `--delay`, and `{}`
//! in an argument.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::cli::Ran;
use support::store::Store;

/// A store with a file of these keys.
fn store_with_items(keys: &[&str]) -> Store {
    let store = Store::new();
    let lines: Vec<String> = keys.iter().map(|key| json!({ "key": key }).to_string()).collect();
    store.write("items.jsonl", lines.join("\n"));
    store
}

/// Runs a command over the items with these options.
fn run(store: &Store, options: &[&str], command: &[&str]) -> Ran {
    store
        .tasktally([&["--json", "run", "--items", "items.jsonl"], options, &["--"], command].concat())
        .finish()
}

/// The last event of a run.
#[track_caller]
fn end(ran: &Ran) -> Value {
    let last = ran.stdout.lines().last().unwrap_or_else(|| panic!("{}", ran.stderr));
    serde_json::from_str(last).unwrap()
}

fn body(store: &Store, end: &Value) -> String {
    store.serve().body(end["chunks"][0]["id"].as_str().unwrap())
}

#[test]
fn a_command_that_exceeds_its_timeout_is_stopped_and_its_item_failed() {
    let store = store_with_items(&["slow", "fast"]);
    let script = "case $TASKTALLY_ITEM in slow) echo begun; sleep 600;; esac";
    let ended = end(&run(&store, &["--timeout", "400ms"], &["sh", "-c", script]));
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 1, "failed": 1}));
    let body = body(&store, &ended);
    assert!(body.contains("ran longer than 0.4 s (--timeout); stdout: begun"), "{body}");
}

#[test]
fn a_resumed_run_keeps_its_limits_unless_they_are_given_again() {
    let store = store_with_items(&["a"]);
    let ended = end(&run(&store, &["--timeout", "300ms"], &["sleep", "1"]));
    assert_eq!(ended["batch"]["outcomes"], json!({"failed": 1}));
    let id = ended["batch"]["id"].as_str().unwrap();
    let resume = |options: &[&str]| {
        store.tasktally(["control-batch", id, "retry"]).success();
        let ran = store.tasktally([&["--json", "run", "--resume", id], options].concat()).finish();
        end(&ran)["batch"]["outcomes"].clone()
    };
    assert_eq!(resume(&["--retries", "0"]), json!({"failed": 1}));
    assert_eq!(resume(&["--timeout", "1m"]), json!({"done": 1}));
}

#[test]
fn any_failure_is_tried_again_as_often_as_retries_says() {
    let store = store_with_items(&["a", "b"]);
    // Each try leaves a line; the third one succeeds.
    let script = "echo x >> tries-$TASKTALLY_ITEM; test $(wc -l < tries-$TASKTALLY_ITEM) -ge 3 || exit 9";
    let ended = end(&run(&store, &["--retries", "2", "--workers", "1"], &["sh", "-c", script]));
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 2}));

    let store = store_with_items(&["a"]);
    let ended = end(&run(&store, &["--retries", "1"], &["sh", "-c", script]));
    assert_eq!(ended["batch"]["outcomes"], json!({"failed": 1}));
    let body = body(&store, &ended);
    assert!(body.contains("failed 2 times within 1") && body.contains("exit code 9"), "{body}");
    assert_eq!(std::fs::read_to_string(store.folder().join("tries-a")).unwrap().lines().count(), 2);
}

#[test]
fn without_retries_a_temporary_failure_is_final() {
    let store = store_with_items(&["a", "b"]);
    let ended = end(&run(&store, &["--retries", "0"], &["sh", "-c", "test $TASKTALLY_ITEM = b || exit 75"]));
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 1, "failed": 1}));
    let body = body(&store, &ended);
    assert!(body.contains("exit code 75") && !body.contains("times within"), "{body}");
}

#[test]
fn a_task_without_items_is_tried_again_and_timed_out_as_well() {
    let store = Store::new();
    store.tasktally(["create-task", "A task"]).success();
    let script = "echo \"$1\" >> seen; test $(wc -l < seen) -ge 2 || sleep 600";
    let work = ["work", "--timeout", "500ms", "--retries", "1", "--", "sh", "-c", script, "sh", "{}"];
    store.tasktally(work).success();
    let tasks = store.serve().call("list_tasks", json!({"status": "done"})).ok();
    let id = tasks["tasks"][0]["id"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(store.folder().join("seen")).unwrap(), format!("{id}\n{id}\n"));
}

#[test]
fn all_workers_together_start_once_per_delay() {
    let store = store_with_items(&["a", "b", "c", "d"]);
    let options = ["--delay", "0.4", "--workers", "4", "--max-chunk", "1"];
    let ended = end(&run(&store, &options, &["sh", "-c", "date +%s%N >> starts"]));
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 4}));
    let starts = std::fs::read_to_string(store.folder().join("starts")).unwrap();
    let mut starts: Vec<u64> = starts.lines().map(|line| line.parse().unwrap()).collect();
    starts.sort_unstable();
    let total = (starts[3] - starts[0]) / 1_000_000;
    // Processes take a different time to start, so only the sum is exact enough.
    assert!(total >= 1_000, "4 starts within {total} ms");
}

#[test]
fn an_item_that_waits_for_the_delay_is_not_in_doubt_after_a_kill() {
    let store = store_with_items(&["a", "b", "c"]);
    let options = ["run", "--items", "items.jsonl", "--delay", "1h", "--workers", "3", "--max-chunk", "1"];
    let mut child = store.tasktally([&options[..], &["--", "touch", "{}"]].concat()).start();
    support::eventually("one item to be done", || {
        let done = ["a", "b", "c"].iter().filter(|key| store.folder().join(key).exists()).count();
        (done == 1).then_some(())
    });
    let id = support::eventually("the batch", || {
        let ran = store.tasktally(["--json", "get-batch"]).success().json();
        let batch = ran["batches"][0].clone();
        (batch["processed"] == 1).then(|| batch["id"].as_str().unwrap().to_owned())
    });
    support::send_signal("KILL", child.id());
    support::wait_for_exit(&mut child);
    let batch = store.tasktally(["--json", "get-batch", &id]).success().json();
    assert_eq!((batch["batch"]["in_doubt"].as_u64(), batch["batch"].get("begun")), (Some(0), None));
}

#[test]
fn a_key_becomes_one_argument_whatever_it_is() {
    let keys = ["a b", "$(touch owned)", "'; touch owned; '", "-rf", "{}", "*", "é\\n"];
    let store = store_with_items(&keys);
    let script = "for word; do printf '[%s]' \"$word\"; done >> seen; echo >> seen; cat >> stdin";
    store.write("show.sh", script);
    let command = ["sh", "show.sh", "{}", "--out=x/{}.txt", "{{}}", "{print}"];
    let ended = end(&run(&store, &["--workers", "1"], &command));
    assert_eq!(ended["batch"]["outcomes"], json!({"done": keys.len()}));
    let seen = std::fs::read_to_string(store.folder().join("seen")).unwrap();
    let expected: Vec<String> =
        keys.iter().map(|key| format!("[{key}][--out=x/{key}.txt][{{}}][{{print}}]")).collect();
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    assert!(!store.folder().join("owned").exists());
    let stdin = std::fs::read_to_string(store.folder().join("stdin")).unwrap();
    assert!(stdin.contains(&json!({"key": "a b"}).to_string()), "{stdin}");
}

#[test]
fn an_argument_that_is_too_long_fails_its_item_and_not_the_batch() {
    let long = "x".repeat(200);
    let store = store_with_items(&[&long, "short"]);
    let ended = end(&run(&store, &["--workers", "1"], &["true", &"{}".repeat(1_000)]));
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 1, "failed": 1}));
    let body = body(&store, &ended);
    assert!(body.contains("has 200000 bytes, at most 131071; read the item from standard input"), "{body}");
}

#[test]
fn a_placeholder_in_code_is_refused_before_anything_is_created() {
    let store = store_with_items(&["a"]);
    #[track_caller]
    fn check(store: &Store, command: &[&str], expected: &str) {
        let ran = store.tasktally([&["run", "--items", "items.jsonl", "--"], command].concat()).code(2);
        assert!(ran.stderr.contains(expected), "{command:?}: {}", ran.stderr);
        let batches = store.tasktally(["--json", "get-batch"]).success().json();
        assert_eq!(batches["batches"], json!([]), "a batch was created");
    }
    for command in [
        &["sh", "-c", "echo {}"][..],
        &["bash", "-euc", "echo '{}'"],
        &["env", "A=1", "python3", "-c", "print('{}')"],
        &["perl", "-ne", "print '{}'"],
    ] {
        check(&store, command, "\"$TASKTALLY_ITEM\"");
        check(&store, command, "write {{}} for the literal text {}");
    }
    check(&store, &["./{}.sh"], "the program cannot depend on the item");
}

#[test]
fn wrong_durations_and_options_without_an_effect_are_refused() {
    let store = store_with_items(&["a"]);
    #[track_caller]
    fn check(store: &Store, options: &[&str], expected: &str) {
        let ran = run(store, options, &["true"]);
        assert_eq!(ran.code, Some(2), "{options:?}");
        assert!(ran.output().contains(expected), "{options:?}: {}", ran.output());
    }
    check(&store, &["--timeout", "0"], "allowed: 1ms to 1d; leave the option out for no limit");
    check(&store, &["--timeout", "soon"], "'soon' is not a duration");
    check(&store, &["--delay=-1"], "'-1' is not a duration");
    check(&store, &["--delay", "2d"], "out of range; allowed: 0 to 1d");
    check(&store, &["--retries=-1"], "0..=1000");
    let ran = store.tasktally(["create-batch", "B", "--instructions", "x", "--items", "[\"a\"]"]).success();
    let id = ran.stdout.split('\'').nth(1).unwrap_or_default().to_owned();
    let id = if id.is_empty() {
        store.tasktally(["--json", "get-batch"]).success().json()["batches"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    } else {
        id
    };
    let ran = store.tasktally(["work", "--batch", &id, "--timeout", "5s"]).code(2);
    assert!(ran.stderr.contains("the profile's timeout_s applies"), "{}", ran.stderr);
}
