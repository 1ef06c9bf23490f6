//! Servers that give access to a part of the store: nothing outside of it is read, changed or named.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::values::Value as SqlValue;

/// A store with two projects, each with a task, a batch of four items, and a claim on its first chunk.
struct TwoProjects {
    store: Store,
    own: Project,
    other: Project,
}

struct Project {
    task: String,
    batch: String,
    token: String,
}

impl TwoProjects {
    fn new() -> Self {
        let store = Store::new();
        let mut full = store.serve();
        let mut fill = |project: &str| {
            let words = format!("words-of-{project}");
            let task =
                full.call("create_task", json!({"title": words, "project": project})).ok().text("/task/id");
            let request = json!({"title": words, "instructions": words, "project": project, "max_chunk": 2,
                "items": [{"key": format!("{project}-1")}, {"key": format!("{project}-2")}, {"key": format!("{project}-3")}]});
            let batch = full.call("create_batch", request).ok().text("/batch/id");
            let claim = full
                .call("claim_task", json!({"batch": batch, "worker": format!("worker-of-{project}")}))
                .ok();
            Project { task, batch, token: claim.text("/claim/token") }
        };
        let (own, other) = (fill("mine"), fill("theirs"));
        drop(full);
        TwoProjects { store, own, other }
    }

    /// Every row of every table that agents can change.
    fn rows(&self) -> BTreeMap<&'static str, Vec<String>> {
        let sql = self.store.sql();
        let of = |table: &'static str| {
            let rows = sql.rows::<Vec<SqlValue>>(&format!("SELECT * FROM {table} ORDER BY 1, 2"), &[]);
            (table, rows.iter().map(|row| format!("{row:?}")).collect())
        };
        ["task", "receipt", "batch", "chunk", "item", "dependency", "wait"].into_iter().map(of).collect()
    }

    /// Asserts that nothing of the other project stands in a text.
    #[track_caller]
    fn assert_hidden(&self, what: &str, text: &str) {
        for secret in ["words-of-theirs", "theirs-1", "worker-of-theirs", &self.other.token] {
            assert!(!text.contains(secret), "{what}: {secret} in {text}");
        }
    }
}

/// Calls of every tool that name the other project's ids, or the other project.
fn calls_outside(other: &Project) -> Vec<(&'static str, Value)> {
    let (task, batch) = (&other.task, &other.batch);
    let chunk = format!("{batch}.01");
    let mut calls = Vec::new();
    for id in [task, batch, &chunk] {
        calls.extend([
            ("get_task", json!({"id": id})),
            ("update_task", json!({"id": id, "body": "- forged"})),
            ("update_task", json!({"id": id, "status": "cancelled", "force": true})),
            ("update_task", json!({"id": id, "project": "mine"})),
            ("update_task", json!({"id": id, "claim": other.token, "item": "theirs-1", "outcome": "done"})),
            ("complete_task", json!({"id": id, "force": true})),
            ("complete_task", json!({"id": id, "claim": other.token, "force": true})),
            ("complete_tasks", json!({"ids": [id], "force": true})),
            ("complete_tasks", json!({"ids": format!("[\"{id}\"]"), "force": "true"})),
            ("release_task", json!({"id": id, "claim": other.token})),
            ("claim_task", json!({"id": id, "worker": "w"})),
            ("claim_task", json!({"batch": id, "worker": "w"})),
            ("list_tasks", json!({"parent": id})),
            ("list_tasks", json!({"batch": id})),
            ("create_task", json!({"title": "x", "parent": id})),
            ("create_task", json!({"title": "x", "depends_on": [id]})),
            ("create_task", json!({"title": "x", "soft_depends_on": format!("[\"{id}\"]")})),
            ("create_batch", json!({"title": "x", "instructions": "x", "query": {"parent": id}})),
            ("create_batch", json!({"title": "x", "instructions": "x", "query": {"batch": id}})),
            ("get_batch", json!({"id": id})),
            ("wait_batch", json!({"id": id})),
            ("add_items", json!({"id": id, "items": ["x"]})),
            ("review_batch", json!({"id": id, "decision": "approve"})),
            ("control_batch", json!({"id": id, "action": "cancel"})),
        ]);
    }
    for tool in
        ["list_tasks", "claim_task", "search_tasks", "reset_stalled_tasks", "get_batch", "create_task"]
    {
        let required = match tool {
            "search_tasks" => json!({"query": "words", "project": "theirs"}),
            "create_task" => json!({"title": "x", "project": "theirs"}),
            _ => json!({"project": "theirs"}),
        };
        calls.push((tool, required));
    }
    let query = json!({"title": "x", "instructions": "x", "query": {"project": "theirs"}});
    calls.extend([
        ("create_batch", query),
        ("create_batch", json!({"title": "x", "instructions": "x", "items": ["x"], "project": "theirs"})),
    ]);
    calls
}

