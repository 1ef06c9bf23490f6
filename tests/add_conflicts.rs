//! Items that are added to a batch whose chunks are independent: each rule against a slow and obvious
//! reference, on random items, with chunks at work and ended, and with another batch beside it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use support::at_work::{AtWork, Items, chunks, create, has_ended, items, work_at_random};
use support::reply::Reply;
use support::rng::Rng;
use support::rounds;
use support::server::Server;
use support::store::Store;
use support::touch::touch_the_same;

type Chunks = BTreeMap<String, BTreeSet<String>>;

/// Claims some chunks of a batch; completes some of those. Gives those that stay at work.
fn begin_some(rng: &mut Rng, store: &Store, server: &mut Server, items: &Items, batch: &str) -> AtWork {
    let mut at_work = AtWork::new();
    for _ in 0..rng.below(4) {
        let claim = server.call("claim_task", json!({"worker": "w", "batch": batch}));
        if !claim.won() {
            break;
        }
        let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
        let keys = chunks(store, batch)[&chunk].clone();
        // The last one stays open, so that the batch does.
        if rng.below(2) == 0 && chunks(store, batch).keys().any(|other| is_unclaimed(store, other)) {
            for key in &keys {
                let done = json!({"id": chunk, "claim": token, "item": key, "outcome": "done"});
                server.call("update_task", done).ok();
            }
            server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
        } else {
            at_work.insert(chunk, (0, items.of(&keys), token));
        }
    }
    at_work
}

fn is_unclaimed(store: &Store, chunk: &str) -> bool {
    let sql = "SELECT status = 'active' AND generation = 0 FROM task WHERE id = ?1";
    store.sql().query_row(sql, [chunk], |row| row.get(0)).unwrap()
}

/// What each chunk that has not ended touches.
fn open(store: &Store, items: &Items, chunks: &Chunks) -> BTreeMap<String, Vec<Vec<String>>> {
    let open = chunks.iter().filter(|(chunk, _)| !has_ended(store, chunk));
    open.map(|(chunk, keys)| (chunk.clone(), items.of(keys))).collect()
}

fn add(server: &mut Server, batch: &str, items: &Items) -> Reply {
    server.call("add_items", json!({"id": batch, "items": items.1}))
}

fn with(items: &mut Items, more: &Items) {
    items.0.extend(more.0.clone());
    items.1.extend(more.1.clone());
}

/// New items as a split by size lays them: the last chunk first, if nobody has claimed it.
fn laid(store: &Store, before: &Chunks, new: &Items, max_chunk: u64) -> Vec<(Option<String>, Vec<String>)> {
    let mut keys: Vec<String> = new.0.keys().cloned().collect();
    let number = |chunk: &String| chunk.rsplit('.').next().unwrap().parse::<u64>().unwrap();
    let (last, held) = before.iter().max_by_key(|(chunk, _)| number(chunk)).unwrap();
    let mut laid = Vec::new();
    let room = (max_chunk as usize).saturating_sub(held.len()).min(keys.len());
    if room > 0 && is_unclaimed(store, last) {
        laid.push((Some(last.clone()), keys.drain(..room).collect()));
    }
    let parts = keys.len().div_ceil(max_chunk as usize);
    for part in 0..parts {
        let size = keys.len().div_ceil(parts - part);
        laid.push((None, keys.drain(..size).collect()));
    }
    laid
}

