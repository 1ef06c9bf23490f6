//! Whether a store's counts are what is in it: every item is there, and its outcome has its receipt.

use super::tx::Tx;
use crate::error::Result;

/// Chunks whose counts are not those of their items.
const CHUNKS: &str = "
    SELECT t.id, c.items_total, count(i.key), c.items_done + c.items_failed + c.items_skipped, count(i.outcome)
      FROM chunk c JOIN task t ON t.row_id = c.task LEFT JOIN item i ON i.chunk = c.task
     GROUP BY c.task
    HAVING c.items_total <> count(i.key)
        OR c.items_done <> ifnull(sum(i.outcome = 'done'), 0)
        OR c.items_failed <> ifnull(sum(i.outcome = 'failed'), 0)
        OR c.items_skipped <> ifnull(sum(i.outcome = 'skipped'), 0)
     LIMIT 1";

/// Batches whose counts are not those of their chunks.
const BATCHES: &str = "
    SELECT t.id, b.chunks_total, count(c.task), b.items_total, ifnull(sum(c.items_total), 0)
      FROM batch b JOIN task t ON t.row_id = b.task LEFT JOIN chunk c ON c.batch = b.task
     GROUP BY b.task
    HAVING b.chunks_total <> count(c.task) OR b.items_total <> ifnull(sum(c.items_total), 0)
     LIMIT 1";

/// Items whose outcome no receipt tells.
const UNPROVED: &str = "
    SELECT t.id, i.key, i.outcome
      FROM item i JOIN task t ON t.row_id = i.chunk
     WHERE i.outcome IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM receipt r
            WHERE r.task = i.chunk AND r.number = i.receipt_number AND r.item_key = i.key
              AND r.outcome = i.outcome AND r.category IS i.category AND NOT r.late)
     LIMIT 1";

impl Tx<'_> {
    /// The first thing that is not accounted for.
    pub(super) fn unaccounted(&self) -> Result<Option<String>> {
        let chunk = self.first(CHUNKS, [], |row| {
            let (id, total, there): (String, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (settled, found): (u64, u64) = (row.get(3)?, row.get(4)?);
            Ok(format!(
                "chunk {id}: {there} of {total} items are there, {found} of them with an outcome where {settled} are counted"
            ))
        })?;
        if chunk.is_some() {
            return Ok(chunk);
        }
        let batch = self.first(BATCHES, [], |row| {
            let (id, chunks, there): (String, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (total, found): (u64, u64) = (row.get(3)?, row.get(4)?);
            Ok(format!("batch {id}: {there} of {chunks} chunks are there, with {found} of {total} items"))
        })?;
        if batch.is_some() {
            return Ok(batch);
        }
        self.first(UNPROVED, [], |row| {
            let (id, key, outcome): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let key = crate::model::text::excerpt(&key);
            Ok(format!("chunk {id}: item '{key}' is {outcome}, and no receipt says so"))
        })
    }
}
