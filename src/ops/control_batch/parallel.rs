//! Changing how many workers of a batch run at once.

use std::sync::Arc;

use crate::error::{Code, Error, Result};
use crate::model::author::Author;
use crate::model::batch::Batch;
use crate::model::id::TaskId;
use crate::model::limits::MaxParallel;
use crate::model::task::Task;
use crate::ops::Session;
use crate::ops::request::lookup::find_batch;
use crate::ops::runner_launcher::RunnerLauncher;
use crate::store::{NewReceipt, StoreWrite};

/// Sets how many workers of a batch run at once, for the person who resumes it with `tasktally run --workers`.
///
/// # Errors
/// `not_found`, `invalid_argument`; `not_ready` if the batch has ended.
pub fn set_batch_max_parallel(session: &Session, batch: &TaskId, number: MaxParallel) -> Result<()> {
    let (id, author) = (batch.clone(), session.author());
    session.write(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        if batch.max_parallel == number.get() || task.status.is_terminal() {
            return Ok(());
        }
        set_max_parallel(tx, &task, &batch, number, "tasktally run", &author)
    })
}

/// Sets how many workers of a batch run at once. Those that run now finish what they have in hand.
pub(super) fn set_max_parallel(
    tx: &dyn StoreWrite,
    task: &Task,
    batch: &Batch,
    number: MaxParallel,
    reason: &str,
    author: &Author,
) -> Result<()> {
    if task.status.is_terminal() {
        return Err(Error::new(
            Code::NotReady,
            format!("max_parallel: batch {} is {}, so no worker of it runs", task.id, task.status),
        ));
    }
    tx.set_max_parallel(task.row, number.get())?;
    let before = batch.max_parallel;
    let text = format!("max_parallel changed from {before} to {number} by '{author}': {reason}");
    tx.append_receipt(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    Ok(())
}

/// Says how many workers run from now on, for the reply.
pub(super) fn effective_number(
    launcher: Option<&Arc<dyn RunnerLauncher>>,
    batch: &Batch,
    number: MaxParallel,
) -> String {
    let asked = number.get().unsigned_abs();
    let limit = match (launcher, &batch.profile) {
        (Some(launcher), Some(profile)) => launcher.worker_limit(profile),
        _ => Ok((asked, String::new())),
    };
    let effective = match limit {
        Ok((limit, setting)) if limit < asked => {
            format!("at most {limit} workers run, because the configuration has {setting} = {limit}")
        }
        Ok(_) => format!("at most {asked} workers run"),
        Err(error) => {
            format!("at most {asked} workers run, or fewer by the profile, which cannot be read: {error}")
        }
    };
    format!(
        "{effective} from now on; those that are too many end after their item or, as agents, their chunk"
    )
}
