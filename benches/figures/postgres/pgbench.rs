//! What bare PostgreSQL does with the work of the swarm: pgbench runs it with one transaction per write.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::swarm::RECEIPTS;
use super::cluster::Cluster;

/// More than the connections can complete.
const TASKS: usize = 30_000;

/// The rows that the swarm writes, with the indexes that the work needs.
const TABLES: &str = "
    CREATE TABLE task (n bigint PRIMARY KEY, id text NOT NULL UNIQUE, title text NOT NULL, status text NOT NULL,
        priority bigint NOT NULL, holder bigint, receipt_count bigint NOT NULL, updated bigint NOT NULL) WITH (fillfactor = 70);
    CREATE INDEX task_by_lane ON task (status, priority, n);
    CREATE TABLE receipt (n bigserial PRIMARY KEY, task bigint NOT NULL REFERENCES task, number bigint NOT NULL,
        at bigint NOT NULL, author text NOT NULL, text text NOT NULL, hash bytea NOT NULL, UNIQUE (task, number));";

const CLAIM: &str = "
UPDATE task SET status = 'in_progress', holder = :client_id, updated = updated + 1
 WHERE n = (SELECT n FROM task WHERE status = 'active' ORDER BY priority, n LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING n \\gset
";

/// The script of pgbench: a claim, the receipts and the completion. Each statement is a transaction and one round trip.
fn script() -> Result<String> {
    let mut script = CLAIM.to_owned();
    for number in 1..=RECEIPTS {
        writeln!(
            script,
            "WITH written AS (INSERT INTO receipt (task, number, at, author, text, hash) VALUES (:n, {number}, {number}, 'bench', '- Archived: 2025-11-03 | Ann | Lunch', decode(repeat('ab', 32), 'hex'))) UPDATE task SET receipt_count = {number}, updated = updated + 1 WHERE n = :n;"
        )?;
    }
    script.push_str("UPDATE task SET status = 'done', holder = NULL, updated = updated + 1 WHERE n = :n;\n");
    Ok(script)
}

/// Writes per second of bare PostgreSQL with a number of connections, in a new database. None without pgbench.
pub fn writes_per_second(
    cluster: &Cluster,
    database: &str,
    connections: usize,
    time: Duration,
    folder: &Path,
) -> Result<Option<f64>> {
    if cluster.program("pgbench").is_none() {
        return Ok(None);
    }
    cluster.create_database(database)?;
    let mut sql = cluster.sql(database)?;
    sql.batch_execute(TABLES)?;
    sql.batch_execute(&format!(
        "INSERT INTO task SELECT n, 'bare' || n, 'Archive a mail', 'active', 2, NULL, 0, 0 FROM generate_series(1, {TASKS}) n;
         ANALYZE task;"
    ))?;
    drop(sql);
    let path = folder.join("swarm.pgbench");
    std::fs::write(&path, script()?)?;
    let run = |time: Duration| -> Result<f64> {
        let mut pgbench = cluster.program("pgbench").context("pgbench is gone")?;
        pgbench.args(["--no-vacuum", "--protocol=prepared", "--jobs=2"]);
        pgbench.args(["--client", &connections.to_string(), "--time", &time.as_secs().max(1).to_string()]);
        pgbench.arg("--file").arg(&path).arg(cluster.parameters(database));
        let ran = pgbench.output().context("pgbench does not start")?;
        ensure!(ran.status.success(), "pgbench: {}", String::from_utf8_lossy(&ran.stderr));
        let said = String::from_utf8(ran.stdout)?;
        let rate =
            said.lines().find_map(|line| line.strip_prefix("tps = ")).context("pgbench names no tps")?;
        let scripts: f64 = rate.split_whitespace().next().context("no number")?.parse()?;
        Ok(scripts * (RECEIPTS + 2) as f64)
    };
    // Until the connections and the files of the WAL are there.
    run(Duration::from_secs(1))?;
    run(time).map(Some)
}
