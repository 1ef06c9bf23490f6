//! Storing more items of a batch: chunks that grow, chunks that come new, and all that counts them.

use std::collections::HashMap;

use super::create_batch::PlannedChunk;
use super::each::each_chunk;
use super::fill::{Home, lay, new_chunk};
use super::pieces::Piece;
use super::progress::Tell;
use crate::error::{Code, Error, Result};
use crate::model::batch::Batch;
use crate::model::grow::{Group, Names, Share};
use crate::model::split::{Split, number_width};
use crate::model::task::Task;
use crate::store::{Staging, Write};

/// What a batch took.
pub(super) struct Grown {
    /// Items in all.
    pub(super) items: u64,
    /// Items that lie in new chunks.
    pub(super) in_new_chunks: u64,
    /// How many chunks are new.
    pub(super) new_chunks: u64,
    /// Every chunk that took items, as it stands now.
    pub(super) chunks: Vec<PlannedChunk>,
}

/// Adds all staged items, whose keys must be new, to a batch that is not finished.
pub(super) fn grow(
    tx: &dyn Write,
    task: &Task,
    batch: &Batch,
    split: &Split,
    staging: &mut dyn Staging,
    tell: &Tell,
) -> Result<Grown> {
    let groups = staging.groups()?;
    let items = groups.iter().map(|(_, count)| count).sum::<u64>();
    let mut grown = Grown { items, in_new_chunks: 0, new_chunks: 0, chunks: Vec::new() };
    if items == 0 {
        return Ok(grown);
    }
    let max_chunk = u64::try_from(batch.max_chunk).unwrap_or(1);
    let mut standing = standing(tx, batch, split, &groups, max_chunk)?;
    // As wide as its elders' numbers: an id is never changed.
    let width = number_width(batch.chunks);
    let mut homes = Vec::new();
    for (label, count) in groups {
        let group = standing.remove(&label).unwrap_or_default();
        let shares = group.share(count, max_chunk);
        let fresh = shares.iter().filter(|share| share.into.is_none()).count() as u64;
        let (before, total) = (batch.counts.total, batch.counts.total + items);
        let names = Names { split, label: &label, chunks: group.chunks + fresh, before, total };
        let mut later = 0;
        for share in shares {
            let (span, title) = names.of(&share, later);
            later += share.items;
            let (chunk, number) = match &share.into {
                Some(open) => (enlarge(tx, batch, open.number, &share, &span, &title)?, open.number),
                None => {
                    grown.new_chunks += 1;
                    grown.in_new_chunks += share.items;
                    let number = batch.chunks + grown.new_chunks;
                    let piece = Piece { span: span.clone(), title, items: share.items };
                    let chunk = new_chunk(tx, task, number, width, &piece)?;
                    if batch.paused.is_some() {
                        tx.hold(chunk.row, None)?;
                    }
                    (chunk, number)
                }
            };
            let (id, title) = (Some(chunk.id.to_string()), chunk.title);
            homes.push(Home { chunk: chunk.row, held: share.size() - share.items, items: share.items });
            grown.chunks.push(PlannedChunk { id, number, title, items: share.size(), span });
        }
    }
    staging.each(&mut lay(tx, batch.row, homes, tell))?;
    tx.grow_batch(batch.row, grown.new_chunks, items)?;
    Ok(grown)
}

/// What the batch holds of each of the groups so far.
fn standing(
    tx: &dyn Write,
    batch: &Batch,
    split: &Split,
    groups: &[(String, u64)],
    max_chunk: u64,
) -> Result<HashMap<String, Group>> {
    let mut standing: HashMap<String, Group> =
        groups.iter().map(|(label, _)| (label.clone(), Group::default())).collect();
    let by_size = *split == Split::Size;
    // By size, only the last chunk can grow and still hold one run of items.
    let after = if by_size { batch.chunks.saturating_sub(1) } else { 0 };
    each_chunk(tx, batch.row, after, |chunk, task| {
        let group = if by_size { standing.values_mut().next() } else { standing.get_mut(&chunk.span) };
        if let Some(group) = group {
            group.count(&chunk, &task, max_chunk);
        }
        Ok(true)
    })?;
    Ok(standing)
}

/// Lets a chunk that nobody has claimed hold more.
fn enlarge(
    tx: &dyn Write,
    batch: &Batch,
    number: u64,
    share: &Share,
    span: &str,
    title: &str,
) -> Result<Task> {
    let Some((chunk, task)) = tx.chunks(batch.row, number - 1, 1)?.pop() else {
        return Err(Error::new(Code::Internal, format!("chunk {number} is gone")));
    };
    // A title that a person gave stays.
    let title = if task.title.starts_with(&chunk.span) { title.to_owned() } else { task.title.clone() };
    let after = Task { title, ..task.clone() };
    tx.grow_chunk(after.row, share.items, span)?;
    tx.save_fields(&task, &after)?;
    Ok(after)
}
