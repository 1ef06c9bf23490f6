//! What a command gets that runs once per item, and what becomes of its output.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::background::{start_batch, wait_for_status};
use support::store::Store;

/// The event of `tasktally run --json` for the last item that was settled.
fn run_once(store: &Store, item: &Value, script: &str) -> Value {
    store.write("items.jsonl", item.to_string());
    let run = ["run", "--items", "items.jsonl", "--key", "id", "--json", "--", "sh", "-c", script];
    let ran = store.tasktally(run).finish();
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    events.last().unwrap_or_else(|| panic!("{}", ran.stderr)).clone()
}

/// The body of the only chunk after `script` has worked one item.
fn receipt_of(script: &str) -> String {
    let store = Store::new();
    let end = run_once(&store, &json!({"id": "a"}), script);
    let chunk = end["chunks"][0]["id"].as_str().unwrap().to_owned();
    store.serve().body(&chunk)
}

#[test]
fn the_input_is_the_item_as_it_stood_in_the_source() {
    let store = Store::new();
    let item = json!({"id": "a", "key": "own", "in_doubt": "own", "earlier_steps": [1], "title": "T"});
    let end = run_once(
        &store,
        &item,
        "cat > input.json; cp $TASKTALLY_CONTEXT context.json; echo \"- $TASKTALLY_ITEM\"",
    );
    assert_eq!(end["batch"]["outcomes"], json!({"done": 1}));
    let read = |name: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(store.folder().join(name)).unwrap()).unwrap()
    };
    assert_eq!(read("input.json"), item);
    let context = read("context.json");
    assert_eq!(context["item"], json!({"key": "a", "fields": item}));
    assert_eq!(context["batch"]["id"], end["batch"]["id"]);
    let folder = store.data_folder().join("jobs");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "a context file is left");
}

#[test]
fn a_command_learns_its_step_the_instructions_and_the_note_of_a_redo() {
    let script = "echo \"$TASKTALLY_STEP|$TASKTALLY_NOTE\" >> ../../seen
        python3 -c 'import json,os,sys; print(json.dumps({\"receipt\": json.dumps(json.load(open(os.environ[\"TASKTALLY_CONTEXT\"]))), \"category\": \"bug\"}))'";
    let config = format!("[worker.w]\nper = \"item\"\ncommand = [\"sh\", \"-c\", {script:?}]\n");
    let store = Store::new().with_config(&config);
    let mut server = store.serve();
    let steps =
        json!([{"name": "sort", "instructions": "Sort it."}, {"name": "move", "instructions": "Move it."}]);
    let request = json!({"title": "Mail", "instructions": "Be careful.", "items": ["a"], "steps": steps,
        "checkpoint": "chunk", "worker": "w"});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    let chunk = format!("{id}.01");
    wait_for_status(&mut server, &id, "waiting");
    let redo = json!({"id": id, "chunk": chunk, "decision": "redo", "note": "Look at the date."});
    server.call("review_batch", redo).ok();
    support::eventually("the chunk to wait again", || {
        let seen = std::fs::read_to_string(store.data_folder().join("seen")).ok()?;
        (seen.lines().count() == 2).then_some(())
    });
    wait_for_status(&mut server, &id, "waiting");
    server.call("review_batch", json!({"id": id, "chunk": chunk, "decision": "approve"})).ok();
    wait_for_status(&mut server, &id, "done");
    let seen = std::fs::read_to_string(store.data_folder().join("seen")).unwrap();
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[..2], ["sort|", "sort|Look at the date."]);
    assert!(lines[2].starts_with("move|"), "{seen}");
    let body = server.body(&chunk);
    for part in ["Be careful.", "Move it.", "\"earlier_steps\": {\"sort\": {", "\"title\": \"Mail\""] {
        assert!(body.contains(part), "{part}: {body}");
    }
}

#[test]
fn printed_json_is_read_in_one_line_and_in_several() {
    let pretty =
        "printf '{\\n  \"receipt\": \"- kept\",\\n  \"category\": \"fyi\",\\n  \"tokens_in\": 12\\n}\\n'";
    let store = Store::new();
    let end = run_once(&store, &json!({"id": "a"}), pretty);
    assert_eq!(end["batch"]["categories"], json!({"fyi": 1}));
    let chunk = end["chunks"][0]["id"].as_str().unwrap().to_owned();
    assert!(store.serve().body(&chunk).contains("- kept"));
    let agent = "printf '{\"type\":\"result\",\"is_error\":false,\"result\":\"Filed it.\",\"total_cost_usd\":0.25,\"usage\":{\"input_tokens\":3,\"output_tokens\":7}}'";
    let store = Store::new();
    let end = run_once(&store, &json!({"id": "a"}), agent);
    assert_eq!(end["batch"]["outcomes"], json!({"done": 1}));
    let batch =
        store.tasktally(["--json", "get-batch", end["batch"]["id"].as_str().unwrap()]).success().json();
    assert_eq!(batch["batch"]["spent"]["cost"], 0.25, "{batch}");
}

