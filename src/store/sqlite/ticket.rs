//! Whose turn it is to write, between processes.
//!
//! SQLite's busy timeout polls, and under load one process of eight can go without a turn for
//! seconds. A lock on a file beside the store makes the kernel keep the queue.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::connection::{beside, cannot};
use crate::error::{Error, Result};

/// The file that processes queue on.
pub(super) struct Ticket {
    file: File,
    path: PathBuf,
}

/// A turn; dropping it lets the next one in.
pub(super) struct Turn<'a> {
    ticket: &'a Ticket,
}

impl Ticket {
    /// Opens the queue of a store.
    pub(super) fn open(store: &Path) -> Result<Self> {
        let path = beside(store, "-turn");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| {
            cannot(store, "the file beside it that writers queue on cannot be opened", error)
        })?;
        Ok(Ticket { file, path })
    }

    /// Waits for a turn; it ends with the process at the latest.
    pub(super) fn take(&self) -> Result<Turn<'_>> {
        self.file
            .lock()
            .map_err(|error| Error::internal(format!("{} cannot be locked", self.path.display()), error))?;
        Ok(Turn { ticket: self })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.ticket.file.unlock() {
            tracing::error!(%error, "the turn to write could not be given on");
        }
    }
}
