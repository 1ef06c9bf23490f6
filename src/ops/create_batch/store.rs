//! Stores a new batch: its task, its chunks, what they share, and the items.

use super::CreateBatch;
use super::reply::{StoredBatch, chunk_namer};
use crate::error::Result;
use crate::items::Staging;
use crate::model::batch::{Batch, ItemCounts};
use crate::model::content_hash::NO_ITEMS;
use crate::model::id::TaskId;
use crate::model::split::number_width;
use crate::model::status::{Status, TaskType};
use crate::model::task::{RowId, Task};
use crate::model::timestamp::Timestamp;
use crate::ops::conflicts::detect::{TargetChunks, TouchedResources, store_blocks};
use crate::ops::conflicts::resolve::{Resolution, SharedCounts};
use crate::ops::ingest::bad_items::SourceReport;
use crate::ops::ingest::chunk_plan::ChunkPlan;
use crate::ops::ingest::insert::{Placement, chunk_task, insert_chunk, item_inserter};
use crate::ops::ingest::project_size::check_project_size;
use crate::ops::request::fields::non_empty;
use crate::ops::request::progress::ProgressReporter;
use crate::store::{NewTask, Reservation, StoreRead, StoreWrite};

/// What a batch is made of.
pub(super) struct Contents {
    pub(super) staging: Staging,
    pub(super) plan: ChunkPlan,
    pub(super) resources: Option<TouchedResources>,
    /// The most bytes of items that the project may hold, in MiB.
    pub(super) max_project_mb: u64,
}

impl Contents {
    /// Compares what the items touch with running batches.
    ///
    /// # Errors
    /// `conflict` by the batch's rule.
    pub(super) fn resolve(
        &mut self,
        tx: &dyn StoreRead,
        project: Option<&str>,
    ) -> Result<Option<Resolution>> {
        let Contents { plan, resources, .. } = self;
        let name = chunk_namer(&plan.chunks);
        let targets = TargetChunks { batch: None, project, stored: Vec::new(), name: &name };
        resources.as_mut().map(|resources| resources.resolve(tx, targets)).transpose()
    }
}

impl CreateBatch {
    /// Stores the batch in one transaction.
    ///
    /// # Errors
    /// `conflict` by the batch's rule.
    pub(super) fn store(
        &self,
        tx: &dyn StoreWrite,
        contents: &mut Contents,
        report: &SourceReport,
        progress: &ProgressReporter,
    ) -> Result<(StoredBatch, SharedCounts)> {
        let project = non_empty(&self.project);
        let resolution = contents.resolve(tx, project.as_deref())?;
        let Contents { staging, plan, resources, max_project_mb } = contents;
        let (task, rows) = self.store_tasks(tx, plan)?;
        report.record(tx, &task)?;
        let mut shared = SharedCounts::default();
        if let (Some(resources), Some(mut resolution)) = (resources, resolution) {
            store_blocks(tx, task.row, &rows, resources)?;
            resolution.store_shared(tx, &rows, project.as_deref())?;
            shared = resolution.counts;
        }
        let chunks = rows.iter().zip(&plan.chunks);
        let placements = chunks
            .map(|(row, chunk)| Placement { chunk: *row, held: 0, items: chunk.items, hash: Some(NO_ITEMS) })
            .collect();
        staging.for_each(plan.order.as_deref(), &mut item_inserter(tx, task.row, placements, progress))?;
        check_project_size(tx, project.as_deref(), *max_project_mb)?;
        let finish = finish_id(tx, task.row)?;
        Ok((StoredBatch { id: task.id, finish, since: tx.latest_change_number()? }, shared))
    }

    /// Inserts the tasks of the batch and its chunks, without items; returns the rows of the chunks.
    fn store_tasks(&self, tx: &dyn StoreWrite, plan: &ChunkPlan) -> Result<(Task, Vec<RowId>)> {
        let mut task = self.task(tx.now());
        task.row = tx.insert_task(&NewTask { task: &task, initial_text: self.instructions.as_str() })?;
        let finish = self.finish.as_ref().map(|finish| finish.insert(tx, &task, task.row)).transpose()?;
        tx.insert_batch(&self.batch(task.row, finish, plan))?;
        let width = number_width(plan.chunks.len() as u64);
        let mut rows = Vec::with_capacity(plan.chunks.len());
        for (number, chunk) in (1_u64..).zip(&plan.chunks) {
            rows.push(insert_chunk(tx, &task, number, width, chunk)?.row);
        }
        Ok((task, rows))
    }

    /// Inserts the task of the batch into its reserved row, the finish task into the next one, and the tasks of the
    /// chunks, whose items are stored already. Returns the id of the batch.
    pub(super) fn publish_tasks(
        &self,
        tx: &dyn StoreWrite,
        mut task: Task,
        plan: &ChunkPlan,
        reservation: Reservation,
    ) -> Result<TaskId> {
        task.row = reservation.first;
        tx.insert_task_at(&NewTask { task: &task, initial_text: self.instructions.as_str() }, task.row)?;
        let finish = self.finish.as_ref().map(|finish| finish.insert(tx, &task, task.row)).transpose()?;
        tx.insert_batch(&self.batch(task.row, finish, plan))?;
        if let Some(first) = plan.chunks.first() {
            let width = number_width(plan.chunks.len() as u64);
            let mut first = chunk_task(tx.now(), &task, 1, width, first);
            first.row = reservation.first_chunk();
            tx.publish_chunks(task.row, &first, false)?;
        }
        Ok(task.id)
    }

    /// The task of the batch, without its row.
    pub(super) fn task(&self, now: Timestamp) -> Task {
        let mut task = Task::new(now, self.title.as_str());
        task.task_type = TaskType::Epic;
        task.status = Status::InProgress;
        task.is_batch = true;
        task.project = non_empty(&self.project);
        task
    }

    fn batch(&self, row: RowId, finish: Option<RowId>, plan: &ChunkPlan) -> Batch {
        Batch {
            row,
            instructions: self.instructions.as_str().to_owned(),
            key_field: self.key.as_str().to_owned(),
            split: self.split.to_string(),
            max_chunk: self.max_chunk.get(),
            max_parallel: self.max_parallel.get(),
            max_attempts: self.max_attempts.get(),
            run: self.run.clone(),
            chunk_count: plan.chunks.len() as u64,
            ended_chunks: 0,
            unsuccessful_chunks: 0,
            counts: ItemCounts { total: plan.total(), ..ItemCounts::default() },
            started: None,
            steps: self.steps.clone().unwrap_or_default(),
            checkpoint: self.checkpoint,
            review: self.review,
            auto_approve_after: self.approvals_in_a_row(),
            approved_in_a_row: 0,
            max_failures: self.max_failures,
            forgiven_failures: 0,
            accepted_failures: 0,
            pause_reason: None,
            finish_row: finish,
            in_doubt: self.in_doubt,
            profile: self.worker.as_ref().map(|profile| profile.as_str().to_owned()),
            on_conflict: Some(self.on_conflict),
            resources: self.resources.clone(),
        }
    }
}

/// The id of the finish task of a stored batch.
pub(super) fn finish_id(tx: &dyn StoreRead, batch: RowId) -> Result<Option<TaskId>> {
    match tx.batch(batch)?.and_then(|batch| batch.finish_row) {
        Some(row) => Ok(Some(tx.task_by_row(row)?.id)),
        None => Ok(None),
    }
}
