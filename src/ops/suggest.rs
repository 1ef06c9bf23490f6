//! Ids and numbers that begin with what a person has typed so far.

use super::Docket;
use super::batch_view::batch_task;
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::limits::PAGE;

/// Batches whose ids begin so, newest first.
///
/// # Errors
/// Where the store cannot be read.
pub fn batch_ids(docket: &Docket, typed: &str, limit: usize) -> Result<Vec<String>> {
    let typed = typed.to_owned();
    docket.read(move |tx| Ok(text(tx.ids(&typed, true, limit)?)))
}

/// Tasks whose ids begin so.
///
/// # Errors
/// Where the store cannot be read.
pub fn task_ids(docket: &Docket, typed: &str, limit: usize) -> Result<Vec<String>> {
    let typed = typed.to_owned();
    docket.read(move |tx| Ok(text(tx.ids(&typed, false, limit)?)))
}

fn text(ids: Vec<TaskId>) -> Vec<String> {
    ids.into_iter().map(|id| id.as_str().to_owned()).collect()
}

/// The numbers of a batch's chunks that begin so, in order; none where there is no such batch.
///
/// # Errors
/// Where the store cannot be read.
pub fn chunk_numbers(docket: &Docket, batch: TaskId, typed: &str, limit: usize) -> Result<Vec<String>> {
    let typed = typed.trim_start_matches('0').to_owned();
    docket.read(move |tx| {
        // Somebody who is still typing need not be told that there is no such batch yet.
        let Ok((task, _)) = batch_task(tx, &batch) else { return Ok(Vec::new()) };
        let (mut numbers, mut after) = (Vec::new(), 0);
        loop {
            let page = tx.chunks(task.row, after, PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(numbers) };
            after = last.number;
            let found = page.iter().map(|(chunk, _)| chunk.number.to_string());
            numbers.extend(found.filter(|number| number.starts_with(&typed)));
            if numbers.len() >= limit {
                numbers.truncate(limit);
                return Ok(numbers);
            }
        }
    })
}

/// The id of a batch's chunk by its number.
///
/// # Errors
/// `not_found` where the batch has no chunk of that number; what is wrong with the batch's id.
pub fn chunk_id(docket: &Docket, batch: TaskId, number: u64) -> Result<TaskId> {
    docket.read(move |tx| {
        let (task, of) = batch_task(tx, &batch)?;
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
