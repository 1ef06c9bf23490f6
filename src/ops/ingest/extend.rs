//! Storing more items of a batch: chunks that grow, chunks that come new, and all that counts them.

use std::collections::HashMap;

use super::chunk_plan::Piece;
use super::insert::{Placement, lay, new_chunk};
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::conflict::OnConflict;
use crate::model::extend::{ChunkNames, GroupChunks};
use crate::model::split::{Split, number_width};
use crate::model::task::Task;
use crate::ops::conflicts::detect::{Independence, Takers};
use crate::ops::conflicts::outcome::Conflict;
use crate::ops::create_batch::PlannedChunk;
use crate::ops::request::progress::ProgressReporter;
use crate::store::pages::for_each_chunk;
use crate::store::{Staging, StoreWrite};

/// What a batch took.
pub(in crate::ops) struct Grown {
    /// Items in all.
    pub(in crate::ops) items: u64,
    /// Items that lie in new chunks.
    pub(in crate::ops) in_new_chunks: u64,
    /// How many chunks are new.
    pub(in crate::ops) new_chunks: u64,
    /// Every chunk that took items, as it stands now.
    pub(in crate::ops) chunks: Vec<PlannedChunk>,
    /// How many of them share something.
    pub(in crate::ops) found: Conflict,
}

/// A chunk that takes new items.
pub(in crate::ops) struct Place {
    /// The number of the one that is there; none for a new one.
    pub(in crate::ops) into: Option<u64>,
    /// How many items it has.
    pub(in crate::ops) held: u64,
    /// How many it takes.
    pub(in crate::ops) items: u64,
    /// What all of them then have in common.
    pub(in crate::ops) span: String,
    /// Its title then.
    pub(in crate::ops) title: String,
}

/// Where new items go.
pub(in crate::ops) struct Places {
    pub(in crate::ops) all: Vec<Place>,
    /// The items by their places in the order of the groups, from 0; none where that is their order.
    pub(in crate::ops) order: Option<Vec<u32>>,
}

/// Adds all staged items, whose keys must be new, to a batch that is not finished.
///
/// # Errors
/// `conflict` by the batch's rule.
pub(in crate::ops) fn grow(
    tx: &dyn StoreWrite,
    task: &Task,
    batch: &Batch,
    split: &Split,
    staging: &mut dyn Staging,
    mut independence: Option<Independence>,
    tell: &ProgressReporter,
) -> Result<Grown> {
    let groups = staging.groups()?;
    let items = groups.iter().map(|(_, count)| count).sum::<u64>();
    let mut grown =
        Grown { items, in_new_chunks: 0, new_chunks: 0, chunks: Vec::new(), found: Conflict::default() };
    if items == 0 {
        return Ok(grown);
    }
    let places = match &mut independence {
        Some(independence) if batch.on_conflict == Some(OnConflict::Merge) => {
            super::extend_merged::places(tx, batch, split, &groups, independence)?
        }
        other => {
            let places = places(tx, batch, split, &groups)?;
            if let Some(independence) = other {
                independence.chunk_of = Vec::new();
                for (place, taken) in (0_u32..).zip(&places.all) {
                    independence.chunk_of.extend((0..taken.items).map(|_| place));
                }
            }
            places
        }
    };
    // As wide as its elders' numbers: an id is never changed.
    let width = number_width(batch.chunk_count);
    let (mut homes, mut rows, mut stored) = (Vec::new(), Vec::new(), Vec::new());
    for place in &places.all {
        let (chunk, number) = match place.into {
            Some(number) => (enlarge(tx, batch, number, place)?, number),
            None => {
                grown.new_chunks += 1;
                grown.in_new_chunks += place.items;
                let number = batch.chunk_count + grown.new_chunks;
                let piece =
                    Piece { span: place.span.clone(), title: place.title.clone(), items: place.items };
                let chunk = new_chunk(tx, task, number, width, &piece)?;
                if batch.pause_reason.is_some() {
                    tx.add_hold(chunk.row, None)?;
                }
                (chunk, number)
            }
        };
        let (id, title, span) = (Some(chunk.id.to_string()), chunk.title, place.span.clone());
        homes.push(Placement { chunk: chunk.row, held: place.held, items: place.items });
        rows.push(chunk.row);
        stored.push(place.into.map(|_| chunk.row));
        grown.chunks.push(PlannedChunk { id, number, title, items: place.held + place.items, span });
    }
    // Before the items are written, for it may refuse.
    if let Some(independence) = &mut independence {
        let name = |place: u32| {
            let chunk = grown.chunks.get(place as usize);
            chunk
                .map_or_else(String::new, |chunk| format!("chunk {:0width$} ({})", chunk.number, chunk.title))
        };
        let project = task.project.as_deref();
        let takers = Takers { batch: batch.row, project, rows: &rows, grown: stored, name: &name };
        grown.found = independence.store(tx, takers)?;
    }
    match &places.order {
        None => staging.each(&mut lay(tx, batch.row, homes, tell))?,
        Some(order) => staging.each_in(order, &mut lay(tx, batch.row, homes, tell))?,
    }
    tx.grow_batch(batch.row, grown.new_chunks, items)?;
    Ok(grown)
}

