//! The supervisor process itself: reads requests from standard input and runs one worker after the other.

use std::io::{Stdout, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGINT;

use super::line_reader::LineReader;
use super::messages::{CommandSpec, ProcessExit, StopReason, SupervisorReport, SupervisorRequest};
use super::readiness::SignalPipes;
use super::worker_process::WorkerProcess;
use crate::error::{Error, Result};

/// Runs workers until standard input closes or TERM arrives. Then stops the running worker and returns.
/// `run_marker` is the runner's, if it has one.
///
/// # Errors
/// The kernel refuses what supervision needs, or a request cannot be read.
pub fn run_supervisor_process(run_marker: Option<&str>) -> Result<()> {
    start_session();
    #[cfg(target_os = "linux")]
    run_marker.into_iter().for_each(super::cgroup::enter_new_group);
    #[cfg(not(target_os = "linux"))]
    let _ = run_marker;
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| Error::internal("the supervisor process cannot become a subreaper", error))?;
    let mut signals = SignalPipes::register()?;
    // The runner handles Ctrl-C in the terminal.
    signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)))
        .map_err(|error| Error::internal("signal handlers cannot be installed", error))?;
    let mut requests = std::io::stdin();
    let mut lines = LineReader::default();
    let mut supervisor =
        Supervisor { command: None, worker: None, is_stopping: false, reports: std::io::stdout() };
    loop {
        let open_requests = (!supervisor.is_stopping).then_some(&requests);
        let ready = signals.wait(open_requests, supervisor.worker.as_ref())?;
        if ready.requests && !lines.read_available(&mut requests)? || ready.terminate {
            supervisor.is_stopping = true;
        }
        if let Some(worker) = &mut supervisor.worker {
            worker.transfer(ready.worker);
        }
        while let Some(line) = lines.next_line() {
            supervisor.handle_request(parse_request(&line)?)?;
        }
        supervisor.update_worker()?;
        if supervisor.is_stopping && supervisor.worker.is_none() {
            return Ok(());
        }
    }
}

/// Starts a session without a terminal. A worker that opens `/dev/tty` gets an error; in the session of a terminal, as a
/// background process, it would be stopped by its first read and never continue.
fn start_session() {
    if let Err(error) = rustix::process::setsid() {
        tracing::debug!(%error, "the supervisor process already leads a process group");
    }
}

/// The state between two events.
struct Supervisor {
    command: Option<CommandSpec>,
    worker: Option<WorkerProcess>,
    is_stopping: bool,
    reports: Stdout,
}

impl Supervisor {
    fn handle_request(&mut self, request: SupervisorRequest) -> Result<()> {
        match request {
            SupervisorRequest::SetCommand(command) => self.command = Some(command),
            SupervisorRequest::Start(launch) => {
                let started = match &self.command {
                    Some(command) => WorkerProcess::start(command, launch),
                    None => Err("the supervisor process has no command".to_owned().into()),
                };
                match started {
                    Ok(worker) => self.worker = Some(worker),
                    Err(why) => self.report(&SupervisorReport::NotStarted(why))?,
                }
            }
            SupervisorRequest::Stop => {
                if let Some(worker) = &mut self.worker {
                    worker.stop(StopReason::Requested);
                }
            }
        }
        Ok(())
    }

    fn update_worker(&mut self) -> Result<()> {
        let Some(worker) = &mut self.worker else { return Ok(()) };
        if self.is_stopping {
            worker.stop(StopReason::Requested);
        }
        worker.update();
        match worker.exit() {
            Some(exit) => self.report_exit(exit),
            None => Ok(()),
        }
    }

    fn report_exit(&mut self, exit: ProcessExit) -> Result<()> {
        self.worker = None;
        let reported = self.report(&SupervisorReport::Exited(exit));
        // While stopping, the runner may be gone and no longer read.
        if self.is_stopping { Ok(()) } else { reported }
    }

    fn report(&mut self, report: &SupervisorReport) -> Result<()> {
        let mut line = serde_json::to_vec(report)
            .map_err(|error| Error::internal("a report cannot be written as JSON", error))?;
        line.push(b'\n');
        self.reports
            .write_all(&line)
            .and_then(|()| self.reports.flush())
            .map_err(|error| Error::internal("the supervisor process cannot write a report", error))
    }
}

fn parse_request(line: &[u8]) -> Result<SupervisorRequest> {
    serde_json::from_slice(line)
        .map_err(|error| Error::internal("the supervisor process does not understand a request", error))
}
