//! One worker's process, from its start until no process of its tree is left. Decides when the tree is ended.

use std::ffi::OsString;
use std::fs::canonicalize;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, getpid, wait};

use super::messages::{CommandSpec, LaunchSpec, ProcessExit, StartFailure, StopReason};
use super::output_capture::OutputCapture;
use super::process_tree;
use super::working_dir::open_working_dir;
use crate::config::find_program;
use crate::work::limit_remedy::limit_remedy;
use crate::work::sandbox::{self, PrivateTmp};
use crate::work::this_program::running_executable;

/// The variable with the path of the file that describes the item.
const CONTEXT_VARIABLE: &str = "TASKTALLY_CONTEXT";

/// How often the memory of the tree is measured.
const MEMORY_CHECK_INTERVAL: Duration = Duration::from_millis(250);
/// How often KILL is repeated for what is left of the tree.
const KILL_INTERVAL: Duration = Duration::from_millis(20);
/// How long killed processes may take to disappear. A process that takes longer hangs in the kernel.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an output is read after the whole tree has ended: a process outside the tree may still hold it open.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(500);

/// How far the termination of the tree has come.
#[derive(Debug, Clone, Copy)]
enum Termination {
    /// TERM was sent; KILL follows at this time.
    TermSent(Instant),
    /// KILL is being sent since this time.
    KillSent(Instant),
}

/// The text for standard input that the worker has not read yet.
struct PendingInput {
    pipe: ChildStdin,
    text: Vec<u8>,
    written: usize,
}

/// A worker's process. Its tree is every descendant of the supervisor process.
pub(super) struct WorkerProcess {
    pid: Pid,
    status: Option<WaitStatus>,
    stdin: Option<PendingInput>,
    stdout: OutputCapture<ChildStdout>,
    stderr: OutputCapture<ChildStderr>,
    started_at: Instant,
    exited_at: Option<Instant>,
    /// The timeout, and when it is over.
    timeout: Option<(Duration, Instant)>,
    grace: Duration,
    /// The limit in bytes, and when the memory is measured next.
    memory_limit: Option<(u64, Instant)>,
    stop_reason: Option<StopReason>,
    termination: Option<Termination>,
    /// Since when no process of the tree is left.
    tree_empty_since: Option<Instant>,
    /// The folder for temporary files of a worker in a sandbox. It is deleted with this value.
    _private_tmp: Option<PrivateTmp>,
}

impl WorkerProcess {
    /// Starts a worker. The error says why it could not be started.
    pub(super) fn start(spec: &CommandSpec, launch: LaunchSpec) -> Result<Self, StartFailure> {
        let Some((program, arguments)) = spec.command.split_first() else {
            return Err("the command is empty".to_owned().into());
        };
        if let Some(sandbox) = &spec.sandbox {
            // The sandbox itself opens no link either, but here the reason can stop the batch.
            sandbox::check_paths(sandbox)
                .map_err(|error| StartFailure::Folder(format!("sandbox: {error}")))?;
        }
        let (mut command, private_tmp) =
            command_of(program, launch.arguments.as_deref().unwrap_or(arguments), spec, &launch)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Its own process group, so that a signal to the group of its supervisor process does not reach it.
        command.process_group(0);
        if let Some(environment) = &spec.environment {
            command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        }
        command.envs(launch.environment);
        if let Some(folder) = &private_tmp {
            command.env("TMPDIR", folder.path());
        }
        let working_dir = spec.working_dir.as_deref().map(open_working_dir).transpose();
        let working_dir = working_dir.map_err(StartFailure::Folder)?;
        if let Some(folder) = &working_dir {
            command.current_dir(folder.path());
        }
        let mut child = command.spawn().map_err(|error| {
            // The kernel reports a missing interpreter as if the script were missing.
            if let Some(why) = why_not_runnable(spec) {
                return format!("'{}' cannot be started: {why}", program.display());
            }
            let folder =
                spec.working_dir.as_ref().map_or(String::new(), |at| format!(" in {}", at.display()));
            let program = program.display();
            let remedy = match limit_remedy(&error) {
                "" => ". Name an executable program in PATH, or its path",
                remedy => remedy,
            };
            format!("'{program}' cannot be started{folder}: {error}{remedy}")
        })?;
        let stdin = child.stdin.take().and_then(|pipe| {
            // A worker that does not read its input must not block the event loop.
            rustix::io::ioctl_fionbio(&pipe, true).ok()?;
            Some(PendingInput { pipe, text: launch.stdin.into_bytes(), written: 0 })
        });
        let (out, err) = launch.log_files.map_or((None, None), |(out, err)| (Some(out), Some(err)));
        let limit = spec.output_limit_bytes;
        let now = Instant::now();
        Ok(WorkerProcess {
            pid: Pid::from_child(&child),
            status: None,
            stdin,
            stdout: OutputCapture::new(child.stdout.take(), out, limit, &launch.log_title),
            stderr: OutputCapture::new(child.stderr.take(), err, limit, &launch.log_title),
            started_at: now,
            exited_at: None,
            timeout: spec.timeout.and_then(|timeout| Some((timeout, now.checked_add(timeout)?))),
            grace: spec.grace,
            memory_limit: spec.memory_limit_bytes.map(|limit| (limit, now + MEMORY_CHECK_INTERVAL)),
            stop_reason: None,
            termination: None,
            tree_empty_since: None,
            _private_tmp: private_tmp,
        })
    }

