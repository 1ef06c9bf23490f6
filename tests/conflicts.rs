//! The four `on_conflict` rules of `create_batch`, each compared with a slow and obvious reference on random items.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use support::conflict_model::{
    ClaimedChunks, ConflictItems, create_batch, random_items, stored_chunks, work_in_random_order,
};
use support::resources::{conflicting_pairs, overlap};
use support::rng::Rng;
use support::rounds;
use support::store::Store;

/// The paths that each chunk of a split by size touches.
fn split(items: &ConflictItems, max_chunk: u64) -> Vec<Vec<Vec<String>>> {
    let keys: Vec<&String> = items.touched.keys().collect();
    let count = keys.len() as u64;
    let parts = count.div_ceil(max_chunk);
    let (small, larger) = (count / parts, count % parts);
    let mut rest = keys.as_slice();
    let mut split = Vec::new();
    for part in 0..parts {
        let (these, others) = rest.split_at((small + u64::from(part < larger)) as usize);
        split.push(items.touched_by(&these.iter().map(|key| (*key).clone()).collect()));
        rest = others;
    }
    split
}

/// The pairs of chunks that touch the same. Chunks are numbered from 1.
fn conflicts(items: &ConflictItems, max_chunk: u64) -> BTreeSet<(usize, usize)> {
    let split = split(items, max_chunk);
    let pairs = (0..split.len()).flat_map(|a| (a + 1..split.len()).map(move |b| (a, b)));
    pairs.filter(|(a, b)| overlap(&split[*a], &split[*b])).map(|(a, b)| (a + 1, b + 1)).collect()
}

#[test]
fn reject_refuses_a_batch_if_and_only_if_two_chunks_touch_the_same() {
    let mut rng = Rng::seeded("reject");
    let store = Store::new();
    let mut server = store.serve();
    let mut refused = 0;
    for round in 0..rounds("TASKTALLY_ROUNDS", 150) {
        let (items, max_chunk) = (random_items(&mut rng, "k"), 1 + rng.below(6));
        let before = server.call("list_tasks", json!({"limit": 0})).ok().count("/total");
        let reply = create_batch(&mut server, &items, "reject", max_chunk, &format!("p{round}"));
        let expected = conflicts(&items, max_chunk);
        if !expected.is_empty() {
            refused += 1;
            assert_eq!(reply.refusal(), "conflict", "{:?}", items.values);
            let named = conflicting_pairs(reply.message());
            assert!(!named.is_empty() && named.len() <= 3, "{}", reply.message());
            assert!(named.iter().all(|pair| expected.contains(pair)), "{expected:?}: {}", reply.message());
            let after = server.call("list_tasks", json!({"limit": 0})).ok().count("/total");
            assert_eq!(before, after, "nothing was created");
        } else {
            reply.ok();
        }
    }
    println!("{refused} refused");
    assert!(refused > 0, "no random batch had a conflict");
}

#[test]
fn merge_keeps_connected_items_in_one_chunk_and_exceeds_max_chunk_only_for_them() {
    let mut rng = Rng::seeded("merge");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("TASKTALLY_ROUNDS", 150) {
        let (items, max_chunk) = (random_items(&mut rng, "k"), 1 + rng.below(6));
        let component = items.components();
        let reply = create_batch(&mut server, &items, "merge", max_chunk, &format!("p{round}")).ok();
        let mut chunk_of_component = BTreeMap::new();
        for (chunk, keys) in stored_chunks(&store, &reply.text("/batch/id")) {
            let components: BTreeSet<usize> = keys.iter().map(|key| component[key]).collect();
            assert!(keys.len() as u64 <= max_chunk || components.len() == 1, "{chunk}: {keys:?}");
            if keys.len() as u64 > max_chunk {
                assert!(reply.message().contains("Over max_chunk"), "{}", reply.message());
                assert!(reply.message().contains(&format!("with {}", keys.len())), "{}", reply.message());
            }
            for component in components {
                assert_eq!(chunk_of_component.insert(component, chunk.clone()), None, "{:?}", items.values);
            }
        }
        let stored: usize = stored_chunks(&store, &reply.text("/batch/id")).values().map(BTreeSet::len).sum();
        assert_eq!(stored, items.touched.len());
    }
}

#[test]
fn serialize_never_lets_two_chunks_that_touch_the_same_be_claimed_together() {
    let mut rng = Rng::seeded("serialize");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("TASKTALLY_ROUNDS", 20) {
        let (items, max_chunk) = (random_items(&mut rng, "k"), 1 + rng.below(3));
        let made = create_batch(&mut server, &items, "serialize", max_chunk, &format!("p{round}")).ok();
        assert_eq!(
            !conflicts(&items, max_chunk).is_empty(),
            made.message().contains("share resources"),
            "{}",
            made.message()
        );
        work_in_random_order(
            &mut rng,
            &store,
            &mut server,
            &[(&items, made.text("/batch/id"))],
            ClaimedChunks::new(),
        );
    }
}

#[test]
fn allow_lets_every_chunk_be_claimed() {
    let mut rng = Rng::seeded("allow");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("TASKTALLY_ROUNDS", 10) {
        let items = random_items(&mut rng, "k");
        let made = create_batch(&mut server, &items, "allow", 1, &format!("p{round}")).ok();
        for _ in 0..items.touched.len() {
            server.call("claim_task", json!({"worker": "w", "batch": made.text("/batch/id")})).ok();
        }
    }
}

#[test]
fn a_second_batch_applies_its_own_rule_to_the_chunks_of_the_first() {
    let mut rng = Rng::seeded("two batches");
    let store = Store::new();
    let mut server = store.serve();
    for round in 0..rounds("TASKTALLY_ROUNDS", 20) {
        let project = format!("p{round}");
        let (one, other) = (random_items(&mut rng, "k"), random_items(&mut rng, "l"));
        let first = create_batch(&mut server, &one, "serialize", 2, &project).ok().text("/batch/id");
        let all = |items: &ConflictItems| items.touched_by(&items.touched.keys().cloned().collect());
        let have_conflict = overlap(&all(&one), &all(&other));
        let refused = create_batch(&mut server, &other, "reject", 100, &project);
        assert_eq!(
            !refused.succeeded(),
            have_conflict,
            "{:?} {:?}: {}",
            one.values,
            other.values,
            refused.message()
        );
        if have_conflict {
            assert!(refused.message().contains(&format!("chunk {first}.")), "{}", refused.message());
        } else {
            let id = refused.text("/batch/id");
            server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
        }
        create_batch(&mut server, &other, "reject", 100, &format!("q{round}")).ok();
        let rule = ["serialize", "merge"][rng.below(2) as usize];
        let second = create_batch(&mut server, &other, rule, 2, &project).ok();
        assert_eq!(have_conflict, second.message().contains("running batches"), "{}", second.message());
        let second = second.text("/batch/id");
        work_in_random_order(
            &mut rng,
            &store,
            &mut server,
            &[(&one, first), (&other, second)],
            ClaimedChunks::new(),
        );
    }
}
