//! Bare SQLite with the same work: a task row and a receipt row per transaction.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rusqlite::{Connection, params};
use serde_json::{Value, json};

/// How processes wait for the write lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// SQLite's busy timeout.
    Busy,
    /// A lock file beside the store.
    LockFile,
}

/// How bare SQLite writes.
#[derive(Clone, Copy)]
pub struct WriteMode {
    /// How a process waits for its write.
    pub locking: Locking,
    /// The number of writes per transaction.
    pub group: i64,
}

/// The measured variants: one write per transaction with both locks, and many writes per transaction.
pub const WRITE_MODES: [(&str, WriteMode); 3] = [
    ("bare, busy timeout", WriteMode { locking: Locking::Busy, group: 1 }),
    ("bare, lock file", WriteMode { locking: Locking::LockFile, group: 1 }),
    ("bare, 64 writes per transaction", WriteMode { locking: Locking::LockFile, group: 64 }),
];

const CHILD: &str = "TASKTALLY_BENCH_CHILD";
const WARM: usize = 500;
const TEXT: &str = "- Archived: 2025-11-03 | Ann | Lunch";

/// A database with only the tables that the transactions need.
pub struct Bare {
    connection: Connection,
    row: i64,
}

impl Bare {
    /// Opens the file. A new file is created with this many tasks.
    pub fn open(path: &Path, tasks: u64) -> Result<Bare> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(60))?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.execute_batch(
            "PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS task (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL,
                 status TEXT NOT NULL, priority INTEGER NOT NULL, updated INTEGER NOT NULL) STRICT;
             CREATE INDEX IF NOT EXISTS task_by_lane ON task(status, priority, n);
             CREATE TABLE IF NOT EXISTS receipt (n INTEGER PRIMARY KEY, task INTEGER NOT NULL, number INTEGER NOT NULL,
                 at INTEGER NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (task, number)) STRICT;",
        )?;
        connection.execute(
            "INSERT INTO task (id, title, status, priority, updated)
             WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1)
             SELECT printf('bare%08d', n), printf('Archive mail %08d', n), iif(n % 4, 'done', 'active'), n % 5, 0
               FROM number WHERE ?1 > 0 AND NOT EXISTS (SELECT 1 FROM task)",
            [tasks],
        )?;
        let row = connection.query_row("SELECT ifnull(max(n), 0) FROM task", [], |row| row.get(0))?;
        Ok(Bare { connection, row })
    }

    /// Writes until the WAL has its full length, because a WAL that grows is slower to sync. It keeps its length until
    /// the last connection is closed.
    pub fn warm(&mut self) -> Result<()> {
        (0..WARM).try_for_each(|_| self.write())
    }

    /// One transaction: a task row and a receipt row.
    pub fn write(&mut self) -> Result<()> {
        self.row += 1;
        let run = |sql: &str| self.connection.prepare_cached(sql)?.execute([]);
        run("BEGIN IMMEDIATE")?;
        self.connection
            .prepare_cached(
                "INSERT INTO task (id, title, status, priority, updated) VALUES (?1, ?2, 'active', 2, ?3)",
            )?
            .execute(params![format!("made{:08}", self.row), "Archive a mail", self.row])?;
        self.connection
            .prepare_cached(
                "INSERT INTO receipt (task, number, at, author, text) VALUES (?1, 1, ?1, 'bench', ?2)",
            )?
            .execute(params![self.connection.last_insert_rowid(), TEXT])?;
        run("COMMIT")?;
        Ok(())
    }

    /// One transaction of several writes. Each writes what a receipt writes: its row and the row of a task of this
    /// worker.
    pub fn append(&mut self, worker: i64, after: i64, writes: i64) -> Result<()> {
        let run = |sql: &str| self.connection.prepare_cached(sql)?.execute([]);
        run("BEGIN IMMEDIATE")?;
        for number in after + 1..=after + writes {
            self.connection
                .prepare_cached(
                    "INSERT INTO receipt (task, number, at, author, text) VALUES (?1, ?2, ?2, 'bench', ?3)",
                )?
                .execute(params![worker, number, TEXT])?;
            self.connection
                .prepare_cached("UPDATE task SET updated = ?2 WHERE n = ?1")?
                .execute(params![worker, number])?;
        }
        run("COMMIT")?;
        Ok(())
    }

    /// For each line on stdin: a transaction and a line on stdout, until the end of input.
    fn answer(&mut self, worker: i64) -> Result<()> {
        let mut out = std::io::stdout().lock();
        for (number, line) in (1..).zip(std::io::stdin().lock().lines()) {
            line?;
            self.append(worker, number, 1)?;
            out.write_all(b"written\n")?;
        }
        Ok(())
    }

    /// A page of tasks, read by an index.
    pub fn read(&self) -> Result<usize> {
        let mut select = self.connection.prepare_cached(
            "SELECT n, id, title, status, priority, updated FROM task WHERE status = 'active' ORDER BY priority, n LIMIT 6",
        )?;
        let rows = select.query_map([], |row| row.get::<_, String>(2))?.collect::<Result<Vec<_>, _>>()?;
        Ok(rows.len())
    }
}

