//! The chunks that a batch's items are split into, or packed into if some items must stay together.

use crate::error::{Code, Error, Result};
use crate::model::pack_chunks::{DisjointSet, pack_chunks};
use crate::model::split::{Split, chunk_title, equal_parts, part_sizes, size_label};

/// A chunk that is not stored yet.
#[derive(Debug)]
pub(in crate::ops) struct NewChunk {
    /// What its items have in common.
    pub(in crate::ops) span: String,
    pub(in crate::ops) title: String,
    pub(in crate::ops) items: u64,
}

/// The chunks of a new batch, and the order of the items in them.
///
/// An item's place is its position in the order of the groups, from 0.
#[derive(Debug)]
pub(in crate::ops) struct ChunkPlan {
    pub(in crate::ops) chunks: Vec<NewChunk>,
    /// The items' places in the order of the chunks; none if that is the order of the groups.
    pub(in crate::ops) order: Option<Vec<u32>>,
}

/// How many items a chunk has.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct ChunkSize {
    /// The most items of a chunk.
    pub(in crate::ops) max: u64,
    /// How many chunks a split by size makes at least, as far as there are items for them.
    pub(in crate::ops) min_chunks: u64,
}

impl ChunkSize {
    /// The sizes of the chunks of a group, the fewest that are allowed.
    fn parts(self, split: &Split, count: u64) -> Vec<u64> {
        let fewest = count.div_ceil(self.max.max(1));
        match split {
            Split::Size => equal_parts(count, fewest.max(self.min_chunks.min(count))),
            Split::Time { .. } | Split::Category { .. } => part_sizes(count, self.max),
        }
    }

    /// The most items of a chunk, if there are so many in all.
    fn max_of(self, split: &Split, total: u64) -> u64 {
        match split {
            Split::Size => self.max.min(total.div_ceil(self.min_chunks.max(1)).max(1)),
            Split::Time { .. } | Split::Category { .. } => self.max,
        }
    }
}

impl ChunkPlan {
    /// Splits each group into the fewest chunks.
    pub(in crate::ops) fn split(split: &Split, groups: &[(String, u64)], size: ChunkSize) -> Self {
        let mut spans = Vec::new();
        for (label, count) in groups {
            let mut first = 1;
            for items in size.parts(split, *count) {
                let is_by_size = matches!(split, Split::Size);
                let span = if is_by_size { size_label(first, first + items - 1) } else { label.clone() };
                first += items;
                spans.push((span, items));
            }
        }
        ChunkPlan { chunks: with_titles(spans), order: None }
    }

    /// Puts items that belong together into one chunk. Also returns the chunk of each item by its place.
    pub(in crate::ops) fn merged(
        split: &Split,
        groups: &[(String, u64)],
        size: ChunkSize,
        together: &mut DisjointSet,
    ) -> Result<(Self, Vec<u32>)> {
        let group_of = group_of_each(groups)?;
        let (chunk_of, count) = pack_chunks(&group_of, together, size.max_of(split, group_of.len() as u64));
        let (starts, order) = sort_by_chunk(&chunk_of, count as usize);
        let members = |chunk: usize| &order[starts[chunk] as usize..starts[chunk + 1] as usize];
        let group_of_chunk = |chunk: usize| group_of[members(chunk)[0] as usize];
        let spans = (0..count as usize).map(|chunk| {
            let (items, group) = (members(chunk), group_of_chunk(chunk) as usize);
            let span = if matches!(split, Split::Size) {
                number_span(items, 0)
            } else if items.iter().all(|item| group_of[*item as usize] as usize == group) {
                groups[group].0.clone()
            } else {
                format!("{} and others", groups[group].0)
            };
            (span, items.len() as u64)
        });
        let chunks = with_titles(spans.collect());
        let order = (!order.is_sorted()).then_some(order);
        Ok((ChunkPlan { chunks, order }, chunk_of))
    }

    /// The chunk of each item by its place, both from 0, if the items are in the order of the groups.
    pub(in crate::ops) fn chunk_of_each(&self) -> Result<Vec<u32>> {
        let mut chunk_of = Vec::new();
        for (number, chunk) in (0_u32..).zip(&self.chunks) {
            chunk_of.resize(chunk_of.len() + usize::try_from(chunk.items).map_err(too_many)?, number);
        }
        Ok(chunk_of)
    }

    /// How many items there are.
    pub(in crate::ops) fn total(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.items).sum()
    }
}

/// The chunks with these spans and numbers of items, in this order.
fn with_titles(spans: Vec<(String, u64)>) -> Vec<NewChunk> {
    let chunks = spans.len() as u64;
    let numbered = (1..).zip(spans);
    numbered
        .map(|(number, (span, items))| NewChunk { title: chunk_title(&span, number, chunks), span, items })
        .collect()
}

fn too_many(error: std::num::TryFromIntError) -> Error {
    Error::new(Code::TooLarge, "items: there are too many for one batch").caused_by(error)
}

/// The group of each item by its place, both from 0.
pub(in crate::ops) fn group_of_each(groups: &[(String, u64)]) -> Result<Vec<u32>> {
    let total = groups.iter().map(|(_, count)| count).sum::<u64>();
    let mut group_of = Vec::with_capacity(usize::try_from(total).map_err(too_many)?);
    for (group, (_, count)) in (0_u32..).zip(groups) {
        group_of.resize(group_of.len() + usize::try_from(*count).map_err(too_many)?, group);
    }
    Ok(group_of)
}

/// Where the items of each chunk start (and those of the last one end), and the items' places in that order.
pub(in crate::ops) fn sort_by_chunk(chunk_of: &[u32], chunks: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0_u32; chunks + 1];
    for chunk in chunk_of {
        starts[*chunk as usize + 1] += 1;
    }
    for chunk in 1..starts.len() {
        starts[chunk] += starts[chunk - 1];
    }
    let mut next = starts.clone();
    let mut order = vec![0_u32; chunk_of.len()];
    for (item, chunk) in (0_u32..).zip(chunk_of) {
        order[next[*chunk as usize] as usize] = item;
        next[*chunk as usize] += 1;
    }
    (starts, order)
}

/// The span of items by their places, numbered from 1 after the `before` items that the batch has already.
pub(in crate::ops) fn number_span(items: &[u32], before: u64) -> String {
    let (Some(first), Some(last)) = (items.first(), items.last()) else { return String::new() };
    let number = |place: u32| before + u64::from(place) + 1;
    if (last - first) as usize + 1 == items.len() {
        size_label(number(*first), number(*last))
    } else {
        format!("Item {} and others", number(*first))
    }
}