#[test]
fn reject_refuses_items_if_and_only_if_they_make_chunks_touch_the_same() {
    let mut rng = Rng::seeded("reject added");
    let store = Store::new();
    let mut server = store.serve();
    let (mut refused, mut taken) = (0, 0);
    for round in 0..rounds("TASKTALLY_ROUNDS", 60) {
        let (project, max_chunk) = (format!("p{round}"), 1 + rng.below(4));
        let mut items = items(&mut rng, "k");
        let made = create(&mut server, &items, "reject", max_chunk, &project);
        if !made.won() {
            continue;
        }
        let batch = made.text("/batch/id");
        let beside = support::at_work::items(&mut rng, "b");
        let other = create(&mut server, &beside, "reject", 3, &project);
        begin_some(&mut rng, &store, &mut server, &items, &batch);
        for turn in 0..3 {
            let new = support::at_work::items(&mut rng, &format!("n{turn}-"));
            let before = chunks(&store, &batch);
            let mut theirs = open(&store, &items, &before);
            if other.won() {
                theirs.extend(open(&store, &beside, &chunks(&store, &other.text("/batch/id"))));
            }
            let laid: Vec<(Option<String>, Vec<Vec<String>>)> = laid(&store, &before, &new, max_chunk)
                .into_iter()
                .map(|(into, keys)| (into, new.of(&keys.into_iter().collect())))
                .collect();
            let with_stored = laid.iter().any(|(into, touched)| {
                theirs
                    .iter()
                    .any(|(chunk, theirs)| into.as_ref() != Some(chunk) && touch_the_same(touched, theirs))
            });
            let among = (0..laid.len()).any(|a| {
                (a + 1..laid.len()).any(|b| {
                    let whole = |n: usize| {
                        let old = laid[n].0.as_ref().and_then(|chunk| theirs.get(chunk)).cloned();
                        [old.unwrap_or_default(), laid[n].1.clone()].concat()
                    };
                    touch_the_same(&whole(a), &whole(b))
                })
            });
            let reply = add(&mut server, &batch, &new);
            if with_stored || among {
                assert_eq!(reply.refusal(), "conflict", "{:?} {:?}", items.1, new.1);
                assert!(reply.message().contains("nothing was added"), "{}", reply.message());
                assert!(reply.message().contains("serialize"), "{}", reply.message());
                assert_eq!(chunks(&store, &batch), before, "nothing was added");
                refused += 1;
            } else {
                assert_eq!(reply.ok().count("/added") as usize, new.0.len());
                with(&mut items, &new);
                taken += 1;
            }
        }
    }
    println!("{refused} refused, {taken} taken");
    assert!(refused > 0 && taken > 0);
}

#[test]
fn serialize_lets_no_chunk_with_new_items_be_claimed_beside_one_that_touches_the_same() {
    let mut rng = Rng::seeded("serialize added");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("TASKTALLY_ROUNDS", 15) {
        let (project, max_chunk) = (format!("p{round}"), 1 + rng.below(3));
        let (mut items, beside) = (items(&mut rng, "k"), support::at_work::items(&mut rng, "b"));
        let batch = create(&mut server, &items, "serialize", max_chunk, &project).ok().text("/batch/id");
        let other = create(&mut server, &beside, "serialize", 2, &project).ok().text("/batch/id");
        let at_work = begin_some(&mut rng, &store, &mut server, &items, &batch);
        for turn in 0..1 + rng.below(3) {
            let new = support::at_work::items(&mut rng, &format!("n{turn}-"));
            add(&mut server, &batch, &new).ok();
            with(&mut items, &new);
        }
        work_at_random(&mut rng, &store, &mut server, &[(&items, batch), (&beside, other)], at_work);
    }
}

