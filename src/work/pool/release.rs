//! Releases the claim of a worker whose process was interrupted or could not start.

use std::time::Duration;

use super::active_claim::ActiveClaim;
use super::held_claims::Interruption;
use super::worker::{Worker, receipt_body};
use crate::error::{Code, Error, Result};
use crate::model::status::ReleaseOutcome;
use crate::ops::{Operation, ReleaseTask, release_claim};

impl Worker<'_> {
    /// Releases a claim under which no process could be started, so that only items that were in doubt before stay in
    /// doubt. Returns the error to report: `why`, or `claim_lost` if another worker has the claim by now. That worker
    /// uses the same working directory and may have cleaned it up.
    pub(super) fn release_unstarted(&self, claim: &ActiveClaim, why: Error) -> Error {
        let reason = "no worker could be started";
        let unrun = self.unrun_item.as_deref();
        match release_claim(self.context.session, &claim.id, &claim.token, reason, unrun) {
            Ok(true) => {}
            Ok(false) => return claim_lost(claim),
            Err(other) => {
                self.context.progress.note(&format!("the claim of {} cannot be released: {other}", claim.id));
            }
        }
        why
    }

    /// Releases a claim whose worker has no folder to work in. A worker of the batch may be the cause, so the batch is
    /// paused, and not the profile for all batches; neither if the claim was lost.
    pub(super) fn release_without_folder(&self, claim: &ActiveClaim, why: Error) -> Error {
        let (context, reason) = (self.context, why.to_string());
        let error = self.release_unstarted(claim, why);
        if let (Some(_), Some(batch)) = (context.limits, claim.batch())
            && error.code != Code::ClaimLost
            && let Err(other) = context.failures.pause(context.session, &batch, &reason)
        {
            context.progress.note(&format!("batch {batch} cannot be paused: {other}"));
        }
        error
    }

    /// Releases a claim as a failed attempt, with the reason in a receipt.
    /// The chunk cannot be claimed before `delay` is over.
    pub(super) fn release_attempt(
        &self,
        claim: &ActiveClaim,
        reason: &str,
        delay: Option<Duration>,
    ) -> Result<()> {
        let request = ReleaseTask {
            id: claim.id.clone(),
            claim: Some(claim.token.clone()),
            reason: Some(receipt_body(reason)?),
            outcome: ReleaseOutcome::Retry,
            delay,
        };
        request.run(self.context.session)?;
        self.report_released(claim);
        Ok(())
    }

    /// Releases a claim whose process was interrupted.
    pub(super) fn release_interrupted(&self, claim: &ActiveClaim, why: Interruption) -> Result<()> {
        match why {
            Interruption::RunStopped => self.release_without_attempt(claim, "the run was stopped"),
            Interruption::PermitYielded => self.release_without_attempt(
                claim,
                "another batch has fewer workers than its fair share, or no worker may start now",
            ),
            Interruption::TooManyWorkers => {
                self.release_without_attempt(claim, "max_parallel of the batch was lowered")
            }
            Interruption::BatchPaused => self.release_without_attempt(claim, "the batch was paused"),
            Interruption::ClaimLost => Err(claim_lost(claim)),
            Interruption::SupervisorKilled => self.release_attempt(
                claim,
                "the supervisor process of its worker was killed, and the worker with it",
                None,
            ),
            Interruption::Stalled => self.release_attempt(
                claim,
                "its worker wrote no receipt for too long (stalled_after_s) and was stopped",
                None,
            ),
        }
    }

    fn release_without_attempt(&self, claim: &ActiveClaim, reason: &'static str) -> Result<()> {
        release_claim(self.context.session, &claim.id, &claim.token, reason, self.unrun_item.as_deref())?;
        self.report_released(claim);
        Ok(())
    }

    /// Shows that a claim was released.
    pub(super) fn report_released(&self, claim: &ActiveClaim) {
        self.context.progress.chunk_ended(claim.id.as_str(), &claim.reply.task.title, "released");
    }
}

fn claim_lost(claim: &ActiveClaim) -> Error {
    Error::new(Code::ClaimLost, format!("{}: the claim was lost, so its worker was stopped", claim.id))
}
