//! The protocol before and after 2026-07-28: every request is answered once, malformed input too.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashMap;
use std::io::Write;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

fn tools(server: &mut Server) -> Vec<Value> {
    server.request("tools/list", json!({}))["result"]["tools"].as_array().expect("tools").clone()
}

fn size(value: &impl serde::Serialize) -> usize {
    serde_json::to_string(value).unwrap().len()
}

/// Asserts that the server still works.
#[track_caller]
fn assert_alive(server: &mut Server) {
    server.create_task("Still here");
}

#[test]
fn every_protocol_version_with_a_handshake_works() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let store = Store::new();
        let mut server = store.server(&[]);
        server.start_reading();
        let welcome = server.initialize(version);
        assert_eq!(welcome["protocolVersion"], version);
        assert!(welcome["serverInfo"]["name"].is_string(), "{welcome}");
        assert!(welcome["instructions"].as_str().is_some_and(|text| !text.is_empty()), "{welcome}");
        assert!(!tools(&mut server).is_empty());
        assert_alive(&mut server);
    }
}

#[test]
fn an_unknown_protocol_version_is_answered_with_a_supported_one() {
    let store = Store::new();
    let mut server = store.server(&[]);
    server.start_reading();
    let offered = server.initialize("1999-01-01")["protocolVersion"].clone();
    assert!(offered.as_str().is_some_and(|version| version.starts_with("202")), "{offered}");
}

#[test]
fn the_stateless_version_needs_no_handshake() {
    let store = Store::new();
    let mut server = store.server(&[]);
    server.start_reading();
    server.stateless();
    let found = server.request("server/discover", json!({}))["result"].clone();
    let versions = found["supportedVersions"].as_array().expect("versions");
    assert!(versions.contains(&json!("2026-07-28")), "{found}");
    assert!(found["capabilities"]["tools"].is_object(), "{found}");
    assert!(!tools(&mut server).is_empty());
    assert_alive(&mut server);

    // A client need not call server/discover first.
    let mut server = store.server(&[]);
    server.start_reading();
    server.stateless();
    assert_alive(&mut server);
}

