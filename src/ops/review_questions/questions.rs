//! The questions that a person is asked: which one is open in a wait, the key of each, and which chunks an answer is about.

use super::review_form::{ReviewQuestion, question, question_name};
use crate::error::{Code, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::id::Token;
use crate::model::status::Status;
use crate::model::step::Checkpoint;
use crate::model::task::Task;
use crate::model::wait::{AskedQuestion, BatchWait};
use crate::ops::lifecycle::checkpoint::has_completed_step;
use crate::ops::lifecycle::decision::{chunks_in_review, for_each_in_review};
use crate::ops::request::lookup::find_chunk;
use crate::store::{StoreRead, StoreWrite};

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
        open = is_open(tx, &wait.handle, task, &chunks)?.then_some(chunks);
        Ok(open.is_none())
    })?;
    if open.is_none() && !completed.is_empty() && !tx.has_workable_chunk(task.row)? {
        open = is_open(tx, &wait.handle, task, &completed)?.then_some(completed);
    }
    open.map(|chunks| question(tx, task, batch, &chunks)).transpose()
}

/// Whether the person has not declined the question about these chunks.
fn is_open(tx: &dyn StoreRead, handle: &str, task: &Task, chunks: &[(Chunk, Task)]) -> Result<bool> {
    tx.is_declined(handle, &question_name(task, chunks)).map(|declined| !declined)
}

/// The key of a question: the one under which it is open, else a new one.
///
/// # Errors
/// If the store cannot be written.
pub(in crate::ops) fn ask(tx: &dyn StoreWrite, asked: &AskedQuestion) -> Result<String> {
    if let Some(key) = tx.asked_key(asked)? {
        return Ok(key);
    }
    let key = format!("{}~{}", asked.question, Token::random());
    tx.insert_asked(&key, asked)?;
    Ok(key)
}

/// The chunks that the question with this key is about; `None` if the wait has not asked it, or it is no longer open.
pub(in crate::ops) fn chunks_of_question(
    tx: &dyn StoreRead,
    handle: &str,
    task: &Task,
    batch: &Batch,
    key: &str,
) -> Result<Option<Vec<(Chunk, Task)>>> {
    let Some(asked) = tx.asked_question(key)?.filter(|asked| asked.asked_by == handle) else {
        return Ok(None);
    };
    let subject = asked.question.split_once(':').map_or("", |(subject, _)| subject);
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
    let is_current = question_name(task, &chunks) == asked.question && is_open(tx, handle, task, &chunks)?;
    Ok(is_current.then_some(chunks))
}
