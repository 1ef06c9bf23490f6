//! Packs items that share a resource into chunks, without separating them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::distribute::OpenChunk;

/// A union-find structure over the items 0..n: items in one set must stay in one chunk.
#[derive(Debug)]
pub struct DisjointSet {
    parent: Vec<u32>,
}

impl DisjointSet {
    /// `count` items, each in a set of its own.
    pub fn new(count: u32) -> Self {
        DisjointSet { parent: (0..count).collect() }
    }

    /// The smallest item of the set that contains `one`; it represents the set.
    pub fn find(&mut self, mut one: u32) -> u32 {
        while self.parent[one as usize] != one {
            let above = self.parent[self.parent[one as usize] as usize];
            self.parent[one as usize] = above;
            one = above;
        }
        one
    }

    /// Unites the sets of two items.
    pub fn union(&mut self, one: u32, other: u32) {
        let (one, other) = (self.find(one), self.find(other));
        self.parent[one.max(other) as usize] = one.min(other);
    }
}

/// Fills new chunks one after another, the chunks of a group as evenly as possible.
struct ChunkFiller {
    max_chunk: u64,
    /// The number of chunks so far.
    chunks: u32,
    /// The items in the last chunk, and how many it should get.
    held: u64,
    wanted: u64,
    /// The items of the group that are not placed yet.
    left: u64,
}

impl ChunkFiller {
    fn new(max_chunk: u64) -> Self {
        ChunkFiller { max_chunk: max_chunk.max(1), chunks: 0, held: 0, wanted: 0, left: 0 }
    }

    /// Starts a group of `items` in a new chunk.
    fn start_group(&mut self, items: u64) {
        (self.held, self.wanted, self.left) = (0, 0, items);
    }

    /// Places a set of items into one chunk and returns the chunk's index from 0.
    fn place(&mut self, items: u64) -> u32 {
        if self.held >= self.wanted || self.held + items > self.max_chunk {
            self.chunks += 1;
            self.held = 0;
            self.wanted = self.left.div_ceil(self.left.div_ceil(self.max_chunk).max(1));
        }
        self.held += items;
        self.left -= items;
        self.chunks - 1
    }
}

/// Returns the chunk index of each item, from 0, and the number of chunks.
///
/// The items are sorted by group. A set of items goes to the group of its first item and stays in one chunk
/// whatever its size. If no items share a set, the chunk sizes are those of `part_sizes`.
pub fn pack_chunks(group_of: &[u32], sets: &mut DisjointSet, max_chunk: u64) -> (Vec<u32>, u32) {
    // One vector serves three purposes, to save memory with a million items: at a set's first item it holds the
    // set's size, later the set's chunk, and in the end the chunk of each item.
    let mut chunk_of = vec![0_u32; group_of.len()];
    let mut in_group = vec![0_u64; group_of.last().map_or(0, |last| *last as usize + 1)];
    for item in 0..chunk_of.len() {
        let first = first_of(sets, item);
        chunk_of[first] += 1;
        in_group[group_of[first] as usize] += 1;
    }
    let mut filler = ChunkFiller::new(max_chunk);
    let mut group = None;
    for item in 0..chunk_of.len() {
        let first = first_of(sets, item);
        if first < item {
            chunk_of[item] = chunk_of[first];
            continue;
        }
        if group != Some(group_of[item]) {
            group = Some(group_of[item]);
            filler.start_group(in_group[group_of[item] as usize]);
        }
        chunk_of[item] = filler.place(u64::from(chunk_of[item]));
    }
    (chunk_of, filler.chunks)
}

fn first_of(sets: &mut DisjointSet, item: usize) -> usize {
    u32::try_from(item).map_or(item, |item| sets.find(item) as usize)
}

/// A chunk that receives new items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChunkTarget {
    /// The existing chunk with this number.
    Existing(u64),
    /// A new chunk of this group.
    New(u32),
}

