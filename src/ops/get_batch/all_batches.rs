//! The reply with `all`: every batch, also those that have ended.

use super::GetBatchReply;
use crate::error::Result;
use crate::model::task::RowId;
use crate::ops::views::overview::listed_batch;
use crate::store::StoreRead;

/// The batches of a page.
const PAGE: usize = 20;

/// Fills the reply with the batches of a project, or of the store, newest first: those older than `after`.
pub(super) fn fill(
    tx: &dyn StoreRead,
    project: Option<&str>,
    after: Option<RowId>,
    reply: &mut GetBatchReply,
) -> Result<()> {
    let mut tasks = tx.batches(project, after, PAGE + 1)?;
    let has_more = tasks.len() > PAGE;
    tasks.truncate(PAGE);
    let mut batches = Vec::with_capacity(tasks.len());
    for task in &tasks {
        if let Some(batch) = tx.batch(task.row)? {
            batches.push(listed_batch(tx, task, &batch)?);
        }
    }
    let total = tx.count_batches(project)?;
    reply.message = format!("{} of {total} batches, newest first", batches.len());
    if let Some(last) = tasks.last().filter(|_| has_more) {
        reply.message += &format!("; the next page: get_batch(all=true, batches_after={})", last.row);
    }
    reply.batches = Some(batches);
    Ok(())
}
