//! Whether the chunks of a batch touch the same things, among themselves or with those of batches
//! under way, and what follows from it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::outcome::{Case, Conflict, NAMED, Verdict, more};
use super::stored::Running;
use crate::error::{Code, Error, Result};
use crate::external_sort::ExternalSorter;
use crate::model::conflict::{ChunkRef, OnConflict, OverlapScan, ResourceOverlap};
use crate::model::merge::DisjointSet;
use crate::model::resource::{DEFAULT_FIELD, item_resources};
use crate::model::task::RowId;
use crate::model::text::{LineText, excerpt};
use crate::store::{Staging, StoreRead, StoreWrite};

/// How many resources are stored in a row.
const BLOCK: usize = 256;
/// After all keys.
const LAST: &str = "\u{10FFFF}";
/// What becomes of the items of a new batch.
pub(in crate::ops) const CREATED: &str = "created";

/// By which rule which items are looked at.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Looking<'a> {
    pub(in crate::ops) rule: OnConflict,
    /// The fields that say what an item touches; none: the default one.
    pub(in crate::ops) fields: &'a [LineText],
    /// What becomes of the items: "created", or "added" to a batch that has others.
    pub(in crate::ops) done: &'static str,
}

/// The chunks that take the items, by their places.
pub(in crate::ops) struct Takers<'a> {
    pub(in crate::ops) batch: RowId,
    pub(in crate::ops) project: Option<&'a str>,
    /// Their rows.
    pub(in crate::ops) rows: &'a [RowId],
    /// Those that were there before.
    pub(in crate::ops) grown: Vec<Option<RowId>>,
    /// How they are called.
    pub(in crate::ops) name: &'a dyn Fn(u32) -> String,
}

/// What items touch that are to be stored.
pub(in crate::ops) struct Independence {
    rule: OnConflict,
    done: &'static str,
    items: u32,
    /// Resources, and the items that touch them by their place in the order of the chunks.
    touched: ExternalSorter,
    /// The chunk that takes each item, both from 0.
    pub(in crate::ops) chunk_of: Vec<u32>,
}

impl Independence {
    /// Looks at all items; none where no item touches anything.
    ///
    /// # Errors
    /// Fields that hold no resources, or that no item of the batch has.
    pub(in crate::ops) fn look(looking: Looking<'_>, staging: &mut dyn Staging) -> Result<Option<Self>> {
        let Looking { rule, fields, done } = looking;
        // Most items have none: those that cannot are not read.
        let default = format!("\"{DEFAULT_FIELD}\"");
        let mut touched = ExternalSorter::default();
        let mut seen = vec![false; fields.len()];
        let (mut bad, mut bad_count) = (Vec::new(), 0_u64);
        let (mut item, mut any) = (0_u32, false);
        staging.each(&mut |key, text| {
            let this = item;
            item = item.checked_add(1).ok_or_else(|| {
                Error::new(Code::TooLarge, "items: there are too many to compare what they touch")
            })?;
            if fields.is_empty() && !text.contains(&default) {
                return Ok(());
            }
            let values: Map<String, Value> = serde_json::from_str(text)
                .map_err(|error| Error::internal("an item that was put aside cannot be read", error))?;
            match item_resources(&values, fields, &mut seen) {
                Ok(resources) => {
                    any |= !resources.is_empty();
                    resources.iter().try_for_each(|resource| touched.push(resource.key().as_bytes(), this))
                }
                Err(reason) => {
                    bad_count += 1;
                    if bad.len() < NAMED {
                        bad.push(format!("item '{}': {reason}", excerpt(key)));
                    }
                    Ok(())
                }
            }
        })?;
        if bad_count > 0 {
            return Err(Error::invalid(format!(
                "resources: nothing was {done}, of {bad_count} items it can't be told what they touch: {}{}",
                bad.join("; "),
                more(bad_count, bad.len())
            )));
        }
        if let Some((field, _)) = fields.iter().zip(&seen).find(|(_, seen)| done == CREATED && !**seen) {
            return Err(Error::invalid(format!(
                "resources: no item has a field \"{field}\"; name the field that holds what an item touches, or leave it out"
            )));
        }
        Ok(any.then_some(Independence { rule, done, items: item, touched, chunk_of: Vec::new() }))
    }

