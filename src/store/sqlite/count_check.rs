//! Compares the stored counts with the rows they count, each item's outcome with its receipt, and the progress of chunks
//! with the approvals.

use rusqlite::Row as SqlRow;

use super::range_check::first_out_of_range;
use super::tx::Tx;
use crate::error::Result;
use crate::model::text::excerpt;

/// The first chunk whose counts differ from its items.
const WRONG_CHUNK: &str = "
    SELECT t.id, c.items_total, count(i.key), c.items_done + c.items_failed + c.items_skipped, count(i.outcome)
      FROM chunk c JOIN task t ON t.row_id = c.task LEFT JOIN item i ON i.chunk = c.task
     GROUP BY c.task
    HAVING c.items_total <> count(i.key)
        OR c.items_done <> ifnull(sum(i.outcome = 'done'), 0)
        OR c.items_failed <> ifnull(sum(i.outcome = 'failed'), 0)
        OR c.items_skipped <> ifnull(sum(i.outcome = 'skipped'), 0)
     LIMIT 1";

/// The first batch whose counts differ from its chunks.
const WRONG_BATCH: &str = "
    SELECT t.id, b.chunks_total, count(c.task), b.items_total, ifnull(sum(c.items_total), 0)
      FROM batch b JOIN task t ON t.row_id = b.task LEFT JOIN chunk c ON c.batch = b.task
     GROUP BY b.task
    HAVING b.chunks_total <> count(c.task) OR b.items_total <> ifnull(sum(c.items_total), 0)
     LIMIT 1";

/// The first batch whose progress differs from its chunks': what `get_batch` shows first. The statuses are those of
/// `Status::is_terminal`.
const WRONG_PROGRESS: &str = "
    SELECT t.id
      FROM batch b JOIN task t ON t.row_id = b.task JOIN chunk c ON c.batch = b.task JOIN task w ON w.row_id = c.task
     GROUP BY b.task
    HAVING b.items_done <> sum(c.items_done) OR b.items_failed <> sum(c.items_failed)
        OR b.items_skipped <> sum(c.items_skipped)
        OR b.chunks_ended <> sum(w.status IN ('done', 'cancelled', 'failed', 'rejected'))
        OR b.chunks_unsuccessful <> sum(w.status IN ('done', 'cancelled', 'failed', 'rejected') AND w.status <> 'done')
     LIMIT 1";

/// The first chunk whose count of a category differs from its settled items, or batch whose count differs from its chunks'.
/// An item without a category is counted under its outcome.
const WRONG_CATEGORY: &str = "
    WITH settled AS (
           SELECT chunk, batch, ifnull(category, outcome) AS category, count(*) AS count
             FROM item WHERE outcome IS NOT NULL GROUP BY 1, 2, 3),
         counted AS (
           SELECT chunk AS task, category, count FROM settled
            UNION ALL
           SELECT batch, category, sum(count) FROM settled GROUP BY 1, 2),
         stored AS (SELECT task, category, count FROM category_count WHERE count <> 0)
    SELECT t.id, d.category
      FROM (SELECT * FROM (SELECT * FROM stored EXCEPT SELECT * FROM counted)
             UNION ALL
            SELECT * FROM (SELECT * FROM counted EXCEPT SELECT * FROM stored)) d
      JOIN task t ON t.row_id = d.task
     LIMIT 1";

/// The first outcome of an earlier step that is not the one of the receipt that it names.
const EARLIER_WITHOUT_RECEIPT: &str = "
    SELECT t.id, i.key, e.outcome
      FROM earlier_outcome e JOIN item i ON i.chunk = e.chunk AND i.position = e.position
      JOIN task t ON t.row_id = e.chunk
     WHERE NOT EXISTS (
           SELECT 1 FROM receipt r
            WHERE r.task = e.chunk AND r.number = e.receipt_number AND r.item_key = i.key
              AND r.outcome = e.outcome AND r.category IS e.category AND NOT r.late)
     LIMIT 1";

