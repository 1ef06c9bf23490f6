//! The standby runner: a second process that waits for the run lock and takes over if this runner dies.

use std::path::Path;
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::runner_mode::RunnerMode;
use super::spawn::spawn_runner;
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::work::supervisor::ChildRegistry;

/// The standby process of a runner.
pub(super) struct StandbyRunner<'a> {
    session: &'a Session,
    store: &'a Path,
    batch: &'a TaskId,
    children: &'a ChildRegistry,
    mode: RunnerMode,
    process: Mutex<Option<Child>>,
}

impl<'a> StandbyRunner<'a> {
    /// For a runner in `mode`. No process is started yet.
    pub(super) fn new(
        session: &'a Session,
        store: &'a Path,
        batch: &'a TaskId,
        children: &'a ChildRegistry,
        mode: RunnerMode,
    ) -> Self {
        StandbyRunner { session, store, batch, children, mode, process: Mutex::default() }
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process unless it is running. A runner in the foreground has none: the person restarts it.
    pub(super) fn ensure_running(&self) {
        if !self.mode.is_detached() {
            return;
        }
        let mut process = self.process();
        if process.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None))) {
            return;
        }
        if let Some(exited) = process.take() {
            self.children.remove(&exited);
        }
        let folder = self.session.folder();
        match self.children.spawn(|| spawn_runner(self.store, folder, self.batch, &["--standby"])) {
            Ok(child) => *process = Some(child),
            Err(error) => tracing::warn!(%error, "no standby runner could be started"),
        }
    }

    /// Kills the process, because there is nothing to take over any more.
    pub(super) fn stop(&self) {
        if let Some(mut child) = self.process().take() {
            // The process may have ended by itself.
            child.kill().ok();
            child.wait().ok();
            self.children.remove(&child);
        }
    }
}
