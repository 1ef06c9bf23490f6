//! Whoever races, however many: each task is won once, and every receipt is kept in order.

use std::collections::HashMap;
use std::sync::Barrier;

use serde_json::{Value, json};

use crate::support::reply::Reply;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{rounds, together};

const PROCESSES: usize = 8;

/// The winner's task is told to the loser by name and time, in the words prompts know.
fn assert_loser_is_told(message: &str, holders: &[String], loser: &str) {
    let told = message
        .strip_prefix("Task already claimed by '")
        .and_then(|rest| rest.strip_suffix(&format!("). Cannot claim for '{loser}'.")))
        .and_then(|rest| rest.split_once("' (status: in_progress since "));
    let Some((holder, since)) = told else { panic!("another form: {message}") };
    assert!(holders.iter().any(|name| name == holder), "{holder:?} holds nothing: {message}");
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
        if !claimed.won() {
            // A task that the winner has finished in the meantime is not ready any more.
            match claimed.answer() {
                "already_claimed" => {
                    assert_loser_is_told(claimed.message(), &["polecat".to_owned()], "polecat");
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
fn eight_workers_of_one_name_take_300_tasks_once_each_and_starve_nobody() {
    const TASKS: usize = 300;
    let store = Store::new();
    let mut supervisor = store.serve();
    let ids: Vec<String> = (0..TASKS).map(|n| supervisor.task(&format!("Task {n}"))).collect();

    let won = together(PROCESSES, |worker| work_the_queue(&mut store.serve(), worker));

    let mut winner = HashMap::new();
    for (worker, ids) in won.iter().enumerate() {
        for id in ids {
            assert_eq!(winner.insert(id.clone(), worker), None, "{id} was won twice");
        }
    }
    let mut receipts = 0;
    for id in &ids {
        let worker = winner.get(id).unwrap_or_else(|| panic!("nobody won {id}"));
        let task = supervisor.look(id);
        assert_eq!(task.text("/task/status"), "done");
        receipts += task.count("/task/receipts");
        let expected: Vec<String> =
            (1..=10).map(|step| format!("- Archived: {id} | worker {worker} | step {step}")).collect();
        assert_eq!(task.text("/task/body"), expected.join("\n\n"));
    }
    assert_eq!(receipts, 10 * TASKS as u64);
    let slowest = won.iter().map(Vec::len).min().unwrap();
    let shares: Vec<usize> = won.iter().map(Vec::len).collect();
    assert!(slowest * 2 * PROCESSES > TASKS, "one starves: {shares:?}");
}

/// Holds eight answers to one claim of one task to a single winner.
fn assert_one_winner(answers: &[(String, Reply)]) {
    let winners: Vec<String> =
        answers.iter().filter(|(_, reply)| reply.won()).map(|(name, _)| name.clone()).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    for (loser, reply) in answers.iter().filter(|(_, reply)| !reply.won()) {
        assert_eq!(reply.code(), "already_claimed", "{}", reply.value);
        assert_loser_is_told(reply.message(), &winners, loser);
    }
}

/// Half of the rounds all workers share a name, as the workflow's do.
fn name_of(worker: usize, round: usize) -> String {
    if round.is_multiple_of(2) { "polecat".to_owned() } else { format!("polecat-{worker}") }
}

#[test]
fn of_eight_servers_that_claim_a_task_at_the_same_instant_exactly_one_wins() {
    let rounds = rounds("TASKTALLY_ROUNDS", 1000).max(200);
    let store = Store::new();
    let mut supervisor = store.serve();
    let ids: Vec<String> = (0..rounds).map(|n| supervisor.task(&format!("Prize {n}"))).collect();
    let barrier = Barrier::new(PROCESSES);

    let answers = together(PROCESSES, |worker| {
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
        let of_round: Vec<_> = answers.iter().map(|worker| worker[round].clone()).collect();
        assert!(of_round.iter().all(|(_, reply)| !reply.is_error), "round {round}: {of_round:?}");
        assert_one_winner(&of_round);
        let holder = of_round.iter().find(|(_, reply)| reply.won()).map(|(name, _)| name.clone());
        assert_eq!(Some(supervisor.look(id).text("/task/assignee")), holder, "round {round}");
    }
}

#[test]
fn of_eight_commands_that_claim_a_task_at_the_same_instant_exactly_one_wins() {
    let rounds = rounds("TASKTALLY_ROUNDS", 20).min(200);
    let store = Store::new();
    for round in 0..rounds {
        let title = format!("Prize {round}");
        let made =
            store.tasktally(["create-task", "--task-title", title.as_str(), "--json"]).success().json();
        let id = made["task"]["id"].as_str().unwrap().to_owned();
        let barrier = Barrier::new(PROCESSES);
        let answers = together(PROCESSES, |worker| {
            let name = name_of(worker, round);
            let args = ["update-task", "--id", &id, "--status", "in_progress", "--assignee", &name, "--json"];
            let command = store.tasktally(args);
            barrier.wait();
            let ran = command.finish();
            let reply = Reply { value: ran.json(), is_error: false };
            assert_eq!(ran.code, Some(if reply.won() { 0 } else { 1 }), "{ran:?}");
            (name, reply)
        });
        assert_one_winner(&answers);
    }
}

#[test]
fn eight_workers_that_claim_the_next_task_take_200_once_each() {
    const TASKS: usize = 200;
    let store = Store::new();
    let mut supervisor = store.serve();
    let ids: Vec<String> = (0..TASKS).map(|n| supervisor.task(&format!("Task {n}"))).collect();

    let won = together(PROCESSES, |_| {
        let mut server = store.serve();
        let mut won: Vec<(String, Value)> = Vec::new();
        loop {
            let claimed = server.call("claim_task", json!({"worker": "polecat"}));
            if !claimed.won() {
                assert_eq!(claimed.answer(), "nothing_to_claim");
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
        assert_eq!(supervisor.look(id).text("/task/body"), format!("- did {id}"));
    }
}
