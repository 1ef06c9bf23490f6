//! The real store compared with the reference model: random operations through real servers, with kills and clock jumps
//! between them. Every reply and the stored rows after it must agree with the model. A failing case is shrunk.
//!
//! `TASKTALLY_ROUNDS` sets the number of cases, `TASKTALLY_SEED` repeats the same ones.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use serde_json::{Value, json};
use tasktally::model::status::{Outcome, ReleaseOutcome};

use crate::broken_rules::Broken;
use crate::fake_clock::{DAY, FakeClock, HOUR, MINUTE};
use crate::reference_model::{Answer, CODES, Fence, ReferenceModel, Request, SECOND, SettledItem};
use crate::support::reply::Reply;
use crate::support::rng::seed;
use crate::support::rounds;
use crate::support::server::Server;
use crate::support::sql::Sql;
use crate::support::store::Store;

/// The number of items of each task: two tasks without items and two chunks of one batch.
const ITEMS: [usize; 4] = [0, 0, 2, 2];
/// The clock stands still between jumps, so that the model knows the time to the millisecond.
const START: i64 = 1_800_000_000_000;
const MAX_ATTEMPTS: i64 = 3;
const SERVERS: usize = 2;

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A request to one of the servers.
    Ask(usize, Request),
    /// A request to a server that is killed before its reply; the request is repeated after the restart.
    AskDying(usize, Request),
    Kill(usize),
    /// The clock of a server jumps by this many seconds.
    Jump(usize, i64),
}

/// The model and the clock of each server.
#[derive(Debug, Clone)]
struct Reference {
    reference_model: ReferenceModel,
    clocks: [i64; SERVERS],
    /// The allowed replies to the last step.
    answers: Vec<Answer>,
    /// All requests with a key so far.
    keyed: Vec<Request>,
}

impl Reference {
    /// Whether the task has a live claim by the clock of any server.
    fn is_held(&self, task: usize) -> bool {
        let mut reference_model = self.reference_model.clone();
        self.clocks.iter().any(|now| {
            reference_model.now = *now;
            reference_model.is_held(task)
        })
    }

    fn handle(&mut self, server: usize, request: &Request) -> Answer {
        self.reference_model.now = self.clocks[server];
        if matches!(request, Request::Settle { key: Some(_), .. }) && !self.keyed.contains(request) {
            self.keyed.push(*request);
        }
        self.reference_model.handle(request)
    }
}

/// A current or old token of the task, or none.
fn fence(reference_model: &ReferenceModel, task: usize) -> BoxedStrategy<Option<Fence>> {
    let newest = reference_model.entries[task].generation;
    match reference_model.entries[task].claim.as_ref().and_then(|held| held.fence) {
        Some(held) => {
            prop_oneof![8 => Just(Some(held)), 2 => (1..=newest).prop_map(Some), 1 => Just(None)].boxed()
        }
        None => prop_oneof![(0..=newest).prop_map(Some), Just(None)].boxed(),
    }
}

fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![Just(90), Just(30 * MINUTE), Just(DAY)].prop_map(|lease| lease * SECOND)
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![4 => Just(Outcome::Done), 1 => Just(Outcome::Failed), 1 => Just(Outcome::Skipped)]
}

fn release() -> impl Strategy<Value = ReleaseOutcome> {
    prop_oneof![4 => Just(ReleaseOutcome::Retry), 1 => Just(ReleaseOutcome::Failed), 1 => Just(ReleaseOutcome::Blocked)]
}

fn completion(fences: BoxedStrategy<Option<Fence>>, task: usize) -> impl Strategy<Value = Request> {
    (fences, prop::bool::weighted(0.2)).prop_map(move |(fence, force)| Request::Complete {
        task,
        fence,
        force,
    })
}

