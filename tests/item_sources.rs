//! Sources of items: nested JSON, CSV tables, folders, and queries for tasks of the store.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use support::reply::Reply;
use support::server::Server;
use support::store::Store;

/// Creates a batch with the items of `request`.
#[track_caller]
fn create_batch(server: &mut Server, mut request: Value) -> Reply {
    request["title"] = json!("Mail");
    request["instructions"] = json!("Sort it.");
    server.call("create_batch", request)
}

/// The titles of a plan's chunks.
fn titles(plan: &Reply) -> Vec<String> {
    plan["chunks"].as_array().unwrap().iter().map(|chunk| chunk["title"].as_str().unwrap().into()).collect()
}

/// The fields of all items of a batch by key, as workers get them.
fn items(server: &mut Server, plan: &Reply) -> BTreeMap<String, Value> {
    let batch = plan.text("/batch/id");
    let mut items = BTreeMap::new();
    for _ in plan["chunks"].as_array().unwrap() {
        let claimed = server.call("claim_task", json!({"batch": batch})).ok();
        for item in claimed["items"].as_array().unwrap() {
            items.insert(item["key"].as_str().unwrap().to_owned(), item["fields"].clone());
        }
    }
    items
}

#[test]
fn key_and_split_can_be_pointers_into_nested_items() {
    let store = Store::new();
    let line = |id: &str, date: &str, list: &str| {
        json!({"header": {"id": id, "date": date, "x/y": list}, "parts": [{"size": 1}]}).to_string()
    };
    let lines = [
        line("a@x", "Tue, 04 Nov 2025 10:12:00 +0100 (CET)", "work"),
        line("b@x", "4 Nov 2025 10:12:00 GMT", "home"),
        line("c@x", "Fri, 31 Oct 2025 23:30:00 -0500", "work"),
    ];
    store.write("mail.jsonl", lines.join("\n"));
    let mut server = store.serve();
    let source = json!({"path": "mail.jsonl"});
    let by_month = json!({"by": "time", "field": "/header/date", "period": "month"});
    let plan =
        create_batch(&mut server, json!({"source": source, "key": "/header/id", "split": by_month})).ok();
    assert_eq!(titles(&plan), ["Oct 2025, chunk 1 of 2", "Nov 2025, chunk 2 of 2"]);
    let items = items(&mut server, &plan);
    assert_eq!(items.keys().collect::<Vec<_>>(), ["a@x", "b@x", "c@x"]);
    assert_eq!(items["a@x"]["header"]["x/y"], "work", "an item keeps its fields");
    let by_list = json!({"by": "category", "field": "/header/x~1y"});
    let plan =
        create_batch(&mut server, json!({"source": source, "key": "/header/id", "split": by_list})).ok();
    assert_eq!(titles(&plan), ["work, chunk 1 of 2", "home, chunk 2 of 2"]);
    let refused = create_batch(&mut server, json!({"source": source, "key": "/header/nothing"}));
    assert_eq!(refused.refusal(), "invalid_argument");
    assert!(refused.message().contains("/header/nothing"), "{}", refused.message());
}

#[test]
fn a_name_without_leading_slash_is_no_pointer() {
    let store = Store::new();
    let mut server = store.serve();
    let item = json!({"a/b": "flat", "a": {"b": "deep"}});
    let plan = create_batch(&mut server, json!({"items": [item], "key": "a/b"})).ok();
    assert_eq!(items(&mut server, &plan).keys().collect::<Vec<_>>(), ["flat"]);
    let plan = create_batch(&mut server, json!({"items": [item], "key": "/a/b"})).ok();
    assert_eq!(items(&mut server, &plan).keys().collect::<Vec<_>>(), ["deep"]);
}

