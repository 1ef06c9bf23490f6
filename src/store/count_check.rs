//! Comparison of the stored counts with the rows they count, of each item's outcome with its receipt, and of the progress of
//! chunks with the approvals. The SQL is that of every database.

use super::range_check::OUT_OF_RANGE;
use super::rows::StoredRow;
use crate::model::text::excerpt;

/// The first chunk whose counts differ from its items.
const WRONG_CHUNK: &str = "
    SELECT t.id, c.items_total, count(i.key), c.items_done + c.items_failed + c.items_skipped, count(i.outcome)
      FROM chunk c JOIN task t ON t.row_id = c.task LEFT JOIN item i ON i.chunk = c.task
     GROUP BY c.task, t.id
    HAVING c.items_total <> count(i.key)
        OR c.items_done <> count(*) FILTER (WHERE i.outcome = 'done')
        OR c.items_failed <> count(*) FILTER (WHERE i.outcome = 'failed')
        OR c.items_skipped <> count(*) FILTER (WHERE i.outcome = 'skipped')
     LIMIT 1";

/// The first batch whose counts differ from its chunks.
const WRONG_BATCH: &str = "
    SELECT t.id, b.chunks_total, count(c.task), b.items_total, CAST(coalesce(sum(c.items_total), 0) AS bigint)
      FROM batch b JOIN task t ON t.row_id = b.task LEFT JOIN chunk c ON c.batch = b.task
     GROUP BY b.task, t.id
    HAVING b.chunks_total <> count(c.task) OR b.items_total <> coalesce(sum(c.items_total), 0)
     LIMIT 1";

/// The first batch whose progress differs from its chunks': what `get_batch` shows first. The statuses are those of
/// `Status::is_terminal`.
const WRONG_PROGRESS: &str = "
    SELECT t.id
      FROM batch b JOIN task t ON t.row_id = b.task JOIN chunk c ON c.batch = b.task JOIN task w ON w.row_id = c.task
     GROUP BY b.task, t.id
    HAVING b.items_done <> sum(c.items_done) OR b.items_failed <> sum(c.items_failed)
        OR b.items_skipped <> sum(c.items_skipped)
        OR b.chunks_ended <> count(*) FILTER (WHERE w.status IN ('done', 'cancelled', 'failed', 'rejected'))
        OR b.chunks_unsuccessful <> count(*) FILTER (WHERE w.status IN ('cancelled', 'failed', 'rejected'))
     LIMIT 1";

/// The first chunk whose count of a category differs from its settled items, or batch whose count differs from its chunks'.
/// An item without a category is counted under its outcome.
const WRONG_CATEGORY: &str = "
    WITH settled AS (
           SELECT chunk, batch, coalesce(category, outcome) AS category, count(*) AS count
             FROM item WHERE outcome IS NOT NULL GROUP BY 1, 2, 3),
         counted AS (
           SELECT chunk AS task, category, count FROM settled
            UNION ALL
           SELECT batch, category, CAST(sum(count) AS bigint) FROM settled GROUP BY 1, 2),
         stored AS (SELECT task, category, count FROM category_count WHERE count <> 0)
    SELECT t.id, d.category
      FROM (SELECT * FROM (SELECT * FROM stored EXCEPT SELECT * FROM counted) a
             UNION ALL
            SELECT * FROM (SELECT * FROM counted EXCEPT SELECT * FROM stored) b) d
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
              AND r.outcome = e.outcome AND r.category IS NOT DISTINCT FROM e.category AND r.late = 0)
     LIMIT 1";

/// The first item whose outcome is not the one of the receipt that it names.
const OUTCOME_WITHOUT_RECEIPT: &str = "
    SELECT t.id, i.key, i.outcome
      FROM item i JOIN task t ON t.row_id = i.chunk
     WHERE i.outcome IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM receipt r
            WHERE r.task = i.chunk AND r.number = i.receipt_number AND r.item_key = i.key
              AND r.outcome = i.outcome AND r.category IS NOT DISTINCT FROM i.category AND r.late = 0)
     LIMIT 1";