#[test]
fn a_server_for_a_project_reads_and_changes_nothing_of_another() {
    let two = TwoProjects::new();
    let mut server = two.store.serve_with(&["--project", "mine"]);
    let before = two.rows();
    let calls = calls_outside(&two.other);
    for (tool, arguments) in &calls {
        let reply = server.call(tool, arguments.clone());
        let code = reply.refusal();
        assert!(["not_found", "forbidden"].contains(&code), "{tool} {arguments}: {}", reply.value);
        two.assert_hidden(&format!("{tool} {arguments}"), &reply.value.to_string());
        // The refusal is the same for a task that does not exist.
        if code == "not_found" {
            let text = arguments
                .to_string()
                .replace(&two.other.batch, "nosuchbatch")
                .replace(&two.other.task, "nosuchtask");
            let missing = server.call(tool, serde_json::from_str(&text).unwrap());
            assert_eq!(missing.refusal(), "not_found", "{tool} {text}");
        }
        assert_eq!(two.rows(), before, "{tool} {arguments}");
    }
    assert!(calls.len() > 70);
    // Everything that selects by itself stays inside.
    for (tool, arguments) in [
        ("list_tasks", json!({"limit": 0})),
        ("list_tasks", json!({"since": "0", "limit": 0})),
        ("search_tasks", json!({"query": "words"})),
        ("search_tasks", json!({"query": "theirs"})),
        ("reset_stalled_tasks", json!({"dry_run": true, "hours": 0})),
        ("get_batch", json!({})),
        (
            "create_batch",
            json!({"title": "x", "instructions": "x", "query": {"status": "active"}, "dry_run": true}),
        ),
    ] {
        let reply = server.call(tool, arguments.clone());
        two.assert_hidden(&format!("{tool} {arguments}"), &reply.value.to_string());
    }
    for (method, params) in [
        ("resources/list", json!({})),
        ("resources/read", json!({"uri": format!("tasktally://batches/{}", two.other.batch)})),
        ("resources/read", json!({"uri": format!("tasktally://tasks/{}", two.other.task)})),
        ("resources/read", json!({"uri": format!("tasktally://batches/{}/chunks/1", two.other.batch)})),
        ("resources/subscribe", json!({"uri": format!("tasktally://tasks/{}", two.other.task)})),
        ("prompts/get", json!({"name": "work_chunk", "arguments": {"batch": two.other.batch}})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/resource", "uri": "tasktally://tasks/{id}"}, "argument": {"name": "id", "value": ""}}),
        ),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "work_chunk"}, "argument": {"name": "batch", "value": ""}}),
        ),
    ] {
        let answer = server.request(method, params.clone());
        two.assert_hidden(method, &answer.to_string());
        if method == "completion/complete" {
            assert!(!answer.to_string().contains(&two.other.batch), "{params}: {answer}");
            assert!(answer.to_string().contains(&two.own.batch), "{params}: {answer}");
        } else if method != "resources/list" {
            assert!(answer["error"].is_object(), "{method} {params}: {answer}");
        }
    }
    // A bare claim, a new task and a new batch belong to the project.
    let claimed = server.call("claim_task", json!({"worker": "w", "type": "task"})).ok();
    assert_eq!(claimed["task"]["project"], "mine", "{}", claimed.value);
    let created = server.call("create_task", json!({"title": "x"})).ok();
    assert_eq!(created["task"]["project"], "mine");
    let moved = server.call("update_task", json!({"id": created.text("/task/id"), "project": "theirs"}));
    assert_eq!(moved.refusal(), "forbidden");
    let cleared = server.call("update_task", json!({"id": created.text("/task/id"), "project": ""}));
    assert_eq!(cleared.refusal(), "forbidden");
}

#[test]
fn a_server_for_a_batch_has_only_that_batch() {
    let two = TwoProjects::new();
    let own = two.own.batch.clone();
    let mut server = two.store.serve_with(&["--batch", &own]);
    let before = two.rows();
    let mut calls = calls_outside(&two.other);
    calls.extend([
        ("get_task", json!({"id": two.own.task})),
        ("update_task", json!({"id": two.own.task, "body": "- x"})),
        ("update_task", json!({"id": own, "project": "theirs"})),
        ("update_task", json!({"id": own, "parent": two.own.task})),
        ("list_tasks", json!({"parent": two.own.task})),
    ]);
    for (tool, arguments) in calls {
        if ["search_tasks", "reset_stalled_tasks", "create_task", "create_batch"].contains(&tool) {
            let (id, line) =
                server.encode_request("tools/call", json!({"name": tool, "arguments": arguments}));
            server.write_line(&line);
            assert_eq!(server.answer(id).unwrap()["error"]["code"], -32602, "{tool} is not offered");
            continue;
        }
        let reply = server.call(tool, arguments.clone());
        two.assert_hidden(tool, &reply.value.to_string());
        assert_eq!(two.rows(), before, "{tool} {arguments}");
    }
    let overview = server.call("get_batch", json!({})).ok();
    assert_eq!(overview["batch"]["id"], own.as_str());
    let listed = server.call("list_tasks", json!({"limit": 0})).ok();
    assert_eq!(listed["count"], 2, "{}", listed.value);
    let claimed = server.call("claim_task", json!({"worker": "w"})).ok();
    assert_eq!(claimed.text("/task/id"), format!("{own}.02"));
    let refused = two.store.tasktally(["serve", "--batch", "nosuchbatch"]).finish();
    assert_ne!(refused.code, Some(0));
    assert!(refused.output().contains("no task 'nosuchbatch'"), "{}", refused.output());
}

