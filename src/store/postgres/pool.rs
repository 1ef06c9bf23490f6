//! Reading: a pool of a few connections, each opened when it is first needed and used by one read at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use super::address::Address;
use super::connection::{Connection, IDLE, Network};
use super::tx::Tx;
use super::tx::predictions::Predictions;
use crate::store::{ReadJob, StoreRead};

/// How many reads run at once.
const CONNECTIONS: usize = 2;

/// A connection and since when no read uses it.
type Idle = (Connection, Instant);

struct Shared {
    /// One entry per connection that no read uses: `None` until it is opened.
    idle: Mutex<Vec<Option<Idle>>>,
    released: Condvar,
}

/// The connections that read a store.
pub(super) struct Readers {
    shared: Arc<Shared>,
    network: Arc<Network>,
    address: Address,
    predictions: Arc<Predictions>,
}

impl Readers {
    /// A pool without an open connection.
    pub(super) fn new(network: Arc<Network>, address: Address, predictions: Arc<Predictions>) -> Self {
        let idle = Mutex::new((0..CONNECTIONS).map(|_| None).collect());
        Readers { shared: Arc::new(Shared { idle, released: Condvar::new() }), network, address, predictions }
    }

    /// Runs a read on this thread. Waits until a connection is idle.
    pub(super) fn read(&self, name: &'static str, job: ReadJob) {
        let kept = self.acquire().filter(|connection| !connection.is_closed());
        let opened = kept.map_or_else(|| self.network.connect_patiently(&self.address), Ok);
        match opened {
            Err(failure) => {
                job(Err(failure.into_error()));
                self.release(None);
            }
            Ok(connection) => {
                let tx = Tx::reading(&connection, &self.predictions);
                tx.set_name(name);
                let outcome = catch_unwind(AssertUnwindSafe(|| job(Ok(&tx as &dyn StoreRead))));
                if outcome.is_err() {
                    tracing::error!("a read panicked");
                }
                tx.roll_back();
                // After a failure the transaction may still be open.
                let is_usable = tx.take_failure().is_none();
                drop(tx);
                self.release(is_usable.then_some(connection));
            }
        }
    }

    fn acquire(&self) -> Option<Connection> {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // The connection that was released last is used first: it is open.
            match idle.pop() {
                Some(connection) => return connection.map(|(connection, _)| connection),
                None => idle = self.shared.released.wait(idle).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn release(&self, connection: Option<Connection>) {
        let connection = connection.filter(|connection| !connection.is_closed());
        let is_open = connection.is_some();
        let released = connection.map(|connection| (connection, Instant::now()));
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push(released);
        self.shared.released.notify_one();
        if is_open {
            let shared = self.shared.clone();
            self.network.after(IDLE, move || shared.close_idle());
        }
    }
}

impl Shared {
    /// Closes the connections that no read has used for a while: others may need them.
    fn close_idle(&self) {
        for entry in self.idle.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            if entry.as_ref().is_some_and(|(_, since)| since.elapsed() >= IDLE) {
                *entry = None;
            }
        }
    }
}