/// The first item whose outcome is not the one of the receipt that it names.
const OUTCOME_WITHOUT_RECEIPT: &str = "
    SELECT t.id, i.key, i.outcome
      FROM item i JOIN task t ON t.row_id = i.chunk
     WHERE i.outcome IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM receipt r
            WHERE r.task = i.chunk AND r.number = i.receipt_number AND r.item_key = i.key
              AND r.outcome = i.outcome AND r.category IS i.category AND NOT r.late)
     LIMIT 1";

/// The first chunk that went on past a checkpoint without an approval. A checkpoint asks after each step but the last, and
/// after the only one (`Checkpoint::asks_after`). Batches without a content hash come from schemas that stored no decisions.
const MISSING_APPROVAL: &str = "
    SELECT t.id
      FROM batch b JOIN task p ON p.row_id = b.task JOIN chunk c ON c.batch = b.task JOIN task t ON t.row_id = c.task
     WHERE b.checkpoint <> 'none' AND p.content_hash IS NOT NULL
       AND min(c.step_index + (t.status = 'done'), max(ifnull(json_array_length(b.steps), 1) - 1, 1)) >
           (SELECT count(*) FROM receipt r WHERE r.task = c.task AND r.decision = 'approve')
     LIMIT 1";

/// The first task without a content hash that is newer than one with a hash, or a chunk without one of a batch with one.
const MISSING_HASH: &str = "
    SELECT id FROM task
     WHERE role <> 'chunk' AND content_hash IS NULL
       AND row_id > (SELECT min(row_id) FROM task WHERE content_hash IS NOT NULL)
    UNION ALL
    SELECT t.id FROM chunk c JOIN task p ON p.row_id = c.batch JOIN task t ON t.row_id = c.task
     WHERE c.items_hash IS NULL AND p.content_hash IS NOT NULL
     LIMIT 1";

/// A query for the first mismatch of one kind, and the message about the row that it finds.
type Check = (&'static str, fn(&SqlRow<'_>) -> rusqlite::Result<String>);

/// All checks, in the order in which a mismatch is reported.
const CHECKS: [Check; 8] = [
    (WRONG_CHUNK, |row| {
        let (id, total, stored): (String, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (settled, with_outcome): (u64, u64) = (row.get(3)?, row.get(4)?);
        Ok(format!(
            "chunk {id}: {stored} of {total} items are there; {with_outcome} have an outcome, {settled} are counted"
        ))
    }),
    (WRONG_BATCH, |row| {
        let (id, chunks, stored): (String, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (total, items): (u64, u64) = (row.get(3)?, row.get(4)?);
        Ok(format!("batch {id}: {stored} of {chunks} chunks are there, with {items} of {total} items"))
    }),
    (OUTCOME_WITHOUT_RECEIPT, |row| {
        let (id, key, outcome): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!("chunk {id}: item '{}' is {outcome}, and no receipt says so", excerpt(&key)))
    }),
    (EARLIER_WITHOUT_RECEIPT, |row| {
        let (id, key, outcome): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(format!(
            "chunk {id}: item '{}' was {outcome} in an earlier step, and no receipt says so",
            excerpt(&key)
        ))
    }),
    (WRONG_PROGRESS, |row| {
        let id: String = row.get(0)?;
        Ok(format!("batch {id}: its progress is not what its chunks add up to"))
    }),
    (WRONG_CATEGORY, |row| {
        let (id, category): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(format!(
            "task {id}: the count of category '{}' is not the number of its items",
            excerpt(&category)
        ))
    }),
    (MISSING_APPROVAL, |row| {
        let id: String = row.get(0)?;
        Ok(format!("chunk {id}: it went on past its checkpoint, and no receipt approves it"))
    }),
    (MISSING_HASH, |row| {
        let id: String = row.get(0)?;
        Ok(format!("task {id}: the hash of its content is missing"))
    }),
];

/// See [`crate::store::StoreRead::first_count_mismatch`].
pub(super) fn first_count_mismatch(tx: &Tx<'_>) -> Result<Option<String>> {
    if let Some(problem) = first_out_of_range(tx)? {
        return Ok(Some(problem));
    }
    for (sql, describe) in CHECKS {
        let mismatch = tx.first(sql, [], describe)?;
        if mismatch.is_some() {
            return Ok(mismatch);
        }
    }
    Ok(None)
}
