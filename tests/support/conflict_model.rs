//! Random batches whose items touch resources, and a slow and obvious reference for which chunks can be claimed
//! together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::reply::Reply;
use super::resources::{overlap, path_parts, random_path};
use super::rng::Rng;
use super::server::Server;
use super::store::Store;

/// Items and the resources that each touches.
pub(crate) struct ConflictItems {
    /// The paths that each item touches, by its key.
    pub(crate) touched: BTreeMap<String, Vec<Vec<String>>>,
    /// The items as `create_batch` takes them.
    pub(crate) values: Vec<Value>,
}

/// The claimed chunks: the number of their batch, the paths that they touch, their token.
pub(crate) type ClaimedChunks = BTreeMap<String, (usize, Vec<Vec<String>>, Value)>;

/// Random items whose keys start with a prefix.
pub(crate) fn random_items(rng: &mut Rng, prefix: &str) -> ConflictItems {
    let (mut touched, mut values) = (BTreeMap::new(), Vec::new());
    let spread = 1 + rng.below(4);
    for number in 0..1 + rng.below(14) {
        let key = format!("{prefix}{number:02}");
        let mut paths: Vec<String> = Vec::new();
        for _ in 0..rng.below(3) {
            let top = rng.below(spread * 4);
            paths.push(format!("{top}/{}", random_path(rng).trim_start_matches('/')));
        }
        if rng.below(20) == 0 {
            paths.push(random_path(rng));
        }
        values.push(match paths.as_slice() {
            [] => json!({"key": key}),
            [one] if rng.below(2) == 0 => json!({"key": key, "files": one, "kind": rng.below(3)}),
            many => json!({"key": key, "files": many, "kind": rng.below(3)}),
        });
        touched.insert(key, paths.iter().map(|path| path_parts(path)).collect());
    }
    ConflictItems { touched, values }
}

impl ConflictItems {
    /// Numbers the connected components: items have the same number if they touch the same, directly or through
    /// other items. Each item takes the smallest number of the items it overlaps until nothing changes.
    pub(crate) fn components(&self) -> BTreeMap<&String, usize> {
        let mut component: BTreeMap<&String, usize> = self.touched.keys().zip(0..).collect();
        loop {
            let before = component.clone();
            for (one, ones) in &self.touched {
                for (other, others) in &self.touched {
                    if overlap(ones, others) {
                        let least = component[one].min(component[other]);
                        component.insert(one, least);
                        component.insert(other, least);
                    }
                }
            }
            if component == before {
                return component;
            }
        }
    }

    /// The paths that these items touch.
    pub(crate) fn touched_by(&self, keys: &BTreeSet<String>) -> Vec<Vec<String>> {
        keys.iter().flat_map(|key| self.touched[key].clone()).collect()
    }
}

/// Creates a batch of the items with an `on_conflict` rule.
pub(crate) fn create_batch(
    server: &mut Server,
    items: &ConflictItems,
    rule: &str,
    max_chunk: u64,
    project: &str,
) -> Reply {
    server.call(
        "create_batch",
        json!({"title": "B", "instructions": "do", "items": items.values, "max_chunk": max_chunk,
               "on_conflict": rule, "project": project, "max_attempts": 100}),
    )
}

/// The keys of the items in each chunk of a batch, as stored.
pub(crate) fn stored_chunks(store: &Store, batch: &str) -> BTreeMap<String, BTreeSet<String>> {
    let keys = "SELECT t.id, i.key FROM item i JOIN task t ON t.row_id = i.chunk
        WHERE i.batch = (SELECT row_id FROM task WHERE id = ?1)";
    let mut chunks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (chunk, key) in store.sql().rows::<(String, String)>(keys, &[&batch]) {
        chunks.entry(chunk).or_default().insert(key);
    }
    chunks
}

