//! The claim protocol as a model: every state that a few workers, a wire that delays, loses and repeats,
//! crashes and a clock that jumps can bring a task into. Each promise is also broken on purpose, and a
//! run that breaks it must be found.
//!
//! `TASKTALLY_ROUNDS` above 1 looks at a larger world, at most so many million transitions of its nine. With `TASKTALLY_EXPLORE=localhost:3000` the model can be
//! stepped through in a browser.

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tasktally::model::batch::LONGEST_REST_SECONDS;
use tasktally::model::limits::FARTHEST_LEASE_SECONDS;
use tasktally::model::status::{Outcome, Release, Status};

use crate::reference_model::{Answer, Broken, Fence, ReferenceModel, Request, SECOND};
use crate::support::rounds;

const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const JUMPS: [i64; 4] = [HOUR, -HOUR, DAY, -DAY];
/// A moment to begin at.
const START: i64 = 20_000 * DAY;

/// How large a world is looked at.
#[derive(Clone)]
struct World {
    workers: usize,
    tasks: usize,
    /// How often the clock may jump.
    jumps: u8,
    /// How often a claim may be won.
    claims: u8,
    /// How many requests may be on their way.
    wire: usize,
    /// Whether a worker renews its lease by a request of its own.
    renews: bool,
    broken: Broken,
}

/// What a worker knows: the claim that it was told it won.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Worker {
    /// The request that it waits to be answered; it hears no other answer.
    waits: Option<Request>,
    holds: Option<(usize, Fence, Serial)>,
}