fn settling(
    fences: BoxedStrategy<Option<Fence>>,
    task: usize,
    key: BoxedStrategy<Option<u32>>,
) -> impl Strategy<Value = Request> {
    let item = 0..ITEMS[task];
    (fences, item, outcome(), key).prop_map(move |(fence, item, outcome, key)| Request::Settle {
        task,
        fence,
        item,
        outcome,
        key,
    })
}

/// A random request about a task.
fn request(state: &Reference, task: usize) -> BoxedStrategy<Request> {
    let fences = fence(&state.reference_model, task);
    let seldom = if state.is_held(task) { 1 } else { 8 };
    let claim = lease().prop_map(move |lease| Request::Claim { task, lease });
    let renew = fences.clone().prop_map(move |fence| Request::Renew { task, fence: fence.unwrap_or(0) });
    let note = fences.clone().prop_map(move |fence| Request::Note { task, fence });
    let complete = completion(fences.clone(), task);
    let release = (fences.clone(), release()).prop_map(move |(fence, outcome)| Request::Release {
        task,
        fence,
        outcome,
    });
    if ITEMS[task] == 0 {
        let open = Just(Request::OpenClaim { task });
        let cancel = any::<bool>().prop_map(move |force| Request::Cancel { task, force });
        return prop_oneof![
            seldom * 6 => claim, 3 => open, 3 => renew, 4 => note, 4 => complete, 2 => release, 1 => cancel
        ]
        .boxed();
    }
    // A new key, no key, or a key of another request.
    let fresh = state.keyed.len() as u32;
    let key = prop_oneof![6 => Just(Some(fresh)), 3 => Just(None), 1 => (0..=fresh).prop_map(Some)].boxed();
    let next = lease().prop_map(|lease| Request::ClaimNext { lease });
    let settle = settling(fences, task, key);
    let cancel = Just(Request::CancelBatch);
    prop_oneof![
        seldom * 15 => claim,
        seldom * 15 => next,
        10 => renew,
        15 => note,
        120 => settle,
        40 => complete,
        15 => release,
        1 => cancel
    ]
    .boxed()
}

/// A random request that can be repeated after a kill.
fn repeatable(state: &Reference, task: usize) -> BoxedStrategy<Request> {
    let fences = fence(&state.reference_model, task);
    let complete = completion(fences.clone(), task);
    if ITEMS[task] == 0 {
        return complete.boxed();
    }
    let key = Just(Some(state.keyed.len() as u32)).boxed();
    prop_oneof![3 => settling(fences, task, key), 1 => complete].boxed()
}

impl ReferenceStateMachine for Reference {
    type State = Reference;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Reference> {
        let reference_model = ReferenceModel::new(&ITEMS, START, MAX_ATTEMPTS, Broken::No);
        Just(Reference { reference_model, clocks: [START; SERVERS], answers: Vec::new(), keyed: Vec::new() })
            .boxed()
    }

    fn transitions(state: &Reference) -> BoxedStrategy<Step> {
        let server = 0..SERVERS;
        let of_any = |of: fn(&Reference, usize) -> BoxedStrategy<Request>| {
            // Prefer claimed tasks.
            let weight = |task: usize| if state.is_held(task) { 5 } else { 1 };
            let tasks = (0..ITEMS.len()).map(|task| (weight(task), of(state, task)));
            prop::strategy::Union::new_weighted(tasks.collect())
        };
        let ask = (server.clone(), of_any(request)).prop_map(|(server, request)| Step::Ask(server, request));
        let dying = (server.clone(), of_any(repeatable))
            .prop_map(|(server, request)| Step::AskDying(server, request));
        let again = match state.keyed.as_slice() {
            [] => ask.clone().boxed(),
            keyed => (server.clone(), prop::sample::select(keyed.to_vec()))
                .prop_map(|(server, request)| Step::Ask(server, request))
                .boxed(),
        };
        let kill = server.clone().prop_map(Step::Kill);
        let by =
            prop::sample::select(vec![-10, 1, 10, MINUTE, 2 * MINUTE, 31 * MINUTE, HOUR, -HOUR, DAY, -DAY]);
        let jump = (server, by).prop_map(|(server, by)| Step::Jump(server, by));
        prop_oneof![80 => ask, 8 => again, 4 => dying, 2 => kill, 6 => jump].boxed()
    }

