//! Requests that cost the server or the disk far more than they cost the attacker.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::mount::Mount;
use crate::support::store::Store;

/// A worker whose claim has ended keeps writing: each of its receipts was kept as a late one, 64 KiB at a time.
#[test]
fn a_worker_that_lost_its_claim_cannot_fill_the_store() {
    let store = Store::new();
    let mut server = store.serve();
    let batch =
        server.call("create_batch", json!({"title": "B", "instructions": "Do.", "items": ["a", "b"]})).ok();
    let chunk = batch.text("/chunks/0/id");
    let lost = server.call("claim_task", json!({"id": chunk, "worker": "w"})).ok()["claim"]["token"].clone();
    server.call("release_task", json!({"id": chunk, "claim": lost})).ok();
    let text = "x".repeat(60 * 1024);
    let mut write = |number: u64| {
        let body = format!("{number} {text}");
        server.call(
            "update_task",
            json!({"id": chunk, "claim": lost, "item": "a", "outcome": "done", "body": body}),
        )
    };
    for number in 1..=100 {
        let late = write(number);
        assert_eq!(
            (late.refusal(), &late["receipt"]["late"]),
            ("claim_lost", &json!(true)),
            "{}",
            late.value
        );
    }
    for number in 101..=103 {
        let refused = write(number);
        assert_eq!((refused.refusal(), &refused["receipt"]), ("claim_lost", &Value::Null));
        assert!(refused.message().contains("The receipt was not kept"), "{}", refused.message());
        assert!(
            refused.message().contains("at most 100 are kept for each of its claims"),
            "{}",
            refused.message()
        );
    }
    let count = "SELECT count(*) FROM receipt WHERE late = 1";
    assert_eq!(store.sql().row::<u64>(count, &[]), 100);
    // The next claim has a quota of its own.
    store.clear_backoffs();
    let next = server.call("claim_task", json!({"id": chunk, "worker": "w"})).ok()["claim"]["token"].clone();
    server.call("release_task", json!({"id": chunk, "claim": next})).ok();
    let late = server.call("update_task", json!({"id": chunk, "claim": next, "body": "- it did happen"}));
    assert_eq!((late.refusal(), &late["receipt"]["late"]), ("claim_lost", &json!(true)), "{}", late.value);
}

/// One line of 16 MB has eight million values. Parsed, they took 1.8 GB and more than a minute.
#[test]
fn too_many_values_are_refused_before_they_are_parsed() {
    let store = Store::new();
    let mut server = store.serve();
    let list = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
    let parsed = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    let batch = |items: Value| json!({"title": "B", "instructions": "Do.", "items": items});
    let many = 600_000;
    for (what, tool, arguments) in [
        ("items", "create_batch", batch(parsed(list("0", many)))),
        ("ids", "complete_tasks", json!({"ids": parsed(list("\"a\"", many))})),
        ("one item", "create_batch", batch(json!([{"key": "a", "more": parsed(list("[]", 300_000))}]))),
    ] {
        let request = json!({"jsonrpc": "2.0", "id": 7_000, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}});
        let started = Instant::now();
        server.write_line(&request.to_string());
        let reply = server.answer(7_000).expect("an answer");
        let message = reply["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("more than the allowed 250000 values"), "{what}: {reply}");
        assert!(started.elapsed() < Duration::from_secs(20), "{what}: {:?}", started.elapsed());
    }
    // The same as the text of a list, which is one value of the line.
    for (tool, arguments, why) in [
        ("create_batch", batch(list("0", many).into()), "more than the allowed 250000 values"),
        (
            "create_batch",
            batch(list("\"a\"", 100_001).into()),
            "more than 100000 items in the request itself",
        ),
        ("complete_tasks", json!({"ids": list("\"a\"", many)}), "ids: "),
    ] {
        let refused = server.call(tool, arguments);
        assert_eq!(refused.refusal(), "invalid_argument");
        assert!(refused.message().contains(why), "{}", refused.message());
        assert!(refused.message().len() < 1_000);
    }
    // An unknown name was compared with each known one, in quadratic time.
    let started = Instant::now();
    let refused = server.call("create_task", json!({"title": "T", "k".repeat(2_000_000): 1}));
    assert_eq!(refused.refusal(), "invalid_argument");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    server.create_task("The server still answers");
}

