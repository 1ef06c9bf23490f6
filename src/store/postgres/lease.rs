//! Leases as rows. Only the database's time decides when a lease ends.
//!
//! Its holder renews it with connections of its own, so renewals wait for no other write. A holder that cannot renew it
//! counts from its last successful renewal, from before it sent that: its workers end before the database's time ends the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::address::Address;
use super::connection::{Network, run};
use super::failure::Failure;
use super::servers::open_client;
use super::statement::{Statement, database_time};
use super::value::values;
use crate::clock::since_boot;
use crate::error::{Code, Error, Result};
use crate::store::rows::StoredRow as _;
use crate::store::{Fence, HeldLease, LeaseHolder, LeaseName, LeaseState, Leases};

/// How long a lease lasts after it was renewed.
pub(super) const LASTS: Duration = Duration::from_secs(20);
/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// How long a renewal may take.
const RENEW_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause after a renewal that failed.
const RENEW_AGAIN: Duration = Duration::from_secs(1);
/// How long after the last renewal its holder has to begin to end what needs the lease.
const ENDING_AFTER: Duration = Duration::from_secs(12);
/// How long after the last renewal its holder has to have ended it. The rest is for killing processes.
const LOST_AFTER: Duration = Duration::from_secs(15);
/// The pause before a lease is tried again that another process holds.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// If the clock of the database was set back, a lease that lies too far ahead counts as ended.
const ACQUIRE: &str = concat!(
    "INSERT INTO lease (name, holder, fence, expires_at, host, pid, place) VALUES ($1, $2, 1, ",
    database_time!(),
    " + $3, $4, $5, $6)
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at,
            host = excluded.host, pid = excluded.pid, place = excluded.place
      WHERE lease.expires_at <= ",
    database_time!(),
    " OR lease.expires_at > ",
    database_time!(),
    " + 2 * $3 OR (lease.place = excluded.place AND excluded.place <> '')
     RETURNING fence"
);
/// Also after its end, if no other process has acquired it.
const RENEW: &str = concat!(
    "UPDATE lease SET expires_at = ",
    database_time!(),
    " + $3 WHERE name = $1 AND fence = $2 RETURNING fence"
);
const END: &str = "UPDATE lease SET expires_at = 0 WHERE name = $1 AND fence = $2";
const DELETE: &str = "DELETE FROM lease WHERE name = $1 AND fence = $2";
/// The leases of processes that died a day ago and had no claims.
const DELETE_OLD: &str = concat!(
    "DELETE FROM lease WHERE starts_with(name, $1) AND expires_at < ",
    database_time!(),
    " - 86400000"
);

/// The leases of a store.
pub(super) struct RowLeases {
    network: Arc<Network>,
    address: Address,
}

/// What a lease's holder and its renewals share.
struct Renewal {
    /// When the last successful renewal was sent, in milliseconds since the machine started.
    renewed_at: AtomicU64,
    /// Whether it counts as ending, also if a later renewal succeeds.
    is_ending: AtomicBool,
    /// Whether another process has it.
    is_lost: AtomicBool,
    /// Whether its holder has given it up.
    is_dropped: AtomicBool,
}

impl Renewal {
    fn since_last(&self) -> Duration {
        since_boot().saturating_sub(Duration::from_millis(self.renewed_at.load(Ordering::SeqCst)))
    }

    fn set_renewed(&self, sent_at: Duration) {
        self.renewed_at.store(sent_at.as_millis() as u64, Ordering::SeqCst);
    }

    fn state(&self) -> LeaseState {
        let since_last = self.since_last();
        if since_last >= LOST_AFTER {
            self.is_lost.store(true, Ordering::SeqCst);
        }
        if since_last >= ENDING_AFTER {
            self.is_ending.store(true, Ordering::SeqCst);
        }
        match (self.is_lost.load(Ordering::SeqCst), self.is_ending.load(Ordering::SeqCst)) {
            (true, _) => LeaseState::Lost,
            (false, true) => LeaseState::Ending,
            (false, false) => LeaseState::Held,
        }
    }
}

struct RowLease {
    fence: Fence,
    renewal: Arc<Renewal>,
    network: Arc<Network>,
    address: Address,
}

impl RowLeases {
    pub(super) fn new(network: Arc<Network>, address: Address) -> Self {
        RowLeases { network, address }
    }
}

