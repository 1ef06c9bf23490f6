//! Histories of real processes over a database that is killed again and again.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::checker::{Operation, is_linearizable};
use super::task::{Answer, Call, Seen, Task, TaskOperation};
use crate::support::postgres::Cluster;
use crate::support::reply::Reply;
use crate::support::rng::Rng;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{rounds, run_in_parallel};

const PROCESSES: usize = 6;
/// How many tasks are worked on at a time.
const TASKS: usize = 5;

/// The history of each task.
type Histories = BTreeMap<String, Vec<TaskOperation>>;

/// One process and what it knows.
struct Worker<'a> {
    server: Server,
    rng: Rng,
    started: Instant,
    tasks: &'a [Mutex<String>],
    /// The tokens of the tasks that it holds, and of those that it held.
    held: BTreeMap<String, String>,
    lost: BTreeMap<String, String>,
    histories: Histories,
}

impl Worker<'_> {
    /// Works on one of the tasks.
    fn step(&mut self) {
        let place = &self.tasks[self.rng.below(TASKS as u64) as usize];
        let task = place.lock().unwrap().clone();
        let choice = self.rng.below(100);
        let (held, lost) = (self.held.get(&task).cloned(), self.lost.get(&task).cloned());
        let call = match (held, lost) {
            (Some(token), _) if choice < 45 => Call::Append(token),
            (Some(token), _) if choice < 55 => Call::Release(token),
            (Some(token), _) if choice < 65 => Call::Complete(token),
            (None, Some(token)) if choice < 8 => Call::Append(token),
            (None, Some(token)) if choice < 14 => Call::Complete(token),
            (None, _) if choice < 75 => Call::Claim,
            _ => Call::Read,
        };
        let answer = self.record(&task, call.clone());
        match (call, answer) {
            (Call::Claim, Some(Answer::Won(token))) => drop(self.held.insert(task, token)),
            (Call::Release(token) | Call::Complete(token), _) => {
                self.held.remove(&task);
                self.lost.insert(task, token);
            }
            (Call::Claim, Some(Answer::NotWon(Seen::Done))) if choice.is_multiple_of(4) => {
                // Without an answer, another worker finds the task that is done.
                let created = self.server.call("create_task", json!({"task_title": "Task"}));
                if created.succeeded() {
                    *place.lock().unwrap() = created.text("/task/id");
                }
            }
            _ => {}
        }
    }

    fn record(&mut self, task: &str, call: Call) -> Option<Answer> {
        let (tool, arguments) = match &call {
            Call::Claim => ("claim_task", json!({"id": task, "worker": "w"})),
            Call::Append(token) => ("update_task", json!({"id": task, "claim": token, "body": "- x"})),
            Call::Release(token) => ("release_task", json!({"id": task, "claim": token, "reason": "r"})),
            Call::Complete(token) => ("complete_task", json!({"id": task, "claim": token})),
            Call::Read => ("get_task", json!({"id": task})),
        };
        let called = self.started.elapsed().as_nanos() as u64;
        let reply = self.server.call(tool, arguments);
        let answered = self.started.elapsed().as_nanos() as u64;
        let answer = answer_in(&call, &reply);
        let operation = Operation { called, answered: answer.clone().map(|answer| (answered, answer)), call };
        self.histories.entry(task.to_owned()).or_default().push(operation);
        answer
    }
}

/// What a reply says; none if the outcome is unknown.
fn answer_in(call: &Call, reply: &Reply) -> Option<Answer> {
    let number = || reply.pointer("/receipt/number").and_then(Value::as_u64);
    Some(match (call, reply.code()) {
        (_, "busy" | "internal") => return None,
        (Call::Claim, "") => Answer::Won(reply.text("/claim/token")),
        (Call::Claim, "already_claimed") => Answer::NotWon(Seen::Held),
        (Call::Claim, "not_ready") => Answer::NotWon(Seen::Done),
        (Call::Append(_), "") => Answer::Written(number()?),
        (Call::Append(_), "claim_lost") => Answer::Late(number()?),
        (Call::Release(_) | Call::Complete(_), "") => Answer::Ended,
        (Call::Release(_) | Call::Complete(_), "claim_lost") => Answer::Lost,
        // There are more receipts than one reply has.
        (Call::Read, "") if !reply["next_receipts_after"].is_null() => return None,
        (Call::Read, "") => {
            let seen = match reply.text("/task/status").as_str() {
                "active" => Seen::Ready,
                "in_progress" => Seen::Held,
                "done" => Seen::Done,
                other => panic!("{other}: {}", reply.value),
            };
            Answer::Saw(seen, reply.length("/task/receipts"))
        }
        _ => panic!("{call:?}: {}", reply.value),
    })
}

