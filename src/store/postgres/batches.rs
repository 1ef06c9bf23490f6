//! Queries for the progress of batches: holds, pauses, steps, items in doubt.

use super::statement::Statement;
use super::tx::{Change, Tx, now};
use super::value::values;
use crate::error::Result;
use crate::model::batch::{Chunk, EarlierOutcome, MAX_BACKOFF_SECONDS, StoredItem};
use crate::model::cost::{CostGroup, CostSum};
use crate::model::id::TaskId;
use crate::model::in_doubt::StartedReport;
use crate::model::limits::MAX_LEASE_AHEAD_SECONDS;
use crate::model::status::Outcome;
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;
use crate::store::rows::StoredRow as _;
use crate::store::rows::{self, item_columns};
use crate::store::{BatchRead, BatchWrite, ItemSelection};

/// The condition for selected items of chunk `$1`: categories `$2`, keys `$3`. An empty list selects all.
macro_rules! selected_items {
    () => {
        "chunk = $1 AND (cardinality($2) = 0 OR coalesce(category, outcome) = ANY($2))
                    AND (cardinality($3) = 0 OR key = ANY($3))"
    };
}

impl Tx<'_> {
    /// Clears the outcomes of selected items of the chunk's step that meet `condition`, and subtracts them from the
    /// counts. Returns how many there were.
    fn clear_outcomes(&self, chunk: &Chunk, selection: &ItemSelection, condition: &str) -> Result<u64> {
        let items = format!(
            concat!(selected_items!(), " AND step_index = $4 AND outcome IS NOT NULL AND {}"),
            condition
        );
        let (categories, keys) = (selection.categories.as_slice(), selection.keys.as_slice());
        let counts = self.all(
            format!(
                "SELECT outcome, coalesce(category, outcome), count(*) FROM item WHERE {items} GROUP BY 1, 2"
            ),
            values![chunk.row, categories, keys, chunk.step],
            |row| Ok((rows::word::<Outcome, _>(row, 0)?, row.get::<String>(1)?, row.get::<i64>(2)?)),
        )?;
        if !counts.is_empty() {
            // What fails from now on is new.
            self.set_accepted_failures(chunk.batch_row, 0)?;
        }
        let mut cleared = 0;
        for (outcome, name, count) in counts {
            self.add_to_counts(chunk, outcome, &name, -count);
            cleared += count.unsigned_abs();
        }
        self.write(
            format!("UPDATE item SET outcome = NULL, category = NULL, receipt_number = NULL WHERE {items}"),
            values![chunk.row, categories, keys, chunk.step],
        );
        Ok(cleared)
    }
}

