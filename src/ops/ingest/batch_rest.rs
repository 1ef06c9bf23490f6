//! What an ended batch has not done, as the items of a new one.

use crate::error::{Error, Result};
use crate::items::{Item, ItemOrigin};
use crate::model::batch::{Batch, Chunk, StoredItem};
use crate::model::id::TaskId;
use crate::model::status::{Outcome, Status};
use crate::model::task::Task;
use crate::ops::request::lookup::find_batch;
use crate::ops::views::open_items::fields;
use crate::store::StoreRead;
use crate::store::pages::{for_each_chunk, for_each_item};

/// How many items of an ended batch are left, and how many are not.
#[derive(Debug, Clone, Default)]
pub(in crate::ops) struct BatchRest {
    /// The batch.
    pub(in crate::ops) batch: String,
    /// Why the new batch is made.
    pub(in crate::ops) reason: String,
    open: u64,
    failed: u64,
    next_steps: u64,
    skipped: u64,
    rejected: u64,
}

/// What becomes of an item.
enum Fate {
    Open,
    Failed,
    /// Done, but a later step would process it.
    NextSteps,
    Done,
    Skipped,
    Rejected,
}

impl BatchRest {
    /// Calls `visit` with each item that is left, in order: those that are open or failed, and those that a later step
    /// would have processed. Skipped items, and chunks that a person rejected, are settled.
    pub(in crate::ops) fn for_each(
        tx: &dyn StoreRead,
        id: &TaskId,
        mut visit: impl FnMut(Item) -> Result<()>,
    ) -> Result<Self> {
        let (task, batch) = find_batch(tx, id)?;
        let mut rest = BatchRest { batch: id.to_string(), ..BatchRest::default() };
        for_each_chunk(tx, task.row, 0, |chunk, chunk_task| {
            for_each_item(tx, chunk.row, |item| {
                let (count, is_left) = match fate(&batch, &chunk, &chunk_task, &item) {
                    Fate::Open => (&mut rest.open, true),
                    Fate::Failed => (&mut rest.failed, true),
                    Fate::NextSteps => (&mut rest.next_steps, true),
                    Fate::Skipped => (&mut rest.skipped, false),
                    Fate::Rejected => (&mut rest.rejected, false),
                    Fate::Done => return Ok(()),
                };
                *count += 1;
                if is_left {
                    visit(Item {
                        fields: fields(&item)?,
                        key: item.key,
                        json: item.json,
                        origin: ItemOrigin::Task(chunk_task.id.to_string()),
                    })?;
                }
                Ok(())
            })?;
            Ok(true)
        })?;
        Ok(rest)
    }

    /// The items in words, with what was left out.
    pub(in crate::ops) fn describe(&self) -> String {
        let list = |groups: &[(u64, &str)]| {
            let groups = groups.iter().filter(|(count, _)| *count > 0);
            groups.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
        };
        let left =
            list(&[(self.open, "open"), (self.failed, "failed"), (self.next_steps, "with further steps")]);
        let out = list(&[(self.skipped, "skipped"), (self.rejected, "of rejected chunks")]);
        let out = if out.is_empty() { out } else { format!("; left out: {out}") };
        format!("the items of batch {} that are not done: {left}{out}", self.batch)
    }

    /// The error of a batch of which nothing is left.
    pub(in crate::ops) fn nothing_left(id: &TaskId) -> Error {
        Error::invalid(format!(
            "batch {id} has no item that is open or failed, so nothing is left for a new batch; get_batch(id=\"{id}\", view=\"items\") lists its items"
        ))
    }
}

fn fate(batch: &Batch, chunk: &Chunk, task: &Task, item: &StoredItem) -> Fate {
    let settled = item.settled.as_ref();
    match settled.map(|settled| settled.outcome) {
        _ if task.status == Status::Rejected => Fate::Rejected,
        None => Fate::Open,
        Some(Outcome::Failed) => Fate::Failed,
        Some(Outcome::Skipped) => Fate::Skipped,
        Some(Outcome::Done) => {
            let category = settled.and_then(|settled| settled.category.as_deref());
            let is_in_next_step = item.step == chunk.step
                && task.status != Status::Done
                && batch.steps.get(chunk.step + 1).is_some_and(|next| next.processes(category));
            if is_in_next_step { Fate::NextSteps } else { Fate::Done }
        }
    }
}
