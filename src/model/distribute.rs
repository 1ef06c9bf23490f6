//! Distributes items that are added to a batch: first into chunks that were never claimed, then into new ones.

use super::batch::Chunk;
use super::split::{Split, part_sizes, size_label};
use super::status::Status;
use super::task::Task;

/// Whether the chunk was never claimed, so that it may receive more items.
pub fn is_unclaimed(chunk: &Chunk, task: &Task) -> bool {
    task.status == Status::Active && chunk.attempts == 0 && task.generation == 0
}

/// The existing chunks of one group that may receive more items, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupChunks {
    /// These chunks.
    pub open: Vec<OpenChunk>,
}

/// A chunk that may receive more items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChunk {
    /// The chunk's number in the batch.
    pub number: u64,
    /// The number of its items.
    pub items: u64,
}

/// The new items that one chunk receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkAddition {
    /// The existing chunk that receives them; `None` for a new chunk.
    pub existing: Option<OpenChunk>,
    /// The number of new items.
    pub items: u64,
}

impl ChunkAddition {
    /// The chunk's items including the new ones.
    pub fn total_items(&self) -> u64 {
        self.existing.as_ref().map_or(0, |open| open.items) + self.items
    }
}

impl GroupChunks {
    /// Adds the group's next chunk, if it may receive more items.
    pub fn add_chunk(&mut self, chunk: &Chunk, task: &Task, max_chunk: u64) {
        if is_unclaimed(chunk, task) && chunk.counts.total < max_chunk {
            self.open.push(OpenChunk { number: chunk.number, items: chunk.counts.total });
        }
    }

    /// Distributes `new` items: open chunks are filled first, the rest goes evenly into new chunks.
    pub fn distribute(&self, new: u64, max_chunk: u64) -> Vec<ChunkAddition> {
        let mut left = new;
        let mut shares = Vec::new();
        for open in &self.open {
            let items = left.min(max_chunk.saturating_sub(open.items));
            if items > 0 {
                shares.push(ChunkAddition { existing: Some(open.clone()), items });
                left -= items;
            }
        }
        let new_chunks = part_sizes(left, max_chunk).into_iter();
        shares.extend(new_chunks.map(|items| ChunkAddition { existing: None, items }));
        shares
    }
}

/// What the items of a chunk of the group `label` have in common when the chunk has received its share. The batch has
/// `items_before` items before the addition; `offset` new items are placed before those of the share.
pub fn extended_span(
    split: &Split,
    label: &str,
    share: &ChunkAddition,
    items_before: u64,
    offset: u64,
) -> String {
    if *split != Split::Size {
        return label.to_owned();
    }
    // Only the batch's last chunk can be open here, so the chunk's items stay consecutive.
    let held = share.existing.as_ref().map_or(0, |open| open.items);
    size_label(items_before + offset - held + 1, items_before + offset + share.items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::timestamp::Timestamp;
    use proptest::prelude::*;

    fn open(number: u64, items: u64) -> OpenChunk {
        OpenChunk { number, items }
    }

    #[test]
    fn open_chunks_are_filled_before_new_ones_are_made() {
        let group = GroupChunks { open: vec![open(4, 3), open(5, 1)] };
        let check = |new: u64, expected: &[(Option<u64>, u64)]| {
            let shares = group.distribute(new, 4);
            let shown: Vec<_> = shares
                .iter()
                .map(|share| (share.existing.as_ref().map(|open| open.number), share.items))
                .collect();
            assert_eq!(shown, expected, "{new}");
        };
        check(0, &[]);
        check(1, &[(Some(4), 1)]);
        check(4, &[(Some(4), 1), (Some(5), 3)]);
        check(9, &[(Some(4), 1), (Some(5), 3), (None, 3), (None, 2)]);
        assert_eq!(GroupChunks::default().distribute(2, 4), [ChunkAddition { existing: None, items: 2 }]);
    }

    #[test]
    fn only_a_chunk_that_was_never_claimed_and_is_not_full_is_open() {
        let check = |status: Status, attempts: i64, generation: u64, total: u64, is_open: bool| {
            let task = Task {
                status,
                generation,
                ..Task::new(Timestamp::from_millis(0), "Items 1-2, chunk 1 of 1")
            };
            let chunk = Chunk { attempts, ..Chunk::new(2, (1, &task.id), 7, "", total) };
            let mut group = GroupChunks::default();
            group.add_chunk(&chunk, &task, 5);
            let expected = if is_open { vec![open(7, total)] } else { Vec::new() };
            assert_eq!(group.open, expected, "{status} {attempts} {generation} {total}");
        };
        check(Status::Active, 0, 0, 4, true);
        check(Status::Active, 0, 0, 5, false);
        check(Status::Active, 1, 1, 4, false);
        // A runner released it, or it was reset: it was claimed once.
        check(Status::Active, 0, 1, 4, false);
        for status in [Status::Blocked, Status::InProgress, Status::Done, Status::Failed, Status::Cancelled] {
            check(status, 0, 0, 4, false);
        }
    }

    #[test]
    fn the_span_of_a_chunk_contains_its_new_items() {
        let by_month: Split = "month:date".parse().unwrap();
        let share = ChunkAddition { existing: Some(open(2, 5)), items: 3 };
        let fresh = ChunkAddition { existing: None, items: 7 };
        assert_eq!(extended_span(&by_month, "Nov 2025", &share, 60, 0), "Nov 2025");
        assert_eq!(extended_span(&Split::Size, "", &share, 60, 0), "Items 56-63");
        assert_eq!(extended_span(&Split::Size, "", &fresh, 60, 3), "Items 64-70");
    }

    proptest! {
        #[test]
        fn additions_sum_to_the_new_items_and_no_chunk_exceeds_the_limit(
            new in 0u64..5_000,
            max in 1u64..100,
            sizes in proptest::collection::vec(1u64..120, 0..20),
        ) {
            let open = (1..).zip(&sizes).map(|(number, items)| open(number, *items)).collect();
            let shares = GroupChunks { open }.distribute(new, max);
            prop_assert_eq!(shares.iter().map(|share| share.items).sum::<u64>(), new);
            prop_assert!(shares.iter().all(|share| share.items > 0 && share.total_items() <= max));
        }
    }
}
