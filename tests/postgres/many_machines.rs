//! Runners on several machines. A machine here is a home folder of its own: logs and locks are kept below it.

use serde_json::json;

use crate::support::cli::Run;
use crate::support::screen::Screen;
use crate::support::skip::has_program;
use crate::support::store::Store;
use crate::support::{eventually, run_in_parallel};

/// A profile whose worker does nothing, for each item.
const PROFILE: &str = "[worker.nothing]\nper = \"item\"\ncommand = [\"/bin/true\"]\n";

fn create_batch(store: &Store, items: usize, worker: Option<&str>) -> String {
    let mut server = store.serve();
    let items: Vec<String> = (0..items).map(|item| format!("k{item}")).collect();
    let mut request = json!({"title": "B", "instructions": "x", "items": items, "max_chunk": 3});
    if let Some(worker) = worker {
        request["worker"] = worker.into();
    }
    server.call("create_batch", request).ok().text("/batch/id")
}

#[test]
fn several_machines_work_one_batch_and_each_item_is_worked_once() {
    let Some(store) = Store::new_postgres() else { return };
    let batch = create_batch(&store, 60, None);
    run_in_parallel(3, |machine| {
        let home = store.folder().join(format!("machine-{machine}"));
        std::fs::create_dir(&home).unwrap();
        let mut command = store.command();
        command.env("HOME", home).args(["work", "--batch", &batch, "--workers", "2", "--", "/bin/true"]);
        assert!(command.status().unwrap().success(), "machine {machine}");
    });
    let receipts: Vec<(String, i64)> = store
        .sql()
        .rows("SELECT item_key, count(*) FROM receipt WHERE outcome = 'done' GROUP BY item_key", &[]);
    assert_eq!(receipts.len(), 60);
    assert!(receipts.iter().all(|(_, count)| *count == 1), "{receipts:?}");
    store.tasktally(["verify"]).success();
}

/// A process on another machine that holds the lease of a batch, live for so many seconds.
fn lease_elsewhere(store: &Store, batch: &str, seconds: i64) {
    let hold = "INSERT INTO lease (name, holder, fence, expires_at, host, pid, place)
        VALUES ('run:' || ?1, '', 7, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + ?2 * 1000, 'elsewhere', 1, 'p')
        ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at, host = excluded.host, place = excluded.place";
    store.sql().execute(hold, &[&batch, &seconds]).unwrap();
}

#[test]
fn a_batch_has_one_runner_until_its_lease_ends() {
    let Some(store) = Store::new_postgres().map(|store| store.with_config(PROFILE)) else { return };
    let batch = create_batch(&store, 4, None);
    lease_elsewhere(&store, &batch, 15);
    let work = ["work", "--batch", &batch, "--worker", "nothing"];
    let refused = store.tasktally(work).finish().output();
    assert!(refused.contains("process 1 on host elsewhere works on batch"), "{refused}");
    // Nor does another process take the claims of that runner over.
    store.tasktally(["work", "--", "/bin/true"]).success();
    lease_elsewhere(&store, &batch, 0);
    let batch = create_batch(&store, 4, None);
    lease_elsewhere(&store, &batch, 0);
    store.tasktally(["work", "--batch", &batch, "--worker", "nothing"]).success();
    let fence: i64 =
        store.sql().row("SELECT fence FROM lease WHERE name = 'run:' || ?1 AND expires_at = 0", &[&batch]);
    assert_eq!(fence, 8, "the number grows with each holder");
}

#[test]
fn max_parallel_holds_over_all_machines() {
    let Some(store) = Store::new_postgres() else { return };
    let batch = create_batch(&store, 45, None);
    store.tasktally(["control-batch", &batch, "--max-parallel", "2"]).success();
    let worker = "mkdir running-$TASKTALLY_ITEM; ls -d running-* | wc -l >> counts; sleep 0.05; rmdir running-$TASKTALLY_ITEM";
    run_in_parallel(3, |machine| {
        let home = store.folder().join(format!("machine-{machine}"));
        std::fs::create_dir(&home).unwrap();
        let mut command = store.command();
        let work = ["work", "--batch", &batch, "--", "sh", "-c", worker];
        command.env("HOME", home).current_dir(store.folder()).args(work).status().unwrap();
    });
    let done: i64 = store.sql().row("SELECT items_done FROM batch", &[]);
    assert_eq!(done, 45);
    let counts = std::fs::read_to_string(store.folder().join("counts")).unwrap();
    let counts: Vec<u32> = counts.lines().map(|count| count.trim().parse().unwrap()).collect();
    assert!(counts.iter().all(|count| *count <= 2), "{counts:?}");
    assert!(counts.contains(&2), "{counts:?}");
}

