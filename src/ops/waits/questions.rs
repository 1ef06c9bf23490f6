//! The questions that a person is asked through a wait: which one is open, and which chunks an answer is about.

use super::review_form::{ReviewQuestion, question, question_name};
use crate::error::{Code, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::status::Status;
use crate::model::step::Checkpoint;
use crate::model::task::Task;
use crate::model::wait::{BatchWait, OpenQuestion};
use crate::ops::lifecycle::checkpoint::has_completed_step;
use crate::ops::lifecycle::review::{chunks_in_review, for_each_in_review};
use crate::ops::request::lookup::find_chunk;
use crate::store::StoreRead;

/// The first question that the person has not declined through this wait. Chunks are asked about one at a time,
/// because an approval covers what was shown; at a `step` checkpoint, one question covers all chunks.
pub(in crate::ops) fn open_question(
    tx: &dyn StoreRead,
    wait: &BatchWait,
    task: &Task,
    batch: &Batch,
) -> Result<Option<ReviewQuestion>> {
    let (mut open, mut completed) = (None, Vec::new());
    for_each_in_review(tx, batch, |chunk, chunk_task| {
        if batch.checkpoint == Checkpoint::Step && has_completed_step(&chunk, &chunk_task) {
            completed.push((chunk, chunk_task));
            return Ok(true);
        }
        let chunks = vec![(chunk, chunk_task)];
        open = question_key(tx, wait, task, &chunks)?.map(|key| (key, chunks));
        Ok(open.is_none())
    })?;
    if open.is_none() && !completed.is_empty() && !tx.has_workable_chunk(task.row)? {
        open = question_key(tx, wait, task, &completed)?.map(|key| (key, completed));
    }
    match open {
        Some((key, chunks)) => Ok(Some(ReviewQuestion { name: key, ..question(tx, task, batch, &chunks)? })),
        None => Ok(None),
    }
}

/// The key of the question about these chunks; `None` if the person declined it. The key changes with every answer
/// that could not be applied, so that the person is asked again.
fn question_key(
    tx: &dyn StoreRead,
    wait: &BatchWait,
    task: &Task,
    chunks: &[(Chunk, Task)],
) -> Result<Option<String>> {
    let name = question_name(task, chunks);
    let OpenQuestion { failed_answers: tries, declined } = tx.undecided(&wait.handle, &name)?;
    Ok(match (declined, tries) {
        (true, _) => None,
        (false, 0) => Some(name),
        (false, tries) => Some(format!("{name}~{}", tries + 1)),
    })
}

/// The chunks that the question with this key is about; `None` if that question is no longer open.
pub(in crate::ops) fn chunks_of_question(
    tx: &dyn StoreRead,
    wait: &BatchWait,
    task: &Task,
    batch: &Batch,
    key: &str,
) -> Result<Option<Vec<(Chunk, Task)>>> {
    let subject = key.split_once(':').map_or("", |(subject, _)| subject);
    let chunks = if subject == task.id.as_str() {
        let mut chunks = chunks_in_review(tx, batch)?;
        chunks.retain(|(chunk, task)| has_completed_step(chunk, task));
        chunks
    } else {
        let Ok(id) = subject.parse() else { return Ok(None) };
        match find_chunk(tx, &id, task) {
            Ok(found) if found.1.status == Status::Review => vec![found],
            Ok(_) => return Ok(None),
            Err(error) if matches!(error.code, Code::NotFound | Code::InvalidArgument) => return Ok(None),
            Err(error) => return Err(error),
        }
    };
    Ok((question_key(tx, wait, task, &chunks)?.as_deref() == Some(key)).then_some(chunks))
}