/// Returns the chunks that receive the new items of a batch, and for each item the index of its chunk among them.
///
/// A set that shares a resource with an existing chunk (`joined`: the set's first item to the chunk's number) goes
/// there whatever its size. The other sets fill the `open` chunks of their group and then new chunks, as evenly as
/// `pack_chunks` does.
pub fn pack_into_open_chunks(
    group_of: &[u32],
    sets: &mut DisjointSet,
    joined: &HashMap<u32, u64>,
    open: &[Vec<OpenChunk>],
    max_chunk: u64,
) -> (Vec<ChunkTarget>, Vec<u32>) {
    let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
    for item in (0..).take(group_of.len()) {
        *sizes.entry(sets.find(item)).or_default() += 1;
    }
    let mut held: HashMap<u64, u64> = open.iter().flatten().map(|open| (open.number, open.items)).collect();
    for (first, number) in joined {
        if let (Some(held), Some(size)) = (held.get_mut(number), sizes.get(first)) {
            *held += size;
        }
    }
    let mut target_of: HashMap<u32, (ChunkTarget, u32)> = HashMap::new();
    // The sets for new chunks, in the order of their first items, which is also the order of the groups.
    let mut left: Vec<(u32, u32, u64)> = Vec::new();
    for (&first, &size) in &sizes {
        let group = group_of[first as usize];
        let first_with_space = || {
            let has_space =
                |open: &&OpenChunk| held.get(&open.number).is_some_and(|held| held + size <= max_chunk);
            open[group as usize].iter().find(has_space).map(|open| open.number)
        };
        match joined.get(&first) {
            Some(number) => {
                target_of.insert(first, (ChunkTarget::Existing(*number), 0));
            }
            None => match first_with_space() {
                Some(number) => {
                    *held.entry(number).or_default() += size;
                    target_of.insert(first, (ChunkTarget::Existing(number), 0));
                }
                None => left.push((group, first, size)),
            },
        }
    }
    let mut filler = ChunkFiller::new(max_chunk);
    for group in left.chunk_by(|one, other| one.0 == other.0) {
        filler.start_group(group.iter().map(|(_, _, size)| size).sum());
        for (group, first, size) in group {
            target_of.insert(*first, (ChunkTarget::New(*group), filler.place(*size)));
        }
    }
    let indexes: BTreeMap<(ChunkTarget, u32), u32> =
        target_of.values().copied().collect::<BTreeSet<_>>().into_iter().zip(0..).collect();
    let index_of = (0..).take(group_of.len()).map(|item| indexes[&target_of[&sets.find(item)]]).collect();
    (indexes.into_keys().map(|(target, _)| target).collect(), index_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::split::part_sizes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_stays_in_one_chunk_and_no_other_chunk_exceeds_the_limit(
            count in 1_u32..200,
            joined in prop::collection::vec((0_u32..200, 0_u32..200), 0..60),
            groups in 1_u32..4,
            max_chunk in 1_u64..30,
        ) {
            let group_of: Vec<u32> = (0..count).map(|item| item * groups / count).collect();
            let mut sets = DisjointSet::new(count);
            let joined: Vec<_> = joined.into_iter().map(|(a, b)| (a % count, b % count)).collect();
            for (one, other) in &joined {
                sets.union(*one, *other);
            }
            let (chunk_of, chunks) = pack_chunks(&group_of, &mut sets, max_chunk);
            for (one, other) in &joined {
                prop_assert_eq!(chunk_of[*one as usize], chunk_of[*other as usize]);
            }
            for chunk in 0..chunks {
                let items: Vec<u32> = (0..count).filter(|item| chunk_of[*item as usize] == chunk).collect();
                prop_assert!(!items.is_empty());
                let firsts: std::collections::BTreeSet<u32> =
                    items.iter().map(|item| sets.find(*item)).collect();
                prop_assert!(items.len() as u64 <= max_chunk || firsts.len() == 1);
            }
        }

        #[test]
        fn without_shared_resources_the_chunks_are_those_of_the_split(count in 1_u32..500, max_chunk in 1_u64..60) {
            let (chunk_of, chunks) =
                pack_chunks(&vec![0; count as usize], &mut DisjointSet::new(count), max_chunk);
            let sizes: Vec<u64> = (0..chunks)
                .map(|chunk| chunk_of.iter().filter(|of| **of == chunk).count() as u64)
                .collect();
            prop_assert_eq!(sizes, part_sizes(u64::from(count), max_chunk));
        }
    }
}
