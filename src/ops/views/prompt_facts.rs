//! What the store knows about the batch that a prompt is for.

use super::next_workers::worker_needs;
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::ops::request::lookup::find_batch;
use crate::ops::request::server_scope::check_in_scope;
use crate::prompts::WorkerNeeds;

/// What workers of a batch need. The server of a chunk's worker knows that the worker works this chunk only.
///
/// # Errors
/// As for [`check_in_scope`] and [`find_batch`], naming the prompt's argument.
pub fn prompt_needs(session: &Session, batch: TaskId) -> Result<WorkerNeeds> {
    let found = check_in_scope(session, &batch)
        .and_then(|()| session.read(move |tx| find_batch(tx, &batch).map(|(_, batch)| worker_needs(&batch))));
    let needs = found.map_err(|error| match error.message.strip_prefix("id: ") {
        Some(why) => Error::new(error.code, format!("batch: {why}")),
        None => error,
    })?;
    Ok(if session.worker_scope().is_some() { needs.for_one_chunk() } else { needs })
}
