//! Background runners: the next runner continues where the killed one stopped.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::background::{item_keys, read_batch, settled_items, wait_for_status};
use crate::support::rng::Rng;
use crate::support::store::Store;
use crate::support::{eventually, rounds, send_signal};

/// A profile whose worker takes 10 ms per item.
const PROFILE: &str = "[worker.slow]\nper = \"item\"\nmax_parallel = 4\ncommand = [\"sh\", \"-c\", \"sleep 0.01; echo - did $TASKTALLY_ITEM\"]\n";
const ITEMS: usize = 60;

#[test]
fn a_runner_killed_at_any_moment_is_taken_over_and_every_item_has_one_outcome() {
    let mut rng = Rng::seeded("a_runner_killed_at_any_moment");
    let all = rounds("TASKTALLY_ROUNDS", 4);
    let (mut kills, mut batches) = (0, 0);
    while kills < all {
        let store = Store::new().with_config(PROFILE);
        let mut server = store.serve();
        let plan = json!({"title": "B", "instructions": "Do it.", "items": item_keys(ITEMS), "max_chunk": 5,
            "max_attempts": 100, "worker": "slow"});
        let id = server.call("create_batch", plan).ok().text("/batch/id");
        let sql = store.sql();
        let has_ended = || {
            let ended = "SELECT status IN ('done', 'failed', 'cancelled') FROM task WHERE id = ?1";
            sql.row::<bool>(ended, &[&id])
        };
        let runner = |other_than: u32| {
            eventually("the batch to have a runner", || {
                let pid = sql.rows::<u32>("SELECT pid FROM runner", &[]).pop();
                if has_ended() { Some(None) } else { pid.filter(|pid| *pid != other_than).map(Some) }
            })
        };
        let mut killed = 0;
        // At most six kills per batch, then it is completed.
        for _ in 0..6 {
            let Some(pid) = runner(killed) else { break };
            thread::sleep(Duration::from_millis(rng.below(150)));
            if has_ended() || kills >= all {
                break;
            }
            send_signal("KILL", pid);
            (killed, kills) = (pid, kills + 1);
            // No item has more than one accepted receipt.
            assert!(settled_items(&store).iter().all(|(_, _, receipts)| *receipts <= 1));
        }
        wait_for_status(&mut server, &id, "done");
        let all = settled_items(&store);
        assert_eq!(all.len(), ITEMS);
        for (key, outcome, receipts) in all {
            assert_eq!((outcome.as_deref(), receipts), (Some("done"), 1), "{key}");
        }
        assert_eq!(read_batch(&mut server, &id).count("/batch/processed"), ITEMS as u64);
        store.assert_whole();
        batches += 1;
    }
    println!(
        "{kills} runners killed over {batches} batches of {ITEMS} items, each item with one accepted receipt"
    );
}
