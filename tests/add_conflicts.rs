//! `add_items` for a batch whose items touch resources: each `on_conflict` rule is compared with a slow and obvious
//! reference, on random items, with claimed and ended chunks, and with a second batch.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use support::conflict_model::{
    ClaimedChunks, ConflictItems, create_batch, has_ended, random_items, stored_chunks, work_in_random_order,
};
use support::reply::Reply;
use support::resources::overlap;
use support::rng::Rng;
use support::rounds;
use support::server::Server;
use support::store::Store;

type Chunks = BTreeMap<String, BTreeSet<String>>;

/// Claims some chunks of a batch and completes some of them. Returns the chunks that stay claimed.
fn claim_some(
    rng: &mut Rng,
    store: &Store,
    server: &mut Server,
    items: &ConflictItems,
    batch: &str,
) -> ClaimedChunks {
    let mut claimed = ClaimedChunks::new();
    for _ in 0..rng.below(4) {
        let claim = server.call("claim_task", json!({"worker": "w", "batch": batch}));
        if !claim.succeeded() {
            break;
        }
        let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
        let keys = stored_chunks(store, batch)[&chunk].clone();
        // The last unclaimed chunk stays open, so that the batch stays open.
        if rng.below(2) == 0 && stored_chunks(store, batch).keys().any(|other| is_unclaimed(store, other)) {
            for key in &keys {
                let done = json!({"id": chunk, "claim": token, "item": key, "outcome": "done"});
                server.call("update_task", done).ok();
            }
            server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
        } else {
            claimed.insert(chunk, (0, items.touched_by(&keys), token));
        }
    }
    claimed
}

fn is_unclaimed(store: &Store, chunk: &str) -> bool {
    let sql = "SELECT status = 'active' AND generation = 0 FROM task WHERE id = ?1";
    store.sql().row(sql, &[&chunk])
}

/// The paths that each chunk that has not ended touches.
fn touched_by_open_chunks(
    store: &Store,
    items: &ConflictItems,
    chunks: &Chunks,
) -> BTreeMap<String, Vec<Vec<String>>> {
    let open = chunks.iter().filter(|(chunk, _)| !has_ended(store, chunk));
    open.map(|(chunk, keys)| (chunk.clone(), items.touched_by(keys))).collect()
}

/// Adds the items to a batch.
fn add(server: &mut Server, batch: &str, items: &ConflictItems) -> Reply {
    server.call("add_items", json!({"id": batch, "items": items.values}))
}

/// Adds `more` to `items`.
fn extend(items: &mut ConflictItems, more: &ConflictItems) {
    items.touched.extend(more.touched.clone());
    items.values.extend(more.values.clone());
}

/// Where a split by size puts new items: first into the last chunk if it is unclaimed, then into new chunks.
fn planned_chunks(
    store: &Store,
    before: &Chunks,
    new: &ConflictItems,
    max_chunk: u64,
) -> Vec<(Option<String>, Vec<String>)> {
    let mut keys: Vec<String> = new.touched.keys().cloned().collect();
    let number = |chunk: &String| chunk.rsplit('.').next().unwrap().parse::<u64>().unwrap();
    let (last, last_keys) = before.iter().max_by_key(|(chunk, _)| number(chunk)).unwrap();
    let mut planned = Vec::new();
    let room = (max_chunk as usize).saturating_sub(last_keys.len()).min(keys.len());
    if room > 0 && is_unclaimed(store, last) {
        planned.push((Some(last.clone()), keys.drain(..room).collect()));
    }
    let parts = keys.len().div_ceil(max_chunk as usize);
    for part in 0..parts {
        let size = keys.len().div_ceil(parts - part);
        planned.push((None, keys.drain(..size).collect()));
    }
    planned
}

