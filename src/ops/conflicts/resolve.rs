//! What follows from chunks that share resources, by the batch's rule.

use std::collections::HashMap;

use super::stored_resources::ComparedState;
use crate::error::{Code, Error, Result};
use crate::external_sort::ExternalSorter;
use crate::model::conflict::{ChunkRef, OnConflict, ResourceOverlap};
use crate::model::resource::display_path;
use crate::model::task::RowId;
use crate::model::text::{agreeing, counted, excerpt};
use crate::store::{StoreRead, StoreWrite};

/// What becomes of the items of a new batch, for an error message.
pub(in crate::ops) const CREATED: &str = "created";
/// The most chunks or items that a message lists.
pub(in crate::ops) const MAX_LISTED: usize = 20;
/// The most examples of conflicts in a refusal, which names their count and the remedy first.
const MAX_EXAMPLES: usize = 3;

/// The end of a list in a message that names only some.
pub(in crate::ops) fn and_more(count: u64, named: usize) -> String {
    match count - named as u64 {
        0 => String::new(),
        more => format!("; and {more} more"),
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// How many of the chunks with new items share a resource.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::ops) struct SharedCounts {
    /// With other chunks of their batch.
    pub(in crate::ops) within_batch: u64,
    /// With chunks of other running batches.
    pub(in crate::ops) with_running: u64,
}

impl SharedCounts {
    /// The part of a message that says so. `sizes` lists each chunk's number and how many items it holds.
    pub(in crate::ops) fn describe(self, sizes: impl Iterator<Item = (u64, u64)>, max_chunk: u64) -> String {
        let mut text = String::new();
        let large: Vec<String> = sizes
            .filter(|(_, items)| *items > max_chunk)
            .map(|(number, items)| format!("{number} with {items}"))
            .collect();
        if !large.is_empty() {
            text += &format!(
                ". Over max_chunk {max_chunk}, because their items share resources: {} {}{}",
                agreeing(large.len() as u64, "chunk", "chunks"),
                large[..large.len().min(MAX_LISTED)].join(", "),
                and_more(large.len() as u64, large.len().min(MAX_LISTED))
            );
        }
        if self.within_batch > 0 {
            text += &format!(
                ". {} {} resources; chunks that share one are not claimed at the same time",
                counted(self.within_batch, "chunk"),
                agreeing(self.within_batch, "shares", "share")
            );
        }
        if self.with_running > 0 {
            text += &format!(
                ". {} {} resources with running batches; chunks that share one are not claimed at the same time (between batches, merge works as serialize)",
                counted(self.with_running, "chunk"),
                agreeing(self.with_running, "shares", "share")
            );
        }
        text
    }
}

/// What follows from the conflicts that were found.
pub(in crate::ops) struct Resolution {
    pub(in crate::ops) counts: SharedCounts,
    /// The running batches that the items were compared with.
    pub(in crate::ops) compared: ComparedState,
    /// Chunks that must not run at once with others; see [`sort_key`].
    shared: ExternalSorter,
}

impl Resolution {
    /// Stores what chunks share. `rows` are the chunks that the items go into.
    ///
    /// # Errors
    /// If the store cannot be written, or a temporary file not be read.
    pub(in crate::ops) fn store_shared(
        &mut self,
        tx: &dyn StoreWrite,
        rows: &[RowId],
        project: Option<&str>,
    ) -> Result<()> {
        self.for_each_shared(&mut |owner, key, descendants_only| match owner {
            ChunkRef::Planned(chunk) => {
                tx.add_shared_resource(rows[chunk as usize], project, key, descendants_only)
            }
            ChunkRef::Stored(row) => {
                tx.add_shared_resource_of_stored_chunk(row, project, key, descendants_only)
            }
        })
    }

    /// Calls `write` with each chunk that must not run at the same time as others, the resource that they share, and
    /// whether the chunk touches only something below the resource.
    ///
    /// # Errors
    /// The error of `write`, or if a temporary file cannot be read.
    pub(in crate::ops) fn for_each_shared(
        &mut self,
        write: &mut dyn FnMut(ChunkRef, &str, bool) -> Result<()>,
    ) -> Result<()> {
        let unreadable = |error| Error::internal("a resource's key cannot be read back", error);
        let mut last = Vec::new();
        self.shared.for_each_sorted(&mut |key, descendants_only| {
            // The whole resource comes before what is below it, and includes it.
            if last == key {
                return Ok(());
            }
            last = key.to_vec();
            let Some((is_stored, rest)) = key.split_first() else { return Ok(()) };
            let Some((number, resource)) = rest.split_first_chunk::<8>() else { return Ok(()) };
            let resource = str::from_utf8(resource).map_err(unreadable)?;
            let number = i64::from_be_bytes(*number);
            let owner = match is_stored {
                0 => ChunkRef::Planned(u32::try_from(number).unwrap_or(u32::MAX)),
                _ => ChunkRef::Stored(number),
            };
            write(owner, resource, descendants_only == 1)
        })
    }
}

/// A key that sorts by chunk (new ones first), then by resource.
fn sort_key(owner: ChunkRef, resource: &str) -> Vec<u8> {
    let (is_stored, number) = match owner {
        ChunkRef::Planned(chunk) => (0, i64::from(chunk)),
        ChunkRef::Stored(row) => (1, row),
    };
    let mut key = Vec::with_capacity(9 + resource.len());
    key.push(is_stored);
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(resource.as_bytes());
    key
}

/// Collects pairs of chunks that share a resource.
pub(in crate::ops) struct Resolver<'a> {
    on_conflict: OnConflict,
    done: &'static str,
    batch: Option<RowId>,
    name: &'a dyn Fn(u32) -> String,
    tx: &'a dyn StoreRead,
    /// Whether a stored chunk belongs to the batch, once known.
    is_of_batch: HashMap<RowId, bool>,
    conflicts: u64,
    named: Vec<String>,
    /// By chunk with new items: whether it shares a resource within its batch, and with running batches.
    shares: Vec<(bool, bool)>,
    shared: ExternalSorter,
}