/// Where items go that don't have to stay together: each group's in a row.
fn places(tx: &dyn StoreWrite, batch: &Batch, split: &Split, groups: &[(String, u64)]) -> Result<Places> {
    let max_chunk = u64::try_from(batch.max_chunk).unwrap_or(1);
    let total = batch.counts.total + groups.iter().map(|(_, count)| count).sum::<u64>();
    let mut standing = standing(tx, batch, split, groups)?;
    let mut all = Vec::new();
    for (label, count) in groups {
        let group = standing.remove(label).unwrap_or_default();
        let shares = group.distribute(*count, max_chunk);
        let fresh = shares.iter().filter(|share| share.existing.is_none()).count() as u64;
        let names = ChunkNames {
            split,
            label,
            chunks: group.chunks + fresh,
            items_before: batch.counts.total,
            items_total: total,
        };
        let mut later = 0;
        for share in shares {
            let (span, title) = names.span_and_title(&share, later);
            later += share.items;
            let (into, held) = share.existing.map_or((None, 0), |open| (Some(open.number), open.items));
            all.push(Place { into, held, items: share.items, span, title });
        }
    }
    Ok(Places { all, order: None })
}

/// What the batch holds of each of the groups so far.
pub(in crate::ops) fn standing(
    tx: &dyn StoreWrite,
    batch: &Batch,
    split: &Split,
    groups: &[(String, u64)],
) -> Result<HashMap<String, GroupChunks>> {
    let max_chunk = u64::try_from(batch.max_chunk).unwrap_or(1);
    let mut standing: HashMap<String, GroupChunks> =
        groups.iter().map(|(label, _)| (label.clone(), GroupChunks::default())).collect();
    let by_size = *split == Split::Size;
    // By size, only the last chunk can grow and still hold one run of items.
    let after = if by_size { batch.chunk_count.saturating_sub(1) } else { 0 };
    for_each_chunk(tx, batch.row, after, |chunk, task| {
        let group = if by_size { standing.values_mut().next() } else { standing.get_mut(&chunk.span) };
        if let Some(group) = group {
            group.add_chunk(&chunk, &task, max_chunk);
        }
        Ok(true)
    })?;
    Ok(standing)
}

/// A chunk of a batch by its number.
pub(in crate::ops) fn chunk_at(tx: &dyn StoreWrite, batch: &Batch, number: u64) -> Result<(Chunk, Task)> {
    let found = tx.chunks(batch.row, number - 1, 1)?.pop();
    found.ok_or_else(|| Error::new(Code::Internal, format!("chunk {number} is gone")))
}

/// Lets a chunk that nobody has claimed hold more.
fn enlarge(tx: &dyn StoreWrite, batch: &Batch, number: u64, place: &Place) -> Result<Task> {
    let (chunk, task) = chunk_at(tx, batch, number)?;
    // A title that a person gave stays.
    let title = if task.title.starts_with(&chunk.span) { place.title.clone() } else { task.title.clone() };
    let after = Task { title, ..task.clone() };
    tx.grow_chunk(after.row, place.items, &place.span)?;
    tx.update_fields(&task, &after)?;
    Ok(after)
}
