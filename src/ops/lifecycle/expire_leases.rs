//! Expires leases. A `claim_task` does this first if a lease has expired, and a review if a person has to decide on what the
//! claim left, so this needs no background process.

use super::release::release;
use crate::error::Result;
use crate::model::author::SYSTEM;
use crate::model::id::TaskId;
use crate::model::limits::MAX_IDS;
use crate::model::task::Task;
use crate::ops::Session;
use crate::ops::request::lookup::find_batch;
use crate::ops::views::attention::chunks_left_in_doubt;
use crate::store::StoreWrite;

/// Ends the expired claims of a batch that left items on which a person has to decide: their chunks are in review then.
///
/// # Errors
/// If there is no such batch, or the store cannot be read or written.
pub(in crate::ops) fn open_reviews_of_doubt(session: &Session, batch: &TaskId) -> Result<()> {
    let id = batch.clone();
    let is_needed = session.read(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        Ok(!chunks_left_in_doubt(tx, &task, &batch)?.is_empty())
    })?;
    if !is_needed {
        return Ok(());
    }
    let id = batch.clone();
    session.write(move |tx| {
        let (task, batch) = find_batch(tx, &id)?;
        chunks_left_in_doubt(tx, &task, &batch)?.iter().try_for_each(|(_, chunk)| end_expired(tx, chunk))
    })
}

/// Releases every claim whose lease has expired, and ends the holds whose time has come. Returns the number
/// of released claims.
pub(in crate::ops) fn expire_leases(tx: &dyn StoreWrite) -> Result<usize> {
    tx.release_expired_holds()?;
    let expired = tx.expired_claims(MAX_IDS)?;
    expired.iter().try_for_each(|task| end_expired(tx, task))?;
    Ok(expired.len())
}

fn end_expired(tx: &dyn StoreWrite, task: &Task) -> Result<()> {
    let Some(claim) = &task.claim else { return Ok(()) };
    let why = format!("The lease of '{}' expired at {}.", claim.worker, claim.expires_at);
    release(tx, task, &why, &SYSTEM)?;
    Ok(())
}