    fn apply(mut state: Reference, step: &Step) -> Reference {
        state.answers = match step {
            Step::Ask(server, request) => vec![state.handle(*server, request)],
            Step::AskDying(server, request) => {
                // The killed server may or may not have carried it out. The model must end in the same state.
                let first = state.handle(*server, request);
                let reference_model = state.reference_model.clone();
                let second = state.handle(*server, request);
                assert_eq!(state.reference_model, reference_model, "repeating {request:?} changes the model");
                vec![first, second]
            }
            Step::Kill(_) => Vec::new(),
            Step::Jump(server, by) => {
                state.clocks[*server] += by * SECOND;
                Vec::new()
            }
        };
        state
    }
}

/// The real store and its servers.
struct RealStore {
    store: Store,
    sql: Sql,
    clocks: [FakeClock; SERVERS],
    servers: [Server; SERVERS],
    batch: String,
    ids: Vec<String>,
    tokens: BTreeMap<(usize, Fence), Value>,
}

/// How often each kind of event occurred in all cases.
static EVENTS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

fn count_event(what: &'static str) {
    *EVENTS.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
}

impl RealStore {
    /// The tool call for a request.
    fn tool_call(&self, request: &Request) -> (&'static str, Value) {
        let id = |task: usize| self.ids[task].as_str();
        // A generation that never had a claim has no token.
        let token = |task: usize, fence: Option<Fence>| {
            fence.map(|fence| {
                self.tokens.get(&(task, fence)).cloned().unwrap_or_else(|| json!("no-such-token"))
            })
        };
        match *request {
            Request::Claim { task, lease } => {
                ("claim_task", json!({"id": id(task), "worker": "w", "lease_seconds": lease / SECOND}))
            }
            Request::ClaimNext { lease } => {
                ("claim_task", json!({"batch": self.batch, "worker": "w", "lease_seconds": lease / SECOND}))
            }
            Request::OpenClaim { task } => {
                ("update_task", json!({"id": id(task), "status": "in_progress", "assignee": "w"}))
            }
            Request::Renew { task, fence } => {
                ("update_task", json!({"id": id(task), "claim": token(task, Some(fence))}))
            }
            Request::Note { task, fence } => {
                ("update_task", json!({"id": id(task), "claim": token(task, fence), "body": "- a note"}))
            }
            Request::Settle { task, fence, item, outcome, key } => (
                "update_task",
                json!({"id": id(task), "claim": token(task, fence), "item": format!("{task}-{item}"),
                       "outcome": outcome.as_str(), "request_key": key.map(|key| key.to_string())}),
            ),
            Request::Complete { task, fence, force } => {
                ("complete_task", json!({"id": id(task), "claim": token(task, fence), "force": force}))
            }
            Request::Release { task, fence, outcome } => (
                "release_task",
                json!({"id": id(task), "claim": token(task, fence), "outcome": outcome.as_str(), "reason": "so"}),
            ),
            Request::Cancel { task, force } => {
                ("update_task", json!({"id": id(task), "status": "cancelled", "force": force}))
            }
            Request::CancelBatch => {
                ("control_batch", json!({"id": self.batch, "action": "cancel", "reason": "so"}))
            }
        }
    }

