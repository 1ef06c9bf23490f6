//! A staging directory beside a target file. A file is written there, and moved to the target once it is complete.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, TempPath};

use crate::error::{Code, Error, Result};
use crate::private_files::temporary_private_folder;
use crate::store::sqlite::files::{beside, folder_of};

/// How the name of a staging directory starts.
const PREFIX: &str = ".tasktally-staging-";
/// The name of a store in a staging directory.
pub(super) const COPY: &str = "tasktally.db";
/// How often to create a directory: another process may remove one that is not locked yet.
const TRIES: usize = 5;

/// A staging directory. It is removed when this value is dropped. If the process is killed, the next one that creates
/// a staging directory beside it removes it.
pub(in crate::store) struct StagingDir {
    // Declared first, so that it is removed before the lock is released.
    folder: TempDir,
    _lock: File,
}

impl StagingDir {
    /// Creates an empty one in the folder for temporary files.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(in crate::store) fn temporary() -> Result<Self> {
        Self::beside(&std::env::temp_dir().join(COPY))
    }

    /// The path of the store in it.
    pub(in crate::store) fn copy(&self) -> PathBuf {
        self.file(COPY)
    }

    /// The folder that it is in.
    pub(in crate::store) fn parent(&self) -> PathBuf {
        folder_of(self.folder.path())
    }

    /// Creates an empty one in the directory of `target`.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(super) fn beside(target: &Path) -> Result<Self> {
        let parent = folder_of(target);
        let failed = |error: io::Error| {
            let folder = parent.display();
            if error.kind() == io::ErrorKind::NotFound {
                return Error::invalid(format!(
                    "the folder {folder} does not exist; create it first, or name another file"
                ));
            }
            Error::internal(format!("no file can be created in the folder {folder}"), error)
        };
        remove_abandoned(&parent).map_err(failed)?;
        for _ in 0..TRIES {
            let folder = temporary_private_folder(PREFIX, &parent).map_err(failed)?;
            let Ok(lock) = File::open(folder.path()) else { continue };
            // If the file system cannot lock, no process removes abandoned directories either.
            if !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) && folder.path().exists() {
                return Ok(StagingDir { folder, _lock: lock });
            }
        }
        Err(Error::new(
            Code::Busy,
            format!(
                "{}: other processes removed each staging folder that was created there; try again",
                parent.display()
            ),
        ))
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Syncs a file and moves it to `target` in one step.
    ///
    /// # Errors
    /// `conflict` if `target` exists and `replace` is false.
    pub(super) fn publish(self, name: &str, target: &Path, replace: bool) -> Result<()> {
        let file = self.file(name);
        let failed = |error| Error::internal(format!("{} cannot be written", target.display()), error);
        File::open(&file).and_then(|file| file.sync_all()).map_err(failed)?;
        refuse_wal(&file, 1)?;
        refuse_foreign_wal(target)?;
        if replace {
            fs::rename(&file, target).map_err(failed)?;
        } else {
            let path = TempPath::try_from_path(&file).map_err(failed)?;
            path.persist_noclobber(target).map_err(|refused| match refused.error.kind() {
                io::ErrorKind::AlreadyExists => already_exists(target),
                _ => failed(refused.error),
            })?;
        }
        File::open(folder_of(target)).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

/// Removes the staging directories of killed processes.
fn remove_abandoned(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) || !entry.file_type()?.is_dir() {
            continue;
        }
        // If it cannot be opened, it belongs to another user or was just removed.
        let Ok(lock) = File::open(entry.path()) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "the abandoned staging folder cannot be removed");
        }
    }
    Ok(())
}

/// The error for a target that exists.
pub(super) fn already_exists(target: &Path) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "{} exists and was not changed; name another file, or replace it with --replace",
            target.display()
        ),
    )
}

/// Refuses a target beside which a WAL or a journal of another file lies: SQLite would apply it to the new file.
///
/// # Errors
/// `conflict` if there is one. An empty one counts as well: a process may have it open and write to it.
pub(super) fn refuse_foreign_wal(target: &Path) -> Result<()> {
    refuse_wal(target, 0)
}

fn refuse_wal(target: &Path, min_bytes: u64) -> Result<()> {
    for ending in ["-wal", "-journal"] {
        let wal = beside(target, ending);
        if fs::metadata(&wal).is_ok_and(|wal| wal.len() >= min_bytes) {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "{} exists: it is the log of another file of that name, and SQLite would read it as a part of this one; move it away, or name another file",
                    wal.display()
                ),
            ));
        }
    }
    Ok(())
}