impl<'a> Resolver<'a> {
    /// For so many chunks with new items; `name` names one of them, `batch` is theirs if it is stored already.
    pub(in crate::ops) fn new(
        on_conflict: OnConflict,
        done: &'static str,
        batch: Option<RowId>,
        name: &'a dyn Fn(u32) -> String,
        tx: &'a dyn StoreRead,
        chunks: usize,
    ) -> Self {
        Resolver {
            on_conflict,
            done,
            batch,
            name,
            tx,
            is_of_batch: HashMap::new(),
            conflicts: 0,
            named: Vec::new(),
            shares: vec![(false, false); chunks],
            shared: ExternalSorter::default(),
        }
    }

    /// Adds a pair.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(in crate::ops) fn add(&mut self, meeting: &ResourceOverlap<'_>) -> Result<()> {
        let (holder, other) = (meeting.first_chunk, meeting.other_chunk);
        let is_with_running = match (holder, other) {
            // Two stored chunks: that was resolved when the second one was stored.
            (ChunkRef::Stored(_), ChunkRef::Stored(_)) if self.on_conflict == OnConflict::Reject => {
                return Ok(());
            }
            (ChunkRef::Planned(_), ChunkRef::Planned(_)) => false,
            (ChunkRef::Stored(row), ChunkRef::Planned(_)) | (ChunkRef::Planned(_), ChunkRef::Stored(row)) => {
                !self.belongs_to_batch(row)?
            }
            (ChunkRef::Stored(_), ChunkRef::Stored(_)) => true,
        };
        if self.on_conflict == OnConflict::Reject {
            self.conflicts += 1;
            if self.named.len() < MAX_EXAMPLES {
                let text = self.describe(meeting)?;
                self.named.push(text);
            }
            return Ok(());
        }
        for owner in [holder, other] {
            if let ChunkRef::Planned(chunk) = owner
                && let Some(shares) = self.shares.get_mut(chunk as usize)
            {
                *(if is_with_running { &mut shares.1 } else { &mut shares.0 }) = true;
            }
        }
        for (owner, descendants_only) in meeting.newly_involved() {
            self.shared.push(&sort_key(owner, meeting.resource), u32::from(descendants_only))?;
        }
        Ok(())
    }

    fn belongs_to_batch(&mut self, chunk: RowId) -> Result<bool> {
        let Some(batch) = self.batch else { return Ok(false) };
        if let Some(known) = self.is_of_batch.get(&chunk) {
            return Ok(*known);
        }
        let belongs = self.tx.task_by_row(chunk)?.parent_row == Some(batch);
        self.is_of_batch.insert(chunk, belongs);
        Ok(belongs)
    }

    fn describe(&mut self, meeting: &ResourceOverlap<'_>) -> Result<String> {
        let (holder, other) = (self.name_of(meeting.first_chunk)?, self.name_of(meeting.other_chunk)?);
        let path = |key: &str| excerpt(&display_path(key));
        Ok(if meeting.other_resource == meeting.resource {
            format!("{holder} and {other} touch '{}'", path(meeting.resource))
        } else {
            format!(
                "{holder} touches '{}' and {other} '{}'",
                path(meeting.resource),
                path(meeting.other_resource)
            )
        })
    }

    fn name_of(&mut self, owner: ChunkRef) -> Result<String> {
        Ok(match owner {
            ChunkRef::Planned(chunk) => (self.name)(chunk),
            ChunkRef::Stored(row) => {
                let of = if self.belongs_to_batch(row)? { "this batch" } else { "a running batch" };
                format!("chunk {} of {of}", self.tx.task_by_row(row)?.id)
            }
        })
    }

    /// What follows from all pairs; `compared` is the state of the running batches.
    ///
    /// # Errors
    /// `conflict` if the rule is `reject` and there are pairs.
    pub(in crate::ops) fn finish(self, compared: ComparedState) -> Result<Resolution> {
        if self.conflicts > 0 {
            let next = if self.done == CREATED {
                "on_conflict=\"serialize\" works such chunks one after another, on_conflict=\"merge\" puts items that share a resource into one chunk, on_conflict=\"allow\" works such chunks at the same time"
            } else {
                "The batch's rule is reject: leave these items out, or make a batch of them by create_batch(on_conflict=\"serialize\"); its chunks never run at the same time as chunks of this batch that share a resource"
            };
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "on_conflict: nothing was {}, because chunks share resources {}. {next}. Shared are: {}{}",
                    self.done,
                    times(self.conflicts),
                    self.named.join("; "),
                    and_more(self.conflicts, self.named.len())
                ),
            ));
        }
        let count = |shares: fn(&(bool, bool)) -> bool| self.shares.iter().filter(|one| shares(one)).count();
        let counts = SharedCounts {
            within_batch: count(|shares| shares.0) as u64,
            with_running: count(|shares| shares.1) as u64,
        };
        Ok(Resolution { counts, compared, shared: self.shared })
    }
}
