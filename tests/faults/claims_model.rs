//! The claim protocol as a model, checked in every state that workers, a network that delays, loses and repeats
//! requests, crashes and clock jumps can lead to. Each rule is also broken on purpose, and the checker must find that
//! a promise is broken.
//!
//! With `TASKTALLY_ROUNDS` above 1 a larger model is checked, up to that many million transitions of its nine million.
//! `TASKTALLY_EXPLORE=localhost:3000` serves the model for a browser.

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tasktally::model::batch::MAX_BACKOFF_SECONDS;
use tasktally::model::limits::MAX_LEASE_AHEAD_SECONDS;
use tasktally::model::status::{Outcome, ReleaseOutcome, Status};

use crate::broken_rules::Broken;
use crate::reference_model::{Answer, Fence, ReferenceModel, Request, SECOND};
use crate::support::rounds;

const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
// The longer jumps exceed the longest lease and backoff together.
const JUMPS: [i64; 4] = [HOUR, -HOUR, 2 * DAY, -2 * DAY];
/// The time at the start.
const START: i64 = 20_000 * DAY;

/// The size of the model.
#[derive(Clone)]
struct ClaimModel {
    workers: usize,
    tasks: usize,
    /// How often the clock may jump.
    jumps: u8,
    /// How often a claim may be won.
    claims: u8,
    /// How many requests may be in the network.
    network: usize,
    /// Whether workers send requests that only renew the lease.
    renews: bool,
    broken: Broken,
}

/// What a worker knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Worker {
    /// The request whose answer it waits for. It ignores other answers.
    awaits: Option<Request>,
    /// The claim that it won: task, token and number.
    holds: Option<(usize, Fence, Serial)>,
}

/// The number of a claim among all that were won. Unlike a token it is never reused.
type Serial = u8;

/// A request in the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Sent {
    worker: usize,
    serial: Serial,
    request: Request,
    /// Whether it was carried out before, so that it must change nothing now.
    is_done: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    reference_model: ReferenceModel,
    workers: Vec<Worker>,
    network: BTreeSet<Sent>,
    jumps: u8,
    claims: Serial,
    /// The number of the newest claim of each task.
    newest: Vec<Serial>,
    violations: BTreeSet<Violation>,
}

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Violation {
    ClaimedTwice,
    CountedLate,
    CompletedTwice,
    RepeatChangedState,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Send(usize, Request),
    /// `heard`: the answer arrives; `again`: the request is delivered once more later.
    Deliver {
        sent: Sent,
        heard: bool,
        again: bool,
    },
    /// A worker stops waiting for an answer. Its request may still arrive.
    StopWaiting(usize),
    Crash(usize),
    Jump(i64),
}

/// Whether a repeatable request was carried out or its receipt was kept.
fn is_done(request: &Request, answer: &Answer) -> bool {
    match answer {
        Answer::Receipt { .. } | Answer::Refused { receipt: Some(_), .. } => {
            matches!(request, Request::Settle { key: Some(_), .. })
        }
        Answer::Completed { .. } => true,
        _ => false,
    }
}

impl State {
    fn deliver(&mut self, sent: &Sent, heard: bool, again: bool) {
        self.network.remove(sent);
        let before = self.reference_model.clone();
        let answer = self.reference_model.handle(&sent.request);
        self.check(&before, sent, &answer);
        if again {
            self.network.insert(Sent { is_done: is_done(&sent.request, &answer), ..sent.clone() });
        }
        if let Answer::Claimed { task, generation } = answer {
            self.claims += 1;
            self.newest[task] = self.claims;
            if heard {
                self.workers[sent.worker].holds = Some((task, generation, self.claims));
            }
        }
        let worker = &mut self.workers[sent.worker];
        if heard {
            worker.awaits = None;
        }
        let is_over = match &answer {
            Answer::Refused { code, .. } => *code == "claim_lost",
            Answer::Completed { .. } => true,
            Answer::Done => matches!(sent.request, Request::Release { .. }),
            _ => false,
        };
        if heard && is_over && worker.holds.is_some_and(|(_, _, serial)| serial == sent.serial) {
            worker.holds = None;
        }
    }

