//! Ids that begin with what somebody has typed so far, in SQL.

use rusqlite::params;

use super::tx::Tx;
use crate::error::Result;
use crate::model::id::TaskId;

const BATCHES: &str = "SELECT t.id FROM batch b JOIN task t ON t.row_id = b.task
  WHERE substr(t.id, 1, length(?1)) = ?1 ORDER BY b.task DESC LIMIT ?2";
const NEWEST: &str = "SELECT id FROM task WHERE ?1 = '' ORDER BY row_id DESC LIMIT ?2";
/// '{' comes after every character of an id, so that the index gives the range.
const RANGE: &str = "SELECT id FROM task WHERE id >= ?1 AND id < ?1 || '{' ORDER BY id LIMIT ?2";

/// See [`crate::store::StoreRead::ids`].
pub(super) fn ids(tx: &Tx<'_>, beginning: &str, only_batches: bool, limit: usize) -> Result<Vec<TaskId>> {
    let sql = match (only_batches, beginning) {
        (true, _) => BATCHES,
        (false, "") => NEWEST,
        (false, _) => RANGE,
    };
    tx.all(sql, params![beginning, limit], |row| row.get(0).map(TaskId::stored))
}