/// A claim that was won, of all that were: what no token can hide.
type Serial = u8;

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Sent {
    worker: usize,
    serial: Serial,
    request: Request,
    /// Whether it was carried out before: once more must change nothing.
    is_done: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    reference_model: ReferenceModel,
    workers: Vec<Worker>,
    wire: BTreeSet<Sent>,
    jumps: u8,
    claims: Serial,
    /// Which claim of each task was won last.
    last: Vec<Serial>,
    fouls: BTreeSet<Foul>,
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Foul {
    Robbed,
    CountedLate,
    CompletedTwice,
    DoneTwice,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Send(usize, Request),
    /// `heard`: the answer comes through; `again`: the request comes once more.
    Deliver {
        sent: Sent,
        heard: bool,
        again: bool,
    },
    /// A worker no longer waits for an answer; its request may still arrive.
    GoOn(usize),
    Crash(usize),
    Jump(i64),
}

/// Whether a request that can be repeated was carried out, or kept.
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
        self.wire.remove(sent);
        let before = self.reference_model.clone();
        let answer = self.reference_model.handle(&sent.request);
        self.judge(&before, sent, &answer);
        if again {
            self.wire.insert(Sent { is_done: is_done(&sent.request, &answer), ..sent.clone() });
        }
        if let Answer::Claimed { task, generation } = answer {
            self.claims += 1;
            self.last[task] = self.claims;
            if heard {
                self.workers[sent.worker].holds = Some((task, generation, self.claims));
            }
        }
        let worker = &mut self.workers[sent.worker];
        if heard {
            worker.waits = None;
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

    /// Takes note of what must not be: by who won which claim, not by tokens.
    fn judge(&mut self, before: &ReferenceModel, sent: &Sent, answer: &Answer) {
        let is_held = |task: usize| {
            let entry = &before.entries[task];
            entry.status == Status::InProgress
                && entry.claim.as_ref().is_some_and(|held| {
                    before.now < held.expires && held.expires - before.now <= FARTHEST_LEASE_SECONDS * SECOND
                })
        };
        let is_holder = |task: usize| is_held(task) && self.last[task] == sent.serial;
        let mut seen = Vec::new();
        match (sent.request, answer) {
            (_, Answer::Claimed { task, .. }) if is_held(*task) => seen.push(Foul::Robbed),
            (Request::Settle { task, .. }, Answer::Receipt { duplicate: false, .. }) if !is_holder(task) => {
                seen.push(Foul::CountedLate);
            }
            (Request::Complete { task, .. }, Answer::Completed { repeated: false }) => {
                if !is_holder(task) {
                    seen.push(Foul::CountedLate);
                }
                if self.reference_model.entries[task].completions > 1 {
                    seen.push(Foul::CompletedTwice);
                }
            }
            _ => {}
        }
        if sent.is_done && before.entries != self.reference_model.entries {
            seen.push(Foul::DoneTwice);
        }
        self.fouls.extend(seen);
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            reference_model: ReferenceModel::new(&vec![1; self.tasks], START, 100, self.broken),
            workers: vec![Worker::default(); self.workers],
            wire: BTreeSet::new(),
            jumps: 0,
            claims: 0,
            last: vec![0; self.tasks],
            fouls: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, worker) in state.workers.iter().enumerate() {
            if worker.waits.is_some() {
                actions.push(Action::GoOn(number));
            } else if state.wire.len() < self.wire {
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
                                Request::Release { task, fence: fenced, outcome: Release::Retry },
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
        for sent in &state.wire {
            // One that comes a third time tells nothing that the second did not.
            let (is_first, is_awaited) =
                (!sent.is_done, state.workers[sent.worker].waits == Some(sent.request));
            let deliver = |heard, again| Action::Deliver { sent: sent.clone(), heard, again };
            actions.push(deliver(is_awaited, false));
            if is_first {
                // Whoever heard no answer sends it once more; else the wire does.
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
                state.workers[worker].waits = Some(request);
                state.wire.insert(Sent { worker, serial, request, is_done: false });
            }
            Action::Deliver { sent, heard, again } => state.deliver(&sent, heard, again),
            Action::GoOn(worker) => state.workers[worker].waits = None,
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
            Property::always(ACCEPTED_ONCE, |_, state: &State| !state.fouls.contains(&Foul::CompletedTwice)),
            Property::always(LATE_COUNTS_FOR_NOTHING, |_, state: &State| {
                !state.fouls.contains(&Foul::CountedLate)
            }),
            Property::always(NOBODY_IS_ROBBED, |_, state: &State| !state.fouls.contains(&Foul::Robbed)),
            Property::always(REPEATED_CHANGES_NOTHING, |_, state: &State| {
                !state.fouls.contains(&Foul::DoneTwice)
            }),
            Property::always(NOTHING_IS_STRANDED, |_, state: &State| {
                // Now, or by this clock: a lease that ends too far ahead does not hold until that is near.
                let moments = [0, (FARTHEST_LEASE_SECONDS + LONGEST_REST_SECONDS) * SECOND];
                (0..state.reference_model.entries.len()).all(|task| {
                    state.reference_model.entries[task].status.is_terminal()
                        || moments.iter().any(|passed| {
                            let mut then = state.reference_model.clone();
                            then.now += passed;
                            matches!(
                                then.handle(&Request::Claim { task, lease: HOUR }),
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
const LATE_COUNTS_FOR_NOTHING: &str = "nothing counts but what the holder of the claim said";
const NOBODY_IS_ROBBED: &str = "no claim is won while another one's lease holds";
const REPEATED_CHANGES_NOTHING: &str = "a request that is repeated changes nothing";
const NOTHING_IS_STRANDED: &str = "a task can be claimed, now or after the longest lease and rest";

/// A world that is small, and one that takes a while.
fn world(broken: Broken) -> World {
    if rounds("TASKTALLY_ROUNDS", 1) > 1 {
        World { workers: 2, tasks: 1, jumps: 2, claims: 2, wire: 2, renews: true, broken }
    } else {
        World { workers: 2, tasks: 1, jumps: 1, claims: 2, wire: 2, renews: false, broken }
    }
}

#[test]
fn no_order_of_requests_crashes_and_jumps_breaks_a_promise() {
    if let Ok(address) = std::env::var("TASKTALLY_EXPLORE") {
        world(Broken::No).checker().serve(address);
        return;
    }
    let began = Instant::now();
    // What is near is looked at first: a small machine need not remember all of the larger world.
    let most = rounds("TASKTALLY_ROUNDS", 1) * 1_000_000;
    let checker = world(Broken::No).checker().threads(2).target_state_count(most).spawn_bfs().join();
    checker.assert_properties();
    let is_all = checker.state_count() < most;
    assert!(is_all || most > 1_000_000, "the small world is looked at whole");
    println!(
        "no_order_of_requests_crashes_and_jumps_breaks_a_promise: {} {} states ({} transitions), up to {} steps deep, {:.0?}",
        if is_all { "all" } else { "the nearest" },
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed()
    );
}

#[test]
fn a_protocol_without_one_of_its_rules_breaks_its_promise() {
    for (broken, promise) in [
        (Broken::Blind, ACCEPTED_ONCE),
        (Broken::Unfenced, LATE_COUNTS_FOR_NOTHING),
        (Broken::SameGeneration, LATE_COUNTS_FOR_NOTHING),
        (Broken::NoLease, NOBODY_IS_ROBBED),
        (Broken::EndlessLease, NOTHING_IS_STRANDED),
        (Broken::FarLease, NOTHING_IS_STRANDED),
        (Broken::Forgetful, REPEATED_CHANGES_NOTHING),
    ] {
        let small = World { workers: 2, tasks: 1, jumps: 1, claims: 2, wire: 2, renews: false, broken };
        let found = HasDiscoveries::AllOf([promise].into());
        let checker = small.checker().threads(2).finish_when(found).spawn_bfs().join();
        let path = checker.discovery(promise);
        let path = path.unwrap_or_else(|| panic!("{broken:?}: nothing breaks '{promise}'"));
        let steps = path.into_actions();
        println!(
            "{broken:?}: '{promise}' is broken after {} steps, of {} states looked at",
            steps.len(),
            checker.unique_state_count()
        );
    }
}
