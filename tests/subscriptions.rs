//! Subscriptions: a client is notified of changes to the resources it watches, whichever process makes them.

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

const UPDATED: &str = "notifications/resources/updated";

fn batch(server: &mut Server) -> String {
    let batch = json!({"title": "Mail", "instructions": "Sort it.", "items": ["a", "b"], "max_chunk": 1});
    server.call("create_batch", batch).ok().text("/batch/id")
}

fn stateless(store: &Store) -> Server {
    let mut server = store.server(&[]);
    server.start_reading();
    server.stateless();
    server
}

/// Opens a stream. Returns the id of the request and the accepted subscriptions.
fn open_stream(server: &mut Server, uris: &[String]) -> (u64, Value) {
    let filter = json!({"resourceSubscriptions": uris, "toolsListChanged": true});
    let (id, line) = server.encode_request("subscriptions/listen", json!({"notifications": filter}));
    server.write_line(&line);
    let accepted = server.receive("notifications/subscriptions/acknowledged");
    assert_eq!(accepted["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id, "{accepted}");
    (id, accepted["params"]["notifications"].clone())
}

#[test]
fn a_legacy_client_is_notified_of_changes_by_another_process() {
    let store = Store::new();
    let mut watcher = store.serve();
    let mut other = store.serve();
    let id = batch(&mut other);
    let task = other.create_task("Alone");
    let uris = [
        format!("tasktally://batches/{id}"),
        format!("tasktally://batches/{id}/chunks/2"),
        format!("tasktally://tasks/{task}"),
    ];
    for uri in &uris {
        let answer = watcher.request("resources/subscribe", json!({"uri": uri}));
        assert!(answer["result"].is_object(), "{answer}");
    }
    // A receipt on a chunk is a change of the batch and of that chunk only.
    other.call("update_task", json!({"id": format!("{id}.01"), "body": "- seen"})).ok();
    assert_eq!(watcher.receive(UPDATED)["params"]["uri"], uris[0]);
    other.call("update_task", json!({"id": format!("{id}.02"), "body": "- seen"})).ok();
    let mut reply: Vec<_> =
        (0..2).map(|_| watcher.receive(UPDATED)["params"]["uri"].as_str().unwrap().to_owned()).collect();
    reply.sort();
    assert_eq!(reply, uris[..2]);
    watcher.request("resources/unsubscribe", json!({"uri": uris[0]}));
    watcher.request("resources/unsubscribe", json!({"uri": uris[1]}));
    other.call("update_task", json!({"id": format!("{id}.02"), "body": "- again"})).ok();
    other.call("update_task", json!({"id": task, "body": "- seen"})).ok();
    assert_eq!(
        watcher.receive(UPDATED)["params"]["uri"],
        uris[2],
        "a notification for a resource that is no longer watched"
    );
    assert_eq!(watcher.unread_count(UPDATED), 0);
    assert!(watcher.close().success());
}

#[test]
fn a_stateless_client_is_notified_until_it_cancels_or_closes() {
    let store = Store::new();
    let mut watcher = stateless(&store);
    let mut other = store.serve();
    let id = batch(&mut other);
    let uri = format!("tasktally://batches/{id}");
    let (first, accepted) = open_stream(&mut watcher, &[uri.clone(), "file:///etc/passwd".to_owned()]);
    assert_eq!(accepted, json!({"resourceSubscriptions": [uri]}), "other subscriptions were accepted");
    let (second, _) = open_stream(&mut watcher, std::slice::from_ref(&uri));
    // The server handles other requests meanwhile.
    watcher.create_task("Meanwhile");
    other.call("control_batch", json!({"id": id, "action": "pause"})).ok();
    let mut streams: Vec<_> = (0..2)
        .map(|_| {
            let reply = watcher.receive(UPDATED);
            assert_eq!(reply["params"]["uri"], uri, "{reply}");
            reply["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].as_u64().unwrap()
        })
        .collect();
    streams.sort_unstable();
    assert_eq!(streams, [first, second]);
    watcher.cancel(first);
    other.call("control_batch", json!({"id": id, "action": "resume"})).ok();
    let reply = watcher.receive(UPDATED);
    assert_eq!(reply["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], second, "{reply}");
    // If the client closes its end, the stream is answered.
    assert!(watcher.close().success());
    assert!(watcher.answer(second).unwrap()["result"].is_object());
    assert_eq!(watcher.next_message(), None);
}

#[test]
fn unknown_resources_and_too_many_subscriptions_are_refused() {
    let store = Store::new();
    let mut server = store.serve();
    let task = server.create_task("One");
    for uri in ["tasktally://tasks/nothing", "tasktally://batches/nothing", "file:///etc/passwd"] {
        let answer = server.request("resources/subscribe", json!({"uri": uri}));
        assert_eq!(answer["error"]["code"], -32002, "{answer}");
    }
    for _ in 0..200 {
        let uri = format!("tasktally://tasks/{task}");
        let answer = server.request("resources/subscribe", json!({"uri": uri}));
        assert!(answer["result"].is_object(), "a repeated subscription counts twice: {answer}");
    }
    for n in 1..100 {
        let id = server.create_task(&format!("T{n}"));
        let answer = server.request("resources/subscribe", json!({"uri": format!("tasktally://tasks/{id}")}));
        assert!(answer["result"].is_object(), "{n}: {answer}");
    }
    let id = server.create_task("One too many");
    let answer = server.request("resources/subscribe", json!({"uri": format!("tasktally://tasks/{id}")}));
    assert!(answer["error"]["message"].as_str().unwrap().contains("at most 100"), "{answer}");

    let mut stateless = stateless(&store);
    let (id, _) = open_stream(&mut stateless, &["tasktally://tasks/nothing".to_owned()]);
    let answer = stateless.answer(id).unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains("No task 'nothing'"), "{answer}");
    // A worker cannot subscribe.
    let mut worker = store.serve_with(&["--toolset", "worker"]);
    let answer = worker.request("resources/subscribe", json!({"uri": format!("tasktally://tasks/{task}")}));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
}

#[test]
fn a_long_request_with_a_progress_token_reports_progress() {
    const ITEMS: usize = 60_000;
    let store = Store::new();
    let lines: String =
        (0..ITEMS).map(|n| format!("{{\"key\":\"k{n}\",\"text\":\"{}\"}}\n", "x".repeat(200))).collect();
    store.write("items.jsonl", lines);
    let mut server = store.serve();
    let create = json!({"title": "Mail", "instructions": "Sort it.", "source": {"path": "items.jsonl"}});
    let params = json!({"name": "create_batch", "arguments": create, "_meta": {"progressToken": "how-far"}});
    let (id, line) = server.encode_request("tools/call", params);
    server.write_line(&line);
    let reply = server.receive("notifications/progress");
    assert_eq!(reply["params"]["progressToken"], "how-far", "{reply}");
    let answer = server.answer(id).unwrap();
    let batch = answer["result"]["structuredContent"]["batch"]["id"].as_str().unwrap().to_owned();
    let mut last = reply["params"]["progress"].as_f64().unwrap();
    assert!(last > 0.0);
    for _ in 0..server.unread_count("notifications/progress") {
        let reply = server.receive("notifications/progress")["params"].clone();
        let progress = reply["progress"].as_f64().unwrap();
        assert!(progress > last, "progress does not grow: {reply}");
        assert!(reply["message"].as_str().unwrap().contains("items"), "{reply}");
        last = progress;
    }
    // There is no progress after the response, and none without a token.
    server.call("add_items", json!({"id": batch, "source": {"path": "items.jsonl"}})).ok();
    assert_eq!(server.unread_count("notifications/progress"), 0);
}
