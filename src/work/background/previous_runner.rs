//! Ends what the previous runner of a batch left when it died.

use crate::error::Result;
use crate::model::id::TaskId;
use crate::model::task::RowId;
use crate::ops::{Session, find_runner, release_runner_claims, unregister_runner};
use crate::work::pool::remove_mcp_configs;
use crate::work::progress::RunProgress;
use crate::work::supervisor::kill_marked_processes;

/// Kills the previous runner's processes, releases its claims and removes its files. The caller holds the run lock.
///
/// # Errors
/// `claim_lost` if another process has taken the run lock over; or the store cannot be written, or a file cannot be removed.
pub(in crate::work) fn end_previous_runner(
    session: &Session,
    batch: &TaskId,
    row: RowId,
    progress: &RunProgress,
) -> Result<()> {
    if let Some(previous) = find_runner(session, row)? {
        let killed = kill_marked_processes(&previous.run_marker);
        if killed > 0 {
            progress.note(&format!("Killed {killed} processes that the previous runner left"));
        }
        // The record is removed last: if this process dies before, the next runner still finds the processes.
        unregister_runner(session, row, &previous.run_marker)?;
    }
    release_runner_claims(session, batch)?;
    remove_mcp_configs(session.folder(), batch)
}
