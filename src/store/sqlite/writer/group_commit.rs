//! A group of writes: into the log in this process's turn, to the disk after it, and only then answered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ffi::{SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE};
use rusqlite::{Connection, ErrorCode};

use super::QueuedWrite;
use super::file_identity::FileIdentity;
use super::wal::Wal;
use super::write_lock::{Ticket, Turn};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::StoreWrite;
use crate::store::sqlite::connection;
use crate::store::sqlite::rows::sql_error;
use crate::store::sqlite::schema::refuse_renewed;
use crate::store::sqlite::tx::Tx;

/// How long a write that is not confirmed waits for the turn in which the log is written out once more.
const SETTLING_WAIT: Duration = Duration::from_secs(30);

/// From which of its groups on a process makes room in the log ahead: a command writes once, and is done.
const ROOM_FROM: u32 = 2;

/// Commits groups of jobs, through one connection.
pub(in crate::store::sqlite) struct Committer {
    ticket: Ticket,
    open: Option<Open>,
    /// Whether the log may read otherwise than the disk holds it; see [`Wal`].
    in_doubt: bool,
    /// How many groups it was given.
    groups: u32,
    path: PathBuf,
    place: FileIdentity,
    clock: Clock,
}

/// A connection, and the log that it writes.
struct Open {
    connection: Connection,
    log: Wal,
}

impl Committer {
    /// Over an open connection.
    ///
    /// # Errors
    /// Where the log or the file that processes queue on cannot be opened.
    pub(in crate::store::sqlite) fn new(
        connection: Connection,
        path: &Path,
        place: FileIdentity,
        clock: Clock,
    ) -> Result<Self> {
        let mut committer = Committer {
            ticket: Ticket::open(path)?,
            open: None,
            in_doubt: false,
            groups: 0,
            path: path.to_owned(),
            place,
            clock,
        };
        committer.take(connection)?;
        Ok(committer)
    }

    /// Works on through a connection. It was opened before the log was, so the log is there.
    fn take(&mut self, connection: Connection) -> Result<()> {
        let log = Wal::open(&self.path)?;
        let marked = log.in_doubt()?;
        self.open = Some(Open { connection, log });
        if marked || self.in_doubt { self.doubt() } else { Ok(()) }
    }

    /// From now on nothing is written before the log was written out once more; and who closes
    /// the connection does not fold it in.
    fn doubt(&mut self) -> Result<()> {
        self.in_doubt = true;
        let Some(open) = &self.open else { return Ok(()) };
        open.log.mark();
        connection::fold_when_closed(&open.connection, false)
    }

    /// Waits for a turn.
    pub(in crate::store::sqlite) fn turn(&self) -> Result<Turn> {
        self.ticket.take()
    }

    /// A turn where nobody has it.
    pub(in crate::store::sqlite) fn try_turn(&self) -> Result<Option<Turn>> {
        self.ticket.try_take()
    }

    /// Writes a group in a turn, brings it to the disk and answers each.
    pub(in crate::store::sqlite) fn serve(&mut self, mut group: Vec<QueuedWrite>, turn: Result<Turn>) {
        let committed = turn
            .and_then(|turn| self.look_first().map(|()| turn))
            .and_then(|turn| self.write(&mut group, turn))
            .and_then(|()| self.confirm());
        if let Err(error) = &committed {
            tracing::error!(%error, "a write failed");
        }
        for job in group {
            job.finish(match &committed {
                Ok(()) => Ok(()),
                Err(error) => Err(Error::new(error.code, error.to_string())),
            });
        }
    }

    /// Fails, before anything is written, unless the store and its log are the files that were opened: another
    /// store in this one's place would share the log. And somebody may have marked it: a commit could fold it in.
    fn look_first(&mut self) -> Result<()> {
        self.place.check().map_err(unwritten)?;
        match &self.open {
            Some(open) if open.log.in_doubt().map_err(unwritten)? => self.doubt(),
            _ => Ok(()),
        }
    }

    /// Commits what jobs write. Whatever state a failure leaves the connection in, it is not kept.
    fn write(&mut self, group: &mut [QueuedWrite], turn: Turn) -> Result<()> {
        let written = self.try_write(group, turn);
        if written.is_err()
            && let Some(open) = &self.open
        {
            // Whether the kernel has something to tell that SQLite kept to itself.
            if open.log.sync().is_err() {
                let doubted = self.doubt();
                doubted.unwrap_or_else(|error| tracing::error!(%error, "the log's doubt may be lost"));
            }
            self.open = None;
        }
        written.map_err(|error| self.name_the_disk(error))
    }

