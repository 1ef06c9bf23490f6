//! Background workers: they outlive the client that started them, obey their profile, and each that fails ends in time
//! with the reason recorded.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;

use support::background::{
    children, copy_example_items, kill_all_processes, processes_with, read_batch, settled_items, start_batch,
    unread_input, wait_for_runner, wait_for_status,
};
use support::fake_agent;
use support::store::Store;
use support::{eventually, send_signal};

/// The profile of the README's example.
fn file_commit_profile() -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/file-commit.sh");
    format!("[worker.filer]\nper = \"item\"\ncommand = [{script:?}]\n")
}

/// A profile whose worker is a shell script.
fn shell(name: &str, per: &str, script: &str, more: &str) -> String {
    format!("[worker.{name}]\nper = {per:?}\ncommand = [\"sh\", \"-c\", {script:?}]\n{more}\n")
}

/// Not a test: the agent that the profiles of the tests below start.
#[test]
#[ignore = "an agent, started by a profile"]
fn fake_agent() {
    let mut assignment = fake_agent::read_assignment();
    match std::env::var("FAKE_AGENT").as_deref() {
        Ok("hasty") => fake_agent::work_chunk(&mut assignment, 2),
        Ok("silent") => loop {
            std::thread::sleep(Duration::from_secs(60));
        },
        Ok("cleans-up") => {
            let tools = fake_agent::work_chunk(&mut assignment, usize::MAX);
            // Stay busy until the runner has seen that the chunk is complete.
            std::thread::sleep(Duration::from_millis(600));
            std::fs::write("cleaned-up", "").unwrap();
            tools
        }
        _ => fake_agent::work_chunk(&mut assignment, usize::MAX),
    };
}

/// A profile whose worker is [`fake_agent`].
fn agent_profile(name: &str, behaviour: &str, more: &str) -> String {
    let command = fake_agent::test_command("fake_agent");
    format!(
        "[worker.{name}]\nper = \"chunk\"\ncommand = {command}\n{more}\n[worker.{name}.env]\nset = {{ FAKE_AGENT = {behaviour:?} }}\n"
    )
}

#[test]
fn a_batch_is_completed_after_its_client_and_server_are_killed() {
    let store = Store::new().with_config(&file_commit_profile());
    let source = copy_example_items(&store);
    let mut server = store.serve();
    let request = json!({"title": "Mail", "instructions": "File it.", "source": {"path": source}, "split": "month:date",
        "on_conflict": "allow", "worker": "filer"});
    let plan = server.call("create_batch", request).ok();
    let id = plan.text("/batch/id");
    assert!(plan.message().contains("profile 'filer' works on it in the background"), "{}", plan.message());
    assert!(plan.get("worker_prompt").is_none(), "the reply asks the caller to start workers");
    server.kill();

    let mut server = store.serve();
    let ended = wait_for_status(&mut server, &id, "done");
    assert_eq!((ended.count("/batch/total"), ended.count("/batch/processed")), (663, 663));
    assert_eq!(ended.count("/batch/outcomes/done"), 663);
    let settled = settled_items(&store);
    assert!(settled.iter().all(|(_, outcome, receipts)| outcome.is_some() && *receipts == 1), "{settled:?}");
    eventually("all runners to end", || processes_with(&id).is_empty().then_some(()));
    store.tasktally(["verify"]).success();
}

#[test]
fn a_worker_of_a_chunk_gets_its_prompt_and_tools_and_completes_it() {
    let store = Store::new().with_config(&agent_profile("agent", "honest", ""));
    let mut server = store.serve();
    let id = start_batch(&mut server, 25, 10, "agent");
    let ended = wait_for_status(&mut server, &id, "done");
    assert_eq!(ended["batch"]["categories"], json!({"read": 25}));
    let jobs = store.data_folder().join("jobs");
    eventually("the job's files to be deleted", || {
        std::fs::read_dir(&jobs).unwrap().next().is_none().then_some(())
    });
    let log =
        std::fs::read_to_string(store.data_folder().join("logs").join(format!("{id}.01.1.out"))).unwrap();
    assert!(log.contains("complete_task: Completed"), "{log}");
}

#[test]
fn a_worker_that_completed_its_chunk_may_clean_up_before_it_ends() {
    let store = Store::new().with_config(&agent_profile("agent", "cleans-up", "max_parallel = 1"));
    let mut server = store.serve();
    let id = start_batch(&mut server, 3, 1, "agent");
    wait_for_status(&mut server, &id, "done");
    let marker = |chunk: usize| store.data_folder().join("work").join(format!("{id}.{chunk:02}/cleaned-up"));
    eventually("all three workers to clean up", || (1..=3).all(|chunk| marker(chunk).exists()).then_some(()));
}

