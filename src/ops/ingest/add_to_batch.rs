//! Adds items to a stored batch: chunks that grow, new chunks, and all counts.

use super::chunk_plan::NewChunk;
use super::extension_plan::{ExtensionPlan, Fill, Target, chunk_by_number, plan_split};
use super::extension_plan_merged::plan_merged;
use super::insert::{Placement, insert_chunk, item_inserter};
use super::plan_reply::PlannedChunk;
use crate::error::Result;
use crate::items::Staging;
use crate::model::batch::Batch;
use crate::model::conflict::OnConflict;
use crate::model::content_hash::NO_ITEMS;
use crate::model::split::{Split, chunk_title, number_width};
use crate::model::task::Task;
use crate::ops::conflicts::detect::{TargetChunks, TouchedResources, store_blocks};
use crate::ops::conflicts::resolve::SharedCounts;
use crate::ops::request::progress::ProgressReporter;
use crate::store::StoreWrite;

/// What was added to a batch.
pub(in crate::ops) struct Added {
    /// How many items.
    pub(in crate::ops) items: u64,
    /// How many of them are in new chunks.
    pub(in crate::ops) items_in_new_chunks: u64,
    /// How many chunks are new.
    pub(in crate::ops) new_chunks: u64,
    /// Every chunk that took items, as it is now.
    pub(in crate::ops) chunks: Vec<PlannedChunk>,
    /// How many of them share resources.
    pub(in crate::ops) shared: SharedCounts,
}

/// The new items of a batch.
pub(in crate::ops) struct NewItems<'a> {
    /// The items, none of whose keys the batch has.
    pub(in crate::ops) staging: &'a mut Staging,
    /// What they touch, if the batch's rule asks for it.
    pub(in crate::ops) resources: Option<&'a mut TouchedResources>,
    pub(in crate::ops) progress: &'a ProgressReporter,
}

/// Adds items to a batch that has not finished.
///
/// # Errors
/// `conflict` by the batch's rule.
pub(in crate::ops) fn add_to_batch(
    tx: &dyn StoreWrite,
    task: &Task,
    batch: &Batch,
    split: &Split,
    new: NewItems<'_>,
) -> Result<Added> {
    let NewItems { staging, mut resources, progress } = new;
    let items = staging.item_count();
    let mut added = Added {
        items,
        items_in_new_chunks: 0,
        new_chunks: 0,
        chunks: Vec::new(),
        shared: SharedCounts::default(),
    };
    if items == 0 {
        return Ok(added);
    }
    let plan = plan(tx, batch, split, &staging.groups(), resources.as_deref_mut())?;
    // An id never changes: new chunks get numbers as wide as those of the first ones.
    let width = number_width(batch.chunk_count);
    let chunks = plan.chunks(batch.chunk_count);
    let (mut placements, mut rows, mut stored) = (Vec::new(), Vec::new(), Vec::new());
    for target in &plan.targets {
        let (chunk, number) = match target.stored {
            Some(number) => (grow_chunk(tx, batch, number, chunks, target)?, number),
            None => {
                added.new_chunks += 1;
                added.items_in_new_chunks += target.items;
                let number = batch.chunk_count + added.new_chunks;
                let title = chunk_title(&target.span, number, chunks);
                let chunk = NewChunk { span: target.span.clone(), title, items: target.items };
                let chunk = insert_chunk(tx, task, number, width, &chunk)?;
                if batch.pause_reason.is_some() {
                    tx.add_hold(chunk.row, None)?;
                }
                (chunk, number)
            }
        };
        let hash = if target.held == 0 { Some(NO_ITEMS) } else { tx.content_hash(&chunk)? };
        placements.push(Placement { chunk: chunk.row, held: target.held, items: target.items, hash });
        rows.push(chunk.row);
        stored.push(target.stored.map(|_| chunk.row));
        added.chunks.push(PlannedChunk {
            id: Some(chunk.id.to_string()),
            number,
            title: chunk.title,
            items: target.held + target.items,
            span: target.span.clone(),
        });
    }
    // Before the items are inserted, because it may refuse them.
    if let Some(resources) = &mut resources {
        let name = |target: u32| {
            added
                .chunks
                .get(target as usize)
                .map_or_else(String::new, |chunk| format!("chunk {:0width$} ({})", chunk.number, chunk.span))
        };
        let project = task.project.as_deref();
        let targets = TargetChunks { batch: Some(batch.row), project, stored, name: &name };
        let mut resolution = resources.resolve(tx, targets)?;
        store_blocks(tx, batch.row, &rows, resources)?;
        resolution.store_shared(tx, &rows, project)?;
        added.shared = resolution.counts;
    }
    staging.for_each(plan.order.as_deref(), &mut item_inserter(tx, batch.row, placements, progress))?;
    tx.grow_batch(batch.row, added.new_chunks, items)?;
    Ok(added)
}

/// Which chunks take the items; sets the target of each item in `resources`.
fn plan(
    tx: &dyn StoreWrite,
    batch: &Batch,
    split: &Split,
    groups: &[(String, u64)],
    resources: Option<&mut TouchedResources>,
) -> Result<ExtensionPlan> {
    match resources {
        Some(resources) if batch.on_conflict == Some(OnConflict::Merge) => {
            plan_merged(tx, batch, split, groups, resources)
        }
        resources => {
            let plan = plan_split(tx, batch, split, groups, Fill::OpenChunks)?;
            if let Some(resources) = resources {
                set_targets(resources, &plan);
            }
            Ok(plan)
        }
    }
}

/// Sets the target of each item, if the items are in the order of the targets.
pub(in crate::ops) fn set_targets(resources: &mut TouchedResources, plan: &ExtensionPlan) {
    resources.chunk_of.clear();
    for (number, target) in (0_u32..).zip(&plan.targets) {
        resources.chunk_of.extend((0..target.items).map(|_| number));
    }
}

/// Lets a chunk that was never claimed hold more items. The batch has `chunks` chunks after the addition.
fn grow_chunk(tx: &dyn StoreWrite, batch: &Batch, number: u64, chunks: u64, target: &Target) -> Result<Task> {
    let (chunk, task) = chunk_by_number(tx, batch, number)?;
    // A title that a caller has changed stays as it is.
    let is_ours = task.title.starts_with(&chunk.span);
    let title = if is_ours { chunk_title(&target.span, number, chunks) } else { task.title.clone() };
    let after = Task { title, ..task.clone() };
    tx.grow_chunk(after.row, target.items, &target.span)?;
    tx.update_fields(&task, &after)?;
    Ok(after)
}
