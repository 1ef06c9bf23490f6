//! Costs: the amounts in the receipts, summed by chunk, worker, category and model.

mod support;

use serde_json::{Value, json};

use support::store::Store;

#[test]
fn costs_are_summed_up_exactly_by_chunk_worker_category_and_model() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = server
        .call(
            "create_batch",
            json!({"title": "Mail", "instructions": "Sort.", "items": ["a", "b", "c", "d"], "max_chunk": 2}),
        )
        .ok()
        .text("/batch/id");
    for (worker, items) in [("ann", ["a", "b"]), ("bob", ["c", "d"])] {
        let claim = server.call("claim_task", json!({"batch": batch, "worker": worker})).ok();
        for (item, category) in items.into_iter().zip(["keep", "archive"]) {
            let receipt = json!({"id": claim["task"]["id"], "claim": claim["claim"]["token"], "item": item,
                "outcome": "done", "category": category, "model": "small-1",
                "tokens_in": 1000, "tokens_out": 10, "cost": 0.1});
            server.call("update_task", receipt.clone()).ok();
            let again = server.call("update_task", receipt).ok();
            assert_eq!(again["receipt"]["duplicate"], true, "a repeated receipt is counted again");
        }
    }
    // The supervisor's own work on the batch counts as well.
    let own = json!({"id": batch, "body": "Looked at samples.", "assignee": "sup", "model": "large-1", "cost": 1.25});
    server.call("update_task", own).ok();

    let whole = server.call("get_batch", json!({"id": batch})).ok();
    let spent = &whole["batch"]["spent"];
    assert_eq!(
        (&spent["tokens_in"], &spent["tokens_out"], &spent["cost"]),
        (&json!(4000), &json!(40), &json!(1.65))
    );
    let each = json!({"tokens_in": 2000, "tokens_out": 20, "cost": 0.2});
    assert_eq!(spent["workers"]["ann"], each);
    assert_eq!(spent["workers"]["bob"], each);
    assert_eq!(spent["categories"]["archive"], each);
    assert_eq!(spent["categories"]["keep"], each);
    assert_eq!(spent["models"]["large-1"]["cost"], 1.25);
    assert_eq!(whole["chunks"][0]["spent"], each);
    assert_eq!(whole["chunks"][1]["spent"], each);

    let polled = server.call("get_batch", json!({"id": batch, "since": "0"})).ok();
    assert_eq!(polled["batch"]["spent"]["cost"], 1.65);
    assert!(polled["batch"]["spent"].get("workers").is_none(), "a poll is short: {}", polled.value);
    server.close();
    store.tasktally(["verify"]).success();
}

#[test]
fn a_batch_without_costs_shows_none() {
    let store = Store::new();
    let mut server = store.serve();
    let made =
        server.call("create_batch", json!({"title": "Mail", "instructions": "Sort.", "items": ["a"]})).ok();
    let whole = server.call("get_batch", json!({"id": made.text("/batch/id")})).ok();
    assert!(whole["batch"].get("spent").is_none(), "{}", whole.value);
    assert!(whole["chunks"][0].get("spent").is_none(), "{}", whole.value);
}

#[test]
fn an_invalid_cost_or_one_without_a_receipt_is_refused_and_nothing_is_written() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.create_task("Plain");
    let before = server.read_task(&id);
    let refused = |server: &mut support::server::Server, more: Value| {
        let mut arguments = json!({"id": id});
        for (name, value) in more.as_object().into_iter().flatten() {
            arguments[name] = value.clone();
        }
        let reply = server.call("update_task", arguments);
        assert_eq!(reply.refusal(), "invalid_argument", "{more}");
        reply.message().to_owned()
    };
    assert!(refused(&mut server, json!({"body": "x", "cost": -0.5})).contains("-0.5"));
    assert!(refused(&mut server, json!({"body": "x", "cost": "dear"})).contains("dear"));
    assert!(refused(&mut server, json!({"body": "x", "tokens_in": -1})).contains("-1"));
    assert!(refused(&mut server, json!({"cost": 0.5})).contains("with a receipt only"));
    assert_eq!(server.read_task(&id), before);
}

#[test]
fn a_worker_command_can_report_the_cost_of_its_item() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\":\"a\"}\n{\"key\":\"b\"}\n");
    let say = r#"echo '{"receipt": "- sorted", "category": "keep", "model": "small-1", "tokens_in": 7, "tokens_out": 2, "cost": 0.003}'"#;
    let ran = store.tasktally(["run", "--items", "items.jsonl", "--json", "--", "sh", "-c", say]).success();
    let done: Value = ran.stdout.lines().last().map(|line| serde_json::from_str(line).unwrap()).unwrap();
    assert_eq!(done["batch"]["spent"]["cost"], 0.006, "{done}");
    assert_eq!(done["batch"]["spent"]["tokens_in"], 14);
}
