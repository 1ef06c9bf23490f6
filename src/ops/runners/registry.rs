//! What runners ask and tell the store: that they live, whose turn it is, whether a worker may start.

use std::time::Duration;

use crate::error::Result;
use crate::model::batch::BatchStatus;
use crate::model::id::{TaskId, Token};
use crate::model::share::{FairShare, must_yield, next};
use crate::model::task::Row;
use crate::ops::Session;
use crate::ops::lifecycle::pause::pause;
use crate::ops::views::batch::{batch_status, find_batch};
use crate::store::{Filter, Read, Runner};

/// How long a runner may give no sign of life before its workers no longer count, in seconds.
const SILENT_SECONDS: i64 = 20;
/// Within how many seconds starts are counted.
const MINUTE_SECONDS: i64 = 60;

/// A batch as its runner looks at it.
#[derive(Debug)]
pub struct BatchState {
    /// Its row.
    pub row: Row,
    /// Where it stands.
    pub status: BatchStatus,
    /// Whether a chunk may be claimed now.
    pub is_claimable: bool,
    /// The profile that it is worked by.
    pub worker: Option<String>,
    /// Its project.
    pub project: Option<String>,
    /// The most chunks worked on at once.
    pub max_parallel: i64,
}

/// Looks at a batch.
///
/// # Errors
/// `not_found`, `invalid_argument` for what is no batch, or where the store cannot be read.
pub fn batch_state(session: &Session, batch: &TaskId) -> Result<BatchState> {
    let batch = batch.clone();
    session.read(move |tx| {
        let (task, batch) = find_batch(tx, &batch)?;
        let ready = Filter { parent: Some(task.row), ready: true, free: true, ..Filter::default() };
        // What the next claim gives free first: a chunk that has rested, or one whose holder died.
        let due = tx.next_hold()?.is_some_and(|at| at <= tx.now()) || !tx.expired(1)?.is_empty();
        Ok(BatchState {
            row: task.row,
            status: batch_status(tx, &task, &batch)?,
            is_claimable: due || !tx.list(&ready, None, 1)?.is_empty(),
            worker: batch.worker,
            project: task.project,
            max_parallel: batch.max_parallel,
        })
    })
}

/// Puts a runner on record in the place of the one before; gives what its workers are marked with.
///
/// # Errors
/// Where the store cannot be written.
pub fn register_runner(session: &Session, batch: Row, profile: &str, pid: u32, host: &str) -> Result<String> {
    let (profile, host) = (profile.to_owned(), host.to_owned());
    session.write(move |tx| {
        let nonce = Token::random().to_string();
        let (since, seen) = (tx.now(), tx.now());
        let runner = Runner { batch, nonce: nonce.clone(), profile, pid, host, since, seen, note: None };
        tx.insert_runner(&runner)?;
        Ok(nonce)
    })
}

/// A runner's sign of life, and what it waits for.
///
/// # Errors
/// Where the store cannot be written.
pub fn runner_lives(session: &Session, batch: Row, note: Option<String>) -> Result<()> {
    session.write(move |tx| tx.runner_lives(batch, note.as_deref()))
}

/// The runner of a batch, in its row.
///
/// # Errors
/// Where the store cannot be read.
pub fn find_runner(session: &Session, batch: Row) -> Result<Option<Runner>> {
    session.read(move |tx| tx.runner(batch))
}

/// Takes a runner off the record.
///
/// # Errors
/// Where the store cannot be written.
pub fn unregister_runner(session: &Session, batch: Row, nonce: &str) -> Result<()> {
    let nonce = nonce.to_owned();
    session.write(move |tx| tx.remove_runner(batch, &nonce))
}

/// The stakes of runners that live, that of `batch` with what it wants.
fn stakes(tx: &dyn Read, batch: Row, wants: bool) -> Result<Vec<FairShare>> {
    let silent = tx.now().saturating_add_secs(-SILENT_SECONDS);
    // A sign of life from further ahead came before the clock jumped back, perhaps from one that died since.
    let ahead = tx.now().saturating_add_secs(SILENT_SECONDS);
    let all = tx.stakes()?.into_iter();
    let living = all.filter(|(stake, seen)| stake.batch == batch || (*seen > silent && *seen <= ahead));
    Ok(living
        .map(|(stake, _)| if stake.batch == batch { FairShare { wants, ..stake } } else { stake })
        .collect())
}

