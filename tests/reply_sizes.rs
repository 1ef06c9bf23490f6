//! Replies are bounded in bytes, whatever agents and workers write: a page has under 64 kB, a poll under 1 kB, an overview
//! under 1.5 kB. What a reply leaves out is named, and can be read in pages.

mod support;

use serde_json::{Value, json};

use support::reply::Reply;
use support::server::Server;
use support::store::Store;

/// The most bytes of a page.
const PAGE: usize = 64_000;

#[track_caller]
fn page(reply: Reply) -> Reply {
    let bytes = reply.value.to_string().len();
    assert!(
        bytes < PAGE,
        "{bytes} bytes: {}...",
        reply.value.to_string().chars().take(300).collect::<String>()
    );
    reply.ok()
}

/// A name of 1,000 bytes, the most that is allowed, which has twice as many as JSON.
fn long_name(number: usize) -> String {
    let mut name = format!("{number} ");
    name += &"\"".repeat(1_000 - name.len());
    name
}

/// Sizes just below, at and above those at which something is left out, and far above.
const SIZES: [usize; 10] = [7_990, 8_000, 8_010, 12_000, 17_990, 18_010, 23_900, 24_100, 63_990, 65_536];

#[test]
fn an_item_is_whole_or_says_what_it_leaves_out_and_all_of_it_can_be_read() {
    let store = Store::new();
    let mut server = store.serve();
    for unit in ["x", "ü", "🐝", "\n", "\"", "日本 "] {
        for size in SIZES.into_iter().chain([130_000]) {
            let text = unit.repeat(size / unit.len());
            let items = json!([{"key": "small"}, {"key": "k \"1\"", "from": "ann", "text": text, "n": 5}, {"key": "z"}]);
            let batch = json!({"title": "B", "instructions": "x", "items": items});
            let id = server.call("create_batch", batch).ok().text("/batch/id");
            let claimed = page(server.call("claim_task", json!({"batch": id, "worker": "w"})));
            let chunk = claimed.text("/task/id");
            let mut worker = store.serve_with(&["--toolset", "worker"]);
            let mut shown = claimed["items"].as_array().unwrap().clone();
            let mut after = claimed["next_items_after"].clone();
            while !after.is_null() {
                let next = page(worker.call("get_task", json!({"id": chunk, "items_after": after})));
                shown.extend(next["items"].as_array().unwrap().clone());
                after = next["next_items_after"].clone();
            }
            let keys: Vec<&Value> = shown.iter().map(|item| &item["key"]).collect();
            assert_eq!(keys, ["small", "k \"1\"", "z"], "{unit:?} {size}");
            let item = &shown[1];
            assert_eq!((&item["fields"]["from"], &item["fields"]["n"]), (&json!("ann"), &json!(5)));
            if item.get("left_out").is_none() {
                assert_eq!(item["fields"]["text"], text, "{unit:?} {size}");
                continue;
            }
            assert_eq!(item["left_out"], json!(["fields.text"]), "{unit:?} {size}");
            assert!(item["fields"].get("text").is_none());
            assert_eq!(item["whole"], format!("get_task(id=\"{chunk}\", part=\"item k \\\"1\\\"\")"));
            let whole: Value = serde_json::from_str(&worker.part(&chunk, "item k \"1\"")).unwrap();
            assert_eq!(whole["fields"]["text"], text, "{unit:?} {size}");
            assert_eq!(whole["key"], "k \"1\"");
        }
    }
}

#[test]
fn texts_of_every_size_are_whole_or_can_be_read_in_pages() {
    let store = Store::new();
    let mut server = store.serve();
    for unit in ["x", "ü", "🐝", "a\n", "\"", "a\u{2028}"] {
        for size in SIZES {
            let text = unit.repeat(size / unit.len());
            let made = server.call("create_task", json!({"task_title": "T", "body": text})).ok();
            let id = made.text("/task/id");
            for _ in 0..3 {
                server.call("update_task", json!({"id": id, "body": text})).ok();
            }
            let task = page(server.read_task(&id));
            let (body, initial) = (task.text("/task/body"), &task["task"]["initial_text"]);
            assert!(
                initial == &json!(text) || task["task"]["left_out"] == json!(["initial_text"]),
                "{unit:?} {size}"
            );
            assert_eq!(initial.is_null(), body.starts_with("[initial text of "), "{body:.80}");
            let first = &task["task"]["receipts"][0];
            let left_out = first["left_out"].as_str();
            assert_eq!(left_out.is_some(), first["text"].is_null(), "{first}");
            if let Some(why) = left_out {
                assert!(why.contains(&format!("get_task(id=\"{id}\", part=\"receipt 1\")")), "{why}");
                assert!(body.contains(why), "{body:.300}");
            }
            assert_eq!(
                server.texts(&id),
                [&text, &text, &text, &text].map(String::as_str),
                "{unit:?} {size}"
            );
        }
    }
}

