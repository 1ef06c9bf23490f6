//! MCP resources: batches, tasks and chunks by their address, and completion of arguments.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

/// A server with a client of the protocol before or after 2026-07-28.
fn server(store: &Store, stateless: bool) -> Server {
    let mut server = store.server(&[]);
    server.start_reading();
    if stateless {
        server.stateless();
        let found = server.request("server/discover", json!({}));
        assert!(found["result"]["capabilities"]["resources"].is_object(), "{found}");
        assert!(found["result"]["capabilities"]["completions"].is_object(), "{found}");
    } else {
        let welcome = server.initialize("2025-11-25");
        assert!(welcome["capabilities"]["resources"].is_object(), "{welcome}");
        assert!(welcome["capabilities"]["completions"].is_object(), "{welcome}");
    }
    server
}

fn batch(server: &mut Server, items: usize) -> String {
    let items: Vec<String> = (1..=items).map(|n| format!("item-{n}")).collect();
    let request = json!({"title": "File the mail", "instructions": "Do.", "items": items, "max_chunk": 1});
    server.call("create_batch", request).ok().text("/batch/id")
}

#[track_caller]
fn read(server: &mut Server, uri: &str) -> Value {
    let answer = server.request("resources/read", json!({"uri": uri}));
    let contents = &answer["result"]["contents"];
    assert_eq!(contents.as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(contents[0]["uri"], uri, "{answer}");
    assert_eq!(contents[0]["mimeType"], "application/json", "{answer}");
    serde_json::from_str(contents[0]["text"].as_str().expect("a text")).expect("JSON")
}

fn complete(server: &mut Server, of: Value, name: &str, typed: &str, context: Value) -> Value {
    let params =
        json!({"ref": of, "argument": {"name": name, "value": typed}, "context": {"arguments": context}});
    server.request("completion/complete", params)
}

#[track_caller]
fn values(answer: &Value) -> Vec<String> {
    let values = answer["result"]["completion"]["values"].as_array();
    let values = values.unwrap_or_else(|| panic!("no values in {answer}"));
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_resource_is_the_reply_of_its_tool_in_both_protocols() {
    let store = Store::new();
    for stateless in [false, true] {
        let mut server = server(&store, stateless);
        let id = batch(&mut server, 12);
        let (shown, chunk, task) = (
            server.call("get_batch", json!({"id": id})).ok(),
            server.call("get_task", json!({"id": format!("{id}.07")})).ok(),
            server.call("get_task", json!({"id": id})).ok(),
        );
        assert_eq!(read(&mut server, &format!("tasktally://batches/{id}")), shown.value);
        assert_eq!(read(&mut server, &format!("tasktally://batches/{id}/chunks/7")), chunk.value);
        assert_eq!(read(&mut server, &format!("tasktally://batches/{id}/chunks/07")), chunk.value);
        assert_eq!(read(&mut server, &format!("tasktally://tasks/{id}.07")), chunk.value);
        assert_eq!(read(&mut server, &format!("tasktally://tasks/{id}")), task.value);
    }
}

#[test]
fn the_list_contains_the_open_batches_and_the_templates_cover_the_rest() {
    let store = Store::new();
    for stateless in [false, true] {
        let mut server = server(&store, stateless);
        let (open, over) = (batch(&mut server, 2), batch(&mut server, 1));
        server.call("control_batch", json!({"id": over, "action": "cancel"})).ok();
        let answer = server.request("resources/list", json!({}));
        let listed = answer["result"]["resources"].as_array().expect("resources").clone();
        assert_eq!(listed[0]["uri"], format!("tasktally://batches/{open}"), "{answer}");
        assert_eq!(listed[0]["title"], "File the mail", "{answer}");
        assert_eq!(listed[0]["description"], "0 of 2 items processed", "{answer}");
        assert!(!answer.to_string().contains(&over), "a batch that has ended is listed: {answer}");
        read(&mut server, listed[0]["uri"].as_str().unwrap());

        let answer = server.request("resources/templates/list", json!({}));
        let templates = answer["result"]["resourceTemplates"].as_array().expect("templates");
        let uris: Vec<&str> = templates.iter().filter_map(|found| found["uriTemplate"].as_str()).collect();
        assert_eq!(
            uris,
            ["tasktally://batches/{id}", "tasktally://tasks/{id}", "tasktally://batches/{id}/chunks/{n}"]
        );
    }
}

#[test]
fn an_unknown_address_is_refused_with_the_valid_ones() {
    let store = Store::new();
    for (stateless, missing) in [(false, -32002), (true, -32602)] {
        let mut server = server(&store, stateless);
        let (id, task) = (batch(&mut server, 2), server.create_task("A task"));
        for (uri, code, expected) in [
            ("tasktally://tasks/nowhere".to_owned(), missing, "nowhere"),
            ("tasktally://batches/nowhere".to_owned(), missing, "nowhere"),
            ("file:///etc/passwd".to_owned(), missing, "tasktally://batches/{id}, tasktally://tasks/{id}"),
            (format!("tasktally://batches/{id}/chunks/3"), missing, "its chunks are 1 to 2"),
            (format!("tasktally://batches/{id}/chunks/x"), -32602, "a whole number from 1"),
            (format!("tasktally://batches/{task}"), -32602, "is a task, not a batch"),
            ("tasktally://tasks/a b".to_owned(), -32602, "is not a task id"),
        ] {
            let answer = server.request("resources/read", json!({"uri": uri}));
            assert_eq!(answer["error"]["code"], code, "{uri}: {answer}");
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.contains(expected), "{uri}: {message}");
        }
    }
}

#[test]
fn ids_numbers_and_enum_values_are_completed_in_both_protocols() {
    let store = Store::new();
    for stateless in [false, true] {
        let mut server = server(&store, stateless);
        let (id, task) = (batch(&mut server, 12), server.create_task("A task"));
        let of = |uri: &str| json!({"type": "ref/resource", "uri": uri});
        let prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
        let (batches, tasks, chunks) = (
            of("tasktally://batches/{id}"),
            of("tasktally://tasks/{id}"),
            of("tasktally://batches/{id}/chunks/{n}"),
        );
        assert_eq!(values(&complete(&mut server, batches.clone(), "id", &id[..6], json!({}))), [id.as_str()]);
        assert!(values(&complete(&mut server, batches, "id", &task, json!({}))).is_empty());
        assert_eq!(values(&complete(&mut server, tasks.clone(), "id", &task[..6], json!({}))), [task]);
        let all = values(&complete(&mut server, tasks, "id", &id, json!({})));
        assert_eq!(all.len(), 13, "the batch and its chunks: {all:?}");
        let numbers = complete(&mut server, chunks.clone(), "n", "1", json!({"id": id}));
        assert_eq!(values(&numbers), ["1", "10", "11", "12"]);
        assert_eq!(numbers["result"]["completion"]["hasMore"], false);
        assert!(values(&complete(&mut server, chunks.clone(), "n", "", json!({}))).is_empty());
        let of_batch = complete(&mut server, prompt("work_chunk"), "batch", &id[..6], json!({}));
        assert_eq!(values(&of_batch), [id]);
        let split = complete(&mut server, prompt("supervise_batch"), "split", "t", json!({}));
        assert_eq!(values(&split), ["time"]);

        for (of, name, expected) in [
            (chunks, "number", "its arguments are id, n"),
            (json!({"type": "ref/resource", "uri": "tasktally://x"}), "id", "are tasktally://batches/{id}"),
            (prompt("no"), "batch", "supervise_batch, work_chunk"),
            (prompt("work_chunk"), "no", "its arguments are batch, worker"),
        ] {
            let answer = complete(&mut server, of, name, "", json!({}));
            assert_eq!(answer["error"]["code"], -32602, "{answer}");
            assert!(answer["error"]["message"].as_str().unwrap().contains(expected), "{answer}");
        }
    }
}

#[test]
fn a_completion_holds_a_hundred_values_and_says_that_there_are_more() {
    let store = Store::new();
    let mut server = store.serve();
    let id = batch(&mut server, 150);
    let of = json!({"type": "ref/resource", "uri": "tasktally://tasks/{id}"});
    for typed in [id.as_str(), ""] {
        let answer = complete(&mut server, of.clone(), "id", typed, json!({}));
        assert_eq!(values(&answer).len(), 100, "{answer}");
        assert_eq!(answer["result"]["completion"]["hasMore"], true, "{answer}");
    }
}
