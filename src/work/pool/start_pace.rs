//! The least time between two starts of a command, over all workers of a pool.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When the next start is allowed.
pub(in crate::work) struct StartPace {
    /// `None`: at any time.
    delay: Option<Duration>,
    next_start: Mutex<Option<Instant>>,
}

impl StartPace {
    /// At most one start per `delay`.
    pub(in crate::work) fn new(delay: Option<Duration>) -> Self {
        StartPace { delay, next_start: Mutex::default() }
    }

    /// Whether starts have to wait for each other.
    pub(super) fn is_limited(&self) -> bool {
        self.delay.is_some()
    }

    /// Takes the start at `now`. If it is too early, returns when to ask again.
    pub(super) fn take_start(&self, now: Instant) -> Result<(), Instant> {
        let Some(delay) = self.delay else { return Ok(()) };
        let mut next_start = self.next_start.lock().unwrap_or_else(PoisonError::into_inner);
        match *next_start {
            Some(at) if now < at => Err(at),
            _ => {
                *next_start = now.checked_add(delay);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_start_is_allowed_per_delay() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let pace = StartPace::new(Some(second));
        assert_eq!(pace.take_start(now), Ok(()));
        assert_eq!(pace.take_start(now + second / 2), Err(now + second));
        assert_eq!(pace.take_start(now + second * 3), Ok(()));
        assert_eq!(pace.take_start(now + second * 3), Err(now + second * 4));
        let free = StartPace::new(None);
        assert_eq!((free.take_start(now), free.take_start(now)), (Ok(()), Ok(())));
    }
}
