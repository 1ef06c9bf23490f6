//! Independence: four conflict rules, each held to a slow and obvious reference on random items.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use support::reply::Reply;
use support::rng::Rng;
use support::rounds;
use support::server::Server;
use support::store::Store;
use support::touch::{named, parts, path, touch_the_same};

/// Items with what they touch, in the order of their keys.
struct Items(BTreeMap<String, Vec<Vec<String>>>, Vec<Value>);

fn items(rng: &mut Rng, prefix: &str) -> Items {
    let (mut touched, mut all) = (BTreeMap::new(), Vec::new());
    let spread = 1 + rng.below(4);
    for number in 0..1 + rng.below(14) {
        let key = format!("{prefix}{number:02}");
        let mut paths: Vec<String> = Vec::new();
        for _ in 0..rng.below(3) {
            let top = rng.below(spread * 4);
            paths.push(format!("{top}/{}", path(rng).trim_start_matches('/')));
        }
        if rng.below(20) == 0 {
            paths.push(path(rng));
        }
        all.push(match paths.as_slice() {
            [] => json!({"key": key}),
            [one] if rng.below(2) == 0 => json!({"key": key, "files": one, "kind": rng.below(3)}),
            many => json!({"key": key, "files": many, "kind": rng.below(3)}),
        });
        touched.insert(key, paths.iter().map(|path| parts(path)).collect());
    }
    Items(touched, all)
}

impl Items {
    fn of(&self, keys: &BTreeSet<String>) -> Vec<Vec<String>> {
        keys.iter().flat_map(|key| self.0[key].clone()).collect()
    }
}

fn create(server: &mut Server, items: &Items, rule: &str, max_chunk: u64, project: &str) -> Reply {
    server.call(
        "create_batch",
        json!({"title": "B", "instructions": "do", "items": items.1, "max_chunk": max_chunk,
               "on_conflict": rule, "project": project, "max_attempts": 100}),
    )
}

/// The keys of each chunk of a batch, as they are stored.
fn chunks(store: &Store, batch: &str) -> BTreeMap<String, BTreeSet<String>> {
    let sql = store.sql();
    let mut found = sql
        .prepare(
            "SELECT t.id, i.key FROM item i JOIN task t ON t.n = i.chunk WHERE i.batch = (SELECT n FROM task WHERE id = ?1)",
        )
        .unwrap();
    let mut chunks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in found.query_map([batch], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
        let (chunk, key): (String, String) = row.unwrap();
        chunks.entry(chunk).or_default().insert(key);
    }
    chunks
}

/// What each chunk of a split by size touches.
fn split(items: &Items, max_chunk: u64) -> Vec<Vec<Vec<String>>> {
    let keys: Vec<&String> = items.0.keys().collect();
    let count = keys.len() as u64;
    let parts = count.div_ceil(max_chunk);
    let (small, larger) = (count / parts, count % parts);
    let mut rest = keys.as_slice();
    let mut split = Vec::new();
    for part in 0..parts {
        let (these, others) = rest.split_at((small + u64::from(part < larger)) as usize);
        split.push(items.of(&these.iter().map(|key| (*key).clone()).collect()));
        rest = others;
    }
    split
}

/// The pairs of chunks that touch the same, from 1.
fn conflicts(items: &Items, max_chunk: u64) -> BTreeSet<(usize, usize)> {
    let split = split(items, max_chunk);
    let pairs = (0..split.len()).flat_map(|a| (a + 1..split.len()).map(move |b| (a, b)));
    pairs.filter(|(a, b)| touch_the_same(&split[*a], &split[*b])).map(|(a, b)| (a + 1, b + 1)).collect()
}

#[test]
fn reject_refuses_a_batch_if_and_only_if_two_chunks_touch_the_same() {
    let mut rng = Rng::seeded("reject");
    let store = Store::new();
    let mut server = store.serve();
    let mut refused = 0;
    for round in 0..rounds("DOCKET_ROUNDS", 150) {
        let (items, max_chunk) = (items(&mut rng, "k"), 1 + rng.below(6));
        let before = server.call("list_tasks", json!({"limit": 0})).ok().count("/total");
        let reply = create(&mut server, &items, "reject", max_chunk, &format!("p{round}"));
        let expected = conflicts(&items, max_chunk);
        if !expected.is_empty() {
            refused += 1;
            assert_eq!(reply.refusal(), "conflict", "{:?}", items.1);
            let named = named(reply.message());
            assert!(!named.is_empty() && named.len() <= 20, "{}", reply.message());
            assert!(named.iter().all(|pair| expected.contains(pair)), "{expected:?}: {}", reply.message());
            let after = server.call("list_tasks", json!({"limit": 0})).ok().count("/total");
            assert_eq!(before, after, "nothing was created");
        } else {
            reply.ok();
        }
    }
    println!("{refused} refused");
}

