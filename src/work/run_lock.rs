//! The run lock: at most one runner works a batch. It is a file lock, so the kernel releases it when the process dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;

/// How often a lock that is busy is tried. `is_held` locks the file for a moment.
const TRIES: u32 = 5;
/// The pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// A run lock that this process holds. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct RunLock {
    path: PathBuf,
    file: File,
}

impl RunLock {
    /// Whether the file still has its name. It has not if the data folder was removed.
    pub(super) fn file_exists(&self) -> bool {
        // If the file cannot be read now, it may be readable later.
        has_path(&self.file, &self.path).unwrap_or(true)
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Removed while it is locked: a process that locks the file afterwards sees that it has no name any more.
        if matches!(has_path(&self.file, &self.path), Ok(true))
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "the run lock's file was not removed");
        }
    }
}

fn lock_file(data: &Path, batch: &TaskId) -> PathBuf {
    data.join(format!("run-{batch}.lock"))
}

/// The batch of a run lock, from the name of its file.
pub(super) fn batch_of_file(name: &str) -> Option<TaskId> {
    let batch = name.strip_prefix("run-")?.strip_suffix(".lock")?;
    Some(TaskId::stored(batch.to_owned()))
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    file.map_err(|error| Error::internal(format!("{} cannot be opened", path.display()), error))
}

fn cannot_lock(path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("{} cannot be locked", path.display()), error)
}

/// Whether an open file is still the one at its path. Another process may have removed it before it was locked.
fn has_path(file: &File, path: &Path) -> Result<bool> {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(opened), Ok(named)) => Ok(identity(opened) == identity(named)),
        (_, Err(error)) if error.kind() == ErrorKind::NotFound => Ok(false),
        (Err(error), _) | (_, Err(error)) => Err(cannot_lock(path, error)),
    }
}

/// Acquires the run lock of a batch.
///
/// # Errors
/// `already_claimed` if another process holds it.
pub(super) fn acquire(data: &Path, batch: &TaskId) -> Result<RunLock> {
    let path = lock_file(data, batch);
    let mut tries = TRIES;
    loop {
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) if has_path(&file, &path)? => return Ok(RunLock { path, file }),
            // The previous holder has removed the file: open a new one.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if tries > 1 => {
                tries -= 1;
                std::thread::sleep(RETRY_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    Code::AlreadyClaimed,
                    format!(
                        "another process works on batch {batch}; wait until it has ended, or add workers with tasktally work --batch {batch} -- CMD"
                    ),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(cannot_lock(&path, error)),
        }
    }
}

/// Waits until the run lock of a batch is free, and acquires it.
///
/// # Errors
/// The file cannot be locked.
pub(super) fn wait(data: &Path, batch: &TaskId) -> Result<RunLock> {
    let path = lock_file(data, batch);
    loop {
        let file = open(&path)?;
        file.lock().map_err(|error| cannot_lock(&path, error))?;
        if has_path(&file, &path)? {
            return Ok(RunLock { path, file });
        }
    }
}

/// Whether a process holds the run lock of a batch. Does not create the file.
///
/// # Errors
/// The file cannot be read.
pub(super) fn is_held(data: &Path, batch: &TaskId) -> Result<bool> {
    let path = lock_file(data, batch);
    loop {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                return Err(Error::internal(format!("{} cannot be opened", path.display()), error));
            }
        };
        match file.try_lock_shared() {
            Ok(()) if has_path(&file, &path)? => return Ok(false),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(cannot_lock(&path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn one_process_at_a_time_holds_the_lock_and_each_removes_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let batch = TaskId::stored("b".into());
        let (holders, acquired) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for number in 0..6 {
                let (folder, batch, holders, acquired) = (folder.path(), &batch, &holders, &acquired);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let lock = if number < 3 { wait(folder, batch) } else { acquire(folder, batch) };
                        let Ok(lock) = lock else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two threads hold the lock");
                        assert!(is_held(folder, batch).unwrap(), "is_held does not see the lock");
                        assert_eq!(holders.fetch_sub(1, Ordering::SeqCst), 1);
                        acquired.fetch_add(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(acquired.into_inner() >= 600);
        assert!(!is_held(folder.path(), &batch).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a file is left");
    }

    #[test]
    fn the_file_of_a_killed_runner_is_reused_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let batch = TaskId::stored("b".into());
        std::fs::write(lock_file(folder.path(), &batch), "").unwrap();
        assert!(!is_held(folder.path(), &batch).unwrap());
        drop(acquire(folder.path(), &batch).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(batch_of_file("run-b.lock"), Some(batch));
        assert_eq!(batch_of_file("runner-b.log"), None);
    }
}
