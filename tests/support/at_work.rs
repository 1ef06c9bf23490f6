//! Random batches whose items touch things, and who may be at work on them, by a slow and obvious reference.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::reply::Reply;
use super::rng::Rng;
use super::server::Server;
use super::store::Store;
use super::touch::{parts, path, touch_the_same};

/// Items with what they touch, in the order of their keys.
pub(crate) struct Items(pub(crate) BTreeMap<String, Vec<Vec<String>>>, pub(crate) Vec<Value>);

/// Chunks that are being worked on: of which batch, what they touch, their token.
pub(crate) type AtWork = BTreeMap<String, (usize, Vec<Vec<String>>, Value)>;

/// Random items whose keys begin with a prefix.
pub(crate) fn items(rng: &mut Rng, prefix: &str) -> Items {
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
    /// The same number for items that something joins, by taking on the smaller one until nothing changes.
    pub(crate) fn components(&self) -> BTreeMap<&String, usize> {
        let mut component: BTreeMap<&String, usize> = self.0.keys().zip(0..).collect();
        loop {
            let before = component.clone();
            for (one, ones) in &self.0 {
                for (other, others) in &self.0 {
                    if touch_the_same(ones, others) {
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

    /// What these items touch.
    pub(crate) fn of(&self, keys: &BTreeSet<String>) -> Vec<Vec<String>> {
        keys.iter().flat_map(|key| self.0[key].clone()).collect()
    }
}

/// Makes a batch of them.
pub(crate) fn create(server: &mut Server, items: &Items, rule: &str, max_chunk: u64, project: &str) -> Reply {
    server.call(
        "create_batch",
        json!({"title": "B", "instructions": "do", "items": items.1, "max_chunk": max_chunk,
               "on_conflict": rule, "project": project, "max_attempts": 100}),
    )
}

/// The keys of each chunk of a batch, as they are stored.
pub(crate) fn chunks(store: &Store, batch: &str) -> BTreeMap<String, BTreeSet<String>> {
    let sql = store.sql();
    let mut found = sql
        .prepare(
            "SELECT t.id, i.key FROM item i JOIN task t ON t.row_id = i.chunk WHERE i.batch = (SELECT row_id FROM task WHERE id = ?1)",
        )
        .unwrap();
    let mut chunks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in found.query_map([batch], |row| Ok((row.get(0)?, row.get(1)?))).unwrap() {
        let (chunk, key): (String, String) = row.unwrap();
        chunks.entry(chunk).or_default().insert(key);
    }
    chunks
}

/// Claims and completes chunks of batches in a random order, and holds who is let at work to the reference.
pub(crate) fn work_at_random(
    rng: &mut Rng,
    store: &Store,
    server: &mut Server,
    batches: &[(&Items, String)],
    mut at_work: AtWork,
) {
    let mut waiting: BTreeMap<String, (usize, Vec<Vec<String>>)> = BTreeMap::new();
    for (batch, (items, id)) in batches.iter().enumerate() {
        for (chunk, keys) in chunks(store, id) {
            if !at_work.contains_key(&chunk) && !has_ended(store, &chunk) {
                waiting.insert(chunk, (batch, items.of(&keys)));
            }
        }
    }
    while !waiting.is_empty() || !at_work.is_empty() {
        let blocked = |touched: &[Vec<String>], at_work: &AtWork| {
            at_work.values().any(|(_, theirs, _)| touch_the_same(touched, theirs))
        };
        if rng.below(2) == 0 && !at_work.is_empty() {
            let chunk = at_work.keys().nth(rng.below(at_work.len() as u64) as usize).unwrap().clone();
            let (batch, touched, claim) = at_work.remove(&chunk).unwrap();
            if rng.below(3) == 0 {
                server.call("release_task", json!({"id": chunk, "claim": claim, "reason": "later"})).ok();
                // It would rest before it is tried again: the test does not wait for that.
                let rested = "UPDATE task SET blocker_count = blocker_count - hold_count, hold_count = 0, held_until = NULL WHERE id = ?1";
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
            if blocked(&touched, &at_work) {
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
            let free = waiting.values().any(|(of, touched)| *of == batch && !blocked(touched, &at_work));
            let id = &batches[batch].1;
            let listed = server.call("list_tasks", json!({"batch": id, "ready": true, "limit": 0})).ok();
            let ready = waiting.values().filter(|(of, touched)| *of == batch && !blocked(touched, &at_work));
            assert_eq!(listed.count("/total"), ready.count() as u64);
            let reply = server.call("claim_task", json!({"worker": "w", "batch": id}));
            if free {
                let reply = reply.ok();
                let chunk = reply.text("/task/id");
                let (batch, touched) = waiting.remove(&chunk).unwrap();
                assert!(!blocked(&touched, &at_work), "{chunk} {touched:?} {at_work:?}");
                at_work.insert(chunk, (batch, touched, reply["claim"]["token"].clone()));
            } else {
                assert_eq!(reply.answer(), "nothing_to_claim");
            }
        }
    }
    let left: i64 =
        store.sql().query_row("SELECT count(*) FROM resource_in_use", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "nobody is at work");
}

/// Whether a chunk is done, failed or cancelled.
pub(crate) fn has_ended(store: &Store, chunk: &str) -> bool {
    let ended = "SELECT status IN ('done', 'failed', 'cancelled') FROM task WHERE id = ?1";
    store.sql().query_row(ended, [chunk], |row| row.get(0)).unwrap()
}