    /// Its standard input, output and error, as far as they are open.
    pub(super) fn poll_fds(&self) -> [Option<BorrowedFd<'_>>; 3] {
        [self.stdin.as_ref().map(|input| input.pipe.as_fd()), self.stdout.poll_fd(), self.stderr.poll_fd()]
    }

    /// Writes and reads what is ready, in the order of [`WorkerProcess::poll_fds`].
    pub(super) fn transfer(&mut self, ready: [bool; 3]) {
        if ready[0] {
            self.write_stdin();
        }
        if ready[1] {
            self.stdout.read_available();
        }
        if ready[2] {
            self.stderr.read_available();
        }
    }

    fn write_stdin(&mut self) {
        let Some(PendingInput { pipe, text, written }) = &mut self.stdin else { return };
        match pipe.write(&text[*written..]) {
            Ok(count) => *written += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            // The worker has closed its standard input.
            Err(_) => *written = text.len(),
        }
        if *written == text.len() {
            self.stdin = None;
        }
    }

    /// When [`WorkerProcess::update`] has to run even if no event arrives.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let termination = match self.termination {
            Some(Termination::TermSent(kill_at)) => Some(kill_at),
            Some(Termination::KillSent(_)) => Some(Instant::now() + KILL_INTERVAL),
            None => self.timeout.map(|(_, ends_at)| ends_at),
        };
        let memory = self.memory_limit.filter(|_| self.termination.is_none()).map(|(_, check_at)| check_at);
        let output = self.tree_empty_since.map(|since| since + OUTPUT_TIMEOUT);
        [termination, memory, output].into_iter().flatten().min()
    }

    /// Starts to end the whole tree, unless that has started already.
    pub(super) fn stop(&mut self, reason: StopReason) {
        if self.termination.is_some() {
            return;
        }
        self.stop_reason = self.stop_reason.or(Some(reason));
        self.terminate_tree();
    }

    fn terminate_tree(&mut self) {
        self.stdin = None;
        process_tree::terminate_descendants(getpid());
        self.termination = Some(Termination::TermSent(Instant::now() + self.grace));
    }

    /// Collects the exit status of processes that have ended, enforces the limits, and continues the termination.
    pub(super) fn update(&mut self) {
        self.reap_children();
        if self.tree_empty_since.is_some() {
            return;
        }
        let now = Instant::now();
        match self.termination {
            // Processes that a worker leaves running are ended, too.
            None if self.status.is_some() => self.terminate_tree(),
            None => self.enforce_limits(now),
            Some(Termination::TermSent(kill_at)) if now >= kill_at => {
                process_tree::kill_descendants(getpid());
                self.termination = Some(Termination::KillSent(now));
            }
            Some(Termination::TermSent(_)) => {}
            Some(Termination::KillSent(_)) => process_tree::kill_descendants(getpid()),
        }
    }

    fn reap_children(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if pid == self.pid {
                        self.status = Some(status);
                        self.exited_at = Some(Instant::now());
                    }
                }
                Ok(None) => {
                    self.tree_empty_since = None;
                    return;
                }
                Err(Errno::INTR) => {}
                // No child is left: orphans would have become children of this subreaper.
                Err(_) => {
                    self.tree_empty_since = self.tree_empty_since.or(Some(Instant::now()));
                    return;
                }
            }
        }
    }

    fn enforce_limits(&mut self, now: Instant) {
        if let Some((timeout, _)) = self.timeout.filter(|(_, ends_at)| now >= *ends_at) {
            self.stop(StopReason::Timeout(timeout));
        } else if let Some((limit, check_at)) = self.memory_limit.filter(|(_, check_at)| now >= *check_at) {
            self.memory_limit = Some((limit, check_at.max(now) + MEMORY_CHECK_INTERVAL));
            if process_tree::memory_of_descendants(getpid()) > limit {
                self.stop(StopReason::MemoryLimit);
            }
        }
    }

    /// How the worker ended, once no process of its tree is left.
    pub(super) fn exit(&mut self) -> Option<ProcessExit> {
        let now = Instant::now();
        let outputs_closed = self.stdout.poll_fd().is_none() && self.stderr.poll_fd().is_none();
        let is_over = match (self.tree_empty_since, self.termination) {
            (Some(since), _) => outputs_closed || now >= since + OUTPUT_TIMEOUT,
            (None, Some(Termination::KillSent(since))) => now >= since + KILL_TIMEOUT,
            (None, _) => false,
        };
        if !is_over {
            return None;
        }
        self.stdout.close();
        self.stderr.close();
        let tree_is_empty = self.tree_empty_since.is_some();
        Some(ProcessExit {
            code: self.status.and_then(WaitStatus::exit_status),
            signal: self.status.and_then(WaitStatus::terminating_signal),
            stop_reason: self.stop_reason,
            stdout_tail: self.stdout.tail_text(),
            stdout_is_cut: self.stdout.is_cut(),
            stderr_tail: self.stderr.tail_text(),
            duration: self.exited_at.unwrap_or(now).saturating_duration_since(self.started_at),
            unkillable: if tree_is_empty { 0 } else { process_tree::descendants(getpid()).len() },
        })
    }
}