#[test]
fn merge_puts_items_into_one_chunk_if_and_only_if_something_joins_them_or_there_is_room() {
    let mut rng = Rng::seeded("merge");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("DOCKET_ROUNDS", 150) {
        let (items, max_chunk) = (items(&mut rng, "k"), 1 + rng.below(6));
        let mut component: BTreeMap<&String, usize> = items.0.keys().zip(0..).collect();
        // The obvious way: take on the smaller name until nothing changes.
        loop {
            let before = component.clone();
            for (one, ones) in &items.0 {
                for (other, others) in &items.0 {
                    if touch_the_same(ones, others) {
                        let least = component[one].min(component[other]);
                        component.insert(one, least);
                        component.insert(other, least);
                    }
                }
            }
            if component == before {
                break;
            }
        }
        let reply = create(&mut server, &items, "merge", max_chunk, &format!("p{round}")).ok();
        let mut home = BTreeMap::new();
        for (chunk, keys) in chunks(&store, &reply.text("/batch/id")) {
            let components: BTreeSet<usize> = keys.iter().map(|key| component[key]).collect();
            assert!(keys.len() as u64 <= max_chunk || components.len() == 1, "{chunk}: {keys:?}");
            if keys.len() as u64 > max_chunk {
                assert!(reply.message().contains("Over max_chunk"), "{}", reply.message());
                assert!(reply.message().contains(&format!("with {}", keys.len())), "{}", reply.message());
            }
            for component in components {
                assert_eq!(home.insert(component, chunk.clone()), None, "{:?}", items.1);
            }
        }
        let stored: usize = chunks(&store, &reply.text("/batch/id")).values().map(BTreeSet::len).sum();
        assert_eq!(stored, items.0.len());
    }
}

/// Claims and completes chunks of batches in a random order, and holds who is let at work to the reference.
fn work_at_random(
    rng: &mut Rng,
    store: &Store,
    server: &mut Server,
    batches: &[(&Items, String)],
    alone: impl Fn(usize, usize) -> bool,
) {
    let mut waiting: BTreeMap<String, (usize, Vec<Vec<String>>)> = BTreeMap::new();
    for (batch, (items, id)) in batches.iter().enumerate() {
        for (chunk, keys) in chunks(store, id) {
            waiting.insert(chunk, (batch, items.of(&keys)));
        }
    }
    let mut at_work: BTreeMap<String, (usize, Vec<Vec<String>>, Value)> = BTreeMap::new();
    while !waiting.is_empty() || !at_work.is_empty() {
        let blocked = |batch: usize,
                       touched: &[Vec<String>],
                       at_work: &BTreeMap<String, (usize, Vec<Vec<String>>, Value)>| {
            at_work.values().any(|(other, theirs, _)| alone(batch, *other) && touch_the_same(touched, theirs))
        };
        if rng.below(2) == 0 && !at_work.is_empty() {
            let chunk = at_work.keys().nth(rng.below(at_work.len() as u64) as usize).unwrap().clone();
            let (batch, touched, claim) = at_work.remove(&chunk).unwrap();
            if rng.below(3) == 0 {
                server.call("release_task", json!({"id": chunk, "claim": claim, "reason": "later"})).ok();
                // It would rest before it is tried again: the test does not wait for that.
                let rested =
                    "UPDATE task SET blockers = blockers - holds, holds = 0, held_until = NULL WHERE id = ?1";
                store.sql().execute(rested, [&chunk]).unwrap();
                waiting.insert(chunk, (batch, touched));
            } else {
                for key in &chunks(store, &batches[batch].1)[&chunk] {
                    let done = json!({"id": chunk, "claim": claim, "item": key, "outcome": "done"});
                    server.call("update_task", done);
                }
                server.call("complete_task", json!({"id": chunk, "claim": claim})).ok();
            }
        } else if rng.below(2) == 0 && !waiting.is_empty() {
            let chunk = waiting.keys().nth(rng.below(waiting.len() as u64) as usize).unwrap().clone();
            let (batch, touched) = waiting[&chunk].clone();
            let reply = server.call("claim_task", json!({"worker": "w", "id": chunk}));
            if blocked(batch, &touched, &at_work) {
                assert_eq!(reply.answer(), "not_ready");
                let named = at_work.keys().any(|other| reply.message().contains(other.as_str()));
                assert!(named, "{}", reply.message());
            } else {
                let claim = reply.ok()["claim"]["token"].clone();
                waiting.remove(&chunk);
                at_work.insert(chunk, (batch, touched, claim));
            }
        } else {
            let batch = rng.below(batches.len() as u64) as usize;
            let free = waiting.values().any(|(of, touched)| *of == batch && !blocked(*of, touched, &at_work));
            let id = &batches[batch].1;
            let listed = server.call("list_tasks", json!({"batch": id, "ready": true, "limit": 0})).ok();
            let ready =
                waiting.values().filter(|(of, touched)| *of == batch && !blocked(*of, touched, &at_work));
            assert_eq!(listed.count("/total"), ready.count() as u64);
            let reply = server.call("claim_task", json!({"worker": "w", "batch": id}));
            if free {
                let reply = reply.ok();
                let chunk = reply.text("/task/id");
                let (batch, touched) = waiting.remove(&chunk).unwrap();
                assert!(!blocked(batch, &touched, &at_work), "{chunk} {touched:?} {at_work:?}");
                at_work.insert(chunk, (batch, touched, reply["claim"]["token"].clone()));
            } else {
                assert_eq!(reply.answer(), "nothing_to_claim");
            }
        }
    }
    let left: i64 = store.sql().query_row("SELECT count(*) FROM held", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "nobody is at work");
}

