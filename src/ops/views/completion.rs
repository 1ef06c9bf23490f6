//! Ids and numbers that begin with what a person has typed so far.

use super::batch::find_batch;
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::ops::Session;

/// Batches whose ids begin so, newest first.
///
/// # Errors
/// Where the store cannot be read.
pub fn batch_ids(session: &Session, typed: &str, limit: usize) -> Result<Vec<String>> {
    if let Some(job) = session.job() {
        // The worker of a chunk knows of no other batch.
        return Ok([job.batch()].iter().map(TaskId::to_string).filter(|id| id.starts_with(typed)).collect());
    }
    let typed = typed.to_owned();
    session.read(move |tx| Ok(text(tx.ids(&typed, true, limit)?)))
}

/// Tasks whose ids begin so.
///
/// # Errors
/// Where the store cannot be read.
pub fn task_ids(session: &Session, typed: &str, limit: usize) -> Result<Vec<String>> {
    let typed = typed.to_owned();
    session.read(move |tx| Ok(text(tx.ids(&typed, false, limit)?)))
}

fn text(ids: Vec<TaskId>) -> Vec<String> {
    ids.into_iter().map(|id| id.as_str().to_owned()).collect()
}

/// The numbers of a batch's chunks that begin so, in order; none where there is no such batch.
///
/// # Errors
/// Where the store cannot be read.
pub fn chunk_numbers(session: &Session, batch: TaskId, typed: &str, limit: usize) -> Result<Vec<String>> {
    let typed = typed.to_owned();
    session.read(move |tx| {
        // Somebody who is still typing need not be told that there is no such batch yet.
        let Ok((_, of)) = find_batch(tx, &batch) else { return Ok(Vec::new()) };
        Ok(numbers(&typed, of.chunks).take(limit).map(|number| number.to_string()).collect())
    })
}

/// The numbers from 1 to `last` that begin so, in order; leading zeros don't count.
fn numbers(typed: &str, last: u64) -> impl Iterator<Item = u64> {
    let typed = typed.trim_start_matches('0');
    let begun = if typed.is_empty() { None } else { Some(typed.parse().unwrap_or(u64::MAX)) };
    // 12 begins 12, then 120 to 129, then 1200 to 1299, and so on.
    let of_length = move |zeros: u32| {
        let (begun, power) = (begun?, 10_u64.checked_pow(zeros)?);
        let first = u64::checked_mul(begun, power)?;
        Some(first..=first.saturating_add(power - 1).min(last))
    };
    let all = begun.is_none().then_some(1..=last);
    all.into_iter().chain((0..20).map_while(of_length)).flatten()
}

/// The id of a batch's chunk by its number.
///
/// # Errors
/// `not_found` where the batch has no chunk of that number; what is wrong with the batch's id.
pub fn chunk_id(session: &Session, batch: TaskId, number: u64) -> Result<TaskId> {
    session.read(move |tx| {
        let (task, of) = find_batch(tx, &batch)?;
        let found = tx.chunks(task.row, number.saturating_sub(1), 1)?;
        match found.into_iter().next() {
            Some((chunk, task)) if chunk.number == number => Ok(task.id),
            _ => Err(Error::not_found(format!(
                "Batch {batch} has no chunk {number}; its chunks are 1 to {}",
                of.chunks
            ))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn numbers_that_begin_so_are_found_in_order() {
        let check = |typed: &str, last: u64, expected: &[u64]| {
            assert_eq!(numbers(typed, last).collect::<Vec<_>>(), expected, "{typed} of {last}");
        };
        check("", 3, &[1, 2, 3]);
        check("1", 12, &[1, 10, 11, 12]);
        check("01", 12, &[1, 10, 11, 12]);
        check("2", 12, &[2]);
        check("13", 12, &[]);
        check("x", 12, &[]);
        check("-1", 12, &[]);
        check("99999999999999999999999", 12, &[]);
        assert_eq!(numbers("1", 1_000_000).count(), 1 + 10 + 100 + 1_000 + 10_000 + 100_000 + 1);
    }
}
