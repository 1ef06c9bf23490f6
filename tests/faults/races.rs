//! Processes that race for tasks: each task is won once, and every receipt is kept in order.

use std::collections::HashMap;
use std::sync::Barrier;

use serde_json::{Value, json};

use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{rounds, run_in_parallel};

const PROCESSES: usize = 8;

/// Asserts that the message for the loser names the holder and the time, in the form that prompts rely on.
fn assert_loser_message(message: &str, holders: &[String], loser: &str) {
    let parts = message
        .strip_prefix("Task already claimed by '")
        .and_then(|rest| rest.strip_suffix(&format!("). Cannot claim for '{loser}'.")))
        .and_then(|rest| rest.split_once("' (status: in_progress since "));
    let Some((holder, since)) = parts else { panic!("unexpected form: {message}") };
    assert!(holders.iter().any(|name| name == holder), "{holder:?} holds no claim: {message}");
    assert!(since.parse::<jiff::Timestamp>().is_ok(), "not a time: {message}");
}

/// One worker of the workflow: list, claim, ten receipts, complete, until nothing is active.
fn work_the_queue(server: &mut Server, worker: usize) -> Vec<String> {
    let mut won = Vec::new();
    loop {
        let listed = server.call("list_tasks", json!({"status": "active"})).ok();
        let tasks = listed["tasks"].as_array().unwrap();
        let Some(task) = tasks.first() else { return won };
        let id = task["id"].as_str().unwrap().to_owned();
        let claim = json!({"id": id, "status": "in_progress", "assignee": "polecat"});
        let claimed = server.call("update_task", claim);
        if !claimed.succeeded() {
            // If the winner has already finished the task, the task is no longer ready.
            match claimed.declined() {
                "already_claimed" => {
                    assert_loser_message(claimed.message(), &["polecat".to_owned()], "polecat");
                }
                code => assert_eq!(code, "not_ready", "{}", claimed.value),
            }
            continue;
        }
        for step in 1..=10 {
            let text = format!("- Archived: {id} | worker {worker} | step {step}");
            server.call("update_task", json!({"id": id, "body": text})).ok();
        }
        server.call("complete_task", json!({"id": id})).ok();
        won.push(id);
    }
}

#[test]
fn eight_workers_with_the_same_name_take_each_of_300_tasks_once_and_none_starves() {
    const TASKS: usize = 300;
    let store = Store::new();
    let mut supervisor = store.serve();
    let ids: Vec<String> = (0..TASKS).map(|n| supervisor.create_task(&format!("Task {n}"))).collect();

    let barrier = Barrier::new(PROCESSES);
    let won = run_in_parallel(PROCESSES, |worker| {
        let mut server = store.serve();
        barrier.wait();
        work_the_queue(&mut server, worker)
    });

    let mut winner = HashMap::new();
    for (worker, ids) in won.iter().enumerate() {
        for id in ids {
            assert_eq!(winner.insert(id.clone(), worker), None, "{id} was won twice");
        }
    }
    let mut receipts = 0;
    for id in &ids {
        let worker = winner.get(id).unwrap_or_else(|| panic!("no worker won {id}"));
        let task = supervisor.read_task(id);
        assert_eq!(task.text("/task/status"), "done");
        receipts += task.length("/task/receipts");
        let expected: Vec<String> =
            (1..=10).map(|step| format!("- Archived: {id} | worker {worker} | step {step}")).collect();
        assert_eq!(supervisor.texts(id), expected);
    }
    assert_eq!(receipts, 10 * TASKS as u64);
    let slowest = won.iter().map(Vec::len).min().unwrap();
    let shares: Vec<usize> = won.iter().map(Vec::len).collect();
    assert!(slowest * 2 * PROCESSES > TASKS, "a worker starves: {shares:?}");
}

/// Asserts that exactly one of the replies to the same claim is a success, and that the others name the winner.
fn assert_one_winner(replies: &[(String, Reply)]) {
    let winners: Vec<String> =
        replies.iter().filter(|(_, reply)| reply.succeeded()).map(|(name, _)| name.clone()).collect();
    assert_eq!(winners.len(), 1, "{replies:?}");
    for (loser, reply) in replies.iter().filter(|(_, reply)| !reply.succeeded()) {
        assert_eq!(reply.code(), "already_claimed", "{}", reply.value);
        assert_loser_message(reply.message(), &winners, loser);
    }
}

