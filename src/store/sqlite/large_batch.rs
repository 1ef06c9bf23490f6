//! Statements of large batches that are inserted in several transactions.

use rusqlite::config::DbConfig;
use rusqlite::params;

use super::rows::sql_error;
use super::tx::Tx;
use crate::error::{Code, Error, Result};
use crate::model::task::{RowId, Task};
use crate::store::stored_texts::list;
use crate::store::{BulkRead, BulkWrite, Reservation, ResourceRead as _, UnpublishedChunk};

/// The statements that delete everything under all reservations, in a copy of the store.
pub(super) const DELETE_ALL_UNPUBLISHED: &str = "
    DELETE FROM item WHERE EXISTS (SELECT 1 FROM unpublished WHERE chunk >= first_row AND chunk < first_row + row_count);
    DELETE FROM shared_resource
     WHERE EXISTS (SELECT 1 FROM unpublished WHERE chunk >= first_row AND chunk < first_row + row_count);
    DELETE FROM resource_block WHERE (batch, layer) IN (SELECT batch, layer FROM unpublished);
    DELETE FROM unpublished_chunk;
    DELETE FROM unpublished;";

impl BulkRead for Tx<'_> {
    fn reservations(&self) -> Result<Vec<Reservation>> {
        self.all("SELECT first_row, row_count, batch, layer FROM unpublished ORDER BY first_row", [], |row| {
            Ok(Reservation { first: row.get(0)?, rows: row.get(1)?, batch: row.get(2)?, layer: row.get(3)? })
        })
    }
}

