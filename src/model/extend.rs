//! Distributes items that are added to a batch: first into chunks that were never claimed, then into new ones.

use super::batch::Chunk;
use super::split::{Split, chunk_title, part_sizes, size_label};
use super::status::Status;
use super::task::Task;

/// Whether the chunk was never claimed, so that it may receive more items.
pub fn is_unclaimed(chunk: &Chunk, task: &Task) -> bool {
    task.status == Status::Active && chunk.attempts == 0 && task.generation == 0
}

/// The existing chunks of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupChunks {
    /// The number of chunks.
    pub chunks: u64,
    /// The chunks that may receive more items, in their order.
    pub open: Vec<OpenChunk>,
}

/// A chunk that may receive more items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChunk {
    /// The chunk's number in the batch.
    pub number: u64,
    /// The chunk's number within its group, from 1.
    pub part_number: u64,
    /// The number of its items.
    pub items: u64,
}

/// The new items that one chunk receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkAddition {
    /// The existing chunk that receives them; `None` for a new chunk.
    pub existing: Option<OpenChunk>,
    /// The chunk's number within its group, from 1.
    pub part: u64,
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
    /// Adds the group's next chunk.
    pub fn add_chunk(&mut self, chunk: &Chunk, task: &Task, max_chunk: u64) {
        self.chunks += 1;
        if is_unclaimed(chunk, task) && chunk.counts.total < max_chunk {
            self.open.push(OpenChunk {
                number: chunk.number,
                part_number: self.chunks,
                items: chunk.counts.total,
            });
        }
    }

    /// Distributes `new` items: open chunks are filled first, the rest goes evenly into new chunks.
    pub fn distribute(&self, new: u64, max_chunk: u64) -> Vec<ChunkAddition> {
        let mut left = new;
        let mut shares = Vec::new();
        for open in &self.open {
            let items = left.min(max_chunk.saturating_sub(open.items));
            if items > 0 {
                shares.push(ChunkAddition { existing: Some(open.clone()), part: open.part_number, items });
                left -= items;
            }
        }
        let fresh = (self.chunks + 1..).zip(part_sizes(left, max_chunk));
        shares.extend(fresh.map(|(part, items)| ChunkAddition { existing: None, part, items }));
        shares
    }
}

/// Names the chunks of a group that receive new items.
#[derive(Debug, Clone, Copy)]
pub struct ChunkNames<'a> {
    /// How the batch is split.
    pub split: &'a Split,
    /// The group's label.
    pub label: &'a str,
    /// The group's chunks, including the new ones.
    pub chunks: u64,
    /// The batch's items without the new ones.
    pub items_before: u64,
    /// The batch's items including the new ones.
    pub items_total: u64,
}

impl ChunkNames<'_> {
    /// Span and title of a chunk; `offset` new items are placed before its own new items.
    pub fn span_and_title(&self, share: &ChunkAddition, offset: u64) -> (String, String) {
        if *self.split == Split::Size {
            // Only the batch's last chunk can be open here, so the chunk's items stay consecutive.
            let held = share.existing.as_ref().map_or(0, |open| open.items);
            let last = self.items_before + offset + share.items;
            let span = size_label(self.items_before + offset - held + 1, last);
            let title = chunk_title(&span, 1, 1, share.total_items(), self.items_total);
            return (span, title);
        }
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let title = chunk_title(
            self.label,
            place(share.part),
            place(self.chunks),
            share.total_items(),
            self.items_total,
        );
        (self.label.to_owned(), title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::timestamp::Timestamp;
    use proptest::prelude::*;

    fn open(number: u64, part: u64, items: u64) -> OpenChunk {
        OpenChunk { number, part_number: part, items }
    }

    #[test]
    fn open_chunks_are_filled_before_new_ones_are_made() {
        let group = GroupChunks { chunks: 3, open: vec![open(4, 2, 3), open(5, 3, 1)] };
        let check = |new: u64, expected: &[(Option<u64>, u64, u64)]| {
            let shares = group.distribute(new, 4);
            let shown: Vec<_> = shares
                .iter()
                .map(|share| (share.existing.as_ref().map(|open| open.number), share.part, share.items))
                .collect();
            assert_eq!(shown, expected, "{new}");
        };
        check(0, &[]);
        check(1, &[(Some(4), 2, 1)]);
        check(4, &[(Some(4), 2, 1), (Some(5), 3, 3)]);
        check(9, &[(Some(4), 2, 1), (Some(5), 3, 3), (None, 4, 3), (None, 5, 2)]);
        assert_eq!(
            GroupChunks::default().distribute(2, 4),
            [ChunkAddition { existing: None, part: 1, items: 2 }]
        );
    }

    #[test]
    fn only_a_chunk_that_was_never_claimed_and_is_not_full_is_open() {
        let check = |status: Status, attempts: i64, generation: u64, total: u64, is_open: bool| {
            let task =
                Task { status, generation, ..Task::new(Timestamp::from_millis(0), "Items 1-2: 2 of 2") };
            let chunk = Chunk { attempts, ..Chunk::new(2, (1, &task.id), 7, "", total) };
            let mut group = GroupChunks { chunks: 1, open: Vec::new() };
            group.add_chunk(&chunk, &task, 5);
            let expected = if is_open { vec![open(7, 2, total)] } else { Vec::new() };
            assert_eq!(
                group,
                GroupChunks { chunks: 2, open: expected },
                "{status} {attempts} {generation} {total}"
            );
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
    fn a_title_names_span_part_and_item_count() {
        let by_month: Split = "month:date".parse().unwrap();
        let names = |split, chunks| ChunkNames {
            split,
            label: "Nov 2025",
            chunks,
            items_before: 60,
            items_total: 70,
        };
        let share = ChunkAddition { existing: Some(open(2, 2, 5)), part: 2, items: 3 };
        let fresh = ChunkAddition { existing: None, part: 3, items: 7 };
        assert_eq!(names(&by_month, 3).span_and_title(&share, 0).1, "Nov 2025 (2/3): 8 of 70");
        assert_eq!(
            names(&by_month, 1).span_and_title(&share, 0),
            ("Nov 2025".to_owned(), "Nov 2025: 8 of 70".to_owned())
        );
        assert_eq!(names(&Split::Size, 3).span_and_title(&share, 0).1, "Items 56-63: 8 of 70");
        assert_eq!(names(&Split::Size, 3).span_and_title(&fresh, 3).1, "Items 64-70: 7 of 70");
    }

    proptest! {
        #[test]
        fn additions_sum_to_the_new_items_and_no_chunk_exceeds_the_limit(
            new in 0u64..5_000,
            max in 1u64..100,
            sizes in proptest::collection::vec(1u64..120, 0..20),
        ) {
            let open = (1..).zip(&sizes).map(|(number, items)| open(number, number, *items)).collect();
            let shares = GroupChunks { chunks: sizes.len() as u64, open }.distribute(new, max);
            prop_assert_eq!(shares.iter().map(|share| share.items).sum::<u64>(), new);
            prop_assert!(shares.iter().all(|share| share.items > 0 && share.total_items() <= max));
        }
    }
}
