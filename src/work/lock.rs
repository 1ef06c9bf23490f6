//! One runner a batch: a lock that dies with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;

/// Who only looks whether a batch is worked holds its lock for a moment: so often it is tried again.
const TRIES: u32 = 5;
/// How long after.
const TRY_AGAIN: Duration = Duration::from_millis(10);

fn open(folder: &Path, batch: &TaskId) -> Result<(PathBuf, File)> {
    let path = folder.join(format!("run-{batch}.lock"));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    match file {
        Ok(file) => Ok((path, file)),
        Err(error) => Err(Error::internal(format!("{} cannot be opened", path.display()), error)),
    }
}

fn unlockable(path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("{} cannot be locked", path.display()), error)
}

/// Takes the lock; it is held until the file is dropped.
///
/// # Errors
/// `already_claimed` where another process works the batch.
pub(super) fn take(folder: &Path, batch: &TaskId) -> Result<File> {
    let (path, file) = open(folder, batch)?;
    let mut locked = file.try_lock();
    for _ in 1..TRIES {
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(TRY_AGAIN);
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            Code::AlreadyClaimed,
            format!(
                "Batch {batch} is being worked by another docket run; wait for it, or help with docket work --batch {batch} -- CMD"
            ),
        )),
        Err(TryLockError::Error(error)) => Err(unlockable(&path, error)),
    }
}

/// Waits for the lock.
///
/// # Errors
/// Where it cannot be locked at all.
pub(super) fn wait(folder: &Path, batch: &TaskId) -> Result<File> {
    let (path, file) = open(folder, batch)?;
    file.lock().map_err(|error| unlockable(&path, error))?;
    Ok(file)
}

/// Whether somebody works the batch.
///
/// # Errors
/// Where that cannot be told.
pub(super) fn is_held(folder: &Path, batch: &TaskId) -> Result<bool> {
    let (path, file) = open(folder, batch)?;
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(unlockable(&path, error)),
    }
}
