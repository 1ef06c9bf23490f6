//! The runner's side of a supervisor process: starts it, sends requests, reads reports.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::child_registry::ChildRegistry;
use super::messages::{CommandSpec, LaunchSpec, SupervisorReport, SupervisorRequest};
use crate::error::{Code, Error, Result};
use crate::work::limit_remedy::limit_remedy;
use crate::work::this_program;

/// How long a supervisor process may take to exit, in addition to the worker's grace.
const EXIT_TIMEOUT: Duration = Duration::from_secs(6);
/// How often its exit is polled.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Sends requests to one supervisor process, from any thread.
#[derive(Debug, Clone)]
struct RequestSender(Arc<Mutex<Option<ChildStdin>>>);

impl RequestSender {
    fn send(&self, request: &SupervisorRequest) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(stdin) => stdin.write_all(&line),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Stops the worker of one supervisor process, from any thread.
#[derive(Debug, Clone)]
pub(crate) struct StopHandle(RequestSender);

impl StopHandle {
    /// Requests the end of the running worker, if there is one.
    pub(crate) fn stop(&self) {
        // A supervisor process that was killed has no worker any more.
        self.0.send(&SupervisorRequest::Stop).ok();
    }
}

/// A running supervisor process. Dropping the handle ends the worker and the process.
#[derive(Debug)]
pub(crate) struct SupervisorHandle {
    children: ChildRegistry,
    process: Child,
    requests: RequestSender,
    reports: BufReader<ChildStdout>,
    exit_timeout: Duration,
}

impl SupervisorHandle {
    /// Starts a supervisor process.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(children: &ChildRegistry) -> Result<Self> {
        let mut command = Command::new(this_program::running_executable()?);
        // It starts a session of its own: the runner handles Ctrl-C in the terminal.
        command
            .arg("supervisor-process")
            .args(children.run_marker())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let cannot = |error: std::io::Error| {
            Error::internal(format!("a supervisor process cannot be started{}", limit_remedy(&error)), error)
        };
        let mut process = children.spawn(|| command.spawn().map_err(cannot))?;
        let Some((requests, reports)) = process.stdin.take().zip(process.stdout.take()) else {
            process.kill().map_err(cannot)?;
            return Err(Error::new(Code::Internal, "a supervisor process was started without its pipes"));
        };
        Ok(SupervisorHandle {
            children: children.clone(),
            process,
            requests: RequestSender(Arc::new(Mutex::new(Some(requests)))),
            reports: BufReader::new(reports),
            exit_timeout: EXIT_TIMEOUT,
        })
    }

    /// Sets the command that the next workers run.
    ///
    /// # Errors
    /// The supervisor process was killed.
    pub(crate) fn set_command(&mut self, spec: CommandSpec) -> Result<()> {
        self.exit_timeout = spec.grace.saturating_add(EXIT_TIMEOUT);
        self.requests.send(&SupervisorRequest::SetCommand(spec)).map_err(|error| self.killed(error))
    }

    /// A handle that stops the worker from another thread.
    pub(crate) fn stop_handle(&self) -> StopHandle {
        StopHandle(self.requests.clone())
    }

    /// Runs a worker and waits until no process of its tree is left.
    ///
    /// # Errors
    /// The supervisor process was killed. Its worker has been killed as well.
    pub(crate) fn run_worker(&mut self, launch: LaunchSpec) -> Result<SupervisorReport> {
        let mut line = String::new();
        let report = self
            .requests
            .send(&SupervisorRequest::Start(launch))
            .and_then(|()| self.reports.read_line(&mut line))
            .and_then(|_| serde_json::from_str(&line).map_err(std::io::Error::from));
        report.map_err(|error| self.killed(error))
    }

    fn killed(&self, error: std::io::Error) -> Error {
        self.children.kill_orphans();
        Error::internal("a supervisor process was killed, and its worker with it", error)
    }
}

impl Drop for SupervisorHandle {
    fn drop(&mut self) {
        self.requests.close();
        let give_up_at = Instant::now() + self.exit_timeout;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() >= give_up_at {
                tracing::warn!(pid = self.process.id(), "a supervisor process does not exit and is killed");
                self.process.kill().ok();
                self.process.wait().ok();
                break;
            }
            sleep(EXIT_POLL_INTERVAL);
        }
        self.children.remove(&self.process);
        self.children.kill_orphans();
        #[cfg(target_os = "linux")]
        self.children.run_marker().into_iter().for_each(|run_marker| {
            super::cgroup::remove_group(run_marker, self.process.id());
        });
    }
}
