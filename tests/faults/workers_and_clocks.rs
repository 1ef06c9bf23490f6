//! Servers, runs and runners work a batch while the clock jumps or while each has a different clock: every item has one
//! outcome.
//!
//! `TASKTALLY_ROUNDS` sets the number of rounds, `TASKTALLY_SEED` repeats the same jumps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::clock::{assert_each_item_once, claim_chunk, create_batch, receipt};
use crate::fake_clock::{DAY, FakeClock, HOUR, MINUTE};
use crate::support::background::{processes_with, read_batch};
use crate::support::cli::Run;
use crate::support::rng::Rng;
use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::{eventually, eventually_or_report, rounds, run_in_parallel};

#[test]
fn servers_whose_clocks_are_a_day_apart_race_and_each_item_has_one_outcome() {
    const ITEMS: usize = 24;
    let (mut taken_over, mut late) = (0, 0);
    let all = rounds("TASKTALLY_ROUNDS", 2);
    for _ in 0..all {
        let store = Store::new();
        let clocks = [0, DAY, -DAY, HOUR].map(|apart| {
            let fake_clock = FakeClock::new();
            fake_clock.move_to(apart);
            fake_clock
        });
        let batch = create_batch(&mut clocks[0].serve(&store), ITEMS, 4);
        let done = run_in_parallel(clocks.len(), |number| {
            let mut server = clocks[number].serve(&store);
            let (mut completed, mut lost) = (Vec::new(), 0);
            for _ in 0..200 {
                let Some((chunk, token, keys)) = claim_chunk(&mut server, &batch, 30 * MINUTE) else { break };
                let is_settled = keys.iter().all(|key| {
                    let reply = server.call("update_task", receipt(&chunk, &token, key));
                    assert!(reply.succeeded() || reply.code() == "claim_lost", "{}", reply.value);
                    reply.succeeded()
                });
                let ended = server.call("complete_task", json!({"id": chunk, "claim": token}));
                match (is_settled, ended.succeeded()) {
                    (true, true) => completed.push(chunk),
                    (_, won) => {
                        assert!(!won && ended.code() == "claim_lost", "{}", ended.value);
                        lost += 1;
                    }
                }
            }
            (completed, lost)
        });
        let mut completed: Vec<String> = done.iter().flat_map(|(completed, _)| completed.clone()).collect();
        late += done.iter().map(|(_, lost)| lost).sum::<usize>();
        // Complete the chunks that are still open.
        let mut last = clocks[1].serve(&store);
        while let Some((chunk, token, keys)) = claim_chunk(&mut last, &batch, 30 * MINUTE) {
            for key in &keys {
                last.call("update_task", receipt(&chunk, &token, key)).ok();
            }
            last.call("complete_task", json!({"id": chunk, "claim": token})).ok();
            completed.push(chunk);
        }
        let count = completed.len();
        completed.sort();
        completed.dedup();
        assert_eq!((count, completed.len()), (ITEMS / 4, ITEMS / 4), "each chunk is completed once");
        assert_each_item_once(&store, &mut last, &batch, ITEMS);
        let claims: u64 = store.sql().row("SELECT sum(generation) FROM task WHERE role = 'chunk'", &[]);
        taken_over += claims as usize - ITEMS / 4;
    }
    println!(
        "servers_whose_clocks_are_a_day_apart: {all} rounds, {taken_over} claims taken over, {late} completions refused"
    );
    assert!(taken_over > 0, "no claim was taken over: the clocks were not apart");
}

const RUN_ITEMS: usize = 40;

/// Moves the clock at random while `job` runs. Returns the result of `job` and the number of jumps.
fn with_clock_jumps<T>(rng: &mut Rng, fake_clock: &FakeClock, job: impl FnOnce() -> T) -> (T, u64) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let jumper = scope.spawn(|| {
            let mut jumps = 0;
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(rng.below(200)));
                fake_clock.move_to([0, HOUR, -HOUR, DAY, -DAY][rng.below(5) as usize]);
                jumps += 1;
            }
            jumps
        });
        // The jumper must end even if the job panics; otherwise the scope never ends.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        over.store(true, Ordering::SeqCst);
        let jumps = jumper.join().unwrap();
        (done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), jumps)
    })
}

