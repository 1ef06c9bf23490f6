//! The run lock: at most one runner works a batch. It is a file lock, so the kernel releases it when the process dies.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file_lock::{self, FileLock, LockState};
use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;

/// How often a lock that is busy is tried. `is_held` locks the file for a moment.
const TRIES: u32 = 5;
/// The pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

fn lock_file(data: &Path, batch: &TaskId) -> PathBuf {
    data.join(format!("run-{batch}.lock"))
}

/// The batch of a run lock, from the name of its file.
pub(super) fn batch_of_file(name: &str) -> Option<TaskId> {
    let batch = name.strip_prefix("run-")?.strip_suffix(".lock")?;
    Some(TaskId::stored(batch.to_owned()))
}

/// Acquires the run lock of a batch.
///
/// # Errors
/// `already_claimed` if another process holds it.
pub(super) fn acquire(data: &Path, batch: &TaskId) -> Result<FileLock> {
    let path = lock_file(data, batch);
    for number in 1..=TRIES {
        if let Some(lock) = FileLock::try_acquire(&path)? {
            return Ok(lock);
        }
        if number < TRIES {
            std::thread::sleep(RETRY_PAUSE);
        }
    }
    Err(Error::new(
        Code::AlreadyClaimed,
        format!(
            "another process works on batch {batch}; wait until it has ended, or add workers with tasktally work --batch {batch} -- CMD"
        ),
    ))
}

/// Waits until the run lock of a batch is free, and acquires it.
///
/// # Errors
/// The file cannot be locked.
pub(super) fn wait(data: &Path, batch: &TaskId) -> Result<FileLock> {
    FileLock::wait(&lock_file(data, batch))
}

/// Whether a process holds the run lock of a batch. Does not create the file.
///
/// # Errors
/// The file cannot be read.
pub(super) fn is_held(data: &Path, batch: &TaskId) -> Result<bool> {
    Ok(file_lock::state(&lock_file(data, batch))? == LockState::Held)
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
