//! The whole workflow with 663 real items: classify by month with a checkpoint per chunk, redo one chunk with a note,
//! archive only one category, kill a worker, run the finish task, write the report.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use support::cli::Ran;
use support::server::Server;
use support::store::Store;
use support::{eventually, run_in_parallel};

const ITEMS: u64 = 663;

/// The category of an item by its fields.
fn category_of(fields: &Value) -> &'static str {
    match fields["kind"].as_str().unwrap_or_default() {
        "fix" => "reply",
        "docs" | "ci" | "chore" | "other" => "archive",
        _ => "read",
    }
}

fn steps() -> Value {
    json!([{"name": "classify", "instructions": "Say whether it is to be answered, read or archived."},
           {"name": "execute", "instructions": "Archive it.", "only_categories": ["archive"]}])
}

/// A worker: claims a chunk, writes a receipt for each item and completes it. Returns whether there was a chunk.
fn work_chunk(server: &mut Server, batch: &str, worker: &str) -> bool {
    let claim = server.call("claim_task", json!({"batch": batch, "worker": worker}));
    if !claim.succeeded() {
        assert_eq!(claim.declined(), "nothing_to_claim", "{}", claim.value);
        return false;
    }
    let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    let executing = claim.text("/instructions").contains("Step 'execute'");
    let mut page = claim.value.clone();
    loop {
        for item in page["items"].as_array().unwrap() {
            let category = if executing { "archived" } else { category_of(&item["fields"]) };
            if executing {
                assert_eq!(item["earlier_steps"]["classify"]["category"], "archive", "{item}");
            }
            let receipt = json!({"id": id, "claim": token, "item": item["key"], "outcome": "done", "category": category,
                                 "body": format!("- {category}: {} | {}", item["fields"]["date"], item["fields"]["kind"])});
            server.call("update_task", receipt).ok();
        }
        let Some(after) = page.get("next_items_after") else { break };
        page = server.call("get_task", json!({"id": id, "items_after": after})).ok().value;
    }
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
    true
}

/// Eight workers, each with its own server, work until there is no chunk to claim.
fn work_in_parallel(store: &Store, batch: &str) {
    run_in_parallel(8, |number| {
        let mut server = store.serve();
        while work_chunk(&mut server, batch, &format!("worker-{number}")) {}
        server.close();
    });
}

/// Asserts that summary files, get_batch, receipts and report agree for each chunk.
fn assert_all_agree(store: &Store, batch: &str) {
    let reply = store.tasktally(["get-batch", batch, "--json"]).success().json();
    assert_eq!(reply["batch"]["processed"], ITEMS, "{reply}");
    let folder = store.folder().join("scratch").join(format!("batch-{batch}"));
    let report = store.tasktally(["report", batch]).success();
    let report = std::fs::read_to_string(folder.join("report.md")).unwrap_or_else(|_| panic!("{report:?}"));
    let sql = store.sql();
    let mut total = 0;
    for chunk in reply["chunks"].as_array().unwrap() {
        let (id, number) = (chunk["id"].as_str().unwrap(), chunk["number"].as_u64().unwrap());
        let summary = folder.join(format!("chunk-{number:02}-summary.json"));
        let summary: Value = serde_json::from_str(&std::fs::read_to_string(&summary).unwrap()).unwrap();
        assert_eq!(summary["categories"], chunk["categories"], "{id}");
        assert_eq!(summary["processed"], chunk["processed"], "{id}");
        // The latest receipt of an item is its outcome.
        let latest = "SELECT category, count(*) FROM receipt r JOIN task t ON t.row_id = r.task
                  WHERE t.id = ?1 AND item_key IS NOT NULL AND number = (
                    SELECT max(number) FROM receipt WHERE task = r.task AND item_key = r.item_key AND late = 0) GROUP BY 1";
        let from_receipts: BTreeMap<String, u64> = sql.rows(latest, &[&id]).into_iter().collect();
        assert_eq!(json!(from_receipts), chunk["categories"], "{id}");
        total += chunk["processed"].as_u64().unwrap();
    }
    assert_eq!(total, ITEMS);
    assert!(report.contains("663"), "{report}");
    store.tasktally(["verify"]).success();
}

