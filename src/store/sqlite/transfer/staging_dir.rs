//! A folder of its own beside a target: what is made in it is seen by nobody before it is whole.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, TempPath};

use crate::error::{Code, Error, Result};
use crate::store::sqlite::connection::{beside, folder_of};

/// What such a folder's name begins with.
const PREFIX: &str = ".tasktally-aside-";
/// Somebody who sweeps may take a folder that is made and not yet locked.
const TRIES: usize = 5;

/// The folder; it goes away with this value, or with the next one beside it where the process was killed.
pub(super) struct Aside {
    // Dropped before the lock is.
    folder: TempDir,
    _lock: File,
}

impl Aside {
    /// An empty one, in the folder that a target is to be put in.
    ///
    /// # Errors
    /// Where none can be made there.
    pub(super) fn beside(target: &Path) -> Result<Self> {
        let around = folder_of(target);
        let failed = |error| {
            Error::internal(format!("nothing can be put into the folder {}", around.display()), error)
        };
        sweep(&around).map_err(failed)?;
        for _ in 0..TRIES {
            // For its owner alone, as tempfile makes it.
            let folder = TempDir::with_prefix_in(PREFIX, &around).map_err(failed)?;
            let Ok(lock) = File::open(folder.path()) else { continue };
            // Where nothing can be locked, nobody sweeps either.
            if !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) && folder.path().exists() {
                return Ok(Aside { folder, _lock: lock });
            }
        }
        Err(Error::new(Code::Busy, format!("{}: others make too much there; try again", around.display())))
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Brings a file to the disk and puts it in its place, in one step.
    ///
    /// # Errors
    /// `conflict` where there is a file already that is not to be replaced.
    pub(super) fn put(self, name: &str, target: &Path, replace: bool) -> Result<()> {
        let file = self.file(name);
        let failed = |error| Error::internal(format!("{} cannot be put in place", target.display()), error);
        File::open(&file).and_then(|file| file.sync_all()).map_err(failed)?;
        refuse_log_of(&file, 1)?;
        refuse_log(target)?;
        if replace {
            fs::rename(&file, target).map_err(failed)?;
        } else {
            let path = TempPath::try_from_path(&file).map_err(failed)?;
            path.persist_noclobber(target).map_err(|refused| match refused.error.kind() {
                io::ErrorKind::AlreadyExists => exists(target),
                _ => failed(refused.error),
            })?;
        }
        File::open(folder_of(target)).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

/// Removes what killed processes left.
fn sweep(around: &Path) -> io::Result<()> {
    for entry in fs::read_dir(around)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) || !entry.file_type()?.is_dir() {
            continue;
        }
        // Where it can't be opened it is another user's, or gone.
        let Ok(lock) = File::open(entry.path()) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "what was left there cannot be removed");
        }
    }
    Ok(())
}

/// A file is there already.
pub(super) fn exists(target: &Path) -> Error {
    Error::new(
        Code::Conflict,
        format!(
            "{} is there already and was left as it is; name another file, or let it be replaced with --replace",
            target.display()
        ),
    )
}

/// Refuses a place where SQLite would take somebody else's log for that of the file that is put there.
///
/// # Errors
/// `conflict` where there is one, an empty one too: somebody may have it open and write to it.
pub(super) fn refuse_log(target: &Path) -> Result<()> {
    refuse_log_of(target, 0)
}

fn refuse_log_of(target: &Path, least: u64) -> Result<()> {
    for ending in ["-wal", "-journal"] {
        let log = beside(target, ending);
        if fs::metadata(&log).is_ok_and(|log| log.len() >= least) {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "{} lies there: the log of another file of that name, which would be read as a part of this one; move it away, or name another file",
                    log.display()
                ),
            ));
        }
    }
    Ok(())
}
