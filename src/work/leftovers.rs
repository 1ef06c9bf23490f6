//! Finds and removes what killed runners left behind: records, lock files, logs, MCP configurations and worktrees.

use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::background::{end_previous_runner, runner_log};
use super::pool::mcp_config_folder;
use super::progress::RunProgress;
use super::take_over::take_over_from_workers;
use super::{process_lock, run_lock, worktree};
use crate::error::{Code, Error, Result};
use crate::logs;
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::ops::{RunnerClaim, Session, batch_state, find_runner, runner_claims};

/// How long the log of a runner is kept after its last line.
const LOG_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

word_enum!(
    /// What was left behind.
    LeftoverKind, "leftover" {
        /// The record of a runner that has died.
        Runner = "runner",
        /// A run lock that no process holds.
        Lock = "lock",
        /// The log of a runner whose batch has ended.
        Log = "log",
        /// The MCP configuration of a worker that runs per chunk.
        Job = "job",
        /// The worktree of a chunk that has ended.
        Worktree = "worktree",
    }
);

/// One thing that was left behind.
#[derive(Debug, Clone)]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// Its batch.
    pub batch: TaskId,
    /// The file or folder; for a runner's record, the data folder.
    pub path: PathBuf,
}

/// Whether a runner or `tasktally run` works a batch now, on any machine. Creates nothing.
///
/// # Errors
/// The store or the run lock cannot be read.
pub fn has_live_runner(session: &Session, batch: &TaskId) -> Result<bool> {
    Ok(run_lock::find_holder(session, batch)?.is_some())
}

/// Everything that was left behind, in the store and in its data folder. The record of a runner whose batch still
/// runs by a profile is not listed: the batch's next runner removes it. Other stores may share the folder, so files of a
/// batch that this store does not have are not listed, except locks that no process holds.
///
/// # Errors
/// The store or a folder cannot be read.
pub fn find_leftovers(session: &Session) -> Result<Vec<Leftover>> {
    let data = session.folder();
    let mut found = Vec::new();
    let batches_with_runner = session.read(|tx| {
        let runners = tx.runners()?;
        runners.iter().map(|runner| Ok(tx.task_by_row(runner.batch)?.id)).collect::<Result<Vec<_>>>()
    })?;
    for batch in batches_with_runner {
        let state = batch_state(session, &batch)?;
        let gets_a_runner = state.status == BatchStatus::Running && state.worker.is_some();
        if !gets_a_runner && !has_live_runner(session, &batch)? {
            found.push(Leftover { kind: LeftoverKind::Runner, batch, path: data.to_owned() });
        }
    }
    let claims = runner_claims(session)?;
    each_entry(data, &mut |entry, name| {
        if let Some(batch) = run_lock::batch_of_file(name)
            && !has_live_runner(session, &batch)?
        {
            found.push(Leftover { kind: LeftoverKind::Lock, batch, path: entry.path() });
        }
        if let Some(claim) = claim_of_dead_process(session, &claims, name)? {
            let batch = claim.batch.clone().unwrap_or_else(|| claim.task.clone());
            found.push(Leftover { kind: LeftoverKind::Lock, batch, path: entry.path() });
        }
        Ok(())
    })?;
    each_entry(&logs::logs_folder(data), &mut |entry, name| {
        if let Some(batch) = runner_log::batch_of_file(name)
            && is_old(entry)
            && batch_has_ended(session, &batch)?
        {
            found.push(Leftover { kind: LeftoverKind::Log, batch, path: entry.path() });
        }
        Ok(())
    })?;
    each_entry(&mcp_config_folder(data), &mut |entry, name| {
        let (chunk, batch) = (chunk_of_file(name), batch_of_chunk(name));
        if !has_live_runner(session, &batch)? && is_known_and_idle(session, &chunk)? {
            found.push(Leftover { kind: LeftoverKind::Job, batch, path: entry.path() });
        }
        Ok(())
    })?;
    each_entry(&data.join("worktrees"), &mut |entry, name| {
        let (chunk, batch) = (TaskId::stored(name.to_owned()), batch_of_chunk(name));
        if chunk_has_ended(session, &chunk)? && !has_live_runner(session, &batch)? {
            found.push(Leftover { kind: LeftoverKind::Worktree, batch, path: entry.path() });
        }
        Ok(())
    })?;
    Ok(found)
}

