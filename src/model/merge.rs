//! Items that belong together, and how they are packed into chunks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::extend::OpenChunk;

/// Things numbered from 0 that are put together two by two (a union-find).
#[derive(Debug)]
pub struct DisjointSet {
    parent: Vec<u32>,
}

impl DisjointSet {
    /// So many things, each by itself.
    pub fn new(count: u32) -> Self {
        DisjointSet { parent: (0..count).collect() }
    }

    /// The first of those that are together with one.
    pub fn find(&mut self, mut one: u32) -> u32 {
        while self.parent[one as usize] != one {
            let above = self.parent[self.parent[one as usize] as usize];
            self.parent[one as usize] = above;
            one = above;
        }
        one
    }

    /// Puts two together.
    pub fn union(&mut self, one: u32, other: u32) {
        let (one, other) = (self.find(one), self.find(other));
        self.parent[one.max(other) as usize] = one.min(other);
    }
}

/// New chunks that are filled one after another, those of a group as evenly as can be.
struct Filling {
    max_chunk: u64,
    /// How many chunks there are.
    chunks: u32,
    /// How many items the last one holds, and is to hold.
    held: u64,
    wanted: u64,
    /// How many items of the group come yet.
    left: u64,
}

impl Filling {
    fn new(max_chunk: u64) -> Self {
        Filling { max_chunk: max_chunk.max(1), chunks: 0, held: 0, wanted: 0, left: 0 }
    }

    /// Begins a group of so many items in a chunk of its own.
    fn begin(&mut self, items: u64) {
        (self.held, self.wanted, self.left) = (0, 0, items);
    }

