//! The files of a store: where they are, how they are created, and how a failure to use one is reported.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::private_files::{create_private_folders, open_private_file};

/// The folder that contains a store.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The path of a file beside the store: the store's name with an ending, such as `-wal`.
pub fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The error for a system call on a store's file that failed; `what` completes the sentence "store PATH: …".
pub fn file_error(path: &Path, what: &str, error: std::io::Error) -> Error {
    let (code, next) = match error.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem => (
            Code::ReadOnly,
            "; its disk is read-only: have it checked and mounted for writing, then try again",
        ),
        std::io::ErrorKind::PermissionDenied => (Code::ReadOnly, ""),
        _ => (Code::Internal, ""),
    };
    Error::new(code, format!("store {}: {what}{next}", path.display())).caused_by(error)
}

/// Creates the folder of a store (mode 0700) if it is missing.
pub(super) fn create_folder(path: &Path) -> Result<()> {
    create_private_folders(&folder_of(path)).map_err(|error| {
        file_error(path, "its folder cannot be created; name another file with --db or TASKTALLY_DB", error)
    })
}

/// Creates the folder and an empty file (mode 0600) if they are missing: SQLite would create the file with the
/// permissions of the umask. An empty file that exists becomes a store, so it gets the same mode.
pub(super) fn create_private_file(path: &Path) -> Result<()> {
    create_folder(path)?;
    let mut options = OpenOptions::new();
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() == 0 => options.read(true),
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => options.write(true).create_new(true),
        Err(error) => return Err(file_error(path, "it cannot be read", error)),
    };
    match open_private_file(&mut options, path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(file_error(path, "it cannot be created", error)),
    }
}

/// Refuses files beside a store that belong to another user, or are no regular files: in a folder that others may write
/// to, they could create the WAL before this process does, and read what it writes.
pub(super) fn refuse_files_of_others(path: &Path) -> Result<()> {
    let own = std::fs::metadata(path).map_err(|error| file_error(path, "it cannot be read", error))?.uid();
    let trusted = [rustix::process::geteuid().as_raw(), own, 0];
    for ending in ["-wal", "-shm", "-journal", "-lock", "-bulk-lock"] {
        let file = beside(path, ending);
        let what = match std::fs::symlink_metadata(&file) {
            Ok(found) if !found.is_file() => "is no regular file".to_owned(),
            Ok(found) if !trusted.contains(&found.uid()) => {
                format!("belongs to user {}", found.uid())
            }
            _ => continue,
        };
        return Err(Error::invalid(format!(
            "store {}: {} {what}, so another user could read or change what is written; move the store to a folder of your own, or remove that file if you know who made it",
            path.display(),
            file.display()
        )));
    }
    Ok(())
}

/// Syncs the folder of a new store and all folders above it, so that the store's name survives a power cut.
/// Another process may have created one of these folders and not synced it yet.
pub(super) fn sync_folders(path: &Path) -> Result<()> {
    #[cfg(unix)]
    for folder in folder_of(path).canonicalize().iter().flat_map(|folder| folder.ancestors()) {
        use std::io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            Ok(()) => {}
            // A folder that this user cannot read is older than the store. Some file systems cannot sync a
            // folder, because they store names by themselves.
            Err(error)
                if matches!(
                    error.kind(),
                    InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported
                ) => {}
            Err(error) => {
                let what = format!("the folder {} could not be synced to the disk", folder.display());
                return Err(file_error(path, &what, error));
            }
        }
    }
    Ok(())
}
