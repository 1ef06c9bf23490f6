//! The claim heartbeat: a thread that renews the leases of held claims while their processes run, and stops a process
//! whose claim was lost or that makes no progress.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::context::WorkContext;
use super::failure_guard::FailureGuard;
use super::held_claims::{ClaimState, HeldClaims, Interruption};
use crate::error::Result;
use crate::model::claim_rules::{ClaimAuthority, claim_authority};
use crate::model::task::RowId;
use crate::ops::{Operation, Session, UpdateTask};
use crate::store::StoreRead;
use crate::work::log_retention;

/// How often the store is read. After a batch was cancelled, its workers run this much longer.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// How long a process may run after it has completed its chunk.
const COMPLETED_TIMEOUT: Duration = Duration::from_secs(30);
/// How often leases are renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(300);

/// The heartbeat of a pool's claims.
pub(super) struct ClaimHeartbeat<'a> {
    session: &'a Session,
    claims: &'a HeldClaims,
    failures: &'a FailureGuard,
    /// Whether one process works a whole chunk.
    runs_per_chunk: bool,
    stalled_after: Option<Duration>,
}

impl<'a> ClaimHeartbeat<'a> {
    /// The heartbeat of the claims in `context`.
    pub(super) fn of(context: &'a WorkContext<'_>) -> Self {
        ClaimHeartbeat {
            session: context.session,
            claims: &context.claims,
            failures: &context.failures,
            runs_per_chunk: context.command.runs_per_chunk(),
            stalled_after: context.command.stalled_after(),
        }
    }

    /// Runs until the sender of `workers_ended` is dropped.
    pub(super) fn run(&self, workers_ended: &Receiver<()>) {
        let (mut renewed_at, mut last_change) = (Instant::now(), None);
        while workers_ended.recv_timeout(CHECK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let known_change = last_change.filter(|_| !self.claims.take_has_new());
            last_change = match self.check_claims(known_change) {
                Ok(change) => Some(change),
                Err(error) => {
                    tracing::warn!(%error, "the claims of the workers cannot be read");
                    None
                }
            };
            if let Some(limit) = self.stalled_after {
                for id in self.claims.stalled(limit) {
                    self.claims.interrupt(&id, Interruption::Stalled);
                }
            }
            for id in self.claims.still_running_after_completion(COMPLETED_TIMEOUT) {
                self.claims.interrupt(&id, Interruption::ClaimLost);
            }
            self.claims.repeat_stop_requests();
            if renewed_at.elapsed() >= RENEW_INTERVAL {
                log_retention::remove_old_logs(self.session);
                renewed_at = Instant::now();
                self.renew_leases();
            }
        }
    }

    /// Reads the tasks of all claims and updates the claims, unless nothing has changed since `known_change`. Returns
    /// the store's change number.
    fn check_claims(&self, known_change: Option<u64>) -> Result<u64> {
        let claims = self.claims.tokens();
        let (change, states, stopped) = self.session.read(move |tx| {
            let change = tx.latest_change_number()?;
            if known_change == Some(change) {
                return Ok((change, Vec::new(), Vec::new()));
            }
            let (mut states, mut stopped) = (Vec::new(), Vec::new());
            for (id, token) in claims {
                let task = tx.task(&id)?;
                let chunk = tx.chunk(&task)?;
                let is_stopped = match &chunk {
                    Some(chunk) => has_too_many_failures(tx, chunk.batch_row)?,
                    None => false,
                };
                stopped.extend(chunk.as_ref().filter(|_| is_stopped).map(|chunk| chunk.batch_id.clone()));
                states.push(ClaimState {
                    is_held: claim_authority(&task, Some(&token), tx.now()) == ClaimAuthority::LiveToken,
                    receipts: task.receipt_count,
                    completed_generation: chunk.map_or(0, |chunk| chunk.accepted_generation),
                    is_stopped,
                    id,
                    token,
                });
            }
            Ok((change, states, stopped))
        })?;
        for batch in &stopped {
            self.failures.stop(Some(batch));
        }
        for mut state in states {
            // A command that runs per item stops between two items by itself.
            state.is_stopped &= self.runs_per_chunk;
            self.claims.update(&state);
        }
        Ok(change)
    }

    fn renew_leases(&self) {
        for (id, token) in self.claims.tokens() {
            if let Err(error) = UpdateTask::renewal(id.clone(), token).run(self.session) {
                tracing::warn!(%id, %error, "a lease could not be renewed");
            }
        }
    }
}

/// Whether a batch is paused because more of its items failed than `max_failures` allows.
fn has_too_many_failures(tx: &dyn StoreRead, batch: RowId) -> Result<bool> {
    Ok(tx.batch(batch)?.is_some_and(|batch| batch.pause_reason.is_some() && batch.exceeds_max_failures()))
}
