//! Iteration over all chunks of a batch or all items of a chunk, one page at a time.

use super::StoreRead;
use crate::error::Result;
use crate::model::batch::{Chunk, StoredItem};
use crate::model::limits::PAGE_ROWS;
use crate::model::task::{RowId, Task};

/// How many open items of a chunk are read at once: each may be large.
pub(crate) const OPEN_ITEMS_AT_ONCE: usize = 20;

/// Calls `visit` with each chunk of a batch whose number is greater than `after`, in order, until `visit` returns
/// `false`.
///
/// # Errors
/// The error of `visit`, or if the store cannot be read.
pub(crate) fn for_each_chunk(
    tx: &dyn StoreRead,
    batch: RowId,
    mut after: u64,
    mut visit: impl FnMut(Chunk, Task) -> Result<bool>,
) -> Result<()> {
    loop {
        let page = tx.chunks(batch, after, PAGE_ROWS)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = last.number;
        for (chunk, task) in page {
            if !visit(chunk, task)? {
                return Ok(());
            }
        }
    }
}

/// Calls `visit` with each item of a chunk, in order.
///
/// # Errors
/// The error of `visit`, or if the store cannot be read.
pub(crate) fn for_each_item(
    tx: &dyn StoreRead,
    chunk: RowId,
    mut visit: impl FnMut(StoredItem) -> Result<()>,
) -> Result<()> {
    for_each_page_of_items(tx, chunk, |page| page.into_iter().try_for_each(&mut visit))
}

/// Calls `visit` with all items of a chunk, in order, a page at a time.
///
/// # Errors
/// The error of `visit`, or if the store cannot be read.
pub(crate) fn for_each_page_of_items(
    tx: &dyn StoreRead,
    chunk: RowId,
    mut visit: impl FnMut(Vec<StoredItem>) -> Result<()>,
) -> Result<()> {
    let mut after = 0;
    loop {
        let page = tx.items(chunk, after, PAGE_ROWS, false)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.position;
        visit(page)?;
    }
}
