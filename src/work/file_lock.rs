//! A file lock that the kernel releases when the process dies. The holder removes the file when it is done.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::private_files::open_private_file;

/// A lock that this process holds. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct FileLock {
    path: PathBuf,
    file: File,
}

/// The state of a lock that this process does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockState {
    /// There is no file.
    Missing,
    /// The file exists and no process holds it.
    Free,
    /// A process holds it.
    Held,
}

impl FileLock {
    /// Acquires a lock if no other process holds it.
    ///
    /// # Errors
    /// The file cannot be created or locked.
    pub(super) fn try_acquire(path: &Path) -> Result<Option<Self>> {
        loop {
            let file = open(path)?;
            match file.try_lock() {
                Ok(()) if has_path(&file, path)? => {
                    return Ok(Some(FileLock { path: path.to_owned(), file }));
                }
                // The previous holder has removed the file: open a new one.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(cannot_lock(path, error)),
            }
        }
    }

    /// Waits until no other process holds a lock, and acquires it.
    ///
    /// # Errors
    /// The file cannot be created or locked.
    pub(super) fn wait(path: &Path) -> Result<Self> {
        loop {
            let file = open(path)?;
            file.lock().map_err(|error| cannot_lock(path, error))?;
            if has_path(&file, path)? {
                return Ok(FileLock { path: path.to_owned(), file });
            }
        }
    }

    /// Whether the file still has its name. It has not if its folder was removed.
    pub(super) fn file_exists(&self) -> bool {
        // If the file cannot be read now, it may be readable later.
        has_path(&self.file, &self.path).unwrap_or(true)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Removed while it is locked: a process that locks the file afterwards sees that it has no name any more.
        if matches!(has_path(&self.file, &self.path), Ok(true))
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::debug!(%error, "the file of a lock was not removed");
        }
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // Private: another user could lock the file and block the batch.
    open_private_file(&mut options, path)
        .map_err(|error| Error::internal(format!("{} cannot be opened", path.display()), error))
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

/// The state of a lock. Does not create the file.
///
/// # Errors
/// The file cannot be read.
pub(super) fn state(path: &Path) -> Result<LockState> {
    loop {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(LockState::Missing),
            Err(error) => {
                return Err(Error::internal(format!("{} cannot be opened", path.display()), error));
            }
        };
        match file.try_lock_shared() {
            Ok(()) if has_path(&file, path)? => return Ok(LockState::Free),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(LockState::Held),
            Err(TryLockError::Error(error)) => return Err(cannot_lock(path, error)),
        }
    }
}
