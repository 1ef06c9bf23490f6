//! Queries for the hashes, the sizes and the starts of what tasks, batches and chunks contain.

use super::tx::Tx;
use super::value::values;
use crate::error::Result;
use crate::model::body::BodyStart;
use crate::model::content_hash::ContentHash;
use crate::model::task::{RowId, Task};
use crate::store::rows;
use crate::store::rows::StoredRow as _;

/// See [`crate::store::StoreRead::content_hash`].
pub(super) fn content_hash(tx: &Tx<'_>, task: &Task) -> Result<Option<ContentHash>> {
    let sql = if task.is_chunk {
        "SELECT items_hash FROM chunk WHERE task = $1"
    } else {
        "SELECT content_hash FROM task WHERE row_id = $1"
    };
    Ok(tx.first(sql, values![task.row], |row| row.hash(0))?.flatten())
}

/// See [`crate::store::StoreRead::items_bytes`].
pub(super) fn items_bytes(tx: &Tx<'_>, project: Option<Option<&str>>) -> Result<u64> {
    let sum = match project {
        // Reads the index `batch_by_size` only.
        None => tx.first("SELECT coalesce(sum(items_bytes), 0)::bigint FROM batch", values![], |row| row.get(0))?,
        Some(project) => tx.first(
            "SELECT coalesce(sum(b.items_bytes), 0)::bigint FROM batch b JOIN task t ON t.row_id = b.task WHERE t.project IS NOT DISTINCT FROM $1",
            values![project],
            |row| row.get(0),
        )?,
    };
    Ok(sum.unwrap_or(0))
}

/// See [`crate::store::StoreRead::body_start`].
pub(super) fn body_start(tx: &Tx<'_>, row: RowId, chars: usize) -> Result<BodyStart> {
    Ok(tx
        .first(
            "SELECT CASE WHEN r.number IS NULL THEN left(t.initial_text, $2::int) ELSE left(r.text, $2::int) END,
                    r.author, r.author_kind
               FROM task t LEFT JOIN receipt r ON t.initial_text = '' AND r.task = t.row_id AND r.number = 1
              WHERE t.row_id = $1",
            values![row, chars],
            rows::body_start,
        )?
        .unwrap_or_default())
}

/// See [`crate::store::StoreRead::late_receipt_count`].
pub(super) fn late_receipt_count(tx: &Tx<'_>, row: RowId) -> Result<u64> {
    // Reads the index `receipt_late` only.
    let count = "SELECT count(*) FROM receipt WHERE task = $1 AND late = 1";
    Ok(tx.first(count, values![row], |row| row.get(0))?.unwrap_or(0))
}
