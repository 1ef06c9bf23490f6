//! The time of each operation over the pipe, compared with bare SQLite and with a smaller store.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::bare::Bare;
use super::client::Client;
use super::fill::Filled;
use super::start;
use super::table::{Samples, Table};

const BLOCKS: usize = 5;
const ROUNDS: usize = 40;
/// Until the WAL has its full length: a WAL that grows is slower to sync.
const WARM_ROUNDS: usize = 25;

/// The measured operations and whether they write, in the order of the table.
pub const OPERATIONS: &[(&str, bool)] = &[
    ("create_task", true),
    ("update_task, claim", true),
    ("update_task, receipt", true),
    ("complete_task", true),
    ("claim_task, best ready", true),
    ("release_task", true),
    ("claim_task, best of a project", true),
    ("get_task", false),
    ("list_tasks, active", false),
    ("list_tasks, all lanes", false),
    ("list_tasks, a project", false),
    ("list_tasks, since", false),
    ("search_tasks, a rare word", false),
    ("search_tasks, a word of all", false),
    ("tools/list", false),
    ("ping", false),
];

/// The times of a store or of bare SQLite.
pub type Times = HashMap<&'static str, Samples>;

/// Measures the time of some work.
fn timed<T>(
    times: &mut Times,
    block: usize,
    name: &'static str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let done = work()?;
    times.entry(name).or_default().add(block, start.elapsed().as_secs_f64() * 1000.0);
    Ok(done)
}

fn text<'a>(reply: &'a Value, pointer: &str) -> Result<&'a str> {
    reply.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer} in {reply}"))
}

/// Calls every operation once.
pub fn round(client: &mut Client, times: &mut Times, block: usize) -> Result<()> {
    let mut call = |name: &'static str, arguments: Value| {
        let tool = name.split(',').next().unwrap_or(name);
        timed(times, block, name, || client.call(tool, arguments))
    };
    let made = call("create_task", json!({"task_title": "Archive a mail", "body": "Sort it by sender."}))?;
    let id = text(&made, "/task/id")?.to_owned();
    let listed = call("list_tasks, active", json!({"status": "active", "limit": 5}))?;
    let since = text(&listed, "/since")?.to_owned();
    call("list_tasks, all lanes", json!({"limit": 5}))?;
    call("list_tasks, a project", json!({"project": "mail", "status": "active", "limit": 5}))?;
    call("get_task", json!({"id": id}))?;
    call("update_task, claim", json!({"id": id, "status": "in_progress", "assignee": "bench"}))?;
    call("update_task, receipt", json!({"id": id, "body": "- Archived: 2025-11-03 | Ann | Lunch"}))?;
    call("list_tasks, since", json!({"since": since}))?;
    call("complete_task", json!({"id": id}))?;
    for (name, arguments) in [
        ("claim_task, best ready", json!({"worker": "bench"})),
        ("claim_task, best of a project", json!({"worker": "bench", "project": "queue"})),
    ] {
        let won = call(name, arguments)?;
        let (id, token) = (text(&won, "/task/id")?, text(&won, "/claim/token")?);
        call("release_task", json!({"id": id, "claim": token}))?;
    }
    call("search_tasks, a rare word", json!({"query": "00000500"}))?;
    call("search_tasks, a word of all", json!({"query": "sender"}))?;
    for name in ["tools/list", "ping"] {
        timed(times, block, name, || client.request(name, json!({})))?;
    }
    Ok(())
}

/// Measures all stores and bare SQLite alternately.
pub fn measure(stores: &[Filled], folder: &Path, table: &mut Table) -> Result<()> {
    let mut bare = Bare::open(&folder.join("bare.db"), stores.first().context("no store")?.tasks)?;
    bare.warm()?;
    let mut clients = Vec::new();
    for store in stores {
        let mut client = Client::start(&store.path, "bench")?;
        for _ in 0..WARM_ROUNDS {
            round(&mut client, &mut Times::new(), 0)?;
        }
        clients.push((client, Times::new()));
    }
    let mut bare_times = Times::new();
    for block in 0..BLOCKS {
        for _ in 0..ROUNDS {
            for (client, times) in &mut clients {
                timed(&mut bare_times, block, "write", || bare.write())?;
                timed(&mut bare_times, block, "read", || bare.read())?;
                round(client, times, block)?;
            }
        }
    }
    let first = &clients.first().context("no store")?.1;
    against_bare(first, &bare_times, table);
    for ((_, times), store) in clients.iter().zip(stores).skip(1) {
        let of = stores.first().map_or(0, |store| store.tasks);
        table.section(
            &format!("p50 with {} tasks stored, against {of} (goal: 3 at most)", store.tasks),
            &store.tasks.to_string(),
            &of.to_string(),
        );
        for (name, _) in OPERATIONS {
            let (Some(large), Some(small)) = (times.get(name), first.get(name)) else { continue };
            let shown = |samples: &Samples| format!("{:.3}", samples.quantile(0.5));
            table.row(name, &shown(large), &shown(small), &large.ratios(small, 0.5));
        }
    }
    table.section("Memory, against the goal", "tasktally", "goal");
    for ((client, _), store) in clients.iter().zip(stores) {
        start::memory(client, store.tasks, table)?;
    }
    Ok(())
}

fn against_bare(times: &Times, bare: &Times, table: &mut Table) {
    for (share, title) in [(0.5, "p50"), (0.99, "p99")] {
        table.section(
            &format!("{title} through the pipe, 1,000 tasks stored, against bare SQLite (task row + receipt row; indexed select)"),
            "tasktally",
            "bare",
        );
        for (name, writes) in OPERATIONS {
            let bare = bare.get(if *writes { "write" } else { "read" });
            let (Some(ours), Some(bare)) = (times.get(name), bare) else { continue };
            let shown = |samples: &Samples| format!("{:.3}", samples.quantile(share));
            let kind = if *writes { "W" } else { "R" };
            table.row(&format!("{kind} {name}"), &shown(ours), &shown(bare), &ours.ratios(bare, share));
        }
    }
}
