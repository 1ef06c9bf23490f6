//! Job queues over PostgreSQL that do the work of the swarm: a job is a task; its ten receipts are rows of a table, each
//! written by a transaction of its own; its end is the completion.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::PROCESSES;
use super::cluster::Cluster;

/// How many jobs are worked: two or three seconds for the faster queue.
const JOBS: usize = 1_500;

/// Name, name of its databases, variable, how to install it, and the script.
const QUEUES: [(&str, &str, &str, &str, &str); 2] = [
    (
        "Procrastinate",
        "procrastinate",
        "TASKTALLY_PROCRASTINATE",
        "`python3 -m venv V && V/bin/pip install procrastinate 'psycopg[binary]'`, then TASKTALLY_PROCRASTINATE=V/bin/python",
        "procrastinate_swarm.py",
    ),
    (
        "pg-boss",
        "pg_boss",
        "TASKTALLY_PG_BOSS",
        "`npm install --prefix F pg-boss pg`, then TASKTALLY_PG_BOSS=F/node_modules",
        "pg_boss_swarm.js",
    ),
];

const RECEIPTS: &str =
    "CREATE TABLE receipt (n bigserial PRIMARY KEY, task bigint NOT NULL, number bigint NOT NULL, at timestamptz NOT NULL,
         author text NOT NULL, text text NOT NULL, UNIQUE (task, number))";

/// An installed queue.
pub struct JobQueue {
    /// Its name.
    pub name: &'static str,
    database: &'static str,
    script: &'static str,
    /// The Python with its package, or the folder with its modules for Node.js.
    installed: OsString,
}

fn installed_at(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|path| !path.is_empty())
}

/// The queues that the caller named.
pub fn installed() -> Vec<JobQueue> {
    let named = |(name, database, variable, _, script)| {
        Some(JobQueue { name, database, script, installed: installed_at(variable)? })
    };
    QUEUES.into_iter().filter_map(named).collect()
}

/// The queues that are not installed, and how to install them.
pub fn missing() -> Vec<(&'static str, &'static str)> {
    let missing = QUEUES.into_iter().filter(|(_, _, variable, ..)| installed_at(variable).is_none());
    missing.map(|(name, _, _, install, _)| (name, install)).collect()
}

impl JobQueue {
    /// The beginning of the names of its databases.
    pub fn database(&self) -> &'static str {
        self.database
    }

    fn command(&self, cluster: &Cluster, database: &str, role: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/postgres").join(self.script);
        let mut command = if self.script.ends_with(".js") {
            let mut node = Command::new("node");
            node.env("NODE_PATH", &self.installed);
            node
        } else {
            Command::new(&self.installed)
        };
        command.arg(script).arg(role).arg(JOBS.to_string());
        command.env("PGHOST", cluster.folder()).env("PGUSER", "tasktally").env("PGDATABASE", database);
        command
    }

    /// Creates a database with jobs, and works on them with as many processes as the swarm has.
    pub fn tasks_per_second(&self, cluster: &Cluster, database: &str) -> Result<f64> {
        cluster.create_database(database)?;
        let mut sql = cluster.sql(database)?;
        sql.batch_execute(RECEIPTS)?;
        let filled = self.command(cluster, database, "fill").output().context("it does not start")?;
        ensure!(filled.status.success(), "{}: {}", self.name, String::from_utf8_lossy(&filled.stderr));
        let mut workers = Vec::new();
        for _ in 0..PROCESSES {
            let mut command = self.command(cluster, database, "work");
            let mut worker = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let mut output = BufReader::new(worker.stdout.take().context("no pipe")?);
            let mut line = String::new();
            output.read_line(&mut line)?;
            ensure!(line.trim() == "ready", "{}: a worker did not start: {line}", self.name);
            workers.push((worker, output));
        }
        let start = Instant::now();
        for (worker, _) in &mut workers {
            worker.stdin.take().context("no pipe")?.write_all(b"go\n")?;
        }
        for (_, output) in &mut workers {
            let mut line = String::new();
            output.read_line(&mut line)?;
            ensure!(line.trim() == "done", "{}: a worker failed: {line}", self.name);
        }
        let seconds = start.elapsed().as_secs_f64();
        for (worker, _) in &mut workers {
            worker.wait()?;
        }
        let receipts = i64::try_from(JOBS * super::super::swarm::RECEIPTS)?;
        let written: i64 = sql.query_one("SELECT count(*) FROM receipt", &[])?.get(0);
        ensure!(written == receipts, "{}: {written} receipts, not {receipts}", self.name);
        Ok(JOBS as f64 / seconds)
    }
}
