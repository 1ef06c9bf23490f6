//! Finds chunks that touch the same resource, by one scan over the sorted resources; and the policies for them.

use super::resource::contains;
use super::task::RowId;
use crate::error::Result;

word_enum!(
    /// What happens if two chunks touch the same resource.
    OnConflict, "conflict rule" {
        /// The batch is refused.
        Reject = "reject",
        /// Items that share a resource are put into one chunk.
        Merge = "merge",
        /// Chunks that share a resource are worked on one after another.
        Serialize = "serialize",
        /// Resources are not compared.
        Allow = "allow",
    }
);

/// A chunk that touches a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChunkRef {
    /// A chunk of the plan, by its index from 0.
    Planned(u32),
    /// A stored chunk, by its row.
    Stored(RowId),
}

/// Two chunks that touch the same resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceOverlap<'a> {
    /// The key of the shared resource.
    pub resource: &'a str,
    /// The first chunk that touches the whole resource.
    pub first_chunk: ChunkRef,
    /// Another chunk.
    pub other_chunk: ChunkRef,
    /// The key that the other chunk touches: the shared resource or a path inside it.
    pub other_resource: &'a str,
    /// Whether this is the first overlap reported for the resource.
    pub is_first_report: bool,
}

impl ResourceOverlap<'_> {
    /// The chunks that this overlap adds to the resource's users, and whether each touches only a path inside it.
    pub fn newly_involved(&self) -> impl Iterator<Item = (ChunkRef, bool)> + use<> {
        let first_chunk = self.is_first_report.then_some((self.first_chunk, false));
        first_chunk.into_iter().chain([(self.other_chunk, self.other_resource != self.resource)])
    }
}

/// A scan over resources in the order of their keys that reports overlapping chunks.
///
/// Not every pair is reported: each further chunk of a resource is reported together with the first one.
#[derive(Debug, Default)]
pub struct OverlapScan {
    /// The last key. The keys of the resources that contain it are prefixes of it.
    key: String,
    /// For each such prefix: its length, the first chunk that touches it, and whether an overlap was reported.
    open: Vec<(usize, ChunkRef, bool)>,
    /// For each planned chunk, the stored chunk that it extends.
    extended_chunks: Vec<Option<RowId>>,
}

impl OverlapScan {
    /// A scan in which some planned chunks extend stored ones.
    pub fn with_extended_chunks(extended_chunks: Vec<Option<RowId>>) -> Self {
        OverlapScan { extended_chunks, ..OverlapScan::default() }
    }

    fn is_same(&self, one: ChunkRef, other: ChunkRef) -> bool {
        let stored = |chunk| match chunk {
            ChunkRef::Planned(index) => {
                self.extended_chunks.get(index as usize).copied().flatten().map_or(chunk, ChunkRef::Stored)
            }
            ChunkRef::Stored(_) => chunk,
        };
        one == other || stored(one) == stored(other)
    }

    /// Adds the next resource in sorted order and the chunks that touch it, each once.
    ///
    /// # Errors
    /// The error of `report`.
    pub fn add_resource(
        &mut self,
        key: &str,
        chunks: &[ChunkRef],
        report: &mut dyn FnMut(&ResourceOverlap<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some((&first, others)) = chunks.split_first() else { return Ok(()) };
        while self.open.last().is_some_and(|(length, ..)| !contains(&self.key[..*length], key)) {
            self.open.pop();
        }
        let mut open = std::mem::take(&mut self.open);
        for (length, first_chunk, reported) in &mut open {
            let resource = &self.key[..*length];
            for &other in chunks.iter().filter(|chunk| !self.is_same(**chunk, *first_chunk)) {
                report(&ResourceOverlap {
                    resource,
                    first_chunk: *first_chunk,
                    other_chunk: other,
                    other_resource: key,
                    is_first_report: !*reported,
                })?;
                *reported = true;
            }
        }
        let mut reported = false;
        for &other in others.iter().filter(|chunk| !self.is_same(**chunk, first)) {
            report(&ResourceOverlap {
                resource: key,
                first_chunk: first,
                other_chunk: other,
                other_resource: key,
                is_first_report: !reported,
            })?;
            reported = true;
        }
        self.key.clear();
        self.key.push_str(key);
        open.push((key.len(), first, reported));
        self.open = open;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::resource::{Resource, display_path};

    #[test]
    fn each_chunk_is_reported_with_the_first_one_that_touches_the_resource() {
        fn check(touched: &[(&str, &[u32])], expected: &[&str]) {
            let mut scan = OverlapScan::default();
            let mut reported = Vec::new();
            let mut sorted: Vec<_> =
                touched.iter().map(|(path, chunks)| (Resource::parse(path).unwrap(), chunks)).collect();
            sorted.sort();
            for (resource, chunks) in sorted {
                let chunks: Vec<ChunkRef> = chunks.iter().copied().map(ChunkRef::Planned).collect();
                scan.add_resource(resource.key(), &chunks, &mut |overlap| {
                    let (ChunkRef::Planned(one), ChunkRef::Planned(other)) =
                        (overlap.first_chunk, overlap.other_chunk)
                    else {
                        return Ok(());
                    };
                    reported.push(format!(
                        "{one}+{other} {} {}",
                        display_path(overlap.resource),
                        display_path(overlap.other_resource)
                    ));
                    Ok(())
                })
                .unwrap();
            }
            assert_eq!(reported, expected, "{touched:?}");
        }
        check(&[("a", &[0]), ("b", &[1])], &[]);
        check(&[("a", &[0, 1, 2])], &["0+1 a a", "0+2 a a"]);
        check(&[("a", &[0]), ("a-b", &[1]), ("a/b", &[1])], &["0+1 a a/b"]);
        check(&[("a", &[0]), ("a/b", &[0]), ("a/c", &[0])], &[]);
        check(&[("a/b", &[0]), ("a/c", &[1])], &[]);
        check(&[(".", &[7]), ("a/b", &[0]), ("/a", &[1])], &["7+0 . a/b"]);
        check(&[("a", &[0]), ("a/b", &[1]), ("a/b/c", &[2])], &["0+1 a a/b", "0+2 a a/b/c", "1+2 a/b a/b/c"]);
    }
}
