//! The finish task of a batch: held until every chunk has ended, then opened with a summary in its body.

use std::fmt::Write as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::field::visible_excerpt;
use crate::model::status::Status;
use crate::model::task::{RowId, Task};
use crate::model::text::{LineText, LongText, excerpt};
use crate::ops::views::failures::failures;
use crate::store::pages::for_each_chunk;
use crate::store::{NewReceipt, NewTask, StoreWrite};

/// The most categories, chunks and failures that a summary names.
const NAMED: usize = 20;
/// The most characters of a failure's reason: it is already shortened, and names the call that returns all of it.
const REASON_CHARS: usize = 600;

/// The `finish` parameter of a batch: the task to create for its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "{title, body?}")]
pub struct Finish {
    /// The task's title.
    pub title: LineText,
    /// The task's initial text.
    #[serde(default)]
    pub body: LongText,
}

impl FromStr for Finish {
    type Err = String;

    /// Parses a title, or a JSON object.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text).map_err(|error| format!("not {{title, body?}}: {error}"));
        }
        Ok(Finish { title: text.parse()?, body: LongText::default() })
    }
}

inline_schema!(Finish, {
    "type": "object",
    "properties": {"title": {"type": "string"}, "body": {"type": "string"}},
    "required": ["title"]
});

impl Finish {
    /// Inserts the finish task, held until the batch has ended. Returns its row.
    pub(in crate::ops) fn insert(&self, tx: &dyn StoreWrite, batch: &Task, row: RowId) -> Result<RowId> {
        let task = Task { project: batch.project.clone(), ..Task::new(tx.now(), self.title.as_str()) };
        let mut text = self.body.as_str().trim_end().to_owned();
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text += &format!(
            "This task finishes batch {0}: get_batch(id=\"{0}\", view=\"items\") lists every item with its category and receipt.",
            batch.id
        );
        let finish = tx.insert_task(&NewTask { task: &task, initial_text: &text })?;
        tx.set_dependencies(finish, &[row], true)?;
        tx.add_hold(finish, None)?;
        Ok(finish)
    }
}

/// Appends the summary of an ended batch to its finish task, and ends the task's hold.
pub(in crate::ops) fn open_finish_task(tx: &dyn StoreWrite, task: &Task, batch: &Batch) -> Result<()> {
    let Some(row) = batch.finish_row else { return Ok(()) };
    let finish = tx.task_by_row(row)?;
    let text = summary(tx, task, batch)?;
    tx.append_receipt(&finish, &NewReceipt { text: &text, ..NewReceipt::default() })?;
    tx.release_holds(row)
}

/// Holds the finish task of a reopened batch again, unless it has been claimed or completed.
pub(in crate::ops) fn hold_finish_task(tx: &dyn StoreWrite, batch: &Batch) -> Result<()> {
    let Some(row) = batch.finish_row else { return Ok(()) };
    let finish = tx.task_by_row(row)?;
    if finish.status == Status::Active && finish.hold_count == 0 {
        tx.add_hold(row, None)?;
        let text = "The batch was reopened; this task waits until it has ended.";
        tx.append_receipt(&finish, &NewReceipt { text, ..NewReceipt::default() })?;
    }
    Ok(())
}

/// The result of a batch in a few lines: counts, categories, chunks that are not done, failures.
fn summary(tx: &dyn StoreWrite, task: &Task, batch: &Batch) -> Result<String> {
    let mut text = format!(
        "Batch {} ({}) is {}: {}\n",
        task.id,
        excerpt(&task.title),
        task.status,
        batch.totals_sentence()
    );
    // Writing to a String cannot fail.
    let categories = tx.category_counts(task.row)?;
    for (name, count) in categories.iter().take(NAMED) {
        let _ = write!(text, "\n- {}: {count}", excerpt(name));
    }
    if categories.len() > NAMED {
        let items: u64 = categories.iter().skip(NAMED).map(|(_, count)| count).sum();
        let _ = write!(text, "\n- {} other categories: {items}", categories.len() - NAMED);
    }
    let mut named = 0;
    for_each_chunk(tx, task.row, 0, |_, chunk| {
        if chunk.status != Status::Done {
            named += 1;
            let _ = write!(text, "\n- chunk {} ({}) is {}", chunk.id, excerpt(&chunk.title), chunk.status);
        }
        Ok(named < NAMED)
    })?;
    if named == NAMED {
        let _ = write!(text, "\n- get_batch(id=\"{}\") shows the status of all chunks", task.id);
    }
    let failed = failures(tx, task, NAMED)?;
    for failure in &failed {
        // Text of a worker stays on its line.
        let reason = visible_excerpt(failure.reason.lines().next().unwrap_or_default(), REASON_CHARS);
        let _ = write!(
            text,
            "\n- failed: {}: {reason}",
            excerpt(failure.item.as_deref().unwrap_or(&failure.chunk))
        );
    }
    if batch.counts.failed > failed.len() as u64 {
        let _ = write!(
            text,
            "\n- get_batch(id=\"{0}\", view=\"failures\") shows more failures, a report of the batch lists all",
            task.id
        );
    }
    Ok(text)
}