impl BatchRead for Tx<'_> {
    fn has_workable_chunk(&self, batch: RowId) -> Result<bool> {
        let chunk = self.first(
            "SELECT 1 FROM task WHERE parent = $1 AND queue_state IN ('ready', 'not_ready', 'in_progress') LIMIT 1",
            values![batch],
            |_| Ok(()),
        )?;
        Ok(chunk.is_some())
    }

    fn lowest_open_step(&self, batch: RowId) -> Result<Option<usize>> {
        let step = self.first(
            "SELECT min(c.step_index) FROM chunk c JOIN task t ON t.row_id = c.task
              WHERE c.batch = $1 AND t.status NOT IN ('done', 'failed', 'rejected', 'cancelled')",
            values![batch],
            |row| row.get(0),
        )?;
        Ok(step.flatten())
    }

    fn next_hold_expiry(&self) -> Result<Option<Timestamp>> {
        let ends = self.first(
            "SELECT min(held_until), max(held_until) FROM task WHERE held_until IS NOT NULL",
            values![],
            |row| Ok((row.get::<Option<i64>>(0)?, row.get::<Option<i64>>(1)?)),
        )?;
        let Some((Some(first), Some(last))) = ends else { return Ok(None) };
        // The clock was set back since such a hold was written: it has to be released at once.
        let latest = self.now().saturating_add_secs(MAX_BACKOFF_SECONDS);
        let is_stranded = Timestamp::from_millis(last) > latest;
        Ok(Some(if is_stranded { self.now() } else { Timestamp::from_millis(first) }))
    }

    fn earlier_outcomes(&self, chunk: RowId, position: u64) -> Result<Vec<EarlierOutcome>> {
        self.all(
            "SELECT step_index, outcome, category FROM earlier_outcome
              WHERE chunk = $1 AND position = $2 ORDER BY step_index",
            values![chunk, position],
            |row| {
                Ok(EarlierOutcome { step: row.get(0)?, outcome: rows::word(row, 1)?, category: row.get(2)? })
            },
        )
    }

    fn count_in_doubt(&self, batch: RowId) -> Result<u64> {
        // The same rule as `model::in_doubt::is_in_doubt`: an item started under a live claim is not in doubt.
        let count = self.first(
            concat!(
                "SELECT count(*) FROM item i JOIN task t ON t.row_id = i.chunk
                  WHERE i.batch = $1 AND i.started_receipt IS NOT NULL
                    AND NOT (t.status = 'in_progress' AND t.generation = i.started_generation
                             AND t.expires_at > ",
                now!(),
                " AND t.expires_at <= ",
                now!(),
                " + $2)"
            ),
            values![batch, MAX_LEASE_AHEAD_SECONDS * 1_000],
            |row| row.get(0),
        )?;
        Ok(count.unwrap_or(0))
    }

    fn count_failed_chunks(&self, batch: RowId) -> Result<u64> {
        let count = self.first(
            "SELECT count(*) FROM task WHERE parent = $1 AND queue_state IN ('failed', 'blocked')",
            values![batch],
            |row| row.get(0),
        )?;
        Ok(count.unwrap_or(0))
    }

    fn count_begun(&self, batch: RowId) -> Result<u64> {
        let count = self.first(
            "SELECT count(*) FROM item i WHERE i.batch = $1 AND i.started_receipt IS NOT NULL",
            values![batch],
            |row| row.get(0),
        )?;
        Ok(count.unwrap_or(0))
    }

    fn batches_with_begun_items(&self, limit: usize) -> Result<Vec<(TaskId, u64)>> {
        self.all(
            "SELECT t.id, count(*) FROM item i JOIN task t ON t.row_id = i.batch
              WHERE i.started_receipt IS NOT NULL GROUP BY i.batch, t.id ORDER BY i.batch LIMIT $1",
            values![limit],
            |row| Ok((rows::task_id(row, 0)?, row.get(1)?)),
        )
    }

    fn started_items(&self, chunk: &Chunk) -> Result<Vec<StoredItem>> {
        if let Some(started) = self.known_started(chunk.row)? {
            return Ok(started);
        }
        self.all(
            concat!(
                "SELECT ",
                item_columns!(),
                " FROM item i
                  WHERE i.batch = $1 AND i.chunk = $2 AND i.started_receipt IS NOT NULL ORDER BY i.position"
            ),
            values![chunk.batch_row, chunk.row],
            rows::item,
        )
    }

    fn cost_totals(&self, row: RowId) -> Result<Vec<(CostGroup, String, CostSum)>> {
        self.read_cost_totals(row)
    }
}

