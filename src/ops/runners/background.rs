//! Background workers, as far as operations start them: who does it stands outside (`work`).

use std::sync::Arc;

use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, BatchStatus};
use crate::model::id::TaskId;
use crate::model::limits::MOST_IDS;
use crate::model::task::Task;
use crate::model::text::Line;
use crate::ops::Session;
use crate::ops::views::batch::{batch_status, find_batch};
use crate::store::Read;

/// Who starts runners.
pub trait RunnerLauncher: Send + Sync {
    /// Refuses a profile that the operator's configuration doesn't have, or that could not be started for
    /// the batches of a project.
    ///
    /// # Errors
    /// What is wrong with the profile, the project or the configuration.
    fn check(&self, profile: &str, project: Option<&str>) -> Result<()>;
    /// Starts a runner for a batch, unless one is at work.
    ///
    /// # Errors
    /// Why none could be started.
    fn start(&self, batch: &TaskId) -> Result<RunnerStart>;
    /// Whether a runner is at work on a batch.
    ///
    /// # Errors
    /// Where that cannot be told.
    fn is_at_work(&self, batch: &TaskId) -> Result<bool>;
}

/// Whether a runner was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunnerStart {
    /// A runner was started; its process id.
    Started(u32),
    /// The batch has a runner already.
    AlreadyRunning,
}

/// Refuses a profile by which no batch can be worked here.
pub(in crate::ops) fn check(session: &Session, profile: &Line, project: Option<&str>) -> Result<()> {
    let background = session.launcher().ok_or_else(|| {
        Error::invalid("worker: no background workers can be started from here; leave it out")
    })?;
    background.check(profile.as_str(), project)
}

/// Sees to it that every open batch with a profile has a runner: a machine that was started anew has none.
///
/// # Errors
/// Where the store cannot be read.
pub fn start_missing_runners(session: &Session) -> Result<()> {
    let open = session.read(|tx| {
        let mut open = Vec::new();
        for task in tx.open_batches(None, MOST_IDS)? {
            if tx.batch(task.row)?.is_some_and(|batch| batch.worker.is_some()) {
                open.push(task.id);
            }
        }
        Ok(open)
    })?;
    for id in open {
        match start(session, &id) {
            Ok(_) => {}
            Err(error) => tracing::warn!(batch = %id, %error, "no runner could be started"),
        }
    }
    Ok(())
}

/// Whether a running batch has a profile and no runner works it; where no runner could be started from here,
/// nobody can tell.
pub(in crate::ops) fn is_unworked(
    background: Option<&Arc<dyn RunnerLauncher>>,
    tx: &dyn Read,
    task: &Task,
    batch: &Batch,
) -> Result<bool> {
    let Some(background) = background.filter(|_| batch.worker.is_some()) else { return Ok(false) };
    Ok(batch_status(tx, task, batch)? == BatchStatus::Running && !background.is_at_work(&task.id)?)
}

/// Starts a runner for a running batch with a profile; gives the profile's name, where there is one.
fn start(session: &Session, batch: &TaskId) -> Result<Option<(String, RunnerStart)>> {
    let Some(profile) = profile_of(session, batch)? else { return Ok(None) };
    let Some(background) = session.launcher() else { return Ok(None) };
    background.start(batch).map(|started| Some((profile, started)))
}

/// The profile of a batch that is running.
fn profile_of(session: &Session, batch: &TaskId) -> Result<Option<String>> {
    let id = batch.clone();
    session.read(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        let is_running = batch_status(tx, &task, &batch)? == BatchStatus::Running;
        Ok(batch.worker.filter(|_| is_running))
    })
}

/// Sees to it that a running batch with a profile has a runner; says what came of it, for the end of a
/// message. A runner that can't be started does not undo what was done before.
pub(in crate::ops) fn wake(session: &Session, batch: &TaskId) -> Result<String> {
    try_wake(session, batch).map(|(told, _)| told)
}

/// The same, with the code of what stands in the way of a runner.
pub(in crate::ops) fn try_wake(session: &Session, batch: &TaskId) -> Result<(String, Option<Code>)> {
    let told = match start(session, batch) {
        Ok(None) => String::new(),
        Ok(Some((profile, RunnerStart::Started(pid)))) => {
            format!("; profile '{profile}' works it in the background (process {pid})")
        }
        Ok(Some((profile, RunnerStart::AlreadyRunning))) => {
            format!("; profile '{profile}' works it in the background")
        }
        Err(error) => {
            let told = format!(
                "; but no runner could be started: {error}. control_batch(id=\"{batch}\", action=\"start\") tries again"
            );
            return Ok((told, Some(error.code)));
        }
    };
    Ok((told, None))
}
