//! Writing: whoever comes next takes all that waits, writes it in one transaction, and answers all.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::connection;
use super::log::Log;
use super::rows::sql_error;
use super::ticket::Ticket;
use super::tx::Tx;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::store::{Write, WriteJob};

/// The most requests that share a commit.
const GROUP: usize = 64;

/// A boxed job.
type Job = Box<dyn WriteJob>;

/// The one writing connection of a process.
pub(super) struct Writer {
    waiting: Mutex<VecDeque<Job>>,
    state: Mutex<State>,
}

impl Writer {
    /// A writer over an open connection.
    ///
    /// # Errors
    /// Where the file that processes queue on cannot be opened.
    pub(super) fn new(connection: Connection, path: &Path, clock: Clock) -> Result<Self> {
        let state = State {
            ticket: Ticket::open(path)?,
            connection: Some(connection),
            log: Log::of(path),
            path: path.to_owned(),
            clock,
        };
        Ok(Writer { waiting: Mutex::default(), state: Mutex::new(state) })
    }

    /// Has a job written and answered, on this thread or by the one that writes just now.
    ///
    /// Every thread that waits takes a group in its turn, and none takes fewer jobs than there
    /// are: so each job is taken, if not by its own thread.
    pub(super) fn submit(&self, job: Job) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(job);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let size = waiting.len().min(GROUP);
        let group: Vec<Job> = waiting.drain(..size).collect();
        drop(waiting);
        if !group.is_empty() {
            state.serve(group);
        }
    }
}

struct State {
    ticket: Ticket,
    connection: Option<Connection>,
    log: Log,
    path: PathBuf,
    clock: Clock,
}

impl State {
    fn serve(&mut self, mut group: Vec<Job>) {
        let committed = self.write(&mut group).and_then(|()| self.log.sync());
        if let Err(error) = &committed {
            tracing::error!(%error, "a write failed");
            // Whatever state the failure left the connection in, it is not kept.
            self.connection = None;
            self.log = Log::of(&self.path);
        }
        for job in group {
            job.finish(match &committed {
                Ok(()) => Ok(()),
                Err(error) => Err(Error::new(error.code, error.to_string())),
            });
        }
    }

    /// Runs every job in a savepoint of one transaction and commits; jobs that fail leave nothing.
    /// The turn ends with the commit, before it is on disk.
    fn write(&mut self, group: &mut [Job]) -> Result<()> {
        if self.connection.is_none() {
            self.connection = Some(connection::reopen(&self.path)?);
        }
        let Some(connection) = &self.connection else { return Ok(()) };
        let _turn = self.ticket.take()?;
        let run = |sql: &str| {
            connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute([]))
                .map(|_| ())
                .map_err(|error| sql_error("nothing was written", error))
        };
        run("BEGIN IMMEDIATE")?;
        let tx = Tx::new(connection, self.clock.now());
        if let [job] = group {
            return if keeps(job, &tx) { run("COMMIT") } else { run("ROLLBACK") };
        }
        for job in group {
            run("SAVEPOINT request")?;
            if !keeps(job, &tx) {
                run("ROLLBACK TO request")?;
                tx.forget_sequence();
            }
            run("RELEASE request")?;
        }
        run("COMMIT")
    }
}

/// Runs a job; one that panics is taken back like one that refuses.
fn keeps(job: &mut Job, tx: &Tx<'_>) -> bool {
    catch_unwind(AssertUnwindSafe(|| job.run(tx as &dyn Write))).unwrap_or_else(|_| {
        tracing::error!("a write panicked");
        false
    })
}