#[test]
fn a_server_that_only_reads_offers_and_does_nothing_else() {
    let two = TwoProjects::new();
    let mut server = two.store.server(&["--read-only"]);
    server.declare_capabilities(json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}));
    server.start_reading();
    server.initialize("2025-11-25");
    let before = two.rows();
    let offered = server.request("tools/list", json!({}))["result"]["tools"].as_array().unwrap().clone();
    let names: Vec<&str> = offered.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["get_task", "list_tasks", "search_tasks", "get_batch", "wait_batch"]);
    for (tool, arguments) in calls_outside(&two.own) {
        let (id, line) = server.encode_request("tools/call", json!({"name": tool, "arguments": arguments}));
        server.write_line(&line);
        server.answer(id).unwrap();
        assert_eq!(two.rows(), before, "{tool} {arguments}");
    }
    assert_eq!(server.call("get_batch", json!({"id": two.own.batch})).ok()["batch"]["total"], 3);
}

/// A worker of one chunk cancelled the claim of another with parameters that the schemas of its toolset do not show.
#[test]
fn the_worker_toolset_takes_no_parameter_that_it_does_not_show() {
    let two = TwoProjects::new();
    let mut server = two.store.serve_with(&["--toolset", "worker"]);
    let tools = server.request("tools/list", json!({}))["result"]["tools"].as_array().unwrap().clone();
    let chunk = format!("{}.01", two.own.batch);
    let before = two.rows();
    for (tool, arguments) in [
        ("update_task", json!({"id": chunk, "status": "cancelled", "force": true})),
        ("update_task", json!({"id": chunk, "status": "cancelled"})),
        ("update_task", json!({"id": two.own.task, "status": "done"})),
        ("update_task", json!({"id": two.own.task, "task_title": "mine"})),
        ("update_task", json!({"id": two.own.task, "project": "theirs"})),
        ("update_task", json!({"id": two.own.task, "parent": two.other.task})),
        ("update_task", json!({"id": two.own.task, "depends_on": [two.other.task]})),
        ("complete_task", json!({"id": two.own.task, "force": true})),
        ("claim_task", json!({"worker": "w", "lease_seconds": 86400})),
        ("list_tasks", json!({"parent": two.own.batch})),
    ] {
        let refused = server.call(tool, arguments.clone());
        assert_eq!(refused.refusal(), "forbidden", "{tool} {arguments}: {}", refused.value);
        assert_eq!(two.rows(), before, "{tool} {arguments}");
    }
    // What the schemas show is accepted.
    for tool in &tools {
        let shown = tool["inputSchema"]["properties"].as_object().unwrap();
        assert!(!shown.contains_key("force") && !shown.contains_key("task_title"), "{tool}");
    }
    let claim =
        server.call("update_task", json!({"id": two.own.task, "status": "in_progress", "assignee": "w"}));
    claim.ok();
}

/// Two agents that call themselves differently, or work for different projects, use the same key for different requests.
#[test]
fn a_request_key_belongs_to_its_author_and_project() {
    let store = Store::new();
    let connect = |name: &str, args: &[&str]| -> Server {
        let mut server = store.server(args);
        server.set_client_name(name);
        server.start_reading();
        server.initialize("2025-11-25");
        server
    };
    let create = |server: &mut Server, title: &str| {
        server.call("create_task", json!({"title": title, "request_key": "first"})).ok()
    };
    let mut one = connect("one", &[]);
    let first = create(&mut one, "A");
    assert_eq!(create(&mut one, "A")["duplicate"], true);
    let second = create(&mut connect("two", &[]), "B");
    let third = create(&mut connect("one", &["--project", "p"]), "C");
    let ids = [&first, &second, &third].map(|reply| reply.text("/task/id"));
    assert!(ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    let refused = connect("one", &[]).call("create_task", json!({"title": "D", "request_key": "first"}));
    assert_eq!(refused.refusal(), "conflict");
    assert!(refused.message().contains("request_key: 'first' was used"), "{}", refused.message());
}
