//! A new batch of what an ended batch has not done.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::reply::Reply;
use support::server::Server;
use support::steps::settle;
use support::store::Store;

fn recreate(server: &mut Server, batch: &str) -> Reply {
    server.call("control_batch", json!({"id": batch, "action": "recreate", "reason": "by mistake"})).ok()
}

/// The items of a batch with their fields, as a worker gets them.
fn items(server: &mut Server, batch: &str) -> Value {
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let items = claim["items"].as_array().unwrap().iter();
    items.map(|item| json!([item["key"], item["fields"]])).collect()
}

#[test]
fn the_rest_of_a_cancelled_batch_becomes_a_batch_with_the_same_settings() {
    let store = Store::new();
    let mut server = store.serve();
    // Numbers keep their digits, and an item's own fields may have our names.
    let create = json!({
        "title": "Mail", "instructions": "File it.", "key": "id", "max_chunk": 10, "max_parallel": 3,
        "split": "category:box", "resources": ["path"], "on_conflict": "allow", "project": "p",
        "steps": [{"name": "file", "instructions": "File."}], "max_failures": "50%", "in_doubt": "skip",
        "checkpoint": "chunk", "auto_approve_after": 2, "finish": {"title": "Tell them", "body": "Say it."},
        "items": [
            {"id": "done", "box": "in"}, {"id": "failed", "box": "in", "key": "own"}, {"id": "skipped", "box": "in"},
            {"id": "open", "box": "in", "n": "1234567890123456789012"}, {"id": "other", "box": "out", "deep": {"a": [1.50]}},
        ],
    });
    let old = server.call("create_batch", create).ok().text("/batch/id");
    settle(
        &mut server,
        &old,
        &[("done", "done", "a"), ("failed", "failed", "b"), ("skipped", "skipped", "c")],
        false,
    );

    let refused = server.call("control_batch", json!({"id": old, "action": "recreate"}));
    assert_eq!(refused.declined(), "not_ready", "the batch is open");
    let cancelled = server.call("control_batch", json!({"id": old, "action": "cancel"})).ok();
    let next = format!("control_batch(id=\"{old}\", action=\"recreate\")");
    assert!(cancelled.text("/message").contains(&next), "{cancelled:?}");
    for action in ["retry", "resume"] {
        let refused = server.call("control_batch", json!({"id": old, "action": action}));
        assert!(refused.message().contains(&next), "{refused:?}");
    }

    let reply = recreate(&mut server, &old);
    let message = reply.text("/message");
    assert!(message.contains("2 open, 1 failed; left out: 1 skipped"), "{message}");
    let new = reply.text("/batch/id");
    let batch = server.call("get_batch", json!({"id": new})).ok();
    assert_eq!(batch.text("/batch/title"), "Rest of Mail");
    assert_eq!((batch.count("/batch/total"), batch.count("/batch/processed")), (3, 0));
    assert_eq!(batch["chunks"].as_array().unwrap().len(), 2, "split by category");
    let row = |id: &str| -> Vec<Option<String>> {
        let columns = "instructions, key_field, split, max_chunk, max_parallel, max_attempts, steps, checkpoint,
            auto_approve_after, max_failures, in_doubt_policy, on_conflict, resource_fields, worker_profile, command,
            (SELECT project FROM task WHERE row_id = batch.task),
            (SELECT title FROM task WHERE row_id = batch.finish_task)";
        let columns: Vec<String> =
            columns.split(",\n").flat_map(|line| line.split(", ")).map(str::to_owned).collect();
        let sql = store.sql();
        columns
            .iter()
            .map(|column| {
                let query = format!("SELECT CAST({column} AS TEXT) FROM batch WHERE task = (SELECT row_id FROM task WHERE id = ?1)");
                sql.row(&query, &[&id])
            })
            .collect()
    };
    assert_eq!(row(&new), row(&old));
    let first = items(&mut server, &new);
    let expected = json!([
        ["failed", {"id": "failed", "box": "in", "key": "own"}],
        ["open", {"id": "open", "box": "in", "n": "1234567890123456789012"}],
    ]);
    assert_eq!(first, expected);
    let kept = |batch: &str| -> Vec<String> {
        let sql =
            "SELECT fields FROM item WHERE key = 'other' AND batch = (SELECT row_id FROM task WHERE id = ?1)";
        store.sql().rows(sql, &[&batch])
    };
    assert_eq!(kept(&new), kept(&old));

    // Both tasks say where the items went and came from, and why.
    assert!(server.body(&new).contains(&format!("from the items of batch {old}")), "{}", server.body(&new));
    let old_body = server.body(&old);
    assert!(
        old_body.contains(&format!("Batch {new} was created by")) && old_body.contains("by mistake"),
        "{old_body}"
    );
}

#[test]
fn items_that_a_later_step_would_process_are_left_and_done_ones_are_not() {
    let store = Store::new();
    let mut server = store.serve();
    let steps = json!([
        {"name": "sort", "instructions": "Sort."},
        {"name": "move", "instructions": "Move.", "only_categories": ["old"]},
    ]);
    let create = json!({"title": "B", "instructions": "x", "items": ["a", "b"], "steps": steps, "checkpoint": "chunk"});
    let old = server.call("create_batch", create).ok().text("/batch/id");
    settle(&mut server, &old, &[("a", "done", "old"), ("b", "done", "new")], true);
    server.call("control_batch", json!({"id": old, "action": "cancel"})).ok();
    let reply = recreate(&mut server, &old);
    assert!(reply.text("/message").contains("that are not done: 1 with further steps"), "{reply:?}");
    assert_eq!(items(&mut server, &reply.text("/batch/id"))[0][0], "a");
}

#[test]
fn a_batch_of_which_nothing_is_left_is_refused() {
    let store = Store::new();
    let mut server = store.serve();
    let create = json!({"title": "B", "instructions": "x", "items": ["a"]});
    let id = server.call("create_batch", create).ok().text("/batch/id");
    settle(&mut server, &id, &[("a", "done", "c")], true);
    let refused = server.call("control_batch", json!({"id": id, "action": "recreate"}));
    assert!(refused.message().contains("nothing is left for a new batch"), "{refused:?}");
}

#[test]
fn the_rest_of_a_run_is_worked_with_its_command() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let command = ["--", "sh", "-c", "test $TASKTALLY_ITEM = a || test -e fixed"];
    let run = [&["--json", "run", "--items", "items.jsonl", "--timeout", "1m"], &command[..]].concat();
    let ran = store.tasktally(run).code(1);
    let end: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let old = end["batch"]["id"].as_str().unwrap();
    let reply = store.tasktally(["control-batch", old, "recreate"]).success();
    let new = reply.stdout.split("run --resume ").nth(1).unwrap();
    let new = new.split_whitespace().next().unwrap().to_owned();
    store.write("fixed", "");
    let resumed = store.tasktally(["run", "--resume", &new]).success();
    assert!(resumed.stderr.contains("1 of 1 item to do"), "{}", resumed.stderr);

    // A cancelled run cannot be resumed, and says what can be done.
    let create = ["--json", "create-batch", "B", "--instructions", "x", "--items", "[\"a\"]"];
    let created = store.tasktally(create).success().json();
    let id = created["batch"]["id"].as_str().unwrap();
    store.tasktally(["control-batch", id, "cancel"]).success();
    let refused = store.tasktally(["run", "--resume", id, "--", "true"]).code(1);
    assert!(refused.stderr.contains(&format!("control-batch {id} --action recreate")), "{}", refused.stderr);
}
