//! The write lock: one process writes at a time.
//!
//! SQLite's busy timeout polls, and under load one of eight processes could not write for seconds. With a lock on a
//! file beside the store (`flock`), the kernel queues the processes.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lock_holder::{LockHolder, lock_holder};
use crate::error::{Code, Error, Result};
use crate::private_files::open_private_file;
use crate::store::sqlite::files::{beside, file_error};

/// How often [`WriteLock::lock_within`] tries.
const RETRY: Duration = Duration::from_millis(10);

/// The lock file of a store.
pub(in crate::store::sqlite) struct WriteLock {
    file: Arc<File>,
    path: PathBuf,
}

/// The lock, held; dropping it lets the next process write.
pub(in crate::store::sqlite) struct WriteLockGuard {
    file: Arc<File>,
}

impl WriteLock {
    /// Opens the lock file of a store, and creates it if it is missing.
    pub(in crate::store::sqlite) fn open(store: &Path) -> Result<Self> {
        WriteLock::open_file(store, lock_path(store))
    }

    /// Opens the file for the bulk lock: one process inserts a large batch at a time.
    pub(in crate::store::sqlite) fn open_bulk(store: &Path) -> Result<Self> {
        WriteLock::open_file(store, beside(store, "-bulk-lock"))
    }

    fn open_file(store: &Path, path: PathBuf) -> Result<Self> {
        let file = open_private_file(OpenOptions::new().write(true).create(true).truncate(false), &path)
            .map_err(|error| file_error(store, "the lock file beside it cannot be opened", error))?;
        Ok(WriteLock { file: Arc::new(file), path })
    }

    /// Waits for the lock without a limit. It ends with the process at the latest.
    pub(in crate::store::sqlite) fn lock(&self) -> Result<WriteLockGuard> {
        self.file.lock().map_err(|error| self.lock_error(error))?;
        Ok(WriteLockGuard { file: self.file.clone() })
    }

    /// Acquires the lock if no other process holds it.
    pub(in crate::store::sqlite) fn try_lock(&self) -> Result<Option<WriteLockGuard>> {
        match self.file.try_lock() {
            Ok(()) => Ok(Some(WriteLockGuard { file: self.file.clone() })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(self.lock_error(error)),
        }
    }

    /// Waits for the lock up to a limit. It polls, outside the kernel's queue, so it is for rare cases only.
    pub(in crate::store::sqlite) fn lock_within(&self, limit: Duration) -> Result<WriteLockGuard> {
        let started = Instant::now();
        loop {
            if let Some(guard) = self.try_lock()? {
                return Ok(guard);
            }
            if started.elapsed() >= limit {
                return Err(timeout_error_of(&self.path, limit));
            }
            std::thread::sleep(RETRY);
        }
    }

    fn lock_error(&self, error: std::io::Error) -> Error {
        Error::internal(format!("{} cannot be locked", self.path.display()), error)
    }
}

impl Drop for WriteLockGuard {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::error!(%error, "the write lock could not be released");
        }
    }
}

/// The path of a store's lock file.
fn lock_path(store: &Path) -> PathBuf {
    beside(store, "-lock")
}

/// The refusal of a write that did not get the lock in time. Names the process that holds it.
pub(in crate::store::sqlite) fn timeout_error(store: &Path, waited: Duration) -> Error {
    timeout_error_of(&lock_path(store), waited)
}

fn timeout_error_of(lock: &Path, waited: Duration) -> Error {
    let waited = waited.as_secs_f32().ceil();
    let what = format!("nothing was written: the store was locked for {waited} s");
    let message = match lock_holder(lock) {
        Some(LockHolder { pid, name, is_stopped: true }) => format!(
            "{what}, because process {pid} ({name}) is stopped in the middle of a write. Resume it (kill -CONT {pid}) or end it (kill -KILL {pid}; what it acknowledged is kept), then try again"
        ),
        Some(LockHolder { pid, .. }) if pid.unsigned_abs() == std::process::id() => {
            format!("{what} by a long write of another request to this tasktally. Try again")
        }
        Some(LockHolder { pid, name, .. }) => {
            format!(
                "{what}, because process {pid} ({name}) is writing. Try again; if it hangs, end process {pid}"
            )
        }
        None => format!("{what} by other writes. Try again; if this persists, check the disk"),
    };
    Error::new(Code::Busy, message)
}
