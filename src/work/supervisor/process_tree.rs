//! Process trees: who descends from a process, and ending all of them.

use std::collections::{HashMap, HashSet};

use rustix::process::{Pid, Signal};

/// How often newcomers are looked for before a tree is killed as it stands.
const LOOKS: usize = 64;

/// A process, told from a later one of the same number by when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Member {
    pid: Pid,
    parent: i32,
    /// In ticks since the machine started; 0 where that cannot be told.
    start: u64,
    /// What it holds of the machine's memory, in bytes.
    memory: u64,
    /// Whether it has ended, and only waits for its parent to take note.
    has_ended: bool,
}

/// Everything that descends from a process and has not ended, without itself.
pub(super) fn descendants(root: Pid) -> Vec<Member> {
    let mut children: HashMap<i32, Vec<Member>> = HashMap::new();
    for member in system::all().into_iter().filter(|member| !member.has_ended) {
        children.entry(member.parent).or_default().push(member);
    }
    let mut found = Vec::new();
    let mut open = vec![root.as_raw_pid()];
    while let Some(parent) = open.pop() {
        for member in children.remove(&parent).unwrap_or_default() {
            open.push(member.pid.as_raw_pid());
            found.push(member);
        }
    }
    found
}

/// How much memory a tree holds, in bytes; pages that its processes share count for each of them.
pub(super) fn memory(root: Pid) -> u64 {
    descendants(root).iter().map(|member| member.memory).sum()
}

/// Asks everything that descends from a process to end.
pub(super) fn ask(root: Pid) {
    for member in descendants(root) {
        system::send(&member, Signal::TERM);
        // What an earlier kill stopped must be able to hear it.
        system::send(&member, Signal::CONT);
    }
}

/// Kills everything that descends from a process. What does not run cannot fork away from the walk,
/// so all are stopped first, until no new one is found.
pub(super) fn kill(root: Pid) {
    let mut seen = HashSet::new();
    for _ in 0..LOOKS {
        let new: Vec<Member> =
            descendants(root).into_iter().filter(|member| seen.insert((member.pid, member.start))).collect();
        if new.is_empty() {
            break;
        }
        for member in &new {
            system::send(member, Signal::STOP);
        }
    }
    for member in descendants(root) {
        system::send(&member, Signal::KILL);
    }
}

/// Kills a process and everything that descends from it.
pub(super) fn kill_with(member: &Member) {
    system::send(member, Signal::STOP);
    kill(member.pid);
    system::send(member, Signal::KILL);
}

/// The children of a process, ended ones too, but for some that are known.
pub(super) fn children_but(parent: Pid, known: &HashSet<u32>) -> Vec<Member> {
    system::all()
        .into_iter()
        .filter(|member| member.parent == parent.as_raw_pid())
        .filter(|member| !known.contains(&member.pid.as_raw_pid().unsigned_abs()))
        .collect()
}

/// The processes whose environment holds a line, `NAME=value`.
pub(super) fn marked(line: &str) -> Vec<Member> {
    system::marked(line)
}

impl Member {
    /// Its number.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }
}

#[cfg(target_os = "linux")]
mod system {
    use procfs::process::{Process, Stat, all_processes};
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

    use super::Member;

    fn member(stat: &Stat) -> Option<Member> {
        Some(Member {
            pid: Pid::from_raw(stat.pid)?,
            parent: stat.ppid,
            start: stat.starttime,
            memory: stat.rss.saturating_mul(procfs::page_size()),
            has_ended: matches!(stat.state, 'Z' | 'X'),
        })
    }

    /// Every process that can be seen.
    pub(super) fn all() -> Vec<Member> {
        let Ok(processes) = all_processes() else { return Vec::new() };
        processes.filter_map(|process| process.ok()?.stat().ok()).filter_map(|stat| member(&stat)).collect()
    }

    pub(super) fn marked(line: &str) -> Vec<Member> {
        let Ok(processes) = all_processes() else { return Vec::new() };
        processes
            .filter_map(|process| {
                let process = process.ok()?;
                let environment = std::fs::read(format!("/proc/{}/environ", process.pid())).ok()?;
                let is_marked = environment.split(|byte| *byte == 0).any(|known| known == line.as_bytes());
                if is_marked { member(&process.stat().ok()?) } else { None }
            })
            .collect()
    }

    /// Sends a signal to the very process that was seen: its number may be another's by now.
    pub(super) fn send(to: &Member, signal: Signal) {
        match pidfd_open(to.pid, PidfdFlags::empty()) {
            Ok(handle) => {
                let now = Process::new(to.pid.as_raw_pid()).and_then(|process| process.stat());
                if now.is_ok_and(|stat| stat.starttime == to.start) {
                    // It may have ended meanwhile.
                    pidfd_send_signal(&handle, signal).ok();
                }
            }
            // A kernel before 5.3.
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

    use super::Member;

    /// Every process, as `ps` tells: who left a tree by ending its parent is no longer found.
    pub(super) fn all() -> Vec<Member> {
        let Ok(told) = Command::new("ps").args(["-axo", "pid=,ppid=,rss="]).output() else {
            return Vec::new();
        };
        String::from_utf8_lossy(&told.stdout)
            .lines()
            .filter_map(|line| {
                let mut numbers = line.split_whitespace().map(str::parse::<i32>);
                let (pid, parent) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
                let kilobytes = numbers.next()?.ok()?.unsigned_abs();
                Some(Member {
                    pid: Pid::from_raw(pid)?,
                    parent,
                    start: 0,
                    memory: u64::from(kilobytes) * 1024,
                    has_ended: false,
                })
            })
            .collect()
    }

    /// Environments of others cannot be read here.
    pub(super) fn marked(_: &str) -> Vec<Member> {
        Vec::new()
    }

    pub(super) fn send(to: &Member, signal: Signal) {
        kill_process(to.pid, signal).ok();
    }
}
