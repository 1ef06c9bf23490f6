//! What a process needs before it runs a command: that a limit on file sizes is an error and not its end, and the
//! duties of process 1 in a container.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::work::running_executable;

/// The process number of the first process of a container.
const INIT: u32 = 1;

/// Signals that a process 1 passes on to the command.
const FORWARDED: [i32; 6] = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];

/// Makes a write beyond the limit on file sizes (`ulimit -f`) fail with `EFBIG`. Without a handler the kernel ends the
/// process. A handler, unlike an ignored signal, is not inherited by workers.
pub(super) fn survive_file_size_limit() {
    if let Err(error) = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))) {
        tracing::warn!(%error, "a file size limit would end this process");
    }
}

/// As process 1, runs the command in a child process, and returns its exit code. `None` if this is not process 1.
///
/// The kernel discards signals that process 1 has no handler for, and leaves it the orphans of all processes to reap.
/// So process 1 does nothing else: it forwards signals, reaps, and ends when the command has ended.
pub(super) fn run_as_init(arguments: &[OsString]) -> Option<u8> {
    if std::process::id() != INIT {
        return None;
    }
    // Registered first, so that no early signal is lost.
    let signals = Signals::new(FORWARDED.iter().chain(&[SIGCHLD])).ok()?;
    let (name, rest) = arguments.split_first()?;
    let child = Command::new(running_executable().ok()?).arg0(name).args(rest).spawn().ok()?;
    Some(supervise(Pid::from_child(&child), signals))
}

fn supervise(command: Pid, mut signals: Signals) -> u8 {
    // The terminal sends its signals to the command itself as well.
    let has_terminal = std::io::stdin().is_terminal() || std::io::stdout().is_terminal();
    loop {
        for signal in signals.wait() {
            match signal {
                SIGCHLD => {
                    if let Some(code) = reap(command) {
                        return code;
                    }
                }
                SIGINT | SIGQUIT if has_terminal => {}
                _ => {
                    // The command may have ended, which the next SIGCHLD reports.
                    Signal::from_named_raw(signal).map(|signal| kill_process(command, signal).ok());
                }
            }
        }
    }
}

/// Reaps all children that have ended. Returns the exit code of the command if it is among them.
fn reap(command: Pid) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == command {
            let status = ExitStatus::from_raw(status.as_raw());
            // As a shell reports it: 128 and the number of the signal.
            let number = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
            code = Some(u8::try_from(number).unwrap_or(1));
        }
    }
    code
}