/// Long names of columns and short rows: each item repeats the names, and 0.8 MB of CSV became a store of 500 MB.
#[test]
fn a_short_file_does_not_become_a_large_batch() {
    let store = Store::new().with_config("[limits]\nmax_batch_mb = 2\n");
    let names: Vec<String> = (0..250).map(|n| format!("{n}-{}", "x".repeat(1_000))).collect();
    let mut csv = format!("key,{}\n", names.join(","));
    for row in 0..2_000 {
        csv += &format!("{row}{}\n", ",".repeat(250));
    }
    store.write("wide.csv", &csv);
    let mut server = store.serve();
    let request = |path: &str| json!({"title": "B", "instructions": "Do.", "source": {"path": path}});
    let refused = server.call("create_batch", request("wide.csv"));
    assert_eq!(refused.refusal(), "too_large", "{}", refused.message());
    assert!(refused.message().contains("at most 2 MiB (limits.max_batch_mb"), "{}", refused.message());
    // A person without a configuration has a limit of 2 GiB, and the growth of each file is limited.
    let person = Store::new();
    person.write("wide.csv", &csv);
    let refused =
        person.tasktally(["create-batch", "B", "--instructions", "Do.", "--source", "wide.csv"]).code(2);
    let text = refused.output();
    assert!(text.contains("each item repeats the names of the 251 columns"), "{text}");
    assert!(
        text.contains(
            "At most 32 bytes of items per byte of the file (limits.max_csv_growth) plus 64 MiB are allowed"
        ),
        "{text}"
    );
    let count = "SELECT count(*) FROM item";
    assert_eq!(store.sql().row::<u64>(count, &[]), 0);
}

/// Large writes to an almost full disk failed only once the disk was full, for every process that uses it.
#[test]
fn a_large_write_to_an_almost_full_disk_is_refused_before_it_begins() {
    let store = Store::new_sqlite();
    let Some(_disk) = Mount::tmpfs(store.folder().join("disk"), "60m") else { return };
    let small = store.at("disk/tasktally.db");
    let rows: String =
        (0..40_000).map(|n| format!("{{\"key\":\"{n}\",\"text\":\"{}\"}}\n", "x".repeat(500))).collect();
    small.write("rows.jsonl", rows);
    let refused =
        small.tasktally(["create-batch", "B", "--instructions", "Do.", "--source", "rows.jsonl"]).code(2);
    let text = refused.output();
    assert!(text.contains("a batch of these items needs about"), "{text}");
    assert!(text.contains("MiB are free; nothing was written"), "{text}");
    // The same items fit on another disk. Neither its backup nor its export fits on this one.
    let large = Store::new_sqlite();
    let source = small.folder().join("rows.jsonl").display().to_string();
    large.tasktally(["create-batch", "B", "--instructions", "Do.", "--source", &source]).success();
    let target = small.folder().join("disk/copy.db").display().to_string();
    let refused = large.tasktally(["backup", &target]).code(2);
    assert!(refused.output().contains("the backup needs about"), "{}", refused.output());
    let export = small.folder().join("all.jsonl").display().to_string();
    large.tasktally(["export", &export]).success();
    let other = small.folder().join("disk/other.db").display().to_string();
    let refused = large.tasktally(["--db", &other, "import", &export]).code(2);
    assert!(refused.output().contains("the import of"), "{}", refused.output());
    let left: Vec<_> =
        std::fs::read_dir(small.folder().join("disk")).unwrap().flatten().map(|f| f.file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().starts_with("tasktally.db")), "{left:?}");
}

