//! A reply never misreports: a field is whole, or left out and named; a page ends by bytes; a plan is complete.

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

fn bytes(value: &Value) -> usize {
    value.to_string().len()
}

#[test]
fn the_reply_to_a_write_shows_a_field_whole_or_says_that_it_leaves_it_out() {
    let store = Store::new();
    let mut server = store.serve();
    let ids: Vec<String> = (0..5).map(|n| server.create_task(&format!("Before {n}"))).collect();
    let soft = server.create_task("Soft");
    let whole = json!({"task_title": "Whole", "depends_on": ids, "soft_depends_on": [soft],
        "tags": ["a", "b", "c", "d"]});
    let made = server.call("create_task", whole).ok();
    assert_eq!(made["task"]["depends_on"], json!(ids), "{}", made.value);
    assert_eq!(made["task"]["soft_depends_on"], json!([soft]), "{}", made.value);
    assert_eq!(made["task"]["tags"], json!(["a", "b", "c", "d"]), "{}", made.value);
    assert!(made["task"].get("left_out").is_none(), "{}", made.value);
    let id = made.text("/task/id");
    let changed = server.call("update_task", json!({"id": id, "effort": "2 h", "context": "at a desk"})).ok();
    assert_eq!(changed["task"]["effort"], "2 h", "{}", changed.value);
    assert_eq!(changed["task"]["context"], "at a desk", "{}", changed.value);

    let tags: Vec<String> = (0..40).map(|n| format!("tag number {n}")).collect();
    let long = server.call("update_task", json!({"id": id, "tags": tags})).ok();
    assert_eq!(long["task"]["left_out"], json!(["tags"]), "{}", long.value);
    assert!(long.message().contains(&format!("tags; get_task(id=\"{id}\") shows them")), "{}", long.value);
    assert_eq!(server.read_task(&id)["task"]["tags"], json!(tags));
}

#[test]
fn a_list_of_large_tasks_ends_by_bytes_and_its_pages_have_every_task() {
    let store = Store::new();
    let mut server = store.serve();
    let tags: Vec<String> = (0..8).map(|n| format!("{n}{}", "t".repeat(200))).collect();
    for n in 0..60 {
        server.call("create_task", json!({"task_title": format!("T{n}"), "tags": tags})).ok();
    }
    let (mut cursor, mut seen) = (Value::Null, 0);
    loop {
        let page = server.call("list_tasks", json!({"limit": 0, "cursor": cursor})).ok();
        assert!(bytes(&page.value) < 64_000, "{} bytes", bytes(&page.value));
        seen += page["tasks"].as_array().unwrap().len();
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen, 60);
    let (mut since, mut changed) = (json!("0"), 0);
    loop {
        let page = server.call("list_tasks", json!({"limit": 0, "since": since})).ok();
        assert!(bytes(&page.value) < 64_000, "{} bytes", bytes(&page.value));
        let count = page["tasks"].as_array().unwrap().len();
        changed += count;
        since = page["since"].clone();
        if count == 0 {
            break;
        }
    }
    assert_eq!(changed, 60);
}

#[test]
fn the_plan_names_steps_reviews_finish_task_and_workers() {
    let store = Store::new();
    let mut server = store.serve();
    let mut request = json!({"title": "Mail", "instructions": "Sort it.", "items": ["a", "b", "c"], "max_chunk": 1,
        "steps": [{"name": "classify", "instructions": "Choose."},
                  {"name": "move", "instructions": "Move.", "only_categories": ["archive"]}],
        "checkpoint": "chunk", "auto_approve_after": 2, "max_parallel": 2,
        "finish": {"title": "Publish", "body": "Write the report."}, "dry_run": true});
    let dry = server.call("create_batch", request.clone()).ok();
    assert!(dry["finish"].get("id").is_none(), "{}", dry.value);
    request["dry_run"] = false.into();
    let stored = server.call("create_batch", request).ok();
    for plan in [&dry, &stored] {
        assert_eq!(
            plan["steps"],
            json!([
                {"name": "classify", "asks": "after each chunk"},
                {"name": "move", "only_categories": ["archive"]},
            ]),
            "{}",
            plan.value
        );
        assert_eq!((&plan["checkpoint"], &plan["auto_approve_after"]), (&json!("chunk"), &json!(2)));
        assert_eq!((&plan["workers"], &plan["finish"]["title"]), (&json!(2), &json!("Publish")));
    }
    let (id, finish) = (stored.text("/batch/id"), stored.text("/finish/id"));
    assert_eq!(server.call("get_batch", json!({"id": id})).ok().text("/batch/finish"), finish);
    let body = server.body(&finish);
    assert_eq!(
        body,
        format!(
            "Write the report.\n\nThis task finishes batch {id}: get_batch(id=\"{id}\", view=\"items\") lists every item with its category and receipt."
        )
    );
}