#[test]
fn a_part_says_whose_a_receipt_is_and_refuses_what_is_not_there() {
    let store = Store::new();
    let mut server = store.serve();
    let id = server.create_task("T");
    server.call("update_task", json!({"id": id, "body": "ü".repeat(30_000)})).ok();
    let first = page(server.call("get_task", json!({"id": id, "part": "receipt 1"})));
    assert_eq!(
        (first.text("/part/author"), first.text("/part/author_kind")),
        ("tasktally-tests".to_owned(), "agent".to_owned())
    );
    let next = first.count("/part/next_offset");
    assert!(first.message().ends_with(&format!("; the next page: offset={next}")), "{}", first.message());
    let call = |server: &mut Server, part: &str, offset: u64| {
        server.call("get_task", json!({"id": id, "part": part, "offset": offset}))
    };
    for (part, offset, code, words) in [
        ("receipt 2", 0, "not_found", "has no receipt 2"),
        ("item a", 0, "not_found", "has no item 'a'"),
        ("title", 0, "invalid_argument", "initial_text, instructions, receipt N, item KEY"),
        ("receipt 1", 1, "invalid_argument", "not the start of a page"),
        ("receipt 1", 60_001, "invalid_argument", "60000 bytes"),
    ] {
        let refused = call(&mut server, part, offset);
        assert_eq!(refused.refusal(), code, "{part}: {}", refused.value);
        assert!(refused.message().contains(words), "{part}: {}", refused.message());
    }
    assert!(call(&mut server, "receipt 1", 60_000).ok()["part"].get("next_offset").is_none());
    let refused = server.call("get_task", json!({"id": id, "offset": 5}));
    assert_eq!(refused.refusal(), "invalid_argument");
}

#[test]
fn a_claim_with_long_instructions_and_long_fields_says_how_to_read_them() {
    let store = Store::new();
    let mut server = store.serve();
    let long = format!("{}\nEND", "Sort it. ".repeat(60_000));
    let tags: Vec<String> = (0..50).map(long_name).collect();
    let task = json!({"task_title": long_name(1), "body": long, "tags": tags, "project": long_name(2)});
    let id = server.call("create_task", task).ok().text("/task/id");
    let claimed = page(server.call("claim_task", json!({"id": id, "worker": long_name(3)})));
    assert_eq!(claimed["task"]["left_out"], json!(["tags"]));
    let instructions = claimed.text("/instructions");
    assert!(
        instructions.contains(&format!("get_task(id=\"{id}\", part=\"instructions\")")),
        "{instructions}"
    );
    assert!(instructions.contains("Then complete_task("), "{instructions}");
    let mut worker = store.serve_with(&["--toolset", "worker"]);
    assert_eq!(worker.part(&id, "instructions"), long);
    let read = page(server.read_task(&id));
    assert_eq!(read["task"]["left_out"], json!(["tags", "initial_text"]));
    assert!(read.message().contains(&format!("get_task(id=\"{id}\", part=\"tags\")")), "{}", read.message());
    assert_eq!(serde_json::from_str::<Vec<String>>(&server.part(&id, "tags")).unwrap(), tags);
    let uri = format!("tasktally://tasks/{id}");
    let resource = server.request("resources/read", json!({"uri": uri}));
    assert!(resource["result"]["contents"][0]["text"].as_str().unwrap().len() < PAGE);

    let batch = json!({"title": "B", "instructions": long, "items": ["a"], "steps": [
        {"name": "one", "instructions": long}]});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    let claimed = page(server.call("claim_task", json!({"batch": batch, "worker": "w"})));
    assert!(claimed.text("/instructions").contains("part=\"instructions\""));
    let whole = worker.part(&claimed.text("/task/id"), "instructions");
    assert!(
        whole.starts_with(&long) && whole.contains("\n\nStep 'one' (1 of 1): Sort it."),
        "{} bytes",
        whole.len()
    );
}

