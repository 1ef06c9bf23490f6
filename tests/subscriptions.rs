//! Subscriptions: a client is told that what it watches changed, whichever process changed it.

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
    server.listen();
    server.stateless();
    server
}

/// Opens a stream; gives the request's id and what was accepted.
fn listen(server: &mut Server, uris: &[String]) -> (u64, Value) {
    let filter = json!({"resourceSubscriptions": uris, "toolsListChanged": true});
    let (id, line) = server.line("subscriptions/listen", json!({"notifications": filter}));
    server.write_line(&line);
    let accepted = server.hear("notifications/subscriptions/acknowledged");
    assert_eq!(accepted["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], id, "{accepted}");
    (id, accepted["params"]["notifications"].clone())
}

#[test]
fn a_legacy_client_is_told_of_changes_that_another_process_makes() {
    let store = Store::new();
    let mut watcher = store.serve();
    let mut other = store.serve();
    let id = batch(&mut other);
    let task = other.task("Alone");
    let uris = [
        format!("tasktally://batches/{id}"),
        format!("tasktally://batches/{id}/chunks/2"),
        format!("tasktally://tasks/{task}"),
    ];
    for uri in &uris {
        let answer = watcher.request("resources/subscribe", json!({"uri": uri}));
        assert!(answer["result"].is_object(), "{answer}");
    }
    // A receipt on a chunk is a change of the batch, and of that chunk only.
    other.call("update_task", json!({"id": format!("{id}.01"), "body": "- seen"})).ok();
    assert_eq!(watcher.hear(UPDATED)["params"]["uri"], uris[0]);
    other.call("update_task", json!({"id": format!("{id}.02"), "body": "- seen"})).ok();
    let mut told: Vec<_> =
        (0..2).map(|_| watcher.hear(UPDATED)["params"]["uri"].as_str().unwrap().to_owned()).collect();
    told.sort();
    assert_eq!(told, uris[..2]);
    watcher.request("resources/unsubscribe", json!({"uri": uris[0]}));
    watcher.request("resources/unsubscribe", json!({"uri": uris[1]}));
    other.call("update_task", json!({"id": format!("{id}.02"), "body": "- again"})).ok();
    other.call("update_task", json!({"id": task, "body": "- seen"})).ok();
    assert_eq!(watcher.hear(UPDATED)["params"]["uri"], uris[2], "what it no longer watches it isn't told of");
    assert_eq!(watcher.unheard(UPDATED), 0);
    assert!(watcher.close().success());
}

#[test]
fn a_stateless_client_listens_until_it_cancels_or_goes() {
    let store = Store::new();
    let mut watcher = stateless(&store);
    let mut other = store.serve();
    let id = batch(&mut other);
    let uri = format!("tasktally://batches/{id}");
    let (first, accepted) = listen(&mut watcher, &[uri.clone(), "file:///etc/passwd".to_owned()]);
    assert_eq!(accepted, json!({"resourceSubscriptions": [uri]}), "no more than is kept");
    let (second, _) = listen(&mut watcher, std::slice::from_ref(&uri));
    // The server goes on with other work.
    watcher.task("Meanwhile");
    other.call("control_batch", json!({"id": id, "action": "pause"})).ok();
    let mut streams: Vec<_> = (0..2)
        .map(|_| {
            let told = watcher.hear(UPDATED);
            assert_eq!(told["params"]["uri"], uri, "{told}");
            told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"].as_u64().unwrap()
        })
        .collect();
    streams.sort_unstable();
    assert_eq!(streams, [first, second]);
    watcher.cancel(first);
    other.call("control_batch", json!({"id": id, "action": "resume"})).ok();
    let told = watcher.hear(UPDATED);
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], second, "{told}");
    // A client that closes its end is told that the stream is over.
    assert!(watcher.close().success());
    assert!(watcher.answer(second).unwrap()["result"].is_object());
    assert_eq!(watcher.next_message(), None);
}

#[test]
fn what_names_nothing_and_what_is_too_much_is_refused() {
    let store = Store::new();
    let mut server = store.serve();
    let task = server.task("One");
    for uri in ["tasktally://tasks/nothing", "tasktally://batches/nothing", "file:///etc/passwd"] {
        let answer = server.request("resources/subscribe", json!({"uri": uri}));
        assert_eq!(answer["error"]["code"], -32002, "{answer}");
    }
    for _ in 0..200 {
        let uri = format!("tasktally://tasks/{task}");
        let answer = server.request("resources/subscribe", json!({"uri": uri}));
        assert!(answer["result"].is_object(), "the same once more is one: {answer}");
    }
    for n in 1..100 {
        let id = server.task(&format!("T{n}"));
        let answer = server.request("resources/subscribe", json!({"uri": format!("tasktally://tasks/{id}")}));
        assert!(answer["result"].is_object(), "{n}: {answer}");
    }
    let id = server.task("One too many");
    let answer = server.request("resources/subscribe", json!({"uri": format!("tasktally://tasks/{id}")}));
    assert!(answer["error"]["message"].as_str().unwrap().contains("at most 100"), "{answer}");

    let mut stateless = stateless(&store);
    let (id, _) = listen(&mut stateless, &["tasktally://tasks/nothing".to_owned()]);
    let answer = stateless.answer(id).unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains("No task 'nothing'"), "{answer}");
    // A worker has its chunk, and nothing to watch.
    let mut worker = store.serve_with(&["--toolset", "worker"]);
    let answer = worker.request("resources/subscribe", json!({"uri": format!("tasktally://tasks/{task}")}));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
}

#[test]
fn a_long_request_with_a_token_tells_how_far_it_is() {
    const ITEMS: usize = 60_000;
    let store = Store::new();
    let lines: String =
        (0..ITEMS).map(|n| format!("{{\"key\":\"k{n}\",\"text\":\"{}\"}}\n", "x".repeat(200))).collect();
    store.write("items.jsonl", lines);
    let mut server = store.serve();
    let create = json!({"title": "Mail", "instructions": "Sort it.", "source": {"path": "items.jsonl"}});
    let params = json!({"name": "create_batch", "arguments": create, "_meta": {"progressToken": "how-far"}});
    let (id, line) = server.line("tools/call", params);
    server.write_line(&line);
    let told = server.hear("notifications/progress");
    assert_eq!(told["params"]["progressToken"], "how-far", "{told}");
    let answer = server.answer(id).unwrap();
    let batch = answer["result"]["structuredContent"]["batch"]["id"].as_str().unwrap().to_owned();
    let mut last = told["params"]["progress"].as_f64().unwrap();
    assert!(last > 0.0);
    for _ in 0..server.unheard("notifications/progress") {
        let told = server.hear("notifications/progress")["params"].clone();
        let progress = told["progress"].as_f64().unwrap();
        assert!(progress > last, "it only grows: {told}");
        assert!(told["message"].as_str().unwrap().contains("items"), "{told}");
        last = progress;
    }
    // Nothing more comes after the answer, and nothing at all without a token.
    server.call("add_items", json!({"id": batch, "source": {"path": "items.jsonl"}})).ok();
    assert_eq!(server.unheard("notifications/progress"), 0);
}