    /// Puts items that belong together into one chunk; gives its number from 0.
    fn put(&mut self, items: u64) -> u32 {
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

/// The chunk of each item, from 0, and how many chunks there are.
///
/// The items stand in the order of their groups; what is together goes where its first item belongs
/// and stays in one chunk whatever its size, and the chunks of a group are as even as `parts` makes
/// them where nothing is together.
pub fn pack_chunks(group_of: &[u32], together: &mut DisjointSet, max_chunk: u64) -> (Vec<u32>, u32) {
    // A million items are many: one list holds, by first items, how many are together and then their
    // chunk, and at last the chunk of each item.
    let mut chunk_of = vec![0_u32; group_of.len()];
    let mut in_group = vec![0_u64; group_of.last().map_or(0, |last| *last as usize + 1)];
    for item in 0..chunk_of.len() {
        let first = first_of(together, item);
        chunk_of[first] += 1;
        in_group[group_of[first] as usize] += 1;
    }
    let mut filling = Filling::new(max_chunk);
    let mut group = None;
    for item in 0..chunk_of.len() {
        let first = first_of(together, item);
        if first < item {
            chunk_of[item] = chunk_of[first];
            continue;
        }
        if group != Some(group_of[item]) {
            group = Some(group_of[item]);
            filling.begin(in_group[group_of[item] as usize]);
        }
        chunk_of[item] = filling.put(u64::from(chunk_of[item]));
    }
    (chunk_of, filling.chunks)
}

fn first_of(together: &mut DisjointSet, item: usize) -> usize {
    u32::try_from(item).map_or(item, |item| together.find(item) as usize)
}

/// A chunk that takes new items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChunkTarget {
    /// The one of this number that is there.
    Existing(u64),
    /// A new one of this group.
    New(u32),
}

/// Which chunks take the new items of a batch, and the place of each item's among them.
///
/// What is `joined` (by the first item of what is together) to a stored chunk goes there whatever its
/// size; the rest fills the `open` chunks of its group and then new ones, as even as `pack` makes them.
pub fn pack_into_open_chunks(
    group_of: &[u32],
    together: &mut DisjointSet,
    joined: &HashMap<u32, u64>,
    open: &[Vec<OpenChunk>],
    max_chunk: u64,
) -> (Vec<ChunkTarget>, Vec<u32>) {
    let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
    for item in (0..).take(group_of.len()) {
        *sizes.entry(together.find(item)).or_default() += 1;
    }
    let mut held: HashMap<u64, u64> = open.iter().flatten().map(|open| (open.number, open.items)).collect();
    for (first, number) in joined {
        if let (Some(held), Some(size)) = (held.get_mut(number), sizes.get(first)) {
            *held += size;
        }
    }
    let mut taker_of: HashMap<u32, (ChunkTarget, u32)> = HashMap::new();
    // What is left for new chunks, in the order of first items, which is that of the groups.
    let mut left: Vec<(u32, u32, u64)> = Vec::new();
    for (&first, &size) in &sizes {
        let group = group_of[first as usize];
        let roomy = || {
            let room =
                |open: &&OpenChunk| held.get(&open.number).is_some_and(|held| held + size <= max_chunk);
            open[group as usize].iter().find(room).map(|open| open.number)
        };
        match joined.get(&first) {
            Some(number) => {
                taker_of.insert(first, (ChunkTarget::Existing(*number), 0));
            }
            None => match roomy() {
                Some(number) => {
                    *held.entry(number).or_default() += size;
                    taker_of.insert(first, (ChunkTarget::Existing(number), 0));
                }
                None => left.push((group, first, size)),
            },
        }
    }
    let mut filling = Filling::new(max_chunk);
    for group in left.chunk_by(|one, other| one.0 == other.0) {
        filling.begin(group.iter().map(|(_, _, size)| size).sum());
        for (group, first, size) in group {
            taker_of.insert(*first, (ChunkTarget::New(*group), filling.put(*size)));
        }
    }
    let places: BTreeMap<(ChunkTarget, u32), u32> =
        taker_of.values().copied().collect::<BTreeSet<_>>().into_iter().zip(0..).collect();
    let place_of = (0..).take(group_of.len()).map(|item| places[&taker_of[&together.find(item)]]).collect();
    (places.into_keys().map(|(taker, _)| taker).collect(), place_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::split::part_sizes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_together_stays_together_and_chunks_are_no_larger_than_they_must(
            count in 1_u32..200,
            joined in prop::collection::vec((0_u32..200, 0_u32..200), 0..60),
            groups in 1_u32..4,
            max_chunk in 1_u64..30,
        ) {
            let group_of: Vec<u32> = (0..count).map(|item| item * groups / count).collect();
            let mut together = DisjointSet::new(count);
            let joined: Vec<_> = joined.into_iter().map(|(a, b)| (a % count, b % count)).collect();
            for (one, other) in &joined {
                together.union(*one, *other);
            }
            let (chunk_of, chunks) = pack_chunks(&group_of, &mut together, max_chunk);
            for (one, other) in &joined {
                prop_assert_eq!(chunk_of[*one as usize], chunk_of[*other as usize]);
            }
            for chunk in 0..chunks {
                let items: Vec<u32> = (0..count).filter(|item| chunk_of[*item as usize] == chunk).collect();
                prop_assert!(!items.is_empty());
                let firsts: std::collections::BTreeSet<u32> =
                    items.iter().map(|item| together.find(*item)).collect();
                prop_assert!(items.len() as u64 <= max_chunk || firsts.len() == 1);
            }
        }

        #[test]
        fn without_anything_shared_the_chunks_are_those_of_the_split(count in 1_u32..500, max_chunk in 1_u64..60) {
            let (chunk_of, chunks) =
                pack_chunks(&vec![0; count as usize], &mut DisjointSet::new(count), max_chunk);
            let sizes: Vec<u64> = (0..chunks)
                .map(|chunk| chunk_of.iter().filter(|of| **of == chunk).count() as u64)
                .collect();
            prop_assert_eq!(sizes, part_sizes(u64::from(count), max_chunk));
        }
    }
}
