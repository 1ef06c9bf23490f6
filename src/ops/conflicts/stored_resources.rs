//! The stored resources of batches, met in the order of the keys.

use std::collections::{HashMap, HashSet};

use crate::error::Result;
use crate::model::conflict::{ChunkRef, OverlapScan, ResourceOverlap};
use crate::model::distribute::is_unclaimed;
use crate::model::resource::{ancestors, subtree_end};
use crate::model::task::{RowId, Task};
use crate::store::StoreRead;

/// The resources that the chunks of stored batches touch, read once in the order of their keys.
///
/// Chunks that have ended touch nothing.
pub(in crate::ops) struct StoredResources<'a> {
    tx: &'a dyn StoreRead,
    layers: Vec<Layer>,
    /// Which chunks count.
    counts: ChunkFilter,
    /// Whether a chunk counts, once known.
    known: HashMap<RowId, bool>,
    /// The batches and how many layers each has.
    batches: Vec<(RowId, u64)>,
    scan: OverlapScan,
    /// All keys before this one were read.
    from: String,
    /// The end of the keys below the widest resource of the latest ones.
    until: String,
}

/// Whether a chunk's resources count.
type ChunkFilter = fn(&dyn StoreRead, &Task) -> Result<bool>;

/// The state of the running batches that new items were compared with.
#[derive(Debug)]
pub(in crate::ops) struct ComparedState {
    /// The latest change then.
    change_number: u64,
    /// The batches and their numbers of layers.
    batches: Vec<(RowId, u64)>,
    /// Chunks that had ended, so that what they touch did not count.
    ended: HashSet<RowId>,
}

impl ComparedState {
    /// Whether a comparison now would find the same: no batch started since, no batch got items with resources, and no
    /// ended chunk was reopened.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(in crate::ops) fn is_current(&self, tx: &dyn StoreRead, project: Option<&str>) -> Result<bool> {
        for batch in tx.running_batches(project)? {
            let layers = tx.count_resource_layers(batch)?;
            if layers > 0 && !self.batches.contains(&(batch, layers)) {
                return Ok(false);
            }
        }
        let changed = tx.chunks_changed_since(self.change_number)?;
        Ok(!changed.iter().any(|(chunk, status)| self.ended.contains(chunk) && !status.is_terminal()))
    }
}

/// A text between this key and all greater ones: no key contains a smaller character.
fn key_after(key: &str) -> String {
    format!("{key}\u{1}")
}

impl<'a> StoredResources<'a> {
    /// Of the running batches of a project, except one.
    pub(in crate::ops) fn of_other_batches(
        tx: &'a dyn StoreRead,
        project: Option<&str>,
        except: RowId,
    ) -> Result<Self> {
        let batches = tx.running_batches(project)?;
        StoredResources::of_batches(tx, batches.into_iter().filter(|batch| *batch != except))
    }

    /// Of the running batches of a project and of the batch that new items go into, if it is stored; `targets` are the
    /// stored chunks among those that the items go into, by their numbers.
    pub(in crate::ops) fn of_running_batches(
        tx: &'a dyn StoreRead,
        project: Option<&str>,
        batch: Option<RowId>,
        targets: Vec<Option<RowId>>,
    ) -> Result<Self> {
        let mut batches = tx.running_batches(project)?;
        batches.retain(|other| Some(*other) != batch);
        batches.extend(batch);
        Ok(StoredResources {
            scan: OverlapScan::with_extended_chunks(targets),
            ..StoredResources::of_batches(tx, batches)?
        })
    }

    /// Of the chunks of a batch that may receive more items.
    ///
    /// The scan reports a resource's first chunk only with what lies inside the resource. Without the other chunks,
    /// that is always the first chunk that can take the items.
    pub(in crate::ops) fn of_unclaimed_chunks(tx: &'a dyn StoreRead, batch: RowId) -> Result<Self> {
        let counts: ChunkFilter =
            |tx, task| Ok(tx.chunk(task)?.is_some_and(|chunk| is_unclaimed(&chunk, task)));
        Ok(StoredResources { counts, ..StoredResources::of_batches(tx, [batch])? })
    }

    /// Of some batches.
    pub(in crate::ops) fn of_batches(
        tx: &'a dyn StoreRead,
        batches: impl IntoIterator<Item = RowId>,
    ) -> Result<Self> {
        let (mut layers, mut counted) = (Vec::new(), Vec::new());
        for batch in batches {
            let count = tx.count_resource_layers(batch)?;
            counted.push((batch, count));
            for layer in 0..count {
                layers.push(Layer { batch, layer, block: Vec::new(), at: 0, ended: false });
            }
        }
        Ok(StoredResources {
            tx,
            layers,
            counts: |_, task| Ok(!task.status.is_terminal()),
            known: HashMap::new(),
            batches: counted,
            scan: OverlapScan::default(),
            from: String::new(),
            until: String::new(),
        })
    }

