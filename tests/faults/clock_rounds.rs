//! Random jumps under random requests: three servers, each by a clock of its own, that are asked with every
//! token there ever was. Held to promises alone, not to a reference.
//!
//! `TASKTALLY_ROUNDS` asks for more rounds, `TASKTALLY_SEED` for the same ones again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::clock::{assert_each_item_once, batch, claim, receipt};
use crate::fake_clock::{DAY, FakeClock, HOUR, MINUTE};
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::server::Server;
use crate::support::store::Store;

const SERVERS: usize = 3;
const ITEMS: usize = 9;
const TURNS: usize = 80;

/// A claim that was won once: it may be over since.
struct Won {
    chunk: String,
    token: Value,
    keys: Vec<Value>,
}

/// What was accepted.
#[derive(Default)]
struct Accepted {
    completions: BTreeMap<String, u64>,
    items: BTreeMap<String, u64>,
    /// Tokens that were answered to be lost while another held the chunk: over for good.
    superseded: BTreeSet<String>,
    lost: u64,
}

impl Accepted {
    /// Takes note of an answer to what came with a token.
    fn note(&mut self, won: &Won, newest: bool, answer: &Value, item: Option<&Value>) {
        let token = won.token.to_string();
        if answer["code"] == "claim_lost" {
            self.lost += 1;
            if !newest {
                self.superseded.insert(token);
            }
            return;
        }
        if answer["success"] != true || answer["duplicate"] == true {
            return;
        }
        assert!(newest, "a token was accepted after a newer claim was won: {answer}");
        assert!(!self.superseded.contains(&token), "a lost token was accepted: {answer}");
        match item {
            Some(item) => *self.items.entry(item.to_string()).or_default() += 1,
            None => *self.completions.entry(won.chunk.clone()).or_default() += 1,
        }
    }
}

fn is_newest(all: &[Won], one: &Won) -> bool {
    all.iter().rev().find(|won| won.chunk == one.chunk).is_some_and(|newest| newest.token == one.token)
}

/// One request of somebody.
fn act(rng: &mut Rng, server: &mut Server, batch: &str, all: &mut Vec<Won>, accepted: &mut Accepted) {
    let lease = [MINUTE, 30 * MINUTE, DAY][rng.below(3) as usize];
    if all.is_empty() || rng.below(4) == 0 {
        if let Some((chunk, token, keys)) = claim(server, batch, lease) {
            all.push(Won { chunk, token, keys });
        }
        return;
    }
    // Most often one of the latest.
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
            let answer = server.call("complete_task", json!({"id": won.chunk, "claim": won.token}));
            accepted.note(won, newest, &answer, None);
        }
        _ => {
            let key = won.keys[rng.below(won.keys.len() as u64) as usize].clone();
            let answer = server.call("update_task", receipt(&won.chunk, &won.token, &key));
            accepted.note(won, newest, &answer, Some(&key));
        }
    }
}

/// Claims and completes what can be claimed.
fn work(server: &mut Server, batch: &str, accepted: &mut Accepted) {
    while let Some((chunk, token, keys)) = claim(server, batch, HOUR) {
        for key in &keys {
            server.call("update_task", receipt(&chunk, &token, key)).ok();
            *accepted.items.entry(key.to_string()).or_default() += 1;
        }
        server.call("complete_task", json!({"id": chunk, "claim": token})).ok();
        *accepted.completions.entry(chunk).or_default() += 1;
    }
}

/// By whichever clock: what cannot be claimed now can be after the longest lease and rest.
fn finish(fake_clock: &FakeClock, server: &mut Server, batch: &str, accepted: &mut Accepted) {
    work(server, batch, accepted);
    fake_clock.move_to(fake_clock.moved() + DAY + 5 * MINUTE);
    work(server, batch, accepted);
}

#[test]
fn random_jumps_strand_nothing_and_let_nothing_be_accepted_twice() {
    let mut rng = Rng::seeded("random_jumps_strand_nothing");
    let (mut jumps, mut claims, mut lost, all) = (0, 0, 0, rounds("TASKTALLY_ROUNDS", 4));
    for _ in 0..all {
        let store = Store::new();
        let dials: [FakeClock; SERVERS] = std::array::from_fn(|_| FakeClock::new());
        let mut servers: [Server; SERVERS] = std::array::from_fn(|number| dials[number].serve(&store));
        let batch = batch(&mut servers[0], ITEMS, 3);
        let (mut won, mut accepted) = (Vec::new(), Accepted::default());
        for _ in 0..TURNS {
            let server = rng.below(SERVERS as u64) as usize;
            if rng.below(8) == 0 {
                let by = [HOUR, -HOUR, DAY, -DAY][rng.below(4) as usize];
                dials[server].move_to(dials[server].moved() + by);
                dials[server].assert_seen_by(&mut servers[server]);
                jumps += 1;
            }
            act(&mut rng, &mut servers[server], &batch, &mut won, &mut accepted);
        }
        let last = rng.below(SERVERS as u64) as usize;
        finish(&dials[last], &mut servers[last], &batch, &mut accepted);
        assert_eq!((accepted.completions.len(), accepted.items.len()), (ITEMS / 3, ITEMS));
        let twice = accepted.completions.values().chain(accepted.items.values()).any(|times| *times != 1);
        assert!(!twice, "accepted twice: {:?} {:?}", accepted.completions, accepted.items);
        assert_each_item_once(&store, &mut servers[last], &batch, ITEMS);
        (claims, lost) = (claims + won.len(), lost + accepted.lost);
    }
    println!(
        "random_jumps_strand_nothing: {all} rounds, {jumps} jumps, {claims} claims, {lost} writes refused as lost"
    );
    assert!(jumps > 0 && lost > 0, "{jumps} jumps, {lost} writes of lost claims: nothing was tested");
}