/// The command to start: the worker's own, or this program, which restricts itself and becomes the worker's. A sandbox comes
/// with a folder for temporary files.
fn command_of(
    program: &OsString,
    arguments: &[OsString],
    spec: &CommandSpec,
    launch: &LaunchSpec,
) -> Result<(Command, Option<PrivateTmp>), String> {
    let Some(sandbox) = &spec.sandbox else {
        let mut command = Command::new(program);
        command.args(arguments);
        return Ok((command, None));
    };
    let mut sandbox = sandbox.clone();
    let private_tmp = PrivateTmp::for_sandbox(&mut sandbox)?;
    if let Some(read) = &mut sandbox.read {
        // The file with the item and its instructions. Its folder is Tasktally's own; a link on the way is the operator's.
        let context = launch.environment.iter().find(|(name, _)| name == CONTEXT_VARIABLE);
        read.extend(context.map(|(_, path)| canonicalize(path).unwrap_or_else(|_| PathBuf::from(path))));
    }
    let words = [program].into_iter().chain(arguments).cloned();
    let mut command = Command::new(running_executable().map_err(|error| error.to_string())?);
    command.args(sandbox::arguments(&sandbox, words)?);
    Ok((command, Some(private_tmp)))
}

/// Why the program of a command cannot be run, if its file says so.
fn why_not_runnable(spec: &CommandSpec) -> Option<String> {
    let variable = |name: &OsString| name == "PATH";
    let path = match &spec.environment {
        Some(environment) => {
            environment.iter().find(|(name, _)| variable(name)).map(|(_, path)| path.clone())
        }
        None => std::env::var_os("PATH"),
    };
    find_program(spec.command.first()?, path.as_deref(), spec.working_dir.as_deref()).err()
}
