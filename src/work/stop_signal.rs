//! Ctrl-C and TERM: the first one lets the current items finish, the second one stops the workers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};

/// How often a stop was requested.
#[derive(Debug, Clone, Default)]
pub(super) struct StopSignal {
    requests: Arc<AtomicUsize>,
}

impl StopSignal {
    /// Starts to count Ctrl-C and TERM.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub(super) fn install() -> Result<Self> {
        let cannot = |error| Error::internal("signal handlers cannot be installed", error);
        let stop = StopSignal::default();
        let requests = stop.requests.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
        // This thread runs until the process exits.
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for _ in signals.forever() {
                    requests.fetch_add(1, Ordering::SeqCst);
                }
            })
            .map_err(cannot)?;
        Ok(stop)
    }

    /// Whether to start nothing new.
    pub(super) fn is_requested(&self) -> bool {
        self.requests.load(Ordering::SeqCst) > 0
    }

    /// Whether to stop running workers as well.
    pub(super) fn is_immediate(&self) -> bool {
        self.requests.load(Ordering::SeqCst) > 1
    }
}
