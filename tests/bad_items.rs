//! Bad items: a batch is created with all items or not at all, and the error names the place of the bad item.

mod support;

use serde_json::{Value, json};

use support::store::Store;

/// Asserts that a batch is refused with one of these codes, that the message contains these words, and that no task
/// is created.
#[track_caller]
fn check(store: &Store, mut batch: Value, codes: &[&str], names: &[&str]) {
    batch["title"] = json!("Mail");
    batch["instructions"] = json!("Sort it.");
    let mut server = store.serve();
    let reply = server.call("create_batch", batch.clone());
    assert!(reply.is_error && !reply.succeeded(), "{batch}: taken: {}", reply.value);
    assert!(codes.contains(&reply.code()), "{batch}: {}", reply.value);
    for name in names {
        assert!(reply.message().contains(name), "{batch}: no {name:?} in {:?}", reply.message());
    }
    let left = server.call("list_tasks", json!({"limit": 0})).ok();
    assert_eq!(left.count("/total"), 0, "{batch}: {}", left.value);
}

const INVALID: &[&str] = &["invalid_argument"];

#[test]
fn a_bad_line_is_reported_with_its_number_and_reason() {
    for (line, reason) in [
        (r#"{"key": "c""#, ""),
        ("42", "object"),
        (r#"["c"]"#, "object"),
        (r#"{"name": "c"}"#, "key"),
        (r#"{"key": null}"#, "key"),
        (r#"{"key": ""}"#, "key"),
        (r#"{"key": {"a": 1}}"#, "key"),
        ("{\"key\": \"a\\u0000b\"}", "key"),
    ] {
        let store = Store::new();
        store.write("items.jsonl", format!("{{\"key\": \"a\"}}\n{{\"key\": \"b\"}}\n{line}\n"));
        check(&store, json!({"source": {"path": "items.jsonl"}}), INVALID, &["line 3", reason]);
    }
}

#[test]
fn a_line_that_is_not_utf8_or_too_deep_is_reported_with_its_number() {
    let store = Store::new();
    store.write("items.jsonl", b"{\"key\": \"a\"}\n{\"key\": \"\xff\"}\n");
    check(&store, json!({"source": {"path": "items.jsonl"}}), INVALID, &["line 2"]);
    let deep = format!("{{\"key\": \"a\"}}\n{{\"key\": {}1{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
    store.write("items.jsonl", deep);
    check(&store, json!({"source": {"path": "items.jsonl"}}), INVALID, &["line 2"]);
}

#[test]
fn a_bad_row_of_a_table_is_reported_with_its_number() {
    let store = Store::new();
    store.write("items.csv", "key,from\na,x\nb\n");
    check(&store, json!({"source": {"path": "items.csv"}}), INVALID, &["3"]);
    store.write("items.csv", "id,from\na,x\n");
    check(&store, json!({"source": {"path": "items.csv"}}), INVALID, &["key"]);
}

#[test]
fn a_duplicate_key_is_named() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"twin\"}\n{\"key\": \"twin\"}\n");
    check(
        &store,
        json!({"source": {"path": "items.jsonl"}}),
        &["invalid_argument", "conflict"],
        &["twin", "3"],
    );
    let items = json!([{"key": "a"}, {"key": "twin"}, {"key": "twin"}]);
    check(&store, json!({"items": items}), &["invalid_argument", "conflict"], &["twin"]);
}

#[test]
fn a_batch_without_items_or_an_item_without_a_key_is_refused() {
    let store = Store::new();
    check(&store, json!({}), INVALID, &["items"]);
    check(&store, json!({"items": []}), INVALID, &["items"]);
    check(&store, json!({"items": [{"name": "a"}]}), INVALID, &["key"]);
    check(&store, json!({"items": [{"key": "a"}, true]}), INVALID, &["items"]);
    check(&store, json!({"items": [{"key": "a"}], "key": "nothing"}), INVALID, &["nothing"]);
    store.write("empty.jsonl", "");
    check(&store, json!({"source": {"path": "empty.jsonl"}}), INVALID, &["empty.jsonl"]);
}

#[test]
fn an_impossible_split_is_refused_with_the_field() {
    let store = Store::new();
    let items = json!([{"key": "a", "date": "2025-11-02"}, {"key": "b", "date": "someday"}]);
    let by_month = json!({"by": "time", "field": "date", "period": "month"});
    check(&store, json!({"items": items, "split": by_month}), INVALID, &["date", "someday"]);
    let missing = json!({"by": "time", "field": "when", "period": "month"});
    check(&store, json!({"items": items, "split": missing}), INVALID, &["when"]);
    check(&store, json!({"items": items, "split": {"by": "mood"}}), INVALID, &["split", "mood"]);
    for bad in [json!(-1), json!(10_001), json!(9_223_372_036_854_775_808_u64)] {
        check(&store, json!({"items": items, "max_chunk": bad}), INVALID, &["max_chunk"]);
    }
}

#[test]
fn a_missing_source_is_named() {
    let store = Store::new();
    check(
        &store,
        json!({"source": {"path": "nowhere.jsonl"}}),
        &["invalid_argument", "not_found"],
        &["nowhere.jsonl"],
    );
}

#[test]
fn a_fifo_is_refused_without_waiting() {
    let store = Store::new();
    let fifo = store.folder().join("items.jsonl");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
    assert!(made.success());
    check(&store, json!({"source": {"path": "items.jsonl"}}), INVALID, &["items.jsonl", "regular file"]);
    // A command may read from a pipe, but does not wait for a process that may never open it.
    let ran = store.tasktally(["run", "--items", "items.jsonl", "--", "true"]).code(2);
    assert!(ran.output().contains("no process writes to it"), "{}", ran.output());
}

#[test]
fn a_folder_without_files_is_refused() {
    let store = Store::new();
    std::fs::create_dir(store.folder().join("mail")).unwrap();
    check(&store, json!({"source": {"path": "mail"}}), INVALID, &["mail"]);
}

#[test]
fn a_path_that_leaves_the_allowed_roots_is_refused() {
    let outside = Store::new();
    let secret = outside.write("secret.jsonl", "{\"key\": \"a\"}\n");
    let store = Store::new();
    std::os::unix::fs::symlink(&secret, store.folder().join("link.jsonl")).unwrap();
    std::os::unix::fs::symlink(outside.folder(), store.folder().join("door")).unwrap();
    let name = outside.folder().file_name().unwrap().to_str().unwrap();
    for path in [
        "link.jsonl",
        "door/secret.jsonl",
        secret.to_str().unwrap(),
        &format!("../{name}/secret.jsonl"),
        "/dev/zero",
    ] {
        check(&store, json!({"source": {"path": path}}), &["invalid_argument", "not_found"], &[path]);
    }
}

#[test]
fn a_run_of_bad_items_ends_with_code_2_and_the_reason() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\nnot json\n");
    let ran = store.tasktally(["run", "--items", "items.jsonl", "--", "true"]).code(2);
    assert!(ran.stderr.contains("line 2"), "{}", ran.stderr);
    let ran = store.tasktally(["run", "--items", "missing.jsonl", "--", "true"]).code(2);
    assert!(ran.stderr.contains("missing.jsonl"), "{}", ran.stderr);
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"a\"}\n");
    let ran = store.tasktally(["run", "--items", "items.jsonl", "--", "true"]).code(2);
    assert!(ran.stderr.contains('a'), "{}", ran.stderr);
    let left = store.tasktally(["list-tasks", "--limit", "0", "--json"]).finish().json();
    assert_eq!(left["total"], 0, "{left}");
}

#[test]
fn an_unknown_worker_profile_is_refused() {
    let store = Store::new();
    check(&store, json!({"items": [{"key": "a"}], "worker": "claude"}), INVALID, &["worker"]);
}

#[test]
fn the_first_twenty_bad_items_are_listed_and_all_are_counted() {
    let store = Store::new();
    let line = |n: usize| {
        if n.is_multiple_of(2) { format!("{{\"key\": \"k{n}\"}}\n") } else { format!("bad {n}\n") }
    };
    store.write("items.jsonl", (0..60).map(line).collect::<String>());
    let source = json!({"source": {"path": "items.jsonl"}});
    check(
        &store,
        source.clone(),
        INVALID,
        &["30 items are bad", "line 2: ", "line 40: ", "and 10 more", "on_bad_item"],
    );
    let mut server = store.serve();
    let mut batch = source;
    batch["title"] = json!("Mail");
    batch["instructions"] = json!("Sort it.");
    let refused = server.call("create_batch", batch.clone());
    assert!(!refused.message().contains("line 42"), "{}", refused.message());
    batch["on_bad_item"] = json!("skip");
    let made = server.call("create_batch", batch).ok();
    assert_eq!(made.count("/batch/items"), 30);
    assert_eq!(made.count("/bad_items/count"), 30);
    let listed = made["bad_items"]["listed"].as_array().unwrap();
    assert_eq!(listed.len(), 20);
    assert!(listed[0].as_str().unwrap().starts_with("line 2: 'bad 1' is not JSON"), "{}", listed[0]);
    assert!(made.message().contains("30 bad items were left out"), "{}", made.message());
}

#[test]
fn skipped_items_are_listed_with_their_reasons() {
    let store = Store::new();
    let mut server = store.serve();
    let items = json!([
        {"key": "a", "date": "2025-11-02"}, {"key": "a", "date": "2025-10-02"}, {"key": "b", "date": "someday"},
        {"name": "c"}, 7.5, true
    ]);
    let mut batch =
        json!({"title": "Mail", "instructions": "Sort it.", "items": items, "split": "month:date"});
    for dry_run in [true, false] {
        batch["dry_run"] = json!(dry_run);
        batch["on_bad_item"] = json!("skip");
        let made = server.call("create_batch", batch.clone()).ok();
        assert_eq!(made["chunks"][0]["title"], "Nov 2025, chunk 1 of 1", "a duplicate item created a chunk");
        assert_eq!((made.count("/batch/items"), made.count("/batch/chunks")), (1, 1));
        let listed = made["bad_items"]["listed"].as_array().unwrap();
        for (line, start) in listed.iter().zip([
            "item 2: key 'a' is already used by item 1",
            "item 3: field 'date': 'someday'",
            "item 4: no field \"key\"",
            "item 5: the item has no field 'date'",
            "item 6: true/false",
        ]) {
            assert!(line.as_str().unwrap().starts_with(start), "{line}");
        }
        assert_eq!((made.count("/bad_items/count"), listed.len()), (5, 5));
    }
    batch["items"] = json!([{"key": "a", "date": "someday"}]);
    let refused = server.call("create_batch", batch);
    assert_eq!(refused.refusal(), "invalid_argument");
    assert!(refused.message().contains("someday"), "{}", refused.message());
}

#[test]
fn a_source_that_cannot_be_read_to_its_end_is_refused_even_with_skip() {
    let store = Store::new();
    store.write("items.csv", "key\na\n\"b\n".to_owned() + &"x\n".repeat(1 << 20));
    let batch = json!({"source": {"path": "items.csv"}, "on_bad_item": "skip"});
    check(&store, batch, INVALID, &["line 3", "not read"]);
    check(&store, json!({"items": ["a"], "on_bad_item": "ignore"}), INVALID, &["on_bad_item", "ignore"]);
}

#[test]
fn a_run_can_skip_bad_items_and_reports_them() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\nnot json\n{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let run = |more: &[&str]| {
        let args =
            [&["run", "--items", "items.jsonl", "--on-bad-item", "skip"], more, &["--", "true"]].concat();
        store.tasktally(args).success()
    };
    let ran = run(&[]);
    assert!(
        ran.output().contains("line 2: 'not json' is not JSON") && ran.output().contains("left out: 2"),
        "{}",
        ran.output()
    );
    assert!(run(&["--quiet"]).stdout.starts_with("Bad items left out: 2\n"));
    let ran = run(&["--json"]);
    let created: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&created["event"], &created["bad_items"]["count"]),
        (&json!("created"), &json!(2)),
        "{created}"
    );
}

/// Thirty items without a field `key`, of which `id` and no other field is unique.
fn thirty_items_without_a_key(store: &Store) {
    let line = |n: usize| json!({"id": n, "kind": "a", "date": "2025-11-02"}).to_string() + "\n";
    store.write("items.jsonl", (1..=30).map(line).collect::<String>());
}

#[test]
fn items_with_the_same_reason_are_one_line_that_proposes_a_key() {
    let store = Store::new();
    thirty_items_without_a_key(&store);
    for more in [vec![], vec!["--on-bad-item", "skip"]] {
        let args = [&["run", "--items", "items.jsonl"], &more[..], &["--", "true"]].concat();
        let ran = store.tasktally(args).code(2);
        for part in
            ["lines 1-30: no field \"key\"", "--key KEY names another", "--key id is unique in all 30 items"]
        {
            assert_eq!(ran.stderr.matches(part).count(), 1, "{part}: {}", ran.stderr);
        }
        assert!(ran.stderr.len() < 400 && !ran.stderr.contains("--source"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("leave them out"), "no item would be left: {}", ran.stderr);
    }
    let ran = store.tasktally(["run", "--items", "items.jsonl", "--", "true"]).code(2);
    assert!(ran.stderr.starts_with("tasktally: --items: 30 items are bad"), "{}", ran.stderr);
    let words = ["source: 30 items are bad", "lines 1-30: ", "key=\"id\" is unique in all 30 items"];
    check(&store, json!({"source": {"path": "items.jsonl"}}), INVALID, &words);
    // The proposal is true.
    store.tasktally(["run", "--items", "items.jsonl", "--key", "id", "--", "true"]).success();
}

#[test]
fn a_key_is_not_proposed_if_some_items_have_theirs_or_the_batch_has_one() {
    let store = Store::new();
    store.write("some.jsonl", "{\"id\": 1}\n{\"key\": \"a\", \"id\": 2}\n{\"id\": 3, \"more\": 1}\n");
    let ran = store.tasktally(["run", "--items", "some.jsonl", "--", "true"]).code(2);
    assert!(
        ran.stderr.contains("lines 1, 3: no field \"key\"") && !ran.stderr.contains("unique"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("leave them out with --on-bad-item skip"), "{}", ran.stderr);
    let made = json!({"title": "Mail", "instructions": "Sort it.", "items": ["a"]});
    let mut server = store.serve();
    let id = server.call("create_batch", made).ok().text("/batch/id");
    let added = server.call("add_items", json!({"id": id, "items": [{"id": 1}, {"id": 2}]}));
    assert!(
        added.message().contains("items 1, 2: ") && !added.message().contains("unique"),
        "{}",
        added.message()
    );
}

#[test]
fn the_columns_of_a_table_that_could_be_the_key_are_proposed() {
    let store = Store::new();
    store.write("items.csv", "id,kind\n1,a\n2,a\n");
    let ran = store.tasktally(["run", "--items", "items.csv", "--", "true"]).code(2);
    assert!(ran.stderr.contains("--key id is unique in all 2 items"), "{}", ran.stderr);
}

#[test]
fn a_misspelt_split_field_is_one_line_with_the_option_for_it() {
    let store = Store::new();
    thirty_items_without_a_key(&store);
    let run = |split: &str, more: &[&str]| {
        let args = ["run", "--items", "items.jsonl", "--key", "id", "--split", split];
        store.tasktally([&args[..], more, &["--", "true"]].concat())
    };
    let ran = run("month:dat", &[]).code(2);
    for part in [
        "lines 1-30: the item has no field 'dat'",
        "its fields are id, kind, date",
        "--split month+undated:dat puts such items",
    ] {
        assert_eq!(ran.stderr.matches(part).count(), 1, "{part}: {}", ran.stderr);
    }
    run("month+undated:dat", &[]).success();
}

#[test]
fn skipped_items_are_listed_with_options_at_a_terminal() {
    let store = Store::new();
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"a\"}\n{\"id\": 1}\n{\"id\": 2}\n");
    let ran =
        store.tasktally(["run", "--items", "items.jsonl", "--on-bad-item", "skip", "--", "true"]).success();
    let shown = ran.output();
    assert!(shown.contains("(--key KEY names another field)") && !shown.contains("key=…"), "{shown}");
    assert!(shown.contains("lines 3, 4: no field") && !shown.contains(" more"), "{shown}");
    let create =
        ["create-batch", "B", "--instructions", "x", "--source", "items.jsonl", "--on-bad-item", "skip"];
    let made = store.tasktally(create).success();
    assert!(made.stdout.contains("(--key KEY names another field)"), "{}", made.stdout);
}