/// The first chunk that went on past a checkpoint without an approval. A checkpoint asks after each step but the last, and
/// after the only one (`Checkpoint::asks_after`). `{steps}` stands for the number of steps of batch `b`. Batches without a content hash come from schemas that stored no decisions.
const MISSING_APPROVAL: &str = "
    SELECT id
      FROM (SELECT t.id, c.step_index + CASE WHEN t.status = 'done' THEN 1 ELSE 0 END AS ended_steps,
                   coalesce({steps}, 1) AS steps,
                   (SELECT count(*) FROM receipt r WHERE r.task = c.task AND r.decision = 'approve') AS approvals
              FROM batch b JOIN task p ON p.row_id = b.task JOIN chunk c ON c.batch = b.task
                   JOIN task t ON t.row_id = c.task
             WHERE b.checkpoint <> 'none' AND p.content_hash IS NOT NULL) progress
     WHERE ended_steps > approvals AND (steps - 1 > approvals OR approvals < 1)
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

/// The queries for wrong counts, in the order of [`descriptions`].
const COUNT_SQL: [&str; 8] = [
    WRONG_CHUNK,
    WRONG_BATCH,
    OUTCOME_WITHOUT_RECEIPT,
    EARLIER_WITHOUT_RECEIPT,
    WRONG_PROGRESS,
    WRONG_CATEGORY,
    MISSING_APPROVAL,
    MISSING_HASH,
];

/// Describes the row that a query found.
type Describe<R> = fn(&R) -> Result<String, <R as StoredRow>::Error>;

/// The queries, in the order in which a mismatch is reported: each finds the first one of its kind. `steps_sql` counts the
/// elements of the JSON array `b.steps`.
pub(super) fn queries(steps_sql: &str) -> Vec<String> {
    let counts = COUNT_SQL.iter().map(|sql| sql.replace("{steps}", steps_sql));
    OUT_OF_RANGE.iter().map(|sql| (*sql).to_owned()).chain(counts).collect()
}

/// The message about the row that the query with this index found.
///
/// # Errors
/// If the row cannot be read.
pub(super) fn describe<R: StoredRow>(query: usize, row: &R) -> Result<String, R::Error> {
    match query.checked_sub(OUT_OF_RANGE.len()).and_then(|count| descriptions().get(count).copied()) {
        Some(describe) => describe(row),
        None => out_of_range(row),
    }
}

fn descriptions<R: StoredRow>() -> [Describe<R>; 8] {
    [
        |row| {
            let (id, total, stored): (String, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (settled, with_outcome): (u64, u64) = (row.get(3)?, row.get(4)?);
            Ok(format!(
                "chunk {id}: {stored} of {total} items are there; {with_outcome} have an outcome, {settled} are counted"
            ))
        },
        |row| {
            let (id, chunks, stored): (String, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (total, items): (u64, u64) = (row.get(3)?, row.get(4)?);
            Ok(format!("batch {id}: {stored} of {chunks} chunks are there, with {items} of {total} items"))
        },
        |row| {
            let (id, key, outcome): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(format!("chunk {id}: item '{}' is {outcome}, and no receipt says so", excerpt(&key)))
        },
        |row| {
            let (id, key, outcome): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(format!(
                "chunk {id}: item '{}' was {outcome} in an earlier step, and no receipt says so",
                excerpt(&key)
            ))
        },
        |row| {
            let id: String = row.get(0)?;
            Ok(format!("batch {id}: its progress is not what its chunks add up to"))
        },
        |row| {
            let (id, category): (String, String) = (row.get(0)?, row.get(1)?);
            Ok(format!(
                "task {id}: the count of category '{}' is not the number of its items",
                excerpt(&category)
            ))
        },
        |row| {
            let id: String = row.get(0)?;
            Ok(format!("chunk {id}: it went on past its checkpoint, and no receipt approves it"))
        },
        |row| {
            let id: String = row.get(0)?;
            Ok(format!("task {id}: the hash of its content is missing"))
        },
    ]
}

fn out_of_range<R: StoredRow>(row: &R) -> Result<String, R::Error> {
    let (id, problem): (String, String) = (row.get(0)?, row.get(1)?);
    Ok(format!("task {id}: {problem}"))
}
