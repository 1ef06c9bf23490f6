//! Background workers: they outlive whoever asked for them, keep to what the profile says, and each that goes
//! wrong ends as a person would expect, with the reason on record.

mod support;

use std::time::Duration;

use serde_json::json;

use support::agent;
use support::background::{batch, children, commits, end_all, processes, runner, settled, stand, until};
use support::store::Store;
use support::{eventually, signal};

/// A profile that files an item as the README's example does.
fn filing() -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/file-commit.sh");
    format!("[worker.filer]\nper = \"item\"\ncommand = [{script:?}]\n")
}

fn shell(name: &str, per: &str, script: &str, more: &str) -> String {
    format!("[worker.{name}]\nper = {per:?}\ncommand = [\"sh\", \"-c\", {script:?}]\n{more}\n")
}

/// Not a test of its own: the agent of those below.
#[test]
#[ignore = "the stand-in for an agent, started by a profile"]
fn stand_in() {
    let mut given = agent::given();
    match std::env::var("STAND_IN").as_deref() {
        Ok("hasty") => agent::work(&mut given, 2),
        Ok("silent") => loop {
            std::thread::sleep(Duration::from_secs(60));
        },
        Ok("tidy") => {
            let tools = agent::work(&mut given, usize::MAX);
            // Longer than a runner takes to see that the chunk is complete.
            std::thread::sleep(Duration::from_millis(600));
            std::fs::write("tidied", "").unwrap();
            tools
        }
        _ => agent::work(&mut given, usize::MAX),
    };
}

fn agent_profile(name: &str, manner: &str, more: &str) -> String {
    let command = agent::command_of("stand_in");
    format!(
        "[worker.{name}]\nper = \"chunk\"\ncommand = {command}\n{more}\n[worker.{name}.env]\nset = {{ STAND_IN = {manner:?} }}\n"
    )
}

#[test]
fn a_batch_ends_by_itself_when_the_client_and_its_server_are_killed() {
    let store = Store::new().with_config(&filing());
    let source = commits(&store);
    let mut server = store.serve();
    let request = json!({"title": "Mail", "instructions": "File it.", "source": {"path": source}, "split": "month:date",
        "on_conflict": "allow", "worker": "filer"});
    let plan = server.call("create_batch", request).ok();
    let id = plan.text("/batch/id");
    assert!(plan.message().contains("profile 'filer' works on it in the background"), "{}", plan.message());
    assert!(plan.get("worker_prompt").is_none(), "nobody else is to start workers");
    server.kill();

    let mut server = store.serve();
    let ended = until(&mut server, &id, "done");
    assert_eq!((ended.count("/batch/total"), ended.count("/batch/processed")), (663, 663));
    assert_eq!(ended.count("/batch/outcomes/done"), 663);
    let settled = settled(&store);
    assert!(settled.iter().all(|(_, outcome, receipts)| outcome.is_some() && *receipts == 1), "{settled:?}");
    eventually("all runners to end", || processes(&id).is_empty().then_some(()));
    store.tasktally(["verify"]).success();
}

#[test]
fn a_worker_of_a_chunk_knows_its_prompt_and_tools_and_completes_it() {
    let store = Store::new().with_config(&agent_profile("agent", "honest", ""));
    let mut server = store.serve();
    let id = batch(&mut server, 25, 10, "agent");
    let ended = until(&mut server, &id, "done");
    assert_eq!(ended["batch"]["categories"], json!({"read": 25}));
    let jobs = store.file().with_file_name("jobs");
    eventually("the job's files to be gone", || {
        std::fs::read_dir(&jobs).unwrap().next().is_none().then_some(())
    });
    let log =
        std::fs::read_to_string(store.file().with_file_name("logs").join(format!("{id}.01.1.out"))).unwrap();
    assert!(log.contains("complete_task: Completed"), "{log}");
}

