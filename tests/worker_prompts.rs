//! The prompts fit the batch and the client: they contain what is needed for these, nothing else, and contradict no
//! reply.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};

use support::server::Server;
use support::store::Store;

/// Creates a batch with `extra` parameters and returns the prompt for its workers.
fn worker_prompt(server: &mut Server, instructions: &str, extra: Value) -> String {
    let mut request =
        json!({"title": "B", "instructions": instructions, "items": ["a", "b", "c"], "max_chunk": 1});
    request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    server.call("create_batch", request).ok().text("/worker_prompt")
}

#[test]
fn the_worker_prompt_contains_what_its_batch_needs_and_nothing_else() {
    let store = Store::new();
    let mut server = store.serve();
    // Instructions, further parameters, and whether the prompt mentions starts, skipping and commits.
    let cases = [
        ("Classify the mail.", json!({}), [false, true, false]),
        ("Classify the mail, never skip one.", json!({}), [false, false, false]),
        ("Fix the imports of each file.", json!({}), [false, true, true]),
        ("Send the answer.", json!({"in_doubt": "ask"}), [true, true, false]),
        ("Close the account; this cannot be undone.", json!({}), [true, true, false]),
        (
            "Mails.",
            json!({"steps": [
                {"name": "classify", "instructions": "Choose a category."},
                {"name": "send", "instructions": "Report it as started, then send it."},
            ]}),
            [true, true, false],
        ),
    ];
    for (instructions, extra, expected) in cases {
        let prompt = worker_prompt(&mut server, instructions, extra);
        let found = ["started", "skipped", "ommit"].map(|word| prompt.contains(word));
        assert_eq!(found, expected, "{instructions}: {prompt}");
        assert!(!prompt.contains("mcp__"), "clients prefix tools in different ways: {prompt}");
        assert!(prompt.len() < 2_000, "{} bytes", prompt.len());
    }
    let claim = server.call("claim_task", json!({"tags": []})).ok();
    assert!(claim.text("/instructions").contains("|\"skipped\""), "{}", claim.value);
}

#[test]
fn the_instructions_of_a_claim_offer_no_outcome_that_the_batch_forbids() {
    let store = Store::new();
    let mut server = store.serve();
    worker_prompt(&mut server, "Decide. Never skip an item.", json!({}));
    let instructions = server.call("claim_task", json!({})).ok().text("/instructions");
    assert!(!instructions.contains("skipped"), "{instructions}");
}

#[test]
fn a_worker_claims_chunk_after_chunk_until_the_reply_says_stop() {
    let store = Store::new();
    let mut server = store.serve();
    let prompt = worker_prompt(&mut server, "Read it.", json!({}));
    assert!(prompt.contains("go back to 1 for the next chunk"), "{prompt}");
    assert!(prompt.contains("On code nothing_to_claim, paused or cancelled: stop"), "{prompt}");
    let batch = support::fake_agent::quoted_value(&prompt, "batch");
    let dead = server.call("claim_task", json!({"batch": batch, "worker": "dead"})).ok();
    let mut worked = 0;
    let stopped = loop {
        let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"}));
        if !claim.succeeded() {
            break claim;
        }
        let (id, token) = (claim.text("/task/id"), claim.text("/claim/token"));
        let item = json!({"id": id, "claim": token, "item": claim["items"][0]["key"], "outcome": "done", "body": "-"});
        server.call("update_task", item).ok();
        server.call("complete_task", json!({"id": id, "claim": token})).ok();
        worked += 1;
    };
    assert_eq!(worked, 2);
    assert_eq!(stopped.declined(), "nothing_to_claim");
    let expected = format!(
        "No ready task matches; stop: chunk {} becomes free at {} if its worker 'dead' is dead; the supervisor starts workers again",
        dead.text("/task/id"),
        dead.text("/claim/expires_at")
    );
    assert_eq!(stopped.message(), expected);

    let (id, token) = (dead.text("/task/id"), dead.text("/claim/token"));
    let item =
        json!({"id": id, "claim": token, "item": dead["items"][0]["key"], "outcome": "done", "body": "-"});
    server.call("update_task", item).ok();
    server.call("complete_task", json!({"id": id, "claim": token})).ok();
    let over = server.call("claim_task", json!({"batch": batch}));
    let expected = format!("No ready task matches; stop: nothing is left, batch {batch} is done");
    assert_eq!(over.message(), expected);
    assert!(over.get("retry_after_s").is_none(), "{}", over.value);
}

#[test]
fn a_worker_of_one_chunk_is_asked_to_work_one_chunk() {
    let store = Store::new();
    let mut server = store.serve();
    let prompt = worker_prompt(&mut server, "Read it.", json!({}));
    let batch = support::fake_agent::quoted_value(&prompt, "batch");
    let claim = server.call("claim_task", json!({"batch": batch})).ok();
    let mut command = store.command();
    let job = format!("{}:{}", claim.text("/task/id"), claim.text("/claim/token"));
    command.args(["serve", "--toolset", "worker"]).env("TASKTALLY_JOB", job);
    let mut worker = Server::spawn(command);
    worker.start_reading();
    let instructions = worker.initialize("2025-11-25")["instructions"].as_str().unwrap().to_owned();
    assert!(instructions.contains("and stop"), "{instructions}");
    let prompt = get_prompt(&mut worker, "work_chunk", json!({"batch": batch}));
    assert!(prompt.contains("Work one chunk of batch") && prompt.contains("Then stop."), "{prompt}");
    assert!(!prompt.contains("next chunk"), "{prompt}");
}

fn get_prompt(server: &mut Server, name: &str, arguments: Value) -> String {
    let answer = server.request("prompts/get", json!({"name": name, "arguments": arguments}));
    answer["result"]["messages"][0]["content"]["text"].as_str().expect("a text").to_owned()
}

#[test]
fn a_supervisor_waits_as_a_task_only_if_its_client_declared_tasks() {
    let store = Store::new();
    let goal = json!({"goal": "Classify each mail."});
    let tasks = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    for (stateless, capabilities, waits) in
        [(true, tasks.clone(), true), (true, json!({}), false), (false, tasks, false)]
    {
        let mut server = store.server(&[]);
        server.start_reading();
        server.declare_capabilities(capabilities);
        if stateless {
            server.stateless();
        } else {
            server.initialize("2025-11-25");
        }
        let prompt = get_prompt(&mut server, "supervise_batch", goal.clone());
        assert_eq!(prompt.contains("wait_batch(id)"), waits, "{prompt}");
        assert_eq!(prompt.contains("every few minutes get_batch(id"), !waits, "{prompt}");
        assert!(!prompt.contains("push") && !prompt.contains("mcp__"), "{prompt}");
    }
}

#[test]
fn a_task_that_waits_for_another_names_it_and_its_worker() {
    let store = Store::new();
    let mut server = store.serve();
    let first = server.create_task("First");
    let second = json!({"task_title": "Second", "depends_on": [first], "project": "p"});
    let second = server.call("create_task", second).ok().text("/task/id");
    let idle = server.call("claim_task", json!({"project": "p"}));
    assert_eq!(
        idle.message(),
        format!("No ready task matches; stop: {second} waits for {first}, which is active")
    );
    let held = server.call("claim_task", json!({"id": first, "worker": "polecat"})).ok();
    let until = held.text("/claim/expires_at");
    let waits = server.call("claim_task", json!({"project": "p"}));
    assert_eq!(
        waits.message(),
        format!(
            "No ready task matches; stop: {second} waits for {first}, which 'polecat' is working on; {first} becomes free at {until} if that worker is dead"
        )
    );
}
