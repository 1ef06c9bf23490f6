//! Writes: a thread commits all that wait as one transaction, and then answers each.
//!
//! A transaction begins with the store's lock, so all processes write one after the other. Its changes get their numbers
//! under the lock: a reader that sees a change sees every change with a smaller number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::address::Address;
use super::commit_marks::CommitMarks;
use super::connection::{Connection, IDLE, Network};
use super::failure::Failure;
use super::tx::Tx;
use super::tx::predictions::Predictions;
use crate::error::{Code, Error, Result};
use crate::store::{StoreWrite, WriteJob};

/// How many writes one transaction commits.
const GROUP_LIMIT: usize = 256;
/// How long a write is repeated while connections end or transactions are rolled back.
const REPEAT_FOR: Duration = Duration::from_secs(60);
/// The pause before a repetition.
const REPEAT_PAUSE: Duration = Duration::from_millis(100);

type QueuedWrite = Box<dyn WriteJob>;

/// The queue of writes and the thread that commits them.
pub(super) struct Writer {
    queue: Option<Sender<QueuedWrite>>,
    thread: Option<JoinHandle<()>>,
    obstacle: Arc<Obstacle>,
}

/// Why the writes that wait now have not been committed yet.
#[derive(Default)]
struct Obstacle(Mutex<Option<Error>>);

impl Obstacle {
    fn set(&self, error: Option<Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start(
        network: Arc<Network>,
        address: Address,
        predictions: Arc<Predictions>,
    ) -> Result<Self> {
        let (queue, received) = channel();
        let obstacle = Arc::<Obstacle>::default();
        let seen = obstacle.clone();
        let thread = std::thread::Builder::new()
            .name("write".into())
            .spawn(move || {
                let (connection, marks, obstacle) = (None, CommitMarks::new(), seen);
                Committer { network, address, predictions, connection, marks, obstacle }.run(&received);
            })
            .map_err(|error| Error::internal("the thread that writes cannot be started", error))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread), obstacle })
    }

    /// Why the writes that wait now have not been committed yet, if the database is the cause.
    pub(super) fn obstacle(&self) -> Option<Error> {
        self.obstacle.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Error::copy)
    }

    /// Queues a write.
    pub(super) fn submit(&self, write: QueuedWrite) {
        let Some(queue) = &self.queue else { return };
        if let Err(unsent) = queue.send(write) {
            unsent.0.finish(Err(Error::new(
                Code::Internal,
                "nothing was written: the thread that writes has ended after an error; its log line has the cause. Restart tasktally",
            )));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when the queue is closed and empty.
        self.queue = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer panicked");
        }
    }
}

/// The outcome of one attempt to commit a group.
enum Attempt {
    /// The group is stored; or its only write is not, as it asked for.
    Committed,
    /// The transaction was rolled back, or never began.
    Failed(Failure),
    /// The connection ended while the commit was under way.
    Unknown(Failure),
}

struct Committer {
    network: Arc<Network>,
    address: Address,
    predictions: Arc<Predictions>,
    connection: Option<Connection>,
    marks: CommitMarks,
    obstacle: Arc<Obstacle>,
}