/// Reopens chunks that ran out of attempts: each jump forwards may cost an attempt.
fn retry(store: &Store, batch: &str) {
    let retry = json!({"id": batch, "action": "retry", "reason": "the clock jumped"});
    store.serve().call("control_batch", retry);
}

/// Runs `tasktally run` until the batch is done. Returns its id.
fn run_to_the_end(store: &Store, fake_clock: &FakeClock) -> String {
    let mut batch: Option<String> = None;
    for _ in 0..40 {
        let mut args = vec!["run", "--workers", "3", "--quiet"];
        match &batch {
            None => args.extend(["--items", "items.jsonl", "--max-chunk", "5"]),
            Some(id) => args.extend(["--resume", id]),
        }
        args.extend(["--", "sh", "-c", "sleep 0.02; echo '- did it'"]);
        let ran = Run::new(fake_clock.apply_to(store.command()), args).finish();
        assert!(matches!(ran.code, Some(0 | 1 | 3)), "{ran:?}");
        let mut server = store.serve();
        let listed = server.call("list_tasks", json!({"limit": 0, "type": "epic"})).ok();
        let id = listed.text("/tasks/0/id");
        if read_batch(&mut server, &id)["batch"]["status"] == "done" {
            return id;
        }
        retry(store, &id);
        batch = Some(id);
    }
    panic!("the batch is not done after 40 runs");
}

#[test]
fn a_run_continues_while_the_clock_jumps_and_each_item_has_one_outcome() {
    let mut rng = Rng::seeded("a_run_continues_while_the_clock_jumps");
    let (mut jumps, all) = (0, rounds("TASKTALLY_ROUNDS", 2));
    for _ in 0..all {
        let (store, fake_clock) = (Store::new(), FakeClock::new());
        let items: Vec<String> =
            (1..=RUN_ITEMS).map(|item| json!({"key": item.to_string()}).to_string()).collect();
        store.write("items.jsonl", items.join("\n"));
        let (batch, turned) = with_clock_jumps(&mut rng, &fake_clock, || run_to_the_end(&store, &fake_clock));
        jumps += turned;
        assert_each_item_once(&store, &mut store.serve(), &batch, RUN_ITEMS);
    }
    println!("a_run_continues_while_the_clock_jumps: {all} rounds, {jumps} jumps");
    assert!(jumps > 0);
}

#[test]
fn a_background_runner_continues_while_the_clock_jumps_and_each_item_has_one_outcome() {
    let mut rng = Rng::seeded("a_background_runner_continues_while_the_clock_jumps");
    let (mut jumps, all) = (0, rounds("TASKTALLY_ROUNDS", 1));
    for _ in 0..all {
        let profile = "[worker.w]\nper = \"item\"\ncommand = [\"sh\", \"-c\", \"sleep 0.05; echo '- did it'\"]\n\
                       max_starts_per_minute = 500\n";
        let (store, fake_clock) = (Store::new().with_config(profile), FakeClock::new());
        let ((), turned) = with_clock_jumps(&mut rng, &fake_clock, || {
            let mut server = fake_clock.serve(&store);
            let items: Vec<String> = (1..=RUN_ITEMS).map(|item| item.to_string()).collect();
            let batch = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 5, "max_parallel": 3,
                               "max_attempts": 100, "worker": "w"});
            let made = server.call("create_batch", batch).ok();
            let batch = made.text("/batch/id");
            let is_done =
                |server: &mut Server| (read_batch(server, &batch)["batch"]["status"] == "done").then_some(());
            eventually_or_report("the batch to be done", &mut server, is_done, |server| {
                let (reply, running) = (read_batch(server, &batch), processes_with(&batch));
                let log = store.data_folder().join(format!("logs/runner-{batch}.log"));
                let log = std::fs::read_to_string(log).unwrap_or_default();
                format!("{} {} processes: {running:?}\n{log}", made.message(), reply.value)
            });
            eventually("its runner to end", || processes_with(&batch).is_empty().then_some(()));
            assert_each_item_once(&store, &mut server, &batch, RUN_ITEMS);
        });
        jumps += turned;
    }
    println!("a_background_runner_continues_while_the_clock_jumps: {all} rounds, {jumps} jumps");
    assert!(jumps > 0);
}
