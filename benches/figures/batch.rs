//! The creation of a batch with a million items from a file, compared with bare SQLite that inserts the same items into
//! two indexes in one transaction; the memory of the server meanwhile; and how long the writes of another process take.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::client::{Client, memory_mib};
use super::fill;
use super::table::{Table, quantile};

const ITEMS: usize = 1_000_000;
const GOAL: f64 = 100_000.0;
const GOAL_MIB: f64 = 64.0;
/// How long another process may wait for its write.
pub const GOAL_WAIT_MS: f64 = 500.0;

/// How often each kind of batch is created, and the size of its chunks.
const SORTS: [(&str, usize, usize); 3] =
    [("plain", 5, 50), ("that touch files", 5, 50), ("in chunks of 20", 3, 20)];

/// Measures items per second and memory.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let items = item_count();
    for (sort, rounds, max_chunk) in SORTS {
        let (mut ours, mut bare, mut memory, mut waits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let file = folder.join("items.jsonl");
        write(&file, items, sort == "that touch files")?;
        for round in 0..rounds {
            let made = tasktally(&folder.join(format!("batch-{sort}-{round}.db")), items, max_chunk)?;
            ours.push(made.rate);
            memory.push(made.mib);
            waits.push(made.longest_write.as_secs_f64() * 1e3);
            bare.push(insert(&folder.join(format!("batch-bare-{sort}-{round}.db")), &file, items)?);
        }
        table.section(
            &format!("create_batch of {items} items {sort}, from JSONL through the pipe"),
            "tasktally",
            "other",
        );
        let shown = |values: &[f64]| format!("{:.0}", quantile(values, 0.5));
        let against = |goal: f64, values: &[f64]| values.iter().map(|value| value / goal).collect::<Vec<_>>();
        let goal = "items/s; the goal (1 at least)";
        table.row(goal, &shown(&ours), &format!("{GOAL:.0}"), &against(GOAL, &ours));
        let ratios: Vec<f64> = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
        table.row("items/s; bare inserting them", &shown(&ours), &shown(&bare), &ratios);
        let most = "memory at its most, MiB; the goal (1 at most)";
        table.row(most, &shown(&memory), &format!("{GOAL_MIB:.0}"), &against(GOAL_MIB, &memory));
        let longest = "longest write of another process, ms; the goal (1 at most)";
        table.row(longest, &shown(&waits), &format!("{GOAL_WAIT_MS:.0}"), &against(GOAL_WAIT_MS, &waits));
    }
    Ok(())
}

/// How many items a batch has here.
pub fn item_count() -> usize {
    std::env::var("TASKTALLY_BENCH_ITEMS").ok().and_then(|said| said.parse().ok()).unwrap_or(ITEMS)
}

/// Writes the items to a file.
pub fn write(path: &Path, items: usize, files: bool) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for number in 0..items {
        // The keys are not sorted, because those of mails and files are not.
        let key = number * 7_919 % items;
        let touches =
            if files { format!(",\"files\":[\"src/{:04}/{key:07}.rs\"]", key / 250) } else { String::new() };
        writeln!(file, "{{\"key\":\"mail-{key:07}\",\"subject\":\"Lunch on the {key}th\"{touches}}}")?;
    }
    Ok(file.flush()?)
}

/// The creation of a batch.
pub struct Created {
    /// Items per second.
    pub rate: f64,
    /// The peak memory of the server.
    pub mib: f64,
    /// The longest write of another process meanwhile.
    pub longest_write: Duration,
}

fn tasktally(store: &Path, items: usize, max_chunk: usize) -> Result<Created> {
    fill::empty(store)?;
    create(Client::start(store, "bench")?, Client::start(store, "writer")?, items, max_chunk)
}

/// The creation of a batch from `items.jsonl` in the folder of the client, while another client writes.
pub fn create(mut client: Client, mut writer: Client, items: usize, max_chunk: usize) -> Result<Created> {
    let log = writer.call("create_task", json!({"task_title": "Log"}))?;
    let log = log.pointer("/task/id").cloned().context("no id")?;
    let batch = json!({"title": "Archive mail", "instructions": "x", "source": {"path": "items.jsonl"},
                       "split": {"by": "size"}, "max_chunk": max_chunk});
    let has_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| longest_write(&mut writer, &log, &has_ended));
        let start = Instant::now();
        let made = client.call("create_batch", batch);
        let rate = items as f64 / start.elapsed().as_secs_f64();
        has_ended.store(true, Ordering::Release);
        let longest_write = other.join().map_err(|_| anyhow::anyhow!("the other writer panicked"))??;
        let count = made?.pointer("/batch/items").and_then(Value::as_u64).context("no items")?;
        anyhow::ensure!(count == items as u64, "{count} items, not {items}");
        Ok(Created { rate, mib: memory_mib(client.id(), "VmHWM:")?, longest_write })
    })
}

/// Writes a receipt every 5 ms until the batch is created. Returns how long the slowest took.
fn longest_write(writer: &mut Client, log: &Value, has_ended: &AtomicBool) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    while !has_ended.load(Ordering::Acquire) {
        let start = Instant::now();
        writer.call("update_task", json!({"id": log, "body": "- a receipt"}))?;
        longest = longest.max(start.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(longest)
}

/// The same with bare SQLite: one row per item, and an index of keys.
fn insert(store: &Path, items: &Path, count: usize) -> Result<f64> {
    let connection = Connection::open(store)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA cache_size = -16000;
         CREATE TABLE item (chunk INTEGER NOT NULL, position INTEGER NOT NULL, batch INTEGER NOT NULL, key TEXT NOT NULL,
             fields TEXT NOT NULL, outcome TEXT, PRIMARY KEY (chunk, position), UNIQUE (batch, key)) STRICT, WITHOUT ROWID;",
    )?;
    let start = Instant::now();
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut insert = connection
        .prepare("INSERT INTO item (chunk, position, batch, key, fields) VALUES (?1, ?2, 1, ?3, ?4)")?;
    let lines = std::io::BufRead::lines(std::io::BufReader::new(File::open(items)?));
    for (number, line) in (0_i64..).zip(lines) {
        let line = line?;
        let item: Value = serde_json::from_str(&line)?;
        insert.execute((number / 50, number % 50, item["key"].as_str(), &line))?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