impl Committer {
    fn run(mut self, queue: &Receiver<QueuedWrite>) {
        loop {
            let first = match queue.recv_timeout(IDLE) {
                Ok(first) => first,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    self.connection = None;
                    match queue.recv() {
                        Ok(first) => first,
                        Err(_) => return,
                    }
                }
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
            };
            // The writes that arrived during the previous commit share this one.
            let group = std::iter::once(first).chain(queue.try_iter().take(GROUP_LIMIT - 1)).collect();
            self.commit_group(group);
        }
    }

    /// Commits a group and answers each of its writes. If the database refuses a statement of one write, all others of the
    /// group are committed without it.
    fn commit_group(&mut self, mut group: Vec<QueuedWrite>) {
        let committed = self.commit_repeatedly(&mut group);
        self.obstacle.set(None);
        match committed {
            Ok(()) => group.into_iter().for_each(|write| write.finish(Ok(()))),
            Err(Failure::Refused(_)) if group.len() > 1 => {
                for write in group {
                    self.commit_group(vec![write]);
                }
            }
            Err(failure) => {
                let was_rolled_back = matches!(failure, Failure::ConnectionLost(_) | Failure::RolledBack(_));
                let mut error = failure.into_error();
                if was_rolled_back {
                    error = Error::new(error.code, format!("nothing was written: {error}"));
                }
                tracing::error!(%error, "a write failed");
                group.into_iter().for_each(|write| write.finish(Err(error.copy())));
            }
        }
    }

    fn commit_repeatedly(&mut self, group: &mut [QueuedWrite]) -> Result<(), Failure> {
        let started = Instant::now();
        loop {
            let failure = match self.attempt(group) {
                Attempt::Committed => return Ok(()),
                Attempt::Failed(failure) => failure,
                Attempt::Unknown(failure) => {
                    if self.was_committed(started, failure)? {
                        return Ok(());
                    }
                    continue;
                }
            };
            if matches!(failure, Failure::Refused(_)) || started.elapsed() > REPEAT_FOR {
                return Err(failure);
            }
            tracing::debug!(error = %failure.error(), "a write is repeated");
            self.obstacle.set(Some(failure.error()));
            std::thread::sleep(REPEAT_PAUSE);
        }
    }

    fn attempt(&mut self, group: &mut [QueuedWrite]) -> Attempt {
        let connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => match self.network.connect_patiently(&self.address) {
                Ok(connection) => connection,
                Err(failure) => return Attempt::Failed(failure),
            },
        };
        let tx = Tx::writing(&connection, &self.predictions);
        tx.announce(group.iter().map(|write| write.subject().cloned().unwrap_or_default()).collect());
        let is_alone = group.len() == 1;
        for write in group.iter_mut() {
            let keeps = run_write(write, &tx, is_alone);
            if let Some(failure) = tx.take_failure() {
                tx.roll_back();
                return Attempt::Failed(failure);
            }
            if is_alone && !keeps {
                tx.roll_back();
                drop(tx);
                self.connection = Some(connection);
                return Attempt::Committed;
            }
        }
        self.marks.write_next(&tx);
        let attempt = match tx.commit() {
            Ok(()) => Attempt::Committed,
            Err(failure @ Failure::ConnectionLost(_)) => return Attempt::Unknown(failure),
            Err(failure) => Attempt::Failed(failure),
        };
        drop(tx);
        if matches!(attempt, Attempt::Committed) {
            self.connection = Some(connection);
        }
        attempt
    }

    /// Asks the database whether the latest transaction was committed, whose connection ended at its commit.
    fn was_committed(&mut self, started: Instant, lost: Failure) -> Result<bool, Failure> {
        let mut last = lost;
        while started.elapsed() < REPEAT_FOR {
            let asked = self.network.connect_patiently(&self.address).and_then(|connection| {
                let was_committed = self.marks.was_committed(&connection)?;
                Ok((connection, was_committed))
            });
            match asked {
                Ok((connection, was_committed)) => {
                    self.connection = Some(connection);
                    return Ok(was_committed);
                }
                // The old server process may not have noticed yet that its client is gone, and holds the lock.
                Err(failure) if failure.error().code == Code::Busy => last = failure,
                Err(failure @ Failure::Refused(_)) => return Err(unknown(&failure)),
                Err(failure) => last = failure,
            }
            std::thread::sleep(REPEAT_PAUSE);
        }
        Err(unknown(&last))
    }
}

/// The refusal of a write that may or may not be stored.
fn unknown(cause: &Failure) -> Failure {
    Failure::Unknown(Error::new(
        Code::Internal,
        format!(
            "the connection to the database ended during the commit, and the database cannot be asked whether it was done: {}. The write may be kept or lost: read before you repeat it, or repeat it with the same request_key",
            cause.error()
        ),
    ))
}

/// Runs a write, so that it can be taken back unless it is alone in its transaction. A write that returns false, or panics, leaves
/// nothing. Returns whether it is kept.
fn run_write(write: &mut QueuedWrite, tx: &Tx<'_>, is_alone: bool) -> bool {
    tx.set_name(write.name());
    if !is_alone {
        tx.begin_request();
    }
    let keeps = catch_unwind(AssertUnwindSafe(|| write.run(tx as &dyn StoreWrite))).unwrap_or_else(|_| {
        tracing::error!("a write panicked");
        false
    });
    match (is_alone, keeps) {
        (true, _) => {}
        (false, true) => tx.keep_request(),
        (false, false) => tx.undo_request(),
    }
    keeps
}