/// In half of the rounds all workers have the same name.
fn name_of(worker: usize, round: usize) -> String {
    if round.is_multiple_of(2) { "polecat".to_owned() } else { format!("polecat-{worker}") }
}

#[test]
fn of_eight_servers_that_claim_a_task_at_the_same_moment_exactly_one_wins() {
    let rounds = rounds("TASKTALLY_ROUNDS", 1000).max(200);
    let store = Store::new();
    let mut supervisor = store.serve();
    let ids: Vec<String> = (0..rounds).map(|n| supervisor.create_task(&format!("Prize {n}"))).collect();
    let barrier = Barrier::new(PROCESSES);

    let replies = run_in_parallel(PROCESSES, |worker| {
        let mut server = store.serve();
        let claim = |(round, id): (usize, &String)| {
            let name = name_of(worker, round);
            barrier.wait();
            let arguments = json!({"id": id, "status": "in_progress", "assignee": name});
            (name, server.call("update_task", arguments))
        };
        ids.iter().enumerate().map(claim).collect::<Vec<_>>()
    });

    for (round, id) in ids.iter().enumerate() {
        let of_round: Vec<_> = replies.iter().map(|worker| worker[round].clone()).collect();
        assert!(of_round.iter().all(|(_, reply)| !reply.is_error), "round {round}: {of_round:?}");
        assert_one_winner(&of_round);
        let holder = of_round.iter().find(|(_, reply)| reply.succeeded()).map(|(name, _)| name.clone());
        assert_eq!(Some(supervisor.read_task(id).text("/task/assignee")), holder, "round {round}");
    }
}

#[test]
fn of_eight_commands_that_claim_a_task_at_the_same_moment_exactly_one_wins() {
    let rounds = rounds("TASKTALLY_ROUNDS", 20).min(200);
    let store = Store::new();
    for round in 0..rounds {
        let title = format!("Prize {round}");
        let made =
            store.tasktally(["create-task", "--task-title", title.as_str(), "--json"]).success().json();
        let id = made["task"]["id"].as_str().unwrap().to_owned();
        let barrier = Barrier::new(PROCESSES);
        let replies = run_in_parallel(PROCESSES, |worker| {
            let name = name_of(worker, round);
            let args = ["update-task", "--id", &id, "--status", "in_progress", "--assignee", &name, "--json"];
            let command = store.tasktally(args);
            barrier.wait();
            let ran = command.finish();
            let reply = Reply { value: ran.json(), is_error: false };
            assert_eq!(ran.code, Some(if reply.succeeded() { 0 } else { 1 }), "{ran:?}");
            (name, reply)
        });
        assert_one_winner(&replies);
    }
}

#[test]
fn eight_workers_that_claim_the_next_task_take_each_of_200_tasks_once() {
    const TASKS: usize = 200;
    let store = Store::new();
    let mut supervisor = store.serve();
    let ids: Vec<String> = (0..TASKS).map(|n| supervisor.create_task(&format!("Task {n}"))).collect();

    let barrier = Barrier::new(PROCESSES);
    let won = run_in_parallel(PROCESSES, |_| {
        let mut server = store.serve();
        barrier.wait();
        let mut won: Vec<(String, Value)> = Vec::new();
        loop {
            let claimed = server.call("claim_task", json!({"worker": "polecat"}));
            if !claimed.succeeded() {
                assert_eq!(claimed.declined(), "nothing_to_claim");
                return won;
            }
            let (id, token) = (claimed.text("/task/id"), claimed["claim"]["token"].clone());
            assert!(token.is_string(), "{}", claimed.value);
            let receipt = json!({"id": id, "claim": token, "body": format!("- did {id}")});
            server.call("update_task", receipt).ok();
            server.call("complete_task", json!({"id": id, "claim": token})).ok();
            won.push((id, token));
        }
    });

    let mut taken: Vec<&String> = won.iter().flatten().map(|(id, _)| id).collect();
    taken.sort();
    let mut expected: Vec<&String> = ids.iter().collect();
    expected.sort();
    assert_eq!(taken, expected, "each task exactly once");
    let mut tokens: Vec<String> = won.iter().flatten().map(|(_, token)| token.to_string()).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), TASKS, "a token belongs to one claim");
    for id in &ids {
        assert_eq!(supervisor.texts(id), [format!("- did {id}")]);
    }
}