#[test]
fn a_batch_that_is_reopened_as_it_ends_has_a_runner() {
    let store = Store::new().with_config(&shell(
        "flaky",
        "item",
        "test -e ../../good && echo '- read'; test -e ../../good",
        "",
    ));
    let mut server = store.serve();
    for _ in 0..support::rounds("TASKTALLY_ROUNDS", 10) {
        let _ = std::fs::remove_file(store.data_folder().join("good"));
        let id = start_batch(&mut server, 1, 1, "flaky");
        wait_for_status(&mut server, &id, "done");
        std::fs::write(store.data_folder().join("good"), "").unwrap();
        // Immediately, because its runner may be about to end.
        server.call("control_batch", json!({"id": id, "action": "retry"})).ok();
        eventually("the item to be done", || {
            (read_batch(&mut server, &id)["batch"]["outcomes"] == json!({"done": 1})).then_some(())
        });
    }
}

#[test]
fn the_next_worker_gets_only_the_items_that_the_last_one_left_out() {
    let store = Store::new().with_config(&agent_profile("hasty", "hasty", ""));
    let mut server = store.serve();
    let request =
        json!({"title": "B", "instructions": "Read it.", "items": ["a", "b", "c"], "worker": "hasty"});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    // Each worker settles two items, so the second one completes the chunk.
    wait_for_status(&mut server, &id, "done");
    let body = server.body(&format!("{id}.01"));
    assert!(body.contains("its worker left 1 item without a receipt: exit code 0"), "{body}");
    assert!(settled_items(&store).iter().all(|(_, _, receipts)| *receipts == 1));
}

#[test]
fn a_worker_that_writes_no_receipt_is_ended_and_the_chunk_fails_after_its_attempts() {
    let more = "stalled_after_s = 1\ngrace_s = 0";
    let store = Store::new().with_config(&agent_profile("silent", "silent", more));
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "Read it.", "items": ["a"], "worker": "silent", "max_attempts": 2});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    wait_for_status(&mut server, &id, "failed");
    let body = server.body(&format!("{id}.01"));
    assert_eq!(body.matches("wrote no receipt for too long (stalled_after_s)").count(), 2, "{body}");
    eventually("all workers to end", || processes_with(&id).is_empty().then_some(()));
}

#[test]
fn a_worker_that_exceeds_its_timeout_is_ended_and_its_item_fails() {
    let config = shell("hangs", "item", "sleep 600", "timeout_s = 1\ngrace_s = 0");
    let store = Store::new().with_config(&config);
    let mut server = store.serve();
    let id = start_batch(&mut server, 2, 1, "hangs");
    let ended = wait_for_status(&mut server, &id, "done");
    assert_eq!(ended.count("/batch/outcomes/failed"), 2);
    let body = server.body(&format!("{id}.01"));
    assert!(body.contains("stopped because it ran longer than 1 s (timeout_s)"), "{body}");
}

#[test]
fn a_worker_that_exceeds_its_memory_limit_is_ended_with_the_reason() {
    let script = "x=a; while :; do x=$x$x; done";
    let store = Store::new().with_config(&shell("greedy", "item", script, "memory_mb = 64\ngrace_s = 0"));
    let mut server = store.serve();
    let id = start_batch(&mut server, 1, 1, "greedy");
    wait_for_status(&mut server, &id, "done");
    let body = server.body(&format!("{id}.01"));
    assert!(body.contains("more memory than memory_mb"), "{body}");
}

#[test]
fn only_the_head_and_tail_of_long_output_are_kept() {
    let script = "echo begins; yes line | head -c 100000000; echo; echo '- ends'";
    let store = Store::new().with_config(&shell("prints", "item", script, "output_limit = 65536"));
    let mut server = store.serve();
    let id = start_batch(&mut server, 1, 1, "prints");
    wait_for_status(&mut server, &id, "done");
    assert!(server.body(&format!("{id}.01")).contains("- ends"), "the last line is the receipt");
    let logs = std::fs::read_dir(store.data_folder().join("logs")).unwrap().flatten();
    let of_chunk = logs.filter(|log| log.file_name().to_string_lossy().starts_with(&format!("{id}.01.")));
    let kept: u64 = of_chunk.map(|log| log.metadata().unwrap().len()).sum();
    assert!(kept <= 65_536 + 200, "{kept} bytes are kept");
}

