//! Random clock jumps and random requests: three servers, each with its own clock, get requests with current and old
//! tokens. The test checks promises, not a reference.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds, `TASKTALLY_SEED` repeats the same ones.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::clock::{assert_each_item_once, claim_chunk, create_batch, receipt};
use crate::fake_clock::{DAY, FakeClock, HOUR, MINUTE};
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::server::Server;
use crate::support::store::Store;

const SERVERS: usize = 3;
const ITEMS: usize = 9;
const TURNS: usize = 80;

/// A claim that was won; it may have ended.
struct PastClaim {
    chunk: String,
    token: Value,
    keys: Vec<Value>,
}

/// How often each completion and item was accepted.
#[derive(Default)]
struct Accepted {
    completions: BTreeMap<String, u64>,
    items: BTreeMap<String, u64>,
    /// Tokens that were refused as lost after a newer claim was won. They must never be accepted again.
    superseded: BTreeSet<String>,
    lost: u64,
}

impl Accepted {
    /// Records the reply to a request with a token.
    fn record(&mut self, won: &PastClaim, newest: bool, reply: &Value, item: Option<&Value>) {
        let token = won.token.to_string();
        if reply["code"] == "claim_lost" {
            self.lost += 1;
            if !newest {
                self.superseded.insert(token);
            }
            return;
        }
        if reply["success"] != true || reply["duplicate"] == true {
            return;
        }
        assert!(newest, "a token was accepted after a newer claim was won: {reply}");
        assert!(!self.superseded.contains(&token), "a lost token was accepted: {reply}");
        match item {
            Some(item) => *self.items.entry(item.to_string()).or_default() += 1,
            None => *self.completions.entry(won.chunk.clone()).or_default() += 1,
        }
    }
}

/// Whether no newer claim on the same chunk was won.
fn is_newest(all: &[PastClaim], one: &PastClaim) -> bool {
    all.iter().rev().find(|won| won.chunk == one.chunk).is_some_and(|newest| newest.token == one.token)
}

/// One random request.
fn random_request(
    rng: &mut Rng,
    server: &mut Server,
    batch: &str,
    all: &mut Vec<PastClaim>,
    accepted: &mut Accepted,
) {
    let lease = [MINUTE, 30 * MINUTE, DAY][rng.below(3) as usize];
    if all.is_empty() || rng.below(4) == 0 {
        if let Some((chunk, token, keys)) = claim_chunk(server, batch, lease) {
            all.push(PastClaim { chunk, token, keys });
        }
        return;
    }
    // Mostly one of the three latest claims.
    let back =
        if rng.below(3) == 0 { rng.below(all.len() as u64) } else { rng.below(all.len().min(3) as u64) };
    let won = &all[all.len() - 1 - back as usize];
    let newest = is_newest(all, won);
    match rng.below(8) {
        0 => {
            let (id, claim) = (&won.chunk, &won.token);
            server.call("release_task", json!({"id": id, "claim": claim, "reason": "tired"}));
        }
        1 => drop(server.call("update_task", json!({"id": won.chunk, "claim": won.token}))),
        kind if kind < 4 || won.keys.is_empty() => {
            let reply = server.call("complete_task", json!({"id": won.chunk, "claim": won.token}));
            accepted.record(won, newest, &reply, None);
        }
        _ => {
            let key = won.keys[rng.below(won.keys.len() as u64) as usize].clone();
            let reply = server.call("update_task", receipt(&won.chunk, &won.token, &key));
            accepted.record(won, newest, &reply, Some(&key));
        }
    }
}

/// Claims and completes every chunk that can be claimed.
fn work_all(server: &mut Server, batch: &str, accepted: &mut Accepted) {
    while let Some((chunk, token, keys)) = claim_chunk(server, batch, HOUR) {
        for key in &keys {
            server.call("update_task", receipt(&chunk, &token, key)).ok();
            *accepted.items.entry(key.to_string()).or_default() += 1;
        }
        server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
        *accepted.completions.entry(chunk).or_default() += 1;
    }
}

/// Completes the batch. What cannot be claimed now can be claimed after the longest lease and backoff.
fn finish(fake_clock: &FakeClock, server: &mut Server, batch: &str, accepted: &mut Accepted) {
    work_all(server, batch, accepted);
    fake_clock.move_to(fake_clock.offset() + DAY + 5 * MINUTE);
    work_all(server, batch, accepted);
}

#[test]
fn random_clock_jumps_block_no_chunk_and_no_work_is_accepted_twice() {
    let mut rng = Rng::seeded("random_clock_jumps");
    let (mut jumps, mut claims, mut lost, all) = (0, 0, 0, rounds("TASKTALLY_ROUNDS", 4));
    for _ in 0..all {
        let store = Store::new();
        let clocks: [FakeClock; SERVERS] = std::array::from_fn(|_| FakeClock::new());
        let mut servers: [Server; SERVERS] = std::array::from_fn(|number| clocks[number].serve(&store));
        let batch = create_batch(&mut servers[0], ITEMS, 3);
        let (mut won, mut accepted) = (Vec::new(), Accepted::default());
        for _ in 0..TURNS {
            let server = rng.below(SERVERS as u64) as usize;
            if rng.below(8) == 0 {
                let by = [HOUR, -HOUR, DAY, -DAY][rng.below(4) as usize];
                clocks[server].move_to(clocks[server].offset() + by);
                clocks[server].assert_seen_by(&mut servers[server]);
                jumps += 1;
            }
            random_request(&mut rng, &mut servers[server], &batch, &mut won, &mut accepted);
        }
        let last = rng.below(SERVERS as u64) as usize;
        finish(&clocks[last], &mut servers[last], &batch, &mut accepted);
        assert_eq!((accepted.completions.len(), accepted.items.len()), (ITEMS / 3, ITEMS));
        let twice = accepted.completions.values().chain(accepted.items.values()).any(|times| *times != 1);
        assert!(!twice, "accepted twice: {:?} {:?}", accepted.completions, accepted.items);
        assert_each_item_once(&store, &mut servers[last], &batch, ITEMS);
        (claims, lost) = (claims + won.len(), lost + accepted.lost);
    }
    println!(
        "random_clock_jumps: {all} rounds, {jumps} jumps, {claims} claims, {lost} writes refused as lost"
    );
    assert!(jumps > 0 && lost > 0, "{jumps} jumps, {lost} writes of lost claims: nothing was tested");
}