    /// SQLite tells that a write failed, and not that the disk takes none any more.
    fn name_the_disk(&self, error: Error) -> Error {
        match Wal::open(&self.path) {
            Err(cause) if cause.code == Code::ReadOnly && error.code == Code::Internal => {
                let code = if error.message == UNKNOWN { error.code } else { cause.code };
                Error::new(code, error.to_string()).caused_by(cause)
            }
            _ => error,
        }
    }

    /// Waits until what was committed is on disk, in a store that is still there.
    fn confirm(&mut self) -> Result<()> {
        self.try_confirm().map_err(|error| Error::internal(UNKNOWN, error))
    }

    fn try_confirm(&mut self) -> Result<()> {
        let Some(open) = &self.open else { return Ok(()) };
        if let Err(error) = open.log.sync() {
            tracing::error!(%error, "the log could not be synced");
            self.doubt()?;
        } else if open.log.in_doubt()? {
            self.doubt()?;
        }
        if self.in_doubt {
            let _turn = self.ticket.take_within(SETTLING_WAIT)?;
            Self::settle(&mut self.in_doubt, &self.open)?;
        }
        self.place.check()
    }

    /// Ends the doubt, in this process's turn.
    fn settle(in_doubt: &mut bool, open: &Option<Open>) -> Result<()> {
        if *in_doubt && let Some(open) = open {
            open.log.write_out(&open.connection)?;
            connection::fold_when_closed(&open.connection, true)?;
            *in_doubt = false;
        }
        Ok(())
    }

    /// Runs every job in a savepoint of one transaction and commits; jobs that fail leave nothing.
    /// The turn ends with the commit, before it is on disk.
    fn try_write(&mut self, group: &mut [QueuedWrite], _turn: Turn) -> Result<()> {
        if self.open.is_none() {
            let taken = connection::reopen(&self.path).and_then(|connection| self.take(connection));
            taken.map_err(unwritten)?;
        }
        Self::settle(&mut self.in_doubt, &self.open).map_err(unwritten)?;
        self.groups = self.groups.saturating_add(1);
        let Some(Open { connection, log }) = &mut self.open else { return Ok(()) };
        let run = |sql: &str| {
            connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute([]))
                .map(|_| ())
                .map_err(|error| sql_error("nothing was written", error))
        };
        run("BEGIN IMMEDIATE")?;
        refuse_renewed(connection, &self.path)?;
        let tx = Tx::new(connection, self.clock.now());
        if let [job] = group {
            if !keeps(job, &tx) {
                run("ROLLBACK")?;
                tx.end_room();
                return Ok(());
            }
        } else {
            for job in group {
                run("SAVEPOINT request")?;
                if !keeps(job, &tx) {
                    run("ROLLBACK TO request")?;
                    tx.forget_sequence();
                }
                run("RELEASE request")?;
            }
        }
        if self.groups >= ROOM_FROM {
            log.make_room();
        }
        commit(connection)?;
        tx.end_room();
        log.fold_if_long(connection);
        Ok(())
    }
}

/// What is told where a write may have come to the log or not.
const UNKNOWN: &str = "the disk did not confirm the write: it may be kept or lost; read before you repeat it";

fn unwritten(error: Error) -> Error {
    Error::new(error.code, "nothing was written").caused_by(error)
}

/// Commits. Where it fails before all is in the log, nothing was written; but SQLite indexes the log after
/// it wrote to it, and where that fails, whoever opens the store after a crash finds the commit.
fn commit(connection: &Connection) -> Result<()> {
    let committed = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
    committed.map(|_| ()).map_err(|error| {
        let before_the_end = match error.sqlite_error() {
            Some(told) => {
                matches!(
                    told.code,
                    ErrorCode::DatabaseBusy | ErrorCode::DiskFull | ErrorCode::ConstraintViolation
                ) || matches!(told.extended_code, SQLITE_IOERR_WRITE | SQLITE_IOERR_FSYNC)
            }
            None => false,
        };
        if before_the_end { sql_error("nothing was written", error) } else { Error::internal(UNKNOWN, error) }
    })
}

/// Runs a job; one that panics is taken back like one that refuses.
fn keeps(job: &mut QueuedWrite, tx: &Tx<'_>) -> bool {
    catch_unwind(AssertUnwindSafe(|| job.run(tx as &dyn StoreWrite))).unwrap_or_else(|_| {
        tracing::error!("a write panicked");
        false
    })
}
