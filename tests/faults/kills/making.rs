//! Whoever makes the store: killed before any of its calls, the next one makes it whole.

use crate::shim::shim;
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::store::Store;

#[test]
fn a_store_whose_maker_was_killed_at_any_call_is_made_by_the_next_one() {
    let mut rng = Rng::seeded("a_store_whose_maker_was_killed");
    let all = rounds("TASKTALLY_ROUNDS", 15);
    let (mut killed, mut calls) = (0, u64::MAX);
    let mut at = 0;
    for _ in 0..all {
        // A call after the other with enough rounds for all; else steps that differ from run to run.
        at += if all > 500 { 1 } else { 1 + rng.below(12) };
        if at >= calls {
            at = 1 + rng.below(12);
        }
        let store = Store::new();
        let mut command = store.command();
        command.env("LD_PRELOAD", shim("stop")).env("TASKTALLY_STOP_BY", "KILL");
        command.env("TASKTALLY_STOP_AT", at.to_string());
        let ran = crate::support::cli::Run::new(command, ["list-tasks"]).finish();
        match ran.code {
            Some(0) => calls = at,
            None => killed += 1,
            _ => panic!("before call {at}: {}", ran.said()),
        }
        store.tasktally(["create-task", "--task-title", "The first"]).success();
        store.assert_whole();
    }
    println!("{killed} makers of a store killed, each store made whole by the next one");
    assert!(killed > 0);
}
