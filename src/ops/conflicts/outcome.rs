//! What follows from chunks that touch the same, by the batch's rule.

use std::collections::HashMap;

use super::detect::CREATED;
use crate::error::{Code, Error, Result};
use crate::external_sort::ExternalSorter;
use crate::model::conflict::{ChunkRef, OnConflict, ResourceOverlap};
use crate::model::resource::display_path;
use crate::model::task::RowId;
use crate::model::text::excerpt;
use crate::store::StoreRead;

/// How many conflicts a refusal names.
pub(in crate::ops) const NAMED: usize = 20;

/// That there are more than are named.
pub(in crate::ops) fn more(count: u64, named: usize) -> String {
    match count - named as u64 {
        0 => String::new(),
        more => format!("; and {more} more"),
    }
}

/// How many chunks share something.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::ops) struct Conflict {
    /// With others of their batch.
    pub(in crate::ops) among: u64,
    /// With chunks of batches under way.
    pub(in crate::ops) running: u64,
}

impl Conflict {
    /// What a caller is told of it: over chunks by their numbers and how many items they hold.
    pub(in crate::ops) fn told(self, chunks: impl Iterator<Item = (u64, u64)>, max_chunk: u64) -> String {
        let mut told = String::new();
        let large: Vec<String> = chunks
            .filter(|(_, items)| *items > max_chunk)
            .map(|(number, items)| format!("{number} with {items}"))
            .collect();
        if !large.is_empty() {
            told += &format!(
                ". Over max_chunk {max_chunk}, because their items share resources: chunks {}{}",
                large[..large.len().min(NAMED)].join(", "),
                more(large.len() as u64, large.len().min(NAMED))
            );
        }
        if self.among > 0 {
            told += &format!(". {} chunks share resources: no two that do are claimed at once", self.among);
        }
        if self.running > 0 {
            told += &format!(
                ". {} chunks share resources with batches under way: no two that do are claimed at once (merge works as serialize there)",
                self.running
            );
        }
        told
    }
}

/// What a verdict is on.
pub(in crate::ops) struct Case<'a> {
    pub(in crate::ops) rule: OnConflict,
    /// What becomes of the items: "created", or "added".
    pub(in crate::ops) done: &'static str,
    /// Their batch, once it is stored.
    pub(in crate::ops) batch: Option<RowId>,
    /// How a chunk that takes some of them is called.
    pub(in crate::ops) name: &'a dyn Fn(u32) -> String,
}

/// All that is heard of who meets whom.
pub(in crate::ops) struct Verdict<'a> {
    case: Case<'a>,
    tx: &'a dyn StoreRead,
    /// Whether a stored chunk is one of the batch, as far as it was asked.
    of_batch: HashMap<RowId, bool>,
    conflicts: u64,
    named: Vec<String>,
    /// By chunk that takes items, whether it shares something with others of it, and with those under way.
    shares: Vec<(bool, bool)>,
    /// Chunk (new or stored, and its number) and resource, and whether the chunk touches only something beneath it.
    shared: ExternalSorter,
}

impl<'a> Verdict<'a> {
    pub(in crate::ops) fn new(case: Case<'a>, tx: &'a dyn StoreRead, chunks: usize) -> Self {
        Verdict {
            case,
            tx,
            of_batch: HashMap::new(),
            conflicts: 0,
            named: Vec::new(),
            shares: vec![(false, false); chunks],
            shared: ExternalSorter::default(),
        }
    }

