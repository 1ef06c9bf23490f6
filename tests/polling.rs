//! Polling `get_batch`: the size of the replies, and the view of receipts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use support::reply::Reply;
use support::server::Server;
use support::store::Store;

fn bytes(reply: &Reply) -> usize {
    reply.value.to_string().len()
}

/// A worker that makes one call at a time.
struct Worker {
    server: Server,
    name: String,
    held: Option<(String, Value, Vec<Value>)>,
}

impl Worker {
    /// Claims a chunk, settles its next item or completes it. Returns false if there is nothing to claim.
    fn step(&mut self, batch: &str) -> bool {
        let Some((chunk, token, items)) = &mut self.held else {
            let claim = self.server.call("claim_task", json!({"batch": batch, "worker": self.name}));
            if claim.succeeded() {
                let mut items = claim["items"].as_array().unwrap().clone();
                items.reverse();
                self.held = Some((claim.text("/task/id"), claim["claim"]["token"].clone(), items));
            }
            return claim.succeeded();
        };
        let Some(item) = items.pop() else {
            self.server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
            self.held = None;
            return true;
        };
        let category = if item["kind"] == "fix" { "reply" } else { "archive" };
        let body = format!("- {}: {}", item["key"], item["subject"]);
        let receipt = json!({"id": chunk, "claim": token, "item": item["key"], "outcome": "done",
                             "category": category, "body": body});
        self.server.call("update_task", receipt).ok();
        true
    }
}

#[test]
fn a_batch_of_663_items_polled_to_its_end_costs_less_than_ten_kilobytes() {
    let store = Store::new();
    store.write("mail.jsonl", include_str!("../examples/commits.jsonl"));
    let mut supervisor = store.serve();
    let made = supervisor
        .call(
            "create_batch",
            json!({"title": "Archive mail", "instructions": "Each item is a mail.", "source": {"path": "mail.jsonl"},
                   "split": {"by": "time", "field": "date", "period": "month"}, "on_conflict": "allow",
                   "finish": {"title": "Check and push once"}}),
        )
        .ok();
    let batch = made.text("/batch/id");
    let mut workers: Vec<Worker> = (1..=8)
        .map(|number| Worker { server: store.serve(), name: format!("polecat-{number}"), held: None })
        .collect();
    // The prompt tells an agent to poll every few minutes. If an item takes 20 seconds, 15 turns of all workers are five
    // minutes. The first poll uses the call that the reply suggests.
    assert!(made.text("/poll").contains(&format!("get_batch(id=\"{batch}\", since=\"")));
    let poll = made.text("/poll");
    let since = poll.split("since=\"").nth(1).unwrap().split('"').next().unwrap();
    let (mut cost, mut polls, mut since) = (0, 0, json!(since));
    let mut poll = |cost: &mut usize| {
        let reply = supervisor.call("get_batch", json!({"id": batch, "since": since})).ok();
        since = reply["since"].clone();
        *cost += bytes(&reply);
        polls += 1;
        println!("poll {polls}: {} bytes", bytes(&reply));
        reply
    };
    let mut turn = 0;
    loop {
        let working = workers.iter_mut().filter_map(|worker| worker.step(&batch).then_some(())).count();
        turn += 1;
        if turn % 15 == 0 || working == 0 {
            let reply = poll(&mut cost);
            if reply["batch"]["status"] == "done" {
                assert_eq!(reply.count("/batch/processed"), 663);
                break;
            }
        }
        assert!(working > 0, "nothing to do, and the batch is not done");
    }
    for _ in 0..5 {
        let reply = poll(&mut cost);
        assert_eq!(reply.message(), "Nothing changed");
        assert!(bytes(&reply) < 200, "{}", reply.value);
    }
    println!("{polls} polls, {cost} bytes");
    assert!(polls > 8 && cost < 10_000, "{polls} polls, {cost} bytes");
}

