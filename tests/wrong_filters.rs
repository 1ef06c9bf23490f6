//! Wrong filters of `create_batch(query={…})` and `list_tasks()`, and wrong lines of a JSONL file: the message names the
//! value, what is allowed and what to do.

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

/// Words of the parser that mean nothing to the reader of a message.
const JARGON: [&str; 8] = [
    "invalid type",
    "expected",
    "struct",
    "sequence",
    "EOF",
    "trailing characters",
    "unknown field",
    "line 1 column",
];

fn check_words(message: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(message.contains(part), "no {part} in {message}"));
    JARGON.iter().for_each(|word| assert!(!message.contains(word), "{word} in {message}"));
}

fn query(server: &mut Server, query: Value) -> String {
    let request = json!({"title": "B", "instructions": "x", "query": query});
    let reply = server.call("create_batch", request);
    reply.refusal();
    reply.message().to_owned()
}

#[test]
fn a_wrong_filter_of_a_query_is_named_with_what_is_allowed() {
    let store = Store::new();
    let mut server = store.serve();
    server.create_task("A task");
    let all = "Allowed: 'project', 'status', 'type', 'priority', 'priority_max', 'assignee'";
    for (filters, parts) in [
        (
            json!({"statis": "active"}),
            &["'statis' is not a filter of list_tasks(). Did you mean 'status'?", all][..],
        ),
        (json!({"body": "x"}), &["'body' is not a filter", all]),
        (json!({"limit": 5}), &["'limit' is not a filter", "max_chunk", "leave 'limit' out"]),
        (json!({"since": "5"}), &["'since' is not a filter", "leave 'since' out"]),
        (json!({"status": "open"}), &["status: 'open' is not a valid status", "allowed: inbox, active"]),
        (json!({"status": ["active"]}), &["status: '[\"active\"]' is not allowed here; allowed: a text"]),
        (json!({"priority": 9}), &["priority: 9 is out of range; allowed: 0 (critical) to 4"]),
        (json!({"priority": "high"}), &["'high' is not a whole number"]),
        (json!({"ready": "maybe"}), &["ready: 'maybe' is not allowed here; allowed: true or false"]),
        (json!({"tags": 7}), &["tags: '7' is not allowed here; allowed: a list"]),
        (json!({"batch": "nosuch"}), &["No batch 'nosuch'; get_batch()"]),
        (json!("active"), &["'active' is not a JSON object", "{\"status\": \"active\"}"]),
        (json!(["active"]), &["is not an object", "{\"status\": \"active\"}"]),
        (json!("{\"status\": \"active\", \"status\": \"done\"}"), &["the key 'status' occurs twice"]),
    ] {
        check_words(&query(&mut server, filters), parts);
    }
    let create = |query: &str| {
        let args = ["create-batch", "B", "--instructions", "x", "--query", query];
        store.tasktally(args).code(2).output()
    };
    check_words(
        &create("{\"statis\": \"active\"}"),
        &["'statis' is not a filter of tasktally list-tasks. Did you mean 'status'?", all],
    );
    check_words(
        &create("status=active"),
        &["is not a JSON object; write filters such as {\"status\": \"active\"}"],
    );
}

#[test]
fn a_wrong_filter_of_list_tasks_is_named_with_what_is_allowed() {
    let store = Store::new();
    let mut server = store.serve();
    for (filters, parts) in [
        (
            json!({"statis": "active"}),
            &["has no parameter 'statis'. Did you mean 'status'? Allowed: project"][..],
        ),
        (json!({"status": ["active"]}), &["status: '[\"active\"]' is not allowed here; allowed: a text"]),
        (json!({"status": "open"}), &["status: 'open' is not a valid status; allowed: inbox"]),
        (json!({"priority": 9}), &["priority: 9 is out of range; allowed: 0 (critical) to 4"]),
        (
            json!({"priority": "high"}),
            &["priority: 'high' is not a whole number; allowed: 0 (critical) to 4"],
        ),
        (json!({"ready": "maybe"}), &["ready: 'maybe' is not allowed here; allowed: true or false"]),
        (json!({"type": "foo"}), &["type: 'foo' is not a valid type; allowed: goal"]),
        (json!({"limit": -1}), &["limit: -1 is out of range; allowed: 0 to 1000"]),
        (json!({"project": {"a": 1}}), &["project: '{\"a\":1}' is not allowed here; allowed: a text"]),
        (json!({"cursor": "a"}), &["cursor: 'a' is not a cursor; pass next_cursor"]),
    ] {
        let reply = server.call("list_tasks", filters);
        reply.refusal();
        check_words(reply.message(), parts);
        assert!(!reply.message().contains("(given"), "the value is named twice: {}", reply.message());
    }
}

#[test]
fn a_wrong_line_is_shown_with_what_is_wrong_and_what_to_write() {
    let store = Store::new();
    for (line, parts) in [
        ("{\"key\":\"a\"", &["'{\"key\":\"a\"' is not JSON", "closing } or ] is missing"][..]),
        ("{\"key\":\"a", &["the closing quote is missing"]),
        ("{key:\"a\"}", &["the name of a field needs double quotes"]),
        ("{'key':'a'}", &["the name of a field needs double quotes"]),
        ("{\"key\":\"a\",}", &["a comma is followed by no value; remove it"]),
        ("{\"key\":\"a\"} {\"key\":\"b\"}", &["more text follows the end of the object"]),
        ("{\"key\":\"a\" \"b\":1}", &["a comma or } is missing"]),
        ("{\"key\":\"a\\x\"}", &["JSON has no such escape"]),
        ("{\"key\":\"a\",\"n\":NaN}", &["no value begins here"]),
        ("{\"key\":\"a\",\"n\":01}", &["JSON has no such number"]),
        ("{\"key\":\"a\",\"key\":\"b\"}", &["the key 'key' occurs twice in one object; remove one"]),
        ("// comment", &["'// comment' is not JSON", "it begins with no {"]),
    ] {
        store.write("items.jsonl", format!("{{\"key\":\"ok\"}}\n{line}\n"));
        let args = ["create-batch", "B", "--instructions", "x", "--source", "items.jsonl"];
        let output = store.tasktally(args).code(2).output();
        check_words(&output, parts);
        let around = [
            "--source: 1 item is bad, so nothing was created: line 2: ",
            "write one object per line",
            "--on-bad-item skip",
        ];
        check_words(&output, &around);
    }
}
