//! What time it is: the one place that asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::timestamp::Timestamp;

/// A clock: the machine's, moved by an offset that tests set.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock::default()
    }

    /// Moves this clock and all its clones, in milliseconds.
    pub fn shift(&self, by_ms: i64) {
        self.offset_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        let machine = jiff::Timestamp::now().as_millisecond();
        Timestamp::from_millis(machine.saturating_add(self.offset_ms.load(Ordering::SeqCst)))
    }
}
