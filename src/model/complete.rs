//! When a task may be completed.

use super::batch::{Batch, Chunk};
use super::task::Task;
use crate::error::{Code, Error, Result};
use crate::model::text::excerpt;

/// How many open boxes or items a refusal names.
pub const NAMED: usize = 10;

/// What still stands in the way of completing a task.
#[derive(Debug, Default)]
pub struct Remaining<'a> {
    /// Boxes not ticked off.
    pub boxes: Vec<&'a str>,
    /// The chunk, and the first keys of its items without a receipt.
    pub chunk: Option<(&'a Chunk, Vec<String>)>,
    /// The batch, where the task is one.
    pub batch: Option<&'a Batch>,
}

/// Decides whether nothing is left to do.
///
/// # Errors
/// `incomplete_items`, naming what is left.
pub fn nothing_remains(task: &Task, remaining: &Remaining<'_>) -> Result<()> {
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
        && batch.ended < batch.chunks
    {
        return Err(incomplete(format!(
            "Batch {} has {} of {} chunks that haven't ended; it completes by itself when they have.",
            task.id,
            batch.chunks - batch.ended,
            batch.chunks
        )));
    }
    if !remaining.boxes.is_empty() {
        let count = remaining.boxes.len() as u64;
        return Err(incomplete(format!(
            "The body of task {} holds {count} open `- [ ]`: {}. Append `- [x] TEXT` for each one done, or complete with force=true.",
            task.id,
            named(remaining.boxes.iter().copied(), count)
        )));
    }
    Ok(())
}

fn incomplete(message: String) -> Error {
    Error::new(Code::IncompleteItems, message)
}

fn named<'a>(names: impl Iterator<Item = &'a str>, count: u64) -> String {
    let shown: Vec<String> = names.take(NAMED).map(excerpt).collect();
    let more = count.saturating_sub(shown.len() as u64);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
