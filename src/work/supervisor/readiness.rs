//! Waits for the next event of a supervisor process: a request, a signal, or input and output of its worker.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGTERM};

use super::worker_process::WorkerProcess;
use crate::error::{Error, Result};

/// The signals that a supervisor process waits for, as streams that become readable.
pub(super) struct SignalPipes {
    child_exited: UnixStream,
    terminate: UnixStream,
}

/// What happened.
#[derive(Default)]
pub(super) struct Readiness {
    /// Requests can be read, or standard input has closed.
    pub(super) requests: bool,
    /// TERM or HUP arrived.
    pub(super) terminate: bool,
    /// Which of [`WorkerProcess::poll_fds`] are ready.
    pub(super) worker: [bool; 3],
}

impl SignalPipes {
    /// Installs the signal handlers.
    pub(super) fn register() -> Result<Self> {
        Ok(SignalPipes { child_exited: pipe_of(&[SIGCHLD])?, terminate: pipe_of(&[SIGTERM, SIGHUP])? })
    }

    /// Waits until something happens, or until the worker's next deadline.
    pub(super) fn wait(
        &mut self,
        requests: Option<&impl AsFd>,
        worker: Option<&WorkerProcess>,
    ) -> Result<Readiness> {
        let worker_fds = worker.map_or([None; 3], WorkerProcess::poll_fds);
        let directions = [PollFlags::OUT, PollFlags::IN, PollFlags::IN];
        let mut fds =
            vec![PollFd::new(&self.child_exited, PollFlags::IN), PollFd::new(&self.terminate, PollFlags::IN)];
        fds.extend(requests.map(|requests| PollFd::new(requests, PollFlags::IN)));
        for (fd, direction) in worker_fds.iter().zip(directions) {
            fds.extend(fd.map(|fd| PollFd::from_borrowed_fd(fd, direction)));
        }
        let timeout = worker.and_then(WorkerProcess::next_deadline).map(timeout_until);
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Readiness::default()),
            Err(error) => {
                return Err(Error::internal("the supervisor process cannot wait for events", error));
            }
        }
        let mut is_ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = || is_ready.next().unwrap_or(false);
        let (child_exited, terminate) = (next(), next());
        let requests = requests.is_some() && next();
        let worker = worker_fds.map(|fd| fd.is_some() && next());
        if child_exited {
            drain(&mut self.child_exited);
        }
        if terminate {
            drain(&mut self.terminate);
        }
        Ok(Readiness { requests, terminate, worker })
    }
}

fn timeout_until(deadline: Instant) -> Timespec {
    // One millisecond more, so that the deadline has passed when poll returns.
    let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() }
}

/// A stream that becomes readable when one of the signals arrives.
fn pipe_of(signals: &[i32]) -> Result<UnixStream> {
    let set_up = || -> std::io::Result<UnixStream> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        for signal in signals {
            signal_hook::low_level::pipe::register(*signal, write.try_clone()?)?;
        }
        Ok(read)
    };
    set_up().map_err(|error| Error::internal("signal handlers cannot be installed", error))
}

fn drain(signals: &mut UnixStream) {
    let mut bytes = [0; 64];
    while signals.read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
}
