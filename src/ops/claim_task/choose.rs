//! Chooses the task to claim, or says why there is none.

use super::ClaimTask;
use crate::error::{Code, Error, Result};
use crate::model::batch::BatchStatus;
use crate::model::claim_rules::{ClaimKind, check_claimable};
use crate::model::id::TaskId;
use crate::model::limits::Priority;
use crate::model::resource::display_path;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::{counted, excerpt};
use crate::ops::Session;
use crate::ops::request::fields::{non_empty, parse_tags};
use crate::ops::request::lookup::find_task;
use crate::ops::runners::claims::claims_of_processes;
use crate::ops::views::nothing_to_claim::nothing_to_claim;
use crate::store::{StoreRead, TaskFilter};

impl ClaimTask {
    /// The task that `worker` may claim.
    pub(super) fn choose(&self, tx: &dyn StoreRead, worker: &str) -> Result<Task> {
        let task = match &self.id {
            Some(id) => {
                let task = tx.task(id)?;
                self.check_filters(tx, &task)?;
                task
            }
            None => self.choose_best(tx)?,
        };
        check_claimable(&task, worker, ClaimKind::Fenced, tx.now())?;
        check_resources_free(tx, &task)?;
        self.check_parallel(tx, &task)?;
        Ok(task)
    }

    /// Refuses a process that works a batch more workers than `max_parallel` allows over all processes and machines. Claims of
    /// agents do not count: nobody notices when an agent dies, so its claim would block others until it expires.
    fn check_parallel(&self, tx: &dyn StoreRead, task: &Task) -> Result<()> {
        let is_process = self.by_runner || self.process.is_some();
        let (true, Some(row), Some(id)) = (is_process && task.is_chunk, task.parent_row, &self.batch) else {
            return Ok(());
        };
        let Some(batch) = tx.batch(row)? else { return Ok(()) };
        let at_work = claims_of_processes(tx, row)?;
        if at_work < batch.max_parallel.unsigned_abs() {
            return Ok(());
        }
        Err(Error::new(
            Code::NothingToClaim,
            format!(
                "{} of batch {id} at work, as many as max_parallel allows; control_batch(id=\"{id}\", max_parallel=N) changes it",
                counted(at_work, "worker"),
            ),
        ))
    }

    /// Checks that the task that the request names matches the other filters of the request.
    fn check_filters(&self, tx: &dyn StoreRead, task: &Task) -> Result<()> {
        let batch = self.batch.as_ref().map(|id| find_task(tx, id, "batch")).transpose()?;
        let project = non_empty(&self.project);
        let tags = parse_tags(&self.tags)?;
        let mismatches = [
            ("batch", batch.is_some_and(|batch| task.parent_row != Some(batch.row))),
            ("project", project.is_some() && project != task.project),
            ("type", self.task_type.is_some_and(|task_type| task_type != task.task_type)),
            ("priority_max", self.wanted_priority_max().is_some_and(|max| task.priority > max)),
            ("tags", tags.iter().any(|tag| !task.tags.contains(tag))),
        ];
        match mismatches.iter().find(|(_, differs)| *differs) {
            Some((name, _)) => Err(Error::invalid(format!(
                "{name}: task {} does not match; leave {name} out to claim this task, or id to claim another",
                task.id
            ))),
            None => Ok(()),
        }
    }

    /// The limit of `priority_max`. Some clients fill every parameter, a number with 0. A caller that names the task or
    /// the batch has chosen already, so there 0 is no filter: it would keep such a client from its work.
    fn wanted_priority_max(&self) -> Option<i64> {
        let is_named = self.id.is_some() || self.batch.is_some();
        self.priority_max.map(Priority::get).filter(|max| *max > 0 || !is_named)
    }

    fn choose_best(&self, tx: &dyn StoreRead) -> Result<Task> {
        let batch = self.batch.as_ref().map(|id| find_task(tx, id, "batch")).transpose()?;
        if let Some(Task { id, parent: Some(batch), is_chunk: true, .. }) = &batch {
            return Err(Error::invalid(format!(
                "batch: {id} is a chunk of batch {batch}; name that batch, or claim the chunk alone with claim_task(id=\"{id}\")"
            )));
        }
        if let Some(batch) = &batch
            && batch.status == Status::Cancelled
        {
            return Err(Error::new(Code::Cancelled, format!("Batch {} was cancelled; stop", batch.id)));
        }
        let filter = TaskFilter {
            project: non_empty(&self.project),
            task_type: self.task_type,
            priority_max: self.wanted_priority_max(),
            parent: batch.as_ref().map(|batch| batch.row),
            ready: true,
            without_conflicts: true,
            without_unfinished_children: batch.is_none(),
            tags: parse_tags(&self.tags)?,
            ..TaskFilter::default()
        };
        if let Some(task) = tx.list(&filter, None, 1)?.pop() {
            return Ok(task);
        }
        if let Some(batch) = &batch {
            refuse_if_person_needed(tx, batch)?;
        }
        Err(nothing_to_claim(tx, batch.as_ref(), &filter)?)
    }
}

/// Refuses a chunk while another chunk that shares a resource with it is being worked on.
fn check_resources_free(tx: &dyn StoreRead, task: &Task) -> Result<()> {
    if task.is_chunk
        && let Some(used) = tx.resource_in_use(task.row)?
    {
        let other = tx.task_by_row(used.chunk)?;
        return Err(Error::new(
            Code::NotReady,
            format!(
                "Chunk {} shares '{}' with chunk {}, which '{}' is working on. Claim it when that chunk has ended, or claim another with claim_task()",
                task.id,
                excerpt(&display_path(&used.resource)),
                other.id,
                other.claim.as_ref().map_or("another worker", |claim| claim.worker.as_str()),
            ),
        ));
    }
    Ok(())
}

/// Refuses a batch that is paused or waits for a review.
fn refuse_if_person_needed(tx: &dyn StoreRead, task: &Task) -> Result<()> {
    let Some(batch) = tx.batch(task.row)? else { return Ok(()) };
    if let Some(reason) = &batch.pause_reason {
        let reason = reason.trim_end_matches('.');
        let message =
            format!("Batch {} is paused: {reason}. Stop; a person decides when it continues", task.id);
        return Err(Error::new(Code::Paused, message));
    }
    if batch.status(task.status, tx.has_workable_chunk(task.row)?) == BatchStatus::Waiting {
        let message = format!(
            "Stop: no chunk of batch {0} can be worked before a person decides. Its supervisor sees what waits with get_batch(id=\"{0}\", view=\"review\")",
            task.id
        );
        return Err(Error::new(Code::NothingToClaim, message));
    }
    Ok(())
}

/// Whether a batch has ready chunks. To a worker that found nothing to claim this says that they all share a
/// resource with chunks that are being worked on, or that as many workers are at work as may.
///
/// # Errors
/// If the store cannot be read.
pub fn waits_for_resources(session: &Session, batch: &TaskId) -> Result<bool> {
    let batch = batch.clone();
    session.read(move |tx| {
        let filter = TaskFilter { ready: true, ..TaskFilter::children_of(tx.task(&batch)?.row) };
        Ok(!tx.list(&filter, None, 1)?.is_empty())
    })
}
