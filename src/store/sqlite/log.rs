//! Bringing the write-ahead log to the disk.
//!
//! A commit writes its frames and lets the next process take its turn; only then does its own
//! process wait for the disk. So turns don't queue behind the disk, and a sync carries what others
//! committed meanwhile: frames are in one file, in the order of the commits, and syncing it makes
//! all earlier ones durable too. No request is answered before its sync. (SQLite itself syncs
//! before a checkpoint and after it, so a frame that was folded in meanwhile is on disk as well.)

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::connection::{BUSY_WAIT, beside};
use super::rows::sql_error;
use crate::error::{Error, Result};

/// A log is begun anew where nobody reads it in the moment after all of it was folded into the file. One that is
/// longer than this was not for a long time, for there was always somebody. (As long as `journal_size_limit`
/// leaves it, so that it is never taken for long by what it once was.)
const LONGEST: u64 = 64 * 1024 * 1024;
/// How much more it may grow until the next attempt, where somebody read on through one.
const FURTHER: u64 = 16 * 1024 * 1024;
/// How long an attempt lets readers end, while nobody writes; reads take milliseconds.
const READERS_WAIT: Duration = Duration::from_millis(500);

/// The log beside a store.
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
    /// The length at which it is made to begin anew.
    fold_at: u64,
}

impl Log {
    /// The log of a store; it may not exist before the first commit.
    pub(super) fn of(store: &Path) -> Self {
        Log { path: beside(store, "-wal"), file: None, fold_at: LONGEST }
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

    /// Lets a log that has grown too long begin anew, in one's turn and after a commit: folds it in, and lets
    /// readers that would keep it end first. New ones don't, for they find everything in the file.
    pub(super) fn fold_if_long(&mut self, connection: &Connection) {
        let Some(length) = self.file.as_ref().and_then(|file| Some(file.metadata().ok()?.len())) else {
            return;
        };
        if length <= self.fold_at {
            return;
        }
        let fold = || {
            connection.busy_timeout(READERS_WAIT)?;
            let kept = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
            connection.busy_timeout(BUSY_WAIT)?;
            kept
        };
        self.fold_at = match fold() {
            Ok(false) => LONGEST,
            Ok(true) => {
                tracing::warn!(length, "the log grows, for somebody reads on in it; is a process stopped?");
                length + FURTHER
            }
            Err(error) => {
                let error = sql_error("the log could not be folded in", error);
                tracing::warn!(%error, length, "the log grows");
                length + FURTHER
            }
        };
    }
}
