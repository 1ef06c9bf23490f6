//! The folder of the demo: its items and its store, deleted at the end unless it is kept.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::commit_items::commit_items;
use crate::error::{Error, Result};
use crate::paths::expand_home;
use crate::private_files::{create_private_folders, open_private_file, temporary_private_folder};

/// The folder of one demo.
pub(super) struct DemoFolder {
    path: PathBuf,
    /// Deletes the folder. `None` if it is kept.
    temporary: Option<TempDir>,
}

impl DemoFolder {
    /// Creates the folder: below the folder for temporary files, or the one that `keep` names.
    ///
    /// # Errors
    /// It cannot be created, or the named one has files in it.
    pub(super) fn create(keep: Option<Option<PathBuf>>) -> Result<Self> {
        if let Some(Some(named)) = keep {
            return Self::create_named(&named);
        }
        let temporary = temporary_private_folder("tasktally-demo-", &std::env::temp_dir()).map_err(|error| {
            Error::invalid(format!(
                "the demo needs a folder for its store, and none can be created in {}: {error}. Name a folder that can be written with TMPDIR, or with demo --keep DIR",
                std::env::temp_dir().display()
            ))
        })?;
        // Without links, as a store's path is. Kept as it is if that fails.
        let path = fs::canonicalize(temporary.path()).unwrap_or_else(|_| temporary.path().to_owned());
        Ok(match keep {
            None => DemoFolder { path, temporary: Some(temporary) },
            Some(_) => {
                let _kept = temporary.keep();
                DemoFolder { path, temporary: None }
            }
        })
    }

    fn create_named(named: &Path) -> Result<Self> {
        if named.as_os_str().is_empty() {
            return Err(Error::invalid("--keep: the path is empty; name a folder, or leave the name out"));
        }
        let named = expand_home(named, "--keep")?;
        let refused = |error: std::io::Error| {
            Error::invalid(format!(
                "--keep: {} cannot be used: {error}. Name a new or empty folder that can be written",
                named.display()
            ))
        };
        match fs::read_dir(&named).map(|mut entries| entries.next().is_some()) {
            Ok(true) => Err(Error::invalid(format!(
                "--keep: {} has files in it; name a new or empty folder",
                named.display()
            ))),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(refused(error)),
            _ => {
                create_private_folders(&named).map_err(refused)?;
                let path = fs::canonicalize(&named).map_err(refused)?;
                Ok(DemoFolder { path, temporary: None })
            }
        }
    }

    /// The path of the store.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join("tasktally.db")
    }

    /// Whether the folder stays.
    pub(super) fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }

    /// Writes the items to a file in the folder. Returns its path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write_items(&self) -> Result<PathBuf> {
        let path = self.path.join("commits.jsonl");
        let write = |items: String| {
            // The folder was empty: another process made any file or link that has the name now.
            open_private_file(OpenOptions::new().write(true).create_new(true), &path)?
                .write_all(items.as_bytes())
        };
        commit_items().and_then(write).map_err(|error| {
            Error::invalid(format!(
                "the items cannot be written to {}: {error}. Free some space, or name a folder on another disk with TMPDIR or with demo --keep DIR",
                path.display()
            ))
        })?;
        Ok(path)
    }

    /// Deletes the folder, unless it is kept.
    ///
    /// # Errors
    /// Something in it cannot be deleted.
    pub(super) fn close(self) -> Result<()> {
        let DemoFolder { path, temporary } = self;
        temporary.map_or(Ok(()), TempDir::close).map_err(|error| {
            Error::internal(
                format!("the demo's folder {} cannot be deleted; delete it", path.display()),
                error,
            )
        })
    }
}