fn claim(server: &mut Server, batch: &str, worker: &str) -> support::reply::Reply {
    server.call("claim_task", json!({"batch": batch, "worker": worker})).ok()
}

#[test]
fn workers_that_share_a_name_are_told_apart_while_both_work() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "x", "items": ["a", "b", "c"], "max_chunk": 1});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    let first = claim(&mut server, &id, "polecat");
    assert!(first["claim"].get("worker").is_none(), "{}", first.value);
    let second = claim(&mut server, &id, "polecat");
    assert_eq!(second.text("/claim/worker"), "polecat-2");
    let chunks = server.call("get_batch", json!({"id": id})).ok()["chunks"].clone();
    let workers: Vec<&Value> = chunks.as_array().unwrap().iter().map(|chunk| &chunk["worker"]).collect();
    assert_eq!(workers, [&json!("polecat"), &json!("polecat-2"), &Value::Null]);
    let (chunk, token) = (second.text("/task/id"), second.text("/claim/token"));
    let receipt = json!({"id": chunk, "claim": token, "item": second["items"][0]["key"], "outcome": "done", "body": "-"});
    server.call("update_task", receipt).ok();
    let receipts = server.call("get_batch", json!({"id": id, "view": "receipts"})).ok();
    assert_eq!(receipts["receipts"][0]["author"], "polecat-2", "{}", receipts.value);
    // Both are found by the name that they gave.
    let listed = server.call("list_tasks", json!({"assignee": "polecat"})).ok();
    assert_eq!(listed.count("/count"), 2);
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    assert_eq!(claim(&mut server, &id, "polecat").text("/claim/worker"), "polecat-2");
}

#[test]
fn a_receipt_names_items_that_are_left_and_those_that_were_only_started() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "x", "items": ["a", "b", "c"]});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    let claimed = claim(&mut server, &id, "w");
    let (chunk, token) = (claimed.text("/task/id"), claimed.text("/claim/token"));
    let mut report = |item: &str, outcome: &str, category: &str| {
        let receipt =
            json!({"id": chunk, "claim": token, "item": item, "outcome": outcome, "category": category});
        server.call("update_task", receipt).ok()
    };
    let started = report("a", "started", "k");
    assert_eq!((started.count("/items_left"), started.count("/items_started")), (3, 1));
    assert!(started.message().ends_with("started, not settled"), "{}", started.message());
    assert_eq!(report("b", "done", "k").count("/items_left"), 2);
    let settled = report("a", "done", &"long ".repeat(100));
    assert!(settled.get("items_started").is_none(), "{}", settled.value);
    assert!(settled.message().contains("too long for this reply"), "{}", settled.message());
    assert!(settled["receipt"].get("category").is_none() && bytes(&settled.value) < 300, "{}", settled.value);
}

