//! Queries for tasks, receipts, batches, chunks and items.

use super::contents;
use super::count_check;
use super::statement::Row;
use super::tx::{Tx, now};
use super::value::values;
use crate::error::{Error, Result};
use crate::model::batch::{Batch, Chunk, StoredItem};
use crate::model::body::BodyStart;
use crate::model::content_hash::ContentHash;
use crate::model::id::TaskId;
use crate::model::limits::MAX_LEASE_AHEAD_SECONDS;
use crate::model::receipt::Receipt;
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;
use crate::store::rows::StoredRow as _;
use crate::store::rows::{self, batch_columns, item_columns, receipt_columns, task_columns};
use crate::store::{ListPosition, StoreRead, TaskFilter, TaskTotal};

/// The columns of a chunk, for a table named `c`.
macro_rules! chunk_columns {
    () => {
        "c.task, c.batch, (SELECT b.id FROM task b WHERE b.row_id = c.batch), c.number, c.span, c.attempts, \
         c.items_total, c.items_done, c.items_failed, c.items_skipped, c.step_index, c.review_note, c.accepted_generation, \
         (SELECT b.steps::jsonb -> c.step_index::int ->> 'name' FROM batch b WHERE b.task = c.batch), \
         c.release_reasons"
    };
}
pub(super) use chunk_columns;

/// A query for at most `$3` receipts of batch `$1` and its chunks; `$which` is a condition on `$2` and an order.
macro_rules! batch_receipts_sql {
    ($which:literal) => {
        concat!(
            "SELECT ",
            receipt_columns!(),
            ", b.change_number AS change, t.id AS id
               FROM batch_receipt b JOIN receipt r ON r.row_id = b.receipt JOIN task t ON t.row_id = r.task
              WHERE b.batch = $1 AND ",
            $which,
            " LIMIT $3"
        )
    };
}

/// At most `$3` items of chunk `$1` after the position `$2`; of those without an outcome if `$4` is 1.
pub(super) const ITEMS: &str = concat!(
    "SELECT ",
    item_columns!(),
    " FROM item i WHERE i.chunk = $1 AND i.position > $2 AND ($4 = 0 OR i.outcome IS NULL) ORDER BY i.position LIMIT $3"
);

fn batch_receipt(row: &Row) -> Result<(u64, TaskId, Receipt)> {
    Ok((row.get(15)?, rows::task_id(row, 16)?, rows::receipt(row)?))
}