impl Leases for RowLeases {
    fn acquire(
        &self,
        name: LeaseName,
        holder: &LeaseHolder,
    ) -> Result<std::result::Result<Box<dyn HeldLease>, LeaseHolder>> {
        let connection = self.network.connect_patiently(&self.address).map_err(Failure::into_error)?;
        let text = name.as_text();
        let described = format!("process {} on {}", holder.pid, holder.host);
        let lasts = LASTS.as_millis() as u64;
        let acquire = values![text, described, lasts, &holder.host, holder.pid, &holder.place];
        let mut statements = vec![
            Statement::with(ACQUIRE, acquire),
            Statement::with("SELECT host, pid, place FROM lease WHERE name = $1", values![text]),
        ];
        if !name.is_reused() {
            statements.push(Statement::with(DELETE_OLD, values![LeaseName::PROCESS_PREFIX]));
        }
        let sent_at = since_boot();
        let results = connection.exchange(statements).map_err(Failure::into_error)?;
        let [acquired, holders, ..] = results.as_slice() else {
            return Err(Error::new(Code::Internal, "the database answered without the rows of a lease"));
        };
        let Some(number) = acquired.first().map(|row| row.get(0)).transpose()? else {
            let Some(row) = holders.first() else { return Ok(Err(LeaseHolder::default())) };
            let other = LeaseHolder { host: row.get(0)?, pid: row.get(1)?, place: row.get(2)? };
            return Ok(Err(other));
        };
        let renewal = Renewal {
            renewed_at: AtomicU64::new(sent_at.as_millis() as u64),
            is_ending: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            is_dropped: AtomicBool::new(false),
        };
        let lease = RowLease {
            fence: Fence { name, number, host: holder.host.clone() },
            renewal: Arc::new(renewal),
            network: self.network.clone(),
            address: self.address.clone(),
        };
        lease.keep();
        Ok(Ok(Box::new(lease)))
    }
}

impl RowLease {
    /// Renews the lease from time to time, until it is dropped or lost.
    fn keep(&self) {
        let renewal = self.renewal.clone();
        let (name, number) = (self.fence.name.as_text(), self.fence.number);
        let renew = Statement::with(RENEW, values![name, number, LASTS.as_millis() as u64]);
        let address = self.address.clone();
        self.network.spawn(async move {
            let mut pause = RENEW_EVERY;
            loop {
                tokio::time::sleep(pause).await;
                if renewal.is_dropped.load(Ordering::SeqCst) || renewal.state() == LeaseState::Lost {
                    return;
                }
                let sent_at = since_boot();
                let renewed = tokio::time::timeout(RENEW_TIMEOUT, async {
                    let opened = open_client(&address).await?;
                    run(&opened.client, None, &renew).await.map_err(Failure::of)
                });
                pause = RENEW_AGAIN;
                match renewed.await {
                    Ok(Ok(rows)) if rows.is_empty() => renewal.is_lost.store(true, Ordering::SeqCst),
                    Ok(Ok(_)) => {
                        renewal.set_renewed(sent_at);
                        pause = RENEW_EVERY;
                    }
                    Ok(Err(failure)) => {
                        tracing::debug!(error = %failure.error(), "a lease could not be renewed");
                    }
                    Err(_) => tracing::debug!("the database did not answer the renewal of a lease in time"),
                }
            }
        });
    }
}

impl HeldLease for RowLease {
    fn fence(&self) -> Fence {
        self.fence.clone()
    }

    fn state(&self) -> LeaseState {
        self.renewal.state()
    }
}

impl Drop for RowLease {
    fn drop(&mut self) {
        self.renewal.is_dropped.store(true, Ordering::SeqCst);
        if self.renewal.state() != LeaseState::Held {
            return;
        }
        let end = if self.fence.name.is_reused() { END } else { DELETE };
        let statement = Statement::with(end, values![self.fence.name.as_text(), self.fence.number]);
        // One try only: without it, the lease ends by itself.
        let ended =
            self.network.connect(&self.address).and_then(|connection| connection.exchange(vec![statement]));
        if let Err(failure) = ended {
            tracing::debug!(error = %failure.error(), "a lease was not released; it ends by itself");
        }
    }
}
