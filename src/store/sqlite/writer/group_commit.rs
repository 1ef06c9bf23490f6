//! Commits a group of writes as one transaction, syncs the WAL, and then answers each write. See the steps in
//! [`super`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use rusqlite::ffi::{SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE};
use rusqlite::{Connection, ErrorCode};

use super::file_identity::FileIdentity;
use super::wal::Wal;
use super::wal_padding::pad;
use super::wal_reset::WalReset;
use super::wal_rewrite;
use super::write_lock::{WriteLock, WriteLockGuard};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::sqlite::connection::{self, checkpoint_on_close};
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::schema::refuse_migrated_since;
use crate::store::sqlite::tx::Tx;
use crate::store::{StoreWrite, WriteJob};

/// A write that waits for its commit.
pub(super) type QueuedWrite = Box<dyn WriteJob>;

/// How long a committed write whose sync failed waits for the write lock, to write the WAL again.
const REWRITE_WAIT: Duration = Duration::from_secs(30);

/// From which of its groups on a process pads the WAL. A command commits once and ends, so it never does.
const PAD_FROM_GROUP: u32 = 2;

/// Commits groups of writes through one connection.
pub(super) struct GroupCommitter {
    write_lock: WriteLock,
    /// `None` after a failed commit: the next group opens another connection.
    writing: Option<WritingConnection>,
    /// Whether the WAL may differ from what is on disk; see [`Wal`]. Known here as well as by the file's mark,
    /// because some file systems cannot store the mark.
    in_doubt: bool,
    /// How many groups this process has committed.
    groups: u32,
    identity: FileIdentity,
    clock: Clock,
}

/// The connection that writes, and the WAL that it writes to.
struct WritingConnection {
    connection: Connection,
    wal: Wal,
    reset: WalReset,
}

impl GroupCommitter {
    /// A committer over an open connection.
    ///
    /// # Errors
    /// If the WAL or the lock file cannot be opened.
    pub(super) fn new(connection: Connection, identity: FileIdentity, clock: Clock) -> Result<Self> {
        let mut committer = GroupCommitter {
            write_lock: WriteLock::open(identity.path())?,
            writing: None,
            in_doubt: false,
            groups: 0,
            identity,
            clock,
        };
        committer.use_connection(connection)?;
        Ok(committer)
    }

    /// Uses a connection from now on. An open connection keeps SQLite from deleting the WAL, so it is opened first.
    fn use_connection(&mut self, connection: Connection) -> Result<()> {
        let wal = Wal::open(self.identity.path())?;
        let is_marked = wal.is_in_doubt()?;
        self.writing = Some(WritingConnection { connection, wal, reset: WalReset::new() });
        if is_marked || self.in_doubt { self.mark_in_doubt() } else { Ok(()) }
    }

    /// Until the WAL was written again, nothing is committed, and closing the connection does not checkpoint.
    fn mark_in_doubt(&mut self) -> Result<()> {
        self.in_doubt = true;
        let Some(writing) = &self.writing else { return Ok(()) };
        writing.wal.mark_in_doubt();
        checkpoint_on_close(&writing.connection, false)
    }

    /// Waits for the write lock.
    pub(super) fn lock_store(&self) -> Result<WriteLockGuard> {
        self.write_lock.lock()
    }

    /// Acquires the write lock if no other process holds it.
    pub(super) fn try_lock_store(&self) -> Result<Option<WriteLockGuard>> {
        self.write_lock.try_lock()
    }

    /// Commits a group under the write lock, syncs the WAL, and answers each write of the group.
    pub(super) fn commit_group(&mut self, mut group: Vec<QueuedWrite>, guard: Result<WriteLockGuard>) {
        let committed = guard
            .and_then(|guard| self.check_files().map(|()| guard))
            .and_then(|guard| self.write(&mut group, guard))
            .and_then(|()| self.confirm());
        if let Err(error) = &committed {
            tracing::error!(%error, "a write failed");
        }
        for write in group {
            write.finish(match &committed {
                Ok(()) => Ok(()),
                Err(error) => Err(Error::new(error.code, error.to_string())),
            });
        }
    }

    /// Fails before anything is written if the store or its WAL was replaced: a store at the same path would share
    /// the WAL's path. Also reads the mark, because COMMIT may checkpoint.
    fn check_files(&mut self) -> Result<()> {
        self.identity.check().map_err(not_written)?;
        match &self.writing {
            Some(writing) if writing.wal.is_in_doubt().map_err(not_written)? => self.mark_in_doubt(),
            _ => Ok(()),
        }
    }

    /// Commits the group and releases the write lock, before the WAL is synced. After a failure the connection is
    /// closed, because its state is unknown.
    fn write(&mut self, group: &mut [QueuedWrite], guard: WriteLockGuard) -> Result<()> {
        let written = self.commit_under_lock(group);
        if written.is_err()
            && let Some(writing) = &self.writing
        {
            // If a sync inside SQLite failed, the kernel reports it to this descriptor too.
            if writing.wal.sync().is_err()
                && let Err(error) = self.mark_in_doubt()
            {
                tracing::error!(%error, "the WAL could not be marked as in doubt");
            }
            self.writing = None;
        }
        drop(guard);
        written.map_err(|error| self.name_read_only_disk(error))
    }

