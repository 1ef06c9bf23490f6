//! The rule for completing a task.

use super::batch::{Batch, Chunk};
use super::id::TaskId;
use super::task::Task;
use crate::error::{Code, Error, Result};
use crate::model::text::excerpt;

/// The most open checkboxes or items that an error names.
pub const MAX_NAMED: usize = 10;

/// Work that is still open on a task.
#[derive(Debug, Default)]
pub struct OpenWork<'a> {
    /// Open checkboxes.
    pub open_checkboxes: Vec<&'a str>,
    /// The chunk, if the task is one, and the first keys of its items without a receipt.
    pub chunk: Option<(&'a Chunk, Vec<String>)>,
    /// The batch, if the task is one.
    pub batch: Option<&'a Batch>,
}

/// Checks that no work is open.
///
/// # Errors
/// `incomplete_items` with the open work.
pub fn check_no_open_work(task: &Task, remaining: &OpenWork<'_>) -> Result<()> {
    if let Some((chunk, keys)) = &remaining.chunk {
        let left = chunk.counts.total - chunk.counts.processed();
        if left > 0 {
            return Err(incomplete(format!(
                "Chunk {} has {left} of {} items without a receipt: {}. Report each of them with update_task(item=KEY), then complete the chunk.",
                task.id,
                chunk.counts.total,
                list_names(keys.iter().map(String::as_str), left)
            )));
        }
    }
    if let Some(batch) = remaining.batch
        && batch.ended_chunks < batch.chunk_count
    {
        return Err(incomplete(format!(
            "Batch {} has {} of {} chunks that have not ended. The batch completes by itself when all of them have.",
            task.id,
            batch.chunk_count - batch.ended_chunks,
            batch.chunk_count
        )));
    }
    if !remaining.open_checkboxes.is_empty() {
        let count = remaining.open_checkboxes.len() as u64;
        let first = remaining.open_checkboxes.first().copied().unwrap_or_default();
        return Err(incomplete(format!(
            "The text of task {} contains {count} open `- [ ]`: {}. Close each one that is done by a receipt that starts with its text, {}; force=true completes the task nevertheless.",
            task.id,
            list_names(remaining.open_checkboxes.iter().copied(), count),
            tick_call(&task.id, first)
        )));
    }
    Ok(())
}

/// The call that ticks a checkbox.
pub fn tick_call(task: &TaskId, text: &str) -> String {
    let text = excerpt(text).replace('"', "'");
    format!("update_task(id=\"{task}\", body=\"- [x] {text}\")")
}

fn incomplete(message: String) -> Error {
    Error::new(Code::IncompleteItems, message)
}

fn list_names<'a>(names: impl Iterator<Item = &'a str>, count: u64) -> String {
    let shown: Vec<String> = names.take(MAX_NAMED).map(excerpt).collect();
    let more = count.saturating_sub(shown.len() as u64);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
