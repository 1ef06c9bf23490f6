//! Turns off the terminal's echo while progress bars are drawn: what a person types, also the `^C` of Ctrl-C, would be
//! written into them, and the bars be drawn once more below.

use std::io::stderr;
use std::sync::{Mutex, PoisonError};

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// The settings of the terminal before the echo was turned off.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Turns the echo on again when it is dropped.
#[derive(Debug)]
pub(crate) struct EchoOff;

impl EchoOff {
    /// Turns off the echo of the terminal on standard error, if this process may.
    pub(crate) fn new() -> Self {
        if let (true, Ok(before)) = (is_in_foreground(), tcgetattr(stderr())) {
            let mut settings = before.clone();
            settings.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
            if tcsetattr(stderr(), OptionalActions::Now, &settings).is_ok() {
                *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
            }
        }
        EchoOff
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        restore_echo();
    }
}

/// Restores the settings of the terminal, if they were changed.
pub(crate) fn restore_echo() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before.filter(|_| is_in_foreground()) {
        // If the terminal is gone, there is nothing to restore.
        tcsetattr(stderr(), OptionalActions::Now, &before).ok();
    }
}

/// Whether this process belongs to the terminal's foreground job. The kernel stops others that change its settings.
fn is_in_foreground() -> bool {
    tcgetpgrp(stderr()).is_ok_and(|group| group == getpgrp())
}