impl StoreRead for Tx<'_> {
    fn now(&self) -> Timestamp {
        self.now()
    }

    fn latest_change_number(&self) -> Result<u64> {
        Ok(self.counters().change_number)
    }

    fn task(&self, id: &TaskId) -> Result<Task> {
        if let Some(task) = self.known_task(id)? {
            return Ok(task);
        }
        let mut task = self.first(
            concat!("SELECT ", task_columns!(), " FROM task t WHERE t.id = $1"),
            values![id.as_str()],
            rows::task,
        )?;
        if task.is_none()
            && let Some((batch, number)) = id.chunk_number()
        {
            task = self.first(
                concat!(
                    "SELECT ",
                    task_columns!(),
                    " FROM task b JOIN chunk c ON c.batch = b.row_id JOIN task t ON t.row_id = c.task
                      WHERE b.id = $1 AND c.number = $2"
                ),
                values![batch.as_str(), number],
                rows::task,
            )?;
        }
        task.ok_or_else(|| Error::not_found(format!("No task '{id}'; list_tasks() shows ids")))
    }

    fn task_by_row(&self, row: RowId) -> Result<Task> {
        if let Some(task) = self.known_task_by_row(row)? {
            return Ok(task);
        }
        self.first(
            concat!("SELECT ", task_columns!(), " FROM task t WHERE t.row_id = $1"),
            values![row],
            rows::task,
        )?
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
                ", t.status_changed FROM task t
                  WHERE t.change_number > $2 AND t.status_changed > $2 AND t.parent = $1 ORDER BY t.status_changed LIMIT $3"
            ),
            values![parent, since, limit],
            |row| Ok((row.get(32)?, rows::task(row)?)),
        )
    }

    fn count_children_with_status_changed_since(&self, parent: RowId, since: u64) -> Result<u64> {
        Ok(self
            .first(
                "SELECT count(*) FROM task t
                  WHERE t.change_number > $2 AND t.status_changed > $2 AND t.parent = $1",
                values![parent, since],
                |row| row.get(0),
            )?
            .unwrap_or_default())
    }

    fn status_changed_at(&self, task: &Task) -> Result<Option<Timestamp>> {
        let latest = self.first(
            "SELECT updated_at FROM task WHERE row_id = $1 AND status_changed = change_number",
            values![task.row],
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
            "SELECT t.id, d.soft FROM dependency d JOIN task t ON t.row_id = d.depends_on WHERE d.task = $1 ORDER BY d.position",
            values![task.row],
            |row| Ok((rows::task_id(row, 0)?, row.get(1)?)),
        )
    }

    fn dependents(&self, row: RowId, limit: usize) -> Result<Vec<TaskId>> {
        self.all(
            "SELECT t.id FROM dependency d JOIN task t ON t.row_id = d.task WHERE d.depends_on = $1 ORDER BY d.soft, t.row_id LIMIT $2",
            values![row, limit],
            |row| rows::task_id(row, 0),
        )
    }

    fn stranded_tasks(&self, project: Option<&str>, limit: usize) -> Result<Vec<(Task, Task)>> {
        self.find_stranded_tasks(project, limit)
    }

    fn hard_dependents(&self, row: RowId) -> Result<Vec<RowId>> {
        if let Some(dependents) = self.known_dependents(row)? {
            return Ok(dependents);
        }
        self.all("SELECT task FROM dependency WHERE depends_on = $1 AND soft = 0", values![row], |row| {
            row.get(0)
        })
    }

    fn children(&self, row: RowId, limit: usize) -> Result<Vec<TaskId>> {
        self.all(
            "SELECT id FROM task WHERE parent = $1 ORDER BY row_id LIMIT $2",
            values![row, limit],
            |row| rows::task_id(row, 0),
        )
    }

    fn depends_transitively(&self, from: RowId, to: RowId) -> Result<bool> {
        self.reaches(from, to)
    }

    fn is_self_or_descendant(&self, task: RowId, ancestor: RowId) -> Result<bool> {
        self.is_below(task, ancestor)
    }

    fn initial_text(&self, row: RowId) -> Result<String> {
        Ok(self
            .first("SELECT initial_text FROM task WHERE row_id = $1", values![row], |row| row.get(0))?
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
                " FROM receipt r WHERE r.task = $1 AND r.number > $2 ORDER BY r.number LIMIT $3"
            ),
            values![row, after, limit],
            rows::receipt,
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
                 (SELECT min(author) FROM receipt WHERE author_kind = 'person')
                 UNION ALL
                 SELECT (SELECT min(author) FROM receipt WHERE author_kind = 'person' AND author > name)
                   FROM person WHERE name IS NOT NULL)
             SELECT name FROM person WHERE name IS NOT NULL",
            values![],
            |row| row.get(0),
        )
    }

    fn hashed_receipts(&self, row: RowId, after: u64, limit: usize) -> Result<Vec<(Receipt, [u8; 32])>> {
        self.all(
            concat!(
                "SELECT ",
                receipt_columns!(),
                ", r.hash FROM receipt r WHERE r.task = $1 AND r.number > $2 ORDER BY r.number LIMIT $3"
            ),
            values![row, after, limit],
            |row| Ok((rows::receipt(row)?, row.hash(15)?.unwrap_or_default())),
        )
    }

    fn late_receipt_count(&self, row: RowId) -> Result<u64> {
        contents::late_receipt_count(self, row)
    }

    fn batch(&self, row: RowId) -> Result<Option<Batch>> {
        if let Some(batch) = self.known_batch(row)? {
            return Ok(Some(batch));
        }
        self.first(concat!("SELECT ", batch_columns!(), " FROM batch WHERE task = $1"), values![row], |row| {
            rows::batch(row)
        })
    }

    fn chunk(&self, task: &Task) -> Result<Option<Chunk>> {
        if !task.is_chunk {
            return Ok(None);
        }
        if let Some(chunk) = self.known_chunk(task.row)? {
            return Ok(Some(chunk));
        }
        self.first(
            concat!("SELECT ", chunk_columns!(), " FROM chunk c WHERE c.task = $1"),
            values![task.row],
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
                  WHERE c.batch = $1 AND c.number > $2 ORDER BY c.number LIMIT $3"
            ),
            values![batch, after, limit],
            |row| Ok((rows::chunk(row, 32)?, rows::task(row)?)),
        )
    }

    fn items(&self, chunk: RowId, after: u64, limit: usize, open: bool) -> Result<Vec<StoredItem>> {
        self.all(ITEMS, values![chunk, after, limit, open], rows::item)
    }

    fn item(&self, batch: RowId, key: &str) -> Result<Option<StoredItem>> {
        if let Some(item) = self.known_item(batch, key) {
            return Ok(Some(item));
        }
        let item = self.first(
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i JOIN chunk c ON c.task = i.chunk WHERE i.batch = $1 AND i.key = $2"
            ),
            values![batch, key],
            rows::item,
        )?;
        if let Some(item) = &item {
            self.keep_item(batch, item);
        }
        Ok(item)
    }

    fn has_item(&self, batch: RowId, key: &str) -> Result<bool> {
        Ok(self
            .first(
                // A key whose chunk is not published yet is not visible.
                "SELECT 1 FROM item i JOIN chunk c ON c.task = i.chunk WHERE i.batch = $1 AND i.key = $2",
                values![batch, key],
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
                  WHERE c.batch = $1 AND c.items_failed > 0 AND i.outcome = 'failed' ORDER BY c.number, i.position LIMIT $2"
            ),
            values![batch, limit],
            |row| Ok((rows::task_id(row, 10)?, rows::item(row)?)),
        )
    }

    fn receipt(&self, row: RowId, number: u64) -> Result<Option<Receipt>> {
        self.first(
            concat!("SELECT ", receipt_columns!(), " FROM receipt r WHERE r.task = $1 AND r.number = $2"),
            values![row, number],
            rows::receipt,
        )
    }

    fn receipts_numbered(&self, row: RowId, numbers: &[u64]) -> Result<Vec<Receipt>> {
        self.all(
            concat!(
                "SELECT ",
                receipt_columns!(),
                " FROM receipt r WHERE r.task = $1 AND r.number = ANY($2)"
            ),
            values![row, numbers],
            rows::receipt,
        )
    }

    fn batch_receipts_since(
        &self,
        batch: RowId,
        since: u64,
        limit: usize,
    ) -> Result<Vec<(u64, TaskId, Receipt)>> {
        self.all(
            batch_receipts_sql!("b.change_number > $2 ORDER BY b.change_number"),
            values![batch, since, limit],
            batch_receipt,
        )
    }

    fn latest_batch_receipts(&self, batch: RowId, limit: usize) -> Result<Vec<(u64, TaskId, Receipt)>> {
        let mut found = self.all(
            batch_receipts_sql!("b.change_number >= $2 ORDER BY b.change_number DESC"),
            values![batch, 0_u64, limit],
            batch_receipt,
        )?;
        found.reverse();
        Ok(found)
    }

    fn category_counts(&self, row: RowId) -> Result<Vec<(String, u64)>> {
        self.all(
            "SELECT category, count FROM category_count WHERE task = $1 AND count > 0 ORDER BY count DESC, category",
            values![row],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    fn stored_response(&self, key: &str) -> Result<Option<(String, Vec<u8>, String)>> {
        self.first(
            "SELECT operation, fingerprint, response FROM stored_response WHERE request_key = $1",
            values![key],
            |row| Ok((row.get(0)?, row.bytes(1)?.unwrap_or_default(), row.get(2)?)),
        )
    }

    fn expired_claims(&self, limit: usize) -> Result<Vec<Task>> {
        self.all(
            concat!(
                "(SELECT ",
                task_columns!(),
                " FROM task t WHERE t.status = 'in_progress' AND t.expires_at <= ",
                now!(),
                " ORDER BY t.expires_at LIMIT $2)
                 UNION ALL (SELECT ",
                task_columns!(),
                " FROM task t WHERE t.status = 'in_progress' AND t.expires_at > ",
                now!(),
                " + $1 ORDER BY t.expires_at LIMIT $2) LIMIT $2"
            ),
            values![MAX_LEASE_AHEAD_SECONDS * 1_000, limit],
            rows::task,
        )
    }

    fn next_lease_expiry(&self) -> Result<Option<Timestamp>> {
        Ok(self
            .first(
                concat!(
                    "SELECT min(expires_at) FROM task WHERE status = 'in_progress' AND expires_at > ",
                    now!()
                ),
                values![],
                |row| row.get::<Option<i64>>(0),
            )?
            .flatten()
            .map(Timestamp::from_millis))
    }

    fn claims_idle_since(&self, moment: Timestamp, limit: usize) -> Result<Vec<Task>> {
        self.all(
            concat!(
                "SELECT ", task_columns!(), " FROM task t
                  WHERE t.queue_state = 'in_progress' AND t.role <> 'batch' AND t.updated_at <= $1 ORDER BY t.priority, t.position, t.row_id LIMIT $2"
            ),
            values![moment.millis(), limit],
            rows::task,
        )
    }

    fn first_count_mismatch(&self) -> Result<Option<String>> {
        count_check::first_count_mismatch(self)
    }

    fn is_search_index_complete(&self) -> Result<bool> {
        // Words are indexed with the row.
        Ok(true)
    }

    fn search(&self, words: &[String], filter: &TaskFilter, limit: usize) -> Result<Vec<Task>> {
        self.search_tasks(words, filter, limit)
    }

    fn open_batches(&self, project: Option<&str>, limit: usize) -> Result<Vec<Task>> {
        self.all(
            concat!(
                "SELECT ", task_columns!(), " FROM batch b JOIN task t ON t.row_id = b.task
                  WHERE b.chunks_ended < b.chunks_total AND t.status <> 'cancelled' AND ($1 IS NULL OR t.project = $1) ORDER BY t.row_id DESC LIMIT $2"
            ),
            values![project, limit],
            rows::task,
        )
    }

    fn batches(&self, project: Option<&str>, after: Option<RowId>, limit: usize) -> Result<Vec<Task>> {
        self.list_batches(project, after, limit)
    }

    fn count_batches(&self, project: Option<&str>) -> Result<u64> {
        let count = self.first(
            "SELECT count(*) FROM batch b JOIN task t ON t.row_id = b.task WHERE $1 IS NULL OR t.project = $1",
            values![project],
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
