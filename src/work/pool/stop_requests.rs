//! Stops the workers of a pool when a person, or the end of this process's lease, demands it. It reads no store: the store may
//! not answer.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::context::WorkContext;
use super::held_claims::Interruption;

/// How often a stop is looked for.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Runs until the sender of `workers_ended` is dropped.
pub(super) fn forward_stop_requests(context: &WorkContext<'_>, workers_ended: &Receiver<()>) {
    let mut is_stopping = false;
    while workers_ended.recv_timeout(CHECK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        if context.stop.is_requested() && !is_stopping {
            is_stopping = true;
            context.progress.stopping();
        }
        if context.stop.is_immediate() {
            for (id, _) in context.claims.tokens() {
                context.claims.interrupt(&id, Interruption::RunStopped);
            }
            context.claims.repeat_stop_requests();
        }
    }
}