/// A `tasktally` command with a home folder of its own, as on another machine.
fn on_machine(store: &Store, machine: &str, args: &[&str]) -> Run {
    let home = store.folder().join(machine);
    std::fs::create_dir_all(&home).unwrap();
    let mut command = store.command();
    command.env("HOME", home);
    Run::new(command, args)
}

#[test]
fn a_process_that_was_replaced_ends_itself_and_its_workers_and_claims_nothing() {
    let Some(store) = Store::new_postgres() else { return };
    let batch = create_batch(&store, 6, None);
    // A worker that outlives the test unless it is killed.
    let worker = "echo $TASKTALLY_ITEM >> started; exec sleep 600";
    let work = ["work", "--batch", &batch, "--workers", "1", "--", "sh", "-c", worker];
    let replaced = std::thread::scope(|scope| {
        let process = scope.spawn(|| on_machine(&store, "ash", &work).finish());
        eventually("a worker to start", || store.folder().join("started").exists().then_some(()));
        let replace =
            "UPDATE lease SET fence = fence + 1, host = 'birch', place = '' WHERE name LIKE 'work:%'";
        assert_eq!(store.sql().execute(replace, &[]), Ok(1));
        process.join().unwrap()
    });
    assert_eq!(replaced.code, Some(1), "{replaced:?}");
    assert!(replaced.stderr.contains("this process no longer works on the store"), "{replaced:?}");
    assert_eq!(std::fs::read_to_string(store.folder().join("started")).unwrap().lines().count(), 1);
    // Another machine takes its claim over when the lease of its successor has ended.
    let held = "SELECT count(*) FROM task WHERE status = 'in_progress' AND role = 'chunk'";
    on_machine(&store, "birch", &["work", "--batch", &batch, "--", "/bin/true"]).finish();
    assert_eq!(store.sql().row::<i64>(held, &[]), 1, "a claim under a live lease was released");
    store.end_leases();
    on_machine(&store, "birch", &["work", "--batch", &batch, "--", "/bin/true"]).success();
    assert_eq!(store.sql().row::<i64>("SELECT items_done FROM batch", &[]), 6);
    store.tasktally(["verify"]).success();
}

#[test]
fn a_run_on_another_machine_keeps_its_claims() {
    let Some(store) = Store::new_postgres() else { return };
    store.write("items.jsonl", "{\"key\": \"a\"}\n{\"key\": \"b\"}\n");
    let run = ["run", "--items", "items.jsonl", "--max-chunk", "1", "--workers", "1", "--", "sh", "-c"];
    let worker = "echo $TASKTALLY_ITEM >> started; while [ ! -e go ]; do sleep 0.1; done";
    std::thread::scope(|scope| {
        let run = scope.spawn(|| on_machine(&store, "ash", &[&run[..], &[worker]].concat()).finish());
        eventually("the run to work", || store.folder().join("started").exists().then_some(()));
        let token = || {
            store.sql().row::<String>(
                "SELECT claim_token FROM task WHERE status = 'in_progress' AND role = 'chunk'",
                &[],
            )
        };
        let before = token();
        // It looks for claims of processes that died before it works, and max_parallel is 1.
        on_machine(&store, "birch", &["work", "--", "/bin/true"]).finish();
        assert_eq!(token(), before);
        let batch: String = store.sql().row("SELECT t.id FROM batch b JOIN task t ON t.row_id = b.task", &[]);
        let resume = on_machine(&store, "birch", &["run", "--resume", &batch]).finish();
        assert!(resume.code != Some(0) && resume.output().contains("works on batch"), "{resume:?}");
        if has_program("tmux") {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            Screen::watch(&store, (100, 30), "", &batch).wait_for(&[&format!("workers: 1 on {host}")]);
        }
        store.write("go", "");
        let run = run.join().unwrap();
        assert_eq!(run.code, Some(0), "{run:?}");
    });
    assert_eq!(store.sql().row::<i64>("SELECT items_done FROM batch", &[]), 2);
}
