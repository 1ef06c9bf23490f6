//! The category that an item keeps from the step before.

use crate::error::Result;
use crate::model::batch::{Chunk, StoredItem};
use crate::store::StoreRead;

/// The category that an item got in the step before: it keeps it, unless the report names another one.
pub(in crate::ops) fn earlier_category(
    tx: &dyn StoreRead,
    chunk: &Chunk,
    item: &StoredItem,
) -> Result<Option<String>> {
    if chunk.step == 0 {
        return Ok(None);
    }
    let mut earlier = tx.earlier_outcomes(chunk.row, item.position)?.into_iter();
    Ok(earlier.rfind(|earlier| earlier.step < chunk.step).and_then(|earlier| earlier.category))
}
