//! A worker while it runs, and until nothing of its tree is left.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, getpid, wait};

use super::messages::{Because, CommandSpec, Ended, Launch};
use super::output::Output;
use super::process_tree;

/// How often what a worker's tree holds of memory is looked at.
const MEMORY_LOOK: Duration = Duration::from_millis(250);
/// How often what is left of a tree is killed again.
const KILL_AGAIN: Duration = Duration::from_millis(20);
/// How long what was killed may take to go away: longer only where it hangs in the kernel.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// How long an output may stay open once the whole tree has ended: somebody outside holds it.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Where ending a tree has come to.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// It was asked to end, and is killed then.
    Asked(Instant),
    /// It is killed since then.
    Killed(Instant),
}

/// A worker.
pub(super) struct Running {
    main: Pid,
    status: Option<WaitStatus>,
    input: Option<(ChildStdin, Vec<u8>, usize)>,
    out: Output<ChildStdout>,
    err: Output<ChildStderr>,
    began: Instant,
    ended: Option<Instant>,
    deadline: Option<Instant>,
    grace: Duration,
    memory: Option<(u64, Instant)>,
    because: Option<Because>,
    ending: Option<Ending>,
    /// Since when nothing of the tree is left.
    alone: Option<Instant>,
}

impl Running {
    /// Starts a worker; in words why not.
    pub(super) fn start(trade: &CommandSpec, launch: Launch) -> Result<Self, String> {
        let Some((program, arguments)) = trade.command.split_first() else {
            return Err("the command is empty".into());
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C in the terminal is the runner's to handle.
        command.process_group(0);
        if let Some(environment) = &trade.environment {
            command.env_clear().envs(environment.iter().map(|(name, value)| (name, value)));
        }
        command.envs(launch.environment);
        if let Some(folder) = &trade.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn().map_err(|error| {
            let place = trade.folder.as_ref().map_or(String::new(), |at| format!(" in {}", at.display()));
            let program = program.display();
            format!("'{program}' cannot be started{place}: {error}; is it installed and executable?")
        })?;
        let input = child.stdin.take().and_then(|stdin| {
            // What does not read its input must not hold the keeper up.
            rustix::io::ioctl_fionbio(&stdin, true).ok()?;
            Some((stdin, launch.input.into_bytes(), 0))
        });
        let (out, err) = launch.kept_in.map_or((None, None), |(out, err)| (Some(out), Some(err)));
        let now = Instant::now();
        Ok(Running {
            main: Pid::from_child(&child),
            status: None,
            input,
            out: Output::new(child.stdout.take(), out, trade.output_limit, &launch.title),
            err: Output::new(child.stderr.take(), err, trade.output_limit, &launch.title),
            began: now,
            ended: None,
            deadline: trade.timeout.and_then(|timeout| now.checked_add(timeout)),
            grace: trade.grace,
            memory: trade.memory.map(|most| (most, now + MEMORY_LOOK)),
            because: None,
            ending: None,
            alone: None,
        })
    }

    /// What to wait for: its standard input, output and error, where they are open.
    pub(super) fn sources(&self) -> [Option<BorrowedFd<'_>>; 3] {
        [self.input.as_ref().map(|(input, _, _)| input.as_fd()), self.out.source(), self.err.source()]
    }

    /// Goes on with what is ready, in the order of [`Running::sources`].
    pub(super) fn go_on(&mut self, ready: [bool; 3]) {
        if ready[0] {
            self.write();
        }
        if ready[1] {
            self.out.take();
        }
        if ready[2] {
            self.err.take();
        }
    }

    fn write(&mut self) {
        let Some((input, text, written)) = &mut self.input else { return };
        match input.write(&text[*written..]) {
            Ok(count) => *written += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            // It wants no more of it.
            Err(_) => *written = text.len(),
        }
        if *written == text.len() {
            self.input = None;
        }
    }

    /// When something is due without anybody saying so.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let ending = match self.ending {
            Some(Ending::Asked(kill_at)) => Some(kill_at),
            Some(Ending::Killed(_)) => Some(Instant::now() + KILL_AGAIN),
            None => self.deadline,
        };
        let memory = self.memory.filter(|_| self.ending.is_none()).map(|(_, look_at)| look_at);
        let alone = self.alone.map(|since| since + LAST_WORDS);
        [ending, memory, alone].into_iter().flatten().min()
    }

    /// Asks the whole tree to end.
    pub(super) fn end(&mut self, because: Because) {
        if self.ending.is_some() {
            return;
        }
        self.because = self.because.or(Some(because));
        self.ask();
    }

    fn ask(&mut self) {
        self.input = None;
        process_tree::ask(getpid());
        self.ending = Some(Ending::Asked(Instant::now() + self.grace));
    }

    /// Takes note of what has ended, and does what is due.
    pub(super) fn look(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if pid == self.main {
                        self.status = Some(status);
                        self.ended = Some(Instant::now());
                    }
                }
                Ok(None) => {
                    self.alone = None;
                    break;
                }
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.alone = self.alone.or(Some(Instant::now()));
                    return;
                }
            }
        }
        let now = Instant::now();
        match self.ending {
            // What a worker leaves behind when it ends is ended, too.
            None if self.status.is_some() => self.ask(),
            None => {
                if self.deadline.is_some_and(|deadline| now >= deadline) {
                    self.end(Because::Timeout);
                } else if let Some((most, look_at)) = self.memory.filter(|(_, look_at)| now >= *look_at) {
                    self.memory = Some((most, look_at.max(now) + MEMORY_LOOK));
                    if process_tree::memory(getpid()) > most {
                        self.end(Because::Memory);
                    }
                }
            }
            Some(Ending::Asked(kill_at)) if now >= kill_at => {
                process_tree::kill(getpid());
                self.ending = Some(Ending::Killed(now));
            }
            Some(Ending::Asked(_)) => {}
            Some(Ending::Killed(_)) => process_tree::kill(getpid()),
        }
    }

    /// How it ended, once nothing of it is left.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        let now = Instant::now();
        let is_silent = self.out.source().is_none() && self.err.source().is_none();
        let is_over = match (self.alone, self.ending) {
            (Some(since), _) => is_silent || now >= since + LAST_WORDS,
            (None, Some(Ending::Killed(since))) => now >= since + GONE_AFTER,
            (None, _) => false,
        };
        if !is_over {
            return None;
        }
        self.out.close();
        self.err.close();
        let status = self.status;
        Some(Ended {
            code: status.and_then(WaitStatus::exit_status),
            signal: status.and_then(WaitStatus::terminating_signal),
            because: self.because,
            out: self.out.text(),
            err: self.err.text(),
            took: self.ended.unwrap_or(now).saturating_duration_since(self.began),
            left: if self.alone.is_some() { 0 } else { process_tree::descendants(getpid()).len() },
        })
    }
}
