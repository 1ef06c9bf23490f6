//! The thread that writes: takes what is waiting, writes it in one transaction, then answers all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connection;
use super::rows::sql_error;
use super::ticket::Ticket;
use super::tx::Tx;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::{Write, WriteJob};

/// The most requests that share a commit.
const GROUP: usize = 64;

/// A boxed job.
type Job = Box<dyn WriteJob>;

/// The writer of a store.
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread over an open connection.
    pub(super) fn start(connection: Connection, path: &Path, clock: Clock) -> Result<Self> {
        let (jobs, queue) = channel();
        let state =
            State { ticket: Ticket::open(path)?, connection: Some(connection), path: path.to_owned(), clock };
        let thread = std::thread::Builder::new()
            .name("write".into())
            .spawn(move || state.serve(&queue))
            .map_err(|error| Error::internal("the writer could not be started", error))?;
        Ok(Writer { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands over a write.
    pub(super) fn submit(&self, job: Job) {
        let refused = match &self.jobs {
            Some(jobs) => jobs.send(job).err().map(|error| error.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            job.finish(Err(Error::new(Code::Internal, "the store's writer has ended; start docket again")));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer panicked");
        }
    }
}

struct State {
    ticket: Ticket,
    connection: Option<Connection>,
    path: PathBuf,
    clock: Clock,
}

impl State {
    fn serve(mut self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
            let committed = self.write(&mut group);
            if let Err(error) = &committed {
                tracing::error!(%error, "a write failed");
                // Whatever state the failure left the connection in, it is not kept.
                self.connection = None;
            }
            for job in group {
                job.finish(match &committed {
                    Ok(()) => Ok(()),
                    Err(error) => Err(Error::new(error.code, error.to_string())),
                });
            }
        }
    }

    /// Runs every job in a savepoint of one transaction and commits; jobs that fail leave nothing.
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
        let tx = Tx { connection, now: self.clock.now() };
        if let [job] = group {
            return if keeps(job, &tx) { run("COMMIT") } else { run("ROLLBACK") };
        }
        for job in group {
            run("SAVEPOINT request")?;
            if !keeps(job, &tx) {
                run("ROLLBACK TO request")?;
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
