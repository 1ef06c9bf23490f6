//! The resources that new items touch: which items belong together because of them, and which chunks share some.

use std::collections::BTreeMap;

use serde_json::Value;

use super::resolve::{CREATED, MAX_LISTED, Resolution, Resolver, and_more};
use super::stored_resources::StoredResources;
use crate::error::{Code, Error, Result};
use crate::external_sort::ExternalSorter;
use crate::items::Staging;
use crate::model::conflict::{ChunkRef, OnConflict, OverlapScan, ResourceOverlap};
use crate::model::exact_json::parse_exact;
use crate::model::pack_chunks::DisjointSet;
use crate::model::resource::{DEFAULT_FIELD, item_resources};
use crate::model::task::RowId;
use crate::model::text::{LineText, agreeing, counted, excerpt};
use crate::store::{StoreRead, StoreWrite};

/// How many resources are stored in one row.
const BLOCK: usize = 256;
/// A text that is greater than every resource key.
const AFTER_ALL_KEYS: &str = "\u{10FFFF}";

/// How conflicts are detected, and what follows from them.
#[derive(Clone, Copy)]
pub(in crate::ops) struct DetectionRule<'a> {
    pub(in crate::ops) on_conflict: OnConflict,
    /// The fields that name what an item touches; none for the default field.
    pub(in crate::ops) fields: &'a [LineText],
    /// What becomes of the items, [`CREATED`] or "added", for an error message.
    pub(in crate::ops) done: &'static str,
}

/// The chunks that new items go into, numbered from 0.
pub(in crate::ops) struct TargetChunks<'a> {
    /// Their batch, if it is stored already.
    pub(in crate::ops) batch: Option<RowId>,
    pub(in crate::ops) project: Option<&'a str>,
    /// The rows of those that are stored already.
    pub(in crate::ops) stored: Vec<Option<RowId>>,
    /// Names a chunk for a message.
    pub(in crate::ops) name: &'a dyn Fn(u32) -> String,
}

/// The resources that new items touch. Items are numbered from 0 in the order of their groups.
pub(in crate::ops) struct TouchedResources {
    on_conflict: OnConflict,
    done: &'static str,
    items: u32,
    /// Each resource's key with each item that touches it.
    touched: ExternalSorter,
    /// The target chunk of each item.
    pub(in crate::ops) chunk_of: Vec<u32>,
}

impl TouchedResources {
    /// Reads what all items touch; none if no item touches anything.
    ///
    /// # Errors
    /// If a field holds no resource, or if no item of a new batch has it.
    pub(in crate::ops) fn collect(rule: DetectionRule<'_>, staging: &mut Staging) -> Result<Option<Self>> {
        let DetectionRule { on_conflict, fields, done } = rule;
        // Most batches have no items with resources: their JSON is searched for the field, not parsed.
        let default_field = format!("\"{DEFAULT_FIELD}\"");
        let mut touched = ExternalSorter::default();
        let mut seen = vec![false; fields.len()];
        let (mut bad, mut bad_count) = (Vec::new(), 0_u64);
        let (mut items, mut any) = (0_u32, false);
        staging.for_each(None, &mut |key, text| {
            let item = items;
            items = items.checked_add(1).ok_or_else(|| {
                Error::new(Code::TooLarge, "items: their resources are too many to compare; make several batches, or pass create_batch(on_conflict=\"allow\")")
            })?;
            // A name may be written with escapes.
            if fields.is_empty() && !text.contains(&default_field) && !text.contains('\\') {
                return Ok(());
            }
            let Value::Object(values) =
                parse_exact(text).map_err(|error| Error::internal("a staged item cannot be read", error))?
            else {
                return Err(Error::new(Code::Internal, "a staged item is not an object"));
            };
            match item_resources(&values, fields, &mut seen) {
                Ok(resources) => {
                    any |= !resources.is_empty();
                    resources.iter().try_for_each(|resource| touched.push(resource.key().as_bytes(), item))
                }
                Err(reason) => {
                    bad_count += 1;
                    if bad.len() < MAX_LISTED {
                        bad.push(format!("item '{}': {reason}", excerpt(key)));
                    }
                    Ok(())
                }
            }
        })?;
        if bad_count > 0 {
            return Err(Error::invalid(format!(
                "resources: nothing was {done}, because {} {} invalid resources: {}{}",
                counted(bad_count, "item"),
                agreeing(bad_count, "has", "have"),
                bad.join("; "),
                and_more(bad_count, bad.len())
            )));
        }
        if let Some((field, _)) = fields.iter().zip(&seen).find(|(_, seen)| done == CREATED && !**seen) {
            return Err(Error::invalid(format!(
                "resources: no item has a field '{field}'; name a field that lists the resources of an item, or leave it out"
            )));
        }
        Ok(any.then_some(TouchedResources { on_conflict, done, items, touched, chunk_of: Vec::new() }))
    }

