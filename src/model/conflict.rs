//! Which chunks touch the same resource: a walk over sorted resources, and the rules for what it finds.

use super::resource::contains;
use super::task::RowId;
use crate::error::Result;

word_enum!(
    /// What happens where two chunks touch the same resource.
    OnConflict, "conflict rule" {
        /// The batch is refused.
        Reject = "reject",
        /// Items that share a resource come into one chunk.
        Merge = "merge",
        /// The chunks are worked one after another.
        Serialize = "serialize",
        /// Nothing: nobody looks.
        Allow = "allow",
    }
);

/// A chunk that touches something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChunkRef {
    /// One that takes new items, by its place from 0.
    Planned(u32),
    /// One that is stored.
    Stored(RowId),
}

/// Two chunks that must not be worked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceOverlap<'a> {
    /// The key of what both touch.
    pub resource: &'a str,
    /// The first chunk that touches all of it.
    pub first_chunk: ChunkRef,
    /// Another one.
    pub other_chunk: ChunkRef,
    /// The key of what that one touches: the same, or something beneath it.
    pub other_resource: &'a str,
    /// Whether the resource was not told of before.
    pub is_first_report: bool,
}

impl ResourceOverlap<'_> {
    /// Who has come to share the resource by it, and whether it touches only something beneath it.
    pub fn newly_involved(&self) -> impl Iterator<Item = (ChunkRef, bool)> + use<> {
        let holder = self.is_first_report.then_some((self.first_chunk, false));
        holder.into_iter().chain([(self.other_chunk, self.other_resource != self.resource)])
    }
}

/// A walk over resources in the order of their keys, that tells who meets whom.
///
/// Not every pair is told: of the chunks that touch a resource, each is told together with the first.
#[derive(Debug, Default)]
pub struct OverlapScan {
    /// The latest key; those that hold it are its beginnings.
    key: String,
    /// How long each of those is, the first chunk that touches it, and whether it was told of.
    open: Vec<(usize, ChunkRef, bool)>,
    /// The stored chunks that new items go into, by their places.
    extended_chunks: Vec<Option<RowId>>,
}

impl OverlapScan {
    /// A walk in which some of the new ones are stored chunks that grow.
    pub fn with_extended_chunks(homes: Vec<Option<RowId>>) -> Self {
        OverlapScan { extended_chunks: homes, ..OverlapScan::default() }
    }

    fn is_same(&self, one: ChunkRef, other: ChunkRef) -> bool {
        let home = |owner| match owner {
            ChunkRef::Planned(place) => {
                self.extended_chunks.get(place as usize).copied().flatten().map_or(owner, ChunkRef::Stored)
            }
            stored @ ChunkRef::Stored(_) => stored,
        };
        one == other || home(one) == home(other)
    }

    /// Goes on to the next resource, touched by `owners`, each of them once.
    ///
    /// # Errors
    /// What `tell` refused.
    pub fn add_resource(
        &mut self,
        key: &str,
        owners: &[ChunkRef],
        tell: &mut dyn FnMut(&ResourceOverlap<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some((&first, others)) = owners.split_first() else { return Ok(()) };
        while self.open.last().is_some_and(|(length, ..)| !contains(&self.key[..*length], key)) {
            self.open.pop();
        }
        let mut open = std::mem::take(&mut self.open);
        for (length, holder, told) in &mut open {
            let resource = &self.key[..*length];
            for &other in owners.iter().filter(|owner| !self.is_same(**owner, *holder)) {
                tell(&ResourceOverlap {
                    resource,
                    first_chunk: *holder,
                    other_chunk: other,
                    other_resource: key,
                    is_first_report: !*told,
                })?;
                *told = true;
            }
        }
        let mut told = false;
        for &other in others.iter().filter(|owner| !self.is_same(**owner, first)) {
            tell(&ResourceOverlap {
                resource: key,
                first_chunk: first,
                other_chunk: other,
                other_resource: key,
                is_first_report: !told,
            })?;
            told = true;
        }
        self.key.clear();
        self.key.push_str(key);
        open.push((key.len(), first, told));
        self.open = open;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::resource::{Resource, display_path};

    #[test]
    fn each_chunk_is_told_with_the_first_that_touches_the_resource() {
        fn check(touched: &[(&str, &[u32])], expected: &[&str]) {
            let mut walk = OverlapScan::default();
            let mut told = Vec::new();
            let mut sorted: Vec<_> =
                touched.iter().map(|(path, chunks)| (Resource::parse(path).unwrap(), chunks)).collect();
            sorted.sort();
            for (resource, chunks) in sorted {
                let owners: Vec<ChunkRef> = chunks.iter().copied().map(ChunkRef::Planned).collect();
                walk.add_resource(resource.key(), &owners, &mut |meeting| {
                    let (ChunkRef::Planned(one), ChunkRef::Planned(other)) =
                        (meeting.first_chunk, meeting.other_chunk)
                    else {
                        return Ok(());
                    };
                    told.push(format!(
                        "{one}+{other} {} {}",
                        display_path(meeting.resource),
                        display_path(meeting.other_resource)
                    ));
                    Ok(())
                })
                .unwrap();
            }
            assert_eq!(told, expected, "{touched:?}");
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
