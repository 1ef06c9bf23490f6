//! The full-text index of titles, initial texts and receipts. It holds folded text (see [`search_text`]).

use rusqlite::{Connection, Params, params};

use super::rows::sql_error;
use super::tx::Tx;
use crate::error::Result;
use crate::model::search_text;
use crate::model::task::{RowId, Task};

/// After how many new tasks, or receipts, the search index is updated within the writing transaction.
pub(super) const INDEX_INTERVAL: i64 = 1_000;

/// The most tasks, and the most receipts, that one transaction adds to the search index. A large batch has more, and other
/// writers must not wait for all of them.
const INDEX_LIMIT: usize = 2_000;

impl Tx<'_> {
    /// See [`crate::store::StoreWrite::update_search_index`].
    pub(super) fn extend_search_index(&self) -> Result<bool> {
        let (task, receipt): (RowId, RowId) = self
            .first("SELECT last_task, last_receipt FROM search_progress", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .unwrap_or_default();
        let tasks = self.index_rows(
            "SELECT row_id, title, initial_text FROM task WHERE row_id > ?1 ORDER BY row_id LIMIT ?2",
            params![task, INDEX_LIMIT],
            "INSERT INTO task_text (rowid, title, initial_text) VALUES (?1, ?2, ?3)",
        )?;
        let receipts = self.index_rows(
            "SELECT row_id, text FROM receipt WHERE row_id > ?1 ORDER BY row_id LIMIT ?2",
            params![receipt, INDEX_LIMIT],
            "INSERT INTO receipt_text (rowid, text) VALUES (?1, ?2)",
        )?;
        if tasks.count + receipts.count > 0 {
            self.execute(
                "UPDATE search_progress SET last_task = ?1, last_receipt = ?2",
                params![tasks.last.unwrap_or(task), receipts.last.unwrap_or(receipt)],
            )?;
        }
        Ok(tasks.count.max(receipts.count) < INDEX_LIMIT)
    }

    /// Replaces a task's texts in the index. A task that is not in the index yet is added later, with its new title.
    pub(super) fn reindex_task(&self, task: &Task) -> Result<()> {
        self.index_rows(
            "SELECT row_id, title, initial_text FROM task
              WHERE row_id = ?1 AND row_id <= (SELECT last_task FROM search_progress)",
            [task.row],
            "INSERT OR REPLACE INTO task_text (rowid, title, initial_text) VALUES (?1, ?2, ?3)",
        )?;
        Ok(())
    }

    /// Adds the folded texts of the rows that `select` returns. Texts are long, so only one row is in memory.
    fn index_rows(&self, select: &str, which: impl Params, insert: &str) -> Result<Indexed> {
        copy_folded(self.connection, select, which, insert)
            .map_err(|error| sql_error("the search index could not be written", error))
    }
}

/// What was added to the index.
struct Indexed {
    count: usize,
    /// The last row that was added.
    last: Option<RowId>,
}

/// Runs `insert` with each row of `select`: the first column is the row's number, the others are texts to be folded.
fn copy_folded(
    connection: &Connection,
    select: &str,
    which: impl Params,
    insert: &str,
) -> rusqlite::Result<Indexed> {
    let mut select = connection.prepare_cached(select)?;
    let mut insert = connection.prepare_cached(insert)?;
    let columns = select.column_count();
    let mut rows = select.query(which)?;
    let mut indexed = Indexed { count: 0, last: None };
    while let Some(row) = rows.next()? {
        let number: RowId = row.get(0)?;
        indexed = Indexed { count: indexed.count + 1, last: Some(number) };
        insert.raw_bind_parameter(1, number)?;
        for column in 1..columns {
            let folded = search_text::fold(row.get_ref(column)?.as_str()?);
            insert.raw_bind_parameter(column + 1, folded)?;
        }
        insert.raw_execute()?;
    }
    Ok(indexed)
}
