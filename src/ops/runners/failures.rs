//! Pauses a batch whose work fails, for its runner.

use crate::error::Result;
use crate::model::author::SYSTEM;
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::ops::lifecycle::pause::pause_batch;
use crate::ops::request::lookup::find_batch;

/// The failures of a batch as its runner needs them.
#[derive(Debug, Clone, Copy)]
pub struct FailureState {
    /// Whether an item was done or skipped in the current step.
    pub has_success: bool,
    /// Whether the batch is paused.
    pub is_paused: bool,
    /// Whether the batch is paused because more items failed than `max_failures` allows.
    pub exceeds_max_failures: bool,
}

/// Reads the failures of a batch.
///
/// # Errors
/// `not_found`, or the store cannot be read.
pub fn failure_state(session: &Session, batch: &TaskId) -> Result<FailureState> {
    let id = batch.clone();
    session.read(move |tx| {
        let (_, batch) = find_batch(tx, &id)?;
        let is_paused = batch.pause_reason.is_some();
        Ok(FailureState {
            has_success: batch.counts.processed() > batch.counts.failed,
            is_paused,
            exceeds_max_failures: is_paused && batch.exceeds_max_failures(),
        })
    })
}

/// Pauses a batch because its work fails. Open items stay open.
///
/// # Errors
/// `not_found`, or the store cannot be written.
pub fn pause_after_failures(session: &Session, batch: &TaskId, why: &str) -> Result<()> {
    let (id, why) = (batch.clone(), why.trim_end_matches('.').to_owned());
    session.write_as_runner(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        if task.status.is_terminal() {
            return Ok(());
        }
        let why = format!(
            "{why}. Fix the cause, then control_batch(id=\"{id}\", action=\"resume\"); control_batch(id=\"{id}\", action=\"retry\") opens failed items again."
        );
        pause_batch(tx, &task, &batch, &why, &SYSTEM).map(|_| ())
    })
}
