//! Somebody who waits for a runner to die.

use std::path::Path;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::launcher;
use super::runner::How;
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::work::supervisor::ChildRegistry;

/// The one that takes over when this runner dies.
pub(super) struct Standby<'a> {
    session: &'a Session,
    store: &'a Path,
    batch: &'a TaskId,
    pub(super) family: &'a ChildRegistry,
    how: How,
    process: Mutex<Option<Child>>,
}

impl<'a> Standby<'a> {
    /// For a runner of a batch; nobody stands by yet.
    pub(super) fn new(
        session: &'a Session,
        store: &'a Path,
        batch: &'a TaskId,
        family: &'a ChildRegistry,
        how: How,
    ) -> Self {
        Standby { session, store, batch, family, how, process: Mutex::default() }
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it where none stands by; a runner that somebody watches has none.
    pub(super) fn see_to_it(&self) {
        if self.how == How::InFront {
            return;
        }
        let mut process = self.process();
        if process.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            return;
        }
        if let Some(ended) = process.take() {
            self.family.forget(&ended);
        }
        let folder = self.session.folder();
        match self.family.start(|| launcher::start(self.store, folder, self.batch, &["--standby"])) {
            Ok(child) => *process = Some(child),
            Err(error) => tracing::warn!(%error, "nobody stands by for this runner"),
        }
    }

    /// Ends it: there is nothing to take over.
    pub(super) fn end(&self) {
        if let Some(mut child) = self.process().take() {
            // It may have ended by itself.
            child.kill().ok();
            child.wait().ok();
            self.family.forget(&child);
        }
    }
}
