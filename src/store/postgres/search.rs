//! Full-text search over titles, initial texts and receipts.

use super::search_text::search_query;
use super::tx::Tx;
use super::value::values;
use crate::error::Result;
use crate::model::task::Task;
use crate::store::TaskFilter;
use crate::store::rows::{self, StoredRow as _, task_columns};

/// The most matches that a search ranks.
const RANKED: u64 = 1_000;

/// Best match first. Ranking reads every match, so this query is for rare words only.
const BEST_FIRST: &str = concat!(
    "WITH hit (row_id, rank) AS (
         SELECT row_id, ts_rank(search, $1::text::tsquery) FROM task WHERE search @@ $1::text::tsquery
         UNION ALL
         SELECT task, ts_rank(search, $1::text::tsquery) FROM receipt WHERE search @@ $1::text::tsquery)
     SELECT ",
    task_columns!(),
    " FROM (SELECT row_id, max(rank) AS rank FROM hit GROUP BY row_id) h JOIN task t ON t.row_id = h.row_id
      WHERE ($2 IS NULL OR t.project = $2) AND ($3 IS NULL OR t.status = $3)
      ORDER BY h.rank DESC, t.row_id LIMIT $4"
);

/// Newest task first, for words that are in many tasks.
const NEWEST_FIRST: &str = concat!(
    "SELECT ",
    task_columns!(),
    " FROM task t
      WHERE ($2 IS NULL OR t.project = $2) AND ($3 IS NULL OR t.status = $3)
        AND (t.search @@ $1::text::tsquery
             OR EXISTS (SELECT 1 FROM receipt r WHERE r.task = t.row_id AND r.search @@ $1::text::tsquery))
      ORDER BY t.row_id DESC LIMIT $4"
);

impl Tx<'_> {
    /// How many tasks and receipts match, counted up to [`RANKED`] each.
    fn count_matches(&self, query: &str) -> Result<u64> {
        let matches = self.first(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM task WHERE search @@ $1::text::tsquery LIMIT $2) a)
                  + (SELECT count(*) FROM (SELECT 1 FROM receipt WHERE search @@ $1::text::tsquery LIMIT $2) b)",
            values![query, RANKED],
            |row| row.get::<u64>(0),
        )?;
        Ok(matches.unwrap_or(0))
    }

    /// See [`crate::store::StoreRead::search`].
    pub(super) fn search_tasks(
        &self,
        words: &[String],
        filter: &TaskFilter,
        limit: usize,
    ) -> Result<Vec<Task>> {
        if words.is_empty() {
            return Ok(Vec::new());
        }
        // Prefixes are searched only if the words themselves are rare.
        let mut query = search_query(words, false);
        if self.count_matches(&query)? < RANKED {
            query = search_query(words, true);
        }
        let sql = if self.count_matches(&query)? < RANKED { BEST_FIRST } else { NEWEST_FIRST };
        let status = filter.status.map(|status| status.as_str());
        self.all(sql, values![query, &filter.project, status, limit], rows::task)
    }
}