#[test]
fn merge_puts_new_items_to_what_they_touch_if_nobody_has_claimed_it_else_serializes() {
    let mut rng = Rng::seeded("merge added");
    let store = Store::new();
    let mut server = store.serve();
    let (mut joined, mut serialized) = (0, 0);
    // Both must come up: so many rounds at the least.
    for round in 0..rounds("TASKTALLY_ROUNDS", 40).max(20) {
        let (project, max_chunk) = (format!("p{round}"), 1 + rng.below(4));
        let mut items = items(&mut rng, "k");
        let batch = create(&mut server, &items, "merge", max_chunk, &project).ok().text("/batch/id");
        let at_work = begin_some(&mut rng, &store, &mut server, &items, &batch);
        for turn in 0..1 + rng.below(3) {
            let new = support::at_work::items(&mut rng, &format!("n{turn}-"));
            let before = chunks(&store, &batch);
            let unclaimed: Vec<String> =
                before.keys().filter(|chunk| is_unclaimed(&store, chunk)).cloned().collect();
            let theirs = open(&store, &items, &before);
            let reply = add(&mut server, &batch, &new).ok();
            with(&mut items, &new);
            let after = chunks(&store, &batch);
            let home = |key: &String| after.iter().find(|(_, keys)| keys.contains(key)).unwrap().0.clone();
            for (chunk, keys) in &before {
                assert!(after[chunk].is_superset(keys), "an item went elsewhere");
                assert!(unclaimed.contains(chunk) || &after[chunk] == keys, "a claimed chunk grew");
            }
            for component in components(&new) {
                let touched = new.of(&component);
                let homes: BTreeSet<String> = component.iter().map(home).collect();
                assert_eq!(homes.len(), 1, "{component:?} {:?}", items.1);
                let meets: Vec<&String> = theirs
                    .iter()
                    .filter(|(_, theirs)| touch_the_same(&touched, theirs))
                    .map(|(c, _)| c)
                    .collect();
                if let Some(first) = meets.iter().find(|chunk| unclaimed.contains(chunk)) {
                    assert!(homes.contains(*first), "{component:?} belongs to {first}, not {homes:?}");
                    joined += 1;
                } else {
                    serialized += usize::from(!meets.is_empty());
                }
                if meets.iter().any(|chunk| !homes.contains(*chunk)) {
                    assert!(reply.message().contains("share resources"), "{}", reply.message());
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
        assert_eq!(chunks(&store, &batch).values().map(BTreeSet::len).sum::<usize>(), items.0.len());
        work_at_random(&mut rng, &store, &mut server, &[(&items, batch)], at_work);
    }
    println!("{joined} joined, {serialized} serialized");
    assert!(joined > 0 && serialized > 0);
}

/// Items that something joins.
fn components(items: &Items) -> Vec<BTreeSet<String>> {
    let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (key, number) in items.components() {
        found.entry(number).or_default().insert(key.clone());
    }
    found.into_values().collect()
}

#[test]
fn allow_looks_at_nothing_and_a_batch_without_files_takes_items_that_touch_nothing() {
    let store = Store::new();
    let mut server = store.serve();
    for (rule, files, is_taken) in
        [("allow", json!("src"), true), ("reject", json!(null), true), ("reject", json!("src/lib.rs"), false)]
    {
        let first = json!([{"key": "a", "files": "src"}]);
        let batch =
            json!({"title": "B", "instructions": "do", "items": first, "on_conflict": rule, "max_chunk": 1});
        let id = server.call("create_batch", batch).ok().text("/batch/id");
        let reply = server.call("add_items", json!({"id": id, "items": [{"key": "b", "files": files}]}));
        assert_eq!(reply.won(), is_taken, "{rule} {files}: {}", reply.message());
        server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    }
}

#[test]
fn the_fields_that_the_batch_was_made_with_say_what_new_items_touch() {
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
fn many_small_additions_are_still_looked_at() {
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
    let rows: u64 =
        store.sql().query_row("SELECT count(*) FROM resource_block", [], |row| row.get(0)).unwrap();
    assert!(rows < 10, "{rows} rows for 300 small additions");
}

#[test]
fn a_chunk_that_is_opened_again_keeps_clear_of_items_that_were_added_meanwhile() {
    let store = Store::new();
    let mut server = store.serve();
    for again in ["retry", "redo"] {
        let items = json!([{"key": "a", "files": "src/lib.rs"}, {"key": "b", "files": "b"}]);
        let batch =
            json!({"title": "B", "instructions": "do", "items": items, "max_chunk": 1, "project": again});
        let id = server.call("create_batch", batch).ok().text("/batch/id");
        let claim = server.call("claim_task", json!({"worker": "w", "batch": id})).ok();
        let (chunk, token) = (claim.text("/task/id"), claim["claim"]["token"].clone());
        let done = json!({"id": chunk, "claim": token, "item": "a", "outcome": "done"});
        server.call("update_task", done).ok();
        let failed = json!({"id": chunk, "claim": token, "reason": "no", "outcome": "failed"});
        server.call("release_task", failed).ok();
        let more = json!([{"key": "c", "files": "src"}]);
        server.call("add_items", json!({"id": id, "items": more})).ok();
        let taken = server.call("claim_task", json!({"worker": "w", "id": format!("{id}.03")})).ok();
        match again {
            "retry" => server.call("control_batch", json!({"id": id, "action": "retry"})).ok(),
            _ => {
                let redo = json!({"id": id, "chunk": chunk, "decision": "redo", "note": "again"});
                server.call("review_batch", redo).ok()
            }
        };
        let reply = server.call("claim_task", json!({"worker": "w", "id": chunk}));
        assert_eq!(reply.answer(), "not_ready", "{again}");
        assert!(reply.message().contains(&taken.text("/task/id")), "{}", reply.message());
    }
}

#[test]
fn a_resumed_run_holds_new_items_to_the_rule_of_its_batch() {
    let store = Store::new();
    let line = |key: &str, file: &str| format!("{}\n", json!({"key": key, "files": file}));
    let mut items = line("a", "one") + &line("b", "two");
    store.write("items.jsonl", &items);
    // The first run fails an item, so that its batch stays open.
    let first =
        ["run", "--items", "items.jsonl", "--on-conflict", "reject", "--max-chunk", "1", "--json", "--"];
    let ran =
        store.tasktally([&first[..], &["sh", "-c", "test $TASKTALLY_ITEM = a || exit 75"]].concat()).code(1);
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