#[test]
fn a_cut_receipt_says_so_and_names_the_call_that_returns_it() {
    let store = Store::new();
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "x", "items": ["a"]});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    let claimed = claim(&mut server, &id, "w");
    let (chunk, token) = (claimed.text("/task/id"), claimed.text("/claim/token"));
    let text = "second choice ".repeat(60);
    let failed = json!({"id": chunk, "claim": token, "item": "a", "outcome": "failed", "body": text});
    server.call("update_task", failed).ok();
    for (view, field) in [("receipts", "/receipts/0/text"), ("failures", "/failures/0/reason")] {
        let shown = server.call("get_batch", json!({"id": id, "view": view})).ok().text(field);
        let call = format!("[cut; get_task(id=\"{chunk}\", receipts_after=0) returns the whole text]");
        assert!(shown.ends_with(&call), "{view}: {shown}");
    }
    let whole = server.call("get_task", json!({"id": chunk, "receipts_after": 0})).ok();
    assert!(whole.text("/task/body").contains(text.trim_end()), "{}", whole.value);
}

#[test]
fn the_first_reply_about_a_batch_has_the_prompt_and_polls_do_not() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server
        .call("create_batch", json!({"title": "B", "instructions": "x", "items": ["a"]}))
        .ok()
        .text("/batch/id");
    let first = server.call("get_batch", json!({"id": id})).ok();
    assert!(first.text("/next").starts_with("start 1 worker"), "{}", first.value);
    let prompt = format!("claim_task(batch=\"{id}\", worker=YOUR_NAME)");
    assert!(first.text("/worker_prompt").contains(&prompt), "{}", first.value);
    let poll = server.call("get_batch", json!({"id": id, "since": first["since"]})).ok();
    assert!(poll.get("worker_prompt").is_none(), "{}", poll.value);
}

#[test]
fn a_batch_of_many_categories_is_followed_for_little() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<String> = (0..663).map(|n| format!("item-{n:03}")).collect();
    let request = json!({"title": "Mail", "instructions": "Sort it.", "items": items, "max_chunk": 20});
    let created = server.call("create_batch", request).ok();
    let id = created.text("/batch/id");
    // The reply names the first poll, so the supervisor never reads all chunks and the prompt a second time.
    let poll = created.text("/poll");
    let mut since =
        Value::from(poll.split("since=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap());
    let (mut total, mut polls, mut done) = (0, 0, 0);
    // Another worker is at work all the time.
    claim(&mut server, &id, "other");
    while polls < 33 {
        let claimed = claim(&mut server, &id, "w");
        let (chunk, token) = (claimed.text("/task/id"), claimed.text("/claim/token"));
        for item in claimed["items"].as_array().unwrap() {
            let category = format!("category {:02}", done % 80);
            done += 1;
            let receipt = json!({"id": chunk, "claim": token, "item": item["key"], "outcome": "done",
                "category": category});
            server.call("update_task", receipt).ok();
        }
        server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
        let poll = server.call("get_batch", json!({"id": id, "since": since})).ok();
        assert!(bytes(&poll.value) < 1_000, "{} bytes: {}", bytes(&poll.value), poll.value);
        let categories = poll["batch"]["categories"].as_object().unwrap();
        assert!(categories.len() <= 9, "{}", poll.value);
        let sum: u64 = categories.values().filter_map(Value::as_u64).sum();
        assert_eq!(sum, poll.count("/batch/processed"));
        since = poll["since"].clone();
        total += bytes(&poll.value);
        polls += 1;
    }
    println!("{polls} polls, {total} bytes");
    assert!(total < 20_000, "{total} bytes");
}

#[test]
fn the_overview_has_the_remedy_for_a_stalled_chunk_and_counts_what_it_does_not_name() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<String> = (0..6).map(|n| n.to_string()).collect();
    let request = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 1});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    let chunks: Vec<String> = (0..6).map(|_| claim(&mut server, &id, "w").text("/task/id")).collect();
    for chunk in &chunks {
        store.expire_claim(chunk);
    }
    let overview = server.call("get_batch", json!({})).ok();
    assert!(overview.text("/next").starts_with(&format!("start 6 workers for {id}")), "{}", overview.value);
    assert!(overview.text("/next").contains(&format!("claim_task(batch=\"{id}\"")), "{}", overview.value);
    assert_eq!(overview["stalled"].as_array().unwrap().len(), 4);
    assert!(overview.message().ends_with("stalled: 2 more"), "{}", overview.message());
    assert!(bytes(&overview.value) < 1_500, "{} bytes", bytes(&overview.value));
}
