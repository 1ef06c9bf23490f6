//! Ctrl-C: once finishes what is in hand, twice stops at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// How often the person asked to stop.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    asked: Arc<AtomicUsize>,
}

impl Stop {
    /// Listens for Ctrl-C and for TERM.
    pub(super) fn on_signals() -> Result<Self> {
        let stop = Stop::default();
        let asked = stop.asked.clone();
        ctrlc::set_handler(move || {
            asked.fetch_add(1, Ordering::SeqCst);
        })
        .map_err(|error| Error::internal("Ctrl-C cannot be listened to", error))?;
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