#[test]
fn times_are_read_in_all_common_formats() {
    let store = Store::new();
    let mut server = store.serve();
    let times = [
        json!("2025-11-04T10:12:00+01:00"),
        json!("2025-11-04"),
        json!(1_762_247_520),
        json!("1762247520"),
        json!(1_762_247_520_000_i64),
        json!("1762247520000"),
        json!("Tue, 04 Nov 2025 10:12:00 +0100"),
        json!("Tue, 04 Nov 2025 10:12:00 +0100 (CET)"),
        json!("04 Nov 2025 10:12:00 +0100"),
    ];
    let items: Vec<Value> = times.iter().enumerate().map(|(n, time)| json!({"key": n, "at": time})).collect();
    let by_day = json!({"by": "time", "field": "at", "period": "day"});
    let plan = create_batch(&mut server, json!({"items": items, "split": by_day})).ok();
    assert_eq!(titles(&plan), ["2025-11-04, chunk 1 of 1"]);
}

#[test]
fn a_csv_table_may_start_with_a_byte_order_mark_and_contain_line_ends_in_quotes() {
    let store = Store::new();
    store.write("mail.csv", "\u{feff}key,text\r\na,\"one\r\ntwo, \"\"three\"\"\"\r\nb,plain\r\n");
    let mut server = store.serve();
    let plan = create_batch(&mut server, json!({"source": {"path": "mail.csv"}})).ok();
    let items = items(&mut server, &plan);
    assert_eq!(items["a"]["text"], "one\r\ntwo, \"three\"");
    assert_eq!(items["b"]["text"], "plain");
}

