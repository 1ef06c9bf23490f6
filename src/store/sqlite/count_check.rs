//! Comparison of the stored counts with the rows they count.

use super::tx::Tx;
use crate::error::Result;
use crate::store::count_check::{describe, queries};

/// See [`crate::store::StoreRead::first_count_mismatch`].
pub(super) fn first_count_mismatch(tx: &Tx<'_>) -> Result<Option<String>> {
    for (query, sql) in queries("json_array_length(b.steps)").into_iter().enumerate() {
        let mismatch = tx.first(&sql, [], |row| describe(query, row))?;
        if mismatch.is_some() {
            return Ok(mismatch);
        }
    }
    Ok(None)
}
