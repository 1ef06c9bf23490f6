//! Which file a store is, and that this process opens it only once.
//!
//! - *Replaced or removed files.* A process that has a file open goes on reading and writing it after it was removed
//!   or another file took its name. Device and inode show that.
//! - *One set of connections per process.* SQLite's locks are POSIX locks, and they belong to the process: closing any
//!   descriptor of the file drops the locks of every connection of this process
//!   (<https://www.sqlite.org/howtocorrupt.html#posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
//!   Opening a store reads its header and locks its `-shm` file through descriptors of our own. That is safe only
//!   while no connection is open, so each open store is registered here, and a second open is refused.
//! - *One WAL per file.* Registration refuses a file that other processes may use with another WAL (`shared_wal.rs`).

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::shared_wal::{WalNameLock, refuse_other_names};
use crate::error::{Code, Error, Result};
use crate::store::sqlite::files::refuse_files_of_others;

/// Device and inode.
type File = (u64, u64);

/// The store files that this process has open.
static OPEN: Mutex<BTreeSet<File>> = Mutex::new(BTreeSet::new());

/// A store's path, and which file was there when the store was opened. While a value or a clone of it lives, nothing
/// else in this process can open that file as a store.
#[derive(Debug, Clone)]
pub(in crate::store::sqlite) struct FileIdentity {
    path: PathBuf,
    registration: Arc<Registration>,
}

/// An entry in [`OPEN`], removed on drop.
#[derive(Debug)]
struct Registration {
    file: File,
    wal_name: Option<WalNameLock>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        // Closed before anything else in this process can open the file: closing it drops SQLite's locks.
        self.wal_name = None;
        open.remove(&self.file);
    }
}

impl FileIdentity {
    /// Registers the file at a path as open in this process. To be called before the file is opened by any means.
    ///
    /// # Errors
    /// If there is no file, if this process has it open already, or if the file may be used with another WAL.
    pub(in crate::store::sqlite) fn register(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
        refuse_other_names(path, &metadata)?;
        refuse_files_of_others(path)?;
        let file = (metadata.dev(), metadata.ino());
        if !OPEN.lock().unwrap_or_else(PoisonError::into_inner).insert(file) {
            return Err(Error::new(
                Code::Internal,
                format!(
                    "store {}: it is already open in this process, and opening it twice would release SQLite's locks; use the open store, or close it first",
                    path.display()
                ),
            ));
        }
        let mut registration = Registration { file, wal_name: None };
        registration.wal_name = WalNameLock::acquire(path, &metadata)?;
        Ok(FileIdentity { path: path.to_owned(), registration: Arc::new(registration) })
    }

    /// The process that has locked the file against all readers; 0 if its number is unknown.
    #[cfg(target_os = "linux")]
    pub(in crate::store::sqlite) fn exclusive_lock_holder(&self) -> Option<i32> {
        self.registration.wal_name.as_ref()?.exclusive_lock_holder()
    }

    /// The store's path.
    pub(in crate::store::sqlite) fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the path still leads to the same file.
    ///
    /// # Errors
    /// If the file was removed, or another file is there now.
    pub(in crate::store::sqlite) fn check(&self) -> Result<()> {
        let what = match file_at(&self.path) {
            Ok(file) if file == self.registration.file => return Ok(()),
            Ok(_) => "another file was put in its place",
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "it was removed",
            Err(error) => return Err(unreadable(&self.path, error)),
        };
        Err(Error::new(
            Code::Internal,
            format!(
                "store {}: {what} while tasktally had it open; restore it, or restart tasktally to use the file that is there now",
                self.path.display()
            ),
        ))
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::internal(format!("store {}: it cannot be read", path.display()), error)
}

fn file_at(path: &Path) -> std::io::Result<File> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
