//! Batches that are worked in the background, and the processes that do.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::eventually;
use super::reply::Reply;
use super::server::Server;
use super::store::Store;

/// The 663 real items of the examples, put where an agent's server may read them.
pub(crate) fn commits(store: &Store) -> &'static str {
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/commits.jsonl");
    std::fs::copy(from, store.folder().join("commits.jsonl")).expect("the example items are there");
    "commits.jsonl"
}

/// So many items, `item-001` and so on.
pub(crate) fn items(count: usize) -> Value {
    (1..=count).map(|number| format!("item-{number:03}")).collect()
}

/// A batch of so many items, so many to a chunk, worked by a profile.
#[track_caller]
pub(crate) fn batch(server: &mut Server, count: usize, max_chunk: usize, profile: &str) -> String {
    let request = json!({"title": "B", "instructions": "Read it.", "items": items(count), "max_chunk": max_chunk,
        "worker": profile});
    server.call("create_batch", request).ok().text("/batch/id")
}

/// Where a batch stands.
#[track_caller]
pub(crate) fn stand(server: &mut Server, batch: &str) -> Reply {
    server.call("get_batch", json!({"id": batch})).ok()
}

/// Waits until a batch has a status, and says how it stands then.
#[track_caller]
pub(crate) fn until(server: &mut Server, batch: &str, status: &str) -> Reply {
    eventually(&format!("batch {batch} to be {status}"), || {
        Some(stand(server, batch)).filter(|reply| reply["batch"]["status"] == status)
    })
}

/// The process that works a batch, once one does.
pub(crate) fn runner(server: &mut Server, batch: &str) -> u32 {
    eventually("a runner to be at work", || {
        stand(server, batch).pointer("/batch/runner/pid").and_then(Value::as_u64).map(|pid| pid as u32)
    })
}

/// The processes, but for zombies, that hold a word in their command line or environment.
pub(crate) fn processes(word: &str) -> Vec<u32> {
    let holds = |path: String| {
        std::fs::read(path)
            .is_ok_and(|bytes| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
    };
    let all = std::fs::read_dir("/proc").expect("processes can be listed").flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| holds(format!("/proc/{pid}/cmdline")) || holds(format!("/proc/{pid}/environ")))
        .collect()
}

/// Ends all that works a batch at once, as the end of the machine would: held still first, for whoever is killed
/// is taken over from.
pub(crate) fn end_all(batch: &str) {
    let mut held = BTreeSet::new();
    let send = |name: &str, pid: u32| {
        // It may have ended by itself.
        let sent =
            Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status();
        sent.expect("`kill` runs");
    };
    loop {
        let more: Vec<u32> = processes(batch).into_iter().filter(|pid| !held.contains(pid)).collect();
        if more.is_empty() {
            break;
        }
        more.iter().for_each(|pid| send("STOP", *pid));
        held.extend(more);
    }
    held.iter().for_each(|pid| send("KILL", *pid));
    eventually("all processes of the batch to end", || processes(batch).is_empty().then_some(()));
}

/// The processes that one started and that still live.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &parent.to_string()]).output();
    let listed = listed.expect("`ps` runs").stdout;
    String::from_utf8_lossy(&listed).split_whitespace().map(|pid| pid.parse().expect("a number")).collect()
}

/// What is on record of a batch's items: key, outcome and how many receipts that settled it were accepted.
pub(crate) fn settled(store: &Store) -> Vec<(String, Option<String>, u64)> {
    let sql = store.sql();
    let mut statement = sql
        .prepare(
            "SELECT i.key, i.outcome, (SELECT count(*) FROM receipt r WHERE r.task = i.chunk AND r.item_key = i.key
                AND r.late = 0 AND r.outcome <> 'started')
               FROM item i ORDER BY i.key",
        )
        .expect("a query");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("rows");
    rows.map(|row| row.expect("a row")).collect()
}
