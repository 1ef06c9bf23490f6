//! Ctrl-C: once finishes what is in hand, twice stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};

/// How often the person asked to stop.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    asked: Arc<AtomicUsize>,
}

impl Stop {
    /// Listens for Ctrl-C and for TERM.
    pub(super) fn on_signals() -> Result<Self> {
        let cannot = |error| Error::internal("Ctrl-C cannot be listened to", error);
        let stop = Stop::default();
        let asked = stop.asked.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
        // It listens for as long as the process lives.
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for _ in signals.forever() {
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            })
            .map_err(cannot)?;
        Ok(stop)
    }

    /// Nothing new is begun any more.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > 0
    }

    /// What is running is ended, too.
    pub(super) fn is_urgent(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > 1
    }
}
