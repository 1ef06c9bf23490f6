//! The claims that the workers of a pool hold, and how to stop the process that runs under each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::model::id::{TaskId, Token};
use crate::work::supervisor::StopHandle;

/// Why a worker's process was stopped, or not started, before it had finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interruption {
    /// A person stopped the run.
    RunStopped,
    /// The claim was lost, or the batch was cancelled.
    ClaimLost,
    /// The process wrote no receipt for too long.
    Stalled,
    /// The supervisor process was killed.
    SupervisorKilled,
    /// The concurrency permit went to another batch, or the profile may not start workers now.
    PermitYielded,
    /// More workers run than the batch's `max_parallel` allows, because it was lowered.
    TooManyWorkers,
    /// The batch was paused because its work fails, or a person paused it while its items wait for another try.
    BatchPaused,
}

/// A claim that a worker holds.
struct HeldClaim {
    token: Token,
    generation: u64,
    /// Stops the process that runs under the claim.
    stop_handle: Option<StopHandle>,
    interruption: Option<Interruption>,
    /// The number of the task's receipts when it was last read.
    receipts: u64,
    /// When the process started, or when the last new receipt was seen.
    active_at: Instant,
    /// When the process was seen to have completed the task.
    completed_at: Option<Instant>,
    /// The number of receipts when the batch was seen to be stopped. The next one settles the item that the worker is processing.
    stopped_at_receipts: Option<u64>,
}

/// The state of a held claim's task, as read from the store.
pub(super) struct ClaimState {
    pub(super) id: TaskId,
    pub(super) token: Token,
    /// Whether the token is still the live claim's.
    pub(super) is_held: bool,
    pub(super) receipts: u64,
    /// The generation that completed the task; 0 if none did.
    pub(super) completed_generation: u64,
    /// Whether the batch is paused because its work fails.
    pub(super) is_stopped: bool,
}

/// The claims that the workers of a pool hold.
#[derive(Default)]
pub(in crate::work) struct HeldClaims {
    claims: Mutex<HashMap<TaskId, HeldClaim>>,
    /// Whether a claim was added since the last read of the store. It may have been lost before it was added.
    has_new: AtomicBool,
}

impl HeldClaims {
    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, HeldClaim>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a claim that was won.
    pub(super) fn add(&self, id: &TaskId, token: &Token, generation: u64) {
        let claim = HeldClaim {
            token: token.clone(),
            generation,
            stop_handle: None,
            interruption: None,
            receipts: 0,
            active_at: Instant::now(),
            completed_at: None,
            stopped_at_receipts: None,
        };
        self.lock().insert(id.clone(), claim);
        self.has_new.store(true, Ordering::SeqCst);
    }

    /// Removes a claim whose work has ended.
    pub(super) fn remove(&self, id: &TaskId) {
        self.lock().remove(id);
    }

    /// Sets how the process of a claim is stopped. Returns false if the claim is interrupted already, so that no
    /// process may start.
    pub(super) fn set_running(&self, id: &TaskId, stop_handle: StopHandle) -> bool {
        self.lock().get_mut(id).is_some_and(|claim| {
            claim.stop_handle = Some(stop_handle);
            claim.active_at = Instant::now();
            claim.interruption.is_none()
        })
    }

    /// Records that the process of a claim has ended. Returns why it was interrupted, if it was.
    pub(super) fn set_ended(&self, id: &TaskId) -> Option<Interruption> {
        self.lock().get_mut(id).and_then(|claim| {
            claim.stop_handle = None;
            claim.interruption
        })
    }

    /// Whether no process may start under a claim any more.
    pub(super) fn is_interrupted(&self, id: &TaskId) -> bool {
        self.lock().get(id).is_none_or(|claim| claim.interruption.is_some())
    }

    /// Stops the process of a claim. The first reason counts.
    pub(super) fn interrupt(&self, id: &TaskId, reason: Interruption) {
        if let Some(claim) = self.lock().get_mut(id)
            && claim.interruption.is_none()
        {
            claim.interruption = Some(reason);
            if let Some(stop_handle) = &claim.stop_handle {
                stop_handle.stop();
            }
        }
    }

    /// Sends the stop request of interrupted claims again: the first one has no effect if it arrived before the
    /// process was started.
    pub(super) fn repeat_stop_requests(&self) {
        let claims = self.lock();
        claims
            .values()
            .filter(|claim| claim.interruption.is_some())
            .filter_map(|claim| claim.stop_handle.as_ref())
            .for_each(StopHandle::stop);
    }

    /// Whether a claim was added since the last call.
    pub(super) fn take_has_new(&self) -> bool {
        self.has_new.swap(false, Ordering::SeqCst)
    }

    /// The tasks and tokens of all claims.
    pub(super) fn tokens(&self) -> Vec<(TaskId, Token)> {
        self.lock().iter().map(|(id, claim)| (id.clone(), claim.token.clone())).collect()
    }

    /// The claims whose process has written no receipt for `limit`.
    pub(super) fn stalled(&self, limit: Duration) -> Vec<TaskId> {
        self.select(|claim| claim.stop_handle.is_some() && claim.active_at.elapsed() >= limit)
    }

    /// The claims whose process completed the task more than `limit` ago and still runs.
    pub(super) fn still_running_after_completion(&self, limit: Duration) -> Vec<TaskId> {
        self.select(|claim| claim.completed_at.is_some_and(|at| at.elapsed() >= limit))
    }

    fn select(&self, matches: impl Fn(&HeldClaim) -> bool) -> Vec<TaskId> {
        self.lock().iter().filter(|(_, claim)| matches(claim)).map(|(id, _)| id.clone()).collect()
    }

    /// Updates a claim with the state of its task, and interrupts it if the claim was lost.
    pub(super) fn update(&self, state: &ClaimState) {
        let mut claims = self.lock();
        // The worker may hold another claim of the same task by now.
        let Some(claim) = claims.get_mut(&state.id).filter(|claim| claim.token == state.token) else {
            return;
        };
        if claim.receipts != state.receipts {
            (claim.receipts, claim.active_at) = (state.receipts, Instant::now());
        }
        // A process that has completed its task may still finish, for example commit its changes.
        let has_completed = state.completed_generation == claim.generation;
        if has_completed {
            claim.completed_at.get_or_insert_with(Instant::now);
        }
        let item_has_ended = match (state.is_stopped, claim.stopped_at_receipts) {
            (false, _) => false,
            (true, Some(receipts)) => state.receipts > receipts,
            (true, None) => {
                claim.stopped_at_receipts = Some(state.receipts);
                false
            }
        };
        drop(claims);
        if item_has_ended && state.is_held {
            self.interrupt(&state.id, Interruption::BatchPaused);
        }
        if !state.is_held && !has_completed {
            self.interrupt(&state.id, Interruption::ClaimLost);
        }
    }
}
