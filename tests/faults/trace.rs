//! A process under `strace`: its writes to the WAL, its syncs of the WAL, and its messages, in order.

use std::path::Path;
use std::process::Command;

use crate::support::skip::skip;
use crate::support::store::Store;

/// Whether `strace` is installed and may trace. If not, reports the test as skipped.
#[track_caller]
pub(crate) fn can_trace() -> bool {
    let traced = Command::new("strace").arg("true").output();
    let can = traced.as_ref().is_ok_and(|output| output.status.success());
    if !can {
        skip(&format!("strace cannot trace a process: {traced:?}"));
    }
    can
}

/// `tasktally` on a store, traced into a file. Processes that it starts are not traced.
pub(crate) fn traced(store: &Store, calls: &Path) -> Command {
    let tasktally = store.command();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-b", "execve", "-y", "-s", "16", "-e", "trace=pwrite64,fdatasync,write", "-o"]);
    strace.arg(calls).arg(tasktally.get_program()).current_dir(store.folder());
    strace.envs(tasktally.get_envs().filter_map(|(name, value)| Some((name, value?))));
    strace
}

/// The result of a trace.
pub(crate) struct TracedSyncs {
    /// For each message: how many WAL syncs ended since the previous message.
    pub(crate) syncs_before: Vec<usize>,
}

/// Reads a trace. Fails if the process wrote a message (`is_message`) while a write to the WAL was not synced. If other
/// threads write at the same time (`concurrent`), their writes may be unsynced, but there must be a sync since the
/// previous message.
pub(crate) fn check_syncs(calls: &Path, concurrent: bool, is_message: impl Fn(&str) -> bool) -> TracedSyncs {
    let mut traced = TracedSyncs { syncs_before: Vec::new() };
    // The number of writes to the WAL, and how many of these are synced.
    let (mut written, mut synced, mut syncs) = (0, 0, 0);
    let mut running_syncs = std::collections::HashMap::new();
    let trace = std::fs::read_to_string(calls).unwrap();
    for (number, call) in trace.lines().enumerate() {
        let thread = call.split_whitespace().next().unwrap_or_default();
        if call.contains(" pwrite64(") && call.contains("-wal>") {
            written += 1;
        } else if call.contains(" fdatasync(") && call.contains("-wal>") {
            running_syncs.insert(thread.to_owned(), written);
        }
        // strace splits a call that another thread interrupts; the sync ends with the second part.
        if call.contains("fdatasync") && !call.contains("<unfinished") {
            if let Some(covers) = running_syncs.remove(thread) {
                assert!(call.ends_with("= 0"), "{call}");
                (synced, syncs) = (covers.max(synced), syncs + 1);
            }
        } else if is_message(call) {
            let before = || {
                trace.lines().take(number + 1).skip(number.saturating_sub(12)).collect::<Vec<_>>().join("\n")
            };
            assert!(
                synced >= written || (concurrent && syncs > 0),
                "a message before the WAL was synced: {call}\n{}",
                before()
            );
            traced.syncs_before.push(std::mem::take(&mut syncs));
        }
    }
    traced
}