/// Asserts that bytes that are no request are answered with one error without an id.
#[track_caller]
fn assert_answered_without_an_id(bytes: &[u8], code: i64) {
    let store = Store::new();
    let mut server = store.serve();
    server.write(bytes);
    let answer = server.next_message().expect("an answer");
    assert_eq!(answer["error"]["code"], code, "{answer}");
    assert_eq!(answer.get("id"), Some(&Value::Null), "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    assert!(size(&answer) < 1000, "the error repeats the input");
    assert_alive(&mut server);
}

#[test]
fn a_line_that_is_not_json_is_answered_with_a_parse_error() {
    assert_answered_without_an_id(b"Content-Length: 52\n", -32700);
    assert_answered_without_an_id(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\n", -32700);
    assert_answered_without_an_id(b"\x00\x01\x02\n", -32700);
}

#[test]
fn invalid_utf8_is_answered_with_a_parse_error() {
    let line = b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/list\",\"params\":{\"x\":\"\xff\xfe\"}}\n";
    assert_answered_without_an_id(line, -32700);
}

#[test]
fn a_hundred_thousand_nesting_levels_are_answered_with_a_parse_error() {
    const DEEP: usize = 100_000;
    let nested = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"create_task","arguments":{"tags":"#;
    assert_answered_without_an_id(format!("{nested}\n").as_bytes(), -32700);
    assert_answered_without_an_id(format!("{}\n", "[".repeat(DEEP)).as_bytes(), -32700);
    assert_answered_without_an_id(format!("{call}{nested}}}}}}}\n").as_bytes(), -32700);
    assert_answered_without_an_id(format!("{}\n", r#"{"a":"#.repeat(DEEP)).as_bytes(), -32700);
}

#[test]
fn a_line_over_sixteen_megabytes_is_refused_and_the_next_line_is_read() {
    let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"{}\"}}\n", "x".repeat(17 << 20));
    assert_answered_without_an_id(line.as_bytes(), -32600);
}

#[test]
fn a_string_of_ten_megabytes_is_refused_with_the_limit() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.create_task("Log");
    for (tool, arguments) in [
        ("create_task", json!({"task_title": "x".repeat(10 << 20)})),
        ("create_task", json!({"task_title": "Big", "body": "x".repeat(10 << 20)})),
        ("update_task", json!({"id": id, "body": "x".repeat(10 << 20)})),
    ] {
        let reply = server.call(tool, arguments);
        assert_eq!(reply.refusal(), "too_large", "{tool}");
        assert!(reply.message().chars().any(|digit| digit.is_ascii_digit()), "{}", reply.message());
        assert!(size(&reply.value) < 1000, "the error repeats the input");
    }
    assert_eq!(server.call("list_tasks", json!({"limit": 0})).ok().count("/total"), 1);
}

#[test]
fn half_a_message_before_the_end_of_input_changes_nothing() {
    let store = Store::new();
    let mut server = store.serve();
    server.create_task("Before");
    server.write(br#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"create_task","#);
    assert!(server.close().success());
    while let Some(message) = server.next_message() {
        assert_eq!(message["error"]["code"], -32700, "{message}");
    }
    assert_eq!(store.serve().call("list_tasks", json!({"limit": 0})).ok().count("/total"), 1);
}

#[test]
fn a_second_request_with_an_id_in_flight_is_refused_and_the_first_is_answered() {
    let store = Store::new();
    let mut server = store.serve();
    let mut refused = 0;
    for round in 0..20 {
        let call = json!({"jsonrpc": "2.0", "id": format!("twin-{round}"), "method": "tools/call",
                          "params": {"name": "create_task", "arguments": {"title": "Twin"}}});
        server.write(format!("{call}\n{call}\n").as_bytes());
        let mut answers = [server.next_message().unwrap(), server.next_message().unwrap()];
        answers.sort_by_key(|answer| answer["id"].is_null());
        assert!(answers[0]["result"].is_object(), "{answers:?}");
        if answers[1]["id"].is_null() {
            assert_eq!(answers[1]["error"]["code"], -32600, "{answers:?}");
            refused += 1;
        }
    }
    assert!(refused > 0, "two requests of one id were never in flight together");
    let made = server.call("list_tasks", json!({"limit": 0})).ok().count("/total");
    assert_eq!(made, 40 - refused, "a refused request was carried out");
}

#[test]
fn two_thousand_pipelined_requests_are_each_answered_once() {
    const REQUESTS: usize = 2000;
    let store = Store::new();
    let mut server = store.serve();
    let mut lines = String::new();
    for n in 0..REQUESTS {
        let id = if n % 2 == 0 { json!(n) } else { json!(format!("s{n}")) };
        let id = if n == 0 { json!("zero") } else { id };
        let (method, params) = match n % 5 {
            0 | 1 => ("tools/call", json!({"name": "create_task", "arguments": {"title": format!("T{n}")}})),
            2 => ("tools/call", json!({"name": "list_tasks", "arguments": {}})),
            3 => ("ping", json!({})),
            _ => ("no/such/method", json!({})),
        };
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        lines += &format!("{request}\n");
    }
    // The response to the handshake was read, so all further responses belong to these requests.
    let mut stdin = server.take_stdin();
    stdin.write_all(lines.as_bytes()).unwrap();
    let mut answers: HashMap<String, usize> = HashMap::new();
    for _ in 0..REQUESTS {
        let answer = server.next_message().expect("a response to each request");
        *answers.entry(answer["id"].to_string()).or_default() += 1;
    }
    assert_eq!(answers.len(), REQUESTS);
    drop(stdin);
    assert_eq!(server.next_message(), None, "an unexpected message");
    assert_eq!(store.serve().call("list_tasks", json!({})).ok().count("/total"), 800);
}