/// Claims and completes the chunks of batches in a random order. Asserts that a claim succeeds if and only if the
/// reference allows it.
pub(crate) fn work_in_random_order(
    rng: &mut Rng,
    store: &Store,
    server: &mut Server,
    batches: &[(&ConflictItems, String)],
    mut claimed: ClaimedChunks,
) {
    let mut waiting: BTreeMap<String, (usize, Vec<Vec<String>>)> = BTreeMap::new();
    for (batch, (items, id)) in batches.iter().enumerate() {
        for (chunk, keys) in stored_chunks(store, id) {
            if !claimed.contains_key(&chunk) && !has_ended(store, &chunk) {
                waiting.insert(chunk, (batch, items.touched_by(&keys)));
            }
        }
    }
    while !waiting.is_empty() || !claimed.is_empty() {
        let blocked = |touched: &[Vec<String>], claimed: &ClaimedChunks| {
            claimed.values().any(|(_, theirs, _)| overlap(touched, theirs))
        };
        if rng.below(2) == 0 && !claimed.is_empty() {
            let chunk = claimed.keys().nth(rng.below(claimed.len() as u64) as usize).unwrap().clone();
            let (batch, touched, claim) = claimed.remove(&chunk).unwrap();
            if rng.below(3) == 0 {
                server.call("release_task", json!({"id": chunk, "claim": claim, "reason": "later"})).ok();
                // The chunk has a backoff before its next claim. The test clears it instead of waiting.
                store.clear_backoffs();
                waiting.insert(chunk, (batch, touched));
            } else {
                for key in &stored_chunks(store, &batches[batch].1)[&chunk] {
                    let done = json!({"id": chunk, "claim": claim, "item": key, "outcome": "done"});
                    server.call("update_task", done);
                }
                server.call("complete_task", json!({"id": chunk, "claim": claim})).ok();
            }
        } else if rng.below(2) == 0 && !waiting.is_empty() {
            let chunk = waiting.keys().nth(rng.below(waiting.len() as u64) as usize).unwrap().clone();
            let (batch, touched) = waiting[&chunk].clone();
            let reply = server.call("claim_task", json!({"worker": "w", "id": chunk}));
            if blocked(&touched, &claimed) {
                assert_eq!(reply.declined(), "not_ready");
                let is_named = claimed.keys().any(|other| reply.message().contains(other.as_str()));
                assert!(is_named, "{}", reply.message());
            } else {
                let claim = reply.ok()["claim"]["token"].clone();
                waiting.remove(&chunk);
                claimed.insert(chunk, (batch, touched, claim));
            }
        } else {
            let batch = rng.below(batches.len() as u64) as usize;
            let free = waiting.values().any(|(of, touched)| *of == batch && !blocked(touched, &claimed));
            let id = &batches[batch].1;
            let listed = server.call("list_tasks", json!({"batch": id, "ready": true, "limit": 0})).ok();
            let ready = waiting.values().filter(|(of, touched)| *of == batch && !blocked(touched, &claimed));
            assert_eq!(listed.count("/total"), ready.count() as u64);
            let reply = server.call("claim_task", json!({"worker": "w", "batch": id}));
            if free {
                let reply = reply.ok();
                let chunk = reply.text("/task/id");
                let (batch, touched) = waiting.remove(&chunk).unwrap();
                assert!(!blocked(&touched, &claimed), "{chunk} {touched:?} {claimed:?}");
                claimed.insert(chunk, (batch, touched, reply["claim"]["token"].clone()));
            } else {
                assert_eq!(reply.declined(), "nothing_to_claim");
            }
        }
    }
    let held: i64 = store.sql().row("SELECT count(*) FROM resource_in_use", &[]);
    assert_eq!(held, 0, "a resource is still held");
}

/// Whether a chunk is done, failed or cancelled.
pub(crate) fn has_ended(store: &Store, chunk: &str) -> bool {
    let ended = "SELECT status IN ('done', 'failed', 'cancelled') FROM task WHERE id = ?1";
    store.sql().row(ended, &[&chunk])
}