#[test]
fn serialize_lets_no_two_chunks_that_touch_the_same_be_claimed_at_once() {
    let mut rng = Rng::seeded("serialize");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("DOCKET_ROUNDS", 20) {
        let (items, max_chunk) = (items(&mut rng, "k"), 1 + rng.below(3));
        let made = create(&mut server, &items, "serialize", max_chunk, &format!("p{round}")).ok();
        assert_eq!(
            !conflicts(&items, max_chunk).is_empty(),
            made.message().contains("share resources"),
            "{}",
            made.message()
        );
        work_at_random(&mut rng, &store, &mut server, &[(&items, made.text("/batch/id"))], |_, _| true);
    }
}

#[test]
fn allow_lets_every_chunk_be_claimed() {
    let mut rng = Rng::seeded("allow");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("DOCKET_ROUNDS", 10) {
        let items = items(&mut rng, "k");
        let made = create(&mut server, &items, "allow", 1, &format!("p{round}")).ok();
        for _ in 0..items.0.len() {
            server.call("claim_task", json!({"worker": "w", "batch": made.text("/batch/id")})).ok();
        }
    }
}

#[test]
fn a_second_batch_keeps_clear_of_the_first_by_its_own_rule() {
    let mut rng = Rng::seeded("two batches");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("DOCKET_ROUNDS", 20) {
        let project = format!("p{round}");
        let (one, other) = (items(&mut rng, "k"), items(&mut rng, "l"));
        let first = create(&mut server, &one, "serialize", 2, &project).ok().text("/batch/id");
        let all = |items: &Items| items.of(&items.0.keys().cloned().collect());
        let meet = touch_the_same(&all(&one), &all(&other));
        let refused = create(&mut server, &other, "reject", 100, &project);
        assert_eq!(!refused.won(), meet, "{:?} {:?}: {}", one.1, other.1, refused.message());
        if meet {
            assert!(refused.message().contains(&format!("chunk {first}.")), "{}", refused.message());
        } else {
            let id = refused.text("/batch/id");
            server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
        }
        create(&mut server, &other, "reject", 100, &format!("q{round}")).ok();
        let rule = ["serialize", "merge"][rng.below(2) as usize];
        let second = create(&mut server, &other, rule, 2, &project).ok();
        assert_eq!(meet, second.message().contains("batches under way"), "{}", second.message());
        let second = second.text("/batch/id");
        work_at_random(&mut rng, &store, &mut server, &[(&one, first), (&other, second)], |_, _| true);
    }
}
