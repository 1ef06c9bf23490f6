//! Limits of worker profiles that all runners of a store share: starts per minute, and pauses.

use std::time::Duration;

use crate::error::Result;
use crate::model::author::SYSTEM;
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::ops::lifecycle::pause::pause_batch;
use crate::ops::request::lookup::find_batch;
use crate::store::StoreRead;

/// Worker starts are counted over this time, in seconds.
const MINUTE_SECONDS: i64 = 60;

/// Records that a profile starts a worker, if fewer than `limit` workers were started within a minute. Otherwise
/// records nothing and returns how long to wait.
///
/// # Errors
/// If the store cannot be written.
pub fn record_worker_start(session: &Session, profile: &str, limit: u64) -> Result<Option<Duration>> {
    let profile = profile.to_owned();
    // A waiting runner asks often: only a start is written.
    let read_profile = profile.clone();
    if let Some(wait) = session.read(move |tx| wait_before_start(tx, &read_profile, limit))? {
        return Ok(Some(wait));
    }
    session.write_as_runner(move |tx| match wait_before_start(tx, &profile, limit)? {
        Some(wait) => Ok(Some(wait)),
        None => {
            tx.record_worker_start(&profile, tx.now().saturating_add_secs(-MINUTE_SECONDS))?;
            Ok(None)
        }
    })
}

/// How long a profile must wait before its next start; `None` if it may start now.
fn wait_before_start(tx: &dyn StoreRead, profile: &str, limit: u64) -> Result<Option<Duration>> {
    let since = tx.now().saturating_add_secs(-MINUTE_SECONDS);
    Ok(match tx.worker_starts_since(profile, since)? {
        (count, Some(first)) if count >= limit => {
            let wait = first.millis() - since.millis();
            Some(Duration::from_millis(wait.clamp(1, MINUTE_SECONDS * 1_000).unsigned_abs()))
        }
        _ => None,
    })
}

/// The reason why a profile is paused; `None` if it is not.
///
/// # Errors
/// If the store cannot be read.
pub fn profile_pause(session: &Session, profile: &str) -> Result<Option<String>> {
    let profile = profile.to_owned();
    session.read(move |tx| tx.profile_pause_reason(&profile))
}

/// Pauses a profile, so that no batch starts workers with it, and pauses the batch in which it failed.
///
/// # Errors
/// If the store cannot be written.
pub fn pause_profile(session: &Session, batch: &TaskId, profile: &str, why: &str) -> Result<()> {
    let (id, profile, why) = (batch.clone(), profile.to_owned(), why.to_owned());
    session.write_as_runner(move |tx| {
        tx.set_profile_pause(&profile, Some(&why))?;
        let (task, batch) = find_batch(tx, &id)?;
        if task.status.is_terminal() {
            return Ok(());
        }
        let why = why.trim_end_matches('.');
        let why = format!(
            "profile '{profile}' is paused: {why}. Fix the profile, then control_batch(id=\"{id}\", action=\"resume\"); control_batch(id=\"{id}\", action=\"retry\") opens failed items again."
        );
        pause_batch(tx, &task, &batch, &why, &SYSTEM).map(|_| ())
    })
}
