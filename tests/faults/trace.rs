//! A process under a tracer: its writes to the store's log, its syncs of it, and what it said, in their order.

use std::path::Path;
use std::process::Command;

use crate::support::skip::skip;
use crate::support::store::Store;

/// Whether `strace` is installed and may trace; if not, the test is skipped.
#[track_caller]
pub(crate) fn can_trace() -> bool {
    let traced = Command::new("strace").arg("true").output();
    let can = traced.as_ref().is_ok_and(|output| output.status.success());
    if !can {
        skip(&format!("strace cannot trace a process: {traced:?}"));
    }
    can
}

/// `tasktally` over a store, traced into a file. Processes that it starts are not followed.
pub(crate) fn traced(store: &Store, calls: &Path) -> Command {
    let tasktally = store.command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-b", "execve", "-y", "-s", "16", "-e", "trace=pwrite64,fdatasync,write", "-o"]);
    strace.arg(calls).arg(tasktally.get_program()).current_dir(store.folder());
    strace.envs(tasktally.get_envs().filter_map(|(name, value)| Some((name, value?))));
    strace
}

/// What was seen of one process.
pub(crate) struct Seen {
    /// How many syncs of the log ended before each thing that was said, since the one before.
    pub(crate) syncs_before: Vec<usize>,
}

/// Reads a trace; fails where something was said while a write to the log was not synced. `says` tells a call
/// that says something to somebody. Where others of the process write `beside` the one who says it, theirs may
/// be unsynced, but not without a sync since it last said something.
pub(crate) fn judge(calls: &Path, beside: bool, says: impl Fn(&str) -> bool) -> Seen {
    let mut seen = Seen { syncs_before: Vec::new() };
    // How often the log was written, and up to which of these writes it was synced.
    let (mut written, mut synced, mut syncs) = (0, 0, 0);
    let mut under_way = std::collections::HashMap::new();
    let trace = std::fs::read_to_string(calls).unwrap();
    for (number, call) in trace.lines().enumerate() {
        let thread = call.split_whitespace().next().unwrap_or_default();
        if call.contains(" pwrite64(") && call.contains("-wal>") {
            written += 1;
        } else if call.contains(" fdatasync(") && call.contains("-wal>") {
            under_way.insert(thread.to_owned(), written);
        }
        // One that another thread interrupts ends where it is resumed.
        if call.contains("fdatasync") && !call.contains("<unfinished") {
            if let Some(covers) = under_way.remove(thread) {
                assert!(call.ends_with("= 0"), "{call}");
                (synced, syncs) = (covers.max(synced), syncs + 1);
            }
        } else if says(call) {
            let before = || {
                trace.lines().take(number + 1).skip(number.saturating_sub(12)).collect::<Vec<_>>().join("\n")
            };
            assert!(
                synced >= written || (beside && syncs > 0),
                "said before the log was synced: {call}\n{}",
                before()
            );
            seen.syncs_before.push(std::mem::take(&mut syncs));
        }
    }
    seen
}
