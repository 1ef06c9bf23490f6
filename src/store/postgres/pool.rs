//! Reading: a pool of a few connections, each opened when it is first needed and used by one read at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::address::Address;
use super::connection::{Connection, Network};
use super::failure::Failure;
use super::schema::{SCHEMA_VERSION, refuse_other_schema};
use super::statement::Statement;
use super::tx::{Beginning, Counters, Tx};
use crate::error::Result;
use crate::model::timestamp::Timestamp;
use crate::store::rows::StoredRow as _;
use crate::store::{ReadJob, StoreRead};

/// How many reads run at once.
const CONNECTIONS: usize = 2;
/// How long a connection that no read uses stays open.
const IDLE: Duration = Duration::from_secs(5);
/// How long connecting is tried while the server starts, stops or has no connection free.
const CONNECT_FOR: Duration = Duration::from_secs(20);
/// The pause between two tries.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const BEGINNING: &str =
    "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, c.change_number, v.version
    FROM counter c, schema_version v";

/// Connects; tries again for a while if the server may accept a connection later.
///
/// # Errors
/// If no connection could be made in that time, or the server refuses for good.
pub(super) fn connect_patiently(network: &Arc<Network>, address: &Address) -> Result<Connection, Failure> {
    let started = Instant::now();
    loop {
        match network.connect(address) {
            Err(Failure::ConnectionLost(error)) if started.elapsed() < CONNECT_FOR => {
                tracing::debug!(%error, "connecting again");
                std::thread::sleep(CONNECT_PAUSE);
            }
            connected => return connected,
        }
    }
}

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
}

impl Readers {
    /// A pool without an open connection.
    pub(super) fn new(network: Arc<Network>, address: Address) -> Self {
        let idle = Mutex::new((0..CONNECTIONS).map(|_| None).collect());
        Readers { shared: Arc::new(Shared { idle, released: Condvar::new() }), network, address }
    }

    /// Runs a read on this thread. Waits until a connection is idle.
    pub(super) fn read(&self, job: ReadJob) {
        let kept = self.acquire();
        let begun = match kept.map(|connection| begin(&connection).map(|beginning| (connection, beginning))) {
            Some(Ok(begun)) => Ok(begun),
            // The connection may have ended since it was used last.
            None | Some(Err(Failure::ConnectionLost(_))) => connect_patiently(&self.network, &self.address)
                .and_then(|connection| begin(&connection).map(|beginning| (connection, beginning))),
            Some(Err(failure)) => Err(failure),
        };
        match begun {
            Err(failure) => {
                job(Err(failure.into_error()));
                self.release(None);
            }
            Ok((connection, beginning)) => {
                let tx = Tx::new(&connection, &beginning);
                let outcome = catch_unwind(AssertUnwindSafe(|| job(Ok(&tx as &dyn StoreRead))));
                if outcome.is_err() {
                    tracing::error!("a read panicked");
                }
                tx.roll_back();
                drop(tx);
                self.release(Some(connection));
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

/// Begins a read transaction and reads the time and the latest change.
fn begin(connection: &Connection) -> Result<Beginning, Failure> {
    let results = connection.exchange(vec![Statement::plain(BEGIN), Statement::plain(BEGINNING)])?;
    let row = results.last().and_then(|rows| rows.first());
    let row = row.ok_or_else(|| Failure::Refused(refuse_other_schema(None)))?;
    let read = || -> Result<(i64, Beginning)> {
        let counters = Counters { change_number: row.get(1)?, ..Counters::default() };
        Ok((row.get(2)?, Beginning { now: Timestamp::from_millis(row.get(0)?), counters }))
    };
    let (version, beginning) = read().map_err(Failure::Refused)?;
    if version == SCHEMA_VERSION {
        Ok(beginning)
    } else {
        Err(Failure::Refused(refuse_other_schema(Some(version))))
    }
}
