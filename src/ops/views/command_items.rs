//! The open items of a chunk as a command gets them that runs once per item.

use serde_json::Value;

use super::in_doubt::describe_doubt;
use super::open_items::{earlier_steps, fields};
use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;
use crate::model::step::DEFAULT_STEP_NAME;
use crate::ops::Session;
use crate::store::StoreRead;

/// How many items a page has. They stay in memory, and each may be large.
const PAGE_ITEMS: usize = 100;

/// An open item for a command.
#[derive(Debug, Clone, Default)]
pub struct WorkerItem {
    /// Its key.
    pub key: String,
    /// The item as it stood in the source: the text of a JSON object.
    pub json: String,
    /// The same fields. A number that would lose digits is the string of its digits.
    pub fields: Value,
    /// Since when it is in doubt, and which worker had started it.
    pub in_doubt: Option<(String, String)>,
    /// Its outcomes and categories in earlier steps, by the steps' names.
    pub earlier_steps: Option<Value>,
}

/// What the workers of a chunk are asked to do.
#[derive(Debug, Clone, Default)]
pub struct ChunkBrief {
    /// The batch.
    pub batch: String,
    /// The title of the batch.
    pub batch_title: String,
    /// The instructions of the batch.
    pub instructions: String,
    /// The name of the current step, if the batch has steps.
    pub step: Option<String>,
    /// The instructions of the current step.
    pub step_instructions: Option<String>,
    /// The reviewer's note, if a person had the chunk redone.
    pub note: Option<String>,
}

impl ChunkBrief {
    /// The name of the current step, also if the batch has no named steps.
    pub fn step_name(&self) -> String {
        self.step.clone().unwrap_or_else(|| DEFAULT_STEP_NAME.to_owned())
    }
}

/// Reads what the workers of a chunk are asked to do.
///
/// # Errors
/// `not_found`, or the store cannot be read.
pub fn chunk_brief(session: &Session, chunk: &TaskId) -> Result<ChunkBrief> {
    let id = chunk.clone();
    session.read(move |tx| {
        let task = tx.task(&id)?;
        let not_a_chunk = || Error::new(Code::InvalidArgument, format!("task {id} is not a chunk"));
        let chunk = tx.chunk(&task)?.ok_or_else(not_a_chunk)?;
        let batch = tx.batch(chunk.batch_row)?.ok_or_else(not_a_chunk)?;
        let step = batch.steps.get(chunk.step);
        Ok(ChunkBrief {
            batch: chunk.batch_id.to_string(),
            batch_title: tx.task_by_row(chunk.batch_row)?.title,
            step: step.map(|step| step.name.as_str().to_owned()),
            step_instructions: step.map(|step| step.instructions.as_str().to_owned()),
            note: Some(chunk.review_note).filter(|note| !note.is_empty()),
            instructions: batch.instructions,
        })
    })
}

/// A page of a chunk's items without an outcome, and the position after which the next page starts.
///
/// # Errors
/// `not_found`, or the store cannot be read.
pub fn worker_items(session: &Session, chunk: &TaskId, after: u64) -> Result<(Vec<WorkerItem>, Option<u64>)> {
    let id = chunk.clone();
    session.read(move |tx| read_page(tx, &id, after))
}

fn read_page(tx: &dyn StoreRead, id: &TaskId, after: u64) -> Result<(Vec<WorkerItem>, Option<u64>)> {
    let task = tx.task(id)?;
    let Some(chunk) = tx.chunk(&task)? else { return Ok((Vec::new(), None)) };
    let steps = if chunk.step > 0 { tx.batch(chunk.batch_row)?.map(|batch| batch.steps) } else { None };
    let stored = tx.items(chunk.row, after, PAGE_ITEMS, true)?;
    let next_page = stored.last().filter(|_| stored.len() == PAGE_ITEMS).map(|last| last.position);
    let mut items = Vec::with_capacity(stored.len());
    for item in stored {
        let in_doubt = describe_doubt(tx, &task, &chunk, &item)?;
        let earlier_steps = match steps.as_ref().filter(|_| item.step > 0) {
            Some(steps) => Some(Value::Object(earlier_steps(tx, &chunk, steps, item.position)?)),
            None => None,
        };
        items.push(WorkerItem {
            in_doubt: in_doubt.map(|doubt| (doubt.since, doubt.by)),
            earlier_steps,
            fields: Value::Object(fields(&item)?),
            key: item.key,
            json: item.json,
        });
    }
    Ok((items, next_page))
}
