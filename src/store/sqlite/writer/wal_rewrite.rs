//! Ending a WAL's doubt: the whole file is written again with its own bytes, and synced.
//!
//! Writing the same bytes is safe at any moment. The pages become dirty again, so the next sync really writes them,
//! and a crash in between leaves old or new copies of identical bytes. A checkpoint would not be safe: it copies
//! frames that may be lost into the database, and a crash in the middle leaves a database that is half new, with no
//! frames on disk to complete it.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

use rusqlite::Connection;
use rustix::fs::{FlockOperation, fcntl_lock};

use super::file_identity::FileIdentity;
use super::wal::Wal;
use super::wal_frames::WalFrames;
use crate::error::{Code, Error, Result};
use crate::store::sqlite::files::beside;
use crate::store::sqlite::rows::sql_error;

/// How much is copied at a time.
const BUFFER: usize = 1 << 20;

/// Writes the WAL again and removes the mark. The caller holds the write lock.
///
/// # Errors
/// If the disk still does not confirm it, or lost frames that were committed.
pub(in crate::store::sqlite) fn rewrite(wal: &Wal, connection: &Connection) -> Result<()> {
    let run = |sql: &str| {
        connection
            .execute_batch(sql)
            .map_err(|error| sql_error("the WAL cannot be locked for rewriting", error))
    };
    // Other programs, such as SQLite's shell, do not know the write lock. A write transaction keeps them from
    // appending to the WAL or resetting it.
    run("BEGIN IMMEDIATE")?;
    let rewritten = copy_onto_itself(wal);
    run("ROLLBACK")?;
    // The kernel may have dropped the pages of the failed sync and read older bytes from the disk instead. SQLite's
    // index in shared memory still knows how many frames were committed.
    let committed: u64 = connection
        .query_row("PRAGMA main.wal_checkpoint(NOOP)", [], |row| row.get(1))
        .map_err(|error| sql_error("the WAL cannot be read", error))?;
    let found = rewritten.and_then(|found| wal.set_mark(found < committed).map(|()| found)).map_err(|error| {
        Error::internal(
            "an earlier write did not reach the disk, and writing the WAL again failed too; check the disk and try again",
            error,
        )
    })?;
    if found >= committed {
        return Ok(());
    }
    Err(Error::new(
        Code::Internal,
        format!(
            "{}: the disk lost an earlier write that was not confirmed: {found} of {committed} pages can be read; check the disk, end every tasktally process, then start again with what is left",
            wal.path.display()
        ),
    ))
}

/// Writes the WAL again if a process marked it. The caller holds the write lock.
///
/// # Errors
/// As [`Wal::is_in_doubt`] and [`rewrite`].
pub(in crate::store::sqlite) fn rewrite_if_in_doubt(wal: &Wal, connection: &Connection) -> Result<()> {
    if wal.is_in_doubt()? { rewrite(wal, connection) } else { Ok(()) }
}

/// Writes again a WAL that was left by a process that ended without closing the store: its last sync may have failed
/// without a report to anybody, and SQLite's recovery would read the frames from the page cache and build on them.
/// A WAL that another process has open is left alone; that process learns of a failed sync by itself.
///
/// The lock on `-shm` is dropped when its descriptor is closed, and every lock of this process's connections with it.
/// `identity` proves that there are none yet.
pub(in crate::store::sqlite) fn rewrite_abandoned(identity: &FileIdentity) {
    let store = identity.path();
    // Without a WAL there is nothing to rewrite; without the right to write it, nothing will be acknowledged.
    let Ok(wal) = Wal::open(store) else { return };
    // Every connection holds a shared lock on this file while it is open. The exclusive lock on the whole file
    // keeps other processes from opening the store until it is dropped.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let shm = options.open(beside(store, "-shm"));
    if let Ok(shm) = &shm
        && fcntl_lock(shm, FlockOperation::NonBlockingLockExclusive).is_err()
    {
        return;
    }
    if let Err(error) = copy_onto_itself(&wal) {
        tracing::error!(%error, "{} was left by another process and cannot be written again", wal.path.display());
        wal.mark_in_doubt();
    }
}

/// Writes every byte of the WAL in place, and syncs it. Returns the number of valid frames that were read.
fn copy_onto_itself(wal: &Wal) -> io::Result<u64> {
    // Makes the kernel report an earlier failure now, so that the last sync below reports only this rewrite.
    if let Err(error) = wal.sync() {
        tracing::warn!(%error, "{} is written again", wal.path.display());
    }
    let (mut at, length) = (0, wal.file.metadata()?.len());
    let (mut buffer, mut frames) = (vec![0; BUFFER], WalFrames::default());
    while at < length {
        let count = wal.file.read_at(&mut buffer, at)?;
        if count == 0 {
            break;
        }
        frames.read(&buffer[..count]);
        wal.file.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
    wal.sync().map(|()| frames.count)
}
