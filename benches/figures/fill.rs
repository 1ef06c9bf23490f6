//! Stores of a given size: created by Tasktally, filled with SQL.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use rusqlite::{Connection, params};
use tasktally::model::cost::Cost;
use tasktally::model::receipt::{GENESIS_HASH, Receipt};
use tasktally::model::timestamp::Timestamp;

use super::client::TASKTALLY;

/// A filled store.
pub struct Filled {
    /// The path of the file.
    pub path: PathBuf,
    /// The number of tasks.
    pub tasks: u64,
}

/// The number of receipts per task.
pub const RECEIPTS_A_TASK: u64 = 10;

/// Tasks as in a long-lived store: of a hundred, seventy are done, twenty-five active, two claimed by
/// workers, and one is in each of three other states. Every task has ten receipts.
const TASKS: &str = "
    INSERT INTO task (id, title, type, status, priority, position, project, assignee, tags, role, initial_text, has_checkbox,
                      created_at, updated_at, change_number, status_changed, generation, claim_worker, claimed_at,
                      expires_at, lease_seconds, receipt_count)
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1),
    made AS (SELECT n, n % 100 AS share, CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now FROM number)
    SELECT printf('fill%08d', n), printf('Archive mail %08d', n), 'task',
           CASE WHEN share < 70 THEN 'done' WHEN share < 95 THEN 'active' WHEN share < 97 THEN 'in_progress'
                WHEN share = 97 THEN 'inbox' WHEN share = 98 THEN 'blocked' ELSE 'review' END,
           n % 5, 0, CASE n % 3 WHEN 0 THEN 'mail' WHEN 1 THEN 'queue' END,
           CASE WHEN share IN (95, 96) THEN 'someone' END, '[]', 'task', 'Sort it by sender.', 0,
           now, now, n, n, CASE WHEN share IN (95, 96) THEN 1 ELSE 0 END,
           CASE WHEN share IN (95, 96) THEN 'someone' END, CASE WHEN share IN (95, 96) THEN now END,
           CASE WHEN share IN (95, 96) THEN now + 3600000 END, CASE WHEN share IN (95, 96) THEN 3600 END, ?2
      FROM made";

const INDEX: &str = "
    INSERT INTO receipt_text (rowid, text) SELECT row_id, text FROM receipt;
    INSERT INTO task_text (rowid, title, initial_text) SELECT row_id, title, initial_text FROM task;
    UPDATE search_progress SET last_receipt = (SELECT max(row_id) FROM receipt), last_task = (SELECT max(row_id) FROM task);";

/// Creates an empty store with the binary.
pub fn empty(path: &Path) -> Result<()> {
    // The server creates the store, and ends because its standard input is empty.
    let mut server = Command::new(TASKTALLY);
    server.arg("--db").arg(path).arg("serve").stdin(Stdio::null()).stdout(Stdio::null());
    ensure!(server.status()?.success(), "tasktally did not create its store");
    Ok(())
}

/// Creates a store of each size.
pub fn stores(folder: &Path, sizes: &[u64]) -> Result<Vec<Filled>> {
    let mut stores = Vec::new();
    for &tasks in sizes {
        let path = folder.join(format!("filled-{tasks}.db"));
        empty(&path)?;
        let mut connection = Connection::open(&path)?;
        connection.execute_batch("PRAGMA cache_size = -256000; PRAGMA wal_autocheckpoint = 0")?;
        let tx = connection.transaction()?;
        tx.execute(TASKS, params![tasks, RECEIPTS_A_TASK])?;
        receipts(&tx, tasks)?;
        tx.execute_batch(INDEX)?;
        tx.commit()?;
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        stores.push(Filled { path, tasks });
    }
    Ok(stores)
}

/// Writes receipts with a valid hash chain. The triggers are dropped meanwhile to save time; the receipts satisfy them.
fn receipts(connection: &Connection, tasks: u64) -> Result<()> {
    let triggers: Vec<(String, String)> = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'receipt'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (name, _) in &triggers {
        connection.execute_batch(&format!("DROP TRIGGER {name}"))?;
    }
    let mut insert = connection.prepare(
        "INSERT INTO receipt (task, number, created_at, author, text, late, hash) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
    )?;
    for task in 1..=tasks {
        let id = format!("fill{task:08}");
        let mut before = GENESIS_HASH;
        for number in 1..=RECEIPTS_A_TASK {
            let receipt = Receipt {
                number,
                at: Timestamp::from_millis(1_760_000_000_000),
                author: "someone".into(),
                author_kind: None,
                text: format!("- Archived: Archive mail {task:08}"),
                item: None,
                outcome: None,
                category: None,
                late: false,
                step: None,
                cost: Cost::default(),
                decision: None,
            };
            before = receipt.hash(&id, &before);
            insert.execute(params![
                task,
                number,
                receipt.at.millis(),
                receipt.author,
                receipt.text,
                before
            ])?;
        }
    }
    for (_, sql) in &triggers {
        connection.execute_batch(sql)?;
    }
    Ok(())
}
