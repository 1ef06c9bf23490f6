//! Values of items arrive at workers as they stand in the source: digits, names of fields, dates and rows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use support::cli::Ran;
use support::reply::Reply;
use support::server::Server;
use support::store::Store;

const BIG: &str = r#"{"key": "a", "n": 1234567890123456789012, "price": 1.10, "pi": 3.14159265358979323846}"#;

fn create(server: &mut Server, request: Value) -> Reply {
    let mut request = request;
    (request["title"], request["instructions"]) = (json!("T"), json!("I"));
    server.call("create_batch", request)
}

/// The items of a batch's first chunk.
fn claimed(server: &mut Server, plan: &Reply) -> Vec<Value> {
    let claim = server.call("claim_task", json!({"batch": plan.text("/batch/id")})).ok();
    claim["items"].as_array().unwrap().clone()
}

/// Runs a command that appends each item's standard input to a file. Returns the output and the file.
fn run_recorded(store: &Store, args: &[&str]) -> (Ran, String) {
    let script = "cat >> seen; echo >> seen; echo \"- did $TASKTALLY_ITEM\"";
    let args = [&["run", "--workers", "1"], args, &["--", "sh", "-c", script]].concat();
    let ran = store.tasktally(args).success();
    let seen = std::fs::read_to_string(store.folder().join("seen")).unwrap();
    std::fs::remove_file(store.folder().join("seen")).unwrap();
    (ran, seen)
}

#[test]
fn numbers_keep_their_digits() {
    let store = Store::new();
    store.write("items.jsonl", BIG);
    assert_eq!(run_recorded(&store, &["--items", "items.jsonl"]).1, format!("{BIG}\n"));
    store.write("items.json", format!("[{BIG}]"));
    assert_eq!(run_recorded(&store, &["--items", "items.json"]).1, format!("{BIG}\n"));
    let mut server = store.serve();
    let plan = create(&mut server, json!({"source": {"path": "items.jsonl"}})).ok();
    let item = claimed(&mut server, &plan).remove(0);
    assert_eq!(item["fields"]["n"], "1234567890123456789012");
    assert_eq!(item["fields"]["pi"], "3.14159265358979323846");
    assert_eq!(item["fields"]["price"], json!(1.1));
    // A number is a number where it fits, and two long numbers are two keys and two categories.
    let plan = create(&mut server, json!({"items": [{"key": u64::MAX, "n": i64::MIN}]})).ok();
    let item = claimed(&mut server, &plan).remove(0);
    assert_eq!((&item["key"], &item["fields"]["n"]), (&json!(u64::MAX.to_string()), &json!(i64::MIN)));
    let two = "{\"id\":1234567890123456789012,\"c\":10000000000000000000001}\n{\"id\":1234567890123456789013,\"c\":10000000000000000000002}";
    store.write("two.jsonl", two);
    let source = json!({"source": {"path": "two.jsonl"}, "key": "id", "split": "category:c"});
    let plan = create(&mut server, source).ok();
    assert_eq!((plan.count("/batch/items"), plan.count("/batch/chunks")), (2, 2), "{}", plan.value);
}

/// Sends a tool call whose arguments are written as they are.
fn call_raw(server: &mut Server, tool: &str, arguments: &str) -> Value {
    let (id, line) = server.encode_request("tools/call", json!({"name": tool, "arguments": "HERE"}));
    server.write_line(&line.replace("\"HERE\"", arguments));
    server.answer(id).unwrap()
}

