//! A store with a row in every table, and the lines of its export.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use super::random_batch::{create_random_batch, random_operation};
use super::rng::Rng;
use super::store::Store;

/// Fills a store so that every table has a row. Returns the tokens of the claimed chunks.
pub(crate) fn fill_every_table(store: &Store, rng: &mut Rng) -> HashMap<String, Value> {
    let mut server = store.serve();
    let mut claims = HashMap::new();
    for _ in 0..3 {
        let batch = create_random_batch(&mut server, rng);
        for _ in 0..30 {
            random_operation(&mut server, rng, &batch, &mut claims);
        }
    }
    // An assignee that looks like JSON, text that would break a line, a parent created after its child.
    let odd = server.create_task("{\"line\":\"end\"}");
    let awkward = "- \"quoted\" \\ back\tand\n\ntwo lines \u{2028} עברית 😀";
    server.call("update_task", json!({"id": odd, "body": awkward, "assignee": "null"})).ok();
    let later = server.create_task("Made later");
    server.call("update_task", json!({"id": odd, "parent": later, "due": "2027-01-01"})).ok();
    let after = json!({"task_title": "After", "depends_on": [odd], "soft_depends_on": [later], "body": "- [ ] box",
        "tags": ["a", "b \"c\""], "project": "p", "request_key": "once", "complexity": "mechanical"});
    server.call("create_task", after).ok();
    // Costs, resources in use, and an item that is only started.
    let items = json!([{"key": "1", "files": "src/a", "n": 1.0}, {"key": "2", "files": "src/a", "deep": {"x": [null]}},
        {"key": "3", "files": ["src/a", "b"]}]);
    let batch = json!({"title": "Touching", "instructions": "x", "items": items, "max_chunk": 1, "in_doubt": "ask",
        "on_conflict": "serialize", "steps": [{"name": "one", "instructions": "x"}, {"name": "two", "instructions": "y"}],
        "finish": {"title": "Wrap up"}});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    let key = claim.text("/items/0/key");
    server.call("update_task", json!({"id": chunk, "claim": token, "item": key, "outcome": "started"})).ok();
    let spent =
        json!({"id": chunk, "claim": token, "body": "- looked", "model": "m", "tokens_in": 5, "cost": 0.25});
    server.call("update_task", spent).ok();
    let late = json!({"id": chunk, "claim": "wrong", "body": "- late", "item": key, "outcome": "done"});
    assert_eq!(server.call("update_task", late).code(), "claim_lost");
    claims.insert(chunk, token);
    // An item with a category, and with an outcome of an earlier step.
    let two_steps = json!({"title": "Two steps", "instructions": "x", "items": ["s"],
        "steps": [{"name": "one", "instructions": "x"}, {"name": "two", "instructions": "y"}]});
    let two_steps = server.call("create_batch", two_steps).ok().text("/batch/id");
    let first = server.call("claim_task", json!({"batch": two_steps, "worker": "w"})).ok();
    let (id, claim) = (first.text("/task/id"), &first["claim"]["token"]);
    let done = json!({"id": id, "claim": claim, "item": "s", "outcome": "done", "category": "sure"});
    server.call("update_task", done).ok();
    server.call("complete_task", json!({"id": id, "claim": claim})).ok();
    let mut waiting = store.server(&[]);
    waiting.start_reading();
    waiting.stateless();
    waiting.declare_capabilities(
        json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {"form": {}}}),
    );
    waiting.request("tools/call", json!({"name": "wait_batch", "arguments": {"id": batch}}));
    waiting.close();
    server.close();
    let question = if store.is_sqlite() {
        "INSERT INTO wait_question (handle, question, failed_answers, declined) SELECT handle, 'q', 1, 0 FROM wait"
    } else {
        "INSERT INTO wait_question (handle, question, declined) SELECT handle, 'q', 0 FROM wait"
    };
    let sql = store.sql();
    assert_eq!(sql.execute(question, &[]), Ok(1));
    sql.execute_all(
        "INSERT INTO paused_profile (name, reason) VALUES ('mail', 'it cannot be found');
         INSERT INTO runner (batch, run_marker, profile, pid, host, started_at, heartbeat_at) SELECT task, 'n', 'mail', 1, 'h', 1, 1 FROM batch LIMIT 1;",
    )
    .unwrap();
    claims
}

/// The lines of an export without its time and checksum.
pub(crate) fn lines_without_time(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut first: Value = serde_json::from_str(&lines[0]).unwrap();
    first["exported"] = Value::Null;
    lines[0] = first.to_string();
    let mut last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    last["sha256"] = Value::Null;
    *lines.last_mut().unwrap() = last.to_string();
    lines
}