#[test]
fn a_glob_selects_files_of_a_folder() {
    let store = Store::new();
    std::fs::create_dir_all(store.folder().join("mail/old")).unwrap();
    for name in ["a.eml", "notes.txt", "old/b.eml", "old/b.eml.bak"] {
        store.write(&format!("mail/{name}"), "x");
    }
    let mut server = store.serve();
    let mut keys = |glob: &str| {
        let plan = create_batch(&mut server, json!({"source": {"path": "mail", "glob": glob}})).ok();
        items(&mut server, &plan).into_keys().collect::<Vec<_>>()
    };
    assert_eq!(keys("*.eml"), ["a.eml"]);
    assert_eq!(keys("**/*.eml"), ["a.eml", "old/b.eml"]);
    for (glob, because) in [("*.pdf", "*.pdf"), ("[", "not a valid pattern"), (" ", "empty")] {
        let refused = create_batch(&mut server, json!({"source": {"path": "mail", "glob": glob}}));
        assert_eq!(refused.refusal(), "invalid_argument");
        assert!(refused.message().contains(because), "{}", refused.message());
    }
    let source = r#"{"path": "mail", "glob": "**/*.eml"}"#;
    let ran = store.tasktally(["run", "--items", source, "--json", "--", "true"]).success();
    assert!(ran.stdout.contains(r#""total":2"#), "{}", ran.stdout);
}

/// A store with four different tasks.
fn a_store_with_tasks() -> (Store, Server, Vec<String>) {
    let store = Store::new();
    let mut server = store.serve();
    let mut ids = Vec::new();
    for (n, (project, kind, priority, tags)) in
        [("p", "bug", 0, "red"), ("p", "bug", 1, "blue"), ("p", "feature", 2, "red"), ("q", "bug", 3, "red")]
            .into_iter()
            .enumerate()
    {
        let task = json!({"title": format!("Task {n}"), "project": project, "type": kind, "priority": priority,
            "tags": [tags], "due": "2025-12-01", "body": "é".repeat(600)});
        ids.push(server.call("create_task", task).ok().text("/task/id"));
    }
    (store, server, ids)
}

#[test]
fn tasks_that_match_a_query_become_items() {
    let (_store, mut server, ids) = a_store_with_tasks();
    let mut check = |query: Value, expected: &[usize]| {
        let plan = create_batch(&mut server, json!({"query": query})).ok();
        let mut wanted: Vec<&String> = expected.iter().map(|n| &ids[*n]).collect();
        wanted.sort();
        assert_eq!(items(&mut server, &plan).keys().collect::<Vec<_>>(), wanted, "{query}");
    };
    check(json!({}), &[0, 1, 2, 3]);
    check(json!({"project": "p"}), &[0, 1, 2]);
    check(json!({"type": "bug", "priority_max": 1}), &[0, 1]);
    check(json!({"priority": 3}), &[3]);
    check(json!({"tags": ["red"], "project": "p"}), &[0, 2]);
    check(json!({"ready": true, "status": "active", "type": "feature"}), &[2]);
    server.call("update_task", json!({"id": ids[1], "status": "blocked", "assignee": "me"})).ok();
    let mut check = |query: Value, expected: &[usize]| {
        let plan = create_batch(&mut server, json!({"query": query})).ok();
        assert_eq!(plan.count("/batch/items"), expected.len() as u64, "{query}");
    };
    check(json!({"status": "blocked"}), &[1]);
    check(json!({"status": "blocked", "assignee": "me"}), &[1]);
    check(json!({"project": "p"}), &[0, 2]);
    server.call("create_task", json!({"title": "Part", "parent": ids[0]})).ok();
    let plan = create_batch(&mut server, json!({"query": {"parent": ids[0]}})).ok();
    assert_eq!(plan.count("/batch/items"), 1);
}

#[test]
fn an_item_from_a_task_has_the_fields_that_a_worker_needs() {
    let (_store, mut server, ids) = a_store_with_tasks();
    let split = json!({"by": "category", "field": "type"});
    let plan = create_batch(&mut server, json!({"query": {"project": "p"}, "split": split})).ok();
    assert_eq!(titles(&plan), ["bug, chunk 1 of 2", "feature, chunk 2 of 2"]);
    let items = items(&mut server, &plan);
    let mut item = items[&ids[0]].clone();
    assert!(item["created"].as_str().unwrap().starts_with("20"), "{item}");
    item.as_object_mut().unwrap().remove("created");
    let body = format!("{}…", "é".repeat(500));
    let expected = json!({"key": ids[0], "title": "Task 0", "type": "bug", "priority": 0, "project": "p",
        "status": "active", "tags": ["red"], "due": "2025-12-01T00:00:00.000Z", "body": body});
    assert_eq!(item, expected);
}

#[test]
fn a_query_returns_more_than_a_page_of_tasks_and_neither_batches_nor_chunks() {
    let store = Store::new();
    let mut server = store.serve();
    let sent: Vec<u64> =
        (0..450).map(|n| server.send("create_task", json!({"title": format!("Task {n}")}))).collect();
    for id in sent {
        server.recv(id).unwrap().ok();
    }
    let first = create_batch(&mut server, json!({"query": {"status": "active"}})).ok();
    assert_eq!((first.count("/batch/items"), first.count("/batch/chunks")), (450, 9));
    let again = create_batch(&mut server, json!({"query": {}, "dry_run": true})).ok();
    assert_eq!(again.count("/batch/items"), 450, "chunks of the first batch became items");
    let of_batch = create_batch(&mut server, json!({"query": {"batch": first.text("/batch/id")}}));
    assert_eq!(of_batch.refusal(), "invalid_argument");
    assert!(of_batch.message().contains("chunks"), "{}", of_batch.message());
}

#[test]
fn an_invalid_query_is_refused_with_its_field() {
    let (store, mut server, _) = a_store_with_tasks();
    for (request, because) in [
        (
            json!({"query": {"statu": "active"}}),
            "'statu' is not a filter of list_tasks(). Did you mean 'status'?",
        ),
        (json!({"query": {"status": "asleep"}}), "asleep"),
        (json!({"query": {"priority": 9}}), "priority"),
        (json!({"query": {"parent": "nothing"}}), "query.parent"),
        (json!({"query": {"project": "none"}}), "no task matches"),
        (json!({"query": {}, "key": "title"}), "title"),
        (json!({"query": {"status": "active"}, "items": ["a"]}), "query"),
        (json!({"query": "active"}), "query"),
    ] {
        let refused = create_batch(&mut server, request.clone());
        assert!(refused.is_error, "{request}: {}", refused.value);
        assert!(refused.message().contains(because), "{request}: {}", refused.message());
    }
    let ran = store
        .tasktally(["create-batch", "B", "--instructions", "do", "--query", r#"{"type": "bug"}"#, "--json"])
        .success();
    assert_eq!(ran.json()["batch"]["items"], 3, "{}", ran.stdout);
    let ran = store.tasktally(["create-batch", "B", "--instructions", "do", "--query", "bug"]).code(2);
    assert!(ran.output().contains("is not a JSON object; write filters such as"), "{}", ran.output());
}
