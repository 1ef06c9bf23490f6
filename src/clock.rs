//! The clock. Every time that is stored comes from here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::timestamp::Timestamp;

/// The machine's clock plus an offset, which only tests change.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The machine's clock, without an offset.
    pub fn system() -> Self {
        Clock::default()
    }

    /// Adds milliseconds to the offset of this clock and of all its clones.
    pub fn shift(&self, by_ms: i64) {
        self.offset_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        let machine = jiff::Timestamp::now().as_millisecond();
        Timestamp::from_millis(machine.saturating_add(self.offset_ms.load(Ordering::SeqCst)))
    }
}
