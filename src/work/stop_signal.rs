//! Ctrl-C, TERM and HUP: the first one lets the current items finish. A second Ctrl-C or TERM stops the workers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};
use crate::terminal::restore_echo;

/// How often a stop was requested.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    requests: Arc<AtomicUsize>,
}

impl StopSignal {
    /// Starts to count Ctrl-C and TERM (QUIT ends the process at once), and HUP unless it is ignored, as under `nohup`.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn install() -> Result<Self> {
        let cannot = |error| Error::internal("signal handlers cannot be installed", error);
        let stop = StopSignal::default();
        let requests = stop.requests.clone();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGQUIT]).map_err(cannot)?;
        if !is_hangup_ignored() {
            signals.add_signal(SIGHUP).map_err(cannot)?;
        }
        // This thread runs until the process exits.
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    if signal == SIGQUIT {
                        // Ends the process at once, which must not leave the terminal without echo.
                        restore_echo();
                        signal_hook::low_level::emulate_default_handler(SIGQUIT).ok();
                    } else if signal == SIGHUP {
                        // The kernel and the shell may both send one when a terminal is closed.
                        requests.fetch_max(1, Ordering::SeqCst);
                    } else {
                        requests.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
            .map_err(cannot)?;
        Ok(stop)
    }

    /// Stops running workers and starts nothing new, as after a second signal.
    pub(super) fn request_at_once(&self) {
        self.requests.fetch_max(2, Ordering::SeqCst);
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

/// Whether this process was started with HUP ignored.
#[cfg(target_os = "linux")]
fn is_hangup_ignored() -> bool {
    crate::proc_fs::ignored_signals().is_some_and(|signals| signals & (1 << (SIGHUP - 1)) != 0)
}

#[cfg(not(target_os = "linux"))]
fn is_hangup_ignored() -> bool {
    false
}
