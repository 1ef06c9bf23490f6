//! Whether a store is still the file that was opened.
//!
//! A file that was removed, or whose folder was, is written and read on by whoever has it open, and
//! is gone with them; another that was put in its place is not the one that answers came from.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};

/// A store's path, and which file it was when the store was opened.
#[derive(Debug, Clone)]
pub(in crate::store::sqlite) struct FileIdentity {
    path: PathBuf,
    file: (u64, u64),
}

impl FileIdentity {
    /// What is at a path now.
    ///
    /// # Errors
    /// Where nothing is.
    pub(in crate::store::sqlite) fn of(path: &Path) -> Result<Self> {
        let file = which(path).map_err(|error| {
            Error::internal(format!("store {}: it cannot be looked at", path.display()), error)
        })?;
        Ok(FileIdentity { path: path.to_owned(), file })
    }

    /// Fails unless the same file is there.
    ///
    /// # Errors
    /// Where it was removed, or another was put there.
    pub(in crate::store::sqlite) fn check(&self) -> Result<()> {
        let what = match which(&self.path) {
            Ok(file) if file == self.file => return Ok(()),
            Ok(_) => "another file was put in its place",
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "it was removed",
            Err(error) => {
                let what = format!("store {}: it cannot be looked at", self.path.display());
                return Err(Error::internal(what, error));
            }
        };
        Err(Error::new(
            Code::Internal,
            format!(
                "store {}: {what} while tasktally was at work; put it back, or start tasktally again for what is there now",
                self.path.display()
            ),
        ))
    }
}

fn which(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
