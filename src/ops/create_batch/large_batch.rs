//! Stores a large batch in slices, which are not visible before the last transaction.

use super::reply::StoredBatch;
use super::store::{Contents, finish_id};
use super::{CreateBatch, Plan};
use crate::error::Result;
use crate::model::split::number_width;
use crate::model::task::Task;
use crate::ops::conflicts::resolve::{Resolution, SharedCounts};
use crate::ops::ingest::bad_items::SourceReport;
use crate::ops::ingest::large_batch::{NewChunks, Slices};
use crate::ops::ingest::project_size::check_project_size;
use crate::ops::request::fields::non_empty;
use crate::ops::request::idempotency::{RequestKey, run_once, stored_response};
use crate::ops::{Operation as _, Session};
use crate::store::{Reservation, StoreWrite};

/// A large batch whose slices are inserted.
struct LargeBatch {
    request: CreateBatch,
    request_key: Option<RequestKey>,
    /// Its task, without the row.
    task: Task,
    contents: Contents,
    report: SourceReport,
}

/// The result of the last transaction.
enum Published {
    Plan(Box<Plan>),
    /// Running batches have changed since the resources were compared with theirs.
    Outdated,
}

impl CreateBatch {
    /// Stores the batch.
    ///
    /// # Errors
    /// `conflict` by the batch's rule; `busy` if another large batch is being inserted for too long.
    pub(super) fn store_in_slices(
        self,
        session: &Session,
        contents: Contents,
        request_key: Option<RequestKey>,
        report: SourceReport,
    ) -> Result<Plan> {
        let count = contents.plan.chunks.len();
        let mut slices = Slices::of_new_batch(session, count as u64, non_empty(&self.project))?;
        // The same request may have been stored while this one waited for another batch.
        if let Some(plan) = stored_response(session, request_key.as_ref(), Self::NAME)? {
            return Ok(plan);
        }
        let now = session.read(|tx| Ok(tx.now()))?;
        let task = self.task(now);
        let mut batch = LargeBatch { request: self, request_key, task, contents, report };
        let mut resolution;
        (batch, resolution) = batch.resolve(session)?;
        let Contents { staging, plan, resources, .. } = &mut batch.contents;
        let chunks = NewChunks {
            batch: &batch.task.id,
            first_number: 1,
            width: number_width(count as u64),
            chunks: &plan.chunks,
        };
        slices.insert(chunks, staging, plan.order.as_deref(), resources.as_mut())?;
        loop {
            if let Some(resolution) = &mut resolution {
                slices.insert_shared(resolution)?;
            }
            slices.flush()?;
            let reservation = slices.reservation;
            // The batch is dropped after the transaction: deleting its temporary files takes time.
            let (outdated, published) = session
                .write_with((batch, resolution), move |tx, (batch, resolution)| {
                    batch.publish(tx, reservation, resolution.as_ref())
                })?;
            match published {
                Published::Plan(plan) => return Ok(*plan),
                Published::Outdated => (batch, resolution) = outdated.0.resolve(session)?,
            }
        }
    }
}

impl LargeBatch {
    /// Compares what the items touch with running batches.
    fn resolve(mut self, session: &Session) -> Result<(Self, Option<Resolution>)> {
        session.read(move |tx| {
            let resolution = self.contents.resolve(tx, self.task.project.as_deref())?;
            Ok((self, resolution))
        })
    }

    /// The last transaction: inserts the tasks, unless running batches have changed.
    fn publish(
        &self,
        tx: &dyn StoreWrite,
        reservation: Reservation,
        resolution: Option<&Resolution>,
    ) -> Result<Published> {
        if let Some(resolution) = resolution
            && !resolution.compared.is_current(tx, self.task.project.as_deref())?
        {
            return Ok(Published::Outdated);
        }
        let LargeBatch { request, request_key, task, contents, report } = self;
        let plan = run_once(tx, request_key.as_ref(), CreateBatch::NAME, |tx| {
            tx.end_reservation(&reservation)?;
            let id = request.publish_tasks(tx, task.clone(), &contents.plan, reservation)?;
            check_project_size(tx, non_empty(&request.project).as_deref(), contents.max_project_mb)?;
            report.record(tx, &tx.task(&id)?)?;
            let finish = finish_id(tx, reservation.first)?;
            let shared = resolution.map_or_else(SharedCounts::default, |resolution| resolution.counts);
            let stored = StoredBatch { id, finish, since: tx.latest_change_number()? };
            Ok(request.reply(Some(&stored), &contents.plan, shared, report.clone()))
        })?;
        Ok(Published::Plan(Box::new(plan)))
    }
}
