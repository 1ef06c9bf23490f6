//! The store over a PostgreSQL database, for several machines.

mod address;
mod address_parameters;
mod batches;
mod commit_marks;
mod completion;
mod connect_failure;
mod connection;
mod contents;
mod cost;
mod count_check;
mod failure;
mod graph;
mod inspect;
mod large_batch;
mod lease;
mod lease_rows;
mod list;
mod password;
mod password_file;
mod pool;
mod prepared;
mod read;
mod receipts;
mod resources;
mod runners;
mod schema;
mod search;
mod search_text;
mod servers;
mod statement;
mod tls;
pub mod transfer;
mod tx;
mod value;
mod waits;
mod write;
mod writer;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use address::Address;
pub use inspect::{DatabaseFacts, Durability, TableFacts, inspect};
pub use password::PasswordCommand;
pub use schema::{SCHEMA_VERSION, schema_sql};

use crate::error::{Code, Error, Result};
use crate::host::host_name;
use crate::store::{LeaseHolder, LeaseName, Leases, ReadJob, Store, WriteJob};
use connection::Network;
use tx::predictions::Predictions;

/// A store in a PostgreSQL database. It connects when it is used, and gives its connections back when it is idle.
pub struct PostgresStore {
    address: Address,
    readers: pool::Readers,
    writer: writer::Writer,
    leases: lease::RowLeases,
    network: Arc<Network>,
}

impl PostgresStore {
    /// Opens the store; creates or migrates its tables if necessary.
    ///
    /// # Errors
    /// `busy` if the database cannot be reached, `store_newer`, `read_only`, `forbidden`, or `internal` with the cause.
    pub fn open(address: Address) -> Result<Self> {
        let network = Arc::new(Network::start()?);
        schema::prepare(&network, &address)?;
        Self::start(network, address)
    }

    /// Opens a store that has the newest schema, without a check.
    ///
    /// # Errors
    /// If the system has no thread left. A database that cannot be used is reported by the first read.
    pub fn open_current(address: Address) -> Result<Self> {
        Self::start(Arc::new(Network::start()?), address)
    }

    fn start(network: Arc<Network>, address: Address) -> Result<Self> {
        let predictions = Arc::new(Predictions::default());
        let writer = writer::Writer::start(network.clone(), address.clone(), predictions.clone())?;
        let readers = pool::Readers::new(network.clone(), address.clone(), predictions);
        let leases = lease::RowLeases::new(network.clone(), address.clone());
        Ok(PostgresStore { address, readers, writer, leases, network })
    }

    /// How many times this process has waited for an answer of the database.
    pub fn round_trips(&self) -> u64 {
        self.network.round_trips()
    }
}

impl Store for PostgresStore {
    fn submit_write(&self, job: Box<dyn WriteJob>) {
        self.writer.submit(job);
    }

    fn write_timeout_error(&self, waited: Duration) -> Error {
        if let Some(error) = self.writer.obstacle() {
            let message = format!("nothing was written within {} s: {error}", waited.as_secs());
            return Error::new(error.code, message);
        }
        Error::new(
            Code::Busy,
            format!(
                "nothing was written: other writes held the store {} for {} s; try again. The view pg_stat_activity names their processes",
                self.address,
                waited.as_secs()
            ),
        )
    }

    fn lock_bulk(&self, limit: Duration) -> Result<Box<dyn Send>> {
        let started = Instant::now();
        let this = LeaseHolder { host: host_name(), pid: std::process::id(), place: String::new() };
        loop {
            match self.leases.acquire(LeaseName::Bulk, &this)? {
                Ok(lease) => return Ok(Box::new(lease)),
                Err(holder) if started.elapsed() >= limit => {
                    return Err(Error::new(
                        Code::Busy,
                        format!(
                            "nothing was written: process {} on {} inserts a large batch; try again when it is done",
                            holder.pid, holder.host
                        ),
                    ));
                }
                Err(_) => std::thread::sleep(lease::RETRY_PAUSE),
            }
        }
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(&self.leases)
    }

    fn read(&self, name: &'static str, job: ReadJob) {
        self.readers.read(name, job);
    }
}
