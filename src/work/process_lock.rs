//! The lock of a `tasktally work` process. Several of them may work a batch, so none holds the run lock; each holds a
//! lock of its own, whose mark is part of the tokens of its claims. So every other process can tell whether it lives.

use std::path::{Path, PathBuf};

use super::file_lock::{self, FileLock, LockState};
use crate::error::{Code, Error, Result};
use crate::model::id::ProcessMark;

/// The lock of this process.
#[derive(Debug)]
pub(super) struct ProcessLock {
    mark: ProcessMark,
    /// Released when the process dies.
    _lock: FileLock,
}

impl ProcessLock {
    /// Creates a lock for this process, in the data folder.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(super) fn acquire(data: &Path) -> Result<Self> {
        let mark = ProcessMark::random();
        let lock = FileLock::try_acquire(&lock_file(data, &mark))?;
        let lock =
            lock.ok_or_else(|| Error::new(Code::Internal, "another process has the same random mark"))?;
        Ok(ProcessLock { mark, _lock: lock })
    }

    /// The mark of this process.
    pub(super) fn mark(&self) -> &ProcessMark {
        &self.mark
    }
}

fn lock_file(data: &Path, mark: &ProcessMark) -> PathBuf {
    data.join(format!("work-{mark}.lock"))
}

/// The mark in the name of a process lock's file.
pub(super) fn mark_of_file(name: &str) -> Option<ProcessMark> {
    name.strip_prefix("work-")?.strip_suffix(".lock")?.parse().ok()
}

/// Whether the process with a mark has died: its file exists and no process holds it. Without a file nothing is known:
/// the process may use the store under another path.
///
/// # Errors
/// The file cannot be read.
pub(super) fn has_died(data: &Path, mark: &ProcessMark) -> Result<bool> {
    Ok(file_lock::state(&lock_file(data, mark))? == LockState::Free)
}

/// Removes the file of a process that has died.
///
/// # Errors
/// The file cannot be locked.
pub(super) fn remove(data: &Path, mark: &ProcessMark) -> Result<()> {
    FileLock::try_acquire(&lock_file(data, mark)).map(drop)
}

/// The run marker of the commands that a process starts.
pub(super) fn run_marker(mark: &ProcessMark) -> String {
    format!("work-{mark}")
}
