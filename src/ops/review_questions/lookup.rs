//! Finds the wait of a handle and the batch that it waits for.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::model::batch::Batch;
use crate::model::task::{RowId, Task};
use crate::model::text::excerpt;
use crate::model::wait::BatchWait;
use crate::ops::request::lookup::find_batch;
use crate::ops::request::server_scope::check_operation;
use crate::ops::request::worker_scope::check_scope;
use crate::ops::wait_batch::WaitBatch;
use crate::ops::{Effect, Session};
use crate::store::StoreRead;

/// The wait of a handle that was given to this caller, for a batch in the scope of the caller's server.
///
/// # Errors
/// `forbidden` if the server or the worker's session has no waits; `not_found` if no wait in the scope has the handle, or
/// it was given to another client.
pub(in crate::ops) fn find_wait(session: &Session, handle: &str) -> Result<BatchWait> {
    check_scope::<WaitBatch>(session, Value::Null)?;
    // Each request about a handle may store what became of the wait, or of a question.
    check_operation::<WaitBatch>(session, Effect::Write)?;
    let (handle, caller) = (handle.to_owned(), session.caller().to_owned());
    let scope = session.server_scope().clone();
    let in_scope = move |tx: &dyn StoreRead, wait: &BatchWait| {
        tx.task_by_row(wait.batch).map(|task| scope.contains(&task))
    };
    session.read(move |tx| match tx.wait(&handle)? {
        Some(wait) if !in_scope(tx, &wait)? => Err(unknown(&handle)),
        Some(wait) if wait.client == caller => Ok(wait),
        Some(_) => Err(Error::not_found(format!(
            "Handle '{}' belongs to another client than '{}'; wait_batch(id) returns a handle of your own",
            excerpt(&handle),
            excerpt(&caller)
        ))),
        None => Err(unknown(&handle)),
    })
}

fn unknown(handle: &str) -> Error {
    Error::not_found(format!("No wait has the handle '{}'; wait_batch(id) returns a handle", excerpt(handle)))
}

/// The batch in a row, and its task.
pub(in crate::ops) fn awaited_batch(tx: &dyn StoreRead, row: RowId) -> Result<(Task, Batch)> {
    let task = tx.task_by_row(row)?;
    find_batch(tx, &task.id)
}
