//! The record of runners: which process runs a batch, and when it was last alive.

use crate::error::Result;
use crate::model::id::Token;
use crate::model::task::RowId;
use crate::ops::Session;
use crate::store::RunnerRecord;

/// Records this process as the runner of a batch, in place of an earlier one. Returns the run marker, which all
/// processes of its workers get in their environment.
///
/// # Errors
/// `claim_lost` if another process runs the batch; or the store cannot be written.
pub fn register_runner(
    session: &Session,
    batch: RowId,
    profile: &str,
    pid: u32,
    host: &str,
) -> Result<String> {
    let (profile, host) = (profile.to_owned(), host.to_owned());
    session.write_as_runner(move |tx| {
        let run_marker = Token::random().to_string();
        let (started_at, heartbeat_at) = (tx.now(), tx.now());
        let runner = RunnerRecord {
            batch,
            run_marker: run_marker.clone(),
            profile: profile.clone(),
            pid,
            host: host.clone(),
            started_at,
            heartbeat_at,
            wait_reason: None,
        };
        tx.replace_runner(&runner)?;
        Ok(run_marker)
    })
}

/// Records a runner's heartbeat, and what the runner waits for.
///
/// # Errors
/// If the store cannot be written.
pub fn record_runner_heartbeat(session: &Session, batch: RowId, waits_for: Option<String>) -> Result<()> {
    session.write_as_runner(move |tx| tx.record_runner_heartbeat(batch, waits_for.as_deref()))
}

/// The recorded runner of a batch.
///
/// # Errors
/// If the store cannot be read.
pub fn find_runner(session: &Session, batch: RowId) -> Result<Option<RunnerRecord>> {
    session.read(move |tx| tx.runner(batch))
}

/// Removes a runner from the record, unless another runner has replaced it.
///
/// # Errors
/// If the store cannot be written.
pub fn unregister_runner(session: &Session, batch: RowId, run_marker: &str) -> Result<()> {
    let run_marker = run_marker.to_owned();
    session.write_as_runner(move |tx| tx.delete_runner(batch, &run_marker))
}
