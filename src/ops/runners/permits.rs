//! Concurrency permits: all runners of a store share one limit of workers. `model::fair_share` decides which batch gets
//! the next permit.

use crate::error::Result;
use crate::model::fair_share::{FairShare, must_yield, next_batch};
use crate::model::task::RowId;
use crate::ops::Session;
use crate::store::{StoreRead, StoreWrite};

/// The permits of a runner do not count once its last heartbeat is older than this, in seconds.
const SILENT_SECONDS: i64 = 20;

/// The shares of live runners. For `batch`, `wants` replaces whether it waits for a permit.
fn live_shares(tx: &dyn StoreRead, batch: RowId, wants: bool) -> Result<Vec<FairShare>> {
    let oldest = tx.now().saturating_add_secs(-SILENT_SECONDS);
    // A heartbeat that lies further ahead was recorded before the clock was set back; the runner may be dead.
    let newest = tx.now().saturating_add_secs(SILENT_SECONDS);
    let live = tx
        .fair_shares()?
        .into_iter()
        .filter(|(share, seen)| share.batch == batch || (*seen > oldest && *seen <= newest));
    Ok(live
        .map(|(share, _)| if share.batch == batch { FairShare { is_waiting: wants, ..share } } else { share })
        .collect())
}

/// The number of permits that a batch holds.
fn held(shares: &[FairShare], batch: RowId) -> u64 {
    shares.iter().find(|share| share.batch == batch).map_or(0, |share| share.permits)
}

/// Whether the store has recorded that a batch waits for a permit.
fn is_waiting(tx: &dyn StoreRead, batch: RowId) -> Result<bool> {
    Ok(tx.fair_shares()?.iter().any(|(share, _)| share.batch == batch && share.is_waiting))
}

/// Releases one permit of a batch, and records whether the batch waits for another.
fn release_one(tx: &dyn StoreWrite, batch: RowId, shares: &[FairShare], waits: bool) -> Result<()> {
    tx.set_fair_share(batch, held(shares, batch).saturating_sub(1), waits)
}

/// Tries to acquire one more permit for a batch; `limit` is the limit over all batches. `others_wait` says
/// whether more workers of the batch wait for a permit. If another batch is next, records that this one waits and
/// returns `false`.
///
/// # Errors
/// If the store cannot be written.
pub fn acquire_permit(session: &Session, batch: RowId, limit: u64, others_wait: bool) -> Result<bool> {
    // A waiting batch asks often: only a change is written.
    let (is_next, is_recorded) = session.read(move |tx| {
        Ok((next_batch(&live_shares(tx, batch, true)?, limit) == Some(batch), is_waiting(tx, batch)?))
    })?;
    if !is_next && is_recorded {
        return Ok(false);
    }
    session.write_as_runner(move |tx| {
        let shares = live_shares(tx, batch, true)?;
        let is_next = next_batch(&shares, limit) == Some(batch);
        tx.set_fair_share(batch, held(&shares, batch) + u64::from(is_next), others_wait || !is_next)?;
        Ok(is_next)
    })
}

/// Records that no worker of a batch waits for a permit any more.
///
/// # Errors
/// If the store cannot be written.
pub fn stop_waiting_for_permit(session: &Session, batch: RowId) -> Result<()> {
    if !session.read(move |tx| is_waiting(tx, batch))? {
        return Ok(());
    }
    session.write_as_runner(move |tx| {
        let held = held(&live_shares(tx, batch, false)?, batch);
        tx.set_fair_share(batch, held, false)
    })
}

/// Releases a permit; `others_wait` says whether workers of the batch wait for one.
///
/// # Errors
/// If the store cannot be written.
pub fn release_permit(session: &Session, batch: RowId, others_wait: bool) -> Result<()> {
    session.write_as_runner(move |tx| {
        let shares = live_shares(tx, batch, others_wait)?;
        release_one(tx, batch, &shares, others_wait)
    })
}

/// Releases a permit if another batch waits and has less than its share; the batch then waits for its next
/// permit. Returns whether the permit was released.
///
/// # Errors
/// If the store cannot be written.
pub fn yield_permit(session: &Session, batch: RowId, limit: u64) -> Result<bool> {
    if !session.read(move |tx| Ok(must_yield(&live_shares(tx, batch, false)?, batch, limit)))? {
        return Ok(false);
    }
    session.write_as_runner(move |tx| {
        let shares = live_shares(tx, batch, false)?;
        let yields = must_yield(&shares, batch, limit);
        if yields {
            release_one(tx, batch, &shares, true)?;
        }
        Ok(yields)
    })
}
