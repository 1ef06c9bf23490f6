//! Items that belong together, and how they are packed into chunks.

/// Things numbered from 0 that are put together two by two (a union-find).
#[derive(Debug)]
pub struct Together {
    parent: Vec<u32>,
}

impl Together {
    /// So many things, each by itself.
    pub fn new(count: u32) -> Self {
        Together { parent: (0..count).collect() }
    }

    /// The first of those that are together with one.
    pub fn first_of(&mut self, mut one: u32) -> u32 {
        while self.parent[one as usize] != one {
            let above = self.parent[self.parent[one as usize] as usize];
            self.parent[one as usize] = above;
            one = above;
        }
        one
    }

    /// Puts two together.
    pub fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.first_of(one), self.first_of(other));
        self.parent[one.max(other) as usize] = one.min(other);
    }
}

/// The chunk of each item, from 0, and how many chunks there are.
///
/// The items stand in the order of their groups; what is together goes where its first item belongs
/// and stays in one chunk whatever its size, and the chunks of a group are as even as `parts` makes
/// them where nothing is together.
pub fn pack(group_of: &[u32], together: &mut Together, max_chunk: u64) -> (Vec<u32>, u32) {
    const NONE: u32 = u32::MAX;
    // The components in the order of their first items: group and size, and then their chunk.
    let mut component_of = vec![NONE; group_of.len()];
    let mut components: Vec<(u32, u32)> = Vec::new();
    for (item, group) in (0..).zip(group_of) {
        let first = together.first_of(item) as usize;
        if component_of[first] == NONE {
            component_of[first] = u32::try_from(components.len()).unwrap_or(NONE);
            components.push((*group, 0));
        }
        components[component_of[first] as usize].1 += 1;
    }
    let mut chunks = 0;
    for group in components.chunk_by_mut(|one, other| one.0 == other.0) {
        let mut left: u64 = group.iter().map(|(_, size)| u64::from(*size)).sum();
        // How many items the open chunk holds, and is to hold.
        let (mut held, mut wanted) = (0, 0);
        for (_, size) in group {
            let items = u64::from(*size);
            if held >= wanted || held + items > max_chunk {
                chunks += 1;
                held = 0;
                wanted = left.div_ceil(left.div_ceil(max_chunk.max(1)).max(1));
            }
            held += items;
            left -= items;
            *size = chunks - 1;
        }
    }
    // In place, for a million items are many: whoever comes first stands before those that are with it.
    let mut chunk_of = component_of;
    for item in 0..chunk_of.len() {
        let first = together.first_of(u32::try_from(item).unwrap_or(NONE)) as usize;
        chunk_of[item] = if first == item { components[chunk_of[item] as usize].1 } else { chunk_of[first] };
    }
    (chunk_of, chunks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::split::parts;
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
            let mut together = Together::new(count);
            let joined: Vec<_> = joined.into_iter().map(|(a, b)| (a % count, b % count)).collect();
            for (one, other) in &joined {
                together.join(*one, *other);
            }
            let (chunk_of, chunks) = pack(&group_of, &mut together, max_chunk);
            for (one, other) in &joined {
                prop_assert_eq!(chunk_of[*one as usize], chunk_of[*other as usize]);
            }
            for chunk in 0..chunks {
                let items: Vec<u32> = (0..count).filter(|item| chunk_of[*item as usize] == chunk).collect();
                prop_assert!(!items.is_empty());
                let firsts: std::collections::BTreeSet<u32> =
                    items.iter().map(|item| together.first_of(*item)).collect();
                prop_assert!(items.len() as u64 <= max_chunk || firsts.len() == 1);
            }
        }

        #[test]
        fn without_anything_shared_the_chunks_are_those_of_the_split(count in 1_u32..500, max_chunk in 1_u64..60) {
            let (chunk_of, chunks) =
                pack(&vec![0; count as usize], &mut Together::new(count), max_chunk);
            let sizes: Vec<u64> = (0..chunks)
                .map(|chunk| chunk_of.iter().filter(|of| **of == chunk).count() as u64)
                .collect();
            prop_assert_eq!(sizes, parts(u64::from(count), max_chunk));
        }
    }
}