#[test]
fn reject_refuses_items_if_and_only_if_chunks_would_touch_the_same() {
    let mut rng = Rng::seeded("reject added");
    let store = Store::new();
    let mut server = store.serve();
    let (mut refused, mut added) = (0, 0);
    for round in 0..rounds("TASKTALLY_ROUNDS", 60) {
        let (project, max_chunk) = (format!("p{round}"), 1 + rng.below(4));
        let mut items = random_items(&mut rng, "k");
        let made = create_batch(&mut server, &items, "reject", max_chunk, &project);
        if !made.succeeded() {
            continue;
        }
        let batch = made.text("/batch/id");
        let beside = random_items(&mut rng, "b");
        let other = create_batch(&mut server, &beside, "reject", 3, &project);
        claim_some(&mut rng, &store, &mut server, &items, &batch);
        for turn in 0..3 {
            let new = random_items(&mut rng, &format!("n{turn}-"));
            let before = stored_chunks(&store, &batch);
            let mut theirs = touched_by_open_chunks(&store, &items, &before);
            if other.succeeded() {
                theirs.extend(touched_by_open_chunks(
                    &store,
                    &beside,
                    &stored_chunks(&store, &other.text("/batch/id")),
                ));
            }
            let planned: Vec<(Option<String>, Vec<Vec<String>>)> =
                planned_chunks(&store, &before, &new, max_chunk)
                    .into_iter()
                    .map(|(into, keys)| (into, new.touched_by(&keys.into_iter().collect())))
                    .collect();
            let meets_stored = planned.iter().any(|(into, touched)| {
                theirs.iter().any(|(chunk, theirs)| into.as_ref() != Some(chunk) && overlap(touched, theirs))
            });
            let meets_planned = (0..planned.len()).any(|a| {
                (a + 1..planned.len()).any(|b| {
                    let whole = |n: usize| {
                        let old = planned[n].0.as_ref().and_then(|chunk| theirs.get(chunk)).cloned();
                        [old.unwrap_or_default(), planned[n].1.clone()].concat()
                    };
                    overlap(&whole(a), &whole(b))
                })
            });
            let reply = add(&mut server, &batch, &new);
            if meets_stored || meets_planned {
                assert_eq!(reply.refusal(), "conflict", "{:?} {:?}", items.values, new.values);
                assert!(reply.message().contains("nothing was added"), "{}", reply.message());
                assert!(reply.message().contains("serialize"), "{}", reply.message());
                assert_eq!(stored_chunks(&store, &batch), before, "nothing was added");
                refused += 1;
            } else {
                assert_eq!(reply.ok().count("/added") as usize, new.touched.len());
                extend(&mut items, &new);
                added += 1;
            }
        }
    }
    println!("{refused} refused, {added} added");
    assert!(refused > 0 && added > 0);
}

#[test]
fn serialize_never_lets_a_chunk_with_new_items_be_claimed_together_with_one_that_touches_the_same() {
    let mut rng = Rng::seeded("serialize added");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("TASKTALLY_ROUNDS", 15) {
        let (project, max_chunk) = (format!("p{round}"), 1 + rng.below(3));
        let (mut items, beside) = (random_items(&mut rng, "k"), random_items(&mut rng, "b"));
        let batch =
            create_batch(&mut server, &items, "serialize", max_chunk, &project).ok().text("/batch/id");
        let other = create_batch(&mut server, &beside, "serialize", 2, &project).ok().text("/batch/id");
        let claimed = claim_some(&mut rng, &store, &mut server, &items, &batch);
        for turn in 0..1 + rng.below(3) {
            let new = random_items(&mut rng, &format!("n{turn}-"));
            add(&mut server, &batch, &new).ok();
            extend(&mut items, &new);
        }
        work_in_random_order(&mut rng, &store, &mut server, &[(&items, batch), (&beside, other)], claimed);
    }
}