/// Lets the processes work while the database is killed. Returns the histories of all tasks.
fn record(rng: &mut Rng, cluster: &Cluster, store: &Store, kills: usize) -> Histories {
    let mut server = store.serve();
    let tasks: Vec<Mutex<String>> = (0..TASKS).map(|_| Mutex::new(server.create_task("Task"))).collect();
    let (stop, started, seed) = (AtomicBool::new(false), Instant::now(), rng.below(u64::MAX));
    let all = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            for kill in 0..kills {
                std::thread::sleep(Duration::from_millis(500 + rng.below(1500)));
                let backends = store.database().backends();
                if kill % 3 == 0 || backends.is_empty() {
                    cluster.kill();
                    cluster.start();
                } else if kill % 3 == 1 {
                    cluster.kill_backend(backends[rng.below(backends.len() as u64) as usize]);
                    cluster.wait_until_ready();
                } else {
                    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'tasktally'";
                    cluster.sql().row::<u64>(end, &[]);
                }
            }
            std::thread::sleep(Duration::from_millis(500));
            stop.store(true, Ordering::Release);
        });
        let all = run_in_parallel(PROCESSES, |number| {
            let mut worker = Worker {
                server: store.serve(),
                rng: Rng::with_seed(seed ^ ((number as u64 + 1) << 20)),
                started,
                tasks: &tasks,
                held: BTreeMap::new(),
                lost: BTreeMap::new(),
                histories: BTreeMap::new(),
            };
            while !stop.load(Ordering::Acquire) {
                worker.step();
            }
            worker.histories
        });
        killer.join().unwrap();
        all
    });
    let mut histories = Histories::new();
    for (task, operations) in all.into_iter().flatten() {
        histories.entry(task).or_default().extend(operations);
    }
    histories.values_mut().for_each(|history| history.sort_by_key(|operation| operation.called));
    histories
}

/// Changes one answer of a history so that it certainly is a violation. None if no answer of the history can be changed so.
type Plant = fn(&[TaskOperation]) -> Option<Vec<TaskOperation>>;

/// The history with another answer of one operation.
fn with_answer(history: &[TaskOperation], number: usize, answer: Answer) -> Vec<TaskOperation> {
    let mut changed = history.to_vec();
    if let Some((_, old)) = &mut changed[number].answered {
        *old = answer;
    }
    changed
}

fn answer(operation: &TaskOperation) -> Option<&Answer> {
    operation.answered.as_ref().map(|(_, answer)| answer)
}

/// Whether an operation was answered before another one was called.
fn precedes(one: &TaskOperation, other: &TaskOperation) -> bool {
    one.answered.as_ref().is_some_and(|(answered, _)| *answered < other.called)
}

/// A claim that was refused while another worker held the task has won it as well.
fn double_claim(history: &[TaskOperation]) -> Option<Vec<TaskOperation>> {
    let number = history.iter().position(|refused| {
        answer(refused) == Some(&Answer::NotWon(Seen::Held))
            && history.iter().any(|later| match (&later.call, answer(later)) {
                (Call::Append(token), Some(Answer::Written(_))) => {
                    let is_claim = |one: &&TaskOperation| answer(one) == Some(&Answer::Won(token.clone()));
                    let claim = history.iter().find(is_claim);
                    precedes(refused, later) && claim.is_some_and(|claim| precedes(claim, refused))
                }
                _ => false,
            })
    })?;
    Some(with_answer(history, number, Answer::Won("another".to_owned())))
}

/// A read after a completion finds the task ready.
fn lost_completion(history: &[TaskOperation]) -> Option<Vec<TaskOperation>> {
    let completed = history
        .iter()
        .find(|one| matches!(one.call, Call::Complete(_)) && answer(one) == Some(&Answer::Ended))?;
    let number =
        history.iter().position(|read| matches!(read.call, Call::Read) && precedes(completed, read))?;
    let Some(Answer::Saw(_, receipts)) = answer(&history[number]) else { return None };
    Some(with_answer(history, number, Answer::Saw(Seen::Ready, *receipts)))
}

/// A read does not find the receipt that was acknowledged before it.
fn stale_read(history: &[TaskOperation]) -> Option<Vec<TaskOperation>> {
    history.iter().enumerate().find_map(|(number, read)| {
        let Some(Answer::Saw(seen, receipts)) = answer(read) else { return None };
        let written =
            history.iter().any(|one| answer(one) == Some(&Answer::Written(*receipts)) && precedes(one, read));
        written.then(|| with_answer(history, number, Answer::Saw(*seen, receipts - 1)))
    })
}

/// Two receipts have one number.
fn repeated_number(history: &[TaskOperation]) -> Option<Vec<TaskOperation>> {
    let mut written = history
        .iter()
        .enumerate()
        .filter_map(|(number, one)| matches!(answer(one), Some(Answer::Written(_))).then_some(number));
    let (first, second) = (written.next()?, written.next()?);
    Some(with_answer(history, second, answer(&history[first])?.clone()))
}

#[test]
fn histories_of_processes_over_a_killed_database_are_linearizable() {
    let mut rng = Rng::seeded("linearizability");
    let Some(cluster) = Cluster::durable() else { return };
    let store = Store::in_database(cluster.create_database());
    let histories = record(&mut rng, &cluster, &store, rounds("TASKTALLY_ROUNDS", 4));
    let operations: usize = histories.values().map(Vec::len).sum();
    let unknown = histories.values().flatten().filter(|one| one.answered.is_none()).count();
    println!("{} tasks, {operations} operations, {unknown} without an answer", histories.len());
    for (task, history) in &histories {
        assert!(is_linearizable(&Task::default(), history), "{task}: {history:#?}");
    }
    store.tasktally(["verify"]).success();
    let plants: [(&str, Plant); 4] = [
        ("double claim", double_claim),
        ("lost completion", lost_completion),
        ("stale read", stale_read),
        ("repeated number", repeated_number),
    ];
    let mut found = 0;
    for (name, plant) in plants {
        let planted: Vec<_> = histories.values().filter_map(|history| plant(history)).collect();
        println!("{name}: planted into {} histories, found in each", planted.len());
        for history in &planted {
            assert!(!is_linearizable(&Task::default(), history), "{name}: {history:#?}");
        }
        found += planted.len();
    }
    assert!(found > 0, "nothing was planted");
}
