//! What follows from chunks that touch the same, by the batch's rule.

use std::collections::HashMap;

use super::detect::CREATED;
use crate::error::{Code, Error, Result};
use crate::external_sort::Sorter;
use crate::model::conflict::{Meeting, OnConflict, Owner};
use crate::model::resource::path_of;
use crate::model::task::Row;
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
    pub(in crate::ops) batch: Option<Row>,
    /// How a chunk that takes some of them is called.
    pub(in crate::ops) name: &'a dyn Fn(u32) -> String,
}

/// All that is heard of who meets whom.
pub(in crate::ops) struct Verdict<'a> {
    case: Case<'a>,
    tx: &'a dyn StoreRead,
    /// Whether a stored chunk is one of the batch, as far as it was asked.
    of_batch: HashMap<Row, bool>,
    conflicts: u64,
    named: Vec<String>,
    /// By chunk that takes items, whether it shares something with others of it, and with those under way.
    shares: Vec<(bool, bool)>,
    /// Chunk (new or stored, and its number) and resource, and whether the chunk touches only something beneath it.
    shared: Sorter,
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
            shared: Sorter::default(),
        }
    }

    /// Takes note of a meeting.
    pub(in crate::ops) fn hear(&mut self, meeting: &Meeting<'_>) -> Result<()> {
        let (holder, other) = (meeting.holder, meeting.other);
        let running = match (holder, other) {
            // They have come to terms before.
            (Owner::Stored(_), Owner::Stored(_)) if self.case.rule == OnConflict::Reject => return Ok(()),
            (Owner::New(_), Owner::New(_)) => false,
            (Owner::Stored(row), Owner::New(_)) | (Owner::New(_), Owner::Stored(row)) => {
                !self.is_of_batch(row)?
            }
            (Owner::Stored(_), Owner::Stored(_)) => true,
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
            if let Owner::New(chunk) = owner
                && let Some(shares) = self.shares.get_mut(chunk as usize)
            {
                *(if running { &mut shares.1 } else { &mut shares.0 }) = true;
            }
        }
        for (owner, beneath) in meeting.sides() {
            let (stored, number) = match owner {
                Owner::New(chunk) => (0, i64::from(chunk)),
                Owner::Stored(row) => (1, row),
            };
            let key = [&[stored], number.to_be_bytes().as_slice(), meeting.resource.as_bytes()].concat();
            self.shared.push(&key, u32::from(beneath))?;
        }
        Ok(())
    }

    fn is_of_batch(&mut self, chunk: Row) -> Result<bool> {
        let Some(batch) = self.case.batch else { return Ok(false) };
        if let Some(known) = self.of_batch.get(&chunk) {
            return Ok(*known);
        }
        let found = self.tx.task_by_row(chunk)?.parent_row == Some(batch);
        self.of_batch.insert(chunk, found);
        Ok(found)
    }

    fn told(&mut self, meeting: &Meeting<'_>) -> Result<String> {
        let (holder, other) = (self.called(meeting.holder)?, self.called(meeting.other)?);
        let shown = |key: &str| excerpt(&path_of(key));
        Ok(if meeting.touched == meeting.resource {
            format!("{holder} and {other} touch '{}'", shown(meeting.resource))
        } else {
            format!("{holder} touches '{}' and {other} '{}'", shown(meeting.resource), shown(meeting.touched))
        })
    }

    fn called(&mut self, owner: Owner) -> Result<String> {
        Ok(match owner {
            Owner::New(chunk) => (self.case.name)(chunk),
            Owner::Stored(row) => {
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
        lock: &mut dyn FnMut(Owner, &str, bool) -> Result<()>,
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
        self.shared.each(&mut |key, beneath| {
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
                0 => Owner::New(u32::try_from(number).unwrap_or(u32::MAX)),
                _ => Owner::Stored(number),
            };
            lock(owner, resource, beneath == 1)
        })?;
        let count =
            |which: fn(&(bool, bool)) -> bool| self.shares.iter().filter(|shares| which(shares)).count();
        Ok(Conflict { among: count(|shares| shares.0) as u64, running: count(|shares| shares.1) as u64 })
    }
}