    /// Unites items that touch the same resource. Calls `on_stored` with each item and stored chunk that do.
    ///
    /// # Errors
    /// The error of `on_stored`, or if the store or a temporary file cannot be read.
    pub(in crate::ops) fn group_items(
        &mut self,
        mut stored: Option<StoredResources<'_>>,
        on_stored: &mut dyn FnMut(u32, RowId) -> Result<()>,
    ) -> Result<DisjointSet> {
        let mut together = DisjointSet::new(self.items);
        let mut scan = OverlapScan::default();
        let mut owners = Vec::new();
        let mut on_meeting = |meeting: &ResourceOverlap<'_>| match (meeting.first_chunk, meeting.other_chunk)
        {
            (ChunkRef::Planned(one), ChunkRef::Planned(other)) => {
                together.union(one, other);
                Ok(())
            }
            (ChunkRef::Planned(item), ChunkRef::Stored(chunk))
            | (ChunkRef::Stored(chunk), ChunkRef::Planned(item)) => on_stored(item, chunk),
            (ChunkRef::Stored(_), ChunkRef::Stored(_)) => Ok(()),
        };
        for_each_resource(&mut self.touched, &mut |key, items| {
            owners.clear();
            owners.extend(items.iter().copied().map(ChunkRef::Planned));
            match &mut stored {
                Some(stored) => stored.step(key, &mut owners, &mut on_meeting),
                None => scan.add_resource(key, &owners, &mut on_meeting),
            }
        })?;
        if let Some(mut stored) = stored {
            stored.finish(&mut on_meeting)?;
        }
        Ok(together)
    }

    /// Finds the chunks that share a resource, with each other or with chunks of running batches, and what follows
    /// from it by the batch's rule. Writes nothing.
    ///
    /// # Errors
    /// `conflict` if the rule is `reject` and chunks share a resource.
    pub(in crate::ops) fn resolve(
        &mut self,
        tx: &dyn StoreRead,
        targets: TargetChunks<'_>,
    ) -> Result<Resolution> {
        let TargetChunks { batch, project, stored, name } = targets;
        let chunks = self.chunk_of.iter().max().map_or(0, |last| *last as usize + 1);
        let mut running = StoredResources::of_running_batches(tx, project, batch, stored)?;
        let mut resolver = Resolver::new(self.on_conflict, self.done, batch, name, tx, chunks);
        let mut owners = Vec::new();
        for_each_resource_by_chunk(&mut self.touched, &self.chunk_of, &mut |key, chunks| {
            owners.clear();
            owners.extend(chunks.iter().copied().map(ChunkRef::Planned));
            running.step(key, &mut owners, &mut |meeting| resolver.add(meeting))
        })?;
        running.finish(&mut |meeting| resolver.add(meeting))?;
        resolver.finish(running.into_compared_state()?)
    }

    /// Calls `write` with each block of resources and the target chunks that touch each, in the order of the keys.
    ///
    /// # Errors
    /// The error of `write`, or if a temporary file cannot be read.
    pub(in crate::ops) fn for_each_block(
        &mut self,
        rows: &[RowId],
        write: &mut dyn FnMut(Vec<(String, Vec<RowId>)>) -> Result<()>,
    ) -> Result<()> {
        let mut block = Vec::with_capacity(BLOCK);
        for_each_resource_by_chunk(&mut self.touched, &self.chunk_of, &mut |key, chunks| {
            let chunks = chunks.iter().map(|chunk| row_of(rows, *chunk)).collect::<Result<Vec<RowId>>>()?;
            block.push((key.to_owned(), chunks));
            if block.len() == BLOCK { write(std::mem::take(&mut block)) } else { Ok(()) }
        })?;
        if block.is_empty() { Ok(()) } else { write(block) }
    }
}

/// The row of a target chunk.
pub(super) fn row_of(rows: &[RowId], chunk: u32) -> Result<RowId> {
    let row = rows.get(chunk as usize).copied();
    row.ok_or_else(|| Error::new(Code::Internal, "a resource belongs to a chunk that does not exist"))
}

