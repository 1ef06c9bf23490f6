//! `tasktally verify` and `tasktally heads` protect what no receipt contains: initial texts, instructions, rules, items,
//! decisions and the notes of reviews.

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

/// A single task; a batch with two chunks and a checkpoint, of which the first chunk waits for a review and the second one
/// is active; a chunk of a third batch with a note of a review.
fn a_store() -> Store {
    let store = Store::new();
    let mut server = store.serve();
    server.create_task("Single");
    let batch = create_batch(&mut server, &["a", "b", "c"]);
    complete_chunk(&mut server, &batch, &["a", "b"]);
    let redone = create_batch(&mut server, &["d"]);
    complete_chunk(&mut server, &redone, &["d"]);
    let redo = json!({"id": redone, "decision": "redo", "note": "Look twice.\nThen decide."});
    server.call("review_batch", redo).ok();
    server.close();
    store
}

fn create_batch(server: &mut Server, items: &[&str]) -> String {
    let batch = json!({
        "title": "B", "instructions": "Sort the mail.", "items": items, "max_chunk": 2, "checkpoint": "chunk"
    });
    server.call("create_batch", batch).ok().text("/batch/id")
}

fn complete_chunk(server: &mut Server, batch: &str, items: &[&str]) {
    let claim = server.call("claim_task", json!({"batch": batch})).ok();
    let (id, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
    for item in items {
        server.call("update_task", json!({"id": id, "claim": token, "item": item, "outcome": "done"})).ok();
    }
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
}

#[test]
fn changed_content_is_found() {
    a_store().tasktally(["verify"]).success();
    for (forged, output) in [
        (
            "UPDATE task SET initial_text = 'Delete all.' WHERE title = 'Single'",
            "its initial text was changed",
        ),
        ("UPDATE batch SET instructions = 'Delete all.'", "its instructions or its rules were changed"),
        (
            "UPDATE task SET initial_text = 'Delete all.' WHERE role = 'batch'",
            "its instructions or its rules",
        ),
        (
            "UPDATE task SET initial_text = 'Delete all.' WHERE role = 'chunk'",
            "its items or its text were changed",
        ),
        ("UPDATE batch SET checkpoint = 'none'", "its instructions or its rules were changed"),
        ("UPDATE batch SET auto_approve_after = 1", "its instructions or its rules were changed"),
        ("UPDATE batch SET max_failures = '5'", "its instructions or its rules were changed"),
        ("UPDATE batch SET in_doubt_policy = 'skip'", "its instructions or its rules were changed"),
        (
            "UPDATE batch SET steps = '[{\"name\":\"x\",\"instructions\":\"Delete all.\"}]'",
            "its instructions or its rules were changed",
        ),
        (
            "UPDATE item SET fields = '{\"key\":\"a\",\"to\":\"x\"}' WHERE key = 'a'",
            "its items or its text were changed",
        ),
        ("UPDATE item SET key = 'z' WHERE key = 'c'", "its items or its text were changed"),
        ("UPDATE task SET content_hash = NULL WHERE title = 'B'", "the hash of its content is missing"),
        ("UPDATE chunk SET items_hash = NULL WHERE number = 2", "the hash of its content is missing"),
        (
            "UPDATE task SET status = 'done' WHERE status = 'review';
             UPDATE batch SET chunks_ended = 1 WHERE task = (SELECT min(task) FROM batch)",
            "it went on past its checkpoint, and no receipt approves it",
        ),
        (
            "UPDATE chunk SET review_note = 'Delete all.\n' || review_note WHERE review_note <> ''",
            "no review wrote the line 'Delete all.' of its note",
        ),
        ("UPDATE receipt SET decision = 'approve' WHERE decision = 'redo'", "is not as it was written"),
    ] {
        let store = a_store();
        store.forge(|sql| assert!(sql.execute_all(forged).unwrap() > 0, "{forged} changed nothing"));
        let ran = store.tasktally(["verify"]).code(1);
        assert!(ran.output().contains(output), "{forged}: {}", ran.output());
    }
}

#[test]
fn content_that_was_changed_together_with_its_hash_is_found_by_exported_heads() {
    for (title, forged) in [
        (
            "Single",
            "UPDATE task SET initial_text = 'new', content_hash = (SELECT content_hash FROM task WHERE title = 'New')",
        ),
        ("Single", "UPDATE task SET initial_text = 'new', content_hash = NULL"),
    ] {
        let store = Store::new();
        let mut server = store.serve();
        server.create_task(title);
        server.close();
        let heads = store.tasktally(["heads"]).success().stdout;
        let path = store.write("heads", heads);
        let mut server = store.serve();
        server.call("create_task", json!({"title": "New", "body": "new"})).ok();
        server.close();
        store.forge(|sql| {
            let forged = format!("{forged} WHERE title = '{title}'");
            assert_eq!(sql.execute(&forged, &[]), Ok(1), "{forged}");
        });
        store.tasktally(["verify"]).success();
        let ran = store.tasktally(["verify", "--from", path.to_str().unwrap()]).code(1);
        let output = ran.output();
        assert!(output.contains("rewritten since") || output.contains("has none"), "{output}");
    }
}

#[test]
fn heads_stay_valid_while_a_chunk_grows_and_find_items_that_went() {
    let store = Store::new();
    let mut server = store.serve();
    let items = json!(["a", "b"]);
    let batch = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 10});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    server.close();
    let path = store.write("heads", store.tasktally(["heads"]).success().stdout);
    let path = path.to_str().unwrap();
    let mut server = store.serve();
    server.call("add_items", json!({"id": batch, "items": ["c", "d"]})).ok();
    server.close();
    store.tasktally(["verify", "--from", path]).success();
    // As JSON objects, too.
    let json_heads = store.tasktally(["heads", "--json"]).success().stdout;
    let chunk: Value = json_heads
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|head| head["content"]["items"] == 4)
        .expect("a chunk with four items");
    assert_eq!(chunk["content"]["hash"].as_str().unwrap().len(), 64);
    let json_path = store.write("heads.json", json_heads);
    store.tasktally(["verify", "--from", json_path.to_str().unwrap()]).success();
    // The chunk is as it was when it was created without items: hash and counts agree.
    store.forge(|forger| {
        for sql in
            ["DELETE FROM item", "UPDATE chunk SET items_total = 0", "UPDATE batch SET items_total = 0"]
        {
            forger.execute(sql, &[]).unwrap();
        }
        forger.execute("UPDATE chunk SET items_hash = ?1", &[&[0_u8; 32]]).unwrap();
    });
    store.tasktally(["verify"]).success();
    let ran = store.tasktally(["verify", "--from", path]).code(1);
    assert!(
        ran.output().contains("0 items are there, 2 were when its head was exported"),
        "{}",
        ran.output()
    );
}