/// Asks for one more worker, of at most `limit` over all batches; `others` says whether more of this
/// batch wait. False: it is not its turn, and that it waits is on record.
///
/// # Errors
/// Where the store cannot be written.
pub fn acquire_permit(session: &Session, batch: Row, limit: u64, others: bool) -> Result<bool> {
    let (is_next, is_known) = session.read(move |tx| {
        let known = tx.stakes()?.iter().any(|(stake, _)| stake.batch == batch && stake.wants);
        Ok((next(&stakes(tx, batch, true)?, limit) == Some(batch), known))
    })?;
    if !is_next && is_known {
        return Ok(false);
    }
    session.write(move |tx| {
        let all = stakes(tx, batch, true)?;
        let held = held(&all, batch);
        let is_next = next(&all, limit) == Some(batch);
        tx.set_stake(batch, held + u64::from(is_next), others || !is_next)?;
        Ok(is_next)
    })
}

/// Says that none of a batch's slots waits for its turn any more.
///
/// # Errors
/// Where the store cannot be written.
pub fn stop_waiting_for_permit(session: &Session, batch: Row) -> Result<()> {
    if !session
        .read(move |tx| Ok(tx.stakes()?.iter().any(|(stake, _)| stake.batch == batch && stake.wants)))?
    {
        return Ok(());
    }
    session.write(move |tx| {
        let held = held(&stakes(tx, batch, false)?, batch);
        tx.set_stake(batch, held, false)
    })
}

/// Gives a worker's place up; `waits` says whether others of this batch wait for one.
///
/// # Errors
/// Where the store cannot be written.
pub fn release_permit(session: &Session, batch: Row, waits: bool) -> Result<()> {
    session.write(move |tx| {
        let held = held(&stakes(tx, batch, waits)?, batch);
        tx.set_stake(batch, held.saturating_sub(1), waits)
    })
}

/// Gives a worker's place up where another batch has less than its share; says whether.
///
/// # Errors
/// Where the store cannot be written.
pub fn yield_permit(session: &Session, batch: Row, limit: u64) -> Result<bool> {
    if !session.read(move |tx| Ok(must_yield(&stakes(tx, batch, false)?, batch, limit)))? {
        return Ok(false);
    }
    session.write(move |tx| {
        let all = stakes(tx, batch, false)?;
        let yields = must_yield(&all, batch, limit);
        if yields {
            // It waits for its next turn from now on.
            tx.set_stake(batch, held(&all, batch).saturating_sub(1), true)?;
        }
        Ok(yields)
    })
}

fn held(stakes: &[FairShare], batch: Row) -> u64 {
    stakes.iter().find(|stake| stake.batch == batch).map_or(0, |stake| stake.held)
}

/// Takes note that a profile starts a worker, at most so many a minute; else how long to wait.
///
/// # Errors
/// Where the store cannot be written.
pub fn record_worker_start(session: &Session, profile: &str, most: u64) -> Result<Option<Duration>> {
    let profile = profile.to_owned();
    // Who waits asks often: only a start is written.
    let of_profile = profile.clone();
    if let Some(wait) = session.read(move |tx| wait(tx, &of_profile, most))? {
        return Ok(Some(wait));
    }
    session.write(move |tx| match wait(tx, &profile, most)? {
        Some(wait) => Ok(Some(wait)),
        None => {
            tx.record_start(&profile, tx.now().saturating_add_secs(-MINUTE_SECONDS))?;
            Ok(None)
        }
    })
}

fn wait(tx: &dyn Read, profile: &str, most: u64) -> Result<Option<Duration>> {
    let since = tx.now().saturating_add_secs(-MINUTE_SECONDS);
    Ok(match tx.starts_since(profile, since)? {
        (count, Some(first)) if count >= most => {
            let wait = first.millis() - since.millis();
            Some(Duration::from_millis(wait.clamp(1, MINUTE_SECONDS * 1_000).unsigned_abs()))
        }
        _ => None,
    })
}

/// Why a profile starts no workers, where it is paused.
///
/// # Errors
/// Where the store cannot be read.
pub fn profile_pause(session: &Session, profile: &str) -> Result<Option<String>> {
    let profile = profile.to_owned();
    session.read(move |tx| tx.profile_pause(&profile))
}

/// Pauses a profile, so that no batch starts workers by it, and the batch of the runner that says so.
///
/// # Errors
/// Where the store cannot be written.
pub fn pause_profile(session: &Session, batch: &TaskId, profile: &str, why: &str) -> Result<()> {
    let (id, profile, why) = (batch.clone(), profile.to_owned(), why.to_owned());
    session.write(move |tx| {
        tx.pause_profile(&profile, Some(&why))?;
        let (task, batch) = find_batch(tx, &id)?;
        if task.status.is_terminal() {
            return Ok(());
        }
        let why = why.trim_end_matches('.');
        let why = format!("profile '{profile}' is paused: {why}. Mend it, then control_batch(id=\"{id}\", action=\"resume\"); retry opens what failed by it.");
        pause(tx, &task, &batch, &why, "tasktally").map(|_| ())
    })
}