    /// The model's answer that corresponds to a reply.
    fn answer_of(&mut self, request: &Request, reply: &Reply) -> Answer {
        if !reply.succeeded() {
            let receipt = reply.pointer("/receipt/number").and_then(Value::as_u64);
            count_event(match (reply.code(), receipt) {
                ("claim_lost", Some(_)) => "late receipts",
                ("claim_lost", None) => "claims lost",
                _ => "other refusals",
            });
            let code = CODES.iter().find(|code| **code == reply.code());
            let code = code.unwrap_or_else(|| panic!("refused with another code: {}", reply.value));
            return Answer::Refused { code, receipt };
        }
        let repeated = reply["duplicate"] == true;
        match request {
            Request::Claim { .. } | Request::ClaimNext { .. } => {
                count_event("claims");
                let id = reply.text("/task/id");
                let task = self.ids.iter().position(|known| *known == id).expect("a known task");
                let generation = reply.count("/claim/generation");
                let token = reply["claim"]["token"].clone();
                let twice = self.tokens.values().any(|known| *known == token);
                assert!(!twice, "the same token for two claims: {}", reply.value);
                self.tokens.insert((task, generation), token);
                Answer::Claimed { task, generation }
            }
            Request::OpenClaim { task } => {
                count_event("open claims");
                Answer::Claimed { task: *task, generation: self.row(*task).0 }
            }
            Request::Note { .. } | Request::Settle { .. } => {
                count_event(if repeated { "receipts asked again" } else { "receipts" });
                Answer::Receipt { number: reply.count("/receipt/number"), duplicate: repeated }
            }
            Request::Complete { .. } => {
                count_event(if repeated { "completions asked again" } else { "completions" });
                Answer::Completed { repeated }
            }
            Request::Renew { .. }
            | Request::Release { .. }
            | Request::Cancel { .. }
            | Request::CancelBatch => Answer::Done,
        }
    }

    /// The stored generation, status, end of lease, number of receipts and end of backoff of a task.
    fn row(&self, task: usize) -> (u64, String, Option<i64>, u64, Option<i64>) {
        let sql = "SELECT generation, status, expires_at, (SELECT count(*) FROM receipt r WHERE r.task = t.row_id), held_until
                     FROM task t WHERE id = ?1";
        self.sql.row(sql, &[&self.ids[task]])
    }

    /// The stored attempts of a chunk, and the outcome and receipt of each item.
    fn chunk(&self, task: usize) -> (i64, Vec<Option<(String, u64)>>) {
        let attempts = "SELECT attempts FROM chunk c JOIN task t ON t.row_id = c.task WHERE t.id = ?1";
        let attempts = self.sql.row(attempts, &[&self.ids[task]]);
        let sql = "SELECT i.outcome, i.receipt_number FROM item i JOIN task t ON t.row_id = i.chunk WHERE t.id = ?1 ORDER BY i.key";
        let items: Vec<(Option<String>, Option<u64>)> = self.sql.rows(sql, &[&self.ids[task]]);
        (attempts, items.into_iter().map(|(outcome, receipt)| outcome.zip(receipt)).collect())
    }

    /// Asserts that everything stored agrees with the model.
    fn compare(&self, reference_model: &ReferenceModel) {
        for (task, entry) in reference_model.entries.iter().enumerate() {
            let stored = self.row(task);
            let expires = entry.claim.as_ref().map(|held| held.expires);
            let status = entry.status.as_str().to_owned();
            let expected = (entry.generation, status, expires, entry.receipts, entry.held_until);
            assert_eq!(stored, expected, "task {task}: stored and expected");
            if entry.is_chunk() {
                let settled = |item: &SettledItem| (item.outcome.as_str().to_owned(), item.receipt);
                let items: Vec<_> = entry.items.iter().map(|item| item.as_ref().map(settled)).collect();
                assert_eq!(self.chunk(task), (entry.attempts, items), "chunk {task}: stored and expected");
            }
        }
    }

    fn restart(&mut self, server: usize) {
        self.servers[server].kill();
        self.servers[server] = self.clocks[server].serve(&self.store);
    }
}

impl StateMachineTest for RealStore {
    type SystemUnderTest = RealStore;
    type Reference = Reference;