#[test]
fn a_large_batch_and_items_that_are_added_to_it_have_hashes() {
    let store = Store::new();
    let mut server = store.serve();
    let keys = |from: u32| (from..from + 12_000).map(|number| format!("item {number}")).collect::<Vec<_>>();
    let batch = json!({"title": "B", "instructions": "x", "items": keys(0), "max_chunk": 500});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    server.call("add_items", json!({"id": batch, "items": keys(100_000)})).ok();
    server.close();
    let hashed = "SELECT count(*) FROM chunk WHERE items_hash IS NOT NULL AND items_hash <> ?1";
    let hashed: u64 = store.sql().row(hashed, &[&[0_u8; 32]]);
    assert_eq!(hashed, 48);
    store.tasktally(["verify"]).success();
    store.forge(|sql| {
        assert_eq!(sql.execute("UPDATE item SET fields = '{}' WHERE key = 'item 111999'", &[]), Ok(1))
    });
    store.tasktally(["verify"]).code(1);
}

#[test]
fn the_schema_keeps_instructions_rules_and_items_as_they_were_created() {
    let store = a_store();
    for sql in [
        "UPDATE batch SET instructions = 'x'",
        "UPDATE batch SET review = 'person'",
        "UPDATE item SET fields = '{}'",
        "UPDATE item SET key = key || 'x'",
        "UPDATE task SET content_hash = NULL WHERE content_hash IS NOT NULL",
    ] {
        let error = store.sql().execute(sql, &[]).unwrap_err();
        assert!(error.contains("never change"), "{sql}: {error}");
    }
}
