//! How many workers of a pool run, and how many may. The second number can change while they run.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct Slots {
    running: usize,
    limit: usize,
    /// How many workers may still be started. A worker that found nothing to claim is not replaced.
    starts_left: usize,
}

/// The slots of a pool's workers.
#[derive(Debug, Default)]
pub(in crate::work) struct WorkerSlots(Mutex<Slots>);

impl WorkerSlots {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a pool without workers.
    pub(super) fn reset(&self) {
        *self.slots() = Slots::default();
    }

    /// Sets how many workers may run. Returns whether that is another number than before.
    pub(super) fn set_limit(&self, limit: usize) -> bool {
        let mut slots = self.slots();
        slots.starts_left += limit.saturating_sub(slots.limit);
        std::mem::replace(&mut slots.limit, limit) != limit
    }

    /// Takes a slot for another worker. Returns false if none may be started.
    pub(super) fn take(&self) -> bool {
        let mut slots = self.slots();
        let is_free = slots.starts_left > 0 && slots.running < slots.limit;
        if is_free {
            slots.starts_left -= 1;
            slots.running += 1;
        }
        is_free
    }

    /// Gives up the slot of the calling worker if more workers run than may. Returns whether it was given up.
    pub(super) fn give_up_if_too_many(&self) -> bool {
        let mut slots = self.slots();
        let is_too_many = slots.running > slots.limit;
        slots.running -= usize::from(is_too_many);
        is_too_many
    }

    /// Records the end of a worker. One that had given up its slot has released its chunk by now, perhaps after the others
    /// found nothing to claim, so another worker may be started for it.
    pub(super) fn worker_ended(&self, had_given_up: bool) {
        let mut slots = self.slots();
        if had_given_up {
            slots.starts_left += 1;
        } else {
            slots.running -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_all(slots: &WorkerSlots) -> usize {
        std::iter::repeat_with(|| slots.take()).take_while(|taken| *taken).count()
    }

    #[test]
    fn the_number_of_workers_follows_the_limit() {
        let slots = WorkerSlots::default();
        assert!(slots.set_limit(2));
        assert_eq!(start_all(&slots), 2);
        assert!(slots.set_limit(5));
        assert!(!slots.set_limit(5));
        assert_eq!(start_all(&slots), 3);
        slots.set_limit(1);
        assert_eq!((0..5).filter(|_| slots.give_up_if_too_many()).count(), 4);
        assert_eq!(start_all(&slots), 0);
    }

    #[test]
    fn only_a_worker_that_gave_up_is_replaced() {
        let slots = WorkerSlots::default();
        slots.set_limit(2);
        assert_eq!(start_all(&slots), 2);
        slots.worker_ended(false);
        assert_eq!(start_all(&slots), 0, "it found nothing to claim");

        // Both run, the limit is lowered, one gives up; the other one ends before the chunk of the first is released.
        let slots = WorkerSlots::default();
        slots.set_limit(2);
        assert_eq!(start_all(&slots), 2);
        slots.set_limit(1);
        assert!(slots.give_up_if_too_many());
        slots.worker_ended(false);
        assert_eq!(start_all(&slots), 0);
        slots.worker_ended(true);
        assert_eq!(start_all(&slots), 1, "for the released chunk");
    }
}
