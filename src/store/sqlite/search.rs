//! Full-text search over titles, initial texts and receipts (FTS5).

use rusqlite::params;

use super::rows::{self, task_columns};
use super::tx::Tx;
use crate::error::Result;
use crate::model::task::Task;
use crate::store::TaskFilter;

/// The most matches that a search ranks.
const RANKED: u64 = 1_000;

/// Best match first. Ranking reads every match, so this query is for rare words only.
const BEST_FIRST: &str = concat!(
    "WITH hit(row_id, rank) AS (
                   SELECT rowid, bm25(task_text, 4.0, 1.0) FROM task_text WHERE task_text MATCH ?1
                   UNION ALL
                   SELECT (SELECT r.task FROM receipt r WHERE r.row_id = receipt_text.rowid), bm25(receipt_text)
                     FROM receipt_text WHERE receipt_text MATCH ?1)
                 SELECT ",
    task_columns!(),
    " FROM (SELECT row_id, min(rank) AS rank FROM hit GROUP BY row_id) h JOIN task t ON t.row_id = h.row_id
                  WHERE (?2 IS NULL OR t.project = ?2) AND (?3 IS NULL OR t.status = ?3)
                  ORDER BY h.rank, t.row_id LIMIT ?4"
);

/// Newest task first, for words that are in many tasks.
const NEWEST_FIRST: &str = concat!(
                "WITH title(row_id) AS (
                   SELECT f.rowid FROM task_text f CROSS JOIN task t ON t.row_id = f.rowid
                    WHERE task_text MATCH ?1 AND (?2 IS NULL OR t.project = ?2) AND (?3 IS NULL OR t.status = ?3)
                    ORDER BY f.rowid DESC LIMIT ?4),
                 latest(row_id) AS (
                   SELECT DISTINCT r.task FROM (SELECT rowid AS row_id FROM receipt_text WHERE receipt_text MATCH ?1
                                                 ORDER BY rowid DESC LIMIT 100 * ?4) f
                     CROSS JOIN receipt r ON r.row_id = f.row_id CROSS JOIN task t ON t.row_id = r.task
                    WHERE (?2 IS NULL OR t.project = ?2) AND (?3 IS NULL OR t.status = ?3))
                 SELECT ",
                task_columns!(),
                " FROM task t WHERE t.row_id IN (SELECT row_id FROM title UNION SELECT row_id FROM latest) ORDER BY t.row_id DESC LIMIT ?4"
            );

impl Tx<'_> {
    /// How many tasks and receipts match, counted up to [`RANKED`] each.
    fn count_matches(&self, query: &str) -> Result<u64> {
        let matches = self.first(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM task_text WHERE task_text MATCH ?1 LIMIT ?2))
                  + (SELECT count(*) FROM (SELECT 1 FROM receipt_text WHERE receipt_text MATCH ?1 LIMIT ?2))",
            params![query, RANKED],
            |row| row.get::<_, u64>(0),
        )?;
        Ok(matches.unwrap_or(0))
    }

    /// See [`crate::store::StoreRead::search`].
    pub(super) fn search_text(
        &self,
        words: &[String],
        filter: &TaskFilter,
        limit: usize,
    ) -> Result<Vec<Task>> {
        // Prefixes are searched only if the words themselves are rare: SQLite reads every match of a prefix before
        // it returns the first one.
        // A folded word contains no quotation mark, and within them FTS5 knows no operators.
        let quoted = |end: &str| -> String { words.iter().map(|word| format!("\"{word}\"{end} ")).collect() };
        let mut query = quoted("");
        if self.count_matches(&query)? < RANKED {
            query = quoted("*");
        }
        let sql = if self.count_matches(&query)? < RANKED { BEST_FIRST } else { NEWEST_FIRST };
        let status = filter.status.map(|status| status.as_str());
        self.all(sql, params![query, filter.project, status, limit], |row| rows::task(row))
    }
}
