//! Background runners: whoever takes over goes on where the killed one was.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::background::{items, settled, stand, until};
use crate::support::rng::Rng;
use crate::support::store::Store;
use crate::support::{eventually, rounds, signal};

/// A profile whose worker notes each item that it begins, and takes a moment.
const NOTING: &str = "[worker.noting]\nper = \"item\"\nmax_parallel = 4\ncommand = [\"sh\", \"-c\", \"sleep 0.01; echo - did $TASKTALLY_ITEM\"]\n";
const ITEMS: usize = 60;

#[test]
fn a_runner_killed_at_any_moment_is_taken_over_and_every_item_has_one_outcome() {
    let mut rng = Rng::seeded("a_runner_killed_at_any_moment");
    let all = rounds("TASKTALLY_ROUNDS", 4);
    let (mut kills, mut batches) = (0, 0);
    while kills < all {
        let store = Store::new().with_config(NOTING);
        let mut server = store.serve();
        let plan = json!({"title": "B", "instructions": "Do it.", "items": items(ITEMS), "max_chunk": 5,
            "max_attempts": 100, "worker": "noting"});
        let id = server.call("create_batch", plan).ok().text("/batch/id");
        let sql = store.sql();
        let is_over = || {
            let over = "SELECT status IN ('done', 'failed', 'cancelled') FROM task WHERE id = ?1";
            sql.query_row(over, [&id], |row| row.get::<_, bool>(0)).unwrap()
        };
        let runner = |other_than: u32| {
            eventually("a runner to be at work", || {
                let pid = sql.query_row("SELECT pid FROM runner", [], |row| row.get::<_, u32>(0)).ok();
                if is_over() { Some(None) } else { pid.filter(|pid| *pid != other_than).map(Some) }
            })
        };
        let mut killed = 0;
        // So often in a batch; then it comes to its end.
        for _ in 0..6 {
            let Some(pid) = runner(killed) else { break };
            thread::sleep(Duration::from_millis(rng.below(150)));
            if is_over() || kills >= all {
                break;
            }
            signal("KILL", pid);
            (killed, kills) = (pid, kills + 1);
            // What it had accepted by then is there, once.
            assert!(settled(&store).iter().all(|(_, _, receipts)| *receipts <= 1));
        }
        until(&mut server, &id, "done");
        let all = settled(&store);
        assert_eq!(all.len(), ITEMS);
        for (key, outcome, receipts) in all {
            assert_eq!((outcome.as_deref(), receipts), (Some("done"), 1), "{key}");
        }
        assert_eq!(stand(&mut server, &id).count("/batch/processed"), ITEMS as u64);
        store.assert_whole();
        batches += 1;
    }
    println!(
        "{kills} runners killed over {batches} batches of {ITEMS} items, each item with one accepted receipt"
    );
}