    /// Which items touch the same; where they meet stored chunks, item and chunk are told.
    pub(in crate::ops) fn together(
        &mut self,
        mut stored: Option<Running<'_>>,
        meets: &mut dyn FnMut(u32, RowId) -> Result<()>,
    ) -> Result<DisjointSet> {
        let mut together = DisjointSet::new(self.items);
        let mut walk = OverlapScan::default();
        let mut owners = Vec::new();
        let mut tell = |meeting: &ResourceOverlap<'_>| match (meeting.first_chunk, meeting.other_chunk) {
            (ChunkRef::Planned(one), ChunkRef::Planned(other)) => {
                together.union(one, other);
                Ok(())
            }
            (ChunkRef::Planned(item), ChunkRef::Stored(chunk))
            | (ChunkRef::Stored(chunk), ChunkRef::Planned(item)) => meets(item, chunk),
            (ChunkRef::Stored(_), ChunkRef::Stored(_)) => Ok(()),
        };
        each_group(&mut self.touched, &mut |key, items| {
            owners.clear();
            owners.extend(items.iter().copied().map(ChunkRef::Planned));
            match &mut stored {
                Some(stored) => stored.step(key, &mut owners, &mut tell),
                None => walk.add_resource(key, &owners, &mut tell),
            }
        })?;
        if let Some(mut stored) = stored {
            stored.finish(&mut tell)?;
        }
        Ok(together)
    }

    /// Tells who meets whom, among the chunks and with those of batches under way; shows each resource
    /// with the chunks that touch it on the way.
    fn meet(
        &mut self,
        running: &mut Running<'_>,
        show: &mut dyn FnMut(&str, &[u32]) -> Result<()>,
        tell: &mut dyn FnMut(&ResourceOverlap<'_>) -> Result<()>,
    ) -> Result<()> {
        let chunk_of = &self.chunk_of;
        let (mut chunks, mut owners) = (Vec::new(), Vec::new());
        each_group(&mut self.touched, &mut |key, items| {
            chunks.clear();
            chunks.extend(items.iter().filter_map(|item| chunk_of.get(*item as usize).copied()));
            chunks.sort_unstable();
            chunks.dedup();
            show(key, &chunks)?;
            owners.clear();
            owners.extend(chunks.iter().copied().map(ChunkRef::Planned));
            running.step(key, &mut owners, tell)
        })?;
        running.finish(tell)
    }

    /// Looks without writing anything.
    ///
    /// # Errors
    /// `conflict` by the rule `reject`; `name` says how a chunk is called.
    pub(in crate::ops) fn judge(
        &mut self,
        tx: &dyn StoreRead,
        project: Option<&str>,
        name: &dyn Fn(u32) -> String,
    ) -> Result<Conflict> {
        let chunks = self.chunk_of.iter().max().map_or(0, |last| *last as usize + 1);
        let mut running = Running::of_project(tx, project, None)?;
        let case = Case { rule: self.rule, done: self.done, batch: None, name };
        let mut verdict = Verdict::new(case, tx, chunks);
        self.meet(&mut running, &mut |_, _| Ok(()), &mut |meeting| verdict.hear(meeting))?;
        verdict.end(&mut |_, _, _| Ok(()))
    }

    /// Stores what each chunk touches, and which must not be worked at once.
    ///
    /// # Errors
    /// `conflict` by the rule `reject`.
    pub(in crate::ops) fn store(&mut self, tx: &dyn StoreWrite, takers: Takers<'_>) -> Result<Conflict> {
        let Takers { batch, project, rows, grown, name } = takers;
        let row = |chunk: u32| {
            rows.get(chunk as usize)
                .copied()
                .ok_or_else(|| Error::new(Code::Internal, "a resource of a chunk that isn't there"))
        };
        let mut running = Running::beside(tx, batch, project, grown)?;
        let case = Case { rule: self.rule, done: self.done, batch: Some(batch), name };
        let mut verdict = Verdict::new(case, tx, rows.len());
        let layer = tx.count_resource_layers(batch)?;
        let mut block = Vec::with_capacity(BLOCK);
        let mut is_small = true;
        let mut show = |key: &str, chunks: &[u32]| {
            block.push((key.to_owned(), chunks.iter().copied().map(row).collect::<Result<Vec<RowId>>>()?));
            if block.len() == BLOCK {
                tx.insert_resource_block(batch, layer, &block)?;
                block.clear();
                is_small = false;
            }
            Ok(())
        };
        self.meet(&mut running, &mut show, &mut |meeting| verdict.hear(meeting))?;
        if is_small {
            join_layer(tx, batch, layer, block)?;
        } else {
            tx.insert_resource_block(batch, layer, &block)?;
        }
        verdict.end(&mut |owner, key, beneath| match owner {
            ChunkRef::Planned(chunk) => tx.add_shared_resource(row(chunk)?, project, key, beneath),
            ChunkRef::Stored(row) => tx.add_shared_resource_of_stored_chunk(row, project, key, beneath),
        })
    }
}

/// Interlocks the chunks of a stored batch with those of other batches under way, for they may have
/// begun while it had ended.
pub(in crate::ops) fn join_again(tx: &dyn StoreWrite, batch: RowId, project: Option<&str>) -> Result<()> {
    let mut others = Running::of_project(tx, project, Some(batch))?;
    let mut own = Running::of(tx, [batch])?;
    // Items that were added later did not look at chunks of their own batch that had ended, either.
    if own.is_empty() || (others.is_empty() && !own.is_layered()) {
        return Ok(());
    }
    let mut tell = |meeting: &ResourceOverlap<'_>| {
        for (owner, beneath) in meeting.newly_involved() {
            if let ChunkRef::Stored(row) = owner {
                tx.add_shared_resource_of_stored_chunk(row, project, meeting.resource, beneath)?;
            }
        }
        Ok(())
    };
    while let Some((key, mut owners)) = own.take(LAST)? {
        others.step(&key, &mut owners, &mut tell)?;
    }
    others.finish(&mut tell)
}

/// Stores a last block: in a layer of its own, or with the one before where that is a small one of items
/// that were added, too, so that many small additions don't make many layers.
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

/// Calls `visit` with each key and all its numbers.
fn each_group(sorter: &mut ExternalSorter, visit: &mut dyn FnMut(&str, &[u32]) -> Result<()>) -> Result<()> {
    let (mut last, mut numbers) = (String::new(), Vec::new());
    sorter.for_each_sorted(&mut |key, number| {
        if key != last.as_bytes() {
            if !numbers.is_empty() {
                visit(&last, &numbers)?;
                numbers.clear();
            }
            last.clear();
            last.push_str(
                str::from_utf8(key).map_err(|error| {
                    Error::internal("a resource that was put aside cannot be read", error)
                })?,
            );
        }
        numbers.push(number);
        Ok(())
    })?;
    if numbers.is_empty() { Ok(()) } else { visit(&last, &numbers) }
}