    fn init_test(_: &Reference) -> RealStore {
        let store = Store::new();
        let clocks: [FakeClock; SERVERS] = std::array::from_fn(|_| FakeClock::new());
        clocks.iter().for_each(|fake_clock| fake_clock.stop_at(START));
        let mut servers: [Server; SERVERS] = std::array::from_fn(|number| clocks[number].serve(&store));
        let mut ids: Vec<String> = Vec::new();
        let mut items = Vec::new();
        for (task, count) in ITEMS.iter().enumerate() {
            if *count == 0 {
                ids.push(servers[0].create_task("A task without a batch"));
            }
            items.extend((0..*count).map(|item| json!(format!("{task}-{item}"))));
        }
        let batch = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 2,
                           "max_attempts": MAX_ATTEMPTS});
        let made = servers[0].call("create_batch", batch).ok();
        ids.extend(
            made["chunks"]
                .as_array()
                .expect("chunks")
                .iter()
                .map(|chunk| chunk["id"].as_str().expect("an id").to_owned()),
        );
        assert_eq!(ids.len(), ITEMS.len(), "{}", made.value);
        clocks[0].assert_seen_by(&mut servers[0]);
        let (sql, batch) = (store.sql(), made.text("/batch/id"));
        RealStore { store, sql, clocks, servers, batch, ids, tokens: BTreeMap::new() }
    }

    fn apply(mut real: RealStore, state: &Reference, step: Step) -> RealStore {
        match step {
            Step::Ask(server, request) | Step::AskDying(server, request) => {
                let (tool, arguments) = real.tool_call(&request);
                if matches!(step, Step::AskDying(..)) {
                    count_event("kills while asked");
                    real.servers[server].send(tool, arguments.clone());
                    real.restart(server);
                }
                let reply = real.servers[server].call(tool, arguments);
                let answer = real.answer_of(&request, &reply);
                assert!(
                    state.answers.contains(&answer),
                    "{step:?} was answered {answer:?}, not {:?}",
                    state.answers
                );
            }
            Step::Kill(server) => {
                count_event("kills");
                real.restart(server);
            }
            Step::Jump(server, _) => {
                count_event("jumps");
                real.clocks[server].stop_at(state.clocks[server]);
            }
        }
        real.compare(&state.reference_model);
        real
    }

    fn teardown(mut real: RealStore, state: Reference) {
        // Compare the live claims as each server sees them by its own clock.
        let mut reference_model = state.reference_model.clone();
        for (server, clock) in real.servers.iter_mut().zip(state.clocks) {
            reference_model.now = clock;
            for (task, id) in real.ids.iter().enumerate() {
                let seen = server.read_task(id);
                assert_eq!(
                    !seen["claim"].is_null(),
                    reference_model.is_held(task),
                    "task {task}: {}",
                    seen.value
                );
            }
        }
        real.store.tasktally(["verify"]).success();
    }
}

#[test]
fn random_operations_leave_the_store_as_in_the_model() {
    const NAME: &str = "random_operations_leave_the_store_as_in_the_model";
    let cases = rounds("TASKTALLY_ROUNDS", 8);
    let config = Config {
        cases: cases as u32,
        failure_persistence: None,
        max_shrink_iters: 400,
        rng_seed: RngSeed::Fixed(seed(NAME)),
        ..Config::default()
    };
    let mut runner = TestRunner::new(config.clone());
    let ran = runner.run(&Reference::sequential_strategy(60..120), |(state, steps, seen)| {
        RealStore::test_sequential(config.clone(), state, steps, seen);
        Ok(())
    });
    match ran {
        Ok(()) => {}
        Err(TestError::Fail(why, (_, steps, _))) => {
            let steps: Vec<String> = steps.iter().map(|step| format!("  {step:?}")).collect();
            panic!("{why}\nafter these steps:\n{}", steps.join("\n"));
        }
        Err(error) => panic!("{error}"),
    }
    let events = EVENTS.lock().unwrap_or_else(PoisonError::into_inner);
    println!("{NAME}: {cases} cases, {events:?}");
    for event in ["jumps", "kills", "kills while asked", "claims lost", "late receipts", "completions"] {
        assert!(events.contains_key(event), "no {event}: {events:?}");
    }
}