    /// Records broken promises. It compares the numbers of claims, not tokens.
    fn check(&mut self, before: &ReferenceModel, sent: &Sent, answer: &Answer) {
        let is_held = |task: usize| {
            let entry = &before.entries[task];
            entry.status == Status::InProgress
                && entry.claim.as_ref().is_some_and(|held| {
                    before.now < held.expires && held.expires - before.now <= MAX_LEASE_AHEAD_SECONDS * SECOND
                })
        };
        let is_holder = |task: usize| is_held(task) && self.newest[task] == sent.serial;
        let mut found = Vec::new();
        match (sent.request, answer) {
            (_, Answer::Claimed { task, .. }) if is_held(*task) => found.push(Violation::ClaimedTwice),
            (Request::Settle { task, .. }, Answer::Receipt { duplicate: false, .. }) if !is_holder(task) => {
                found.push(Violation::CountedLate);
            }
            (Request::Complete { task, .. }, Answer::Completed { repeated: false }) => {
                if !is_holder(task) {
                    found.push(Violation::CountedLate);
                }
                if self.reference_model.entries[task].completions > 1 {
                    found.push(Violation::CompletedTwice);
                }
            }
            _ => {}
        }
        if sent.is_done && before.entries != self.reference_model.entries {
            found.push(Violation::RepeatChangedState);
        }
        self.violations.extend(found);
    }
}

impl Model for ClaimModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            reference_model: ReferenceModel::new(&vec![1; self.tasks], START, 100, self.broken),
            workers: vec![Worker::default(); self.workers],
            network: BTreeSet::new(),
            jumps: 0,
            claims: 0,
            newest: vec![0; self.tasks],
            violations: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, worker) in state.workers.iter().enumerate() {
            if worker.awaits.is_some() {
                actions.push(Action::StopWaiting(number));
            } else if state.network.len() < self.network {
                let send = |request| Action::Send(number, request);
                match worker.holds {
                    None => actions.extend(
                        (0..self.tasks)
                            .filter(|_| state.claims < self.claims)
                            .map(|task| send(Request::Claim { task, lease: HOUR })),
                    ),
                    Some((task, fence, serial)) => {
                        let outcome = [Outcome::Done, Outcome::Failed][number % 2];
                        let key = Some(u32::from(serial));
                        let fenced = Some(fence);
                        actions.extend(
                            [
                                Request::Settle { task, fence: fenced, item: 0, outcome, key },
                                Request::Complete { task, fence: fenced, force: false },
                                Request::Release { task, fence: fenced, outcome: ReleaseOutcome::Retry },
                            ]
                            .map(send),
                        );
                        actions.extend(self.renews.then(|| send(Request::Renew { task, fence })));
                    }
                }
            }
            if worker.holds.is_some() {
                actions.push(Action::Crash(number));
            }
        }
        for sent in &state.network {
            // A third delivery cannot show anything that the second did not.
            let (is_first, is_awaited) =
                (!sent.is_done, state.workers[sent.worker].awaits == Some(sent.request));
            let deliver = |heard, again| Action::Deliver { sent: sent.clone(), heard, again };
            actions.push(deliver(is_awaited, false));
            if is_first {
                // The worker sends the request again because it got no answer, or the network repeats it.
                actions.push(deliver(false, true));
            }
            if is_first && is_awaited {
                actions.push(deliver(true, true));
            }
        }
        if state.jumps < self.jumps {
            actions.extend(JUMPS.map(Action::Jump));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Send(worker, request) => {
                let serial = state.workers[worker].holds.map_or(0, |(_, _, serial)| serial);
                state.workers[worker].awaits = Some(request);
                state.network.insert(Sent { worker, serial, request, is_done: false });
            }
            Action::Deliver { sent, heard, again } => state.deliver(&sent, heard, again),
            Action::StopWaiting(worker) => state.workers[worker].awaits = None,
            Action::Crash(worker) => state.workers[worker] = Worker::default(),
            Action::Jump(by) => {
                state.jumps += 1;
                state.reference_model.now += by;
            }
        }
        Some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.claims <= self.claims
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ACCEPTED_ONCE, |_, state: &State| {
                !state.violations.contains(&Violation::CompletedTwice)
            }),
            Property::always(LATE_RECEIPTS_DO_NOT_COUNT, |_, state: &State| {
                !state.violations.contains(&Violation::CountedLate)
            }),
            Property::always(LIVE_CLAIMS_ARE_SAFE, |_, state: &State| {
                !state.violations.contains(&Violation::ClaimedTwice)
            }),
            Property::always(REPEATS_CHANGE_NOTHING, |_, state: &State| {
                !state.violations.contains(&Violation::RepeatChangedState)
            }),
            Property::always(TASKS_STAY_CLAIMABLE, |_, state: &State| {
                // Now, or after the longest lease and backoff. A lease that ends further ahead does not count as live.
                let waits = [0, (MAX_LEASE_AHEAD_SECONDS + MAX_BACKOFF_SECONDS) * SECOND];
                (0..state.reference_model.entries.len()).all(|task| {
                    state.reference_model.entries[task].status.is_terminal()
                        || waits.iter().any(|wait| {
                            let mut later = state.reference_model.clone();
                            later.now += wait;
                            matches!(
                                later.handle(&Request::Claim { task, lease: HOUR }),
                                Answer::Claimed { .. }
                            )
                        })
                })
            }),
            Property::sometimes("a task is completed", |_, state: &State| {
                state.reference_model.entries.iter().any(|entry| entry.completions > 0)
            }),
            Property::sometimes("a claim is taken over", |_, state: &State| {
                state.reference_model.entries.iter().any(|entry| entry.generation > 1)
            }),
            Property::sometimes("a late receipt is kept", |_, state: &State| {
                state.reference_model.kept_late() > 0
            }),
        ]
    }
}