#[test]
fn a_poll_returns_the_progress_and_the_chunks_whose_status_changed() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<String> = (0..260).map(|number| format!("k{number:03}")).collect();
    let batch = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 1});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let since = server.call("get_batch", json!({"id": id})).ok().text("/since");
    let mut held = Vec::new();
    for _ in 0..230 {
        let claim = server.call("claim_task", json!({"batch": id, "worker": "w"})).ok();
        held.push((
            claim.text("/task/id"),
            claim["claim"]["token"].clone(),
            claim["items"][0]["key"].clone(),
        ));
    }
    // The chunks that changed, how many items are processed, where the chunks that are not shown begin, and `since`.
    let poll = |server: &mut Server, since: &str| -> (Vec<String>, u64, Option<String>, String) {
        let reply = server.call("get_batch", json!({"id": id, "since": since})).ok();
        let moved = reply["chunks"].as_array().unwrap().iter();
        let moved = moved.map(|chunk| chunk["id"].as_str().unwrap().to_owned()).collect();
        let more = reply["more_since"].as_str().map(str::to_owned);
        (moved, reply.count("/batch/processed"), more, reply.text("/since"))
    };
    // More chunks changed than a poll names, and they change again between two polls. None is missed.
    let (first, _, mut more, since) = poll(&mut server, &since);
    assert!((2..20).contains(&first.len()), "{first:?}");
    for (chunk, token, item) in &held {
        let done = json!({"id": chunk, "claim": token, "item": item, "outcome": "done"});
        server.call("update_task", done).ok();
    }
    let mut seen = first;
    while let Some(from) = more {
        let (moved, processed, next, _) = poll(&mut server, &from);
        assert_eq!(processed, 230);
        seen.extend(moved);
        more = next;
    }
    assert_eq!(seen, held.iter().map(|(chunk, ..)| chunk.clone()).collect::<Vec<_>>());
    let (chunk, token, _) = &held[7];
    server.call("update_task", json!({"id": chunk, "claim": token, "body": "- still there"})).ok();
    server.call("complete_task", json!({"id": held[3].0, "claim": held[3].1})).ok();
    assert_eq!(poll(&mut server, &since).0, [held[3].0.clone()]);
}

#[test]
fn the_overview_of_a_project_takes_less_than_a_kilobyte_and_a_half_in_the_worst_case() {
    let store = Store::new();
    let mut server = store.serve();
    for (number, letter) in [(0, "x"), (1, "\u{1f41d}"), (2, "\\\""), (3, "\u{10ffff}"), (4, "ß"), (5, "y")]
    {
        let items: Vec<String> = (0..120).map(|item| format!("k{item}")).collect();
        let title: String = letter.repeat(200);
        let batch = json!({"title": title, "instructions": "x", "items": items, "max_chunk": 1,
                           "checkpoint": "chunk", "project": "p"});
        let id = server.call("create_batch", batch).ok().text("/batch/id");
        for _ in 0..30 {
            let claim = server.call("claim_task", json!({"batch": id, "worker": "w".repeat(100)})).ok();
            let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
            let done =
                json!({"id": chunk, "claim": token, "item": claim["items"][0]["key"], "outcome": "done"});
            server.call("update_task", done).ok();
            if number % 2 == 0 {
                server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
            }
        }
    }
    // As if the holders of all claims had written nothing for an hour.
    let quiet = "UPDATE task SET updated_at = updated_at - 3600000 WHERE status = 'in_progress'";
    store.sql().execute(quiet, &[]).unwrap();
    for project in [json!({}), json!({"project": "p"})] {
        let reply = server.call("get_batch", project).ok();
        assert!(bytes(&reply) < 1_500, "{} bytes: {}", bytes(&reply), reply.value);
        assert!(reply["next"].as_str().unwrap().contains("review"), "{}", reply.value);
        assert!(!reply["stalled"].as_array().unwrap().is_empty(), "{}", reply.value);
    }
}

/// All receipts since a change number, read page by page, and the new cursor.
fn receipts_since(server: &mut Server, batch: &str, since: &str) -> (Vec<Value>, String) {
    let (mut seen, mut since) = (Vec::new(), since.to_owned());
    loop {
        let page = server.call("get_batch", json!({"id": batch, "view": "receipts", "since": since})).ok();
        assert!(bytes(&page) < 12_000, "{} bytes", bytes(&page));
        let receipts = page["receipts"].as_array().unwrap();
        assert!(receipts.len() <= 20);
        since = page.text("/since");
        if receipts.is_empty() {
            return (seen, since);
        }
        seen.extend(receipts.iter().cloned());
    }
}