/// A batch in which every name and text is as long as it may be, with all items settled, and its chunk in review.
fn hostile_batch(server: &mut Server, items: usize) -> (String, String) {
    let keys: Vec<String> = (0..items).map(|number| long_name(number)[..200].to_owned()).collect();
    let batch = json!({"title": long_name(1), "instructions": "x", "items": keys, "max_chunk": 1_000,
        "checkpoint": "chunk", "project": long_name(2), "steps": [{"name": long_name(3), "instructions": "Choose."}]});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let claimed = page(server.call("claim_task", json!({"batch": id, "worker": long_name(4)})));
    let (chunk, token) = (claimed.text("/task/id"), claimed.text("/claim/token"));
    for (number, key) in keys.iter().enumerate() {
        let receipt = json!({"id": chunk, "claim": token, "item": key, "category": long_name(number),
            "outcome": if number % 2 == 0 { "done" } else { "failed" }, "model": long_name(number), "cost": 0.01,
            "body": format!("{number} {}", "\"".repeat(2_000))});
        server.call("update_task", receipt).ok();
    }
    server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
    (id, chunk)
}

#[test]
fn every_view_of_a_batch_is_a_page_whatever_its_workers_wrote() {
    let store = Store::new();
    let mut server = store.serve();
    let (id, chunk) = hostile_batch(&mut server, 120);
    for view in ["progress", "review", "failures", "receipts", "items"] {
        page(server.call("get_batch", json!({"id": id, "view": view})));
    }
    page(server.read_task(&chunk));
    page(server.call("get_batch", json!({})));
    page(server.call("get_batch", json!({"all": true})));
    page(server.call("list_tasks", json!({"limit": 0})));
    page(server.call("search_tasks", json!({"query": "choose", "limit": 0})));
    page(server.call("wait_batch", json!({"id": id})));
    // All receipts and all items are there, page by page.
    let (mut since, mut receipts) = (json!("0"), 0);
    loop {
        let shown = page(server.call("get_batch", json!({"id": id, "view": "receipts", "since": since})));
        let count =
            shown["receipts"].as_array().unwrap().iter().filter(|receipt| !receipt["item"].is_null()).count();
        if shown["receipts"] == json!([]) {
            break;
        }
        receipts += count;
        since = shown["since"].clone();
    }
    assert_eq!(receipts, 120);
    let (mut after, mut items) = (json!({"id": id, "view": "items"}), 0);
    loop {
        let shown = page(server.call("get_batch", after.clone()));
        items += shown["items"].as_array().unwrap().len();
        if shown["next_items_after"].is_null() {
            break;
        }
        after["chunks_after"] = shown["next_chunks_after"].clone();
        after["items_after"] = shown["next_items_after"].clone();
    }
    assert_eq!(items, 120);
    let review = page(server.call("get_batch", json!({"id": id, "view": "review"})));
    let unsampled = review.count("/reviews/0/unsampled_categories");
    assert!(
        unsampled > 0 && review.message().contains(&format!("{unsampled} more categories")),
        "{}",
        review.message()
    );
    assert!(review["reviews"][0]["categories"].as_object().unwrap().len() <= 9);
    page(server.call("get_batch", json!({"id": id, "view": "review", "category": long_name(3)})));
}

#[test]
fn a_search_for_large_tasks_ends_by_bytes_and_says_how_many_it_found() {
    let store = Store::new();
    let mut server = store.serve();
    for number in 0..60 {
        let title = format!("mail {}", &long_name(number)[..900]);
        server.call("create_task", json!({"task_title": title, "assignee": long_name(1)})).ok();
    }
    let found = page(server.call("search_tasks", json!({"query": "mail", "limit": 0})));
    let shown = found.length("/tasks");
    assert!(
        shown < 60 && found.message().starts_with(&format!("60 found, the best {shown} are shown")),
        "{}",
        found.message()
    );
}

