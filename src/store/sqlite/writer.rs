//! Writing: one who comes alone, in this process and among all, writes at once; those who meet others are
//! written by a thread, in one transaction, and answered together. So only that thread ever waits for a
//! turn, and whoever asked can tire of waiting (`Docket::write`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::ffi::{SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE};
use rusqlite::{Connection, ErrorCode};

use super::connection;
use super::log::Log;
use super::rows::sql_error;
use super::schema::refuse_renewed;
use super::ticket::{Ticket, Turn};
use super::tx::Tx;
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::store::{Write, WriteJob};

/// The most requests that share a commit.
const GROUP: usize = 64;

/// How long the thread may take to end once nobody waits for an answer of its: it may wait for a turn that a
/// stopped process has, and then ends with the process.
const LAST_STEPS: Duration = Duration::from_secs(1);

/// A boxed job.
type Job = Box<dyn WriteJob>;

/// The one writing connection of a process.
pub(super) struct Writer {
    state: Arc<Mutex<State>>,
    /// Jobs handed to the thread and not answered yet.
    queued: Arc<AtomicUsize>,
    /// Started when two jobs first meet.
    thread: OnceLock<Option<Thread>>,
}

/// The thread for jobs that meet.
struct Thread {
    jobs: Sender<Job>,
    handle: JoinHandle<()>,
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
        Ok(Writer { state: Arc::new(Mutex::new(state)), queued: Arc::default(), thread: OnceLock::new() })
    }

    /// Has a job written and answered: on this thread where nobody else writes.
    pub(super) fn submit(&self, job: Job) {
        if self.queued.load(Ordering::Acquire) == 0
            && let Ok(mut state) = self.state.try_lock()
            && let Some(turn) = state.ticket.try_take().transpose()
        {
            state.serve(vec![job], turn);
            return;
        }
        let thread = self.thread.get_or_init(|| {
            start(self.state.clone(), self.queued.clone())
                .inspect_err(|error| tracing::error!(%error, "the writer's thread could not be started"))
                .ok()
        });
        self.queued.fetch_add(1, Ordering::AcqRel);
        let refused = match thread {
            Some(thread) => thread.jobs.send(job).err().map(|error| error.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            job.finish(Err(Error::new(Code::Internal, "the store's writer has ended; start docket again")));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(Some(Thread { jobs, handle })) = self.thread.take() {
            drop(jobs);
            let asked = Instant::now();
            while !handle.is_finished() && asked.elapsed() < LAST_STEPS {
                std::thread::sleep(Duration::from_millis(1));
            }
            if !handle.is_finished() {
                tracing::warn!("a write that nobody waits for has no turn yet, and is not made");
            } else if handle.join().is_err() {
                tracing::error!("the writer panicked");
            }
        }
    }
}

fn start(state: Arc<Mutex<State>>, queued: Arc<AtomicUsize>) -> std::io::Result<Thread> {
    let (jobs, queue) = channel();
    let handle =
        std::thread::Builder::new().name("write".into()).spawn(move || serve(&queue, &state, &queued))?;
    Ok(Thread { jobs, handle })
}

fn serve(queue: &Receiver<Job>, state: &Mutex<State>, queued: &AtomicUsize) {
    while let Ok(first) = queue.recv() {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        // All that came while another wrote goes together.
        let group: Vec<Job> = std::iter::once(first).chain(queue.try_iter().take(GROUP - 1)).collect();
        let size = group.len();
        let turn = state.ticket.take();
        state.serve(group, turn);
        queued.fetch_sub(size, Ordering::AcqRel);
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
    fn serve(&mut self, mut group: Vec<Job>, turn: Result<Turn>) {
        let committed = turn.and_then(|turn| self.write(&mut group, turn)).and_then(|()| self.log.sync());
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
    fn write(&mut self, group: &mut [Job], _turn: Turn) -> Result<()> {
        if self.connection.is_none() {
            self.connection = Some(connection::reopen(&self.path)?);
        }
        let Some(connection) = &self.connection else { return Ok(()) };
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
                return run("ROLLBACK");
            }
            commit(connection)?;
            self.log.fold_if_long(connection);
            return Ok(());
        }
        for job in group {
            run("SAVEPOINT request")?;
            if !keeps(job, &tx) {
                run("ROLLBACK TO request")?;
                tx.forget_sequence();
            }
            run("RELEASE request")?;
        }
        commit(connection)?;
        self.log.fold_if_long(connection);
        Ok(())
    }
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
        if before_the_end {
            sql_error("nothing was written", error)
        } else {
            Error::internal(
                "the disk did not confirm the write: it may be kept or lost; read before you repeat it",
                error,
            )
        }
    })
}

/// Runs a job; one that panics is taken back like one that refuses.
fn keeps(job: &mut Job, tx: &Tx<'_>) -> bool {
    catch_unwind(AssertUnwindSafe(|| job.run(tx as &dyn Write))).unwrap_or_else(|_| {
        tracing::error!("a write panicked");
        false
    })
}
