//! What runners leave behind when they are killed, and nobody comes after them: names, and clears it.

use std::fs::DirEntry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::background::end_earlier;
use super::per_chunk::jobs;
use super::progress::{Manner, Progress};
use super::{runner_lock, worktree};
use crate::error::{Code, Error, Result};
use crate::logs;
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::ops::{Session, batch_state, find_runner};

/// How long the log of a runner is kept once its batch is over.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

words!(
    /// What was left.
    Kind, "leftover" {
        /// The record of a runner that has died.
        Runner = "runner",
        /// A lock that nobody holds.
        Lock = "lock",
        /// What the runner of a batch wrote of itself, that is long over.
        Log = "log",
        /// The claim that a worker was started for.
        Job = "job",
        /// The worktree of a chunk that has ended.
        Worktree = "worktree",
    }
);

/// One thing that was left.
#[derive(Debug, Clone)]
pub struct Leftover {
    /// What it is.
    pub kind: Kind,
    /// The batch that it was for.
    pub batch: TaskId,
    /// The file or folder; for a runner the store itself.
    pub path: PathBuf,
}

/// Whether a runner, or `tasktally run`, works a batch; makes nothing.
///
/// # Errors
/// Where that cannot be told.
pub fn is_at_work(session: &Session, batch: &TaskId) -> Result<bool> {
    runner_lock::is_held(session.folder(), batch)
}

/// All that was left beside a store and in it, but for what the next runner of a batch that is to go on clears.
///
/// # Errors
/// Where the store or a folder cannot be read.
pub fn find(session: &Session) -> Result<Vec<Leftover>> {
    let data = session.folder();
    let mut found = Vec::new();
    let runners = session.read(|tx| {
        let runners = tx.runners()?;
        runners.iter().map(|runner| Ok(tx.task_at(runner.batch)?.id)).collect::<Result<Vec<_>>>()
    })?;
    for batch in runners {
        let look = batch_state(session, &batch)?;
        let goes_on = look.status == BatchStatus::Running && look.worker.is_some();
        if !goes_on && !is_at_work(session, &batch)? {
            found.push(Leftover { kind: Kind::Runner, batch, path: data.to_owned() });
        }
    }
    each_entry(data, &mut |entry, name| {
        if let Some(batch) = runner_lock::batch_of(name)
            && !is_at_work(session, &batch)?
        {
            found.push(Leftover { kind: Kind::Lock, batch, path: entry.path() });
        }
        Ok(())
    })?;
    each_entry(&logs::folder_of(data), &mut |entry, name| {
        let batch = name.strip_prefix("runner-").and_then(|name| name.strip_suffix(".log"));
        if let Some(batch) = batch.map(|id| TaskId::stored(id.to_owned()))
            && is_old(entry)
            && is_over(session, &batch)?
        {
            found.push(Leftover { kind: Kind::Log, batch, path: entry.path() });
        }
        Ok(())
    })?;
    each_entry(&jobs(data), &mut |entry, name| {
        let batch = batch_of_chunk(name);
        if !is_at_work(session, &batch)? {
            found.push(Leftover { kind: Kind::Job, batch, path: entry.path() });
        }
        Ok(())
    })?;
    each_entry(&data.join("worktrees"), &mut |entry, name| {
        let (chunk, batch) = (TaskId::stored(name.to_owned()), batch_of_chunk(name));
        if has_ended(session, &chunk)? && !is_at_work(session, &batch)? {
            found.push(Leftover { kind: Kind::Worktree, batch, path: entry.path() });
        }
        Ok(())
    })?;
    Ok(found)
}

/// Clears one; what a person has to look at first stays, and why is given.
///
/// # Errors
/// Where it cannot be removed.
pub fn clear(session: &Session, left: &Leftover) -> Result<Option<String>> {
    // While the lock is held, no runner of the batch begins; its file goes with it.
    let _only = match runner_lock::take(session.folder(), &left.batch) {
        Ok(lock) => lock,
        Err(error) if error.code == Code::AlreadyClaimed => {
            return Ok(Some(format!("batch {} is being worked again", left.batch)));
        }
        Err(error) => return Err(error),
    };
    match left.kind {
        Kind::Lock => {}
        Kind::Runner => {
            let row = batch_state(session, &left.batch)?.row;
            if find_runner(session, row)?.is_some() {
                end_earlier(session, &left.batch, row, &Progress::new(Manner::Quiet, 0, 0))?;
            }
        }
        Kind::Log | Kind::Job => match std::fs::remove_file(&left.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::internal(format!("{} cannot be removed", left.path.display()), error));
            }
            _ => {}
        },
        Kind::Worktree => {
            let repository = worktree::repository_of(&left.path)?;
            let chunk = left.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            if let worktree::Left::Changed { folder, files } =
                worktree::remove(&repository, &left.path, &chunk)?
            {
                let (folder, files) = (folder.display(), files.join(", "));
                return Ok(Some(format!("{folder} holds changes that are in no commit: {files}")));
            }
        }
    }
    Ok(None)
}

/// The batch of a chunk, or of what is called like one with more behind it.
fn batch_of_chunk(name: &str) -> TaskId {
    TaskId::stored(name.split('.').next().unwrap_or_default().to_owned())
}

/// Calls `visit` with each entry of a folder, where there is one, whose name is text.
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
    let written = entry.metadata().and_then(|metadata| metadata.modified());
    written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > KEPT))
}

/// Whether a batch is over, or none that the store knows.
fn is_over(session: &Session, batch: &TaskId) -> Result<bool> {
    match batch_state(session, batch) {
        Ok(look) => Ok(look.status.is_over()),
        Err(error) if matches!(error.code, Code::NotFound | Code::InvalidArgument) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether a chunk has ended, or is none that the store knows.
fn has_ended(session: &Session, chunk: &TaskId) -> Result<bool> {
    let id = chunk.clone();
    match session.read(move |tx| Ok(tx.task(&id)?.status)) {
        Ok(status) => Ok(status.is_terminal()),
        Err(error) if error.code == Code::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
