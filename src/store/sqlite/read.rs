//! Queries for tasks, receipts, batches, chunks and items.

use rusqlite::params;

use super::contents;
use super::count_check;
use super::rows::{self, batch_columns, item_columns, receipt_columns, task_columns};
use super::tx::Tx;
use crate::error::{Error, Result};
use crate::model::batch::{Batch, Chunk, StoredItem};
use crate::model::body::BodyStart;
use crate::model::content_hash::ContentHash;
use crate::model::id::TaskId;
use crate::model::limits::MAX_LEASE_AHEAD_SECONDS;
use crate::model::receipt::Receipt;
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;
use crate::store::{ListPosition, StoreRead, TaskFilter, TaskTotal};

macro_rules! chunk_columns {
    () => {
        "c.task, c.batch, (SELECT b.id FROM task b WHERE b.row_id = c.batch), c.number, c.span, c.attempts, \
         c.items_total, c.items_done, c.items_failed, c.items_skipped, c.step_index, c.review_note, c.accepted_generation, \
         (SELECT json_extract(b.steps, '$[' || c.step_index || '].name') FROM batch b WHERE b.task = c.batch), \
         c.release_reasons"
    };
}

/// A query for at most `?3` receipts of batch `?1` and its chunks; `$which` is a condition on `?2` and an order.
macro_rules! batch_receipts_sql {
    ($which:literal) => {
        concat!(
            "SELECT ",
            receipt_columns!(),
            ", b.change_number AS change, t.id AS id
               FROM batch_receipt b JOIN receipt r ON r.row_id = b.receipt JOIN task t ON t.row_id = r.task
              WHERE b.batch = ?1 AND ",
            $which,
            " LIMIT ?3"
        )
    };
}

fn batch_receipt(row: &rusqlite::Row<'_>) -> rusqlite::Result<(u64, TaskId, Receipt)> {
    Ok((row.get("change")?, rows::named_task_id(row)?, rows::receipt(row)?))
}