impl BulkWrite for Tx<'_> {
    fn reserve_rows(&self, rows: u64, batch: Option<RowId>) -> Result<Reservation> {
        let last: Option<i64> = self
            .first(
                "SELECT max(ifnull((SELECT max(row_id) FROM task), 0),
                            ifnull((SELECT max(first_row + row_count) FROM unpublished), 0))",
                [],
                |row| row.get(0),
            )?
            .flatten();
        let first = last.unwrap_or(0) + Reservation::GAP;
        let batch = batch.unwrap_or(first);
        let reservation = Reservation { first, rows, batch, layer: self.count_resource_layers(batch)? };
        self.execute(
            "INSERT INTO unpublished (first_row, row_count, batch, layer) VALUES (?1, ?2, ?3, ?4)",
            params![first, rows, batch, reservation.layer],
        )?;
        Ok(reservation)
    }

    fn insert_item_without_key(
        &self,
        batch: RowId,
        chunk: RowId,
        position: u64,
        key: &str,
        fields: &str,
    ) -> Result<()> {
        self.execute(
            "INSERT INTO item (chunk, position, batch, key, fields) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![chunk, position, batch, key, fields],
        )?;
        Ok(())
    }

    fn insert_item_key(&self, batch: RowId, key: &str, chunk: RowId, position: u64) -> Result<()> {
        self.execute(
            "INSERT INTO item_key (batch, key, chunk, position) VALUES (?1, ?2, ?3, ?4)",
            params![batch, key, chunk, position],
        )?;
        Ok(())
    }

    fn insert_unpublished_chunk(&self, chunk: &UnpublishedChunk) -> Result<()> {
        self.execute(
            "INSERT INTO unpublished_chunk (task, number, id, title, span, items_total, items_hash, items_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                chunk.row,
                chunk.number,
                chunk.id.as_str(),
                chunk.title,
                chunk.span,
                chunk.items,
                chunk.items_hash,
                chunk.items_bytes
            ],
        )?;
        Ok(())
    }

    fn end_reservation(&self, reservation: &Reservation) -> Result<()> {
        let ended = self.execute("DELETE FROM unpublished WHERE first_row = ?1", [reservation.first])?;
        let taken =
            self.first("SELECT 1 FROM task WHERE row_id >= ?1 LIMIT 1", [reservation.first], |_| Ok(()))?;
        if ended == 1 && taken.is_none() {
            return Ok(());
        }
        Err(Error::new(Code::Busy, "nothing was written: the batch took too long to insert. Try again"))
    }

    fn publish_chunks(&self, batch: RowId, first: &Task, hold: bool) -> Result<()> {
        let count = self.first("SELECT count(*) FROM unpublished_chunk", [], |row| row.get::<_, u64>(0))?;
        let count = count.unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        self.enlarge_cache()?;
        // The triggers of `task` take more time than the rest: one prevents what an INSERT without OR REPLACE cannot do
        // anyway, the other counts the tasks, which is done here for all at once.
        let triggers = |on: bool| {
            self.connection
                .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, on)
                .map(|_| ())
                .map_err(|error| sql_error("the triggers of the store could not be switched", error))
        };
        triggers(false)?;
        let inserted = self.insert_chunk_tasks(first, hold, count);
        triggers(true)?;
        inserted?;
        self.execute(
            "INSERT INTO task_count (project, queue_state, type, priority, count)
             SELECT ifnull(project, ''), queue_state, type, priority, ?2 FROM task WHERE row_id = ?1
             ON CONFLICT DO UPDATE SET count = count + excluded.count",
            params![first.row, count],
        )?;
        self.execute(
            "INSERT INTO chunk (task, batch, number, span, items_total, items_hash)
             SELECT task, ?1, number, span, items_total, items_hash FROM unpublished_chunk ORDER BY task",
            [batch],
        )?;
        self.execute(
            "UPDATE batch SET items_bytes = items_bytes + (SELECT sum(items_bytes) FROM unpublished_chunk) WHERE task = ?1",
            [batch],
        )?;
        self.execute("DELETE FROM unpublished_chunk", [])?;
        Ok(())
    }

    fn delete_unpublished(&self, reservation: &Reservation, limit: usize) -> Result<bool> {
        let Reservation { first, rows, batch, layer } = *reservation;
        let end = first + i64::try_from(rows).unwrap_or(i64::MAX - first);
        let exists = self.first("SELECT 1 FROM unpublished WHERE first_row = ?1", [first], |_| Ok(()))?;
        if exists.is_none() {
            return Ok(true);
        }
        for sql in [
            "DELETE FROM item WHERE (chunk, position) IN
                (SELECT chunk, position FROM item WHERE chunk >= ?1 AND chunk < ?2 LIMIT ?3)",
            "DELETE FROM shared_resource WHERE (chunk, resource_key, project) IN
                (SELECT chunk, resource_key, project FROM shared_resource WHERE chunk >= ?1 AND chunk < ?2 LIMIT ?3)",
            "DELETE FROM unpublished_chunk WHERE task IN
                (SELECT task FROM unpublished_chunk WHERE task >= ?1 AND task < ?2 LIMIT ?3)",
        ] {
            if self.execute(sql, params![first, end, limit])? > 0 {
                return Ok(false);
            }
        }
        // A block has many resources.
        let blocks = limit.div_ceil(100);
        let deleted = self.execute(
            "DELETE FROM resource_block WHERE (batch, layer, last_key) IN
                (SELECT batch, layer, last_key FROM resource_block WHERE batch = ?1 AND layer = ?2 LIMIT ?3)",
            params![batch, layer, blocks],
        )?;
        if deleted > 0 {
            return Ok(false);
        }
        self.execute("DELETE FROM unpublished WHERE first_row = ?1", [first])?;
        Ok(true)
    }
}

impl Tx<'_> {
    fn insert_chunk_tasks(&self, first: &Task, hold: bool, count: u64) -> Result<()> {
        let change_number = self.next_change_numbers(count)?;
        self.execute(
            "INSERT INTO task (row_id, id, title, type, status, priority, position, project, parent, tags, role, initial_text,
                               has_checkbox, hold_count, blocker_count, created_at, updated_at, change_number, status_changed)
             SELECT task, id, title, ?1, ?2, ?3, number, ?4, ?5, ?6, 'chunk', '', 0, ?7, ?7, ?8, ?8,
                    ?9 + task - ?10, ?9 + task - ?10
               FROM unpublished_chunk ORDER BY task",
            params![
                first.task_type.as_str(),
                first.status.as_str(),
                first.priority,
                first.project,
                first.parent_row,
                list(&first.tags),
                hold,
                self.now.millis(),
                change_number,
                first.row,
            ],
        )?;
        Ok(())
    }
}