#[track_caller]
fn poll(reply: Reply) -> Reply {
    let bytes = reply.value.to_string().len();
    assert!(bytes < 1_000, "{bytes} bytes: {}", reply.value);
    reply.ok()
}

#[test]
fn a_poll_stays_small_if_thousands_of_chunks_change() {
    let store = Store::new();
    let mut server = store.serve();
    let items: Vec<String> = (0..4_000).map(|number| format!("k{number}")).collect();
    let batch = json!({"title": long_name(1), "instructions": "x", "items": items, "max_chunk": 1,
        "steps": [{"name": long_name(2), "instructions": "x"}], "finish": {"title": "F"}});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let since = server.call("get_batch", json!({"id": id})).ok().text("/since");
    server.call("control_batch", json!({"id": id, "action": "cancel", "reason": long_name(4)})).ok();
    let first = poll(server.call("get_batch", json!({"id": id, "since": since})));
    let shown = first.length("/chunks");
    assert!(shown >= 1, "{}", first.value);
    let more = first.text("/more_since");
    let note = format!("{} more chunks changed: get_batch(id=\"{id}\", since=\"{more}\")", 4_000 - shown);
    assert!(first.message().contains(&note), "{}", first.message());
    // The call that the first poll names goes on behind the chunks that it showed.
    let second = poll(server.call("get_batch", json!({"id": id, "since": more})));
    assert_ne!(first["chunks"][0]["id"], second["chunks"][0]["id"]);
    let note = format!("{} more chunks changed", 4_000 - shown - second.length("/chunks"));
    assert!(second.message().contains(&note), "{}", second.message());
    // A caller that does not need each chunk polls on: nothing is new.
    assert_eq!(
        poll(server.call("get_batch", json!({"id": id, "since": first["since"]}))).message(),
        "Nothing changed"
    );
}

#[test]
fn a_poll_stays_small_whatever_names_and_texts_workers_choose() {
    let store = Store::new();
    let mut server = store.serve();
    for letter in ["x", "\u{1f41d}", "\\\"", "\u{10ffff}", "\""] {
        let name = |number: usize| {
            let mut name = format!("{number} ");
            name += &letter.repeat((1_000 - name.len()) / letter.len());
            name
        };
        let items: Vec<String> = (0..90).map(|number| format!("k{number}")).collect();
        let batch = json!({"title": name(1), "instructions": "x", "items": items, "max_chunk": 1, "checkpoint": "chunk",
            "steps": [{"name": name(2), "instructions": "x"}], "finish": {"title": name(3)}, "max_failures": 8});
        let id = server.call("create_batch", batch).ok().text("/batch/id");
        let since = server.call("get_batch", json!({"id": id})).ok().text("/since");
        let check = |server: &mut Server| {
            poll(server.call("get_batch", json!({"id": id, "since": since})));
        };
        for number in 0..60 {
            let claim = server.call("claim_task", json!({"batch": id, "worker": name(number)}));
            if !claim.succeeded() {
                break;
            }
            let (chunk, token) = (claim.text("/task/id"), claim.text("/claim/token"));
            let Some(item) = claim["items"][0]["key"].as_str() else { continue };
            let (outcome, category) = (["done", "failed", "started"][number % 3], name(number));
            let receipt = json!({"id": chunk, "claim": token, "item": item, "outcome": outcome, "category": category,
                "body": "x".repeat(2_000), "model": name(number), "cost": 123.456, "tokens_in": 1_000_000});
            server.call("update_task", receipt).ok();
            match number % 5 {
                0 | 1 => drop(server.call("complete_task", json!({"id": chunk, "claim": token}))),
                2 => store.expire_claim(&chunk),
                _ => {}
            }
            if number % 7 == 0 {
                check(&mut server);
            }
        }
        check(&mut server);
        server.call("control_batch", json!({"id": id, "action": "pause", "reason": name(9)})).ok();
        check(&mut server);
        let overview = server.call("get_batch", json!({})).ok();
        let bytes = overview.value.to_string().len();
        assert!(bytes < 1_500, "{bytes} bytes: {}", overview.value);
    }
}
