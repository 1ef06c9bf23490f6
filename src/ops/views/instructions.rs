//! The instructions of a chunk: what its workers are asked to do.

use crate::model::batch::{Batch, Chunk};
use crate::model::body::quoted;

/// The instructions of the batch, of the chunk's step, and the reviewer's note. The note is quoted, so that it cannot look
/// like what follows it.
pub(in crate::ops) fn batch_instructions(batch: &Batch, chunk: &Chunk) -> String {
    let mut instructions = batch.instructions.clone();
    if let Some(step) = batch.steps.get(chunk.step) {
        let number = format!("{} of {}", chunk.step + 1, batch.steps.count());
        instructions +=
            &format!("\n\nStep '{}' ({number}): {}", step.name.as_str(), step.instructions.as_str());
        if chunk.step > 0 {
            instructions += "\n\nAn item that you report as done keeps its category if you name none.";
        }
    }
    if !chunk.review_note.is_empty() {
        instructions += &format!(
            "\n\nThe review asked for this chunk to be redone, with this note:\n{}",
            quoted(&chunk.review_note)
        );
    }
    instructions
}
