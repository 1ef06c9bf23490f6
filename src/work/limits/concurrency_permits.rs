//! Concurrency permits: all runners of a store share one limit on workers at once, each batch its fair share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::model::task::RowId;
use crate::ops::{Session, acquire_permit, release_permit, stop_waiting_for_permit, yield_permit};

/// How often a waiting worker asks for a permit.
const ACQUIRE_INTERVAL: Duration = Duration::from_millis(50);
/// How often a runner checks whether another batch has less than its fair share.
const YIELD_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The permits of one batch's runner.
pub(in crate::work) struct ConcurrencyPermits<'a> {
    session: &'a Session,
    batch: RowId,
    /// How many workers may run at once, over all batches.
    limit: u64,
    waiting_workers: AtomicUsize,
    last_yield_check: Mutex<Instant>,
}

/// The right to run one worker. Dropping it releases it.
pub(in crate::work) struct ConcurrencyPermit<'a> {
    permits: &'a ConcurrencyPermits<'a>,
    was_yielded: bool,
}

impl<'a> ConcurrencyPermits<'a> {
    /// The permits of a batch, with a limit over all batches.
    pub(in crate::work) fn new(session: &'a Session, batch: RowId, limit: u64) -> Self {
        ConcurrencyPermits {
            session,
            batch,
            limit,
            waiting_workers: AtomicUsize::new(0),
            last_yield_check: Mutex::new(Instant::now()),
        }
    }

    /// Waits for a permit. Returns `None` once `gives_up` returns true.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(in crate::work) fn acquire(
        &'a self,
        gives_up: impl Fn() -> Result<bool>,
    ) -> Result<Option<ConcurrencyPermit<'a>>> {
        self.waiting_workers.fetch_add(1, Ordering::SeqCst);
        let acquired = self.wait(gives_up);
        let others_wait = self.waiting_workers.fetch_sub(1, Ordering::SeqCst) > 1;
        // An earlier permit may have recorded that others wait, and the last of those may have given up since.
        if !others_wait {
            stop_waiting_for_permit(self.session, self.batch)?;
        }
        Ok(acquired?.then_some(ConcurrencyPermit { permits: self, was_yielded: false }))
    }

    /// Records that no worker of the batch waits any more. Called when the whole pool has ended, because a worker that
    /// yielded its permit was recorded as waiting.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(in crate::work) fn clear_waiting(&self) -> Result<()> {
        stop_waiting_for_permit(self.session, self.batch)
    }

    fn wait(&self, gives_up: impl Fn() -> Result<bool>) -> Result<bool> {
        while !gives_up()? {
            let others_wait = self.waiting_workers.load(Ordering::SeqCst) > 1;
            if acquire_permit(self.session, self.batch, self.limit, others_wait)? {
                return Ok(true);
            }
            std::thread::sleep(ACQUIRE_INTERVAL);
        }
        Ok(false)
    }
}

impl ConcurrencyPermit<'_> {
    /// Yields the permit if another batch has less than its fair share. Returns whether it was yielded.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(in crate::work) fn yields(&mut self) -> Result<bool> {
        let permits = self.permits;
        {
            let mut last_check = permits.last_yield_check.lock().unwrap_or_else(PoisonError::into_inner);
            if last_check.elapsed() < YIELD_CHECK_INTERVAL {
                return Ok(false);
            }
            *last_check = Instant::now();
        }
        self.was_yielded = yield_permit(permits.session, permits.batch, permits.limit)?;
        Ok(self.was_yielded)
    }
}

impl Drop for ConcurrencyPermit<'_> {
    fn drop(&mut self) {
        if !self.was_yielded {
            let others_wait = self.permits.waiting_workers.load(Ordering::SeqCst) > 0;
            if let Err(error) = release_permit(self.permits.session, self.permits.batch, others_wait) {
                tracing::warn!(%error, "a concurrency permit cannot be released before this runner ends");
            }
        }
    }
}
