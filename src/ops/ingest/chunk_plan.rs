//! The chunks that a batch's items are split into, or packed into where some belong together.

use crate::error::{Code, Error, Result};
use crate::model::merge::{DisjointSet, pack_chunks};
use crate::model::split::{Split, chunk_title, part_sizes, size_label};

/// A chunk to be: its span and title, and how many items it takes.
#[derive(Debug)]
pub(in crate::ops) struct Piece {
    pub(in crate::ops) span: String,
    pub(in crate::ops) title: String,
    pub(in crate::ops) items: u64,
}

/// Chunks, and the items in their order.
#[derive(Debug)]
pub(in crate::ops) struct Pieces {
    pub(in crate::ops) all: Vec<Piece>,
    /// The items by their places in the order of the groups, from 0; none where that is their order.
    pub(in crate::ops) order: Option<Vec<u32>>,
}

impl Pieces {
    /// Each group in the fewest parts.
    pub(in crate::ops) fn split(split: &Split, groups: &[(String, u64)], max_chunk: u64) -> Self {
        let total = groups.iter().map(|(_, count)| count).sum();
        let mut all = Vec::new();
        for (label, count) in groups {
            let sizes = part_sizes(*count, max_chunk);
            let mut first = 1;
            for (number, items) in sizes.iter().copied().enumerate() {
                let (span, title) = if matches!(split, Split::Size) {
                    let span = size_label(first, first + items - 1);
                    let title = chunk_title(&span, 1, 1, items, total);
                    (span, title)
                } else {
                    (label.clone(), chunk_title(label, number + 1, sizes.len(), items, total))
                };
                first += items;
                all.push(Piece { span, title, items });
            }
        }
        Pieces { all, order: None }
    }

    /// What is together in one chunk; gives the chunk of each item, too.
    pub(in crate::ops) fn merged(
        split: &Split,
        groups: &[(String, u64)],
        max_chunk: u64,
        together: &mut DisjointSet,
    ) -> Result<(Self, Vec<u32>)> {
        let group_of = group_of_each(groups)?;
        let (chunk_of, chunks) = pack_chunks(&group_of, together, max_chunk);
        let (begins, order) = in_order(&chunk_of, chunks as usize);
        let members = |chunk: usize| &order[begins[chunk] as usize..begins[chunk + 1] as usize];
        let group_of_chunk = |chunk: usize| group_of[members(chunk)[0] as usize];
        let mut parts_of = vec![0_usize; groups.len()];
        for chunk in 0..chunks as usize {
            parts_of[group_of_chunk(chunk) as usize] += 1;
        }
        let mut part_of = vec![0_usize; groups.len()];
        let mut all = Vec::with_capacity(chunks as usize);
        for chunk in 0..chunks as usize {
            let (items, group) = (members(chunk), group_of_chunk(chunk) as usize);
            part_of[group] += 1;
            let (span, part, parts) = if matches!(split, Split::Size) {
                (numbers(items, 0), 1, 1)
            } else if items.iter().all(|item| group_of[*item as usize] as usize == group) {
                (groups[group].0.clone(), part_of[group], parts_of[group])
            } else {
                (format!("{} and others", groups[group].0), part_of[group], parts_of[group])
            };
            let title = chunk_title(&span, part, parts, items.len() as u64, chunk_of.len() as u64);
            all.push(Piece { span, title, items: items.len() as u64 });
        }
        let order = (!order.is_sorted()).then_some(order);
        Ok((Pieces { all, order }, chunk_of))
    }

    /// The chunk of each item, both from 0, where the items stand in the order of the groups.
    pub(in crate::ops) fn chunk_of_each(&self) -> Result<Vec<u32>> {
        let mut chunk_of = Vec::new();
        for (chunk, piece) in (0_u32..).zip(&self.all) {
            chunk_of.resize(chunk_of.len() + usize::try_from(piece.items).map_err(too_many)?, chunk);
        }
        Ok(chunk_of)
    }

    /// How many items there are.
    pub(in crate::ops) fn total(&self) -> u64 {
        self.all.iter().map(|piece| piece.items).sum()
    }
}

fn too_many(error: std::num::TryFromIntError) -> Error {
    Error::new(Code::TooLarge, "items: there are too many for one batch").caused_by(error)
}

/// The group of each item, both from 0, where the items stand in the order of the groups.
pub(in crate::ops) fn group_of_each(groups: &[(String, u64)]) -> Result<Vec<u32>> {
    let total = groups.iter().map(|(_, count)| count).sum::<u64>();
    let mut group_of = Vec::with_capacity(usize::try_from(total).map_err(too_many)?);
    for (group, (_, count)) in (0_u32..).zip(groups) {
        group_of.resize(group_of.len() + usize::try_from(*count).map_err(too_many)?, group);
    }
    Ok(group_of)
}

/// The items in the order of their chunks, and where each chunk's begin (and the last one's end).
pub(in crate::ops) fn in_order(chunk_of: &[u32], chunks: usize) -> (Vec<u32>, Vec<u32>) {
    let mut begins = vec![0_u32; chunks + 1];
    for chunk in chunk_of {
        begins[*chunk as usize + 1] += 1;
    }
    for chunk in 1..begins.len() {
        begins[chunk] += begins[chunk - 1];
    }
    let mut next = begins.clone();
    let mut order = vec![0_u32; chunk_of.len()];
    for (item, chunk) in (0_u32..).zip(chunk_of) {
        order[next[*chunk as usize] as usize] = item;
        next[*chunk as usize] += 1;
    }
    (begins, order)
}

/// Items by their numbers, from 1 behind so many that were there before.
pub(in crate::ops) fn numbers(items: &[u32], before: u64) -> String {
    let (Some(first), Some(last)) = (items.first(), items.last()) else { return String::new() };
    let number = |place: u32| before + u64::from(place) + 1;
    if (last - first) as usize + 1 == items.len() {
        size_label(number(*first), number(*last))
    } else {
        format!("Item {} and others", number(*first))
    }
}
