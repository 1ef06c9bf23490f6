//! Finds a batch of `tasktally run` that does the same work as a new one would, and is not finished or has failures.

use crate::error::Result;
use crate::model::failures::Failures;
use crate::model::id::TaskId;
use crate::model::limits::MAX_IDS;
use crate::model::run_record::RunRecord;
use crate::ops::Session;
use crate::ops::views::attention::failures_of;

/// A batch of an earlier `tasktally run` that is not finished.
#[derive(Debug, Clone)]
pub struct UnfinishedRun {
    /// The batch.
    pub batch: TaskId,
    /// Its items.
    pub total: u64,
    /// The items with an outcome.
    pub processed: u64,
}

/// The newest unfinished batch with the same command on the items of the same source.
///
/// # Errors
/// If the store cannot be read.
pub fn find_unfinished_run(session: &Session, run: &RunRecord) -> Result<Option<UnfinishedRun>> {
    let run = run.clone();
    session.read(move |tx| {
        for task in tx.open_batches(None, MAX_IDS)? {
            if let Some(batch) = tx.batch(task.row)?
                && batch.run.is_some_and(|earlier| earlier.is_same_work(&run))
            {
                let (total, processed) = (batch.counts.total, batch.counts.processed());
                return Ok(Some(UnfinishedRun { batch: task.id, total, processed }));
            }
        }
        Ok(None)
    })
}

/// The newest batch with the same command on the items of the same source that ended with failures which nobody has retried
/// or accepted, and these failures.
///
/// # Errors
/// If the store cannot be read.
pub fn find_failed_run(session: &Session, run: &RunRecord) -> Result<Option<(TaskId, Failures)>> {
    let run = run.clone();
    session.read(move |tx| {
        for task in tx.failed_batches(None, MAX_IDS)? {
            let Some(batch) = tx.batch(task.row)? else { continue };
            if batch.run.as_ref().is_some_and(|earlier| earlier.is_same_work(&run)) {
                let failures = failures_of(tx, &task, &batch)?;
                return Ok(Some((task.id, failures)));
            }
        }
        Ok(None)
    })
}