#[test]
fn six_hundred_mails_are_classified_reviewed_and_archived_over_mcp() {
    let store = Store::new();
    store.write("mail.jsonl", include_str!("../examples/commits.jsonl"));
    let mut supervisor = store.serve();
    let made = supervisor
        .call(
            "create_batch",
            json!({"title": "Archive mail", "instructions": "Each item is a mail.", "source": {"path": "mail.jsonl"},
                   "split": {"by": "time", "field": "date", "period": "month"}, "steps": steps(),
                   "checkpoint": "chunk", "finish": {"title": "Check and push once"}, "on_conflict": "allow"}),
        )
        .ok();
    let batch = made.text("/batch/id");
    assert_eq!(made.count("/batch/items"), ITEMS);

    // A worker is killed in the middle of its chunk. Its receipts stay and the next worker gets the rest.
    let mut doomed = store.serve();
    let claim = doomed.call("claim_task", json!({"batch": batch, "worker": "doomed"})).ok();
    let (id, first) = (claim.text("/task/id"), claim["items"][0].clone());
    let receipt = json!({"id": id, "claim": claim["claim"]["token"], "item": first["key"], "outcome": "done",
                         "category": category_of(&first["fields"]), "body": "- before the end"});
    doomed.call("update_task", receipt).ok();
    doomed.kill();
    store.expire_claim(&id);
    let next = supervisor.call("claim_task", json!({"id": id, "worker": "next"})).ok();
    assert_eq!(next.count("/items_left") + 1, claim.count("/items_left"));
    let token = next["claim"]["token"].clone();
    supervisor.call("release_task", json!({"id": id, "claim": token, "outcome": "retry"})).ok();
    // The released chunk can be claimed only after its backoff.
    eventually("all chunks to be through the first step", || {
        work_in_parallel(&store, &batch);
        let state = supervisor.call("get_batch", json!({"id": batch})).ok();
        (state["batch"]["status"] == "waiting").then_some(())
    });

    let review = supervisor.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    let chunk = review.text("/reviews/0/chunk");
    let samples = review["reviews"][0]["samples"].as_array().unwrap();
    assert!(!samples.is_empty() && samples.iter().all(|sample| sample["receipt"].is_string()));
    let decide = |server: &mut Server, decision: Value| {
        let mut arguments = json!({"id": batch, "reviewer": "Ann"});
        arguments.as_object_mut().unwrap().extend(decision.as_object().unwrap().clone());
        server.call("review_batch", arguments).ok()
    };
    decide(&mut supervisor, json!({"chunk": chunk, "decision": "reject", "note": "look again"}));
    decide(&mut supervisor, json!({"chunk": chunk, "decision": "redo", "note": "newsletters are no mail"}));
    work_in_parallel(&store, &batch);
    assert!(supervisor.body(&chunk).contains("newsletters are no mail"));
    decide(&mut supervisor, json!({"decision": "approve"}));
    work_in_parallel(&store, &batch);

    let after = supervisor.call("get_batch", json!({"id": batch})).ok();
    assert_eq!(after["batch"]["status"], "done", "{}", after.value);
    let expected =
        include_str!("../examples/commits.jsonl").lines().fold(BTreeMap::new(), |mut sum, line| {
            let item: Value = serde_json::from_str(line).unwrap();
            let category = if category_of(&item) == "archive" { "archived" } else { category_of(&item) };
            *sum.entry(category).or_insert(0) += 1;
            sum
        });
    assert_eq!(after["batch"]["categories"], json!(expected));
    let finish = supervisor.call("claim_task", json!({"worker": "supervisor"})).ok();
    assert_eq!(finish.text("/task/title"), "Check and push once");
    assert!(supervisor.body(&finish.text("/task/id")).contains("663 of 663 items processed"));
    supervisor.close();
    assert_all_agree(&store, &batch);
}

#[test]
fn the_same_story_by_commands_alone() {
    let store = Store::new();
    store.write("mail.jsonl", include_str!("../examples/commits.jsonl"));
    let tasktally = |args: &[&str]| -> Ran { store.tasktally(args).success() };
    let steps = steps().to_string();
    let made = tasktally(&[
        "create-batch",
        "Archive mail",
        "--instructions",
        "Each item is a mail.",
        "--source",
        "mail.jsonl",
        "--split",
        "month:date",
        "--steps",
        &steps,
        "--checkpoint",
        "chunk",
        "--finish",
        "Check and push once",
        "--on-conflict",
        "allow",
        "--json",
    ]);
    let batch = made.json()["batch"]["id"].as_str().unwrap().to_owned();
    store.write(
        "sort.sh",
        "#!/bin/sh\nitem=$(cat)\ntest $TASKTALLY_STEP = execute && item=act\ncase $item in\n  act) category=archived ;;\n  *'\"kind\": \"fix\"'*) category=reply ;;\n  \
         *) category=archive ;;\nesac\nprintf '{\"receipt\": \"- %s\", \"category\": \"%s\"}\\n' \"$TASKTALLY_ITEM\" \"$category\"\n",
    );
    let work = || tasktally(&["work", "--batch", &batch, "--workers", "8", "--", "sh", "sort.sh"]);
    work();
    let review = tasktally(&["get-batch", &batch, "--view", "review", "--json"]).json();
    let chunk = review["reviews"][0]["chunk"].as_str().unwrap().to_owned();
    tasktally(&["review-batch", &batch, "--chunk", &chunk, "--decision", "reject", "--note", "look again"]);
    tasktally(&[
        "review-batch",
        &batch,
        "--chunk",
        &chunk,
        "--decision",
        "redo",
        "--note",
        "newsletters are no mail",
    ]);
    work();
    tasktally(&["review-batch", &batch, "--decision", "approve"]);
    work();
    let after = tasktally(&["get-batch", &batch, "--json"]).json();
    assert_eq!(after["batch"]["status"], "done", "{after}");
    let finish = tasktally(&["claim-task", "--worker", "me", "--json"]).json();
    assert_eq!(finish["task"]["title"], "Check and push once");
    assert_all_agree(&store, &batch);
}