/// Stores the blocks of resources of new items in a layer of their batch: a new one, or the last one if that is small
/// and of added items, too, so that many small additions do not make many layers.
///
/// # Errors
/// If the store cannot be read or written.
pub(in crate::ops) fn store_blocks(
    tx: &dyn StoreWrite,
    batch: RowId,
    rows: &[RowId],
    resources: &mut TouchedResources,
) -> Result<()> {
    let layer = tx.count_resource_layers(batch)?;
    let mut first: Option<Vec<(String, Vec<RowId>)>> = None;
    let mut is_small = true;
    resources.for_each_block(rows, &mut |block| {
        if is_small && first.is_none() {
            first = Some(block);
            return Ok(());
        }
        is_small = false;
        if let Some(first) = first.take() {
            tx.insert_resource_block(batch, layer, &first)?;
        }
        tx.insert_resource_block(batch, layer, &block)
    })?;
    match first {
        Some(block) => join_layer(tx, batch, layer, block),
        None => Ok(()),
    }
}

/// Stores a single block.
fn join_layer(tx: &dyn StoreWrite, batch: RowId, layer: u64, block: Vec<(String, Vec<RowId>)>) -> Result<()> {
    let before = if layer > 1 { tx.resource_block(batch, layer - 1, "")? } else { Vec::new() };
    if before.is_empty() || before.len() + block.len() > BLOCK {
        return tx.insert_resource_block(batch, layer, &block);
    }
    let mut joined: BTreeMap<String, Vec<RowId>> = before.into_iter().collect();
    for (key, chunks) in block {
        let all = joined.entry(key).or_default();
        all.extend(chunks);
        all.sort_unstable();
        all.dedup();
    }
    tx.delete_resource_layer(batch, layer - 1)?;
    tx.insert_resource_block(batch, layer - 1, &joined.into_iter().collect::<Vec<_>>())
}

/// Lets the chunks of a reopened batch not run at the same time as chunks of other running batches that share a
/// resource: those may have been created while it had ended.
///
/// # Errors
/// If the store cannot be read or written.
pub(in crate::ops) fn store_conflicts_of_reopened(
    tx: &dyn StoreWrite,
    batch: RowId,
    project: Option<&str>,
) -> Result<()> {
    let mut others = StoredResources::of_other_batches(tx, project, batch)?;
    let mut own = StoredResources::of_batches(tx, [batch])?;
    // Items that were added did not meet chunks of their own batch that had ended, either.
    if own.is_empty() || (others.is_empty() && !own.has_layers()) {
        return Ok(());
    }
    let mut on_meeting = |meeting: &ResourceOverlap<'_>| {
        for (owner, descendants_only) in meeting.newly_involved() {
            if let ChunkRef::Stored(row) = owner {
                tx.add_shared_resource_of_stored_chunk(row, project, meeting.resource, descendants_only)?;
            }
        }
        Ok(())
    };
    while let Some((key, mut owners)) = own.next_before(AFTER_ALL_KEYS)? {
        others.step(&key, &mut owners, &mut on_meeting)?;
    }
    others.finish(&mut on_meeting)
}

/// Calls `visit` with each resource's key and all target chunks that touch it.
fn for_each_resource_by_chunk(
    touched: &mut ExternalSorter,
    chunk_of: &[u32],
    visit: &mut dyn FnMut(&str, &[u32]) -> Result<()>,
) -> Result<()> {
    let mut chunks = Vec::new();
    for_each_resource(touched, &mut |key, items| {
        chunks.clear();
        chunks.extend(items.iter().filter_map(|item| chunk_of.get(*item as usize).copied()));
        chunks.sort_unstable();
        chunks.dedup();
        visit(key, &chunks)
    })
}

/// Calls `visit` with each resource's key and all items that touch it.
fn for_each_resource(
    touched: &mut ExternalSorter,
    visit: &mut dyn FnMut(&str, &[u32]) -> Result<()>,
) -> Result<()> {
    let (mut last, mut items) = (String::new(), Vec::new());
    touched.for_each_sorted(&mut |key, item| {
        if key != last.as_bytes() {
            if !items.is_empty() {
                visit(&last, &items)?;
                items.clear();
            }
            last.clear();
            last.push_str(
                str::from_utf8(key)
                    .map_err(|error| Error::internal("a resource's key cannot be read back", error))?,
            );
        }
        items.push(item);
        Ok(())
    })?;
    if items.is_empty() { Ok(()) } else { visit(&last, &items) }
}
