//! What is asked of the store, in SQL.

use rusqlite::params;

use super::rows::{self, batch_columns, item_columns, receipt_columns, task_columns};
use super::tx::Tx;
use crate::error::{Error, Result};
use crate::model::batch::{Batch, Chunk, StoredItem};
use crate::model::id::TaskId;
use crate::model::limits::FARTHEST_LEASE_SECONDS;
use crate::model::receipt::Receipt;
use crate::model::task::{Row, Task};
use crate::model::timestamp::Timestamp;
use crate::store::{After, Filter, Read, Total};

macro_rules! chunk_columns {
    () => {
        "c.task, c.batch, (SELECT b.id FROM task b WHERE b.n = c.batch), c.number, c.span, c.attempts, \
         c.total, c.done, c.failed, c.skipped, c.step, c.note, c.accepted, \
         (SELECT json_extract(b.steps, '$[' || c.step || '].name') FROM batch b WHERE b.task = c.batch), c.reasons"
    };
}

/// Receipts of a batch (`?1`) and its chunks, at most `?3`, under a condition over `?2` and in an order.
macro_rules! batch_receipts_sql {
    ($which:literal) => {
        concat!(
            "SELECT ",
            receipt_columns!(),
            ", b.changed AS change, t.id AS id
               FROM batch_receipt b JOIN receipt r ON r.n = b.receipt JOIN task t ON t.n = r.task
              WHERE b.batch = ?1 AND ",
            $which,
            " LIMIT ?3"
        )
    };
}

fn batch_receipt(row: &rusqlite::Row<'_>) -> rusqlite::Result<(u64, TaskId, Receipt)> {
    Ok((row.get("change")?, TaskId::stored(row.get("id")?), rows::receipt(row)?))
}