#[test]
fn an_agent_that_reports_an_error_has_failed_whatever_its_exit_code_is() {
    let script = "printf '{\"type\":\"result\",\"is_error\":true,\"result\":\"Invalid API key\"}'";
    let body = receipt_of(script);
    assert!(body.contains("is_error is true; stdout: Invalid API key"), "{body}");
}

#[test]
fn a_failure_has_the_end_of_both_outputs_and_the_command_for_the_rest() {
    let body = receipt_of("echo 'Please run /login'; echo 'a warning' >&2; exit 3");
    let expected = "exit code 3; stderr: a warning; stdout: Please run /login; whole output: tasktally logs ";
    assert!(body.contains(expected), "{body}");
}

#[test]
fn a_long_text_is_cut_and_says_so() {
    let body = receipt_of("head -c 5003 /dev/zero | tr '\\0' x");
    assert!(body.contains("x… (cut: 2000 of 5003 characters)"), "{body}");
}

#[test]
fn a_chunk_worker_that_prints_its_error_on_stdout_is_not_hidden() {
    let config =
        "[worker.w]\nper = \"chunk\"\ncommand = [\"sh\", \"-c\", \"echo 'Not logged in'; exit 1\"]\n";
    let store = Store::new().with_config(config);
    let mut server = store.serve();
    let id = start_batch(&mut server, 1, 1, "w");
    let body = support::eventually("the attempt to fail", || {
        Some(server.body(&format!("{id}.01"))).filter(|body| body.contains("without a receipt"))
    });
    assert!(
        body.contains(&format!("exit code 1; stdout: Not logged in; whole output: tasktally logs {id}.01")),
        "{body}"
    );
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
}

#[test]
fn a_worker_that_reads_the_terminal_gets_an_error_and_is_not_stopped() {
    let store = Store::new();
    store.write("items.jsonl", json!({"key": "a"}).to_string());
    // A terminal of its own, whose foreground process is `tasktally run`.
    let on_a_terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut command = std::process::Command::new("python3");
    let template = store.command();
    command.current_dir(store.folder());
    command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args([
        "-c",
        on_a_terminal,
        env!("CARGO_BIN_EXE_tasktally"),
        "run",
        "--items",
        "items.jsonl",
        "--",
    ]);
    command.args(["sh", "-c", "read answer < /dev/tty || echo '- no terminal'"]);
    let mut child =
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
    assert!(support::wait_for_exit(&mut child).success());
    let mut server = store.serve();
    let tasks = server.call("list_tasks", json!({"limit": 0})).ok();
    let chunk =
        tasks["tasks"].as_array().unwrap().iter().find(|task| task["parent"].is_string()).unwrap().clone();
    assert!(server.body(chunk["id"].as_str().unwrap()).contains("- no terminal"));
}

#[test]
fn a_command_that_cannot_start_ends_a_run_in_the_foreground() {
    let store = Store::new().with_config("[worker.w]\nper = \"item\"\ncommand = [\"/bin/sh\"]\n");
    let mut server = store.serve();
    let batch = server.call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a"]})).ok();
    let batch = batch.text("/batch/id");
    // The program is found when the profile is named, and is gone when the worker starts.
    let script = store.write("script", "#!/bin/sh\n");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let profile = format!("[worker.w]\nper = \"item\"\ncommand = [{script:?}]\n");
    std::fs::write(store.config(), profile).unwrap();
    store.tasktally(["work", "--batch", &batch, "--worker", "w", "--quiet"]).success();
    let again = server.call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a"]})).ok();
    let again = again.text("/batch/id");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    for option in ["--workers", "--project"] {
        let refused = store.tasktally(["work", "--batch", &again, option, "3"]).code(2);
        assert!(refused.stderr.contains("leave the option out"), "{}", refused.stderr);
    }
    let refused = store.tasktally(["work", "--batch", &again, "--worker", "w", "--quiet"]).code(2);
    assert!(refused.stderr.contains("'/no/such/interpreter'"), "{}", refused.stderr);
    server.call("control_batch", json!({"id": again, "action": "pause", "reason": "a holiday"})).ok();
    let watched = store.tasktally(["watch", &again, "--plain"]).code(1);
    assert!(watched.stdout.contains("a holiday"), "{}", watched.stdout);
}
