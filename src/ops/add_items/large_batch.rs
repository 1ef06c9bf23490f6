//! Adds many items to a batch in slices, which are not visible before the last transaction. They go into new chunks only,
//! because a worker could claim a stored chunk in the meantime.

use super::{
    AddItems, AddItemsReply, append_receipt, refuse_finished, refuse_unknown_rule, reply, touched_resources,
};
use crate::error::Result;
use crate::items::Staging;
use crate::model::author::Author;
use crate::model::batch::Batch;
use crate::model::split::{Split, chunk_title, number_width};
use crate::model::task::{RowId, Task};
use crate::ops::conflicts::detect::{TargetChunks, TouchedResources};
use crate::ops::conflicts::resolve::{Resolution, SharedCounts};
use crate::ops::ingest::add_to_batch::{Added, set_targets};
use crate::ops::ingest::bad_items::SourceReport;
use crate::ops::ingest::chunk_plan::NewChunk;
use crate::ops::ingest::extension_plan::{Fill, plan_split};
use crate::ops::ingest::insert::chunk_task;
use crate::ops::ingest::large_batch::{NewChunks, Slices};
use crate::ops::ingest::plan_reply::PlannedChunk;
use crate::ops::ingest::project_size::check_project_size;
use crate::ops::request::idempotency::{RequestKey, run_once, stored_response};
use crate::ops::request::lookup::find_batch;
use crate::ops::{Operation as _, Session};
use crate::store::{Reservation, StoreRead, StoreWrite};

/// Items that are added in slices.
pub(super) struct LargeAddition {
    pub(super) request: AddItems,
    pub(super) request_key: Option<RequestKey>,
    pub(super) split: Split,
    pub(super) author: Author,
    pub(super) known: u64,
    pub(super) report: SourceReport,
    /// The most bytes of items that the project may hold, in MiB.
    pub(super) max_project_mb: u64,
}

/// The new chunks, without their items.
struct Prepared {
    chunks: Vec<NewChunk>,
    /// How many chunks the batch had before. No other process adds chunks meanwhile.
    chunks_before: u64,
    resources: Option<TouchedResources>,
    resolution: Option<Resolution>,
}

/// The result of the last transaction.
enum Published {
    Reply(Box<AddItemsReply>),
    /// Running batches have changed since the resources were compared with theirs.
    Outdated,
}

impl LargeAddition {
    /// Adds the items.
    ///
    /// # Errors
    /// `conflict` by the batch's rule; `busy` if another large batch is being inserted for too long.
    pub(super) fn store(
        mut self,
        session: &Session,
        task: &Task,
        batch: &Batch,
        mut staging: Staging,
    ) -> Result<AddItemsReply> {
        let row = batch.row;
        let mut slices = Slices::of_stored_batch(session, task, staging.item_count())?;
        // The same request may have been stored while this one waited for another batch.
        if let Some(reply) = stored_response(session, self.request_key.as_ref(), AddItems::NAME)? {
            return Ok(reply);
        }
        // From here on, no other process adds items to the batch.
        let known;
        (staging, known) = session.read(move |tx| {
            let known = staging.remove_known(&mut |key| tx.has_item(row, key))?;
            Ok((staging, known))
        })?;
        self.known += known;
        let resources = touched_resources(batch, &mut staging)?;
        let groups = staging.groups();
        let mut prepared;
        (self, prepared) = session.read(move |tx| {
            let prepared = self.prepare(tx, &groups, resources)?;
            Ok((self, prepared))
        })?;
        let chunks = NewChunks {
            batch: &task.id,
            first_number: prepared.chunks_before + 1,
            width: number_width(prepared.chunks_before),
            chunks: &prepared.chunks,
        };
        slices.insert(chunks, &mut staging, None, prepared.resources.as_mut())?;
        loop {
            if let Some(resolution) = &mut prepared.resolution {
                slices.insert_shared(resolution)?;
            }
            slices.flush()?;
            let reservation = slices.reservation;
            let published;
            ((self, prepared), published) = session
                .write_with((self, prepared), move |tx, (addition, prepared)| {
                    addition.publish(tx, reservation, prepared)
                })?;
            match published {
                Published::Reply(reply) => return Ok(*reply),
                Published::Outdated => {
                    (self, prepared) = session.read(move |tx| {
                        let (task, batch) = find_batch(tx, &self.request.id)?;
                        prepared.resolve(tx, &task, &batch)?;
                        Ok((self, prepared))
                    })?;
                }
            }
        }
    }

