//! The child processes that a runner started itself. Every other child is an orphan of a killed supervisor process.

use std::collections::{BTreeSet, HashSet};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{WaitOptions, getpid, waitpid};

use super::process_tree;
use super::run_marker::kill_marked_processes;
use crate::error::Result;

/// How long killed processes may take to disappear.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the system is searched again.
const SEARCH_INTERVAL: Duration = Duration::from_millis(5);

/// The runner's own children, shared by its threads.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChildRegistry {
    known: Arc<Mutex<HashSet<u32>>>,
    /// Every run marker that children carry or carried.
    markers: Arc<Mutex<BTreeSet<String>>>,
    run_marker: Option<String>,
}

impl ChildRegistry {
    /// An empty registry. Makes this process a subreaper, so that it inherits the workers of a killed supervisor
    /// process.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub(crate) fn new_subreaper() -> Result<Self> {
        #[cfg(target_os = "linux")]
        rustix::process::set_child_subreaper(Some(getpid()))
            .map_err(|error| crate::error::Error::internal("the runner cannot become a subreaper", error))?;
        Ok(ChildRegistry::default())
    }

    /// The same registry for children that carry a run marker.
    #[must_use]
    pub(crate) fn with_run_marker(self, run_marker: &str) -> Self {
        self.markers.lock().unwrap_or_else(PoisonError::into_inner).insert(run_marker.to_owned());
        ChildRegistry { run_marker: Some(run_marker.to_owned()), ..self }
    }

    /// The run marker, if the children carry one.
    pub(crate) fn run_marker(&self) -> Option<&str> {
        self.run_marker.as_deref()
    }

    /// Kills all processes that carry one of the run markers.
    pub(crate) fn kill_marked(&self) {
        let markers = self.markers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for marker in &markers {
            kill_marked_processes(marker);
        }
    }

    fn known(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a child and registers it.
    ///
    /// # Errors
    /// What `spawn` returns.
    pub(crate) fn spawn(&self, spawn: impl FnOnce() -> Result<Child>) -> Result<Child> {
        // Locked, so that no other thread takes the new child for an orphan.
        let mut known = self.known();
        let child = spawn()?;
        known.insert(child.id());
        Ok(child)
    }

    /// Removes a child that has exited.
    pub(crate) fn remove(&self, child: &Child) {
        self.known().remove(&child.id());
    }

    /// Calls `run`, which starts and awaits children of its own, while no thread kills orphans.
    pub(crate) fn without_killing_orphans<T>(&self, run: impl FnOnce() -> T) -> T {
        let _known = self.known();
        run()
    }

    /// Kills the process trees that killed supervisor processes have left to this process.
    pub(crate) fn kill_orphans(&self) {
        let known = self.known();
        let give_up_at = Instant::now() + KILL_TIMEOUT;
        loop {
            let orphans = process_tree::children_except(getpid(), &known);
            if orphans.is_empty() || Instant::now() >= give_up_at {
                return;
            }
            for orphan in orphans {
                process_tree::kill_tree(&orphan);
                // Reaped, so that it leaves the process table. Its exit status says nothing about the work.
                waitpid(Some(orphan.pid), WaitOptions::NOHANG).ok();
            }
            sleep(SEARCH_INTERVAL);
        }
    }
}
