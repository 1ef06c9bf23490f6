//! Bringing the write-ahead log to the disk.
//!
//! A commit writes its frames and lets the next process take its turn; only then does its own
//! process wait for the disk. So turns don't queue behind the disk, and a sync carries what others
//! committed meanwhile: frames are in one file, in the order of the commits, and syncing it makes
//! all earlier ones durable too. No request is answered before its sync. (SQLite itself syncs
//! before a checkpoint and after it, so a frame that was folded in meanwhile is on disk as well.)

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::connection::beside;
use crate::error::{Error, Result};

/// The log beside a store.
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
}

impl Log {
    /// The log of a store; it may not exist before the first commit.
    pub(super) fn of(store: &Path) -> Self {
        Log { path: beside(store, "-wal"), file: None }
    }

    /// Waits until all that was committed is on disk.
    ///
    /// # Errors
    /// Where the disk does not confirm it: what was committed may or may not survive.
    pub(super) fn sync(&mut self) -> Result<()> {
        let unknown = |error| {
            Error::internal(
                "the disk did not confirm the write: it may be kept or lost; read before you repeat it",
                error,
            )
        };
        // The file is the same as long as a connection of this process is open.
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(OpenOptions::new().write(true).open(&self.path).map_err(unknown)?),
        };
        file.sync_data().map_err(unknown)
    }
}