    /// Plans the chunks.
    fn prepare(
        &self,
        tx: &dyn StoreRead,
        groups: &[(String, u64)],
        mut resources: Option<TouchedResources>,
    ) -> Result<Prepared> {
        let (task, batch) = find_batch(tx, &self.request.id)?;
        if !groups.is_empty() {
            refuse_finished(&task)?;
            refuse_unknown_rule(tx, &task, &batch)?;
        }
        let plan = plan_split(tx, &batch, &self.split, groups, Fill::NewChunks)?;
        if let Some(resources) = &mut resources {
            set_targets(resources, &plan);
        }
        let all = plan.chunks(batch.chunk_count);
        let chunks = (batch.chunk_count + 1..)
            .zip(plan.targets)
            .map(|(number, target)| NewChunk {
                title: chunk_title(&target.span, number, all),
                span: target.span,
                items: target.items,
            })
            .collect();
        let mut prepared = Prepared { chunks, chunks_before: batch.chunk_count, resources, resolution: None };
        prepared.resolve(tx, &task, &batch)?;
        Ok(prepared)
    }

    /// The last transaction: inserts the tasks, unless running batches have changed.
    fn publish(
        &self,
        tx: &dyn StoreWrite,
        reservation: Reservation,
        prepared: &Prepared,
    ) -> Result<Published> {
        let (task, batch) = find_batch(tx, &self.request.id)?;
        if let Some(resolution) = &prepared.resolution
            && !resolution.compared.is_current(tx, task.project.as_deref())?
        {
            return Ok(Published::Outdated);
        }
        let reply = run_once(tx, self.request_key.as_ref(), AddItems::NAME, |tx| {
            let is_new = !prepared.chunks.is_empty();
            if is_new || !self.request.only_if_new {
                refuse_finished(&task)?;
            }
            tx.end_reservation(&reservation)?;
            let added = prepared.publish_tasks(tx, &task, &batch, reservation.first_chunk())?;
            tx.grow_batch(batch.row, added.new_chunks, added.items)?;
            check_project_size(tx, task.project.as_deref(), self.max_project_mb)?;
            if is_new {
                append_receipt(tx, &task, &added, self.known, &self.author)?;
            }
            self.report.record(tx, &task)?;
            Ok(reply(&task, &batch, added, self.known, self.report.clone()))
        })?;
        Ok(Published::Reply(Box::new(reply)))
    }
}

impl Prepared {
    /// Compares what the items touch with the batch and other running ones.
    fn resolve(&mut self, tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<()> {
        let Some(resources) = &mut self.resources else { return Ok(()) };
        let width = number_width(self.chunks_before);
        let chunks = &self.chunks;
        let name = |target: u32| {
            chunks.get(target as usize).map_or_else(String::new, |chunk| {
                format!("chunk {:0width$} ({})", self.chunks_before + 1 + u64::from(target), chunk.span)
            })
        };
        let project = task.project.as_deref();
        let targets = TargetChunks { batch: Some(batch.row), project, stored: Vec::new(), name: &name };
        self.resolution = Some(resources.resolve(tx, targets)?);
        Ok(())
    }

    /// Inserts the tasks of the chunks, whose items are stored already.
    fn publish_tasks(
        &self,
        tx: &dyn StoreWrite,
        task: &Task,
        batch: &Batch,
        first_row: RowId,
    ) -> Result<Added> {
        let width = number_width(self.chunks_before);
        if let Some(first) = self.chunks.first() {
            let mut first = chunk_task(tx.now(), task, self.chunks_before + 1, width, first);
            first.row = first_row;
            tx.publish_chunks(batch.row, &first, batch.pause_reason.is_some())?;
        }
        let items = self.chunks.iter().map(|chunk| chunk.items).sum();
        let new_chunks = self.chunks.len() as u64;
        let shared =
            self.resolution.as_ref().map_or_else(SharedCounts::default, |resolution| resolution.counts);
        let chunks = (self.chunks_before + 1..)
            .zip(&self.chunks)
            .map(|(number, chunk)| PlannedChunk {
                id: Some(task.id.chunk(number, width).to_string()),
                number,
                title: chunk.title.clone(),
                items: chunk.items,
                span: chunk.span.clone(),
            })
            .collect();
        Ok(Added { items, items_in_new_chunks: items, new_chunks, chunks, shared })
    }
}