#[test]
fn a_profile_that_cannot_be_started_is_refused_before_anything_is_created() {
    let config = "[worker.missing]\nper = \"item\"\ncommand = [\"/nonexistent/x\"]\n";
    let store = Store::new().with_config(config);
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "Read it.", "items": ["a"], "worker": "missing"});
    let refused = server.call("create_batch", request);
    assert_eq!(refused.refusal(), "invalid_argument");
    assert!(refused.message().contains("/nonexistent/x does not exist"), "{}", refused.message());
    assert_eq!(server.call("list_tasks", json!({"limit": 0})).ok().count("/total"), 0);
}

#[test]
fn five_failed_starts_in_a_row_pause_the_profile_until_it_is_resumed() {
    let store =
        Store::new().with_config(&shell("broken", "item", "test -e fixed || exit 3", "max_parallel = 1"));
    let mut server = store.serve();
    let id = start_batch(&mut server, 40, 20, "broken");
    let paused = wait_for_status(&mut server, &id, "paused");
    let why = paused.text("/batch/paused");
    assert!(why.contains("profile 'broken' is paused: 5 starts in a row failed within a second"), "{why}");
    assert!(why.contains("exit code 3"), "{why}");
    assert_eq!(paused.count("/batch/processed"), 5, "nothing more was started");
    assert_eq!(paused.count("/batch/in_doubt"), 0, "an item whose worker did not start is in doubt");
    for chunk in 1..=2 {
        let folder = store.data_folder().join("work").join(format!("{id}.{chunk:02}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("fixed"), "").unwrap();
    }
    server.call("control_batch", json!({"id": id, "action": "resume"})).ok();
    let ended = wait_for_status(&mut server, &id, "done");
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 35, "failed": 5}));
}

#[test]
fn a_batch_that_is_created_while_its_profile_is_paused_says_so_and_is_paused() {
    let store = Store::new().with_config(&shell("broken", "item", "exit 3", "max_parallel = 1"));
    let mut server = store.serve();
    let first = start_batch(&mut server, 40, 20, "broken");
    wait_for_status(&mut server, &first, "paused");
    let request = json!({"title": "Second", "instructions": "x", "items": ["a"], "worker": "broken"});
    let made = server.call("create_batch", request).ok();
    let (id, message) = (made.text("/batch/id"), made.message());
    assert!(
        message.contains("the batch is paused, because profile 'broken' is paused: 5 starts"),
        "{message}"
    );
    assert!(message.contains(&format!("control_batch(id=\"{id}\", action=\"resume\")")), "{message}");
    assert!(!message.contains("in the background"), "{message}");
    let second = read_batch(&mut server, &id);
    assert_eq!(second.text("/batch/status"), "paused", "{}", second.value);
    assert!(second.text("/batch/paused").contains("profile 'broken' is paused"), "{}", second.value);

    std::fs::write(store.config(), shell("broken", "item", "echo '- read'", "max_parallel = 1")).unwrap();
    server.call("control_batch", json!({"id": id, "action": "resume"})).ok();
    wait_for_status(&mut server, &id, "done");
}

#[test]
fn another_runner_takes_over_from_a_killed_one_and_no_item_is_accepted_twice() {
    let store = Store::new().with_config(&shell("slow", "item", "sleep 0.05; echo '- read'", ""));
    let mut server = store.serve();
    let id = start_batch(&mut server, 200, 20, "slow");
    let first = wait_for_runner(&mut server, &id);
    eventually("some items to be read", || {
        (read_batch(&mut server, &id).count("/batch/processed") > 20).then_some(())
    });
    send_signal("KILL", first);
    eventually("another runner to take over", || (wait_for_runner(&mut server, &id) != first).then_some(()));
    let ended = wait_for_status(&mut server, &id, "done");
    assert_eq!(ended.count("/batch/processed"), 200);
    assert!(settled_items(&store).iter().all(|(_, _, receipts)| *receipts == 1));
    eventually("all runners to end", || processes_with(&id).is_empty().then_some(()));
}

/// Whether a stopped supervisor process gets an order within some seconds. It gets none if it was stopped before it
/// reported the end of its worker.
fn gets_order(supervisor: u32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while unread_input(supervisor) == 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    unread_input(supervisor) > 0
}

