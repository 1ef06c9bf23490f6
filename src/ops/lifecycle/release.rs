//! Taking back claims of a runner that stops or has died: it says nothing against the chunk, so
//! the attempt does not count.

use super::transition::save;
use crate::error::Result;
use crate::model::claim::{ClaimAuthority, standing};
use crate::model::id::{TaskId, Token};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::ops::Session;
use crate::ops::views::intermediate_state;
use crate::store::pages::each_chunk;
use crate::store::{NewReceipt, Write};

fn reopen(tx: &dyn Write, task: &Task, why: &str) -> Result<()> {
    if let Some(chunk) = tx.chunk(task)? {
        tx.set_attempts(&chunk, (chunk.attempts - 1).max(0))?;
    }
    let worker = task.claim.as_ref().map_or("tasktally", |claim| claim.worker.as_str());
    save(tx, task, &Task { status: Status::Active, assignee: None, ..task.clone() })?;
    tx.append(
        task,
        &NewReceipt { author: worker, text: &format!("Given back: {why}."), ..NewReceipt::default() },
    )?;
    Ok(())
}

/// Gives a live claim back; one that is lost already is left as it is: false. Where nothing can have
/// happened under it, what was begun under it is not in doubt.
///
/// # Errors
/// Where the store cannot be written.
pub fn release_claim(
    session: &Session,
    id: &TaskId,
    token: &Token,
    why: &'static str,
    nothing_happened: bool,
) -> Result<bool> {
    let (wanted, token) = (id.clone(), token.clone());
    let is_given_back = session.write(move |tx| {
        let task = tx.task(&wanted)?;
        let is_held = standing(&task, Some(&token), tx.now()) == ClaimAuthority::Holder;
        if is_held {
            if let Some(chunk) = tx.chunk(&task)?.filter(|_| nothing_happened) {
                tx.forget_begun(&chunk, Some(task.generation))?;
            }
            reopen(tx, &task, why)?;
        }
        Ok(is_held)
    })?;
    intermediate_state::write_chunk(session, id);
    Ok(is_given_back)
}

/// Gives back what an earlier `tasktally run` of a batch held when it died. Only its successor may
/// call this: it holds the lock that the dead one held.
///
/// # Errors
/// Where the store cannot be written.
pub fn release_runner_claims(session: &Session, batch: &TaskId) -> Result<()> {
    let batch = batch.clone();
    session.write(move |tx| {
        let row = tx.task(&batch)?.row;
        each_chunk(tx, row, 0, |_, task| {
            let runners =
                task.claim.as_ref().is_some_and(|claim| claim.token.as_ref().is_some_and(Token::is_runners));
            if task.status == Status::InProgress && runners {
                reopen(tx, &task, "its run ended early")?;
            }
            Ok(true)
        })
    })
}