    /// SQLite reports that a write failed, not that the disk became read-only: opening the WAL shows it.
    fn name_read_only_disk(&self, error: Error) -> Error {
        match Wal::open(self.identity.path()) {
            Err(cause) if cause.code == Code::ReadOnly && error.code == Code::Internal => {
                let code = if error.message == UNKNOWN { error.code } else { cause.code };
                Error::new(code, error.to_string()).caused_by(cause)
            }
            _ => error,
        }
    }

    /// Waits until the commit is on disk, and checks that the store is still there.
    fn confirm(&mut self) -> Result<()> {
        self.sync().map_err(|error| Error::internal(UNKNOWN, error))
    }

    fn sync(&mut self) -> Result<()> {
        let Some(writing) = &self.writing else { return Ok(()) };
        if let Err(error) = writing.wal.sync() {
            tracing::error!(%error, "the WAL could not be synced");
            self.mark_in_doubt()?;
        } else if writing.wal.is_in_doubt()? {
            self.mark_in_doubt()?;
        }
        if self.in_doubt {
            let _guard = self.write_lock.lock_within(REWRITE_WAIT)?;
            self.rewrite_if_in_doubt()?;
        }
        self.identity.check()
    }

    /// Ends the doubt. The caller holds the write lock.
    fn rewrite_if_in_doubt(&mut self) -> Result<()> {
        if let (true, Some(writing)) = (self.in_doubt, &self.writing) {
            wal_rewrite::rewrite(&writing.wal, &writing.connection)?;
            checkpoint_on_close(&writing.connection, true)?;
            self.in_doubt = false;
        }
        Ok(())
    }

    /// Runs every write in a savepoint of one transaction and commits. A write that fails leaves nothing.
    fn commit_under_lock(&mut self, group: &mut [QueuedWrite]) -> Result<()> {
        if self.writing.is_none() {
            let opened = connection::reopen(self.identity.path())
                .and_then(|connection| self.use_connection(connection));
            opened.map_err(not_written)?;
        }
        self.rewrite_if_in_doubt().map_err(not_written)?;
        self.groups = self.groups.saturating_add(1);
        let Some(WritingConnection { connection, wal, reset }) = &mut self.writing else { return Ok(()) };
        let run = |sql: &str| {
            connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute([]))
                .map(|_| ())
                .map_err(|error| sql_error("nothing was written", error))
        };
        let precedes_parents = group.iter().any(|write| write.precedes_parents());
        if precedes_parents {
            // SQLite ignores this pragma within a transaction.
            run("PRAGMA foreign_keys = OFF")?;
        }
        run("BEGIN IMMEDIATE").map_err(|error| name_exclusive_lock(error, &self.identity))?;
        refuse_migrated_since(connection, self.identity.path())?;
        let tx = Tx::new(connection, self.clock.now());
        if let [write] = group {
            if !run_write(write, &tx) {
                run("ROLLBACK")?;
                if precedes_parents {
                    run("PRAGMA foreign_keys = ON")?;
                }
                tx.restore_cache_size();
                return Ok(());
            }
        } else {
            for write in group {
                run("SAVEPOINT request")?;
                if !run_write(write, &tx) {
                    run("ROLLBACK TO request")?;
                    tx.forget_change_number();
                }
                run("RELEASE request")?;
            }
        }
        if self.groups >= PAD_FROM_GROUP {
            pad(wal);
        }
        commit(connection)?;
        let restored = if precedes_parents { run("PRAGMA foreign_keys = ON") } else { Ok(()) };
        tx.restore_cache_size();
        reset.reset_if_long(wal, connection);
        if let Err(error) = restored {
            // The commit is valid. The next group opens another connection, which has foreign keys on.
            tracing::error!(%error, "foreign keys could not be switched on");
            self.writing = None;
        }
        Ok(())
    }
}

/// The message of a write that may or may not be in the WAL.
const UNKNOWN: &str = "the disk did not confirm the write: it may be kept or lost; read before you repeat it";

/// Names the program that has locked the whole file, if that is why a transaction could not begin.
fn name_exclusive_lock(error: Error, identity: &FileIdentity) -> Error {
    #[cfg(target_os = "linux")]
    if error.code == Code::Busy
        && let Some(pid) = identity.exclusive_lock_holder()
    {
        return not_written(super::lock_holder::exclusive_lock_error(identity.path(), pid));
    }
    let _ = identity;
    error
}

fn not_written(error: Error) -> Error {
    Error::new(error.code, "nothing was written").caused_by(error)
}

/// Runs COMMIT. If it fails before all frames are in the WAL, nothing was written. But SQLite indexes the frames after
/// it wrote them; if that fails, a process that opens the store after a crash finds the commit.
fn commit(connection: &Connection) -> Result<()> {
    let committed = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
    committed.map(|_| ()).map_err(|error| {
        let is_incomplete = match error.sqlite_error() {
            Some(cause) => {
                matches!(
                    cause.code,
                    ErrorCode::DatabaseBusy | ErrorCode::DiskFull | ErrorCode::ConstraintViolation
                ) || matches!(cause.extended_code, SQLITE_IOERR_WRITE | SQLITE_IOERR_FSYNC)
            }
            None => false,
        };
        if is_incomplete { sql_error("nothing was written", error) } else { Error::internal(UNKNOWN, error) }
    })
}

/// Runs a write. One that panics is rolled back like one that returns false.
fn run_write(write: &mut QueuedWrite, tx: &Tx<'_>) -> bool {
    catch_unwind(AssertUnwindSafe(|| write.run(tx as &dyn StoreWrite))).unwrap_or_else(|_| {
        tracing::error!("a write panicked");
        false
    })
}
