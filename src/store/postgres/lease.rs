//! Leases: rows that say which process does what only one may do at a time, until when. Only the database's time counts. A
//! process that does not renew its lease in time has lost it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::address::Address;
use super::connection::{Network, run};
use super::failure::Failure;
use super::servers::open_client;
use super::statement::{Statement, database_time};
use super::value::values;
use crate::error::{Code, Error, Result};
use crate::store::rows::StoredRow as _;

/// How long a lease lasts after it was renewed.
const LASTS: Duration = Duration::from_secs(15);
/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(4);
/// The pause before a lease is tried again that another process holds.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(200);

const ACQUIRE: &str = concat!(
    "INSERT INTO lease (name, holder, fence, expires_at) VALUES ($1, $2, 1, ",
    database_time!(),
    " + $3)
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = lease.fence + 1, expires_at = excluded.expires_at
      WHERE lease.expires_at <= ",
    database_time!(),
    " RETURNING fence"
);
const RENEW: &str = concat!(
    "UPDATE lease SET expires_at = ",
    database_time!(),
    " + $3 WHERE name = $1 AND fence = $2 AND expires_at > ",
    database_time!(),
    " RETURNING fence"
);
const RELEASE: &str = "UPDATE lease SET expires_at = 0 WHERE name = $1 AND fence = $2";

/// A lease that this process holds, as long as it can renew it. Dropping it ends it.
pub(super) struct Lease {
    name: String,
    fence: i64,
    ended: Arc<AtomicBool>,
    network: Arc<Network>,
    address: Address,
}

/// Acquires a lease. If another process holds it, returns the process's name.
///
/// # Errors
/// If the database cannot be reached.
pub(super) fn acquire(
    network: &Arc<Network>,
    address: &Address,
    name: &str,
) -> Result<std::result::Result<Lease, String>> {
    let connection = network.connect_patiently(address).map_err(Failure::into_error)?;
    let holder =
        format!("process {} on {}", std::process::id(), rustix::system::uname().nodename().to_string_lossy());
    let lasts = LASTS.as_millis() as u64;
    let statements = vec![
        Statement::with(ACQUIRE, values![name, holder, lasts]),
        Statement::with("SELECT holder FROM lease WHERE name = $1", values![name]),
    ];
    let results = connection.exchange(statements).map_err(Failure::into_error)?;
    let [acquired, holders] = results.as_slice() else {
        return Err(Error::new(Code::Internal, "the database answered without the rows of a lease"));
    };
    let Some(fence) = acquired.first().map(|row| row.get(0)).transpose()? else {
        let holder: Option<String> = holders.first().map(|row| row.get(0)).transpose()?;
        return Ok(Err(holder.unwrap_or_else(|| "another process".to_owned())));
    };
    let lease = Lease {
        name: name.to_owned(),
        fence,
        ended: Arc::default(),
        network: network.clone(),
        address: address.clone(),
    };
    lease.keep();
    Ok(Ok(lease))
}

impl Lease {
    /// Renews the lease from time to time, until it is dropped or lost.
    fn keep(&self) {
        let ended = self.ended.clone();
        let renew = Statement::with(RENEW, values![self.name, self.fence, LASTS.as_millis() as u64]);
        let address = self.address.clone();
        self.network.spawn(async move {
            let mut renewed = Instant::now();
            while !ended.load(Ordering::Acquire) {
                tokio::time::sleep(RENEW_EVERY).await;
                let renewal = async {
                    let opened = open_client(&address).await?;
                    run(&opened.client, None, &renew).await.map_err(Failure::of)
                };
                match tokio::time::timeout(RENEW_EVERY, renewal).await {
                    Ok(Ok(rows)) if !rows.is_empty() => renewed = Instant::now(),
                    Ok(Ok(_)) => ended.store(true, Ordering::Release),
                    _ if renewed.elapsed() + RENEW_EVERY >= LASTS => ended.store(true, Ordering::Release),
                    _ => {}
                }
            }
        });
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        let released = self.network.connect_patiently(&self.address).and_then(|connection| {
            connection.exchange(vec![Statement::with(RELEASE, values![self.name, self.fence])])
        });
        if let Err(failure) = released {
            tracing::debug!(error = %failure.error(), "a lease was not released; it ends by itself");
        }
    }
}