#[test]
fn numbers_of_inline_items_keep_their_digits() {
    let store = Store::new();
    let mut server = store.serve();
    let arguments = format!(r#"{{"title": "T", "instructions": "I", "items": [{BIG}]}}"#);
    let answer = call_raw(&mut server, "create_batch", &arguments);
    let plan = Reply::from_answer(&answer, true).ok();
    assert_eq!(claimed(&mut server, &plan)[0]["fields"]["n"], "1234567890123456789012");
    let plan = create(&mut server, json!({"items": format!("[{BIG}]")})).ok();
    assert_eq!(claimed(&mut server, &plan)[0]["fields"]["n"], "1234567890123456789012");
    let made = store
        .tasktally(["create-batch", "T", "--instructions", "I", "--items", &format!("[{BIG}]"), "--json"])
        .success();
    let batch = made.json()["batch"]["id"].clone();
    let claim = server.call("claim_task", json!({"batch": batch})).ok();
    assert_eq!(claim["items"][0]["fields"]["n"], "1234567890123456789012");
}

#[test]
fn a_repeated_key_is_refused_wherever_it_is_written() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\",\"key\":\"c\"}\n");
    store.write("items.json", "[{\"key\":\"a\",\"x\":{\"y\":1,\"y\":2}}]");
    let mut server = store.serve();
    for (source, place) in [("items.jsonl", "line 2"), ("items.json", "item 1")] {
        let refused = create(&mut server, json!({"source": {"path": source}}));
        assert_eq!(refused.refusal(), "invalid_argument");
        assert!(refused.message().contains(place), "{}", refused.message());
        assert!(refused.message().contains("occurs twice in one object"), "{}", refused.message());
    }
    let items = r#"[{"key":"b","key":"c"}]"#;
    let refused = create(&mut server, json!({ "items": items }));
    assert!(refused.message().contains("'key' occurs twice"), "{}", refused.message());
    let ran = store.tasktally(["create-batch", "T", "--instructions", "I", "--items", items]).code(2);
    assert!(ran.output().contains("'key' occurs twice"), "{}", ran.output());
    let arguments = format!(r#"{{"title": "T", "instructions": "I", "items": {items}}}"#);
    let answer = call_raw(&mut server, "create_batch", &arguments);
    assert!(answer["error"]["message"].as_str().unwrap().contains("'key' occurs twice"), "{answer}");
    assert_eq!(server.call("list_tasks", json!({})).ok()["total"], 0);
}

#[test]
fn an_items_own_fields_are_apart_from_those_of_tasktally() {
    let store = Store::new();
    let item = json!({"key": "mine", "doc_id": "d1", "in_doubt": "maybe", "earlier_steps": [1], "fields": 2});
    store.write("items.jsonl", item.to_string());
    let mut server = store.serve();
    let plan = create(&mut server, json!({"source": {"path": "items.jsonl"}, "key": "doc_id"})).ok();
    let claim = claimed(&mut server, &plan).remove(0);
    assert_eq!(claim, json!({"key": "d1", "fields": item}));
    let (_, seen) = run_recorded(&store, &["--items", "items.jsonl", "--key", "doc_id"]);
    assert_eq!(serde_json::from_str::<Value>(&seen).unwrap(), item);
    // An item that was only a key.
    let plan = create(&mut server, json!({"items": ["x"]})).ok();
    assert_eq!(claimed(&mut server, &plan)[0], json!({"key": "x", "fields": {"key": "x"}}));
}

#[test]
fn the_plan_says_which_dates_it_found_and_which_are_odd() {
    let store = Store::new();
    let mut server = store.serve();
    let items = json!([{"key": 1, "at": "20251030133049"}, {"key": 2, "at": "2025-10-31 23:30:00 -0500"},
        {"key": 3, "at": "Fri Nov  7 10:00:00 2025"}]);
    for dry_run in [true, false] {
        let plan = create(&mut server, json!({"items": items, "split": "month:at", "dry_run": dry_run})).ok();
        assert!(plan.message().contains("; dated 2025-10-30 to 2025-11-07"), "{}", plan.message());
        assert_eq!(plan["chunks"][0]["title"], "Oct 2025, chunk 1 of 2");
    }
    let items = json!([{"key": 1, "at": "0001-01-01T00:00:00Z"}, {"key": 2, "at": "2025-11-07"}, {"key": 3, "at": "1957-10-04"}]);
    let plan = create(&mut server, json!({"items": items, "split": "year:at"})).ok();
    assert!(
        plan.message().contains("dated 0001-01-01 to 2025-11-07. Check the dates: 2 items"),
        "{}",
        plan.message()
    );
    for at in [json!(2025), json!(0), json!("99999"), json!("03/11/2025")] {
        let items = json!([{"key": 1, "at": at}]);
        let refused = create(&mut server, json!({"items": items, "split": "month:at"}));
        assert_eq!(refused.refusal(), "invalid_argument", "{at}");
        assert!(refused.message().contains("item 1: field 'at'"), "{}", refused.message());
    }
}