/// Removes one. Returns the reason if it stays, because a person has to look at it first.
///
/// # Errors
/// It cannot be removed.
pub fn remove_leftover(session: &Session, leftover: &Leftover) -> Result<Option<String>> {
    // No runner of the batch can start while we hold the lock. Dropping the lock removes its file.
    let lock = match run_lock::acquire(session, &leftover.batch) {
        Ok(lock) => lock,
        Err(error) if error.code == Code::AlreadyClaimed => {
            return Ok(Some(format!("a runner works on batch {} again", leftover.batch)));
        }
        Err(error) => return Err(error),
    };
    let session = &session.with_fence(lock.fence());
    match leftover.kind {
        // Releases the claims of the process whose lock it is, if it is not a run lock.
        LeftoverKind::Lock => drop(take_over_from_workers(session, &RunProgress::hidden())?),
        LeftoverKind::Runner => {
            let row = batch_state(session, &leftover.batch)?.row;
            if find_runner(session, row)?.is_some() {
                end_previous_runner(session, &leftover.batch, row, &RunProgress::hidden())?;
            }
        }
        LeftoverKind::Log | LeftoverKind::Job => match std::fs::remove_file(&leftover.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let message = format!("{} cannot be removed", leftover.path.display());
                return Err(Error::internal(message, error));
            }
            _ => {}
        },
        LeftoverKind::Worktree => {
            let repository = worktree::repository_of(&leftover.path)?;
            let chunk = leftover.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            if let worktree::Removal::HasChanges { folder, files } =
                worktree::remove(&repository, &leftover.path, &chunk)?
            {
                let (folder, files) = (folder.display(), files.join(", "));
                return Ok(Some(format!("{folder} has changes that are in no commit: {files}")));
            }
        }
    }
    Ok(None)
}

/// The batch of a chunk, from a file name that starts with the chunk's id.
fn batch_of_chunk(name: &str) -> TaskId {
    TaskId::stored(name.split('.').next().unwrap_or_default().to_owned())
}

/// The chunk or task whose worker got a file: the start of its name.
fn chunk_of_file(name: &str) -> TaskId {
    let name = name.strip_suffix(".json").unwrap_or(name);
    let mut words = name.split('.');
    let (batch, number) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_chunk = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    TaskId::stored(if is_chunk { format!("{batch}.{number}") } else { batch.to_owned() })
}

/// The first claim in this store of the process whose lock has a name, if the process has died.
fn claim_of_dead_process<'a>(
    session: &Session,
    claims: &'a [RunnerClaim],
    name: &str,
) -> Result<Option<&'a RunnerClaim>> {
    let Some(mark) = process_lock::mark_of_file(name) else { return Ok(None) };
    let claim = claims.iter().find(|claim| claim.token.process_mark().as_ref() == Some(&mark));
    Ok(if process_lock::has_died(session.folder(), &mark)? { claim } else { None })
}

/// Calls `visit` for each entry of a folder whose name is UTF-8. A missing folder has no entries.
fn each_entry(folder: &Path, visit: &mut dyn FnMut(&DirEntry, &str) -> Result<()>) -> Result<()> {
    let unreadable = |error| Error::internal(format!("{} cannot be read", folder.display()), error);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        if let Some(name) = entry.file_name().to_str() {
            visit(&entry, name)?;
        }
    }
    Ok(())
}

fn is_old(entry: &DirEntry) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LOG_RETENTION))
}

/// Whether a batch is in the store and has ended.
fn batch_has_ended(session: &Session, batch: &TaskId) -> Result<bool> {
    match batch_state(session, batch) {
        Ok(state) => Ok(state.status.is_over()),
        Err(error) if matches!(error.code, Code::NotFound | Code::InvalidArgument) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a chunk is in the store and has ended.
fn chunk_has_ended(session: &Session, chunk: &TaskId) -> Result<bool> {
    Ok(status_of(session, chunk)?.is_some_and(Status::is_terminal))
}

/// Whether a chunk or task is in the store and nobody works on it.
fn is_known_and_idle(session: &Session, task: &TaskId) -> Result<bool> {
    Ok(status_of(session, task)?.is_some_and(|status| status != Status::InProgress))
}

/// The status of a task; `None` if the store does not have it.
fn status_of(session: &Session, task: &TaskId) -> Result<Option<Status>> {
    let id = task.clone();
    match session.read(move |tx| Ok(tx.task(&id)?.status)) {
        Ok(status) => Ok(Some(status)),
        Err(error) if error.code == Code::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
