//! Starting a batch: names its worker profile and ends its pause.

use crate::error::{Code, Error, Result};
use crate::model::author::Author;
use crate::model::batch::Batch;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::LineText;
use crate::ops::Session;
use crate::ops::lifecycle::pause::resume_batch;
use crate::ops::request::lookup::find_batch;
use crate::store::{NewReceipt, StoreWrite};

/// Names the profile of a batch for the runner that calls this, and ends the batch's pause.
///
/// # Errors
/// `not_found`, `invalid_argument`; `not_ready` if the batch has ended.
pub fn assign_profile(session: &Session, batch: &TaskId, profile: &LineText) -> Result<()> {
    let (id, profile, author) = (batch.clone(), profile.clone(), session.author());
    session.write(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        start(tx, &task, &batch, Some(&profile), "tasktally work", &author).map(|_| ())
    })
}

/// Ends the pause of a batch for the person who resumes it with `tasktally run`.
///
/// # Errors
/// `not_found`, `invalid_argument`.
pub fn end_pause(session: &Session, batch: &TaskId) -> Result<()> {
    let (id, author) = (batch.clone(), session.author());
    session.write(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        if batch.pause_reason.is_some() && !task.status.is_terminal() {
            resume_batch(tx, &task, &batch, "tasktally run", &author)?;
        }
        Ok(())
    })
}

/// Names the profile of a batch, and ends the pauses of the batch and of the profile. Returns the reply's message.
pub(super) fn start(
    tx: &dyn StoreWrite,
    task: &Task,
    batch: &Batch,
    profile: Option<&LineText>,
    reason: &str,
    author: &Author,
) -> Result<String> {
    let profile = profile.map(LineText::as_str).or(batch.profile.as_deref()).ok_or_else(|| {
        Error::invalid(format!(
            "worker: missing, and batch {0} has no profile. Pass the name of a configured profile: control_batch(id=\"{0}\", action=\"start\", worker=...)",
            task.id
        ))
    })?;
    if task.status.is_terminal() {
        let action = if task.status == Status::Cancelled {
            "recreate\") makes a new batch of what is not done"
        } else {
            "retry\") opens failed items again"
        };
        return Err(Error::new(
            Code::NotReady,
            format!(
                "Batch {0} is {1}: it has no open items; control_batch(id=\"{0}\", action=\"{action}",
                task.id, task.status
            ),
        ));
    }
    tx.set_worker_profile(task.row, profile)?;
    tx.set_profile_pause(profile, None)?;
    let text = format!("Started by '{author}' with profile '{profile}': {reason}");
    tx.append_receipt(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    if batch.pause_reason.is_some() {
        resume_batch(tx, task, batch, reason, author)?;
    }
    Ok(format!("Started {}", task.id))
}
