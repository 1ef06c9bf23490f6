//! How a server process ends, and the size of its replies.

mod support;

use serde_json::json;

use support::store::Store;

#[test]
fn a_server_whose_client_closes_its_end_answers_requests_in_flight_and_ends() {
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
fn a_server_without_any_request_ends_with_its_stdin() {
    let store = Store::new();
    let mut server = store.server(&[]);
    server.start_reading();
    assert!(server.close().success(), "{}", store.log());
    assert_eq!(server.next_message(), None, "there is output other than the protocol");
}

#[test]
fn a_poll_without_changes_is_answered_in_less_than_200_bytes() {
    let store = Store::new();
    let mut server = store.serve();
    for n in 0..300 {
        server.create_task(&format!("Task {n}"));
    }
    let all = server.call("list_tasks", json!({"limit": 1})).ok();
    let poll = server.call("list_tasks", json!({"since": all["since"]})).ok();
    assert_eq!(poll["tasks"], json!([]));
    let size = poll.value.to_string().len();
    println!("an empty poll: {size} bytes");
    assert!(size < 200, "{size} bytes: {}", poll.value);

    let id = server.create_task("New");
    let poll = server.call("list_tasks", json!({"since": poll["since"]})).ok();
    assert_eq!(poll.text("/tasks/0/id"), id);
    assert_eq!(poll["tasks"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_write_is_answered_in_less_than_600_bytes_without_the_body() {
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
