//! The keeper's own process: one worker after the other, as it is told on standard input.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::child_process::Running;
use super::messages::{Because, CommandSpec, Order, Report};
use crate::error::{Error, Result};

/// Keeps workers until standard input ends; then ends the one that runs and itself. `mark` is that of the
/// runner, where it has one.
///
/// # Errors
/// Where it cannot keep what it starts, or is told what it does not understand.
pub fn keep(mark: Option<&str>) -> Result<()> {
    #[cfg(target_os = "linux")]
    mark.into_iter().for_each(super::cgroup::enter);
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| Error::internal("a keeper cannot become a subreaper", error))?;
    let mut child_ended = on_signals(&[SIGCHLD])?;
    let mut told_to_end = on_signals(&[SIGTERM, SIGHUP])?;
    // Ctrl-C in the terminal is the runner's to handle.
    signal_hook::flag::register(SIGINT, Arc::new(AtomicBool::new(false)))
        .map_err(|error| Error::internal("signals cannot be listened to", error))?;
    let (mut orders, mut reports) = (std::io::stdin(), std::io::stdout());
    let mut lines = Lines::default();
    let mut trade: Option<CommandSpec> = None;
    let mut running: Option<Running> = None;
    let mut is_over = false;
    loop {
        let wakes_at = running.as_ref().and_then(Running::wakes_at);
        let ready = wait_for(&orders, is_over, &child_ended, &told_to_end, running.as_ref(), wakes_at)?;
        if ready.orders && !lines.read(&mut orders)? || ready.told_to_end {
            is_over = true;
        }
        drain(&mut child_ended, ready.child_ended);
        drain(&mut told_to_end, ready.told_to_end);
        if let Some(running) = &mut running {
            running.go_on(ready.of_worker);
        }
        while let Some(line) = lines.next() {
            match read(&line)? {
                Order::Take(taken) => trade = Some(taken),
                Order::Run(launch) => {
                    let started = match &trade {
                        Some(trade) => Running::start(trade, launch),
                        None => Err("a keeper was not told how".to_owned()),
                    };
                    match started {
                        Ok(started) => running = Some(started),
                        Err(why) => say(&mut reports, &Report::NotStarted(why))?,
                    }
                }
                Order::End => {
                    if let Some(running) = &mut running {
                        running.end(Because::Asked);
                    }
                }
            }
        }
        if let Some(worker) = &mut running {
            if is_over {
                worker.end(Because::Asked);
            }
            worker.look();
            if let Some(ended) = worker.ended() {
                running = None;
                // Nobody may be left to hear it.
                let said = say(&mut reports, &Report::Ended(ended));
                if !is_over {
                    said?;
                }
            }
        }
        if is_over && running.is_none() {
            return Ok(());
        }
    }
}

/// A stream that can be read once one of the signals has come.
fn on_signals(signals: &[i32]) -> Result<UnixStream> {
    let set_up = || -> std::io::Result<UnixStream> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        for signal in signals {
            signal_hook::low_level::pipe::register(*signal, write.try_clone()?)?;
        }
        Ok(read)
    };
    set_up().map_err(|error| Error::internal("signals cannot be listened to", error))
}

/// What is ready.
#[derive(Default)]
struct Ready {
    orders: bool,
    child_ended: bool,
    told_to_end: bool,
    of_worker: [bool; 3],
}

fn wait_for(
    orders: &impl AsFd,
    is_over: bool,
    child_ended: &UnixStream,
    told_to_end: &UnixStream,
    running: Option<&Running>,
    wakes_at: Option<Instant>,
) -> Result<Ready> {
    let of_worker = running.map_or([None; 3], Running::sources);
    let wait_to = [PollFlags::OUT, PollFlags::IN, PollFlags::IN];
    let mut sources = vec![PollFd::new(child_ended, PollFlags::IN), PollFd::new(told_to_end, PollFlags::IN)];
    if !is_over {
        sources.push(PollFd::new(orders, PollFlags::IN));
    }
    for (source, flags) in of_worker.iter().zip(wait_to) {
        sources.extend(source.map(|source| PollFd::from_borrowed_fd(source, flags)));
    }
    let patience = wakes_at.map(|at| {
        let left = at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    match poll(&mut sources, patience.as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(Ready::default()),
        Err(error) => return Err(Error::internal("a keeper cannot wait for its worker", error)),
    }
    let mut is_ready = sources.iter().map(|source| !source.revents().is_empty());
    let mut next = || is_ready.next().unwrap_or(false);
    let (child_ended, told_to_end) = (next(), next());
    Ok(Ready {
        child_ended,
        told_to_end,
        orders: !is_over && next(),
        of_worker: of_worker.map(|source| source.is_some() && next()),
    })
}

fn drain(signals: &mut UnixStream, is_ready: bool) {
    let mut bytes = [0; 64];
    while is_ready && signals.read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
}

/// Lines as they come in.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    at: usize,
}

impl Lines {
    /// Reads what is there; false at the end.
    fn read(&mut self, from: &mut impl Read) -> Result<bool> {
        let mut bytes = [0; 64 * 1024];
        match from.read(&mut bytes) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.bytes.extend_from_slice(&bytes[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(Error::internal("a keeper cannot read its orders", error)),
        }
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let end = self.bytes[self.at..].iter().position(|byte| *byte == b'\n');
        let Some(end) = end else {
            self.bytes.drain(..std::mem::take(&mut self.at));
            return None;
        };
        let line = self.bytes[self.at..self.at + end].to_vec();
        self.at += end + 1;
        Some(line)
    }
}

fn read<T: serde::de::DeserializeOwned>(line: &[u8]) -> Result<T> {
    serde_json::from_slice(line)
        .map_err(|error| Error::internal("a keeper does not understand its orders", error))
}

fn say(reports: &mut impl Write, report: &Report) -> Result<()> {
    let mut line = serde_json::to_vec(report)
        .map_err(|error| Error::internal("a keeper's report could not be written as JSON", error))?;
    line.push(b'\n');
    reports
        .write_all(&line)
        .and_then(|()| reports.flush())
        .map_err(|error| Error::internal("a keeper's report could not be written", error))
}
