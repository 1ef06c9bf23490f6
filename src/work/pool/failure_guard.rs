//! Stops a batch whose work fails: counts failures in a row over all workers of the pool, and sees when more items
//! failed than `max_failures` allows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Result;
use crate::model::failure_streak::{FailureStreak, PauseAfterFailures};
use crate::model::field::visible_excerpt;
use crate::model::id::TaskId;
use crate::ops::{Session, failure_state, pause_after_failures};

/// The most characters of the last failure that the reason of a pause has.
const REASON_CHARS: usize = 600;

#[derive(Debug, Default)]
struct GuardedBatch {
    streak: FailureStreak,
    is_stopped: bool,
}

/// Failures in a row of each batch. Tasks without a batch count together, as `None`.
pub(in crate::work) struct FailureGuard {
    limit: PauseAfterFailures,
    batches: Mutex<HashMap<Option<TaskId>, GuardedBatch>>,
}

impl FailureGuard {
    /// Pauses a batch after `limit` failures in a row.
    pub(in crate::work) fn new(limit: PauseAfterFailures) -> Self {
        FailureGuard { limit, batches: Mutex::default() }
    }

    fn batches(&self) -> MutexGuard<'_, HashMap<Option<TaskId>, GuardedBatch>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a success.
    pub(super) fn record_success(&self, batch: Option<&TaskId>) {
        let mut batches = self.batches();
        let guarded = batches.entry(batch.cloned()).or_default();
        guarded.streak = guarded.streak.after_success();
    }

    /// Records a failure. `last` describes it. Pauses the batch if it is one too many.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(super) fn record_failure(
        &self,
        session: &Session,
        batch: Option<&TaskId>,
        last: impl FnOnce() -> String,
    ) -> Result<()> {
        let state = batch.map(|batch| failure_state(session, batch)).transpose()?;
        let has_success = state.is_some_and(|state| state.has_success);
        let pauses = {
            let mut batches = self.batches();
            let guarded = batches.entry(batch.cloned()).or_default();
            guarded.streak = guarded.streak.after_failure();
            let pauses = guarded.streak.pauses(self.limit, has_success);
            // The workers that fail after this one must not pause a batch that a person has resumed meanwhile.
            let is_first = !guarded.is_stopped;
            guarded.is_stopped |= pauses.is_some() || state.is_some_and(|state| state.exceeds_max_failures);
            pauses.filter(|_| is_first)
        };
        if let (Some(failures), Some(batch)) = (pauses, batch) {
            let last = visible_excerpt(&last(), REASON_CHARS);
            let why = format!("{failures} failures in a row, the last one: {last}");
            pause_after_failures(session, batch, &why)?;
        }
        Ok(())
    }

    /// Pauses a batch, and lets no worker start another item of it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(super) fn pause(&self, session: &Session, batch: &TaskId, why: &str) -> Result<()> {
        if self.stop(Some(batch)) { pause_after_failures(session, batch, why) } else { Ok(()) }
    }

    /// Lets no worker start another item of a batch. Returns whether one could until now.
    pub(super) fn stop(&self, batch: Option<&TaskId>) -> bool {
        let mut batches = self.batches();
        !std::mem::replace(&mut batches.entry(batch.cloned()).or_default().is_stopped, true)
    }

    /// Whether no worker may start another item of a batch; `None`: another task without a batch.
    pub(in crate::work) fn is_stopped(&self, batch: Option<&TaskId>) -> bool {
        self.batches().get(&batch.cloned()).is_some_and(|guarded| guarded.is_stopped)
    }

    /// Counts from zero again for a batch that was resumed. Called when a chunk of it was claimed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn restart_if_resumed(&self, session: &Session, batch: Option<&TaskId>) -> Result<()> {
        let Some(id) = batch.filter(|_| self.is_stopped(batch)) else { return Ok(()) };
        // The claim may be older than the pause.
        if !failure_state(session, id)?.is_paused {
            self.batches().remove(&batch.cloned());
        }
        Ok(())
    }
}
