//! Ids for completion: those that start with a prefix, and the one that a caller probably meant.

use super::tx::Tx;
use super::value::values;
use crate::error::Result;
use crate::model::id::TaskId;

const BATCHES: &str = "SELECT t.id FROM batch b JOIN task t ON t.row_id = b.task
  WHERE starts_with(t.id, $1) ORDER BY b.task DESC LIMIT $2";
const NEWEST: &str = "SELECT id FROM task WHERE $1 = '' ORDER BY row_id DESC LIMIT $2";
/// '{' sorts after every character of an id, so the index limits the range on both sides.
const RANGE: &str = "SELECT id FROM task WHERE id >= $1 AND id < $1 || '{' ORDER BY id LIMIT $2";

/// See [`crate::store::StoreRead::ids_with_prefix`].
pub(super) fn ids_with_prefix(
    tx: &Tx<'_>,
    prefix: &str,
    only_batches: bool,
    limit: usize,
) -> Result<Vec<TaskId>> {
    let sql = match (only_batches, prefix) {
        (true, _) => BATCHES,
        (false, "") => NEWEST,
        (false, _) => RANGE,
    };
    tx.all(sql, values![prefix, limit], |row| crate::store::rows::task_id(row, 0))
}