#[test]
fn receipts_of_all_chunks_are_shown_in_the_order_in_which_they_were_written() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<String> = (0..60).map(|number| format!("k{number}")).collect();
    let batch = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 20});
    let id = server.call("create_batch", batch.clone()).ok().text("/batch/id");
    // Receipts of another batch are written in between and must not be shown.
    let other = server.call("create_batch", batch).ok().text("/batch/id");
    let mut held = Vec::new();
    for batch in [&id, &id, &id, &other] {
        let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
        held.push((claim.text("/task/id"), claim["claim"]["token"].clone(), claim["items"].clone()));
    }
    let mut written = Vec::new();
    for turn in 0..20 {
        for (chunk, token, items) in &held {
            let item = &items[turn]["key"];
            let receipt = json!({"id": chunk, "claim": token, "item": item, "outcome": "done",
                                 "category": "c", "body": format!("- {item} {}", "ü".repeat(300))});
            server.call("update_task", receipt).ok();
            if chunk.starts_with(&id) {
                written.push((chunk.clone(), item.clone()));
            }
        }
    }
    let last = server.call("get_batch", json!({"id": id, "view": "receipts"})).ok();
    assert!(bytes(&last) < 12_000, "{} bytes", bytes(&last));
    let shown = |receipts: &[Value]| -> Vec<(String, Value)> {
        let of = |receipt: &Value| (receipt["chunk"].as_str().unwrap().to_owned(), receipt["item"].clone());
        receipts.iter().map(of).collect()
    };
    assert_eq!(
        shown(last["receipts"].as_array().unwrap()),
        written[40..],
        "not the newest receipts in order"
    );
    let (all, since) = receipts_since(&mut server, &id, "0");
    assert_eq!(shown(&all), written);
    assert_eq!(
        since,
        server.call("get_batch", json!({"id": id})).ok().text("/since"),
        "the views have different cursors"
    );
    let one = &all[0];
    assert_eq!((&one["number"], &one["outcome"], &one["category"]), (&json!(1), &json!("done"), &json!("c")));
    assert_eq!(one["author"], "w");
    let (start, cut) = one["text"].as_str().unwrap().split_once(" [cut; ").unwrap();
    assert_eq!(start.chars().count(), 161);
    assert!(cut.starts_with("get_task(id="), "{cut}");

    // The cursor of any reply works: the view shows a decision and a late receipt that came after it.
    let (chunk, token, items) = &held[0];
    server.call("control_batch", json!({"id": id, "action": "cancel", "reason": "enough"})).ok();
    let late = json!({"id": chunk, "claim": token, "item": items[0]["key"], "outcome": "done", "body": "- too late"});
    assert_eq!(server.call("update_task", late).refusal(), "claim_lost");
    let (new, _) = receipts_since(&mut server, &id, &since);
    let by_text: BTreeMap<&str, &Value> =
        new.iter().map(|new| (new["text"].as_str().unwrap(), new)).collect();
    assert_eq!(by_text["- too late"]["late"], true);
    let decision = by_text.iter().find(|(text, _)| text.contains("enough")).unwrap().1;
    assert!(decision.get("chunk").is_none(), "a receipt of the batch names a chunk: {decision}");
    let listed = store.tasktally(["get-batch", &id, "--view", "receipts"]).success();
    assert!(listed.stdout.contains("- too late"), "{}", listed.stdout);
}

#[test]
fn a_page_of_receipts_does_not_read_other_batches() {
    let store = Store::new_sqlite();
    let mut server = store.serve();
    server.create_task("A store");
    let sql = store.sqlite();
    for order in
        ["b.change_number > 5 ORDER BY b.change_number", "b.change_number >= 0 ORDER BY b.change_number DESC"]
    {
        let query = format!(
            "EXPLAIN QUERY PLAN SELECT r.number, t.id FROM batch_receipt b JOIN receipt r ON r.row_id = b.receipt
               JOIN task t ON t.row_id = r.task WHERE b.batch = 1 AND {order} LIMIT 20"
        );
        let mut plan = sql.prepare(&query).unwrap();
        let plan: Vec<String> = plan.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        let plan = plan.join("; ");
        assert!(plan.contains("SEARCH b USING PRIMARY KEY (batch=? AND change_number"), "{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}
