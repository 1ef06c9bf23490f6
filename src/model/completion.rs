//! The rule for completing a task.

use super::batch::{Batch, Chunk};
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
                "Chunk {} has {left} of {} items without a receipt: {}. Write each one's receipt, then complete it.",
                task.id,
                chunk.counts.total,
                named(keys.iter().map(String::as_str), left)
            )));
        }
    }
    if let Some(batch) = remaining.batch
        && batch.ended_chunks < batch.chunk_count
    {
        return Err(incomplete(format!(
            "Batch {} has {} of {} chunks that haven't ended; it completes by itself when they have.",
            task.id,
            batch.chunk_count - batch.ended_chunks,
            batch.chunk_count
        )));
    }
    if !remaining.open_checkboxes.is_empty() {
        let count = remaining.open_checkboxes.len() as u64;
        return Err(incomplete(format!(
            "The body of task {} holds {count} open `- [ ]`: {}. Append `- [x] TEXT` for each one done, or complete with force=true.",
            task.id,
            named(remaining.open_checkboxes.iter().copied(), count)
        )));
    }
    Ok(())
}

fn incomplete(message: String) -> Error {
    Error::new(Code::IncompleteItems, message)
}

fn named<'a>(names: impl Iterator<Item = &'a str>, count: u64) -> String {
    let shown: Vec<String> = names.take(MAX_NAMED).map(excerpt).collect();
    let more = count.saturating_sub(shown.len() as u64);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
