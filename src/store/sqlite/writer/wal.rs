//! Bringing the write-ahead log to the disk.
//!
//! A commit writes its frames and lets the next process take its turn; only then does its own
//! process wait for the disk. So turns don't queue behind the disk, and a sync carries what others
//! committed meanwhile: frames are in one file, in the order of the commits, and syncing it makes
//! all earlier ones durable too. No request is answered before its sync. (SQLite itself syncs
//! before a checkpoint and after it, so a frame that was folded in meanwhile is on disk as well.)
//!
//! A sync that fails leaves a log that reads well and may not be on disk: the kernel tells once and
//! takes the pages for clean, and the next sync succeeds without them. Frames after a lost one are
//! lost with it; folding such a log in could even tear the store. So the log is *in doubt* until
//! all of it was written out once more, byte for byte what it reads as, and synced. Whoever had the
//! file open is told by the kernel; for those who open it later a bit of its mode is the mark; and a
//! log that a dead process left to nobody is written out by the first to open it. One gap is left:
//! a process killed while its sync fails cannot mark the log, and if others have it open and write
//! nothing, one that opens it anew and writes before them is not told.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rustix::fs::{FlockOperation, fcntl_lock};

use super::wal_frames::Frames;
use crate::error::{Code, Error, Result};
use crate::store::sqlite::connection::{BUSY_WAIT, beside, cannot};
use crate::store::sqlite::rows::sql_error;

/// The mark of doubt: the right of its owner to run it, which no log has otherwise.
const MARK: u32 = 0o100;

/// How much is written out at a time.
const PIECE: usize = 1 << 20;

/// A log is begun anew where nobody reads it in the moment after all of it was folded into the file. One that is
/// longer than this was not for a long time, for there was always somebody. (As long as `journal_size_limit`
/// leaves it, so that it is never taken for long by what it once was.)
const LONGEST: u64 = 64 * 1024 * 1024;
/// How much more it may grow until the next attempt, where somebody read on through one.
const FURTHER: u64 = 16 * 1024 * 1024;
/// How long an attempt lets readers end, while nobody writes; reads take milliseconds.
const READERS_WAIT: Duration = Duration::from_millis(500);

/// By how much it is made longer ahead of what is written to it.
const AHEAD: u64 = 1 << 20;
/// How much of that is written at a time.
const ROOM_PIECE: usize = 1 << 16;

/// The log beside a store.
pub(in crate::store::sqlite) struct Wal {
    path: PathBuf,
    file: File,
    /// The length at which it is made to begin anew.
    fold_at: u64,
    /// Whether files can be marked here: not where the store has the mark, as all files of some disks do.
    marks: bool,
}

