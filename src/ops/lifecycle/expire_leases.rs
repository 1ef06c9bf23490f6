//! Expires leases. A `claim_task` does this first if a lease has expired, so this needs no background process.

use super::release::release;
use crate::error::Result;
use crate::model::author::SYSTEM;
use crate::model::limits::MAX_IDS;
use crate::store::StoreWrite;

/// Releases every claim whose lease has expired, and ends the holds whose time has come. Returns the number
/// of released claims.
pub(in crate::ops) fn expire_leases(tx: &dyn StoreWrite) -> Result<usize> {
    tx.release_expired_holds()?;
    let expired = tx.expired_claims(MAX_IDS)?;
    for task in &expired {
        if let Some(claim) = &task.claim {
            let why = format!("The lease of '{}' expired at {}.", claim.worker, claim.expires_at);
            release(tx, task, &why, &SYSTEM)?;
        }
    }
    Ok(expired.len())
}
