//! Writes: a thread commits all that wait as one transaction, and then answers each.
//!
//! A transaction begins with the store's lock, so all processes write one after the other. Its changes get their numbers
//! under the lock: a reader that sees a change sees every change with a smaller number.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::address::Address;
use super::connection::{Connection, Network};
use super::failure::Failure;
use super::predictions::Predictions;
use super::statement::Statement;
use super::tx::Tx;
use super::value::values;
use crate::error::{Code, Error, Result};
use crate::store::rows::StoredRow as _;
use crate::store::{StoreWrite, WriteJob};

/// How many writes one transaction commits.
const GROUP_LIMIT: usize = 256;
/// How long a write is repeated while connections end or transactions are rolled back.
const REPEAT_FOR: Duration = Duration::from_secs(60);
/// The pause before a repetition.
const REPEAT_PAUSE: Duration = Duration::from_millis(100);
/// After how long without writes the connection is given back.
const IDLE: Duration = Duration::from_secs(5);

type QueuedWrite = Box<dyn WriteJob>;

/// The queue of writes and the thread that commits them.
pub(super) struct Writer {
    queue: Option<Sender<QueuedWrite>>,
    thread: Option<JoinHandle<()>>,
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
        let thread = std::thread::Builder::new()
            .name("write".into())
            .spawn(move || Committer { network, address, predictions, connection: None }.run(&received))
            .map_err(|error| Error::internal("the thread that writes cannot be started", error))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
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
    /// The connection ended while the commit was under way; the transaction's id.
    Unknown(Failure, String),
}

struct Committer {
    network: Arc<Network>,
    address: Address,
    predictions: Arc<Predictions>,
    connection: Option<Connection>,
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
        match self.commit_repeatedly(&mut group) {
            Ok(()) => group.into_iter().for_each(|write| write.finish(Ok(()))),
            Err(Failure::Refused(_)) if group.len() > 1 => {
                for write in group {
                    self.commit_group(vec![write]);
                }
            }
            Err(failure) => {
                let error = failure.into_error();
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
                Attempt::Unknown(failure, transaction) => {
                    if self.was_committed(&transaction, started, failure)? {
                        return Ok(());
                    }
                    continue;
                }
            };
            if matches!(failure, Failure::Refused(_)) || started.elapsed() > REPEAT_FOR {
                return Err(failure);
            }
            tracing::debug!(error = %failure.error(), "a write is repeated");
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
        let attempt = match tx.commit() {
            Ok(()) => Attempt::Committed,
            Err(failure @ Failure::ConnectionLost(_)) => match tx.id() {
                Some(id) => return Attempt::Unknown(failure, id.to_owned()),
                None => Attempt::Failed(failure),
            },
            Err(failure) => Attempt::Failed(failure),
        };
        drop(tx);
        if matches!(attempt, Attempt::Committed) {
            self.connection = Some(connection);
        }
        attempt
    }

    /// Asks the database whether a transaction was committed whose connection ended at its commit.
    fn was_committed(&mut self, transaction: &str, started: Instant, lost: Failure) -> Result<bool, Failure> {
        let mut last = lost;
        while started.elapsed() < REPEAT_FOR {
            let asked = self.network.connect_patiently(&self.address).and_then(|connection| {
                let results = connection.exchange(vec![Statement::with(
                    "SELECT pg_xact_status($1::text::xid8)",
                    values![transaction],
                )])?;
                let status = results.first().and_then(|rows| rows.first()).map(|row| row.text(0)).transpose();
                Ok((connection, status.map_err(Failure::Refused)?.flatten()))
            });
            match asked {
                Ok((connection, status)) => {
                    self.connection = Some(connection);
                    match status.as_deref() {
                        Some("committed") => return Ok(true),
                        Some("aborted") => return Ok(false),
                        // The old server process has not noticed yet that its client is gone.
                        Some(_) => {}
                        None => break,
                    }
                }
                Err(failure @ Failure::Refused(_)) => return Err(Failure::Refused(unknown(&failure))),
                Err(failure) => last = failure,
            }
            std::thread::sleep(REPEAT_PAUSE);
        }
        Err(Failure::Refused(unknown(&last)))
    }
}

/// The refusal of a write that may or may not be stored.
fn unknown(cause: &Failure) -> Error {
    Error::new(
        Code::Internal,
        format!(
            "the connection to the database ended during the commit, and the database cannot be asked whether it was done: {}. The write may be kept or lost: read before you repeat it, or repeat it with the same request_key",
            cause.error()
        ),
    )
}

/// Runs a write, in a savepoint unless it is alone in its transaction. A write that returns false, or panics, leaves
/// nothing. Returns whether it is kept.
fn run_write(write: &mut QueuedWrite, tx: &Tx<'_>, is_alone: bool) -> bool {
    let given = tx.given();
    if !is_alone {
        tx.write("SAVEPOINT request", Vec::new());
    }
    let keeps = catch_unwind(AssertUnwindSafe(|| write.run(tx as &dyn StoreWrite))).unwrap_or_else(|_| {
        tracing::error!("a write panicked");
        false
    });
    if !is_alone {
        if !keeps {
            tx.restore(given);
            tx.write("ROLLBACK TO SAVEPOINT request", Vec::new());
        }
        tx.write("RELEASE SAVEPOINT request", Vec::new());
    }
    keeps
}
