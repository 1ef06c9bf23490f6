//! Completions of ids and chunk numbers that a person or a client has typed in part.

use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::ops::Session;
use crate::ops::request::lookup::find_batch;
use crate::ops::request::server_scope::{check_in_scope, only_in_scope};

/// The most ids that are read to find those inside a server's scope.
const MAX_READ: usize = 10_000;

/// The ids of batches that start with `typed`, newest first. A worker sees only the batch of its chunk.
///
/// # Errors
/// If the store cannot be read.
pub fn batch_ids(session: &Session, typed: &str, limit: usize) -> Result<Vec<String>> {
    if let Some(scope) = session.worker_scope() {
        let batch = scope.batch().to_string();
        return Ok(if batch.starts_with(typed) { vec![batch] } else { Vec::new() });
    }
    let typed = typed.to_owned();
    ids_in_scope(session, typed, true, limit)
}

/// The ids of tasks that start with `typed`.
///
/// # Errors
/// If the store cannot be read.
pub fn task_ids(session: &Session, typed: &str, limit: usize) -> Result<Vec<String>> {
    let typed = typed.to_owned();
    ids_in_scope(session, typed, false, limit)
}

/// The first ids that start with `typed` and are inside the scope of the session's server.
fn ids_in_scope(session: &Session, typed: String, batches: bool, limit: usize) -> Result<Vec<String>> {
    let scoped = session.clone();
    session.read(move |tx| {
        // A server with a scope looks at more, because some are left out.
        let read = if scoped.server_scope().is_everything() { limit } else { MAX_READ };
        let mut ids = only_in_scope(&scoped, tx, tx.ids_with_prefix(&typed, batches, read)?)?;
        ids.truncate(limit);
        Ok(to_strings(ids))
    })
}

fn to_strings(ids: Vec<TaskId>) -> Vec<String> {
    ids.into_iter().map(|id| id.as_str().to_owned()).collect()
}

/// The numbers of a batch's chunks that start with `typed`, in order; none if there is no such batch.
///
/// # Errors
/// If the store cannot be read.
pub fn chunk_numbers(session: &Session, batch: TaskId, typed: &str, limit: usize) -> Result<Vec<String>> {
    let typed = typed.to_owned();
    if check_in_scope(session, &batch).is_err() {
        return Ok(Vec::new());
    }
    session.read(move |tx| {
        // The id may be incomplete while the person is still typing: that is not an error.
        let Ok((_, batch)) = find_batch(tx, &batch) else { return Ok(Vec::new()) };
        Ok(numbers_starting_with(&typed, batch.chunk_count)
            .take(limit)
            .map(|number| number.to_string())
            .collect())
    })
}

/// The numbers from 1 to `last` whose digits start with `typed`, in order. Leading zeros are ignored.
fn numbers_starting_with(typed: &str, last: u64) -> impl Iterator<Item = u64> {
    let typed = typed.trim_start_matches('0');
    let prefix = if typed.is_empty() { None } else { Some(typed.parse().unwrap_or(u64::MAX)) };
    // The numbers with prefix 12 are 12, then 120 to 129, then 1200 to 1299, and so on.
    let with_more_digits = move |digits: u32| {
        let (prefix, power) = (prefix?, 10_u64.checked_pow(digits)?);
        let first = u64::checked_mul(prefix, power)?;
        Some(first..=first.saturating_add(power - 1).min(last))
    };
    let all = prefix.is_none().then_some(1..=last);
    all.into_iter().chain((0..20).map_while(with_more_digits)).flatten()
}

/// The id of a batch's chunk by its number.
///
/// # Errors
/// `not_found` if the batch has no chunk with that number; `invalid_argument` if the id names no batch.
pub fn chunk_id(session: &Session, batch: TaskId, number: u64) -> Result<TaskId> {
    session.read(move |tx| {
        let (task, stored) = find_batch(tx, &batch)?;
        let found = tx.chunks(task.row, number.saturating_sub(1), 1)?;
        match found.into_iter().next() {
            Some((chunk, task)) if chunk.number == number => Ok(task.id),
            _ => Err(Error::not_found(format!(
                "Batch {batch} has no chunk {number}; its chunks are 1 to {}",
                stored.chunk_count
            ))),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::numbers_starting_with;

    #[test]
    fn numbers_with_a_prefix_are_found_in_order() {
        let check = |typed: &str, last: u64, expected: &[u64]| {
            assert_eq!(numbers_starting_with(typed, last).collect::<Vec<_>>(), expected, "{typed} of {last}");
        };
        check("", 3, &[1, 2, 3]);
        check("1", 12, &[1, 10, 11, 12]);
        check("01", 12, &[1, 10, 11, 12]);
        check("2", 12, &[2]);
        check("13", 12, &[]);
        check("x", 12, &[]);
        check("-1", 12, &[]);
        check("99999999999999999999999", 12, &[]);
        assert_eq!(
            numbers_starting_with("1", 1_000_000).count(),
            1 + 10 + 100 + 1_000 + 10_000 + 100_000 + 1
        );
    }
}
