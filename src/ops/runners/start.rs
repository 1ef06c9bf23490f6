//! Starts the runners that batches with a worker profile need.

use std::sync::Arc;

use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, BatchStatus};
use crate::model::id::TaskId;
use crate::model::limits::MAX_IDS;
use crate::model::step::Steps;
use crate::model::task::Task;
use crate::model::text::LineText;
use crate::ops::Session;
use crate::ops::request::lookup::{batch_status, find_batch};
use crate::ops::runner_launcher::{RunnerLauncher, RunnerPlace, RunnerStart};
use crate::ops::runners::profiles::{pause_profile, profile_pause};
use crate::store::StoreRead;

/// Refuses a profile that cannot be started here, for a batch with these steps. Returns the end of the reply's message if
/// the caller should know something about it.
///
/// # Errors
/// `invalid_argument`, or what is wrong with the profile.
pub(in crate::ops) fn check_profile(
    session: &Session,
    profile: &LineText,
    project: Option<&str>,
    steps: &Steps,
) -> Result<String> {
    let launcher = session.launcher().ok_or_else(|| {
        Error::invalid(format!(
            "worker: profile '{profile}' cannot be used, this process starts no background workers; leave `worker` out"
        ))
    })?;
    let note = launcher.check(profile.as_str(), project, &steps.names())?;
    Ok(note.map(|note| format!("; {note}")).unwrap_or_default())
}

/// Starts a runner for every open batch that has a profile and no runner, for example after the machine was
/// restarted. A failed start is logged.
///
/// # Errors
/// If the store cannot be read.
pub fn start_missing_runners(session: &Session) -> Result<()> {
    let open = session.read(|tx| {
        let mut open = Vec::new();
        for task in tx.open_batches(None, MAX_IDS)? {
            if tx.batch(task.row)?.is_some_and(|batch| batch.profile.is_some()) {
                open.push(task.id);
            }
        }
        Ok(open)
    })?;
    for id in open {
        if let Err(error) = start(session, &id) {
            tracing::warn!(batch = %id, %error, "no runner could be started");
        }
    }
    Ok(())
}

/// Whether a running batch has a profile and no runner; `false` if this process cannot start runners, because it
/// cannot know of them either.
pub(in crate::ops) fn lacks_runner(
    launcher: Option<&Arc<dyn RunnerLauncher>>,
    tx: &dyn StoreRead,
    task: &Task,
    batch: &Batch,
) -> Result<bool> {
    let Some(launcher) = launcher.filter(|_| batch.profile.is_some()) else { return Ok(false) };
    Ok(batch_status(tx, task, batch)? == BatchStatus::Running && !launcher.is_running(tx, &task.id)?)
}

/// Where the runner of a batch runs; `None` if it has none, or this process cannot start runners and so knows of none.
pub(in crate::ops) fn runner_place(
    launcher: Option<&Arc<dyn RunnerLauncher>>,
    tx: &dyn StoreRead,
    batch: &Task,
) -> Result<Option<RunnerPlace>> {
    launcher.map_or(Ok(None), |launcher| launcher.runner_place(tx, &batch.id))
}

/// What became of the request for a runner of a batch with a profile.
enum Started {
    /// A runner works on the batch.
    Runner(RunnerStart),
    /// The profile is paused, for this reason, and now the batch is, too.
    Paused(String),
}

/// Starts a runner for a running batch that has a profile. Returns the profile's name; `None` if the batch needs
/// no runner or this process cannot start one.
fn start(session: &Session, batch: &TaskId) -> Result<Option<(String, Started)>> {
    let Some(profile) = profile_of_running(session, batch)? else { return Ok(None) };
    let Some(launcher) = session.launcher() else { return Ok(None) };
    if let Some(why) = profile_pause(session, &profile)? {
        // A runner would find the same, but only after the reply has claimed that it works.
        pause_profile(session, batch, &profile, &why)?;
        return Ok(Some((profile, Started::Paused(why))));
    }
    let (seen_by, id) = (launcher.clone(), batch.clone());
    let start = match session.read(move |tx| seen_by.runner_place(tx, &id))? {
        Some(place) => RunnerStart::AlreadyRunning(place),
        None => launcher.start(batch)?,
    };
    Ok(Some((profile, Started::Runner(start))))
}

fn profile_of_running(session: &Session, batch: &TaskId) -> Result<Option<String>> {
    let id = batch.clone();
    session.read(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        let is_running = batch_status(tx, &task, &batch)? == BatchStatus::Running;
        Ok(batch.profile.filter(|_| is_running))
    })
}

/// Starts a runner for a batch if it needs one. Returns the result as the end of a reply's message. A runner that
/// cannot be started does not undo what the operation has committed.
pub(in crate::ops) fn start_runner(session: &Session, batch: &TaskId) -> String {
    try_start_runner(session, batch).0
}

/// As [`start_runner`]; also returns the code of the error that prevented the start.
pub(in crate::ops) fn try_start_runner(session: &Session, batch: &TaskId) -> (String, Option<Code>) {
    match start(session, batch) {
        Ok(None) => (String::new(), None),
        Ok(Some((profile, Started::Runner(RunnerStart::Started(pid))))) => {
            (format!("; profile '{profile}' works on it in the background (process {pid})"), None)
        }
        Ok(Some((profile, Started::Runner(RunnerStart::AlreadyRunning(place))))) => {
            (format!("; profile '{profile}' works on it in the background{}", place.on_other_host()), None)
        }
        Ok(Some((profile, Started::Paused(why)))) => {
            let why = why.trim_end_matches('.');
            let message = format!(
                "; the batch is paused, because profile '{profile}' is paused: {why}. Fix the profile, then control_batch(id=\"{batch}\", action=\"resume\")"
            );
            (message, None)
        }
        Err(error) => {
            let message = format!(
                "; no runner could be started: {error}. control_batch(id=\"{batch}\", action=\"start\") tries again"
            );
            (message, Some(error.code))
        }
    }
}
