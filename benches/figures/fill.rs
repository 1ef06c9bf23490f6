//! Stores of a given size: made by Docket, filled by SQL over its own schema.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use rusqlite::{Connection, params};

use super::client::DOCKET;

/// A store and how many tasks it was filled with.
pub struct Filled {
    /// Its file.
    pub path: PathBuf,
    /// How many tasks.
    pub tasks: u64,
}

/// Tasks as a long-lived store has them: of a hundred, seventy are done, twenty-five active, two held by
/// workers, and each of three other lanes has one. Every task has a receipt.
const TASKS: &str = "
    INSERT INTO task (id, title, type, status, priority, position, project, assignee, tags, role, opening, boxes,
                      created, updated, changed, generation, worker, since, expires, lease)
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1),
    made AS (SELECT n, n % 100 AS share, CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now FROM number)
    SELECT printf('fill%08d', n), printf('Archive mail %08d', n), 'task',
           CASE WHEN share < 70 THEN 'done' WHEN share < 95 THEN 'active' WHEN share < 97 THEN 'in_progress'
                WHEN share = 97 THEN 'inbox' WHEN share = 98 THEN 'blocked' ELSE 'review' END,
           n % 5, 0, CASE n % 3 WHEN 0 THEN 'mail' WHEN 1 THEN 'queue' END,
           CASE WHEN share IN (95, 96) THEN 'someone' END, '[]', 'task', 'Sort it by sender.', 0,
           now, now, n, CASE WHEN share IN (95, 96) THEN 1 ELSE 0 END,
           CASE WHEN share IN (95, 96) THEN 'someone' END, CASE WHEN share IN (95, 96) THEN now END,
           CASE WHEN share IN (95, 96) THEN now + 3600000 END, CASE WHEN share IN (95, 96) THEN 3600 END
      FROM made";

const RECEIPTS: &str = "
    INSERT INTO receipt (task, number, at, author, text, late, hash)
    SELECT n, 1, created, 'someone', '- Archived: ' || title, 0, zeroblob(32) FROM task;
    INSERT INTO receipt_text (rowid, text) SELECT n, text FROM receipt;
    INSERT INTO task_text (rowid, title, opening) SELECT n, title, opening FROM task;
    UPDATE indexed SET receipt = (SELECT max(n) FROM receipt), task = (SELECT max(n) FROM task);";

/// Makes an empty store by the binary itself.
pub fn empty(path: &Path) -> Result<()> {
    let made = Command::new(DOCKET).arg("--db").arg(path).arg("list-tasks").stdout(Stdio::null()).status()?;
    ensure!(made.success(), "docket did not make its store");
    Ok(())
}

/// Makes a store of each size.
pub fn stores(folder: &Path, sizes: &[u64]) -> Result<Vec<Filled>> {
    let mut stores = Vec::new();
    for &tasks in sizes {
        let path = folder.join(format!("filled-{tasks}.db"));
        empty(&path)?;
        let mut connection = Connection::open(&path)?;
        let tx = connection.transaction()?;
        tx.execute(TASKS, params![tasks])?;
        tx.execute_batch(RECEIPTS)?;
        tx.commit()?;
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        stores.push(Filled { path, tasks });
    }
    Ok(stores)
}
