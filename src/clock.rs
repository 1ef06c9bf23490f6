//! The clock. Every time that is stored comes from here.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

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

/// The time since the machine started, with the time in which it was suspended. No change of the clock affects it.
#[cfg(target_os = "linux")]
pub fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::from_secs(now.tv_sec.unsigned_abs()) + Duration::from_nanos(now.tv_nsec.unsigned_abs())
}

/// The time since this process first asked, without the time in which the machine was suspended.
#[cfg(not(target_os = "linux"))]
pub fn since_boot() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}
