//! Statements of large batches that are inserted in several transactions.

use super::search_text::search_vector;
use super::tx::Tx;
use super::value::values;
use crate::error::{Code, Error, Result};
use crate::model::task::{RowId, Task};
use crate::store::rows::StoredRow as _;
use crate::store::stored_texts::list;
use crate::store::{BulkRead, BulkWrite, Reservation, ResourceRead as _, UnpublishedChunk};

impl BulkRead for Tx<'_> {
    fn reservations(&self) -> Result<Vec<Reservation>> {
        self.all(
            "SELECT first_row, row_count, batch, layer FROM unpublished ORDER BY first_row",
            values![],
            |row| {
                Ok(Reservation {
                    first: row.get(0)?,
                    rows: row.get(1)?,
                    batch: row.get(2)?,
                    layer: row.get(3)?,
                })
            },
        )
    }
}

impl BulkWrite for Tx<'_> {
    fn reserve_rows(&self, rows: u64, batch: Option<RowId>) -> Result<Reservation> {
        let last = self.first("SELECT max(first_row + row_count) FROM unpublished", values![], |row| {
            row.get::<Option<RowId>>(0)
        })?;
        let first = last.flatten().unwrap_or(0).max(self.counters().task_row) + Reservation::GAP;
        let batch = batch.unwrap_or(first);
        let reservation = Reservation { first, rows, batch, layer: self.count_resource_layers(batch)? };
        self.write(
            "INSERT INTO unpublished (first_row, row_count, batch, layer) VALUES ($1, $2, $3, $4)",
            values![first, rows, batch, reservation.layer],
        );
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
        self.write_item(batch, chunk, position, key, fields)
    }

    fn insert_item_key(&self, _batch: RowId, _key: &str, _chunk: RowId, _position: u64) -> Result<()> {
        // An index of `item` has the keys.
        Ok(())
    }

    fn insert_unpublished_chunk(&self, chunk: &UnpublishedChunk) -> Result<()> {
        self.write(
            "INSERT INTO unpublished_chunk (task, number, id, title, span, items_total, items_hash, items_bytes, search)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::tsvector)",
            values![
                chunk.row,
                chunk.number,
                chunk.id.as_str(),
                &chunk.title,
                &chunk.span,
                chunk.items,
                chunk.items_hash,
                chunk.items_bytes,
                search_vector(&chunk.title, "")
            ],
        );
        Ok(())
    }

    fn end_reservation(&self, reservation: &Reservation) -> Result<()> {
        let ended = self.count_written(
            "DELETE FROM unpublished WHERE first_row = $1 RETURNING 1",
            values![reservation.first],
        )?;
        if ended == 1 && self.counters().task_row < reservation.first {
            return Ok(());
        }
        Err(Error::new(Code::Busy, "nothing was written: the batch took too long to insert. Try again"))
    }

    fn publish_chunks(&self, batch: RowId, first: &Task, hold: bool) -> Result<()> {
        let count =
            self.first("SELECT count(*) FROM unpublished_chunk", values![], |row| row.get::<u64>(0))?;
        let count = count.unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        let change_number = self.next_change_numbers(count);
        self.use_task_row(first.row + count.cast_signed() - 1);
        self.write(
            "INSERT INTO task (row_id, id, title, type, status, priority, position, project, parent, tags, role, initial_text,
                               has_checkbox, hold_count, blocker_count, created_at, updated_at, change_number, status_changed,
                               search)
             SELECT task, id, title, $1, $2, $3, number, $4, $5, $6, 'chunk', '', 0, $7, $7, $8, $8,
                    $9 + task - $10, $9 + task - $10, search
               FROM unpublished_chunk ORDER BY task",
            values![
                first.task_type.as_str(),
                first.status.as_str(),
                first.priority,
                &first.project,
                first.parent_row,
                list(&first.tags),
                hold,
                self.now().millis(),
                change_number,
                first.row,
            ],
        );
        self.write(
            "INSERT INTO chunk (task, batch, number, span, items_total, items_hash)
             SELECT task, $1, number, span, items_total, items_hash FROM unpublished_chunk ORDER BY task",
            values![batch],
        );
        self.write(
            "UPDATE batch SET items_bytes = items_bytes + (SELECT sum(items_bytes) FROM unpublished_chunk)::bigint WHERE task = $1",
            values![batch],
        );
        self.write("DELETE FROM unpublished_chunk", values![]);
        Ok(())
    }

    fn delete_unpublished(&self, reservation: &Reservation, limit: usize) -> Result<bool> {
        let Reservation { first, rows, batch, layer } = *reservation;
        let end = first + i64::try_from(rows).unwrap_or(i64::MAX - first);
        let exists =
            self.first("SELECT 1 FROM unpublished WHERE first_row = $1", values![first], |_| Ok(()))?;
        if exists.is_none() {
            return Ok(true);
        }
        for sql in [
            "DELETE FROM item WHERE ctid = ANY (ARRAY (
                SELECT ctid FROM item WHERE chunk >= $1 AND chunk < $2 LIMIT $3)) RETURNING 1",
            "DELETE FROM shared_resource WHERE ctid = ANY (ARRAY (
                SELECT ctid FROM shared_resource WHERE chunk >= $1 AND chunk < $2 LIMIT $3)) RETURNING 1",
            "DELETE FROM unpublished_chunk WHERE ctid = ANY (ARRAY (
                SELECT ctid FROM unpublished_chunk WHERE task >= $1 AND task < $2 LIMIT $3)) RETURNING 1",
        ] {
            if self.count_written(sql, values![first, end, limit])? > 0 {
                return Ok(false);
            }
        }
        // A block has many resources.
        let blocks = limit.div_ceil(100);
        let deleted = self.count_written(
            "DELETE FROM resource_block WHERE ctid = ANY (ARRAY (
                SELECT ctid FROM resource_block WHERE batch = $1 AND layer = $2 LIMIT $3)) RETURNING 1",
            values![batch, layer, blocks],
        )?;
        if deleted > 0 {
            return Ok(false);
        }
        self.write("DELETE FROM unpublished WHERE first_row = $1", values![first]);
        Ok(true)
    }
}
