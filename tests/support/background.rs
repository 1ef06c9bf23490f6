//! Batches that background workers work, and the processes that do it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::eventually;
use super::reply::Reply;
use super::server::Server;
use super::store::Store;

/// Copies the 663 items of the examples into the store's folder, where a server may read them. Returns the file name.
pub(crate) fn copy_example_items(store: &Store) -> &'static str {
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/commits.jsonl");
    std::fs::copy(from, store.folder().join("commits.jsonl")).expect("the example items can be copied");
    "commits.jsonl"
}

/// The keys `item-001`, `item-002` and so on.
pub(crate) fn item_keys(count: usize) -> Value {
    (1..=count).map(|number| format!("item-{number:03}")).collect()
}

/// Creates a batch of `count` items that a profile works in the background. Returns its id.
#[track_caller]
pub(crate) fn start_batch(server: &mut Server, count: usize, max_chunk: usize, profile: &str) -> String {
    let request = json!({"title": "B", "instructions": "Read it.", "items": item_keys(count), "max_chunk": max_chunk,
        "worker": profile});
    server.call("create_batch", request).ok().text("/batch/id")
}

/// The reply of `get_batch`.
#[track_caller]
pub(crate) fn read_batch(server: &mut Server, batch: &str) -> Reply {
    server.call("get_batch", json!({"id": batch})).ok()
}

/// Waits until a batch has a status. Returns the reply of `get_batch` that showed it.
#[track_caller]
pub(crate) fn wait_for_status(server: &mut Server, batch: &str, status: &str) -> Reply {
    eventually(&format!("batch {batch} to be {status}"), || {
        Some(read_batch(server, batch)).filter(|reply| reply["batch"]["status"] == status)
    })
}

/// Waits until a batch has a runner. Returns the runner's process id.
pub(crate) fn wait_for_runner(server: &mut Server, batch: &str) -> u32 {
    eventually("the batch to have a runner", || {
        read_batch(server, batch).pointer("/batch/runner/pid").and_then(Value::as_u64).map(|pid| pid as u32)
    })
}

/// The processes, without zombies, whose command line or environment contains a text.
pub(crate) fn processes_with(text: &str) -> Vec<u32> {
    let contains = |path: String| {
        std::fs::read(path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    let all = std::fs::read_dir("/proc").expect("processes can be listed").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| contains(format!("/proc/{pid}/cmdline")) || contains(format!("/proc/{pid}/environ")))
        .collect()
}

/// Kills every process that works a batch, as a power failure would. All are stopped first, because a process that
/// still runs takes over from one that was killed.
pub(crate) fn kill_all_processes(batch: &str) {
    let mut stopped = BTreeSet::new();
    let send = |name: &str, pid: u32| {
        // The process may have ended by itself.
        let sent =
            Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status();
        sent.expect("`kill` runs");
    };
    loop {
        let more: Vec<u32> = processes_with(batch).into_iter().filter(|pid| !stopped.contains(pid)).collect();
        if more.is_empty() {
            break;
        }
        more.iter().for_each(|pid| send("STOP", *pid));
        stopped.extend(more);
    }
    stopped.iter().for_each(|pid| send("KILL", *pid));
    eventually("all processes of the batch to end", || {
        (stopped.iter().all(|pid| has_ended(*pid)) && processes_with(batch).is_empty()).then_some(())
    });
}

/// Whether every thread of a process is a zombie or gone. Only then are the locks of its files released: a process
/// that ends loses its command line before it closes its files.
fn has_ended(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    let threads = threads.flatten().filter_map(|thread| thread.file_name().into_string().ok());
    threads
        .map(|thread| process_state(&format!("{pid}/task/{thread}")))
        .all(|state| matches!(state, 'Z' | 'X'))
}

/// The state of a process (`PID`) or thread (`PID/task/TID`) as `/proc` gives it, such as `T` for stopped; `X` if it
/// is gone.
pub(crate) fn process_state(id: &str) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('X')
}

/// The number of bytes that a process has not read from its standard input, which is a pipe.
pub(crate) fn unread_input(pid: u32) -> u64 {
    let pipe = std::fs::File::open(format!("/proc/{pid}/fd/0"));
    pipe.map_or(0, |pipe| rustix::io::ioctl_fionread(pipe).expect("standard input is a pipe"))
}

/// The child processes of a process.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &parent.to_string()]).output();
    let listed = listed.expect("`ps` runs").stdout;
    String::from_utf8_lossy(&listed).split_whitespace().map(|pid| pid.parse().expect("a number")).collect()
}

/// Every item in the store: its key, its outcome and how many accepted receipts settled it.
pub(crate) fn settled_items(store: &Store) -> Vec<(String, Option<String>, u64)> {
    let items = "SELECT i.key, i.outcome, (SELECT count(*) FROM receipt r WHERE r.task = i.chunk AND r.item_key = i.key
            AND r.late = 0 AND r.outcome <> 'started')
       FROM item i ORDER BY i.key";
    store.sql().rows(items, &[])
}
