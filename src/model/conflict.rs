//! Which chunks touch the same resource: a walk over sorted resources, and the rules for what it finds.

use super::resource::holds;
use super::task::Row;
use crate::error::Result;

words!(
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
pub enum Owner {
    /// One that takes new items, by its place from 0.
    New(u32),
    /// One that is stored.
    Stored(Row),
}

/// Two chunks that must not be worked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meeting<'a> {
    /// The key of what both touch.
    pub resource: &'a str,
    /// The first chunk that touches all of it.
    pub holder: Owner,
    /// Another one.
    pub other: Owner,
    /// The key of what that one touches: the same, or something beneath it.
    pub touched: &'a str,
    /// Whether the resource was not told of before.
    pub first: bool,
}

impl Meeting<'_> {
    /// Who has come to share the resource by it, and whether it touches only something beneath it.
    pub fn sides(&self) -> impl Iterator<Item = (Owner, bool)> + use<> {
        let holder = self.first.then_some((self.holder, false));
        holder.into_iter().chain([(self.other, self.touched != self.resource)])
    }
}

/// A walk over resources in the order of their keys, that tells who meets whom.
///
/// Not every pair is told: of the chunks that touch a resource, each is told together with the first.
#[derive(Debug, Default)]
pub struct Walk {
    /// The latest key; those that hold it are its beginnings.
    key: String,
    /// How long each of those is, the first chunk that touches it, and whether it was told of.
    open: Vec<(usize, Owner, bool)>,
    /// The stored chunks that new items go into, by their places.
    homes: Vec<Option<Row>>,
}

impl Walk {
    /// A walk in which some of the new ones are stored chunks that grow.
    pub fn with_homes(homes: Vec<Option<Row>>) -> Self {
        Walk { homes, ..Walk::default() }
    }

    fn is_same(&self, one: Owner, other: Owner) -> bool {
        let home = |owner| match owner {
            Owner::New(place) => {
                self.homes.get(place as usize).copied().flatten().map_or(owner, Owner::Stored)
            }
            stored @ Owner::Stored(_) => stored,
        };
        one == other || home(one) == home(other)
    }

    /// Goes on to the next resource, touched by `owners`, each of them once.
    ///
    /// # Errors
    /// What `tell` refused.
    pub fn step(
        &mut self,
        key: &str,
        owners: &[Owner],
        tell: &mut dyn FnMut(&Meeting<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some((&first, others)) = owners.split_first() else { return Ok(()) };
        while self.open.last().is_some_and(|(length, ..)| !holds(&self.key[..*length], key)) {
            self.open.pop();
        }
        let mut open = std::mem::take(&mut self.open);
        for (length, holder, told) in &mut open {
            let resource = &self.key[..*length];
            for &other in owners.iter().filter(|owner| !self.is_same(**owner, *holder)) {
                tell(&Meeting { resource, holder: *holder, other, touched: key, first: !*told })?;
                *told = true;
            }
        }
        let mut told = false;
        for &other in others.iter().filter(|owner| !self.is_same(**owner, first)) {
            tell(&Meeting { resource: key, holder: first, other, touched: key, first: !told })?;
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
    use crate::model::resource::{Resource, path_of};

    #[test]
    fn each_chunk_is_told_with_the_first_that_touches_the_resource() {
        fn check(touched: &[(&str, &[u32])], expected: &[&str]) {
            let mut walk = Walk::default();
            let mut told = Vec::new();
            let mut sorted: Vec<_> =
                touched.iter().map(|(path, chunks)| (Resource::parse(path).unwrap(), chunks)).collect();
            sorted.sort();
            for (resource, chunks) in sorted {
                let owners: Vec<Owner> = chunks.iter().copied().map(Owner::New).collect();
                walk.step(resource.key(), &owners, &mut |meeting| {
                    let (Owner::New(one), Owner::New(other)) = (meeting.holder, meeting.other) else {
                        return Ok(());
                    };
                    told.push(format!(
                        "{one}+{other} {} {}",
                        path_of(meeting.resource),
                        path_of(meeting.touched)
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