impl StoreRead for Tx<'_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn latest_change_number(&self) -> Result<u64> {
        self.latest_change_number()
    }

    fn task(&self, id: &TaskId) -> Result<Task> {
        let mut task = self.first(
            concat!("SELECT ", task_columns!(), " FROM task t WHERE t.id = ?1"),
            [id.as_str()],
            |row| rows::task(row),
        )?;
        if task.is_none()
            && let Some((batch, number)) = id.chunk_number()
        {
            task = self.first(
                concat!(
                    "SELECT ",
                    task_columns!(),
                    " FROM task b JOIN chunk c ON c.batch = b.row_id JOIN task t ON t.row_id = c.task
                      WHERE b.id = ?1 AND c.number = ?2"
                ),
                params![batch.as_str(), number],
                |row| rows::task(row),
            )?;
        }
        task.ok_or_else(|| Error::not_found(format!("No task '{id}'; list_tasks() shows ids")))
    }

    fn task_by_row(&self, row: RowId) -> Result<Task> {
        self.first(concat!("SELECT ", task_columns!(), " FROM task t WHERE t.row_id = ?1"), [row], |row| {
            rows::task(row)
        })?
        .ok_or_else(|| Error::not_found(format!("No task in row {row}")))
    }

    fn list(&self, filter: &TaskFilter, after: Option<ListPosition>, limit: usize) -> Result<Vec<Task>> {
        self.list_tasks(filter, after, limit)
    }

    fn count_tasks(&self, filter: &TaskFilter) -> Result<TaskTotal> {
        self.count_matching(filter)
    }

    fn tasks_changed_since(&self, filter: &TaskFilter, since: u64, limit: usize) -> Result<Vec<Task>> {
        self.list_changed(filter, since, limit)
    }

    fn children_with_status_changed_since(
        &self,
        parent: RowId,
        since: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Task)>> {
        self.all(
            concat!(
                "SELECT ",
                task_columns!(),
                ", t.status_changed FROM task t INDEXED BY task_by_change
                  WHERE t.change_number > ?2 AND t.status_changed > ?2 AND t.parent = ?1 ORDER BY t.status_changed LIMIT ?3"
            ),
            params![parent, since, limit],
            |row| Ok((row.get("status_changed")?, rows::task(row)?)),
        )
    }

    fn count_children_with_status_changed_since(&self, parent: RowId, since: u64) -> Result<u64> {
        Ok(self
            .first(
                "SELECT count(*) FROM task t INDEXED BY task_by_change
                  WHERE t.change_number > ?2 AND t.status_changed > ?2 AND t.parent = ?1",
                params![parent, since],
                |row| row.get(0),
            )?
            .unwrap_or_default())
    }

    fn status_changed_at(&self, task: &Task) -> Result<Option<Timestamp>> {
        let latest = self.first(
            "SELECT updated_at FROM task WHERE row_id = ?1 AND status_changed = change_number",
            [task.row],
            |row| row.get(0),
        )?;
        Ok(latest.map(Timestamp::from_millis))
    }

    fn next_free(&self, filter: &TaskFilter) -> Result<Option<Timestamp>> {
        self.next_free_time(filter)
    }

    fn dependencies(&self, task: &Task) -> Result<Vec<(TaskId, bool)>> {
        if !task.has_dependencies {
            return Ok(Vec::new());
        }
        self.all(
            "SELECT t.id, d.soft FROM dependency d JOIN task t ON t.row_id = d.depends_on WHERE d.task = ?1 ORDER BY d.position",
            [task.row],
            |row| Ok((rows::task_id(row, 0)?, row.get(1)?)),
        )
    }

    fn dependents(&self, row: RowId, limit: usize) -> Result<Vec<TaskId>> {
        self.all(
            "SELECT t.id FROM dependency d JOIN task t ON t.row_id = d.task WHERE d.depends_on = ?1 ORDER BY d.soft, t.row_id LIMIT ?2",
            params![row, limit],
            |row| rows::task_id(row, 0),
        )
    }

    fn stranded_tasks(&self, project: Option<&str>, limit: usize) -> Result<Vec<(Task, Task)>> {
        let found = self.all(
            "SELECT DISTINCT t.row_id, ended.row_id
               FROM task ended CROSS JOIN dependency d ON d.depends_on = ended.row_id AND d.soft = 0
                    JOIN task t ON t.row_id = d.task
              WHERE ended.queue_state IN ('cancelled', 'failed', 'rejected')
                AND t.queue_state NOT IN ('done', 'cancelled', 'failed', 'rejected')
                AND (?1 IS NULL OR t.project = ?1)
              ORDER BY t.row_id DESC LIMIT ?2",
            params![project, limit],
            |row| Ok((row.get::<_, RowId>(0)?, row.get::<_, RowId>(1)?)),
        )?;
        found.into_iter().map(|(row, ended)| Ok((self.task_by_row(row)?, self.task_by_row(ended)?))).collect()
    }

    fn hard_dependents(&self, row: RowId) -> Result<Vec<RowId>> {
        self.all("SELECT task FROM dependency WHERE depends_on = ?1 AND soft = 0", [row], |row| row.get(0))
    }

    fn children(&self, row: RowId, limit: usize) -> Result<Vec<TaskId>> {
        self.all(
            "SELECT id FROM task WHERE parent = ?1 ORDER BY row_id LIMIT ?2",
            params![row, limit],
            |row| rows::task_id(row, 0),
        )
    }

    fn depends_transitively(&self, from: RowId, to: RowId) -> Result<bool> {
        Ok(self
            .first(
                "WITH RECURSIVE reached(row_id) AS (
                   SELECT ?1 UNION SELECT d.depends_on FROM dependency d JOIN reached r ON d.task = r.row_id
                             UNION SELECT t.row_id FROM task t JOIN reached r ON t.parent = r.row_id
                                    WHERE t.role <> 'chunk' AND NOT EXISTS (
                                          SELECT 1 FROM dependency d WHERE d.task = t.row_id AND d.depends_on = r.row_id))
                 SELECT 1 FROM reached WHERE row_id = ?2",
                [from, to],
                |_| Ok(()),
            )?
            .is_some())
    }

    fn is_self_or_descendant(&self, task: RowId, ancestor: RowId) -> Result<bool> {
        Ok(self
            .first(
                "WITH RECURSIVE chain(row_id) AS (
                   SELECT ?1 UNION SELECT t.parent FROM task t JOIN chain c ON t.row_id = c.row_id WHERE t.parent IS NOT NULL)
                 SELECT 1 FROM chain WHERE row_id = ?2",
                [task, ancestor],
                |_| Ok(()),
            )?
            .is_some())
    }

    fn initial_text(&self, row: RowId) -> Result<String> {
        Ok(self
            .first("SELECT initial_text FROM task WHERE row_id = ?1", [row], |row| row.get(0))?
            .unwrap_or_default())
    }

    fn body_start(&self, row: RowId, chars: usize) -> Result<BodyStart> {
        contents::body_start(self, row, chars)
    }

    fn receipts(&self, row: RowId, after: u64, limit: usize) -> Result<Vec<Receipt>> {
        self.all(
            concat!(
                "SELECT ",
                receipt_columns!(),
                " FROM receipt r WHERE r.task = ?1 AND r.number > ?2 ORDER BY r.number LIMIT ?3"
            ),
            params![row, after, limit],
            |row| rows::receipt(row),
        )
    }

    fn content_hash(&self, task: &Task) -> Result<Option<ContentHash>> {
        contents::content_hash(self, task)
    }

    fn items_bytes(&self, project: Option<Option<&str>>) -> Result<u64> {
        contents::items_bytes(self, project)
    }

    fn person_names(&self) -> Result<Vec<String>> {
        // One step per name, not per receipt.
        self.all(
            "WITH RECURSIVE person (name) AS (
                 SELECT min(author) FROM receipt WHERE author_kind = 'person'
                 UNION ALL
                 SELECT (SELECT min(author) FROM receipt WHERE author_kind = 'person' AND author > name)
                   FROM person WHERE name IS NOT NULL)
             SELECT name FROM person WHERE name IS NOT NULL",
            [],
            |row| row.get(0),
        )
    }

    fn hashed_receipts(&self, row: RowId, after: u64, limit: usize) -> Result<Vec<(Receipt, [u8; 32])>> {
        self.all(
            concat!(
                "SELECT ",
                receipt_columns!(),
                ", r.hash FROM receipt r WHERE r.task = ?1 AND r.number > ?2 ORDER BY r.number LIMIT ?3"
            ),
            params![row, after, limit],
            |row| Ok((rows::receipt(row)?, row.get(15)?)),
        )
    }

    fn late_receipt_count(&self, row: RowId) -> Result<u64> {
        contents::late_receipt_count(self, row)
    }

    fn batch(&self, row: RowId) -> Result<Option<Batch>> {
        self.first(concat!("SELECT ", batch_columns!(), " FROM batch WHERE task = ?1"), [row], |row| {
            rows::batch(row)
        })
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

    fn chunks(&self, batch: RowId, after: u64, limit: usize) -> Result<Vec<(Chunk, Task)>> {
        self.all(
            concat!(
                "SELECT ",
                task_columns!(),
                ", ",
                chunk_columns!(),
                " FROM chunk c JOIN task t ON t.row_id = c.task
                  WHERE c.batch = ?1 AND c.number > ?2 ORDER BY c.number LIMIT ?3"
            ),
            params![batch, after, limit],
            |row| Ok((rows::chunk(row, 32)?, rows::task(row)?)),
        )
    }

    fn items(&self, chunk: RowId, after: u64, limit: usize, open: bool) -> Result<Vec<StoredItem>> {
        self.all(
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i WHERE chunk = ?1 AND position > ?2 AND (?4 = 0 OR outcome IS NULL)
                  ORDER BY position LIMIT ?3"
            ),
            params![chunk, after, limit, open],
            |row| rows::item(row),
        )
    }

    fn item(&self, batch: RowId, key: &str) -> Result<Option<StoredItem>> {
        self.first(
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item_key k JOIN chunk c ON c.task = k.chunk JOIN item i ON i.chunk = k.chunk AND i.position = k.position
                  WHERE k.batch = ?1 AND k.key = ?2"
            ),
            params![batch, key],
            |row| rows::item(row),
        )
    }

    fn has_item(&self, batch: RowId, key: &str) -> Result<bool> {
        Ok(self
            .first(
                // A key whose chunk is not published yet is not visible.
                "SELECT 1 FROM item_key k JOIN chunk c ON c.task = k.chunk WHERE k.batch = ?1 AND k.key = ?2",
                params![batch, key],
                |_| Ok(()),
            )?
            .is_some())
    }

    fn failed_items(&self, batch: RowId, limit: usize) -> Result<Vec<(TaskId, StoredItem)>> {
        self.all(
            concat!(
                "SELECT ",
                item_columns!(),
                ", t.id FROM chunk c JOIN item i ON i.chunk = c.task JOIN task t ON t.row_id = c.task
                  WHERE c.batch = ?1 AND c.items_failed > 0 AND i.outcome = 'failed' ORDER BY c.number, i.position LIMIT ?2"
            ),
            params![batch, limit],
            |row| Ok((rows::named_task_id(row)?, rows::item(row)?)),
        )
    }

    fn receipt(&self, row: RowId, number: u64) -> Result<Option<Receipt>> {
        self.first(
            concat!("SELECT ", receipt_columns!(), " FROM receipt r WHERE r.task = ?1 AND r.number = ?2"),
            params![row, number],
            |row| rows::receipt(row),
        )
    }

    fn batch_receipts_since(
        &self,
        batch: RowId,
        since: u64,
        limit: usize,
    ) -> Result<Vec<(u64, TaskId, Receipt)>> {
        self.all(
            batch_receipts_sql!("b.change_number > ?2 ORDER BY b.change_number"),
            params![batch, since, limit],
            batch_receipt,
        )
    }

    fn latest_batch_receipts(&self, batch: RowId, limit: usize) -> Result<Vec<(u64, TaskId, Receipt)>> {
        let mut found = self.all(
            batch_receipts_sql!("b.change_number >= ?2 ORDER BY b.change_number DESC"),
            params![batch, 0, limit],
            batch_receipt,
        )?;
        found.reverse();
        Ok(found)
    }

    fn category_counts(&self, row: RowId) -> Result<Vec<(String, u64)>> {
        self.all(
            "SELECT category, count FROM category_count WHERE task = ?1 AND count > 0 ORDER BY count DESC, category",
            [row],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    fn stored_response(&self, key: &str) -> Result<Option<(String, Vec<u8>, String)>> {
        self.first(
            "SELECT operation, fingerprint, response FROM stored_response WHERE request_key = ?1",
            [key],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
    }

    fn expired_claims(&self, limit: usize) -> Result<Vec<Task>> {
        // Two queries over the index: with OR in a single one, SQLite reads every claim.
        let mut expired = self.all(
            concat!(
                "SELECT ",
                task_columns!(),
                " FROM task t INDEXED BY task_by_lease
                  WHERE t.status = 'in_progress' AND t.expires_at <= ?1 ORDER BY t.expires_at LIMIT ?2"
            ),
            params![self.now.millis(), limit],
            |row| rows::task(row),
        )?;
        expired.extend(self.all(
            concat!(
                "SELECT ",
                task_columns!(),
                " FROM task t INDEXED BY task_by_lease
                  WHERE t.status = 'in_progress' AND t.expires_at > ?1 ORDER BY t.expires_at LIMIT ?2"
            ),
            params![self.now.saturating_add_secs(MAX_LEASE_AHEAD_SECONDS).millis(), limit - expired.len()],
            |row| rows::task(row),
        )?);
        Ok(expired)
    }

    fn next_lease_expiry(&self) -> Result<Option<Timestamp>> {
        Ok(self
            .first(
                "SELECT min(expires_at) FROM task INDEXED BY task_by_lease WHERE status = 'in_progress' AND expires_at > ?1",
                [self.now.millis()],
                |row| row.get::<_, Option<i64>>(0),
            )?
            .flatten()
            .map(Timestamp::from_millis))
    }

    fn claims_idle_since(&self, moment: Timestamp, limit: usize) -> Result<Vec<Task>> {
        self.all(
            concat!(
                "SELECT ", task_columns!(), " FROM task t
                  WHERE t.queue_state = 'in_progress' AND t.role <> 'batch' AND t.updated_at <= ?1 ORDER BY t.priority, t.position, t.row_id LIMIT ?2"
            ),
            params![moment.millis(), limit],
            |row| rows::task(row),
        )
    }

    fn first_count_mismatch(&self) -> Result<Option<String>> {
        count_check::first_count_mismatch(self)
    }

    fn is_search_index_complete(&self) -> Result<bool> {
        let all = self.first(
            "SELECT last_task >= (SELECT ifnull(max(row_id), 0) FROM task) AND last_receipt >= (SELECT ifnull(max(row_id), 0) FROM receipt)
               FROM search_progress",
            [],
            |row| row.get(0),
        )?;
        Ok(all.unwrap_or(false))
    }

    fn search(&self, words: &[String], filter: &TaskFilter, limit: usize) -> Result<Vec<Task>> {
        self.search_text(words, filter, limit)
    }

    fn open_batches(&self, project: Option<&str>, limit: usize) -> Result<Vec<Task>> {
        self.all(
            concat!(
                "SELECT ", task_columns!(), " FROM batch b JOIN task t ON t.row_id = b.task
                  WHERE b.chunks_ended < b.chunks_total AND t.status <> 'cancelled' AND (?1 IS NULL OR t.project = ?1) ORDER BY t.row_id DESC LIMIT ?2"
            ),
            params![project, limit],
            |row| rows::task(row),
        )
    }

    fn batches(&self, project: Option<&str>, after: Option<RowId>, limit: usize) -> Result<Vec<Task>> {
        self.list_batches(project, after, limit)
    }

    fn count_batches(&self, project: Option<&str>) -> Result<u64> {
        let count = self.first(
            "SELECT count(*) FROM batch b JOIN task t ON t.row_id = b.task WHERE ?1 IS NULL OR t.project = ?1",
            [project],
            |row| row.get(0),
        )?;
        Ok(count.unwrap_or(0))
    }

    fn failed_batches(&self, project: Option<&str>, limit: usize) -> Result<Vec<Task>> {
        self.list_failed_batches(project, limit)
    }

    fn ids_with_prefix(&self, prefix: &str, only_batches: bool, limit: usize) -> Result<Vec<TaskId>> {
        super::completion::ids_with_prefix(self, prefix, only_batches, limit)
    }
}