#[test]
fn a_worker_that_cannot_start_after_its_chunk_was_taken_over_does_not_pause_the_profile() {
    // The worker asks for another try (exit code 75). Stop the supervisor process between two tries, after the runner
    // has sent the order for the next one.
    let store =
        Store::new().with_config(&shell("w", "item", "touch ../../tried; exit 75", "max_parallel = 1"));
    let mut server = store.serve();
    let id = start_batch(&mut server, 20, 20, "w");
    let runner = wait_for_runner(&mut server, &id);
    let folder = store.data_folder();
    let supervisor = eventually("the supervisor process to be stopped before the next try", || {
        let has_tried = std::fs::remove_file(folder.join("tried")).is_ok();
        let supervisor =
            children(runner).into_iter().find(|pid| processes_with("supervisor-process\0").contains(pid))?;
        if !has_tried {
            return None;
        }
        send_signal("STOP", supervisor);
        if children(supervisor).is_empty() && gets_order(supervisor) {
            return Some(supervisor);
        }
        send_signal("CONT", supervisor);
        None
    });
    let chunk = format!("{id}.01");
    store.expire_claim(&chunk);
    server.call("claim_task", json!({"id": chunk, "worker": "other"})).ok();
    std::fs::remove_dir_all(folder.join("work").join(&chunk)).unwrap();
    send_signal("CONT", supervisor);
    let log = folder.join(format!("logs/runner-{id}.log"));
    let results = ["claim was lost", "cannot be started"];
    let output = eventually("the runner to log the result", || {
        let output = std::fs::read_to_string(&log).ok()?;
        results.iter().any(|words| output.contains(words)).then_some(output)
    });
    assert!(output.contains("claim was lost"), "{output}");
    assert_eq!(read_batch(&mut server, &id)["batch"]["status"], "running", "{output}");
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    eventually("the runner to end", || processes_with(&id).is_empty().then_some(()));
}

#[test]
fn a_server_starts_a_runner_for_batches_that_have_none() {
    let store = Store::new().with_config(&shell("slow", "item", "sleep 0.05; echo '- read'", ""));
    let mut server = store.serve();
    let id = start_batch(&mut server, 100, 10, "slow");
    let first = wait_for_runner(&mut server, &id);
    let has_standby =
        || processes_with("--standby").into_iter().any(|pid| processes_with(&id).contains(&pid));
    eventually("a standby runner", || has_standby().then_some(()));
    // As after a power failure: the runner, the standby runner and all their workers are killed.
    kill_all_processes(&id);
    let reply = eventually("the batch to have no runner", || {
        let reply = read_batch(&mut server, &id);
        reply.message().contains("the batch has no runner: control_batch(").then_some(reply)
    });
    assert!(reply["batch"].get("runner").is_none(), "the killed runner is still shown");
    let next = server.call("get_batch", json!({})).ok().text("/next");
    assert!(next.contains("action=\"start\"): the batch has no runner"), "{next}");
    let _another = store.serve();
    eventually("a new runner", || (wait_for_runner(&mut server, &id) != first).then_some(()));
    assert_eq!(wait_for_status(&mut server, &id, "done").count("/batch/processed"), 100);
}

#[test]
fn a_changed_profile_is_read_again_and_another_profile_takes_over_at_the_next_chunk() {
    let store = Store::new().with_config(&shell("broken", "item", "exit 3", "max_parallel = 1"));
    let mut server = store.serve();
    let id = start_batch(&mut server, 60, 10, "broken");
    wait_for_status(&mut server, &id, "paused");
    let changed = shell("broken", "item", "sleep 0.05; echo '- read'", "max_parallel = 1")
        + &shell("other", "item", "echo '{\"receipt\": \"- read\", \"category\": \"other\"}'", "");
    std::fs::write(store.config(), changed).unwrap();
    server.call("control_batch", json!({"id": id, "action": "resume"})).ok();
    eventually("the changed profile to process items", || {
        (read_batch(&mut server, &id).count("/batch/processed") > 8).then_some(())
    });
    server.call("control_batch", json!({"id": id, "action": "start", "worker": "other"})).ok();
    let ended = wait_for_status(&mut server, &id, "done");
    let categories = &ended["batch"]["categories"];
    assert!(categories["other"].as_u64().unwrap() >= 30, "{categories}");
    assert_eq!(ended.count("/batch/outcomes/failed"), 5);
}

#[test]
fn the_runner_works_a_chunk_whose_agent_let_the_lease_expire() {
    let store = Store::new().with_config(&shell("quick", "item", "echo '- read'", ""));
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "Read it.", "items": ["a"]});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    server.call("claim_task", json!({"batch": id, "worker": "agent"})).ok();
    store.expire_claim(&format!("{id}.01"));
    server.call("control_batch", json!({"id": id, "action": "start", "worker": "quick"})).ok();
    wait_for_status(&mut server, &id, "done");
    assert!(server.body(&format!("{id}.01")).contains("The lease of 'agent' expired"));
}