#[test]
fn merge_adds_new_items_to_the_unclaimed_chunk_they_touch_and_serializes_them_otherwise() {
    let mut rng = Rng::seeded("merge added");
    let store = Store::new();
    let mut server = store.serve();
    let (mut joined, mut serialized) = (0, 0);
    // At least 20 rounds, so that both cases occur.
    for round in 0..rounds("TASKTALLY_ROUNDS", 40).max(20) {
        let (project, max_chunk) = (format!("p{round}"), 1 + rng.below(4));
        let mut items = random_items(&mut rng, "k");
        let batch = create_batch(&mut server, &items, "merge", max_chunk, &project).ok().text("/batch/id");
        let claimed = claim_some(&mut rng, &store, &mut server, &items, &batch);
        for turn in 0..1 + rng.below(3) {
            let new = random_items(&mut rng, &format!("n{turn}-"));
            let before = stored_chunks(&store, &batch);
            let unclaimed: Vec<String> =
                before.keys().filter(|chunk| is_unclaimed(&store, chunk)).cloned().collect();
            let theirs = touched_by_open_chunks(&store, &items, &before);
            let reply = add(&mut server, &batch, &new).ok();
            extend(&mut items, &new);
            let after = stored_chunks(&store, &batch);
            let chunk_of =
                |key: &String| after.iter().find(|(_, keys)| keys.contains(key)).unwrap().0.clone();
            for (chunk, keys) in &before {
                assert!(after[chunk].is_superset(keys), "an item was moved to another chunk");
                assert!(unclaimed.contains(chunk) || &after[chunk] == keys, "a claimed chunk grew");
            }
            for component in components(&new) {
                let touched = new.touched_by(&component);
                let placed_in: BTreeSet<String> = component.iter().map(chunk_of).collect();
                assert_eq!(placed_in.len(), 1, "{component:?} {:?}", items.values);
                let meets: Vec<&String> =
                    theirs.iter().filter(|(_, theirs)| overlap(&touched, theirs)).map(|(c, _)| c).collect();
                if let Some(first) = meets.iter().find(|chunk| unclaimed.contains(chunk)) {
                    assert!(
                        placed_in.contains(*first),
                        "{component:?} touches {touched:?} and belongs to {first}, which touches {:?}, not to {placed_in:?}",
                        theirs[*first]
                    );
                    joined += 1;
                } else {
                    serialized += usize::from(!meets.is_empty());
                }
                if meets.iter().any(|chunk| !placed_in.contains(*chunk)) {
                    assert!(reply.message().contains(" resources"), "{}", reply.message());
                }
            }
            for (chunk, keys) in &after {
                let grew = before.get(chunk) != Some(keys);
                if grew && keys.len() as u64 > max_chunk {
                    assert!(reply.message().contains("Over max_chunk"), "{chunk}: {}", reply.message());
                    assert!(reply.message().contains(&format!("with {}", keys.len())), "{}", reply.message());
                }
            }
        }
        assert_eq!(
            stored_chunks(&store, &batch).values().map(BTreeSet::len).sum::<usize>(),
            items.touched.len()
        );
        work_in_random_order(&mut rng, &store, &mut server, &[(&items, batch)], claimed);
    }
    println!("{joined} joined, {serialized} serialized");
    assert!(joined > 0 && serialized > 0);
}

#[test]
fn merge_finds_an_unclaimed_chunk_behind_a_claimed_one_that_touches_the_same_folder() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = json!({"title": "B", "instructions": "do", "on_conflict": "merge", "max_chunk": 1,
                       "items": [{"key": "claimed", "files": "docs"}]});
    let batch = server.call("create_batch", batch).ok().text("/batch/id");
    server.call("claim_task", json!({"worker": "w", "batch": batch})).ok();
    let mut add = |key, file| {
        server.call("add_items", json!({"id": batch, "items": [{"key": key, "files": file}]})).ok()
    };
    add("unclaimed", "docs");
    let reply = add("inside", "docs/a.md");
    assert!(reply.message().contains("with 2"), "{}", reply.message());
    let together = BTreeSet::from(["inside".to_owned(), "unclaimed".to_owned()]);
    assert!(stored_chunks(&store, &batch).values().any(|keys| *keys == together));
}

/// The connected components of items: groups that touch the same, directly or through other items.
fn components(items: &ConflictItems) -> Vec<BTreeSet<String>> {
    let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (key, number) in items.components() {
        found.entry(number).or_default().insert(key.clone());
    }
    found.into_values().collect()
}

#[test]
fn allow_checks_nothing_and_reject_accepts_items_that_touch_nothing() {
    let store = Store::new();
    let mut server = store.serve();
    for (rule, files, is_added) in
        [("allow", json!("src"), true), ("reject", json!(null), true), ("reject", json!("src/lib.rs"), false)]
    {
        let first = json!([{"key": "a", "files": "src"}]);
        let batch =
            json!({"title": "B", "instructions": "do", "items": first, "on_conflict": rule, "max_chunk": 1});
        let id = server.call("create_batch", batch).ok().text("/batch/id");
        let reply = server.call("add_items", json!({"id": id, "items": [{"key": "b", "files": files}]}));
        assert_eq!(reply.succeeded(), is_added, "{rule} {files}: {}", reply.message());
        server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    }
}

#[test]
fn new_items_touch_what_the_resource_fields_of_the_batch_say() {
    let store = Store::new();
    let mut server = store.serve();
    let batch = json!({"title": "B", "instructions": "do", "items": [{"key": "a", "repo": "tasktally"}],
                       "resources": ["repo"], "max_chunk": 1});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    let mut add = |item: Value| server.call("add_items", json!({"id": id, "items": [item]}));
    assert_eq!(add(json!({"key": "b", "repo": "tasktally"})).refusal(), "conflict");
    assert_eq!(add(json!({"key": "b", "repo": 3})).refusal(), "invalid_argument");
    add(json!({"key": "b", "files": "tasktally"})).ok();
    add(json!({"key": "c", "repo": "other"})).ok();
}

