//! What a background runner checks before it starts a worker: a concurrency permit, and the start limits.

mod concurrency_permits;
mod free_disk_and_memory;
mod start_limits;

pub(super) use concurrency_permits::{ConcurrencyPermit, ConcurrencyPermits};
pub(super) use start_limits::StartLimits;

/// The limits of a background runner.
#[derive(Clone, Copy)]
pub(super) struct RunnerLimits<'a> {
    /// How many workers run at once, over all batches of the store.
    pub(super) permits: &'a ConcurrencyPermits<'a>,
    /// Whether a worker may start now.
    pub(super) starts: &'a StartLimits<'a>,
}
