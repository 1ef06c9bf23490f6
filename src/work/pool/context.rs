//! What all workers of a pool share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::active_claim::ActiveClaim;
use super::failure_guard::FailureGuard;
use super::held_claims::HeldClaims;
use super::retry_schedule::RetrySchedule;
use super::start_pace::StartPace;
use super::worker_command::WorkerCommand;
use super::worker_slots::WorkerSlots;
use crate::error::Result;
use crate::logs::{self, Stream};
use crate::model::id::TaskId;
use crate::ops::{Session, batch_state};
use crate::work::limits::RunnerLimits;
use crate::work::progress::RunProgress;
use crate::work::stop_signal::StopSignal;
use crate::work::supervisor::{ChildRegistry, ProcessExit};

/// A worker that fails sooner than this has failed to start.
const FAILED_START: Duration = Duration::from_secs(1);

/// What all workers of a pool share.
pub(in crate::work) struct WorkContext<'a> {
    pub(in crate::work) session: &'a Session,
    /// The store's file; empty if no worker needs it.
    pub(in crate::work) store: &'a Path,
    pub(in crate::work) command: &'a WorkerCommand,
    pub(in crate::work) progress: &'a RunProgress,
    pub(in crate::work) stop: &'a StopSignal,
    pub(in crate::work) children: ChildRegistry,
    pub(in crate::work) claims: HeldClaims,
    /// The items that wait for another try.
    pub(in crate::work) retries: RetrySchedule,
    /// The least time between two starts.
    pub(in crate::work) pace: StartPace,
    /// Stops a batch whose work fails.
    pub(in crate::work) failures: FailureGuard,
    /// Called from time to time: takes over from processes that died.
    pub(in crate::work) take_over: &'a (dyn Fn() + Sync),
    /// How many workers run, and how many may.
    pub(in crate::work) slots: WorkerSlots,
    /// The limits that a background runner shares with the runners of other batches.
    pub(in crate::work) limits: Option<RunnerLimits<'a>>,
}

impl WorkContext<'_> {
    /// The log files of a claim's attempt: standard output and standard error.
    pub(super) fn log_files(&self, claim: &ActiveClaim) -> (PathBuf, PathBuf) {
        let path = |stream| logs::log_path(self.session.folder(), &claim.id, claim.reply.attempt, stream);
        (path(Stream::Out), path(Stream::Err))
    }

    /// Whether a worker for an item failed before it did anything: the system could not run it, or no worker of the
    /// profile has succeeded yet.
    pub(super) fn item_start_failed(&self, exit: &ProcessExit) -> bool {
        let could_not_run = exit.signal.is_some() || matches!(exit.code, Some(126 | 127));
        let has_succeeded = self.limits.is_none_or(|limits| limits.starts.has_succeeded());
        exit.stop_reason.is_none() && exited_at_once(exit) && (could_not_run || !has_succeeded)
    }

    /// Whether the pool has to end because the batch has another profile now, or because this profile was paused and
    /// has to be read again.
    pub(super) fn profile_is_outdated(&self, batch: &TaskId) -> Result<bool> {
        let Some(profile) = self.command.profile() else { return Ok(false) };
        let was_paused = self.limits.is_some_and(|limits| limits.starts.is_paused());
        Ok(was_paused || batch_state(self.session, batch)?.worker.as_deref() != Some(profile.name.as_str()))
    }

    /// Records a failure of the work for a batch, for the limit on failures in a row.
    pub(super) fn record_failure(&self, batch: Option<&TaskId>, last: impl FnOnce() -> String) -> Result<()> {
        if self.limits.is_some_and(|limits| limits.starts.is_paused()) {
            // The batch was paused together with its profile. A person may have resumed it meanwhile.
            self.failures.stop(batch);
            return Ok(());
        }
        self.failures.record_failure(self.session, batch, last)
    }

    /// Records whether a start failed, for the limit on failed starts in a row.
    pub(super) fn record_start(&self, has_failed: bool, reason: impl FnOnce() -> String) -> Result<()> {
        self.limits.map_or(Ok(()), |limits| limits.starts.record_start(has_failed, reason))
    }
}

/// Whether a worker ended so soon that it may not have started to work.
pub(super) fn exited_at_once(exit: &ProcessExit) -> bool {
    exit.duration < FAILED_START
}
