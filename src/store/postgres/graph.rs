//! Queries that follow dependencies and parents.

use super::tx::Tx;
use super::value::values;
use crate::error::Result;
use crate::model::task::{RowId, Task};
use crate::store::StoreRead;
use crate::store::rows::StoredRow as _;

impl Tx<'_> {
    /// See [`StoreRead::stranded_tasks`].
    pub(super) fn find_stranded_tasks(
        &self,
        project: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(Task, Task)>> {
        let found = self.all(
            "SELECT DISTINCT t.row_id, ended.row_id
               FROM task ended JOIN dependency d ON d.depends_on = ended.row_id AND d.soft = 0
                    JOIN task t ON t.row_id = d.task
              WHERE ended.queue_state IN ('cancelled', 'failed', 'rejected')
                AND t.queue_state NOT IN ('done', 'cancelled', 'failed', 'rejected')
                AND ($1 IS NULL OR t.project = $1)
              ORDER BY t.row_id DESC LIMIT $2",
            values![project, limit],
            |row| Ok((row.get::<RowId>(0)?, row.get::<RowId>(1)?)),
        )?;
        found.into_iter().map(|(row, ended)| Ok((self.task_by_row(row)?, self.task_by_row(ended)?))).collect()
    }

    /// See [`StoreRead::depends_transitively`].
    pub(super) fn reaches(&self, from: RowId, to: RowId) -> Result<bool> {
        Ok(self
            .first(
                "WITH RECURSIVE reached(row_id) AS (
                   SELECT $1 UNION SELECT next.row_id FROM reached r CROSS JOIN LATERAL (
                       SELECT d.depends_on AS row_id FROM dependency d WHERE d.task = r.row_id
                       UNION ALL
                       SELECT t.row_id FROM task t WHERE t.parent = r.row_id AND t.role <> 'chunk' AND NOT EXISTS (
                              SELECT 1 FROM dependency d WHERE d.task = t.row_id AND d.depends_on = r.row_id)) next)
                 SELECT 1 FROM reached WHERE row_id = $2",
                values![from, to],
                |_| Ok(()),
            )?
            .is_some())
    }

    /// See [`StoreRead::is_self_or_descendant`].
    pub(super) fn is_below(&self, task: RowId, ancestor: RowId) -> Result<bool> {
        Ok(self
            .first(
                "WITH RECURSIVE chain(row_id) AS (
                   SELECT $1 UNION SELECT t.parent FROM task t JOIN chain c ON t.row_id = c.row_id WHERE t.parent IS NOT NULL)
                 SELECT 1 FROM chain WHERE row_id = $2",
                values![task, ancestor],
                |_| Ok(()),
            )?
            .is_some())
    }
}
