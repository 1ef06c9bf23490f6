//! Which chunks of a stored batch take new items.

use std::collections::HashMap;

use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::distribute::{GroupChunks, extended_span};
use crate::model::split::Split;
use crate::model::task::Task;
use crate::store::StoreRead;
use crate::store::pages::for_each_chunk;

/// A chunk that takes new items.
pub(in crate::ops) struct Target {
    /// Its number, if it is stored already.
    pub(in crate::ops) stored: Option<u64>,
    /// How many items it holds.
    pub(in crate::ops) held: u64,
    /// How many it takes.
    pub(in crate::ops) items: u64,
    /// What all its items then have in common.
    pub(in crate::ops) span: String,
}

/// The chunks that take the new items, and the order of the items in them.
pub(in crate::ops) struct ExtensionPlan {
    pub(in crate::ops) targets: Vec<Target>,
    /// The items' places in the order of the targets; none if that is the order of the groups.
    pub(in crate::ops) order: Option<Vec<u32>>,
}

impl ExtensionPlan {
    /// How many chunks the batch has then, if it has `before` now.
    pub(in crate::ops) fn chunks(&self, before: u64) -> u64 {
        before + self.targets.iter().filter(|target| target.stored.is_none()).count() as u64
    }
}

/// Which chunks are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Fill {
    /// Chunks that were never claimed, then new ones.
    OpenChunks,
    /// New chunks only: no claim can come in between.
    NewChunks,
}

/// The plan if no items have to stay together: the items of each group fill chunks of that group.
///
/// # Errors
/// If the store cannot be read.
pub(in crate::ops) fn plan_split(
    tx: &dyn StoreRead,
    batch: &Batch,
    split: &Split,
    groups: &[(String, u64)],
    fill: Fill,
) -> Result<ExtensionPlan> {
    let max_chunk = u64::try_from(batch.max_chunk).unwrap_or(1);
    let mut stored = stored_groups(tx, batch, split, groups)?;
    let mut targets = Vec::new();
    for (label, count) in groups {
        let mut group = stored.remove(label).unwrap_or_default();
        if fill == Fill::NewChunks {
            group.open.clear();
        }
        let shares = group.distribute(*count, max_chunk);
        let mut later = 0;
        for share in shares {
            let span = extended_span(split, label, &share, batch.counts.total, later);
            later += share.items;
            let (stored, held) = share.existing.map_or((None, 0), |open| (Some(open.number), open.items));
            targets.push(Target { stored, held, items: share.items, span });
        }
    }
    Ok(ExtensionPlan { targets, order: None })
}

/// What the batch holds of each of these groups.
///
/// # Errors
/// If the store cannot be read.
pub(in crate::ops) fn stored_groups(
    tx: &dyn StoreRead,
    batch: &Batch,
    split: &Split,
    groups: &[(String, u64)],
) -> Result<HashMap<String, GroupChunks>> {
    let max_chunk = u64::try_from(batch.max_chunk).unwrap_or(1);
    let mut stored: HashMap<String, GroupChunks> =
        groups.iter().map(|(label, _)| (label.clone(), GroupChunks::default())).collect();
    let by_size = *split == Split::Size;
    // Split by size, only the last chunk can grow and still hold consecutive items.
    let after = if by_size { batch.chunk_count.saturating_sub(1) } else { 0 };
    for_each_chunk(tx, batch.row, after, |chunk, task| {
        let group = if by_size { stored.values_mut().next() } else { stored.get_mut(&chunk.span) };
        if let Some(group) = group {
            group.add_chunk(&chunk, &task, max_chunk);
        }
        Ok(true)
    })?;
    Ok(stored)
}

/// A chunk of a batch by its number.
///
/// # Errors
/// If the store cannot be read.
pub(in crate::ops) fn chunk_by_number(
    tx: &dyn StoreRead,
    batch: &Batch,
    number: u64,
) -> Result<(Chunk, Task)> {
    let found = tx.chunks(batch.row, number - 1, 1)?.pop();
    found.ok_or_else(|| Error::new(Code::Internal, format!("chunk {number} of a batch is missing")))
}