    /// The state that was read, to check later whether it is still current.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(in crate::ops) fn into_compared_state(self) -> Result<ComparedState> {
        let change_number = self.tx.latest_change_number()?;
        let ended = self.known.into_iter().filter_map(|(chunk, is_counted)| (!is_counted).then_some(chunk));
        Ok(ComparedState { change_number, batches: self.batches, ended: ended.collect() })
    }

    /// Whether no resources are stored.
    pub(in crate::ops) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Whether there are several layers: of one batch, whether items were added to it.
    pub(in crate::ops) fn has_layers(&self) -> bool {
        self.layers.len() > 1
    }

    /// Steps to the next resource of the new items, which `owners` touch. Calls `on_meeting` for each two chunks that
    /// share it, a resource above it, or one below it.
    ///
    /// # Errors
    /// The error of `on_meeting`, or if the store cannot be read.
    pub(in crate::ops) fn step(
        &mut self,
        key: &str,
        owners: &mut Vec<ChunkRef>,
        on_meeting: &mut dyn FnMut(&ResourceOverlap<'_>) -> Result<()>,
    ) -> Result<()> {
        if !self.is_empty() {
            let until = std::mem::take(&mut self.until);
            self.step_stored(key.min(until.as_str()), on_meeting)?;
            self.until = until;
            if key >= self.until.as_str() {
                for folder in ancestors(key) {
                    if folder >= self.from.as_str() {
                        self.from = folder.to_owned();
                        self.step_stored(&key_after(folder), on_meeting)?;
                    }
                }
                self.until = subtree_end(key);
            }
            self.from = key.to_owned();
            let next = key_after(key);
            if let Some((_, stored)) = self.next_before(&next)? {
                owners.extend(stored);
                owners.sort_unstable();
                owners.dedup();
            }
            self.from = next;
        }
        self.scan.add_resource(key, owners, on_meeting)
    }

    /// Calls `on_meeting` for what is stored below the last resource.
    ///
    /// # Errors
    /// As [`StoredResources::step`].
    pub(in crate::ops) fn finish(
        &mut self,
        on_meeting: &mut dyn FnMut(&ResourceOverlap<'_>) -> Result<()>,
    ) -> Result<()> {
        let until = std::mem::take(&mut self.until);
        self.step_stored(&until, on_meeting)
    }

    /// Steps over the stored resources before `end`.
    fn step_stored(
        &mut self,
        end: &str,
        on_meeting: &mut dyn FnMut(&ResourceOverlap<'_>) -> Result<()>,
    ) -> Result<()> {
        while let Some((key, owners)) = self.next_before(end)? {
            self.scan.add_resource(&key, &owners, on_meeting)?;
        }
        Ok(())
    }

    /// The next stored resource before `end`, with the chunks that touch it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(in crate::ops) fn next_before(&mut self, end: &str) -> Result<Option<(String, Vec<ChunkRef>)>> {
        loop {
            if self.from.as_str() >= end {
                return Ok(None);
            }
            for layer in &mut self.layers {
                layer.seek(self.tx, &self.from)?;
            }
            let heads = self.layers.iter().filter_map(|layer| layer.block.get(layer.at));
            let Some(key) = heads.map(|(key, _)| key).min().filter(|key| key.as_str() < end).cloned() else {
                return Ok(None);
            };
            self.from = key_after(&key);
            let mut owners = Vec::new();
            for index in 0..self.layers.len() {
                for chunk in self.layers[index].take(&key) {
                    if self.is_counted(chunk)? {
                        owners.push(ChunkRef::Stored(chunk));
                    }
                }
            }
            owners.sort_unstable();
            owners.dedup();
            if !owners.is_empty() {
                return Ok(Some((key, owners)));
            }
        }
    }

    fn is_counted(&mut self, chunk: RowId) -> Result<bool> {
        if let Some(known) = self.known.get(&chunk) {
            return Ok(*known);
        }
        let is_counted = (self.counts)(self.tx, &self.tx.task_by_row(chunk)?)?;
        self.known.insert(chunk, is_counted);
        Ok(is_counted)
    }
}

/// A layer of a batch's blocks, which do not overlap, with the current one.
struct Layer {
    batch: RowId,
    layer: u64,
    block: Vec<(String, Vec<RowId>)>,
    at: usize,
    ended: bool,
}

impl Layer {
    /// Moves to the first resource that is not before `key`.
    fn seek(&mut self, tx: &dyn StoreRead, key: &str) -> Result<()> {
        self.at += self.block[self.at..].partition_point(|(known, _)| known.as_str() < key);
        if self.at < self.block.len() || self.ended {
            return Ok(());
        }
        // The next block begins after this one, even if that ends after `key`.
        let from = match self.block.last() {
            Some((last, _)) if last.as_str() >= key => key_after(last),
            _ => key.to_owned(),
        };
        self.block = tx.resource_block(self.batch, self.layer, &from)?;
        self.at = self.block.partition_point(|(known, _)| known.as_str() < from.as_str());
        self.ended = self.block.is_empty();
        Ok(())
    }

    /// Moves past a resource, if it is the current one; returns the chunks that touch it.
    fn take(&mut self, key: &str) -> Vec<RowId> {
        match self.block.get_mut(self.at) {
            Some((here, chunks)) if here == key => {
                self.at += 1;
                std::mem::take(chunks)
            }
            _ => Vec::new(),
        }
    }
}
