//! The open batches, to choose from.

use crate::error::{Code, Error, Result};
use crate::model::batch::BatchStatus;
use crate::model::field::visible;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::ops::Session;
use crate::store::{Filter, Read};

/// How many batches are listed: the newest.
const LISTED: usize = 100;
/// Up to how many chunks that wait for a person are counted.
const COUNTED: usize = 100;

/// A batch in a line.
#[derive(Debug, Clone)]
pub(super) struct OpenBatch {
    pub(super) id: TaskId,
    pub(super) title: String,
    pub(super) status: BatchStatus,
    pub(super) processed: u64,
    pub(super) total: u64,
    /// Chunks in review, and those that failed or are blocked; at most [`COUNTED`] of a status.
    pub(super) in_review: usize,
    pub(super) stuck: usize,
}

impl OpenBatch {
    /// What waits for a person, in words.
    pub(super) fn waits(&self) -> String {
        let parts = [(self.in_review, "in review"), (self.stuck, "failed or blocked")];
        let told = parts.into_iter().filter(|(count, _)| *count > 0);
        told.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
    }

    /// How many chunks wait for a person.
    pub(super) fn waits_in_short(&self) -> String {
        match self.in_review + self.stuck {
            0 => String::new(),
            1 => "1 waits for you".to_owned(),
            more => format!("{more} wait for you"),
        }
    }
}

/// The open batches, newest first.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn open_batches(session: &Session) -> Result<Vec<OpenBatch>> {
    session.read(|tx| {
        let mut open = Vec::new();
        for task in tx.open_batches(None, LISTED)? {
            let Some(batch) = tx.batch(task.row)? else { continue };
            open.push(OpenBatch {
                title: visible(&task.title, 200),
                status: batch.status(task.status, tx.is_workable(task.row)?),
                processed: batch.counts.processed(),
                total: batch.counts.total,
                in_review: chunks(tx, task.row, Status::Review)?,
                stuck: chunks(tx, task.row, Status::Failed)? + chunks(tx, task.row, Status::Blocked)?,
                id: task.id,
            });
        }
        Ok(open)
    })
}

fn chunks(tx: &dyn Read, batch: i64, status: Status) -> Result<usize> {
    let filter = Filter { parent: Some(batch), status: Some(status), ..Filter::default() };
    Ok(tx.list(&filter, None, COUNTED)?.len())
}

/// The batch to watch where none was named: the only open one; none where none is open.
///
/// # Errors
/// Where several are open: which.
pub(super) fn only_one(session: &Session) -> Result<Option<TaskId>> {
    let open = open_batches(session)?;
    match open.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.id.clone())),
        more => {
            let named = more.iter().take(10).map(|batch| format!("{} ({})", batch.id, batch.title));
            let named = named.collect::<Vec<_>>().join(", ");
            Err(Error::new(
                Code::InvalidArgument,
                format!("BATCH: {} are open, name one: {named}", more.len()),
            ))
        }
    }
}