#[test]
fn a_worker_that_completed_its_chunk_may_finish_what_it_does_and_has_not_failed_to_start() {
    let store = Store::new().with_config(&agent_profile("agent", "tidy", "max_parallel = 1"));
    let mut server = store.serve();
    let id = batch(&mut server, 3, 1, "agent");
    until(&mut server, &id, "done");
    let tidied = |chunk: usize| store.file().with_file_name("work").join(format!("{id}.{chunk:02}/tidied"));
    eventually("all three to have tidied up", || (1..=3).all(|chunk| tidied(chunk).exists()).then_some(()));
}

#[test]
fn a_batch_that_is_opened_again_as_it_ends_has_a_runner() {
    let store = Store::new().with_config(&shell(
        "flaky",
        "item",
        "test -e ../../good && echo '- read'; test -e ../../good",
        "",
    ));
    let mut server = store.serve();
    for _ in 0..support::rounds("TASKTALLY_ROUNDS", 10) {
        let _ = std::fs::remove_file(store.file().with_file_name("good"));
        let id = batch(&mut server, 1, 1, "flaky");
        until(&mut server, &id, "done");
        std::fs::write(store.file().with_file_name("good"), "").unwrap();
        // At once: its runner may be about to end.
        server.call("control_batch", json!({"id": id, "action": "retry"})).ok();
        eventually("the item to be done", || {
            (stand(&mut server, &id)["batch"]["outcomes"] == json!({"done": 1})).then_some(())
        });
    }
}

#[test]
fn a_worker_that_completes_with_items_missing_is_followed_by_one_that_gets_only_those() {
    let store = Store::new().with_config(&agent_profile("hasty", "hasty", ""));
    let mut server = store.serve();
    let request =
        json!({"title": "B", "instructions": "Read it.", "items": ["a", "b", "c"], "worker": "hasty"});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    // Two at a time: the second attempt ends it.
    until(&mut server, &id, "done");
    let body = server.body(&format!("{id}.01"));
    assert!(body.contains("its worker left 1 item without a receipt: exit code 0"), "{body}");
    assert!(settled(&store).iter().all(|(_, _, receipts)| *receipts == 1));
}

#[test]
fn a_worker_that_writes_no_receipt_is_ended_and_the_chunk_waits_for_a_person_in_the_end() {
    let more = "stalled_after_s = 1\ngrace_s = 0";
    let store = Store::new().with_config(&agent_profile("silent", "silent", more));
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "Read it.", "items": ["a"], "worker": "silent", "max_attempts": 2});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    until(&mut server, &id, "failed");
    let body = server.body(&format!("{id}.01"));
    assert_eq!(body.matches("wrote no receipt for too long (stalled_after_s)").count(), 2, "{body}");
    eventually("all workers to end", || processes(&id).is_empty().then_some(()));
}

#[test]
fn a_worker_that_hangs_is_ended_by_its_time_and_its_item_has_failed() {
    let config = shell("hangs", "item", "sleep 600", "timeout_s = 1\ngrace_s = 0");
    let store = Store::new().with_config(&config);
    let mut server = store.serve();
    let id = batch(&mut server, 2, 1, "hangs");
    let ended = until(&mut server, &id, "done");
    assert_eq!(ended.count("/batch/outcomes/failed"), 2);
    let body = server.body(&format!("{id}.01"));
    assert!(body.contains("stopped after 1 s (timeout_s)"), "{body}");
}

#[test]
fn a_worker_that_takes_too_much_memory_is_ended_and_says_so() {
    let script = "x=a; while :; do x=$x$x; done";
    let store = Store::new().with_config(&shell("greedy", "item", script, "memory_mb = 64\ngrace_s = 0"));
    let mut server = store.serve();
    let id = batch(&mut server, 1, 1, "greedy");
    until(&mut server, &id, "done");
    let body = server.body(&format!("{id}.01"));
    assert!(body.contains("more memory than memory_mb"), "{body}");
}

