//! One runner a batch: a lock that dies with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;

/// Who only looks whether a batch is worked holds its lock for a moment: so often it is tried again.
const TRIES: u32 = 5;
/// How long after.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// A lock that is held; its file goes with it, unless the process is killed.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Whether it is the batch's lock still: not where its file was removed, as with all of the data folder.
    pub(super) fn is_kept(&self) -> bool {
        // What cannot be looked at now may be later.
        is_current(&self.path, &self.file).unwrap_or(true)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is held: who locks the file after that sees that it is no longer the batch's.
        if matches!(is_current(&self.path, &self.file), Ok(true))
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "the lock's file is left");
        }
    }
}

/// The lock's file of a batch.
fn path_of(folder: &Path, batch: &TaskId) -> PathBuf {
    folder.join(format!("run-{batch}.lock"))
}

/// The batch whose lock's file is so called.
pub(super) fn batch_of(name: &str) -> Option<TaskId> {
    let batch = name.strip_prefix("run-")?.strip_suffix(".lock")?;
    Some(TaskId::stored(batch.to_owned()))
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    file.map_err(|error| Error::internal(format!("{} cannot be opened", path.display()), error))
}

fn unlockable(path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("{} cannot be locked", path.display()), error)
}

/// Whether a file that was locked is still the one of that name.
fn is_current(path: &Path, file: &File) -> Result<bool> {
    let of = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(locked), Ok(named)) => Ok(of(locked) == of(named)),
        (_, Err(error)) if error.kind() == ErrorKind::NotFound => Ok(false),
        (Err(error), _) | (_, Err(error)) => Err(unlockable(path, error)),
    }
}

/// Takes the lock; it is held until it is dropped.
///
/// # Errors
/// `already_claimed` where another process works the batch.
pub(super) fn take(folder: &Path, batch: &TaskId) -> Result<Lock> {
    let path = path_of(folder, batch);
    let mut tries = TRIES;
    loop {
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) if is_current(&path, &file)? => return Ok(Lock { path, file }),
            // Whoever held it has taken the file away.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if tries > 1 => {
                tries -= 1;
                std::thread::sleep(TRY_AGAIN);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    Code::AlreadyClaimed,
                    format!(
                        "Batch {batch} is being worked by another tasktally run; wait for it, or help with tasktally work --batch {batch} -- CMD"
                    ),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(unlockable(&path, error)),
        }
    }
}

/// Waits for the lock.
///
/// # Errors
/// Where it cannot be locked at all.
pub(super) fn wait(folder: &Path, batch: &TaskId) -> Result<Lock> {
    let path = path_of(folder, batch);
    loop {
        let file = open(&path)?;
        file.lock().map_err(|error| unlockable(&path, error))?;
        if is_current(&path, &file)? {
            return Ok(Lock { path, file });
        }
    }
}

/// Whether somebody works the batch. Makes nothing.
///
/// # Errors
/// Where that cannot be told.
pub(super) fn is_held(folder: &Path, batch: &TaskId) -> Result<bool> {
    let path = path_of(folder, batch);
    loop {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => {
                return Err(Error::internal(format!("{} cannot be opened", path.display()), error));
            }
        };
        match file.try_lock_shared() {
            Ok(()) if is_current(&path, &file)? => return Ok(false),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(unlockable(&path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn at_most_one_holds_a_lock_whose_file_goes_with_each_that_held_it() {
        let folder = tempfile::tempdir().unwrap();
        let batch = TaskId::stored("b".into());
        let (holders, turns) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for number in 0..6 {
                let (folder, batch, holders, turns) = (folder.path(), &batch, &holders, &turns);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let held = if number < 3 { wait(folder, batch) } else { take(folder, batch) };
                        let Ok(held) = held else { continue };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                        assert!(is_held(folder, batch).unwrap(), "it does not look held");
                        assert_eq!(holders.fetch_sub(1, Ordering::SeqCst), 1);
                        turns.fetch_add(1, Ordering::SeqCst);
                        drop(held);
                    }
                });
            }
        });
        assert!(turns.into_inner() >= 600);
        assert!(!is_held(folder.path(), &batch).unwrap());
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "nothing is left, and nothing is made"
        );
    }

    #[test]
    fn a_lock_of_one_that_was_killed_is_taken_over_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let batch = TaskId::stored("b".into());
        std::fs::write(path_of(folder.path(), &batch), "").unwrap();
        assert!(!is_held(folder.path(), &batch).unwrap());
        drop(take(folder.path(), &batch).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(batch_of("run-b.lock"), Some(batch));
        assert_eq!(batch_of("runner-b.log"), None);
    }
}