/// Whether this process was started by [`swarm`].
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Writes until the time is over. Prints the number of writes and the longest wait.
pub fn child() -> Result<()> {
    let parameters: Value = serde_json::from_str(&std::env::var(CHILD)?)?;
    let path = Path::new(parameters["path"].as_str().context("path")?);
    let worker = parameters["worker"].as_i64().context("worker")?;
    let group = parameters["group"].as_i64().context("group")?;
    let time = Duration::from_secs_f64(parameters["seconds"].as_f64().context("seconds")?);
    let lock_file =
        if parameters["lock_file"] == true { Some(File::create(path.with_extension("turn"))?) } else { None };
    let mut bare = Bare::open(path, 0)?;
    println!("ready");
    if parameters["asked"] == true {
        return bare.answer(worker);
    }
    std::io::stdin().lock().read_line(&mut String::new())?;
    let start = Instant::now();
    let (mut writes, mut longest) = (0, Duration::ZERO);
    while start.elapsed() < time {
        let asked = Instant::now();
        if let Some(lock_file) = &lock_file {
            lock_file.lock()?;
        }
        bare.append(worker, writes, group)?;
        if let Some(lock_file) = &lock_file {
            lock_file.unlock()?;
        }
        writes += group;
        longest = longest.max(asked.elapsed());
    }
    println!(
        "{}",
        json!({"writes": writes, "longest": longest.as_secs_f64(), "seconds": start.elapsed().as_secs_f64()})
    );
    Ok(())
}

/// The result of several processes.
#[derive(Clone, Copy)]
pub struct Rate {
    /// Writes per second.
    pub writes: f64,
    /// The writes of the slowest worker as a share of the mean.
    pub slowest: f64,
    /// The longest wait for a reply in seconds.
    pub longest: f64,
}

/// Several processes of bare SQLite write to one file for some time, with an optional library for `LD_PRELOAD`.
pub fn swarm(
    path: &Path,
    workers: usize,
    seconds: f64,
    mode: WriteMode,
    preload: Option<&Path>,
) -> Result<Rate> {
    let mut warm = Bare::open(path, workers as u64)?;
    warm.warm()?;
    let mut children = Vec::new();
    for worker in 1..=workers {
        let lock_file = mode.locking == Locking::LockFile;
        let parameters = json!({"path": path, "worker": worker, "seconds": seconds, "lock_file": lock_file, "group": mode.group});
        children.push(start(&parameters, preload)?);
    }
    for (child, _) in &mut children {
        child.stdin.as_mut().context("no pipe")?.write_all(b"go\n")?;
    }
    let (mut writes, mut longest, mut took) = (Vec::new(), 0_f64, 0_f64);
    for (child, output) in &mut children {
        let mut line = String::new();
        output.read_line(&mut line)?;
        child.wait()?;
        let said: Value = serde_json::from_str(&line)?;
        writes.push(said["writes"].as_f64().context("writes")?);
        longest = longest.max(said["longest"].as_f64().context("longest")?);
        took = took.max(said["seconds"].as_f64().context("seconds")?);
    }
    drop(warm);
    Ok(Rate::of(&writes, took, longest))
}

/// Starts a process with its parameters and waits until it is ready.
fn start(parameters: &Value, preload: Option<&Path>) -> Result<(Child, BufReader<ChildStdout>)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(CHILD, parameters.to_string()).envs(preload.map(|library| ("LD_PRELOAD", library)));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut output = BufReader::new(child.stdout.take().context("no pipe")?);
    output.read_line(&mut String::new())?;
    Ok((child, output))
}

/// A process of bare SQLite behind a pipe that gets one write after the other for some time. Returns writes per second.
pub fn asked(path: &Path, seconds: f64, preload: Option<&Path>) -> Result<f64> {
    let mut warm = Bare::open(path, 1)?;
    warm.warm()?;
    let parameters = json!({"path": path, "worker": 1, "seconds": seconds, "group": 1, "asked": true});
    let (mut child, mut output) = start(&parameters, preload)?;
    let mut input = child.stdin.take().context("no pipe")?;
    let (request, mut line) = (format!("{TEXT}\n"), String::new());
    let (start, mut writes) = (Instant::now(), 0);
    while start.elapsed().as_secs_f64() < seconds {
        input.write_all(request.as_bytes())?;
        line.clear();
        output.read_line(&mut line)?;
        writes += 1;
    }
    let rate = f64::from(writes) / start.elapsed().as_secs_f64();
    drop(input);
    child.wait()?;
    Ok(rate)
}

impl Rate {
    /// Computed from the writes of each worker and the total time.
    pub fn of(writes: &[f64], seconds: f64, longest: f64) -> Rate {
        let all: f64 = writes.iter().sum();
        let least = writes.iter().copied().fold(f64::INFINITY, f64::min);
        Rate { writes: all / seconds, slowest: least * writes.len() as f64 / all, longest }
    }
}
