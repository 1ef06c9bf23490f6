//! The processes of the machine: listing them, finding them by their environment, and signalling exactly one of them.

pub(super) use system::{all, send_signal, with_environment_entry};

use rustix::process::Pid;

/// A process as it was listed. The start time distinguishes it from a later process with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ProcessEntry {
    /// Its process id.
    pub(super) pid: Pid,
    /// Its parent's process id.
    pub(super) parent: i32,
    /// In clock ticks since the machine started; 0 if the system does not report it.
    pub(super) start_time: u64,
    /// Its resident memory, in bytes.
    pub(super) memory: u64,
    /// Whether it has ended and waits for its parent to read its exit status.
    pub(super) is_zombie: bool,
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

    use super::ProcessEntry;
    use crate::proc_fs::{process_ids, process_stat};

    fn entry(pid: i32) -> Option<ProcessEntry> {
        let stat = process_stat(pid)?;
        Some(ProcessEntry {
            pid: Pid::from_raw(pid)?,
            parent: stat.parent,
            start_time: stat.start_time,
            memory: stat.resident_pages.saturating_mul(rustix::param::page_size() as u64),
            is_zombie: matches!(stat.state, 'Z' | 'X'),
        })
    }

    /// Every process that this one can see.
    pub(in super::super) fn all() -> Vec<ProcessEntry> {
        process_ids().into_iter().filter_map(entry).collect()
    }

    /// The processes whose environment contains `entry`, in the form `NAME=value`.
    pub(in super::super) fn with_environment_entry(wanted: &str) -> Vec<ProcessEntry> {
        let has_entry = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|found| found == wanted.as_bytes())
        };
        process_ids().into_iter().filter(has_entry).filter_map(entry).collect()
    }

    /// Sends a signal to the process that was listed, and not to a later one with the same pid.
    pub(in super::super) fn send_signal(to: &ProcessEntry, signal: Signal) {
        match pidfd_open(to.pid, PidfdFlags::empty()) {
            Ok(pidfd) => {
                let now = process_stat(to.pid.as_raw_pid());
                if now.is_some_and(|stat| stat.start_time == to.start_time) {
                    // The process may have ended meanwhile.
                    pidfd_send_signal(&pidfd, signal).ok();
                }
            }
            // Kernels before 5.3 have no pidfd.
            Err(Errno::NOSYS) => {
                kill_process(to.pid, signal).ok();
            }
            Err(_) => {}
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::process::Command;

    use rustix::process::{Pid, Signal, kill_process};

    use super::ProcessEntry;

    /// Every process that `ps` lists. Without subreapers, a process whose parent has exited is no longer found below
    /// the worker.
    pub(in super::super) fn all() -> Vec<ProcessEntry> {
        let Ok(output) = Command::new("ps").args(["-axo", "pid=,ppid=,rss="]).output() else {
            return Vec::new();
        };
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| {
                let mut numbers = line.split_whitespace().map(str::parse::<i32>);
                let (pid, parent) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
                let kilobytes = numbers.next()?.ok()?.unsigned_abs();
                Some(ProcessEntry {
                    pid: Pid::from_raw(pid)?,
                    parent,
                    start_time: 0,
                    memory: u64::from(kilobytes) * 1024,
                    is_zombie: false,
                })
            })
            .collect()
    }

    /// This system does not show the environments of other processes.
    pub(in super::super) fn with_environment_entry(_: &str) -> Vec<ProcessEntry> {
        Vec::new()
    }

    pub(in super::super) fn send_signal(to: &ProcessEntry, signal: Signal) {
        kill_process(to.pid, signal).ok();
    }
}