const ACCEPTED_ONCE: &str = "a task's completion is accepted once";
const LATE_RECEIPTS_DO_NOT_COUNT: &str = "only receipts of the holder of the claim count";
const LIVE_CLAIMS_ARE_SAFE: &str = "no claim is won while the lease of another claim is live";
const REPEATS_CHANGE_NOTHING: &str = "a repeated request changes nothing";
const TASKS_STAY_CLAIMABLE: &str = "a task can be claimed, now or after the longest lease and backoff";

/// A small model for CI and a larger one for `just faults`.
fn model(broken: Broken) -> ClaimModel {
    if rounds("TASKTALLY_ROUNDS", 1) > 1 {
        ClaimModel { workers: 2, tasks: 1, jumps: 2, claims: 2, network: 2, renews: true, broken }
    } else {
        ClaimModel { workers: 2, tasks: 1, jumps: 1, claims: 2, network: 2, renews: false, broken }
    }
}

#[test]
fn no_order_of_requests_crashes_and_jumps_breaks_a_promise() {
    if let Ok(address) = std::env::var("TASKTALLY_EXPLORE") {
        model(Broken::No).checker().serve(address);
        return;
    }
    let start = Instant::now();
    // Breadth first: a small machine need not hold all states of the larger model.
    let max_states = rounds("TASKTALLY_ROUNDS", 1) * 1_000_000;
    let checker = model(Broken::No).checker().threads(2).target_state_count(max_states).spawn_bfs().join();
    checker.assert_properties();
    let is_all = checker.state_count() < max_states;
    assert!(is_all || max_states > 1_000_000, "the small model was not checked completely");
    println!(
        "claims_model: {} {} states ({} transitions), up to {} steps deep, {:.0?}",
        if is_all { "all" } else { "the nearest" },
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        start.elapsed()
    );
}

#[test]
fn a_protocol_without_one_of_its_rules_breaks_its_promise() {
    for (broken, promise) in [
        (Broken::IgnoresStatus, ACCEPTED_ONCE),
        (Broken::IgnoresToken, LATE_RECEIPTS_DO_NOT_COUNT),
        (Broken::SameGeneration, LATE_RECEIPTS_DO_NOT_COUNT),
        (Broken::NoLease, LIVE_CLAIMS_ARE_SAFE),
        (Broken::EndlessLease, TASKS_STAY_CLAIMABLE),
        (Broken::FarLease, TASKS_STAY_CLAIMABLE),
        (Broken::ForgetsKeys, REPEATS_CHANGE_NOTHING),
    ] {
        let small =
            ClaimModel { workers: 2, tasks: 1, jumps: 1, claims: 2, network: 2, renews: false, broken };
        let found = HasDiscoveries::AllOf([promise].into());
        let checker = small.checker().threads(2).finish_when(found).spawn_bfs().join();
        let path = checker.discovery(promise);
        let path = path.unwrap_or_else(|| panic!("{broken:?}: nothing breaks '{promise}'"));
        let steps = path.into_actions();
        println!(
            "{broken:?}: '{promise}' is broken after {} steps, after {} states",
            steps.len(),
            checker.unique_state_count()
        );
    }
}