#[test]
fn conflicts_with_many_small_additions_are_found() {
    let store = Store::new();
    let mut server = store.serve();
    let batch =
        json!({"title": "B", "instructions": "do", "items": [{"key": "k", "files": "k"}], "max_chunk": 1});
    let id = server.call("create_batch", batch).ok().text("/batch/id");
    for number in 0..300 {
        let item =
            json!({"key": format!("k{number}"), "files": [format!("d/{number}"), format!("e/{number}")]});
        server.call("add_items", json!({"id": id, "items": [item]})).ok();
    }
    for number in [0, 150, 299] {
        let item = json!({"key": "n", "files": format!("e/{number}/deeper")});
        let reply = server.call("add_items", json!({"id": id, "items": [item]}));
        assert_eq!(reply.refusal(), "conflict");
        assert!(reply.message().contains(&format!("'e/{number}'")), "{}", reply.message());
    }
    let rows: u64 = store.sql().row("SELECT count(*) FROM resource_block", &[]);
    assert!(rows < 10, "{rows} rows for 300 small additions");
}

#[test]
fn a_reopened_chunk_waits_for_conflicting_items_that_were_added_meanwhile() {
    let store = Store::new();
    let mut server = store.serve();
    for reopened_by in ["retry", "redo"] {
        let items = json!([{"key": "a", "files": "src/lib.rs"}, {"key": "b", "files": "b"}]);
        let batch = json!({"title": "B", "instructions": "do", "items": items, "max_chunk": 1, "project": reopened_by});
        let id = server.call("create_batch", batch).ok().text("/batch/id");
        let claim = server.call("claim_task", json!({"worker": "w", "batch": id})).ok();
        let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
        let done = json!({"id": chunk, "claim": token, "item": "a", "outcome": "done"});
        server.call("update_task", done).ok();
        let failed = json!({"id": chunk, "claim": token, "reason": "no", "outcome": "failed"});
        server.call("release_task", failed).ok();
        let more = json!([{"key": "c", "files": "src"}]);
        server.call("add_items", json!({"id": id, "items": more})).ok();
        let claimed = server.call("claim_task", json!({"worker": "w", "id": format!("{id}.03")})).ok();
        match reopened_by {
            "retry" => server.call("control_batch", json!({"id": id, "action": "retry"})).ok(),
            _ => {
                let redo = json!({"id": id, "chunk": chunk, "decision": "redo", "note": "again"});
                server.call("review_batch", redo).ok()
            }
        };
        let reply = server.call("claim_task", json!({"worker": "w", "id": chunk}));
        assert_eq!(reply.declined(), "not_ready", "{reopened_by}");
        assert!(reply.message().contains(&claimed.text("/task/id")), "{}", reply.message());
    }
}

#[test]
fn a_resumed_run_applies_the_conflict_rule_of_its_batch_to_new_items() {
    let store = Store::new();
    let line = |key: &str, file: &str| format!("{}\n", json!({"key": key, "files": file}));
    let mut items = line("a", "one") + &line("b", "two");
    store.write("items.jsonl", &items);
    // The first run fails an item, so that its batch stays open.
    let first =
        ["run", "--items", "items.jsonl", "--on-conflict", "reject", "--max-chunk", "1", "--json", "--"];
    let ran = store.tasktally([&first[..], &["sh", "-c", "test $TASKTALLY_ITEM = a"]].concat()).code(1);
    let id = ran.stdout.lines().find_map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["batch"]["id"].as_str().map(str::to_owned)
    });
    let id = id.unwrap();
    store.tasktally(["control-batch", &id, "--action", "retry"]).success();
    items += &line("c", "two");
    store.write("items.jsonl", &items);
    let refused = store.tasktally(["run", "--resume", &id, "--items", "items.jsonl", "--", "true"]).code(1);
    assert!(refused.stderr.contains("'two'"), "{}", refused.stderr);
    store.write("items.jsonl", items.replace(&line("c", "two"), &line("c", "three")));
    let ran =
        store.tasktally(["run", "--resume", &id, "--items", "items.jsonl", "--json", "--", "true"]).success();
    assert!(
        ran.stdout.contains(r#""event":"added""#) && ran.stdout.contains(r#""added":1"#),
        "{}",
        ran.stdout
    );
}
