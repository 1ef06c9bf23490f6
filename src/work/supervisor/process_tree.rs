//! Process trees: finding every descendant of a process, and ending all of them.

use std::collections::{HashMap, HashSet};

use rustix::process::{Pid, Signal};

use super::process_table::{self, ProcessEntry, send_signal};

/// How often the tree is searched for new processes before it is killed as it is.
const MAX_STOP_ROUNDS: usize = 64;

/// Every live descendant of a process, without the process itself.
pub(super) fn descendants(root: Pid) -> Vec<ProcessEntry> {
    let mut children: HashMap<i32, Vec<ProcessEntry>> = HashMap::new();
    for process in process_table::all().into_iter().filter(|process| !process.is_zombie) {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut pending = vec![root.as_raw_pid()];
    while let Some(parent) = pending.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            pending.push(process.pid.as_raw_pid());
            found.push(process);
        }
    }
    found
}

/// The resident memory of all descendants, in bytes. A page that several processes share counts for each of them.
pub(super) fn memory_of_descendants(root: Pid) -> u64 {
    descendants(root).iter().map(|process| process.memory).sum()
}

/// Sends TERM to every descendant.
pub(super) fn terminate_descendants(root: Pid) {
    for process in descendants(root) {
        send_signal(&process, Signal::TERM);
        // A process that an earlier kill stopped has to run to handle TERM.
        send_signal(&process, Signal::CONT);
    }
}

/// Kills every descendant. A running process can fork while the tree is read, so all of them are stopped first, in
/// rounds, until a round finds no new one.
pub(super) fn kill_descendants(root: Pid) {
    let mut seen = HashSet::new();
    for _ in 0..MAX_STOP_ROUNDS {
        let new: Vec<ProcessEntry> = descendants(root)
            .into_iter()
            .filter(|process| seen.insert((process.pid, process.start_time)))
            .collect();
        if new.is_empty() {
            break;
        }
        for process in &new {
            send_signal(process, Signal::STOP);
        }
    }
    for process in descendants(root) {
        send_signal(&process, Signal::KILL);
    }
}

/// Kills a process and every descendant.
pub(super) fn kill_tree(root: &ProcessEntry) {
    send_signal(root, Signal::STOP);
    kill_descendants(root.pid);
    send_signal(root, Signal::KILL);
}

/// The children of a process, zombies included, without the `known` ones.
pub(super) fn children_except(parent: Pid, known: &HashSet<u32>) -> Vec<ProcessEntry> {
    process_table::all()
        .into_iter()
        .filter(|process| process.parent == parent.as_raw_pid())
        .filter(|process| !known.contains(&process.pid.as_raw_pid().unsigned_abs()))
        .collect()
}
