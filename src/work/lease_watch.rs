//! Ends this process before its lease ends, so that its workers never run beside those of the next holder.
//!
//! The threads of the workers may wait for a database that does not answer, and no thread can be made to stop waiting. So the
//! watch first stops the workers, and in the end kills what is left of them and ends the process.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::stop_signal::StopSignal;
use super::supervisor::ChildRegistry;
use crate::error::{Code, Error, Result};
use crate::store::{Fence, HeldLease, LeaseState};
use crate::terminal::restore_echo;

/// How often the state of the lease is read.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A lease of this process, and the thread that watches it.
pub(super) struct LeaseWatch {
    // Dropped first: the thread ends, and with it its share of the lease.
    thread: Option<WatchThread>,
    lease: Arc<dyn HeldLease>,
}

struct WatchThread {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LeaseWatch {
    /// A lease that is not watched yet.
    pub(super) fn new(lease: Box<dyn HeldLease>) -> Self {
        LeaseWatch { thread: None, lease: lease.into() }
    }

    /// The fence of the lease.
    pub(super) fn fence(&self) -> Fence {
        self.lease.fence()
    }

    /// Starts the thread. `what` is what the lease is about, for messages.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(&mut self, what: String, children: &ChildRegistry, stop: &StopSignal) -> Result<()> {
        let (end, ended) = channel::<()>();
        let (lease, children, stop) = (self.lease.clone(), children.clone(), stop.clone());
        let thread = Builder::new()
            .name("lease".into())
            .spawn(move || {
                while ended.recv_timeout(CHECK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    match lease.state() {
                        LeaseState::Held => {}
                        LeaseState::Ending => stop.request_at_once(),
                        LeaseState::Lost => end_process(&what, &children),
                    }
                }
            })
            .map_err(|error| Error::internal("the thread that watches a lease cannot be started", error))?;
        self.thread = Some(WatchThread { end: Some(end), thread: Some(thread) });
        Ok(())
    }

    /// Refuses to go on if the lease has ended, or is about to.
    ///
    /// # Errors
    /// `claim_lost`.
    pub(super) fn check(&self) -> Result<()> {
        match self.lease.state() {
            LeaseState::Held => Ok(()),
            LeaseState::Ending | LeaseState::Lost => Err(Error::new(
                Code::ClaimLost,
                "this process stopped, because it could not reach the database for too long or another process has taken over",
            )),
        }
    }
}

impl Drop for WatchThread {
    fn drop(&mut self) {
        self.end = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that watches a lease panicked");
        }
    }
}

/// Kills what is left of the workers and ends this process.
fn end_process(what: &str, children: &ChildRegistry) -> ! {
    children.kill_marked();
    restore_echo();
    let line = format!(
        "tasktally: this process no longer works on {what}: it could not reach the database for too long, or another process has taken over. Its workers were ended; what they had not reported is worked again"
    );
    // Nothing is left to do if the output is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
    std::process::exit(1)
}
