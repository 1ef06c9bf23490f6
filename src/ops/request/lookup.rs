//! Finds the tasks, batches and chunks that a request names by id.

use std::collections::BTreeMap;

use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, BatchStatus, Chunk};
use crate::model::chunk_names::ChunkName;
use crate::model::id::TaskId;
use crate::model::limits::{MAX_IDS, PAGE_ROWS};
use crate::model::task::{RowId, Task};
use crate::store::StoreRead;

/// The task that a request's field names.
///
/// # Errors
/// `not_found`, naming the field.
pub(in crate::ops) fn find_task(tx: &dyn StoreRead, id: &TaskId, field: &str) -> Result<Task> {
    let found = if field == "batch" || field == "query.batch" { batch_task(tx, id) } else { tx.task(id) };
    found.map_err(|error| Error::new(error.code, format!("{field}: {}", error.message)))
}

/// The task of an id that should name a batch.
fn batch_task(tx: &dyn StoreRead, id: &TaskId) -> Result<Task> {
    tx.task(id).map_err(|error| match error.code {
        Code::NotFound => Error::not_found(format!("No batch '{id}'; get_batch() lists the open batches")),
        _ => error,
    })
}

/// The rows of the tasks that a request's field names, without duplicates.
///
/// # Errors
/// `not_found` or `invalid_argument`, naming the field.
pub(in crate::ops) fn find_rows(tx: &dyn StoreRead, ids: &[TaskId], field: &str) -> Result<Vec<RowId>> {
    if ids.len() > MAX_IDS {
        return Err(Error::invalid(format!("{field}: {} ids given, at most {MAX_IDS} allowed", ids.len())));
    }
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        let row = find_task(tx, id, field)?.row;
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The task that `parent` names.
///
/// # Errors
/// `not_found`; `invalid_argument` for a batch or a chunk, which take no children from requests.
pub(in crate::ops) fn find_parent(tx: &dyn StoreRead, id: &TaskId) -> Result<Task> {
    let parent = find_task(tx, id, "parent")?;
    if parent.is_batch || parent.is_chunk {
        return Err(Error::invalid(format!(
            "parent: {id} is a batch or a chunk of one; a batch holds only its own chunks, so choose another task"
        )));
    }
    Ok(parent)
}

/// A batch and its task.
///
/// # Errors
/// `not_found`; `invalid_argument` if the id names a chunk or an ordinary task.
pub(crate) fn find_batch(tx: &dyn StoreRead, id: &TaskId) -> Result<(Task, Batch)> {
    let task = batch_task(tx, id)?;
    match tx.batch(task.row)? {
        Some(batch) => Ok((task, batch)),
        None if task.is_chunk => Err(Error::invalid(format!(
            "id: {id} is a chunk; its batch is {}",
            task.parent.as_ref().map_or("", TaskId::as_str)
        ))),
        None => {
            Err(Error::invalid(format!("id: {id} is a task, not a batch; get_task(id=\"{id}\") shows it")))
        }
    }
}

/// A chunk of a batch and the chunk's task. The number of the chunk is enough as its id.
///
/// # Errors
/// `not_found`; `invalid_argument` if the id names no chunk of this batch.
pub(in crate::ops) fn find_chunk(tx: &dyn StoreRead, id: &TaskId, batch: &Task) -> Result<(Chunk, Task)> {
    find_listed_chunk(tx, "chunk", id, batch)
}

/// The same for an id in a field of another name.
///
/// # Errors
/// See [`find_chunk`].
fn find_listed_chunk(tx: &dyn StoreRead, field: &str, id: &TaskId, batch: &Task) -> Result<(Chunk, Task)> {
    let task = tx.task(&id.within(&batch.id)).map_err(|error| match error.code {
        Code::NotFound => Error::not_found(format!(
            "{field}: no chunk '{id}'; get_batch(id=\"{}\") lists the chunks",
            batch.id
        )),
        _ => error,
    })?;
    match tx.chunk(&task)?.filter(|chunk| chunk.batch_row == batch.row) {
        Some(chunk) => Ok((chunk, task)),
        None => Err(Error::invalid(format!(
            "{field}: {id} is not a chunk of batch {0}; get_batch(id=\"{0}\") lists them",
            batch.id
        ))),
    }
}

/// The chunks of a batch that a field names, and their tasks, each once.
///
/// # Errors
/// See [`find_chunk`]; also if a range goes beyond the last chunk.
pub(in crate::ops) fn find_chunks(
    tx: &dyn StoreRead,
    field: &str,
    names: &[ChunkName],
    task: &Task,
    batch: &Batch,
) -> Result<Vec<(Chunk, Task)>> {
    let mut found: BTreeMap<u64, (Chunk, Task)> = BTreeMap::new();
    for name in names {
        match name {
            ChunkName::Id(id) => {
                let (chunk, chunk_task) = find_listed_chunk(tx, field, id, task)?;
                found.insert(chunk.number, (chunk, chunk_task));
            }
            ChunkName::Range(range) if *range.end() > batch.chunk_count => {
                return Err(Error::not_found(format!(
                    "{field}: batch {} has no chunk {}; its chunks are 1 to {}",
                    task.id,
                    range.end(),
                    batch.chunk_count
                )));
            }
            ChunkName::Range(range) => {
                let mut after = range.start() - 1;
                while after < *range.end() {
                    let page = tx.chunks(task.row, after, PAGE_ROWS)?;
                    let Some((last, _)) = page.last() else { break };
                    after = last.number;
                    let in_range = page.into_iter().filter(|(chunk, _)| range.contains(&chunk.number));
                    found.extend(in_range.map(|(chunk, chunk_task)| (chunk.number, (chunk, chunk_task))));
                }
            }
        }
    }
    Ok(found.into_values().collect())
}

/// The batch of a task that is a chunk; `None` for any other task.
pub(in crate::ops) fn batch_of_chunk(tx: &dyn StoreRead, task: &Task) -> Result<Option<Batch>> {
    match task.parent_row {
        Some(row) if task.is_chunk => tx.batch(row),
        _ => Ok(None),
    }
}

/// The status of a batch, which follows from its task, its pause and its chunks.
pub(in crate::ops) fn batch_status(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<BatchStatus> {
    Ok(batch.status(task.status, tx.has_workable_chunk(task.row)?))
}
