//! Whose turn it is: all runners of a store share so many workers at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::model::task::Row;
use crate::ops::{Session, acquire_permit, release_permit, stop_waiting_for_permit, yield_permit};

/// How often a turn is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How often it is looked at whether others wait.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The turns of one batch's runner.
pub(in crate::work) struct Turns<'a> {
    session: &'a Session,
    batch: Row,
    limit: u64,
    waiting: AtomicUsize,
    looked: Mutex<Instant>,
}

/// The right to have a worker; dropped, it is the next one's.
pub(in crate::work) struct Turn<'a> {
    turns: &'a Turns<'a>,
    is_given: bool,
}

impl<'a> Turns<'a> {
    /// Of a batch, at most `limit` workers over all batches.
    pub(super) fn new(session: &'a Session, batch: Row, limit: u64) -> Self {
        Turns { session, batch, limit, waiting: AtomicUsize::new(0), looked: Mutex::new(Instant::now()) }
    }

    /// Waits for a turn; none where it is no longer wanted.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub(in crate::work) fn take(&'a self, is_off: impl Fn() -> Result<bool>) -> Result<Option<Turn<'a>>> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let taken = self.wait(is_off);
        let others = self.waiting.fetch_sub(1, Ordering::SeqCst) > 1;
        // Whoever took its turn said whether others waited: the last of them may have left meanwhile.
        if !others {
            stop_waiting_for_permit(self.session, self.batch)?;
        }
        Ok(taken?.then_some(Turn { turns: self, is_given: false }))
    }

    /// Says that no slot waits any more, once all have ended: one that gave its turn up waited for the next.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub(super) fn none_waits(&self) -> Result<()> {
        stop_waiting_for_permit(self.session, self.batch)
    }

    fn wait(&self, is_off: impl Fn() -> Result<bool>) -> Result<bool> {
        while !is_off()? {
            let others = self.waiting.load(Ordering::SeqCst) > 1;
            if acquire_permit(self.session, self.batch, self.limit, others)? {
                return Ok(true);
            }
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(false)
    }
}

impl Turn<'_> {
    /// Whether the turn is given up, for another batch has less than its share.
    ///
    /// # Errors
    /// Where the store cannot be read or written.
    pub(in crate::work) fn yields(&mut self) -> Result<bool> {
        let turns = self.turns;
        {
            let mut looked = turns.looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.elapsed() < LOOK_EVERY {
                return Ok(false);
            }
            *looked = Instant::now();
        }
        self.is_given = yield_permit(turns.session, turns.batch, turns.limit)?;
        Ok(self.is_given)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.is_given {
            let waits = self.turns.waiting.load(Ordering::SeqCst) > 0;
            if let Err(error) = release_permit(self.turns.session, self.turns.batch, waits) {
                tracing::warn!(%error, "a worker's turn cannot be given up; it ends with this runner");
            }
        }
    }
}
