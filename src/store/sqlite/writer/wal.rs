//! The WAL file, through a descriptor of our own: syncing it, and the mark of a WAL that is in doubt.
//!
//! SQLite commits with `synchronous = NORMAL`: COMMIT writes the frames and does not sync. The writer releases the
//! write lock after COMMIT and then syncs the WAL here. So processes do not wait for each other's disk, and one sync
//! carries what other processes committed meanwhile: frames are appended to one file in the order of the commits, and
//! syncing the file makes all earlier ones durable. No request is answered before its sync. (SQLite syncs the WAL
//! before each checkpoint and the database after it, so a frame that was checkpointed meanwhile is on disk too.)
//!
//! *In doubt.* A failed sync leaves frames that can be read and may not be on disk. The kernel reports the failure
//! once to each descriptor that was open, marks the pages as clean, and the next sync succeeds without writing them
//! (<https://wiki.postgresql.org/wiki/Fsync_Errors>). Every later frame is lost with a lost one, because SQLite's
//! recovery stops there; a checkpoint that is interrupted could even tear the database. So nothing is acknowledged
//! and nothing is checkpointed until the whole WAL was written again and synced (`wal_rewrite.rs`). Processes that
//! had the file open learn of the failure from the kernel. For processes that open it later, one bit of the file's
//! mode is set. `docs/durability.md` explains why nothing simpler is enough.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::store::sqlite::files::{beside, file_error};

/// Set in the WAL's mode while it is in doubt: the owner's right to execute it. SQLite never sets it, and changing it
/// needs no disk space. SQLite deletes the WAL, and the mark with it, only after a complete checkpoint.
const IN_DOUBT: u32 = 0o100;

/// The WAL beside a store.
pub(in crate::store::sqlite) struct Wal {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Whether the mode can carry the mark. It cannot on file systems on which every file is executable.
    can_mark: bool,
}

impl Wal {
    /// Opens the WAL of a store that a connection of this process has open: SQLite keeps the file until the last
    /// connection is closed. SQLite takes no locks on the WAL, so closing this descriptor releases none.
    ///
    /// # Errors
    /// If it cannot be opened for writing.
    pub(in crate::store::sqlite) fn open(store: &Path) -> Result<Self> {
        let path = beside(store, "-wal");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(|error| file_error(store, "its WAL cannot be opened", error))?;
        let can_mark = std::fs::metadata(store).is_ok_and(|metadata| metadata.mode() & IN_DOUBT == 0);
        Ok(Wal { path, file, can_mark })
    }

    /// Waits until everything that was committed is on disk.
    ///
    /// # Errors
    /// If the disk does not confirm it: the WAL is in doubt then.
    pub(in crate::store::sqlite) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Whether a process marked it as in doubt.
    ///
    /// # Errors
    /// If the WAL was removed: no other process would read what is written to it.
    pub(in crate::store::sqlite) fn is_in_doubt(&self) -> Result<bool> {
        let metadata = self
            .file
            .metadata()
            .map_err(|error| Error::internal(format!("{} cannot be read", self.path.display()), error))?;
        if metadata.nlink() == 0 {
            return Err(Error::new(
                Code::Internal,
                format!(
                    "{} was removed while tasktally had it open; restart tasktally, then read back your latest writes",
                    self.path.display()
                ),
            ));
        }
        Ok(self.can_mark && metadata.mode() & IN_DOUBT != 0)
    }

    /// Marks it as in doubt for every process that opens it from now on.
    pub(in crate::store::sqlite) fn mark_in_doubt(&self) {
        if let Err(error) = self.set_mark(true) {
            tracing::error!(%error, "{} could not be marked as in doubt", self.path.display());
        }
    }

    /// Sets or removes the mark.
    pub(super) fn set_mark(&self, in_doubt: bool) -> io::Result<()> {
        let mode = self.file.metadata()?.mode();
        let wanted = if in_doubt { mode | IN_DOUBT } else { mode & !IN_DOUBT };
        if !self.can_mark || mode == wanted {
            return Ok(());
        }
        self.file.set_permissions(Permissions::from_mode(wanted))
    }
}
