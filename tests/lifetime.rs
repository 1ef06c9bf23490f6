//! A server's memory, its replies' size, and its end.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

#[cfg(target_os = "linux")]
use support::resident_kib;
use support::store::Store;

#[test]
fn a_server_whose_client_goes_away_answers_what_was_in_flight_and_ends() {
    let store = Store::new();
    let mut server = store.serve();
    let sent: Vec<u64> =
        (0..50).map(|n| server.send("create_task", json!({"title": format!("T{n}")}))).collect();
    assert!(server.close().success(), "{}", store.log());
    for id in sent {
        server.recv(id).expect("an answer before the end").ok();
    }
    assert_eq!(server.next_message(), None);
    assert_eq!(store.serve().call("list_tasks", json!({})).ok().count("/total"), 50);
}

#[test]
fn a_server_to_which_nobody_ever_spoke_ends_with_its_stdin() {
    let store = Store::new();
    let mut server = store.server(&[]);
    server.listen();
    assert!(server.close().success(), "{}", store.log());
    assert_eq!(server.next_message(), None, "stdout carries the protocol and nothing else");
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_does_not_read_costs_bounded_memory_and_gets_every_answer_later() {
    const REQUESTS: usize = 10_000;
    let store = Store::new();
    let mut writer = store.serve();
    let id = writer
        .call("create_task", json!({"title": "Long", "body": "x".repeat(60_000)}))
        .ok()
        .text("/task/id");
    writer.close();

    let mut server = store.server(&[]);
    let mut stdin = server.take_stdin();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let client = thread::spawn(move || {
        let hello = json!({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "deaf", "version": "0"}}});
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        stdin.write_all(format!("{hello}\n{ready}\n").as_bytes()).unwrap();
        for n in 0..REQUESTS {
            let call = json!({"jsonrpc": "2.0", "id": n, "method": "tools/call",
                              "params": {"name": "get_task", "arguments": {"id": id}}});
            stdin.write_all(format!("{call}\n").as_bytes()).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });

    // Until the server takes nothing more for a second: by then it holds all that it will.
    let (mut highest, mut seen, mut since) = (0, 0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        highest = highest.max(resident_kib(server.pid()));
        let now = written.load(Ordering::SeqCst);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(5));
    }
    println!("unread: {seen} requests written, {highest} KiB resident");
    assert!(seen < REQUESTS, "the input never waited");
    assert!(highest < 128 * 1024, "{highest} KiB");

    server.listen();
    for _ in 0..=REQUESTS {
        let answer = server.next_message().expect("an answer to each");
        assert!(answer["result"].is_object(), "{answer}");
    }
    client.join().unwrap();
}

#[test]
fn a_poll_when_nothing_changed_answers_less_than_200_bytes() {
    let store = Store::new();
    let mut server = store.serve();
    for n in 0..300 {
        server.task(&format!("Task {n}"));
    }
    let all = server.call("list_tasks", json!({"limit": 1})).ok();
    let poll = server.call("list_tasks", json!({"since": all["since"]})).ok();
    assert_eq!(poll["tasks"], json!([]));
    let size = poll.value.to_string().len();
    println!("an empty poll: {size} bytes");
    assert!(size < 200, "{size} bytes: {}", poll.value);

    let id = server.task("New");
    let poll = server.call("list_tasks", json!({"since": poll["since"]})).ok();
    assert_eq!(poll.text("/tasks/0/id"), id);
    assert_eq!(poll["tasks"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_write_answers_in_less_than_600_bytes_and_never_with_the_body() {
    let store = Store::new();
    let mut server = store.serve();
    let secret = "long text ".repeat(300);
    let made = server.call("create_task", json!({"title": "Log", "body": secret})).ok();
    let id = made.text("/task/id");
    let mut replies = vec![("create_task", made)];
    for (tool, arguments) in [
        ("update_task", json!({"id": id, "body": secret})),
        ("update_task", json!({"id": id, "priority": 1, "tags": ["mail", "november"]})),
        ("update_task", json!({"id": id, "status": "in_progress", "assignee": "polecat"})),
        ("complete_task", json!({"id": id, "summary": "all done"})),
    ] {
        replies.push((tool, server.call(tool, arguments).ok()));
    }
    for (tool, reply) in replies {
        let text = reply.value.to_string();
        println!("{tool}: {} bytes", text.len());
        assert!(text.len() < 600, "{tool}: {} bytes: {text}", text.len());
        assert!(!text.contains(&secret), "{tool} answers with the body");
    }
}