#[test]
fn a_worker_that_prints_without_end_is_kept_head_and_tail_and_no_more() {
    let script = "echo begins; yes line | head -c 100000000; echo; echo '- ends'";
    let store = Store::new().with_config(&shell("prints", "item", script, "output_limit = 65536"));
    let mut server = store.serve();
    let id = batch(&mut server, 1, 1, "prints");
    until(&mut server, &id, "done");
    assert!(server.body(&format!("{id}.01")).contains("- ends"), "the last line is the receipt");
    let logs = std::fs::read_dir(store.file().with_file_name("logs")).unwrap().flatten();
    let of_chunk = logs.filter(|log| log.file_name().to_string_lossy().starts_with(&format!("{id}.01.")));
    let kept: u64 = of_chunk.map(|log| log.metadata().unwrap().len()).sum();
    assert!(kept <= 65_536 + 200, "{kept} bytes are kept");
}

#[test]
fn a_profile_that_cannot_be_started_is_refused_before_anything_is_made() {
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
fn five_starts_that_fail_at_once_pause_the_profile_until_somebody_resumes() {
    let store =
        Store::new().with_config(&shell("broken", "item", "test -e mended || exit 3", "max_parallel = 1"));
    let mut server = store.serve();
    let id = batch(&mut server, 40, 20, "broken");
    let paused = until(&mut server, &id, "paused");
    let why = paused.text("/batch/paused");
    assert!(why.contains("profile 'broken' is paused: 5 starts in a row failed within a second"), "{why}");
    assert!(why.contains("exit code 3"), "{why}");
    assert_eq!(paused.count("/batch/processed"), 5, "nothing more was started");
    assert_eq!(paused.count("/batch/in_doubt"), 0, "what was not started is not in doubt");
    for chunk in 1..=2 {
        let folder = store.file().with_file_name("work").join(format!("{id}.{chunk:02}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("mended"), "").unwrap();
    }
    server.call("control_batch", json!({"id": id, "action": "resume"})).ok();
    let ended = until(&mut server, &id, "done");
    assert_eq!(ended["batch"]["outcomes"], json!({"done": 35, "failed": 5}));
}

#[test]
fn a_runner_that_is_killed_is_taken_over_and_no_item_is_accepted_twice() {
    let store = Store::new().with_config(&shell("slow", "item", "sleep 0.05; echo '- read'", ""));
    let mut server = store.serve();
    let id = batch(&mut server, 200, 20, "slow");
    let first = runner(&mut server, &id);
    eventually("some items to be read", || {
        (stand(&mut server, &id).count("/batch/processed") > 20).then_some(())
    });
    signal("KILL", first);
    eventually("another runner to take over", || (runner(&mut server, &id) != first).then_some(()));
    let ended = until(&mut server, &id, "done");
    assert_eq!(ended.count("/batch/processed"), 200);
    assert!(settled(&store).iter().all(|(_, _, receipts)| *receipts == 1));
    eventually("all runners to end", || processes(&id).is_empty().then_some(()));
}

#[test]
fn a_worker_that_cannot_start_as_somebody_else_has_its_chunk_by_now_pauses_no_profile() {
    // The supervisor process waits between two tries of an item. The next try starts after the folder was removed.
    let store =
        Store::new().with_config(&shell("w", "item", "touch ../../tried; exit 75", "max_parallel = 1"));
    let mut server = store.serve();
    let id = batch(&mut server, 20, 20, "w");
    let runner = runner(&mut server, &id);
    let folder = store.file().parent().unwrap().to_owned();
    let supervisor = eventually("the supervisor process to wait for the next try", || {
        let has_tried = std::fs::remove_file(folder.join("tried")).is_ok();
        let supervisor =
            children(runner).into_iter().find(|pid| processes("supervisor-process\0").contains(pid))?;
        if !has_tried {
            return None;
        }
        signal("STOP", supervisor);
        if children(supervisor).is_empty() {
            return Some(supervisor);
        }
        signal("CONT", supervisor);
        None
    });
    // By then the runner has told it to.
    std::thread::sleep(Duration::from_secs(1));
    let chunk = format!("{id}.01");
    store.sql().execute("UPDATE task SET expires_at = 1 WHERE id = ?1", [&chunk]).unwrap();
    server.call("claim_task", json!({"id": chunk, "worker": "other"})).ok();
    std::fs::remove_dir_all(folder.join("work").join(&chunk)).unwrap();
    signal("CONT", supervisor);
    let log = folder.join(format!("logs/runner-{id}.log"));
    let ended = ["claim was lost", "cannot be started"];
    let said = eventually("the runner to say what became of it", || {
        let said = std::fs::read_to_string(&log).ok()?;
        ended.iter().any(|words| said.contains(words)).then_some(said)
    });
    assert!(said.contains("claim was lost"), "{said}");
    assert_eq!(stand(&mut server, &id)["batch"]["status"], "running", "{said}");
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    eventually("the runner to end", || processes(&id).is_empty().then_some(()));
}

#[test]
fn a_server_that_starts_sees_to_it_that_batches_have_a_runner() {
    let store = Store::new().with_config(&shell("slow", "item", "sleep 0.05; echo '- read'", ""));
    let mut server = store.serve();
    let id = batch(&mut server, 100, 10, "slow");
    let first = runner(&mut server, &id);
    let has_standby = || processes("--standby").into_iter().any(|pid| processes(&id).contains(&pid));
    eventually("another one to stand by", || has_standby().then_some(()));
    // As a machine that stops: the one at work, the one that stands by, and all their workers.
    end_all(&id);
    // A process that ends is out of sight before its lock is.
    let unworked = || {
        let told = stand(&mut server, &id);
        told.message().contains("the batch has no runner: control_batch(").then_some(told)
    };
    let told = eventually("it to be told that no runner works it", unworked);
    assert!(told["batch"].get("runner").is_none(), "one that is gone is not shown");
    let next = server.call("get_batch", json!({})).ok().text("/next");
    assert!(next.contains("action=\"start\"): the batch has no runner"), "{next}");
    let _another = store.serve();
    eventually("a new runner to be at work", || (runner(&mut server, &id) != first).then_some(()));
    assert_eq!(until(&mut server, &id, "done").count("/batch/processed"), 100);
}

#[test]
fn a_profile_that_was_mended_is_read_anew_and_another_takes_over_at_the_next_chunk() {
    let store = Store::new().with_config(&shell("broken", "item", "exit 3", "max_parallel = 1"));
    let mut server = store.serve();
    let id = batch(&mut server, 60, 10, "broken");
    until(&mut server, &id, "paused");
    let mended = shell("broken", "item", "sleep 0.05; echo '- read'", "max_parallel = 1")
        + &shell("other", "item", "echo '{\"receipt\": \"- read\", \"category\": \"other\"}'", "");
    std::fs::write(store.config(), mended).unwrap();
    server.call("control_batch", json!({"id": id, "action": "resume"})).ok();
    eventually("the mended one to read", || {
        (stand(&mut server, &id).count("/batch/processed") > 8).then_some(())
    });
    server.call("control_batch", json!({"id": id, "action": "start", "worker": "other"})).ok();
    let ended = until(&mut server, &id, "done");
    let categories = &ended["batch"]["categories"];
    assert!(categories["other"].as_u64().unwrap() >= 30, "{categories}");
    assert_eq!(ended.count("/batch/outcomes/failed"), 5);
}

#[test]
fn a_chunk_whose_lease_ran_out_with_somebody_else_is_worked_by_the_runner() {
    let store = Store::new().with_config(&shell("quick", "item", "echo '- read'", ""));
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "Read it.", "items": ["a"]});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    server.call("claim_task", json!({"batch": id, "worker": "agent", "lease_seconds": 1})).ok();
    server.call("control_batch", json!({"id": id, "action": "start", "worker": "quick"})).ok();
    until(&mut server, &id, "done");
    assert!(server.body(&format!("{id}.01")).contains("The lease of 'agent' expired"));
}

#[test]
fn a_pause_lets_what_is_in_hand_finish_and_a_resume_goes_on() {
    let store =
        Store::new().with_config(&shell("slow", "item", "sleep 0.1; echo '- read'", "max_parallel = 2"));
    let mut server = store.serve();
    let id = batch(&mut server, 40, 5, "slow");
    eventually("some items to be read", || {
        (stand(&mut server, &id).count("/batch/processed") > 2).then_some(())
    });
    server.call("control_batch", json!({"id": id, "action": "pause", "reason": "lunch"})).ok();
    let held = eventually("what is in hand to finish", || {
        let reply = stand(&mut server, &id);
        let chunks = reply["chunks"].as_array().unwrap().clone();
        (!chunks.iter().any(|chunk| chunk["status"] == "in_progress")).then_some(reply)
    });
    assert_eq!(held.count("/batch/processed") % 5, 0, "chunks in hand were finished");
    assert!(held.count("/batch/processed") < 40);
    server.call("control_batch", json!({"id": id, "action": "resume"})).ok();
    assert_eq!(until(&mut server, &id, "done").count("/batch/processed"), 40);
}

#[test]
fn a_checkpoint_waits_for_a_person_and_the_runner_goes_on_after_the_answer() {
    let store = Store::new().with_config(&filing());
    let mut server = store.serve();
    let request = json!({"title": "B", "instructions": "File it.", "items": [{"key": "a", "subject": "fix: a"}],
        "worker": "filer", "checkpoint": "chunk",
        "steps": [{"name": "classify", "instructions": "say"}, {"name": "execute", "instructions": "do"}]});
    let id = server.call("create_batch", request).ok().text("/batch/id");
    until(&mut server, &id, "waiting");
    server.call("review_batch", json!({"id": id, "decision": "approve"})).ok();
    until(&mut server, &id, "done");
}

#[test]
fn a_batch_of_more_urgency_gets_more_workers_and_none_starves() {
    let config = shell("slow", "item", "sleep 0.2; echo '- read'", "") + "[limits]\nmax_parallel = 4\n";
    let store = Store::new().with_config(&config);
    let mut server = store.serve();
    let slow = batch(&mut server, 400, 100, "slow");
    let at_once = |server: &mut support::server::Server, id: &str| {
        let chunks = stand(server, id)["chunks"].as_array().unwrap().clone();
        chunks.iter().filter(|chunk| chunk["status"] == "in_progress").count()
    };
    eventually("the first batch to have all four", || (at_once(&mut server, &slow) == 4).then_some(()));
    let fast = batch(&mut server, 24, 3, "slow");
    eventually("the second to get its half", || (at_once(&mut server, &fast) == 2).then_some(()));
    assert!(at_once(&mut server, &slow) <= 2, "no more than four at once");
    until(&mut server, &fast, "done");
    assert_eq!(stand(&mut server, &slow)["batch"]["status"], "running");
    let urgent = batch(&mut server, 60, 5, "slow");
    server.call("update_task", json!({"id": urgent, "priority": 0})).ok();
    eventually("the urgent one to have three of four", || (at_once(&mut server, &urgent) == 3).then_some(()));
    server.call("control_batch", json!({"id": slow, "action": "cancel"})).ok();
    until(&mut server, &urgent, "done");
    eventually("all runners to end", || {
        (processes(&slow).is_empty() && processes(&urgent).is_empty()).then_some(())
    });
}

#[test]
fn a_profile_starts_so_many_workers_a_minute_and_says_what_it_waits_for() {
    let store = Store::new().with_config(&shell("few", "item", "echo '- read'", "max_starts_per_minute = 3"));
    let mut server = store.serve();
    let id = batch(&mut server, 6, 2, "few");
    let waits = eventually("the runner to wait", || {
        stand(&mut server, &id)
            .pointer("/batch/runner/waits_for")
            .and_then(|why| Some(why.as_str()?.to_owned()))
    });
    assert!(waits.contains("profile 'few' starts 3 workers a minute"), "{waits}");
    eventually("three to be through", || {
        (stand(&mut server, &id).count("/batch/processed") == 3).then_some(())
    });
    server.call("control_batch", json!({"id": id, "action": "cancel"})).ok();
    eventually("the runner to end", || processes(&id).is_empty().then_some(()));
}
