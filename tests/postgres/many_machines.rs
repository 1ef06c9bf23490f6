//! Runners on several machines. A machine here is a home folder of its own: logs and locks are kept below it.

use serde_json::json;

use crate::support::run_in_parallel;
use crate::support::store::Store;

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

#[test]
fn a_runner_waits_for_the_one_on_another_machine_until_that_is_silent() {
    let Some(store) = Store::new_postgres().map(|store| store.with_config(PROFILE)) else { return };
    let batch = create_batch(&store, 4, None);
    let alive = "INSERT INTO runner (batch, run_marker, profile, pid, host, started_at, heartbeat_at)
        SELECT row_id, 'm', 'nothing', 1, 'elsewhere', created_at,
               floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + ?2
          FROM task WHERE id = ?1";
    store.sql().execute(alive, &[&batch, &0_i64]).unwrap();
    let work = ["work", "--batch", &batch, "--worker", "nothing"];
    let refused = store.tasktally(work).finish().output();
    assert!(refused.contains("the runner of this batch works on host elsewhere"), "{refused}");
    store.sql().execute("UPDATE runner SET heartbeat_at = heartbeat_at - 21000", &[]).unwrap();
    store.tasktally(work).success();
    let done: i64 = store.sql().row("SELECT items_done FROM batch", &[]);
    assert_eq!(done, 4);
}
