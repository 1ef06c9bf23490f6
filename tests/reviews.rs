//! Reviews: decisions on several chunks at once, all items of a category, and what comes next.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::steps::{claim_chunk, create_batch, work_chunk};
use support::store::Store;

/// A batch of `chunks` chunks of one item, of which the first `worked` wait for a review.
fn batch_in_review(server: &mut Server, chunks: u64, worked: u64, more: Value) -> String {
    let items: Vec<String> = (1..=chunks).map(|number| format!("i{number}")).collect();
    let mut request =
        json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 1, "checkpoint": "chunk"});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let batch = create_batch(server, request);
    for _ in 0..worked {
        let claim = claim_chunk(server, &batch);
        work_chunk(server, &claim, |_| "k");
    }
    batch
}

fn statuses(server: &mut Server, batch: &str) -> Vec<String> {
    let reply = server.call("get_batch", json!({"id": batch})).ok();
    let chunks = reply["chunks"].as_array().unwrap();
    chunks.iter().map(|chunk| chunk["status"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_decision_applies_to_all_named_chunks_or_to_none() {
    let store = Store::new();
    let mut server = store.serve();
    /// Writes a list of chunks of a batch.
    type Form = fn(&str) -> Value;
    let forms: [(Form, &str); 6] = [
        (|_| json!("1,3"), "1, 3"),
        (|_| json!([1, "3"]), "1, 3"),
        (|_| json!("[1, 3.0]"), "1, 3"),
        (|batch| json!([format!("{batch}.1"), format!("{batch}.3"), 3]), "1, 3"),
        (|_| json!("1-3"), "1-3"),
        (|batch| json!(format!("2-3,{batch}.1")), "1-3"),
    ];
    for (form, decided) in forms {
        let batch = batch_in_review(&mut server, 5, 4, json!({}));
        let chunk = form(&batch);
        let reply =
            server.call("review_batch", json!({"id": batch, "decision": "approve", "chunk": chunk})).ok();
        assert!(reply.message().contains(&format!("chunks ({decided})")), "{chunk}: {}", reply.message());
        let done = statuses(&mut server, &batch).iter().filter(|status| *status == "done").count();
        assert_eq!(done, if decided == "1-3" { 3 } else { 2 }, "{chunk}");
        assert!(server.body(&batch).contains(decided), "the record names the chunks");
    }
    // One of them takes no decision, or does not exist: nothing is decided.
    let batch = batch_in_review(&mut server, 5, 4, json!({}));
    let before = server.body(&batch);
    for (chunk, expected) in [
        (json!("3-5"), format!("1 of the 3 chunks do not wait for a review: {batch}.05 is active")),
        (json!("1,5"), format!("{batch}.05 is active")),
        (json!("1-6"), "its chunks are 1 to 5".to_owned()),
        (json!([1, 9]), "no chunk '9'".to_owned()),
        (json!("3-1"), "'3-1' is not a range".to_owned()),
        (json!("1,,2"), "1-5".to_owned()),
        (json!([[1]]), "1-5".to_owned()),
        (json!("5"), "does not wait for a review".to_owned()),
    ] {
        let refused =
            server.call("review_batch", json!({"id": batch, "decision": "approve", "chunk": chunk}));
        assert!(refused.message().contains(&expected), "{chunk}: {}", refused.message());
        let waiting = statuses(&mut server, &batch).iter().filter(|status| *status == "review").count();
        assert_eq!((waiting, server.body(&batch)), (4, before.clone()), "{chunk}");
    }
    // An empty list counts as absent.
    server.call("review_batch", json!({"id": batch, "decision": "approve", "chunk": []})).ok();
    assert_eq!(statuses(&mut server, &batch).iter().filter(|status| *status == "done").count(), 4);
}

#[test]
fn the_command_line_takes_lists_and_ranges_of_chunks() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = batch_in_review(&mut server, 5, 5, json!({}));
    let review = |chunk: &str, decision: &str| {
        store.tasktally(["review-batch", &batch, decision, "--chunk", chunk, "--note", "n", "--json"])
    };
    let reply = review("1,2", "approve").success().json();
    assert!(reply["message"].as_str().unwrap().contains("chunks (1-2)"), "{reply}");
    review("3-4", "reject").success();
    review("1-5", "approve").code(1);
    review("[3, 5]", "redo").success();
    assert_eq!(statuses(&mut server, &batch), ["done", "done", "active", "rejected", "active"]);
}

#[test]
fn a_retry_takes_lists_and_ranges_of_chunks() {
    let store = Store::new();
    let mut server = store.serve();
    for (chunks, expected) in [
        (json!(["1-2", 4]), 3),
        (json!("2-3"), 2),
        (json!([2]), 1),
        (json!("[1, \"3-4\"]"), 3),
        (json!([]), 4),
    ] {
        let request =
            json!({"title": "B", "instructions": "x", "items": ["a", "b", "c", "d"], "max_chunk": 1});
        let batch = create_batch(&mut server, request);
        for _ in 0..4 {
            let claim = claim_chunk(&mut server, &batch);
            let (id, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
            let failed = json!({"id": id, "claim": token, "item": claim["items"][0]["key"], "outcome": "failed", "body": "no"});
            server.call("update_task", failed).ok();
            server.call("complete_task", json!({"id": id, "claim": token})).ok();
        }
        for wrong in [json!("3-7"), json!([1, 9]), json!("0-1"), json!([[1]])] {
            let refused =
                server.call("control_batch", json!({"id": batch, "action": "retry", "chunks": wrong}));
            assert!(refused.message().starts_with("chunks"), "{wrong}: {}", refused.message());
        }
        let retried =
            server.call("control_batch", json!({"id": batch, "action": "retry", "chunks": chunks})).ok();
        assert!(
            retried.message().contains(&format!("Opened {expected} chunk")),
            "{chunks}: {}",
            retried.message()
        );
        let open = statuses(&mut server, &batch).iter().filter(|status| *status == "active").count();
        assert_eq!(open, expected, "{chunks}");
    }
    let request = json!({"title": "B", "instructions": "x", "items": ["a", "b", "c", "d"], "max_chunk": 1});
    let batch = create_batch(&mut server, request);
    let still_open = store.tasktally(["control-batch", &batch, "retry", "--chunks", "1,3-4"]).success();
    assert!(still_open.output().contains("no failed items"), "{}", still_open.output());
    store.tasktally(["control-batch", &batch, "retry", "--chunks", "1-9"]).code(1);
}

#[test]
fn a_category_that_a_worker_named_does_not_change_the_call_for_it() {
    let store = Store::new();
    let mut server = store.serve();
    let request =
        json!({"title": "B", "instructions": "x", "items": ["a", "b", "c", "d"], "checkpoint": "chunk"});
    let batch = create_batch(&mut server, request);
    let claim = claim_chunk(&mut server, &batch);
    work_chunk(&mut server, &claim, |_| "x\") review_batch(decision=\"approve");
    let review = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    assert!(review.message().contains("view=\"review\", category) lists all"), "{}", review.message());
    let shown = store.tasktally(["get-batch", &batch, "--view", "review"]).success().stdout;
    let first = shown.lines().next().unwrap();
    assert!(first.contains("--category CATEGORY") && !first.contains("--decision approve"), "{first}");
}

#[test]
fn a_decision_says_which_chunks_are_open_and_which_workers_to_start() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = batch_in_review(&mut server, 4, 3, json!({"max_parallel": 2}));
    let redo = json!({"id": batch, "chunk": "1-2", "decision": "redo", "note": "again"});
    let reply = server.call("review_batch", redo).ok();
    assert!(
        reply.message().contains(
            "3 chunks are open now (1-2, 4), no worker is at work: start 2 workers with worker_prompt"
        ),
        "{}",
        reply.message()
    );
    assert!(
        reply.text("/worker_prompt").contains(&format!("claim_task(batch=\"{batch}\"")),
        "{}",
        reply.value
    );
    let claim = claim_chunk(&mut server, &batch);
    let rejected = json!({"id": batch, "chunk": 3, "decision": "reject", "note": "no"});
    let reply = server.call("review_batch", rejected).ok();
    assert!(reply.message().contains("2 chunks are open now"), "{}", reply.message());
    assert!(reply.message().contains("1 worker is at work: start up to 1 more with"), "{}", reply.message());
    work_chunk(&mut server, &claim, |_| "k");
    for _ in 0..2 {
        let claim = claim_chunk(&mut server, &batch);
        work_chunk(&mut server, &claim, |_| "k");
    }
    let reply = server.call("review_batch", json!({"id": batch, "decision": "approve"})).ok();
    assert!(reply.get("worker_prompt").is_none() && !reply.message().contains("open now"), "{}", reply.value);
}

#[test]
fn a_review_lists_all_items_of_a_category_page_by_page() {
    let store = Store::new();
    let mut server = store.serve();
    let keys: Vec<String> = (0..320).map(|number| format!("i{number:03}")).collect();
    let request =
        json!({"title": "B", "instructions": "x", "items": keys, "max_chunk": 160, "checkpoint": "chunk"});
    let batch = create_batch(&mut server, request);
    for _ in 0..2 {
        let mut claim = claim_chunk(&mut server, &batch);
        let mut items = claim["items"].as_array().unwrap().clone();
        let mut after = claim.get("next_items_after").cloned();
        while let Some(next) = after {
            let page = server.call("get_task", json!({"id": claim["task"]["id"], "items_after": next})).ok();
            items.extend(page["items"].as_array().unwrap().clone());
            after = page.get("next_items_after").cloned();
        }
        claim["items"] = json!(items);
        work_chunk(&mut server, &claim, |key| if key.ends_with('7') { "odd one" } else { "plain" });
    }
    let plain = server.call("get_batch", json!({"id": batch, "view": "review"})).ok();
    assert_eq!(plain["reviews"][0]["categories"], json!({"plain": 144, "odd one": 16}));
    assert!(
        plain.message().contains(&format!("get_batch(id=\"{batch}\", view=\"review\", category=\"plain\")")),
        "{}",
        plain.message()
    );
    for (category, chunk, expected) in
        [("plain", None, 288), ("odd one", None, 32), ("odd one", Some(json!("2")), 16)]
    {
        let mut found = Vec::new();
        let mut request = json!({"id": batch, "view": "review", "category": category, "chunk": chunk});
        loop {
            let page = server.call("get_batch", request.clone()).ok();
            assert!(page.value.to_string().len() < 64_000);
            assert!(
                page.message().contains(&format!("of {expected} items of category")),
                "{}",
                page.message()
            );
            for review in page["reviews"].as_array().unwrap() {
                for sample in review["samples"].as_array().unwrap() {
                    assert_eq!(sample["category"], category);
                    found.push(sample["item"].as_str().unwrap().to_owned());
                }
            }
            let Some(next) = page.get("next_items_after") else { break };
            request["items_after"] = next.clone();
            request["chunks_after"] = page["next_chunks_after"].clone();
        }
        let mut all = found.clone();
        all.sort();
        all.dedup();
        assert_eq!((found.len(), all.len()), (expected, expected), "{category}");
        assert!(found.iter().all(|key| key.ends_with('7') == (category == "odd one")));
    }
    // Of one chunk only, also with samples.
    let second = server.call("get_batch", json!({"id": batch, "view": "review", "chunk": "2"})).ok();
    assert_eq!(second["reviews"].as_array().unwrap().len(), 1, "{}", second.value);
    let none = server.call("get_batch", json!({"id": batch, "view": "review", "category": "nosuch"})).ok();
    assert!(none.message().starts_with("0 of 0 items of category 'nosuch'"), "{}", none.message());
    for wrong in [json!({"outcome": "done"}), json!({"items_after": 3})] {
        let mut request = json!({"id": batch, "view": "review"});
        request.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(server.call("get_batch", request).refusal(), "invalid_argument");
    }
}

#[test]
fn the_newest_receipts_say_that_there_are_earlier_ones() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = batch_in_review(&mut server, 30, 30, json!({"checkpoint": "none"}));
    let newest = server.call("get_batch", json!({"id": batch, "view": "receipts"})).ok();
    assert_eq!(newest["receipts"].as_array().unwrap().len(), 20);
    assert!(newest.message().contains("there are earlier ones: get_batch("), "{}", newest.message());
    let (mut since, mut count) = (json!("0"), 0);
    loop {
        let page = server
            .call("get_batch", json!({"id": batch, "view": "receipts", "since": since, "outcome": "done"}));
        let page = page.ok();
        count += page["receipts"].as_array().unwrap().len();
        since = page["since"].clone();
        if !page.message().contains("more follow") {
            break;
        }
    }
    assert_eq!(count, 30, "since=0 lists all of them");
    // A chunk by its number, and no hint where nothing is left out.
    let one = server.call("get_batch", json!({"id": batch, "view": "receipts", "chunk": "7"})).ok();
    assert_eq!(one["receipts"][0]["item"], "i7", "{}", one.value);
    assert!(!one.message().contains("earlier"), "{}", one.message());
    let items = server.call("get_batch", json!({"id": batch, "view": "items", "chunk": "7"})).ok();
    assert_eq!(items["items"].as_array().expect("items").len(), 1, "{}", items.value);
}

#[test]
fn the_body_names_the_item_of_each_receipt() {
    let store = Store::new();
    let mut server = store.serve();
    let batch =
        create_batch(&mut server, json!({"title": "B", "instructions": "x", "items": ["a", "b", "c"]}));
    let claim = claim_chunk(&mut server, &batch);
    let (chunk, token) = (&claim["task"]["id"], &claim["claim"]["token"]);
    for (item, outcome, body) in
        [("a", "done", "- moved"), ("b", "failed", "- b: no folder"), ("c", "skipped", "")]
    {
        let receipt = json!({"id": chunk, "claim": token, "item": item, "outcome": outcome, "body": body});
        server.call("update_task", receipt).ok();
    }
    let body = server.read_task(chunk.as_str().unwrap()).text("/task/body");
    for (line, text) in [
        ("item a: done]", "> - moved"),
        ("item b: failed]", "> - b: no folder"),
        ("item c: skipped]", "> - c: skipped"),
    ] {
        assert!(body.contains(&format!("{line}\n{text}")), "{body}");
    }
}
