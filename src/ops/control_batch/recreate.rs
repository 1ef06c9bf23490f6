//! A new batch of what an ended batch has not done.

use crate::error::{Code, Error, Result};
use crate::model::batch::Batch;
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::limits::{MaxAttempts, MaxChunk, MaxParallel, SequenceNumber};
use crate::model::task::Task;
use crate::model::text::{LineText, LongText, excerpt};
use crate::ops::create_batch::CreateBatch;
use crate::ops::lifecycle::finish_task::Finish;
use crate::ops::request::lookup::{batch_status, find_batch};
use crate::ops::views::batch_reply::BatchReply;
use crate::ops::{Operation as _, Session};
use crate::store::StoreRead;

/// Before the title of a batch that is the rest of another one.
const REST_OF: &str = "Rest of ";

/// Creates a batch from the items of an ended batch that are not done, with the same settings. `max_parallel` replaces
/// that of the ended batch.
///
/// # Errors
/// `not_ready` if the batch has not ended; `invalid_argument` if nothing is left of it; as `create_batch`.
pub(super) fn recreate(
    session: &Session,
    id: &TaskId,
    reason: &str,
    max_parallel: Option<MaxParallel>,
) -> Result<BatchReply> {
    let (old, reason) = (id.clone(), reason.to_owned());
    let mut request = session.read(move |tx| {
        let (task, batch) = find_batch(tx, &old)?;
        if !batch_status(tx, &task, &batch)?.is_over() {
            return Err(Error::new(
                Code::NotReady,
                format!(
                    "Batch {old} has not ended: its open items can still be worked. control_batch(id=\"{old}\", action=\"retry\") opens its failed items again; control_batch(id=\"{old}\", action=\"cancel\") ends it"
                ),
            ));
        }
        same_settings(tx, &task, batch, reason)
    })?;
    request.max_parallel = max_parallel.unwrap_or(request.max_parallel);
    let is_run = request.run.is_some() && request.worker.is_none();
    let plan = request.run(session)?;
    let new = TaskId::stored(plan.batch.id.unwrap_or_default());
    let next = if is_run { format!(". To work on it: tasktally run --resume {new}") } else { String::new() };
    let message = format!("Batch {new}: {}{next}", plan.message);
    session.read(move |tx| BatchReply::new(tx, &new, message))
}

/// A request with the settings of a batch.
fn same_settings(tx: &dyn StoreRead, task: &Task, batch: Batch, reason: String) -> Result<CreateBatch> {
    let finish = match batch.finish_row {
        Some(row) => Some(Finish {
            title: stored(tx.task_by_row(row)?.title.parse())?,
            body: stored(tx.initial_text(row)?.parse())?,
        }),
        None => None,
    };
    let title = if task.title.starts_with(REST_OF) {
        task.title.clone()
    } else {
        excerpt(&format!("{REST_OF}{}", task.title))
    };
    let instructions: LongText = stored(batch.instructions.parse())?;
    Ok(CreateBatch {
        key: stored(batch.key_field.parse())?,
        split: stored(batch.split.parse())?,
        max_chunk: stored(MaxChunk::try_from(batch.max_chunk))?,
        max_parallel: stored(MaxParallel::try_from(batch.max_parallel))?,
        max_attempts: stored(MaxAttempts::try_from(batch.max_attempts))?,
        resources: batch.resources,
        on_conflict: batch.on_conflict.unwrap_or(OnConflict::Reject),
        steps: Some(batch.steps).filter(|steps| !steps.is_empty()),
        checkpoint: batch.checkpoint,
        review: batch.review,
        auto_approve_after: batch
            .auto_approve_after
            .map(|after| stored(SequenceNumber::try_from(after.cast_signed())))
            .transpose()?,
        in_doubt: batch.in_doubt,
        max_failures: batch.max_failures,
        finish,
        worker: batch.profile.map(|profile| stored(profile.parse())).transpose()?,
        project: task.project.as_ref().map(|project| stored(project.parse())).transpose()?,
        run: batch.run,
        rest_of: Some((task.id.clone(), reason)),
        ..CreateBatch::new(stored::<LineText, _>(title.parse())?, instructions)
    })
}

/// A value that was valid when it was stored.
fn stored<T, E: std::fmt::Display>(parsed: Result<T, E>) -> Result<T> {
    parsed.map_err(|error| Error::new(Code::Internal, format!("a stored setting cannot be used: {error}")))
}
