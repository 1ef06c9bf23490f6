//! The requests behind `tasktally run`: create a batch, add items to one, and find the command of an earlier run.

use super::batch_totals::not_a_batch;
use super::run_options::Run;
use crate::error::{Error, Result};
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::in_doubt::InDoubtPolicy;
use crate::model::limits::MaxAttempts;
use crate::model::step::Checkpoint;
use crate::model::text::{LineText, LongText, excerpt};
use crate::ops::{AddItems, CreateBatch, Session};

/// Creates the batch of a new run.
pub(super) fn create_batch_request(options: &Run) -> CreateBatch {
    let source = options.items.clone();
    let name = source.as_ref().map_or("items", |source| source.path.as_str());
    CreateBatch {
        title: options
            .title
            .clone()
            .or_else(|| excerpt(&format!("Run over {name}")).parse().ok())
            .unwrap_or(LineText::known("Run")),
        instructions: LongText::known("A command of the operator works each item."),
        items: None,
        source,
        query: None,
        key: options.key.clone(),
        on_bad_item: options.on_bad_item,
        split: options.split.clone(),
        max_chunk: options.max_chunk,
        resources: options.resources.clone(),
        on_conflict: options.on_conflict.unwrap_or(if options.resources.is_empty() {
            OnConflict::Allow
        } else {
            OnConflict::Reject
        }),
        max_parallel: options.workers,
        max_attempts: MaxAttempts::of(3),
        project: options.project.clone(),
        request_key: None,
        steps: None,
        checkpoint: Checkpoint::None,
        auto_approve_after: None,
        in_doubt: InDoubtPolicy::Retry,
        worker: None,
        max_failures: None,
        finish: None,
        dry_run: false,
        command: Some(options.command.clone()),
    }
}

/// Adds the items of a resumed run that the batch does not have yet.
pub(super) fn add_items_request(options: &Run, batch: &TaskId) -> AddItems {
    AddItems {
        id: batch.clone(),
        items: None,
        source: options.items.clone(),
        on_bad_item: options.on_bad_item,
        request_key: None,
        only_if_new: true,
    }
}

/// The command that an earlier `tasktally run` recorded in the batch.
///
/// # Errors
/// The task is not a batch, or has no recorded command.
pub(super) fn recorded_command(session: &Session, batch: &TaskId) -> Result<Vec<String>> {
    let id = batch.clone();
    let command = session.read(move |tx| {
        let task = tx.task(&id)?;
        Ok(tx.batch(task.row)?.ok_or_else(|| not_a_batch(&id))?.command)
    })?;
    command.ok_or_else(|| {
        Error::invalid(format!(
            "resume: batch {batch} was not created by tasktally run, so no command is recorded; give the command after --, or work the batch by its profile with tasktally work --batch {batch}"
        ))
    })
}
