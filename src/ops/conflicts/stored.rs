//! What the batches under way touch, met in the order of the resources.

use std::collections::HashMap;

use crate::error::Result;
use crate::model::conflict::{ChunkRef, OverlapScan, ResourceOverlap};
use crate::model::resource::{ancestors, subtree_end};
use crate::model::task::RowId;
use crate::store::StoreRead;

/// The stored resources of batches, all in one order. Each is given once, to those who ask upwards.
pub(in crate::ops) struct Running<'a> {
    tx: &'a dyn StoreRead,
    layers: Vec<Layer>,
    /// Whether a chunk may still be worked on.
    open: HashMap<RowId, bool>,
    walk: OverlapScan,
    /// Where what is stored is read on.
    from: String,
    /// Where the widest resource at hand ends.
    until: String,
}

/// The next key after one.
fn after(key: &str) -> String {
    format!("{key}\0")
}

impl<'a> Running<'a> {
    /// Those of the batches under way in a project, without one of them.
    pub(in crate::ops) fn of_project(
        tx: &'a dyn StoreRead,
        project: Option<&str>,
        but: Option<RowId>,
    ) -> Result<Self> {
        let batches = tx.running_batches(project)?;
        Running::of(tx, batches.into_iter().filter(|batch| Some(*batch) != but))
    }

    /// Those of a batch that takes new items and of all others under way in its project; `homes` are
    /// its chunks that take them, by their places.
    pub(in crate::ops) fn beside(
        tx: &'a dyn StoreRead,
        batch: RowId,
        project: Option<&str>,
        homes: Vec<Option<RowId>>,
    ) -> Result<Self> {
        let mut batches = tx.running_batches(project)?;
        batches.retain(|other| *other != batch);
        batches.push(batch);
        Ok(Running { walk: OverlapScan::with_extended_chunks(homes), ..Running::of(tx, batches)? })
    }

    /// Those of some batches.
    pub(in crate::ops) fn of(
        tx: &'a dyn StoreRead,
        batches: impl IntoIterator<Item = RowId>,
    ) -> Result<Self> {
        let mut layers = Vec::new();
        for batch in batches {
            for layer in 0..tx.count_resource_layers(batch)? {
                layers.push(Layer { batch, layer, block: Vec::new(), at: 0, ended: false });
            }
        }
        Ok(Running {
            tx,
            layers,
            open: HashMap::new(),
            walk: OverlapScan::default(),
            from: String::new(),
            until: String::new(),
        })
    }

    /// Whether there are none.
    pub(in crate::ops) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Whether there are several: for one batch, whether items were added to it.
    pub(in crate::ops) fn is_layered(&self) -> bool {
        self.layers.len() > 1
    }

    /// Goes on to the next resource of the others, touched by `owners`; tells who meets whom, with what
    /// is stored of it, above it and beneath it.
    pub(in crate::ops) fn step(
        &mut self,
        key: &str,
        owners: &mut Vec<ChunkRef>,
        tell: &mut dyn FnMut(&ResourceOverlap<'_>) -> Result<()>,
    ) -> Result<()> {
        if !self.is_empty() {
            let until = std::mem::take(&mut self.until);
            self.catch_up(key.min(until.as_str()), tell)?;
            self.until = until;
            if key >= self.until.as_str() {
                for folder in ancestors(key) {
                    if folder >= self.from.as_str() {
                        self.from = folder.to_owned();
                        self.catch_up(&after(folder), tell)?;
                    }
                }
                self.until = subtree_end(key);
            }
            self.from = key.to_owned();
            let next = after(key);
            if let Some((_, stored)) = self.take(&next)? {
                owners.extend(stored);
                owners.sort_unstable();
                owners.dedup();
            }
            self.from = next;
        }
        self.walk.add_resource(key, owners, tell)
    }

    /// Tells of what is stored beneath the last resource.
    pub(in crate::ops) fn finish(
        &mut self,
        tell: &mut dyn FnMut(&ResourceOverlap<'_>) -> Result<()>,
    ) -> Result<()> {
        let until = std::mem::take(&mut self.until);
        self.catch_up(&until, tell)
    }

    /// Walks over what is stored before `end`.
    fn catch_up(
        &mut self,
        end: &str,
        tell: &mut dyn FnMut(&ResourceOverlap<'_>) -> Result<()>,
    ) -> Result<()> {
        while let Some((key, owners)) = self.take(end)? {
            self.walk.add_resource(&key, &owners, tell)?;
        }
        Ok(())
    }

    /// The first stored resource from here on and before `end`, with the chunks that have not ended.
    pub(in crate::ops) fn take(&mut self, end: &str) -> Result<Option<(String, Vec<ChunkRef>)>> {
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
            self.from = after(&key);
            let mut owners = Vec::new();
            for index in 0..self.layers.len() {
                for chunk in self.layers[index].pass(&key) {
                    if self.is_open(chunk)? {
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

    fn is_open(&mut self, chunk: RowId) -> Result<bool> {
        if let Some(open) = self.open.get(&chunk) {
            return Ok(*open);
        }
        let open = !self.tx.task_by_row(chunk)?.status.is_terminal();
        self.open.insert(chunk, open);
        Ok(open)
    }
}

/// Blocks that do not overlap, one of them at hand.
struct Layer {
    batch: RowId,
    layer: u64,
    block: Vec<(String, Vec<RowId>)>,
    at: usize,
    ended: bool,
}

impl Layer {
    /// Goes on to the first resource that is not before `key`.
    fn seek(&mut self, tx: &dyn StoreRead, key: &str) -> Result<()> {
        self.at += self.block[self.at..].partition_point(|(known, _)| known.as_str() < key);
        if self.at < self.block.len() || self.ended {
            return Ok(());
        }
        // Not before the block that was passed, wherever that ended.
        let from = match self.block.last() {
            Some((last, _)) if last.as_str() >= key => after(last),
            _ => key.to_owned(),
        };
        self.block = tx.resource_block(self.batch, self.layer, &from)?;
        self.at = self.block.partition_point(|(known, _)| known.as_str() < from.as_str());
        self.ended = self.block.is_empty();
        Ok(())
    }

    /// Passes a resource that may stand here; gives its chunks.
    fn pass(&mut self, key: &str) -> Vec<RowId> {
        match self.block.get_mut(self.at) {
            Some((here, chunks)) if here == key => {
                self.at += 1;
                std::mem::take(chunks)
            }
            _ => Vec::new(),
        }
    }
}
