//! Finds the wait of a handle and the batch that it waits for.

use crate::error::{Error, Result};
use crate::model::batch::Batch;
use crate::model::task::{RowId, Task};
use crate::model::text::excerpt;
use crate::model::wait::BatchWait;
use crate::ops::Session;
use crate::ops::request::lookup::find_batch;
use crate::store::StoreRead;

/// The wait of a handle that was given to this caller.
///
/// # Errors
/// `not_found` if no wait has the handle, or it was given to another client.
pub(in crate::ops) fn find_wait(session: &Session, handle: &str) -> Result<BatchWait> {
    let (handle, caller) = (handle.to_owned(), session.caller().to_owned());
    session.read(move |tx| match tx.wait(&handle)? {
        Some(wait) if wait.client == caller => Ok(wait),
        Some(_) => Err(Error::not_found(format!(
            "Handle '{}' belongs to another client than '{}'; wait_batch(id) returns a handle of your own",
            excerpt(&handle),
            excerpt(&caller)
        ))),
        None => Err(Error::not_found(format!(
            "No wait has the handle '{}'; wait_batch(id) returns a handle",
            excerpt(&handle)
        ))),
    })
}

/// The batch in a row, and its task.
pub(in crate::ops) fn awaited_batch(tx: &dyn StoreRead, row: RowId) -> Result<(Task, Batch)> {
    let task = tx.task_by_row(row)?;
    find_batch(tx, &task.id)
}
