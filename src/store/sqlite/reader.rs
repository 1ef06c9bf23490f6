//! Reading: a few connections, each lent to one caller at a time, opened when first needed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use rusqlite::Connection;

use super::connection;
use super::rows::sql_error;
use super::schema::refuse_renewed;
use super::tx::Tx;
use super::writer::file_identity::FileIdentity;
use crate::clock::Clock;
use crate::store::{ReadJob, StoreRead};

/// How many reads are answered at once.
const CONNECTIONS: usize = 2;

/// The readers of a store.
pub(super) struct Readers {
    /// A place is empty until its connection is needed.
    idle: Mutex<Vec<Option<Connection>>>,
    returned: Condvar,
    path: PathBuf,
    place: FileIdentity,
    clock: Clock,
}

impl Readers {
    /// Opens nothing yet.
    pub(super) fn new(path: PathBuf, place: FileIdentity, clock: Clock) -> Self {
        let idle = Mutex::new((0..CONNECTIONS).map(|_| None).collect());
        Readers { idle, returned: Condvar::new(), path, place, clock }
    }

    /// Runs a read on this thread, once a connection is free.
    pub(super) fn look(&self, job: ReadJob) {
        let connection = self.take();
        let checked = self.place.check();
        let opened =
            checked.and_then(|()| connection.map_or_else(|| connection::open_reader(&self.path), Ok));
        match opened {
            Err(error) => {
                job(Err(error));
                self.give(None);
            }
            Ok(connection) => {
                let sound = answer(&connection, &self.path, &self.clock, job);
                self.give(sound.then_some(connection));
            }
        }
    }

    /// Waits for a place; there may be no connection in it.
    fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // An open one is put back last, so it is found first.
            match idle.pop() {
                Some(connection) => return connection,
                None => idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn give(&self, connection: Option<Connection>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.returned.notify_one();
    }
}

/// Runs a job in a transaction of its own: one moment of the store, ended with the job. Gives
/// whether the connection is as sound as before.
pub(super) fn answer(connection: &Connection, path: &Path, clock: &Clock, job: ReadJob) -> bool {
    let run = |sql: &str| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    if let Err(error) = run("BEGIN") {
        job(Err(sql_error("the store could not be read", error)));
        return false;
    }
    let tx = Tx::new(connection, clock.now());
    let renewed = refuse_renewed(connection, path);
    let outcome = catch_unwind(AssertUnwindSafe(|| job(renewed.map(|()| &tx as &dyn StoreRead))));
    let ended = run("ROLLBACK");
    match (&outcome, &ended) {
        (Err(_), _) => tracing::error!("a read panicked"),
        (_, Err(error)) => tracing::error!(%error, "a read could not be ended"),
        _ => {}
    }
    outcome.is_ok() && ended.is_ok()
}