#[test]
fn items_without_a_date_go_into_chunks_of_their_own_on_request() {
    let store = Store::new();
    store.write("mail.csv", "key,at\n1,2025-11-03\n2,\n3,2025-10-03\n4,\n");
    let mut server = store.serve();
    let source = json!({"path": "mail.csv"});
    let refused = create(&mut server, json!({"source": source, "split": "month:at"}));
    assert!(refused.message().contains("split=\"month+undated:at\""), "{}", refused.message());
    let by_month = json!({"by": "time", "field": "at", "undated": "true"});
    let plan = create(&mut server, json!({"source": source, "split": by_month})).ok();
    let titles: Vec<_> = (0..3).map(|chunk| plan.text(&format!("/chunks/{chunk}/title"))).collect();
    assert_eq!(titles, ["Oct 2025, chunk 1 of 3", "Nov 2025, chunk 2 of 3", "Undated, chunk 3 of 3"]);
    // Items that are added later join the chunk, and an unreadable date is still bad.
    let id = plan.text("/batch/id");
    let added = server.call("add_items", json!({"id": id, "items": [{"key": "5"}]})).ok();
    assert_eq!(added["chunks"][0]["span"], "Undated", "{}", added.value);
    assert_eq!(added["chunks"][0]["items"], 3, "{}", added.value);
    let refused = server.call("add_items", json!({"id": id, "items": [{"key": "6", "at": "soon"}]}));
    assert!(refused.message().contains("'soon' is not a time"), "{}", refused.message());
    let (ran, _) = run_recorded(&store, &["--items", "mail.csv", "--split", "month+undated:at"]);
    assert!(ran.output().contains("Undated"), "{}", ran.output());
}

#[test]
fn an_unclosed_quote_is_refused_with_its_line() {
    let store = Store::new();
    store.write("items.csv", "key,a\n1,x\n2,\"y\n3,z\n");
    for more in [&[][..], &["--on-bad-item", "skip"]] {
        let ran = store.tasktally([&["run", "--items", "items.csv"], more, &["--", "true"]].concat()).code(2);
        assert!(
            ran.output().contains("line 3: the quote in column 2 opens in line 3 and is never closed"),
            "{}",
            ran.output()
        );
    }
    store.write("items.csv", "key,a\r1,x\r2,y\r");
    assert_eq!(run_recorded(&store, &["--items", "items.csv", "--quiet"]).1.lines().count(), 2);
    store.write("items.csv", "id,a\nx,1\nx,2\n");
    let ran = store.tasktally(["run", "--items", "items.csv", "--", "true"]).code(2);
    assert!(ran.output().contains("@line numbers them"), "{}", ran.output());
    let (_, seen) = run_recorded(&store, &["--items", "items.csv", "--key", "@line", "--quiet"]);
    assert_eq!(seen, "{\"id\":\"x\",\"a\":\"1\"}\n{\"id\":\"x\",\"a\":\"2\"}\n");
}