impl Read for Tx<'_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn sequence(&self) -> Result<u64> {
        self.latest_change()
    }

    fn task(&self, id: &TaskId) -> Result<Task> {
        self.first(
            concat!("SELECT ", task_columns!(), " FROM task t WHERE t.id = ?1"),
            [id.as_str()],
            rows::task,
        )?
        .ok_or_else(|| Error::not_found(format!("No task '{id}'; list_tasks shows ids")))
    }

    fn task_at(&self, row: Row) -> Result<Task> {
        self.first(concat!("SELECT ", task_columns!(), " FROM task t WHERE t.n = ?1"), [row], rows::task)?
            .ok_or_else(|| Error::not_found(format!("No task in row {row}")))
    }

    fn list(&self, filter: &Filter, after: Option<After>, limit: usize) -> Result<Vec<Task>> {
        self.listed(filter, after, limit)
    }

    fn total(&self, filter: &Filter) -> Result<Total> {
        self.counted(filter)
    }

    fn changed_since(&self, filter: &Filter, since: u64, limit: usize) -> Result<Vec<Task>> {
        self.changed(filter, since, limit)
    }

    fn moved_since(&self, parent: Row, since: u64, limit: usize) -> Result<Vec<(u64, Task)>> {
        self.all(
            concat!(
                "SELECT ",
                task_columns!(),
                ", t.moved FROM task t INDEXED BY task_by_change
                  WHERE t.changed > ?2 AND t.moved > ?2 AND t.parent = ?1 ORDER BY t.moved LIMIT ?3"
            ),
            params![parent, since, limit],
            |row| Ok((row.get("moved")?, rows::task(row)?)),
        )
    }

    fn dependencies(&self, task: &Task) -> Result<Vec<(TaskId, bool)>> {
        if !task.has_needs {
            return Ok(Vec::new());
        }
        self.all(
            "SELECT t.id, d.soft FROM dependency d JOIN task t ON t.n = d.needs WHERE d.task = ?1 ORDER BY d.position",
            [task.row],
            |row| Ok((TaskId::stored(row.get(0)?), row.get(1)?)),
        )
    }

    fn dependents(&self, row: Row, limit: usize) -> Result<Vec<TaskId>> {
        self.all(
            "SELECT t.id FROM dependency d JOIN task t ON t.n = d.task WHERE d.needs = ?1 ORDER BY d.soft, t.n LIMIT ?2",
            params![row, limit],
            |row| row.get(0).map(TaskId::stored),
        )
    }

    fn waiting_rows(&self, row: Row) -> Result<Vec<Row>> {
        self.all("SELECT task FROM dependency WHERE needs = ?1 AND soft = 0", [row], |row| row.get(0))
    }

    fn children(&self, row: Row, limit: usize) -> Result<Vec<TaskId>> {
        self.all("SELECT id FROM task WHERE parent = ?1 ORDER BY n LIMIT ?2", params![row, limit], |row| {
            row.get(0).map(TaskId::stored)
        })
    }

    fn depends_through(&self, from: Row, to: Row) -> Result<bool> {
        Ok(self
            .first(
                "WITH RECURSIVE reached(n) AS (
                   SELECT ?1 UNION SELECT d.needs FROM dependency d JOIN reached r ON d.task = r.n)
                 SELECT 1 FROM reached WHERE n = ?2",
                [from, to],
                |_| Ok(()),
            )?
            .is_some())
    }

    fn lies_beneath(&self, from: Row, above: Row) -> Result<bool> {
        Ok(self
            .first(
                "WITH RECURSIVE chain(n) AS (
                   SELECT ?1 UNION SELECT t.parent FROM task t JOIN chain c ON t.n = c.n WHERE t.parent IS NOT NULL)
                 SELECT 1 FROM chain WHERE n = ?2",
                [from, above],
                |_| Ok(()),
            )?
            .is_some())
    }

    fn opening(&self, row: Row) -> Result<String> {
        Ok(self.first("SELECT opening FROM task WHERE n = ?1", [row], |row| row.get(0))?.unwrap_or_default())
    }

    fn preview(&self, row: Row, chars: usize) -> Result<String> {
        Ok(self
            .first(
                "SELECT CASE WHEN t.opening <> '' THEN substr(t.opening, 1, ?2)
                        ELSE ifnull((SELECT substr(r.text, 1, ?2) FROM receipt r WHERE r.task = t.n AND r.number = 1), '') END
                   FROM task t WHERE t.n = ?1",
                params![row, chars],
                |row| row.get(0),
            )?
            .unwrap_or_default())
    }

    fn receipts(&self, row: Row, after: u64, limit: usize) -> Result<Vec<Receipt>> {
        self.all(
            concat!(
                "SELECT ",
                receipt_columns!(),
                " FROM receipt WHERE task = ?1 AND number > ?2 ORDER BY number LIMIT ?3"
            ),
            params![row, after, limit],
            rows::receipt,
        )
    }

    fn hashed_receipts(&self, row: Row, after: u64, limit: usize) -> Result<Vec<(Receipt, [u8; 32])>> {
        self.all(
            concat!(
                "SELECT ",
                receipt_columns!(),
                ", hash FROM receipt WHERE task = ?1 AND number > ?2 ORDER BY number LIMIT ?3"
            ),
            params![row, after, limit],
            |row| Ok((rows::receipt(row)?, row.get(13)?)),
        )
    }

    fn batch(&self, row: Row) -> Result<Option<Batch>> {
        self.first(concat!("SELECT ", batch_columns!(), " FROM batch WHERE task = ?1"), [row], rows::batch)
    }

    fn chunk(&self, task: &Task) -> Result<Option<Chunk>> {
        if !task.is_chunk {
            return Ok(None);
        }
        self.first(
            concat!("SELECT ", chunk_columns!(), " FROM chunk c WHERE c.task = ?1"),
            [task.row],
            |row| rows::chunk(row, 0),
        )
    }

    fn chunks(&self, batch: Row, after: u64, limit: usize) -> Result<Vec<(Chunk, Task)>> {
        self.all(
            concat!(
                "SELECT ",
                task_columns!(),
                ", ",
                chunk_columns!(),
                " FROM chunk c JOIN task t ON t.n = c.task
                  WHERE c.batch = ?1 AND c.number > ?2 ORDER BY c.number LIMIT ?3"
            ),
            params![batch, after, limit],
            |row| Ok((rows::chunk(row, 32)?, rows::task(row)?)),
        )
    }

    fn items(&self, chunk: Row, after: u64, limit: usize, open: bool) -> Result<Vec<StoredItem>> {
        self.all(
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE chunk = ?1 AND position > ?2 AND (?4 = 0 OR outcome IS NULL)
                  ORDER BY position LIMIT ?3"
            ),
            params![chunk, after, limit, open],
            rows::item,
        )
    }

    fn item(&self, batch: Row, key: &str) -> Result<Option<StoredItem>> {
        self.first(
            concat!("SELECT ", item_columns!(), " FROM item i WHERE batch = ?1 AND key = ?2"),
            params![batch, key],
            rows::item,
        )
    }

    fn has_item(&self, batch: Row, key: &str) -> Result<bool> {
        Ok(self
            .first("SELECT 1 FROM item WHERE batch = ?1 AND key = ?2", params![batch, key], |_| Ok(()))?
            .is_some())
    }

    fn failed_items(&self, batch: Row, limit: usize) -> Result<Vec<(TaskId, StoredItem)>> {
        self.all(
            concat!(
                "SELECT ",
                item_columns!(),
                ", t.id FROM chunk c JOIN item i ON i.chunk = c.task JOIN task t ON t.n = c.task
                  WHERE c.batch = ?1 AND c.failed > 0 AND i.outcome = 'failed' ORDER BY c.number, i.position LIMIT ?2"
            ),
            params![batch, limit],
            |row| Ok((TaskId::stored(row.get("id")?), rows::item(row)?)),
        )
    }

    fn receipt(&self, row: Row, number: u64) -> Result<Option<Receipt>> {
        self.first(
            concat!("SELECT ", receipt_columns!(), " FROM receipt WHERE task = ?1 AND number = ?2"),
            params![row, number],
            rows::receipt,
        )
    }

    fn batch_receipts(&self, batch: Row, since: u64, limit: usize) -> Result<Vec<(u64, TaskId, Receipt)>> {
        self.all(
            batch_receipts_sql!("b.changed > ?2 ORDER BY b.changed"),
            params![batch, since, limit],
            batch_receipt,
        )
    }

    fn last_batch_receipts(&self, batch: Row, limit: usize) -> Result<Vec<(u64, TaskId, Receipt)>> {
        let mut found = self.all(
            batch_receipts_sql!("b.changed >= ?2 ORDER BY b.changed DESC"),
            params![batch, 0, limit],
            batch_receipt,
        )?;
        found.reverse();
        Ok(found)
    }

    fn categories(&self, row: Row) -> Result<Vec<(String, u64)>> {
        self.all(
            "SELECT name, count FROM category WHERE task = ?1 AND count > 0 ORDER BY count DESC, name",
            [row],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    fn answered(&self, key: &str) -> Result<Option<(String, Vec<u8>, String)>> {
        self.first("SELECT operation, fingerprint, reply FROM request WHERE key = ?1", [key], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
    }

    fn expired(&self, limit: usize) -> Result<Vec<Task>> {
        // Two looks at the index: with OR in one, SQLite reads every claim.
        let mut expired = self.all(
            concat!(
                "SELECT ",
                task_columns!(),
                " FROM task t INDEXED BY task_by_lease
                  WHERE t.status = 'in_progress' AND t.expires <= ?1 ORDER BY t.expires LIMIT ?2"
            ),
            params![self.now.millis(), limit],
            rows::task,
        )?;
        expired.extend(self.all(
            concat!(
                "SELECT ",
                task_columns!(),
                " FROM task t INDEXED BY task_by_lease
                  WHERE t.status = 'in_progress' AND t.expires > ?1 ORDER BY t.expires LIMIT ?2"
            ),
            params![self.now.saturating_add_secs(FARTHEST_LEASE_SECONDS).millis(), limit],
            rows::task,
        )?);
        Ok(expired)
    }

    fn next_expiry(&self) -> Result<Option<Timestamp>> {
        Ok(self
            .first(
                "SELECT min(expires) FROM task INDEXED BY task_by_lease WHERE status = 'in_progress' AND expires > ?1",
                [self.now.millis()],
                |row| row.get::<_, Option<i64>>(0),
            )?
            .flatten()
            .map(Timestamp::from_millis))
    }

    fn idle_since(&self, moment: Timestamp, limit: usize) -> Result<Vec<Task>> {
        self.all(
            concat!(
                "SELECT ", task_columns!(), " FROM task t
                  WHERE t.lane = 'in_progress' AND t.role <> 'batch' AND t.updated <= ?1 ORDER BY t.priority, t.position, t.n LIMIT ?2"
            ),
            params![moment.millis(), limit],
            rows::task,
        )
    }

    fn unaccounted(&self) -> Result<Option<String>> {
        Tx::unaccounted(self)
    }

    fn all_indexed(&self) -> Result<bool> {
        let all = self.first(
            "SELECT task >= (SELECT ifnull(max(n), 0) FROM task) AND receipt >= (SELECT ifnull(max(n), 0) FROM receipt)
               FROM indexed",
            [],
            |row| row.get(0),
        )?;
        Ok(all.unwrap_or(false))
    }

    fn search(&self, words: &[String], filter: &Filter, limit: usize) -> Result<Vec<Task>> {
        self.full_text(words, filter, limit)
    }

    fn open_batches(&self, project: Option<&str>, limit: usize) -> Result<Vec<Task>> {
        self.all(
            concat!(
                "SELECT ", task_columns!(), " FROM batch b JOIN task t ON t.n = b.task
                  WHERE b.ended < b.chunks AND t.status <> 'cancelled' AND (?1 IS NULL OR t.project = ?1) ORDER BY t.n DESC LIMIT ?2"
            ),
            params![project, limit],
            rows::task,
        )
    }

    fn ids(&self, beginning: &str, only_batches: bool, limit: usize) -> Result<Vec<TaskId>> {
        super::completion::ids(self, beginning, only_batches, limit)
    }
}
