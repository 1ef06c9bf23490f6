//! Checkpoints: when a chunk that has completed a step waits for a person's review, and when a review may be
//! approved.

use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::step::Checkpoint;
use crate::model::task::Task;
use crate::model::text::{agreeing, counted};
use crate::store::StoreRead;

/// What happens after a chunk has completed a step.
pub(in crate::ops) enum AfterStep {
    /// The chunk waits in `review` for a person.
    Review,
    /// The next step opens. `rule` says why no person is asked although the batch has a checkpoint here.
    NextStep { rule: Option<String> },
}

/// Decides whether a chunk that has completed its step waits for a review.
pub(in crate::ops) fn after_step(batch: &Batch, chunk: &Chunk) -> AfterStep {
    if !batch.checkpoint.asks_after(chunk.step, batch.steps.count()) {
        return AfterStep::NextStep { rule: None };
    }
    match batch.auto_approve_after {
        Some(enough) if batch.checkpoint == Checkpoint::Chunk && batch.approved_in_a_row >= enough => {
            let rule = format!(
                "Approved automatically: {} in a row {} approved.",
                counted(batch.approved_in_a_row, "chunk"),
                agreeing(batch.approved_in_a_row, "was", "were")
            );
            AfterStep::NextStep { rule: Some(rule) }
        }
        _ => AfterStep::Review,
    }
}

/// Whether a chunk in review has completed its step. If not, it waits because some of its items are in doubt.
pub(in crate::ops) fn has_completed_step(chunk: &Chunk, task: &Task) -> bool {
    chunk.accepted_generation == task.generation
}

/// Refuses to approve chunks at a `step` checkpoint, which waits for all chunks of the batch, while some are
/// still being worked on.
///
/// # Errors
/// `not_ready` with the next step.
pub(in crate::ops) fn check_step_complete(
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
    chunks: &[(Chunk, Task)],
) -> Result<()> {
    let approves_step = batch.checkpoint == Checkpoint::Step
        && chunks.iter().any(|(chunk, chunk_task)| has_completed_step(chunk, chunk_task));
    if approves_step && tx.has_workable_chunk(task.row)? {
        return Err(Error::new(
            Code::NotReady,
            format!(
                "Batch {0} has not completed its step: chunks are still being worked on. Poll get_batch(id=\"{0}\") until its status is waiting",
                task.id
            ),
        ));
    }
    Ok(())
}