impl Wal {
    /// The log of a store that a connection of this process has open: while it does, the log is one file.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub(in crate::store::sqlite) fn open(store: &Path) -> Result<Self> {
        let path = beside(store, "-wal");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(|error| cannot(store, "its log cannot be opened", error))?;
        Ok(Wal { path, file, fold_at: LONGEST, marks: can_mark(store) })
    }

    /// Waits until all that was committed is on disk.
    ///
    /// # Errors
    /// Where the disk does not confirm it: then the log is in doubt.
    pub(in crate::store::sqlite) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Whether somebody marked it as in doubt.
    ///
    /// # Errors
    /// Where it was removed: what is written to it is nobody's to read.
    pub(in crate::store::sqlite) fn in_doubt(&self) -> Result<bool> {
        let about = self.file.metadata().map_err(|error| {
            Error::internal(format!("{} cannot be looked at", self.path.display()), error)
        })?;
        if about.nlink() == 0 {
            return Err(Error::new(
                Code::Internal,
                format!(
                    "{} was removed while tasktally was at work; start tasktally again, then read what is kept",
                    self.path.display()
                ),
            ));
        }
        Ok(self.marks && about.mode() & MARK != 0)
    }

    /// Marks it as in doubt, for all who open it from now on.
    pub(in crate::store::sqlite) fn mark(&self) {
        if let Err(error) = self.set_mark(true) {
            tracing::error!(%error, "{} could not be marked as in doubt", self.path.display());
        }
    }

    /// Writes all of it out once more, as it reads, and takes the mark away. The caller has the turn.
    ///
    /// # Errors
    /// Where the disk still does not confirm it.
    pub(in crate::store::sqlite) fn write_out(&self, connection: &Connection) -> Result<()> {
        let run = |sql: &str| {
            connection.execute_batch(sql).map_err(|error| sql_error("the log cannot be held still", error))
        };
        // Nobody writes to it or begins it anew meanwhile, SQLite's own shell included.
        run("BEGIN IMMEDIATE")?;
        let written = self.copy_onto_itself();
        run("ROLLBACK")?;
        // A kernel that gave up pages after a failed sync may read what was there before them.
        let committed: u64 = connection
            .query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))
            .map_err(|error| sql_error("the log cannot be looked at", error))?;
        let found = written.and_then(|found| self.set_mark(found < committed).map(|()| found));
        let found = found.map_err(|error| {
            Error::internal(
                "an earlier write did not reach the disk, and writing the log out once more failed too; see to the disk and try again",
                error,
            )
        })?;
        if found >= committed {
            return Ok(());
        }
        Err(Error::new(
            Code::Internal,
            format!(
                "{}: the disk lost what an earlier write had not confirmed: {found} of {committed} pages can be read; see to the disk, end every tasktally, then start again with what is left",
                self.path.display()
            ),
        ))
    }

    /// Writes it out once more where somebody marked it. The caller has the turn.
    ///
    /// # Errors
    /// As [`Wal::in_doubt`] and [`Wal::write_out`].
    pub(in crate::store::sqlite) fn make_good(&self, connection: &Connection) -> Result<()> {
        if self.in_doubt()? { self.write_out(connection) } else { Ok(()) }
    }

    /// Lets a log that has grown too long begin anew, in one's turn and after a commit: folds it in, and lets
    /// readers that would keep it end first. New ones don't, for they find everything in the file.
    pub(in crate::store::sqlite) fn fold_if_long(&mut self, connection: &Connection) {
        let Some(length) = self.file.metadata().ok().map(|about| about.len()) else {
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

    /// Makes it longer ahead of what is written to it, in a transaction of the caller's: nobody else writes to it
    /// then. To sync a file that grows costs twice, and a file system that fails in that moment may lose what
    /// it grew by, though it confirmed the sync (seen of ext4). What no commit wrote yet is no frame to SQLite.
    pub(in crate::store::sqlite) fn make_room(&self) {
        let Ok(length) = self.file.metadata().map(|about| about.len()) else {
            return;
        };
        // Frames end at no such length: nobody came to the end of the room yet.
        let has_room = length > 0 && length.is_multiple_of(AHEAD);
        if has_room || length >= LONGEST {
            return;
        }
        let end = (length + AHEAD / 2).next_multiple_of(AHEAD);
        let write = || -> io::Result<()> {
            let (mut at, room) = (length, vec![0; ROOM_PIECE]);
            while at < end {
                let count = room.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
                self.file.write_all_at(&room[..count], at)?;
                at += count as u64;
            }
            Ok(())
        };
        if let Err(error) = write() {
            tracing::debug!(%error, "the log is not made longer ahead");
            // A full disk has better use for it.
            if let Err(error) = self.file.set_len(length) {
                tracing::debug!(%error, "the log stays longer");
            }
        }
    }

    /// Gives how many of its frames follow each other.
    fn copy_onto_itself(&self) -> io::Result<u64> {
        // What failed before is told now, so that what is told below is of what is written now.
        if let Err(error) = self.sync() {
            tracing::warn!(%error, "{} is written out once more", self.path.display());
        }
        let (mut at, length) = (0, self.file.metadata()?.len());
        let (mut piece, mut frames) = (vec![0; PIECE], Frames::default());
        while at < length {
            let count = self.file.read_at(&mut piece, at)?;
            if count == 0 {
                break;
            }
            frames.take(&piece[..count]);
            self.file.write_all_at(&piece[..count], at)?;
            at += count as u64;
        }
        self.sync().map(|()| frames.count)
    }

    fn set_mark(&self, marked: bool) -> io::Result<()> {
        let mode = self.file.metadata()?.mode();
        let wanted = if marked { mode | MARK } else { mode & !MARK };
        // Who may not change it need not, either.
        if !self.marks || mode == wanted {
            return Ok(());
        }
        self.file.set_permissions(Permissions::from_mode(wanted))
    }
}

/// Whether a log of the store can be marked: SQLite gives it the store's own rights.
fn can_mark(store: &Path) -> bool {
    std::fs::metadata(store).is_ok_and(|about| about.mode() & MARK == 0)
}

/// Writes out once more what a process left behind that ended without closing the store: it may have
/// ended in a sync that failed, and nobody was told. A log that somebody else has open is left to them.
/// To be called before this process opens the store itself.
pub(in crate::store::sqlite) fn take_over(store: &Path) {
    let path = beside(store, "-wal");
    let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
    // Who may not write to it has nothing to acknowledge.
    let Ok(file) = open(&path) else { return };
    // Every connection holds a lock on it as long as it is open; so none is opened until this is dropped.
    let mut shared = OpenOptions::new();
    shared.read(true).write(true).create(true).truncate(false).mode(0o600);
    let shared = shared.open(beside(store, "-shm"));
    if let Ok(shared) = &shared
        && fcntl_lock(shared, FlockOperation::NonBlockingLockExclusive).is_err()
    {
        return;
    }
    let log = Wal { path, file, fold_at: LONGEST, marks: can_mark(store) };
    if let Err(error) = log.copy_onto_itself() {
        tracing::error!(%error, "{} was left behind and cannot be written out", log.path.display());
        log.mark();
    }
}
