//! Reading: a pool of a few connections, each opened when it is first needed and used by one read at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::Connection;

use super::connection;
use super::rows::sql_error;
use super::schema::refuse_migrated_since;
use super::tx::Tx;
use super::writer::file_identity::FileIdentity;
use crate::clock::Clock;
use crate::store::{ReadJob, StoreRead};

/// How many reads run at once.
const CONNECTIONS: usize = 2;

/// The connections that read a store.
pub(super) struct Readers {
    /// One entry per connection that no read uses: `None` until it is opened, or after a read left it unusable.
    idle: Mutex<Vec<Option<Connection>>>,
    released: Condvar,
    identity: FileIdentity,
    clock: Clock,
}

impl Readers {
    /// A pool without an open connection.
    pub(super) fn new(identity: FileIdentity, clock: Clock) -> Self {
        let idle = Mutex::new((0..CONNECTIONS).map(|_| None).collect());
        Readers { idle, released: Condvar::new(), identity, clock }
    }

    /// Runs a read on this thread. Waits until a connection is idle.
    pub(super) fn read(&self, job: ReadJob) {
        let connection = self.acquire();
        let path = self.identity.path();
        let opened =
            self.identity.check().and_then(|()| connection.map_or_else(|| connection::open_reader(path), Ok));
        match opened {
            Err(error) => {
                job(Err(error));
                self.release(None);
            }
            Ok(connection) => {
                let is_usable = run_read(&connection, path, &self.clock, job);
                self.release(is_usable.then_some(connection));
            }
        }
    }

    fn acquire(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // The connection that was released last is used first: it is open.
            match idle.pop() {
                Some(connection) => return connection,
                None => idle = self.released.wait(idle).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn release(&self, connection: Option<Connection>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.released.notify_one();
    }
}

/// Runs a read in a transaction of its own, so that it sees one state of the store. Returns whether the connection can
/// be used again.
pub(super) fn run_read(connection: &Connection, path: &Path, clock: &Clock, job: ReadJob) -> bool {
    let run = |sql: &str| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    if let Err(error) = run("BEGIN") {
        job(Err(sql_error("the store could not be read", error)));
        return false;
    }
    let tx = Tx::new(connection, clock.now());
    let current = refuse_migrated_since(connection, path);
    let outcome = catch_unwind(AssertUnwindSafe(|| job(current.map(|()| &tx as &dyn StoreRead))));
    let ended = run("ROLLBACK");
    match (&outcome, &ended) {
        (Err(_), _) => tracing::error!("a read panicked"),
        (_, Err(error)) => tracing::error!(%error, "a read transaction could not be ended"),
        _ => {}
    }
    outcome.is_ok() && ended.is_ok()
}
