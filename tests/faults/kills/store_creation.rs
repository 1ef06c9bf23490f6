//! The process that creates a store is killed before any of its calls; the next process completes the creation.

use crate::shim::shim;
use crate::support::rng::Rng;
use crate::support::rounds;
use crate::support::store::Store;

#[test]
fn a_store_whose_creator_was_killed_at_any_call_is_created_by_the_next_process() {
    let mut rng = Rng::seeded("a_store_whose_creator_was_killed");
    let all = rounds("TASKTALLY_ROUNDS", 15);
    let (mut killed, mut calls) = (0, u64::MAX);
    let mut at = 0;
    for _ in 0..all {
        // With many rounds every call is tried in turn; otherwise random steps.
        at += if all > 500 { 1 } else { 1 + rng.below(12) };
        if at >= calls {
            at = 1 + rng.below(12);
        }
        let store = Store::new_sqlite();
        let mut command = store.command();
        command.env("LD_PRELOAD", shim("stop")).env("TASKTALLY_STOP_BY", "KILL");
        command.env("TASKTALLY_STOP_AT", at.to_string());
        let ran = crate::support::cli::Run::new(command, ["create-task", "--task-title", "Before"]).finish();
        match ran.code {
            Some(0) => calls = at,
            None => killed += 1,
            _ => panic!("before call {at}: {}", ran.output()),
        }
        store.tasktally(["create-task", "--task-title", "The first"]).success();
        store.assert_whole();
    }
    println!("{killed} processes killed while they created a store; the next process created it");
    assert!(killed > 0);
}
