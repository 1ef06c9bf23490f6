//! Parameters without their names, and chunks named by their numbers.

use serde_json::json;

mod support;
use support::store::Store;

/// A batch of twelve chunks.
fn batch_of_twelve(store: &Store) -> String {
    let items: Vec<_> = (0..12).map(|n| format!("k{n}")).collect();
    let made = store
        .serve()
        .call("create_batch", json!({"title": "B", "instructions": "do", "items": items, "max_chunk": 1}));
    made.ok().text("/batch/id")
}

#[test]
fn the_first_parameter_needs_no_name_anywhere() {
    let store = Store::new();
    let id = store.serve().create_task("Walrus");
    for words in [
        vec!["get-task", &id],
        vec!["get-task", "--json", &id],
        vec!["get-task", "--limit", "3", &id],
        vec!["get-task", "--limit", "3", "--", &id],
        vec!["--json", "get-task", "--", &id],
        vec!["search-tasks", "--limit", "3", "walrus"],
        vec!["search-tasks", "--", "walrus"],
    ] {
        let ran = store.tasktally(&words).success();
        assert!(ran.stdout.contains("Walrus"), "{words:?}: {}", ran.stdout);
    }
    store.tasktally(["complete-task", "--force", &id]).success();
    let refused = store.tasktally(["get-task", &id, "surplus"]).code(2);
    assert!(refused.stderr.contains("unexpected argument 'surplus'"), "{}", refused.stderr);
}

#[test]
fn the_action_on_a_batch_needs_no_name() {
    let store = Store::new();
    let batch = batch_of_twelve(&store);
    let status = |words: &[&str]| {
        store.tasktally(words).success();
        store.tasktally(["get-batch", &batch, "--json"]).success().json()["batch"]["status"].clone()
    };
    assert_eq!(status(&["control-batch", &batch, "pause"]), "paused");
    assert_eq!(status(&["control-batch", "--reason", "now", "--", &batch, "resume"]), "running");
    assert_eq!(status(&["control-batch", "cancel", "--id", &batch]), "cancelled");
}

#[test]
fn a_chunk_is_found_by_its_number_without_leading_zeros() {
    let store = Store::new();
    let batch = batch_of_twelve(&store);
    let full = format!("{batch}.01");
    for short in [format!("{batch}.1"), format!("{batch}.001")] {
        let task = store.tasktally(["get-task", &short, "--json"]).success().json();
        assert_eq!(task["task"]["id"], full.as_str());
    }
    let short = format!("{batch}.1");
    let claim = store.tasktally(["claim-task", &short, "--worker", "w", "--json"]).success().json();
    assert_eq!(claim["task"]["id"], full.as_str());
    let token = claim["claim"]["token"].as_str().expect("a token");
    let receipt = ["--item", "k0", "--outcome", "failed", "--body", "no"];
    let receipt = ["update-task", &short, "--claim", token].into_iter().chain(receipt);
    store.tasktally(receipt).success();
    store.tasktally(["complete-task", &short, "--claim", token]).success();
    // A decision and a retry find it, and other numbers are refused.
    let retried =
        store.tasktally(["control-batch", &batch, "retry", "--chunks", "1", "--json"]).success().json();
    assert!(retried["message"].as_str().is_some_and(|text| text.contains("1 chunk")), "{retried}");
    let review = store.tasktally(["review-batch", &batch, "approve", "--chunk", "1"]).code(1);
    assert!(review.stderr.contains("does not wait for a review"), "{}", review.stderr);
    for (option, command) in
        [("--chunk", ["review-batch", "approve"]), ("--chunks", ["control-batch", "retry"])]
    {
        let refused = store.tasktally([command[0], &batch, command[1], option, "13"]).code(1);
        assert!(refused.stderr.contains("no chunk '13'"), "{}", refused.stderr);
    }
    store.tasktally(["get-task", &format!("{batch}.13")]).code(1);
    let logs = store.tasktally(["logs", &short]).code(1);
    assert!(logs.stderr.contains(&full), "{}", logs.stderr);
}

#[test]
fn a_word_in_the_wrong_place_is_answered_with_where_it_belongs() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n");
    let script = store.write("worker.sh", "#!/bin/sh\n");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    for (words, part) in [
        (&["run", "items.jsonl", "--", "./worker.sh"][..], "write '--items items.jsonl'"),
        (&["run", "--items", "items.jsonl", "./worker.sh"], "write '-- ./worker.sh'"),
        (&["work", "./worker.sh"], "write '-- ./worker.sh'"),
        (&["run", "--items", "items.jsonl", "--", "worker.sh"], "write ./worker.sh"),
        (&["getbatch"], "exist: 'get-batch', "),
    ] {
        let refused = store.tasktally(words).code(2);
        assert!(refused.stderr.contains(part), "{words:?}: {}", refused.stderr);
    }
    let json = store.tasktally(["--json", "run", "items.jsonl"]).code(2).json();
    assert!(json["message"].as_str().expect("a message").contains("--items items.jsonl"), "{json}");
}

#[test]
fn the_short_help_leaves_out_what_a_script_needs() {
    let store = Store::new();
    let lines = |option| store.tasktally(["run", option]).success().stdout.lines().count();
    let short = store.tasktally(["run", "-h"]).success().stdout;
    assert!(short.contains("--help") && !short.contains("TASKTALLY_CONTEXT"), "{short}");
    assert!(lines("-h") + 20 < lines("--help"));
}