#[test]
fn a_run_reads_its_items_from_standard_input_and_from_pipes() {
    let store = Store::new();
    let from_stdin = |args: &[&str], content: &str| -> String {
        let mut command = store.command();
        command.args(["run", "--quiet", "--workers", "1"]).args(args);
        command.args(["--", "sh", "-c", "cat >> seen; echo >> seen"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let seen = std::fs::read_to_string(store.folder().join("seen")).unwrap();
        std::fs::remove_file(store.folder().join("seen")).unwrap();
        seen
    };
    for path in ["-", "/dev/stdin", "/dev/fd/0"] {
        assert_eq!(
            from_stdin(&["--items", path], "{\"key\":\"a\"}\n{\"key\":\"b\"}\n"),
            "{\"key\":\"a\"}\n{\"key\":\"b\"}\n"
        );
    }
    assert_eq!(from_stdin(&["--items", "-"], "[{\"key\":\"a\"}]"), "{\"key\":\"a\"}\n");
    assert_eq!(from_stdin(&["--items", "-"], "key;a\n1;x\n"), "{\"key\":\"1\",\"a\":\"x\"}\n");
    let source = r#"{"path": "-", "format": "csv"}"#;
    assert_eq!(from_stdin(&["--items", source], "key\n1\n"), "{\"key\":\"1\"}\n");
    // A named pipe, and a shell's process substitution.
    let script =
        "mkfifo pipe; printf '{\"key\":\"p\"}\\n' > pipe & exec \"$0\" run --quiet --items pipe -- true";
    let mut command = std::process::Command::new("sh");
    command.current_dir(store.folder()).env("TASKTALLY_DB", store.url()).env("HOME", store.home());
    let output = command.args(["-c", script, env!("CARGO_BIN_EXE_tasktally")]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // A server's standard input is its protocol, and an agent's pipe may never end.
    let mut server = store.serve();
    for path in ["-", "/dev/stdin", "pipe"] {
        let refused = create(&mut server, json!({"source": {"path": path}}));
        assert_eq!(refused.refusal(), "invalid_argument", "{path}");
    }
}

#[test]
fn what_was_left_out_is_said_and_stays_in_the_batch_and_its_report() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\nnot json\n{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let mut server = store.serve();
    let source = json!({"source": {"path": "items.jsonl"}, "on_bad_item": "skip"});
    let plan = create(&mut server, source).ok();
    let id = plan.text("/batch/id");
    let body = server.body(&id);
    for words in [
        "Left out of items.jsonl: 2 bad items (on_bad_item=\"skip\")",
        "line 2: 'not json' is not JSON",
        "line 3: key 'a' is already used by line 1",
    ] {
        assert!(body.contains(words), "no {words:?} in {body}");
    }
    store.write("more.jsonl", "{\"key\": \"c\"}\n{}\n");
    let more = json!({"id": id, "source": {"path": "more.jsonl"}, "on_bad_item": "skip"});
    server.call("add_items", more).ok();
    assert!(server.body(&id).contains("Left out of more.jsonl: 1 bad item"), "{}", server.body(&id));
    let report = store.tasktally(["report", &id, "--json"]).success().json();
    let written = std::fs::read_to_string(report["files"][0].as_str().unwrap()).unwrap();
    assert!(written.contains("line 2: 'not json' is not JSON"), "{written}");
}

#[test]
fn links_of_a_folder_are_left_out_with_a_word() {
    let store = Store::new();
    std::fs::create_dir(store.folder().join("mail")).unwrap();
    store.write("mail/a.eml", "x");
    for (target, name) in [("a.eml", "b.eml"), ("..", "up"), ("nothing", "c.eml"), ("a.eml", "other.txt")] {
        std::os::unix::fs::symlink(target, store.folder().join("mail").join(name)).unwrap();
    }
    let mut server = store.serve();
    let plan = create(&mut server, json!({"source": {"path": "mail", "glob": "*.eml"}})).ok();
    assert_eq!(plan.count("/batch/items"), 1);
    assert_eq!(plan.count("/bad_items/ignored"), 3, "{}", plan.value);
    assert!(
        plan.message().contains("file b.eml: a symbolic link to a.eml, which is not followed"),
        "{}",
        plan.message()
    );
    assert!(server.body(&plan.text("/batch/id")).contains("file up: a symbolic link to .."));
    let (ran, _) = run_recorded(&store, &["--items", "mail"]);
    assert!(ran.output().contains("symbolic link"), "{}", ran.output());
}
