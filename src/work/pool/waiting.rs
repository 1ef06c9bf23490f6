//! Waits between two tries of a command that failed temporarily.

use std::time::{Duration, Instant};

use super::active_claim::ActiveClaim;
use super::held_claims::Interruption;
use super::worker::Worker;
use crate::error::Result;
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::ops::batch_state;

/// How often the reasons to stop waiting are checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// How often the store is read for a pause of the batch.
const PAUSE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Worker<'_> {
    /// Why no further process may start under a claim, if there is a reason.
    pub(super) fn interruption(&mut self, claim: &ActiveClaim) -> Result<Option<Interruption>> {
        let context = self.context;
        if context.stop.is_requested() {
            return Ok(Some(Interruption::RunStopped));
        }
        if context.failures.is_stopped(claim.batch().as_ref()) {
            return Ok(Some(Interruption::BatchPaused));
        }
        if context.claims.is_interrupted(&claim.id) {
            return Ok(Some(context.claims.set_ended(&claim.id).unwrap_or(Interruption::ClaimLost)));
        }
        if self.gives_up_slot() {
            return Ok(Some(Interruption::TooManyWorkers));
        }
        Ok(self.yield_permit()?.then_some(Interruption::PermitYielded))
    }

    /// Waits until the delay after the last start of any worker is over. Returns the reason if the wait was ended early.
    pub(super) fn wait_for_start(&mut self, claim: &ActiveClaim) -> Result<Option<Interruption>> {
        while let Err(until) = self.context.pace.take_start(Instant::now()) {
            if let Some(why) = self.wait_for_retry(claim, until)? {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// Waits until `until` without a concurrency permit, so that other batches can use it. Returns the reason if the
    /// wait was ended early.
    pub(super) fn wait_for_retry(
        &mut self,
        claim: &ActiveClaim,
        until: Instant,
    ) -> Result<Option<Interruption>> {
        let context = self.context;
        let batch = claim.batch();
        self.permit = None;
        let mut pause_checked_at = Instant::now();
        loop {
            if let Some(why) = self.interruption(claim)? {
                return Ok(Some(why));
            }
            if let Some(batch) = &batch
                && pause_checked_at.elapsed() >= PAUSE_CHECK_INTERVAL
            {
                pause_checked_at = Instant::now();
                if is_paused(self, batch)? {
                    return Ok(Some(Interruption::BatchPaused));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(CHECK_INTERVAL));
        }
        if let Some(limits) = context.limits {
            let gives_up = || Ok(context.stop.is_requested() || context.claims.is_interrupted(&claim.id));
            self.permit = limits.permits.acquire(gives_up)?;
            if self.permit.is_none() {
                return Ok(Some(self.interruption(claim)?.unwrap_or(Interruption::PermitYielded)));
            }
        }
        Ok(None)
    }
}

fn is_paused(worker: &Worker<'_>, batch: &TaskId) -> Result<bool> {
    Ok(batch_state(worker.context.session, batch)?.status == BatchStatus::Paused)
}
