//! The record of runners: which process runs a batch, and when it was last alive.

use super::permits::SILENT_SECONDS;
use crate::error::{Code, Error, Result};
use crate::model::id::Token;
use crate::model::task::RowId;
use crate::model::text::excerpt;
use crate::ops::Session;
use crate::store::{RunnerRecord, StoreRead};

/// Records this process as the runner of a batch, in place of an earlier one. Returns the run marker, which all
/// processes of its workers get in their environment.
///
/// # Errors
/// `already_claimed` if a runner on another machine is alive; or the store cannot be written.
pub fn register_runner(
    session: &Session,
    batch: RowId,
    profile: &str,
    pid: u32,
    host: &str,
) -> Result<String> {
    let (profile, host) = (profile.to_owned(), host.to_owned());
    let spans_machines = session.spans_machines();
    session.write(move |tx| {
        if spans_machines {
            refuse_runner_elsewhere(tx, batch, &host)?;
        }
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

/// Refuses a second runner while one on another machine is alive. The run lock excludes runners on this machine only.
///
/// # Errors
/// `already_claimed`, naming the machine.
pub fn check_no_runner_elsewhere(session: &Session, batch: RowId, host: &str) -> Result<()> {
    if !session.spans_machines() {
        return Ok(());
    }
    let host = host.to_owned();
    session.read(move |tx| refuse_runner_elsewhere(tx, batch, &host))
}

fn refuse_runner_elsewhere(tx: &dyn StoreRead, batch: RowId, host: &str) -> Result<()> {
    let Some(runner) = tx.runner(batch)?.filter(|runner| runner.host != host) else { return Ok(()) };
    if runner.heartbeat_at <= tx.now().saturating_add_secs(-SILENT_SECONDS) {
        return Ok(());
    }
    Err(Error::new(
        Code::AlreadyClaimed,
        format!(
            "the runner of this batch works on host {}; another one takes over when it has been silent for {SILENT_SECONDS} s",
            excerpt(&runner.host)
        ),
    ))
}

/// Records a runner's heartbeat, and what the runner waits for.
///
/// # Errors
/// If the store cannot be written.
pub fn record_runner_heartbeat(session: &Session, batch: RowId, waits_for: Option<String>) -> Result<()> {
    session.write(move |tx| tx.record_runner_heartbeat(batch, waits_for.as_deref()))
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
    session.write(move |tx| tx.delete_runner(batch, &run_marker))
}