#[test]
fn a_pause_lets_claimed_chunks_finish_and_a_resume_continues() {
    let store =
        Store::new().with_config(&shell("slow", "item", "sleep 0.1; echo '- read'", "max_parallel = 2"));
    let mut server = store.serve();
    let id = start_batch(&mut server, 40, 5, "slow");
    eventually("some items to be read", || {
        (read_batch(&mut server, &id).count("/batch/processed") > 2).then_some(())
    });
    server.call("control_batch", json!({"id": id, "action": "pause", "reason": "lunch"})).ok();
    let paused = eventually("the claimed chunks to finish", || {
        let reply = read_batch(&mut server, &id);
        let chunks = reply["chunks"].as_array().unwrap().clone();
        (!chunks.iter().any(|chunk| chunk["status"] == "in_progress")).then_some(reply)
    });
    assert_eq!(paused.count("/batch/processed") % 5, 0, "a claimed chunk was not finished");
    assert!(paused.count("/batch/processed") < 40);
    server.call("control_batch", json!({"id": id, "action": "resume"})).ok();
    assert_eq!(wait_for_status(&mut server, &id, "done").count("/batch/processed"), 40);
}

#[test]
fn the_runner_continues_after_a_person_approves_a_checkpoint() {
    let store = Store::new().with_config(&file_commit_profile());
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "File it.", "items": [{"key": "a", "subject": "fix: a"}],
        "worker": "filer", "checkpoint": "chunk",
        "steps": [{"name": "classify", "instructions": "say"}, {"name": "execute", "instructions": "do"}]});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    wait_for_status(&mut server, &id, "waiting");
    server.call("review_batch", json!({"id": id, "decision": "approve"})).ok();
    wait_for_status(&mut server, &id, "done");
}

#[test]
fn a_batch_of_higher_priority_gets_more_workers_and_none_starves() {
    let config = shell("slow", "item", "sleep 0.2; echo '- read'", "") + "[limits]\nmax_parallel = 4\n";
    let store = Store::new().with_config(&config);
    let mut server = store.serve();
    let slow = start_batch(&mut server, 400, 100, "slow");
    let claimed_chunks = |server: &mut support::server::Server, id: &str| {
        let chunks = read_batch(server, id)["chunks"].as_array().unwrap().clone();
        chunks.iter().filter(|chunk| chunk["status"] == "in_progress").count()
    };
    eventually("the first batch to have all four workers", || {
        (claimed_chunks(&mut server, &slow) == 4).then_some(())
    });
    let fast = start_batch(&mut server, 24, 3, "slow");
    eventually("the second batch to get half of the workers", || {
        (claimed_chunks(&mut server, &fast) == 2).then_some(())
    });
    assert!(claimed_chunks(&mut server, &slow) <= 2, "more than four workers at once");
    wait_for_status(&mut server, &fast, "done");
    assert_eq!(read_batch(&mut server, &slow)["batch"]["status"], "running");
    let urgent = start_batch(&mut server, 60, 5, "slow");
    server.call("update_task", json!({"id": urgent, "priority": 0})).ok();
    eventually("the urgent batch to have three of four workers", || {
        (claimed_chunks(&mut server, &urgent) == 3).then_some(())
    });
    server.call("control_batch", json!({"id": slow, "action": "cancel"})).ok();
    wait_for_status(&mut server, &urgent, "done");
    eventually("all runners to end", || {
        (processes_with(&slow).is_empty() && processes_with(&urgent).is_empty()).then_some(())
    });
}

#[test]
fn a_profile_starts_a_limited_number_of_workers_per_minute_and_says_what_it_waits_for() {
    let store = Store::new().with_config(&shell("few", "item", "echo '- read'", "max_starts_per_minute = 3"));
    let mut server = store.serve();
    let id = start_batch(&mut server, 6, 2, "few");
    let waits = eventually("the runner to wait", || {
        read_batch(&mut server, &id)
            .pointer("/batch/runner/waits_for")
            .and_then(|why| Some(why.as_str()?.to_owned()))
    });
    assert!(waits.contains("profile 'few' starts 3 workers a minute"), "{waits}");
    eventually("three items to be processed", || {
        (read_batch(&mut server, &id).count("/batch/processed") == 3).then_some(())
    });
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    eventually("the runner to end", || processes_with(&id).is_empty().then_some(()));
}