    /// Takes note of a meeting.
    pub(in crate::ops) fn hear(&mut self, meeting: &ResourceOverlap<'_>) -> Result<()> {
        let (holder, other) = (meeting.first_chunk, meeting.other_chunk);
        let running = match (holder, other) {
            // They have come to terms before.
            (ChunkRef::Stored(_), ChunkRef::Stored(_)) if self.case.rule == OnConflict::Reject => {
                return Ok(());
            }
            (ChunkRef::Planned(_), ChunkRef::Planned(_)) => false,
            (ChunkRef::Stored(row), ChunkRef::Planned(_)) | (ChunkRef::Planned(_), ChunkRef::Stored(row)) => {
                !self.is_of_batch(row)?
            }
            (ChunkRef::Stored(_), ChunkRef::Stored(_)) => true,
        };
        if self.case.rule == OnConflict::Reject {
            self.conflicts += 1;
            if self.named.len() < NAMED {
                let told = self.told(meeting)?;
                self.named.push(told);
            }
            return Ok(());
        }
        for owner in [holder, other] {
            if let ChunkRef::Planned(chunk) = owner
                && let Some(shares) = self.shares.get_mut(chunk as usize)
            {
                *(if running { &mut shares.1 } else { &mut shares.0 }) = true;
            }
        }
        for (owner, beneath) in meeting.newly_involved() {
            let (stored, number) = match owner {
                ChunkRef::Planned(chunk) => (0, i64::from(chunk)),
                ChunkRef::Stored(row) => (1, row),
            };
            let key = [&[stored], number.to_be_bytes().as_slice(), meeting.resource.as_bytes()].concat();
            self.shared.push(&key, u32::from(beneath))?;
        }
        Ok(())
    }

    fn is_of_batch(&mut self, chunk: RowId) -> Result<bool> {
        let Some(batch) = self.case.batch else { return Ok(false) };
        if let Some(known) = self.of_batch.get(&chunk) {
            return Ok(*known);
        }
        let found = self.tx.task_by_row(chunk)?.parent_row == Some(batch);
        self.of_batch.insert(chunk, found);
        Ok(found)
    }

    fn told(&mut self, meeting: &ResourceOverlap<'_>) -> Result<String> {
        let (holder, other) = (self.called(meeting.first_chunk)?, self.called(meeting.other_chunk)?);
        let shown = |key: &str| excerpt(&display_path(key));
        Ok(if meeting.other_resource == meeting.resource {
            format!("{holder} and {other} touch '{}'", shown(meeting.resource))
        } else {
            format!(
                "{holder} touches '{}' and {other} '{}'",
                shown(meeting.resource),
                shown(meeting.other_resource)
            )
        })
    }

    fn called(&mut self, owner: ChunkRef) -> Result<String> {
        Ok(match owner {
            ChunkRef::Planned(chunk) => (self.case.name)(chunk),
            ChunkRef::Stored(row) => {
                let whose = if self.is_of_batch(row)? { "this batch" } else { "a batch under way" };
                format!("chunk {} of {whose}", self.tx.task_by_row(row)?.id)
            }
        })
    }

    /// Gives each chunk that must not be worked on at once with others, with the resource, and whether
    /// it touches only something beneath that.
    ///
    /// # Errors
    /// `conflict` by the rule `reject`.
    pub(in crate::ops) fn end(
        mut self,
        lock: &mut dyn FnMut(ChunkRef, &str, bool) -> Result<()>,
    ) -> Result<Conflict> {
        if self.conflicts > 0 {
            let way_out = if self.case.done == CREATED {
                "on_conflict=merge puts items that share a resource into one chunk, serialize works such chunks one after another, allow lets them be"
            } else {
                "The batch's rule is reject: leave these items out, or make a batch of them by create_batch(on_conflict=\"serialize\"), which is worked beside this one but never at once with what it shares"
            };
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "on_conflict: nothing was {}, chunks touch the same {} times: {}{}. {way_out}",
                    self.case.done,
                    self.conflicts,
                    self.named.join("; "),
                    more(self.conflicts, self.named.len())
                ),
            ));
        }
        let mut last = Vec::new();
        self.shared.for_each_sorted(&mut |key, beneath| {
            if last == key {
                return Ok(());
            }
            last = key.to_vec();
            let Some((stored, rest)) = key.split_first() else { return Ok(()) };
            let Some((number, resource)) = rest.split_first_chunk::<8>() else { return Ok(()) };
            let resource = str::from_utf8(resource)
                .map_err(|error| Error::internal("a resource that was put aside cannot be read", error))?;
            let number = i64::from_be_bytes(*number);
            let owner = match stored {
                0 => ChunkRef::Planned(u32::try_from(number).unwrap_or(u32::MAX)),
                _ => ChunkRef::Stored(number),
            };
            lock(owner, resource, beneath == 1)
        })?;
        let count =
            |which: fn(&(bool, bool)) -> bool| self.shares.iter().filter(|shares| which(shares)).count();
        Ok(Conflict { among: count(|shares| shares.0) as u64, running: count(|shares| shares.1) as u64 })
    }
}
