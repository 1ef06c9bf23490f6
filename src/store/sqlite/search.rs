//! Full text, in SQL.

use rusqlite::params;

use super::rows::{self, task_columns};
use super::tx::Tx;
use crate::error::Result;
use crate::model::task::Task;
use crate::store::TaskFilter;

/// The most hits that a search ranks.
const RANKED: u64 = 1_000;

/// A search's tasks, best first; only what is in few tasks can be ranked.
const BEST: &str = concat!(
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

/// A search's tasks, newest first.
const NEWEST: &str = concat!(
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
    /// In how many titles and receipts a search finds something, as far as it matters.
    fn hits(&self, wanted: &str) -> Result<u64> {
        let hits = self.first(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM task_text WHERE task_text MATCH ?1 LIMIT ?2))
                  + (SELECT count(*) FROM (SELECT 1 FROM receipt_text WHERE receipt_text MATCH ?1 LIMIT ?2))",
            params![wanted, RANKED],
            |row| row.get::<_, u64>(0),
        )?;
        Ok(hits.unwrap_or(0))
    }

    /// See [`crate::store::StoreRead::search`].
    pub(super) fn full_text(&self, words: &[String], filter: &TaskFilter, limit: usize) -> Result<Vec<Task>> {
        // Beginnings are looked for only where the words themselves are rare: SQLite reads all that
        // a beginning leads to before it gives the first.
        let quoted = |end: &str| -> String { words.iter().map(|word| format!("\"{word}\"{end} ")).collect() };
        let mut wanted = quoted("");
        if self.hits(&wanted)? < RANKED {
            wanted = quoted("*");
        }
        // Ranking reads every hit: words that are everywhere are answered newest first instead.
        let sql = if self.hits(&wanted)? < RANKED { BEST } else { NEWEST };
        let status = filter.status.map(|status| status.as_str());
        self.all(sql, params![wanted, filter.project, status, limit], rows::task)
    }
}
