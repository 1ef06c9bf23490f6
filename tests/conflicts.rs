//! Independence: four conflict rules, each held to a slow and obvious reference on random items.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use support::at_work::{AtWork, Items, chunks, create, items, work_at_random};
use support::rng::Rng;
use support::rounds;
use support::store::Store;
use support::touch::{named, touch_the_same};

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
    for round in 0..rounds("TASKTALLY_ROUNDS", 150) {
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
    for round in 0..rounds("TASKTALLY_ROUNDS", 150) {
        let (items, max_chunk) = (items(&mut rng, "k"), 1 + rng.below(6));
        let component = items.components();
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

#[test]
fn serialize_lets_no_two_chunks_that_touch_the_same_be_claimed_at_once() {
    let mut rng = Rng::seeded("serialize");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("TASKTALLY_ROUNDS", 20) {
        let (items, max_chunk) = (items(&mut rng, "k"), 1 + rng.below(3));
        let made = create(&mut server, &items, "serialize", max_chunk, &format!("p{round}")).ok();
        assert_eq!(
            !conflicts(&items, max_chunk).is_empty(),
            made.message().contains("share resources"),
            "{}",
            made.message()
        );
        work_at_random(&mut rng, &store, &mut server, &[(&items, made.text("/batch/id"))], AtWork::new());
    }
}

#[test]
fn allow_lets_every_chunk_be_claimed() {
    let mut rng = Rng::seeded("allow");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("TASKTALLY_ROUNDS", 10) {
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
    for round in 0..rounds("TASKTALLY_ROUNDS", 20) {
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
        work_at_random(&mut rng, &store, &mut server, &[(&one, first), (&other, second)], AtWork::new());
    }
}