/// Batch after batch, each below the limit of a request, filled the store.
#[test]
fn the_batches_of_a_project_cannot_fill_the_store() {
    let store = Store::new().with_config("[limits]\nmax_project_mb = 2\n");
    let mut server = store.serve();
    let large = "x".repeat(240_000);
    let items = |key: &str| {
        let item = |number: u64| json!({"key": format!("{key}{number}"), "text": large});
        json!([item(1), item(2), item(3)])
    };
    let batch = |project: Option<&str>, key: &str| json!({"title": "B", "instructions": "Do.", "items": items(key), "project": project});
    let mut last = String::new();
    for key in ["a", "b"] {
        last = server.call("create_batch", batch(Some("mail"), key)).ok().text("/batch/id");
    }
    server.call("create_batch", batch(None, "a")).ok();
    let mut refuse = |tool: &str, arguments: Value| {
        let refused = server.call(tool, arguments);
        assert_eq!(refused.refusal(), "too_large", "{}", refused.message());
        for part in ["project 'mail'", "bytes of items; at most 2 MiB are allowed (limits.max_project_mb"] {
            assert!(refused.message().contains(part), "{}", refused.message());
        }
    };
    refuse("create_batch", batch(Some("mail"), "c"));
    refuse("add_items", json!({"id": last, "items": items("d")}));
    // A large batch is inserted in slices.
    let small: Vec<String> = (0..12_000).map(|number| format!("{number:0100}")).collect();
    let many = json!({"title": "B", "instructions": "Do.", "items": small, "project": "mail"});
    refuse("create_batch", many);
    refuse("add_items", json!({"id": last, "items": small}));
    // Known items add nothing, and other projects have quotas of their own.
    server.call("add_items", json!({"id": last, "items": ["b1", "small"]})).ok();
    server.call("create_batch", batch(Some("files"), "a")).ok();
    let stored: u64 = store.sql().row("SELECT count(*) FROM item", &[]);
    assert_eq!(stored, 4 * 3 + 1);
    store.tasktally(["verify"]).success();
}

/// The operator decides how many late receipts are kept, and how long the column names of a file may be.
#[test]
fn the_quotas_are_settings() {
    let store = Store::new().with_config("[limits]\nmax_late_receipts = 2\nmax_csv_growth = 1000\n");
    let mut server = store.serve();
    let id = server.create_task("T");
    let token = server.call("claim_task", json!({"id": id})).ok()["claim"]["token"].clone();
    server.call("release_task", json!({"id": id, "claim": token})).ok();
    let mut write = |number: u64| {
        server.call("update_task", json!({"id": id, "claim": token, "body": number.to_string()}))
    };
    for number in 1..=2 {
        assert_eq!(write(number)["receipt"]["late"], true);
    }
    let refused = write(3);
    assert!(
        refused.message().contains("at most 2 are kept for each of its claims (limits.max_late_receipts"),
        "{}",
        refused.message()
    );
    let names: Vec<String> = (0..250).map(|n| format!("{n}-{}", "x".repeat(1_000))).collect();
    let mut csv = format!("key,{}\n", names.join(","));
    for row in 0..300 {
        csv += &format!("{row}{}\n", ",".repeat(250));
    }
    store.write("wide.csv", &csv);
    let request = json!({"title": "B", "instructions": "Do.", "source": {"path": "wide.csv"}});
    let batch = server.call("create_batch", request).ok();
    assert_eq!(batch["batch"]["items"], 300);
}

/// A chunk's worker wrote notes of 64 KiB, as many as it liked: 45 MB in six seconds.
#[test]
fn a_worker_with_a_claim_cannot_fill_the_store_with_notes() {
    let store = Store::new().with_config("[limits]\nmax_notes = 5\n");
    let mut server = store.serve();
    let batch = json!({"title": "B", "instructions": "Do.", "items": ["a", "b"]});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    let report = |item: &str, text: &str| json!({"id": chunk, "claim": token, "item": item, "outcome": "done", "body": text});
    server.call("update_task", report("a", "- done")).ok();
    let mut kept = 0;
    let refused = loop {
        // Notes without an item, and further reports on an item that is settled.
        let body = format!("- note {kept}");
        let note = match kept % 2 {
            0 => json!({"id": chunk, "claim": token, "body": body}),
            _ => report("a", &body),
        };
        let reply = server.call("update_task", note);
        if reply.is_error {
            break reply;
        }
        kept += 1;
        assert!(kept < 50, "no limit");
    };
    assert_eq!(refused.refusal(), "too_large");
    assert!(refused.message().contains("at most 5 notes are kept per claim"), "{}", refused.message());
    assert!(refused.message().contains("limits.max_notes"), "{}", refused.message());
    // Five notes, and four receipts for each of two items, of which one was the report.
    assert_eq!(kept, 5 + 2 * 4 - 1);
    // The work goes on: the open item is settled and the chunk completed.
    server.call("update_task", report("b", "- done")).ok();
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    // A chunk's worker cannot use the batch's task instead; its supervisor still can.
    let mut worker = store.serve_with(&["--toolset", "worker"]);
    let mut notes = 0;
    while !worker.call("update_task", json!({"id": batch, "body": format!("- note {notes}")})).is_error {
        notes += 1;
        assert!(notes < 50, "no limit");
    }
    server.call("update_task", json!({"id": batch, "body": "- of the supervisor"})).ok();
}