impl BatchWrite for Tx<'_> {
    fn add_hold(&self, row: RowId, until: Option<Timestamp>) -> Result<()> {
        let change_number = self.next_change_number();
        self.write(
            "UPDATE task SET hold_count = hold_count + 1, blocker_count = blocker_count + 1,
                    held_until = coalesce($2, held_until), change_number = $3
              WHERE row_id = $1",
            values![row, until.map(|until| until.millis()), change_number],
        );
        Ok(())
    }

    fn release_holds(&self, row: RowId) -> Result<()> {
        let change_number = self.next_change_number();
        self.write(
            "UPDATE task SET blocker_count = blocker_count - hold_count, hold_count = 0, held_until = NULL, change_number = $2
              WHERE row_id = $1 AND hold_count > 0",
            values![row, change_number],
        );
        Ok(())
    }

    fn release_expired_holds(&self) -> Result<usize> {
        let due = self.all(
            concat!(
                "SELECT row_id FROM task WHERE held_until <= ",
                now!(),
                " UNION ALL SELECT row_id FROM task WHERE held_until > ",
                now!(),
                " + $1"
            ),
            values![MAX_BACKOFF_SECONDS * 1_000],
            |row| row.get::<RowId>(0),
        )?;
        for row in &due {
            let change_number = self.next_change_number();
            self.write(
                "UPDATE task SET blocker_count = blocker_count - 1, hold_count = hold_count - 1, held_until = NULL, change_number = $2
                  WHERE row_id = $1",
                values![row, change_number],
            );
        }
        Ok(due.len())
    }

    fn pause_batch(&self, batch: RowId, reason: &str) -> Result<()> {
        self.write("UPDATE batch SET pause_reason = $2 WHERE task = $1", values![batch, reason]);
        // The chunks get no change number: readers of changes learn of the pause from the batch.
        self.write(
            "UPDATE task SET hold_count = hold_count + 1, blocker_count = blocker_count + 1
              WHERE parent = $1 AND status = 'active' AND role = 'chunk'",
            values![batch],
        );
        Ok(())
    }

    fn resume_batch(&self, batch: RowId) -> Result<()> {
        self.write(
            "UPDATE batch SET pause_reason = NULL, failures_at_resume = items_failed WHERE task = $1",
            values![batch],
        );
        self.write(
            "UPDATE task SET hold_count = hold_count - 1, blocker_count = blocker_count - 1
              WHERE parent = $1 AND status = 'active' AND role = 'chunk' AND hold_count > 0",
            values![batch],
        );
        Ok(())
    }

    fn set_accepted_generation(&self, chunk: RowId, generation: u64) -> Result<()> {
        self.write_known(
            &["chunk"],
            Statement::with(
                "UPDATE chunk SET accepted_generation = $2 WHERE task = $1",
                values![chunk, generation],
            ),
        );
        self.kept().accepted(chunk, generation);
        Ok(())
    }

    fn advance_chunk(&self, chunk: &Chunk, to: usize, only: &[String]) -> Result<u64> {
        let selection = ItemSelection { categories: only.to_vec(), keys: Vec::new() };
        self.write(
            concat!(
                "INSERT INTO earlier_outcome (chunk, position, step_index, outcome, category, receipt_number)
                 SELECT chunk, position, step_index, outcome, category, receipt_number FROM item
                  WHERE ",
                selected_items!(),
                " AND step_index = $4 AND outcome = 'done'
                 ON CONFLICT (chunk, position, step_index) DO UPDATE SET outcome = excluded.outcome,
                    category = excluded.category, receipt_number = excluded.receipt_number"
            ),
            values![chunk.row, only, Vec::<String>::new(), chunk.step],
        );
        let opened = self.clear_outcomes(chunk, &selection, "outcome = 'done'")?;
        if opened == 0 {
            return Ok(0);
        }
        self.write(
            "UPDATE item SET step_index = $2 WHERE chunk = $1 AND step_index = $3 AND outcome IS NULL",
            values![chunk.row, to, chunk.step],
        );
        self.write(
            "UPDATE chunk SET step_index = $2, review_note = '' WHERE task = $1",
            values![chunk.row, to],
        );
        Ok(opened)
    }

    fn reopen_items(&self, chunk: &Chunk, selection: &ItemSelection) -> Result<u64> {
        self.clear_outcomes(chunk, selection, "TRUE")
    }

    fn reopen_failed_items(&self, chunk: &Chunk, selection: &ItemSelection) -> Result<u64> {
        // A worker gets items of one step only: that of the open items, or else the first with a failed item.
        let step: Option<Option<usize>> = self.first(
            concat!(
                "SELECT coalesce((SELECT step_index FROM item WHERE chunk = $1 AND outcome IS NULL LIMIT 1),
                               (SELECT min(step_index) FROM item WHERE ",
                selected_items!(),
                " AND outcome = 'failed'))"
            ),
            values![chunk.row, selection.categories.as_slice(), selection.keys.as_slice()],
            |row| row.get(0),
        )?;
        let Some(step) = step.flatten() else { return Ok(0) };
        self.write("UPDATE chunk SET step_index = $2 WHERE task = $1", values![chunk.row, step]);
        self.clear_outcomes(&Chunk { step, ..chunk.clone() }, selection, "outcome = 'failed'")
    }

    fn mark_started(&self, item: &StoredItem, started: StartedReport) -> Result<()> {
        let StartedReport { receipt, generation } = started;
        self.change(Change::Start { chunk: item.chunk_row, position: item.position, receipt, generation });
        self.kept().item_started(item, started);
        Ok(())
    }

    fn clear_started(&self, chunk: &Chunk, generation: Option<u64>) -> Result<()> {
        self.write(
            "UPDATE item SET started_receipt = NULL, started_generation = NULL
              WHERE chunk = $1 AND started_receipt IS NOT NULL AND ($2 IS NULL OR started_generation = $2)",
            values![chunk.row, generation],
        );
        Ok(())
    }

    fn clear_item_started(&self, item: &StoredItem) -> Result<()> {
        self.write(
            "UPDATE item SET started_receipt = NULL, started_generation = NULL WHERE chunk = $1 AND position = $2",
            values![item.chunk_row, item.position],
        );
        Ok(())
    }

    fn add_release_reason(&self, chunk: RowId, reason: &str) -> Result<()> {
        self.write(
            "UPDATE chunk SET release_reasons = right(release_reasons || $2 || chr(10), 2000) WHERE task = $1",
            values![chunk, reason],
        );
        Ok(())
    }

    fn set_review_note(&self, chunk: RowId, note: &str) -> Result<()> {
        self.write("UPDATE chunk SET review_note = $2 WHERE task = $1", values![chunk, note]);
        Ok(())
    }

    fn set_accepted_failures(&self, batch: RowId, count: u64) -> Result<()> {
        self.write("UPDATE batch SET accepted_failures = $2 WHERE task = $1", values![batch, count]);
        Ok(())
    }

    fn set_max_parallel(&self, batch: RowId, max_parallel: i64) -> Result<()> {
        self.write("UPDATE batch SET max_parallel = $2 WHERE task = $1", values![batch, max_parallel]);
        Ok(())
    }

    fn set_approvals_in_a_row(&self, batch: RowId, approvals: u64) -> Result<()> {
        self.write("UPDATE batch SET approvals_in_a_row = $2 WHERE task = $1", values![batch, approvals]);
        Ok(())
    }
}
