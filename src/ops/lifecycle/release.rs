//! Releases claims: the task can be claimed again, a chunk after a backoff, or fails after its last attempt.

use std::time::Duration;

use super::transition::change_state;
use crate::error::Result;
use crate::model::author::{Author, AuthorKind, SYSTEM};
use crate::model::batch::{MAX_BACKOFF_SECONDS, backoff_seconds};
use crate::model::claim_rules::{ClaimAuthority, claim_authority};
use crate::model::field::visible_excerpt;
use crate::model::id::{TaskId, Token};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::ops::Session;
use crate::ops::request::lookup::batch_of_chunk;
use crate::ops::views::chunk_files::write_chunk;
use crate::store::pages::for_each_chunk;
use crate::store::{NewReceipt, StoreWrite};

/// The most characters of a release's reason that a chunk keeps for `get_batch(view="failures")`.
const REASON_CHARS: usize = 500;

/// Releases a claim. The task becomes `active` again, or `failed` if it is a chunk that has used all its
/// attempts. Returns the new status.
pub(in crate::ops) fn release(
    tx: &dyn StoreWrite,
    task: &Task,
    why: &str,
    author: &Author,
) -> Result<Status> {
    let mut status = Status::Active;
    let mut text = why.to_owned();
    if let (Some(chunk), Some(batch)) = (tx.chunk(task)?, batch_of_chunk(tx, task)?) {
        tx.add_release_reason(chunk.row, &visible_excerpt(why, REASON_CHARS))?;
        if chunk.attempts >= batch.max_attempts {
            status = Status::Failed;
            text = format!(
                "{why} This was attempt {} of {}: the chunk failed and needs a person; control_batch(id=\"{}\", action=\"retry\") opens it again.",
                chunk.attempts, batch.max_attempts, chunk.batch_id
            );
        }
    }
    let status = change_state(tx, task, &Task { status, assignee: None, ..task.clone() })?;
    tx.append_receipt(task, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    Ok(status)
}

/// Holds a released chunk for its backoff: `delay`, or one that doubles with every attempt.
pub(in crate::ops) fn start_backoff(tx: &dyn StoreWrite, task: &Task, delay: Option<Duration>) -> Result<()> {
    let Some(chunk) = tx.chunk(task)? else { return Ok(()) };
    let seconds = delay.map_or_else(|| backoff_seconds(chunk.attempts), whole_seconds);
    tx.add_hold(task.row, Some(tx.now().saturating_add_secs(seconds)))
}

fn whole_seconds(delay: Duration) -> i64 {
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    i64::try_from(seconds).unwrap_or(i64::MAX).min(MAX_BACKOFF_SECONDS)
}

/// Releases the claim of a runner that stopped or died. The attempt does not count, because the chunk did not
/// cause it.
fn release_uncounted(tx: &dyn StoreWrite, task: &Task, why: &str) -> Result<()> {
    if let Some(chunk) = tx.chunk(task)? {
        tx.set_attempts(&chunk, (chunk.attempts - 1).max(0))?;
    }
    let author = task
        .claim
        .as_ref()
        .map_or_else(|| SYSTEM.clone(), |claim| Author::new(&*claim.worker, AuthorKind::Runner));
    change_state(tx, task, &Task { status: Status::Active, assignee: None, ..task.clone() })?;
    let text = format!("Released: {why}.");
    tx.append_receipt(task, &NewReceipt { author: &author, text: &text, ..NewReceipt::default() })?;
    Ok(())
}

/// Releases a runner's live claim; the attempt does not count. The item `unrun`, which the claim marked as started, is
/// not in doubt, because its command has not run. Returns `false` and changes nothing if the claim was already lost.
///
/// # Errors
/// If the store cannot be written.
pub fn release_claim(
    session: &Session,
    id: &TaskId,
    token: &Token,
    why: &'static str,
    unrun: Option<&str>,
) -> Result<bool> {
    let (task_id, token, unrun) = (id.clone(), token.clone(), unrun.map(str::to_owned));
    let is_released = session.write(move |tx| {
        let task = tx.task(&task_id)?;
        let is_live = claim_authority(&task, Some(&token), tx.now()) == ClaimAuthority::LiveToken;
        if is_live {
            if let (Some(chunk), Some(key)) = (tx.chunk(&task)?, &unrun)
                && let Some(item) = tx.item(chunk.batch_row, key)?
                && item.started.is_some_and(|started| started.generation == task.generation)
            {
                tx.clear_item_started(&item)?;
            }
            release_uncounted(tx, &task, why)?;
        }
        Ok(is_live)
    })?;
    write_chunk(session, id);
    Ok(is_released)
}

/// Releases a runner's live claim because its worker failed temporarily. The attempt does not count, and the chunk
/// cannot be claimed before `delay` is over. Returns `false` and changes nothing if the claim was already lost.
///
/// # Errors
/// If the store cannot be written.
pub fn postpone_claim(
    session: &Session,
    id: &TaskId,
    token: &Token,
    why: &str,
    delay: Duration,
) -> Result<bool> {
    let (task_id, token, why) = (id.clone(), token.clone(), why.to_owned());
    let is_released = session.write(move |tx| {
        let task = tx.task(&task_id)?;
        let is_live = claim_authority(&task, Some(&token), tx.now()) == ClaimAuthority::LiveToken;
        if is_live {
            release_uncounted(tx, &task, &why)?;
            let task = tx.task_by_row(task.row)?;
            if task.status == Status::Active {
                start_backoff(tx, &task, Some(delay))?;
            }
        }
        Ok(is_live)
    })?;
    write_chunk(session, id);
    Ok(is_released)
}

/// Releases the claims that an earlier `tasktally run` or `tasktally work` of the batch held when it died.
/// Only its successor may call this, because it holds the batch's run lock.
///
/// # Errors
/// If the store cannot be written.
pub fn release_runner_claims(session: &Session, batch: &TaskId) -> Result<()> {
    let batch = batch.clone();
    session.write_as_runner(move |tx| {
        let row = tx.task(&batch)?.row;
        for_each_chunk(tx, row, 0, |_, task| {
            let is_by_runner = task
                .claim
                .as_ref()
                .is_some_and(|claim| claim.token.as_ref().is_some_and(Token::is_runner_token));
            if task.status == Status::InProgress && is_by_runner {
                release_uncounted(tx, &task, "its run ended early")?;
            }
            Ok(true)
        })
    })
}
