//! The items of a batch, and the filters of items and receipts.

use super::{BatchRequest, GetBatch, GetBatchReply, View};
use crate::error::{Error, Result};
use crate::model::in_doubt::InDoubtPolicy;
use crate::model::limits::SequenceNumber;
use crate::model::task::Task;
use crate::model::text::{LineText, counted};
use crate::ops::request::lookup::find_chunk;
use crate::ops::views::batch_items::{ItemFilter, ItemPage, ItemReader};
use crate::ops::views::open_items::left_out_hint;
use crate::store::StoreRead;

impl GetBatch {
    /// Refuses filters that the view does not have.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub(super) fn check_filters(&self) -> Result<()> {
        let is_filtered = self.chunk.is_some() || self.category.is_some() || self.outcome.is_some();
        let has_filters =
            matches!(self.view, View::Items | View::Receipts | View::Review) && self.id.is_some();
        if is_filtered && !has_filters {
            return Err(Error::invalid(
                "chunk, category, outcome: allowed with an id and view=\"items\", view=\"receipts\" or view=\"review\" only",
            ));
        }
        if self.outcome.is_some() && self.view == View::Review {
            return Err(Error::invalid(
                "outcome: allowed with view=\"items\" or view=\"receipts\" only; with view=\"review\" filter by chunk or category",
            ));
        }
        // 0 means from the beginning, as if it were left out.
        let is_after = |number: &Option<SequenceNumber>| number.is_some_and(|number| number.get() != 0);
        if is_after(&self.items_after) && !matches!(self.view, View::Items | View::Review) {
            return Err(Error::invalid("items_after: allowed with view=\"items\" or view=\"review\" only"));
        }
        if self.all && self.id.is_some() {
            return Err(Error::invalid("all: allowed without id only; leave out one of them"));
        }
        if is_after(&self.batches_after) && !self.all {
            return Err(Error::invalid("batches_after: allowed with all=true only"));
        }
        match self.id {
            Some(_) if self.project.as_ref().and_then(LineText::non_empty).is_some() => Err(Error::invalid(
                "project: allowed without id only, for the overview of a project's open batches; leave it out",
            )),
            None if self.view != View::Progress => Err(Error::invalid(format!(
                "view: '{0}' is a view of one batch; get_batch() lists the open batches, then get_batch(id=..., view=\"{0}\")",
                self.view
            ))),
            None if is_after(&self.chunks_after) => {
                Err(Error::invalid("chunks_after: allowed with the id of a batch only"))
            }
            _ => Ok(()),
        }
    }

    /// The filters of the request. A chunk may be named by its number.
    ///
    /// # Errors
    /// If there is no such chunk.
    pub(super) fn item_filter(&self, tx: &dyn StoreRead, task: &Task) -> Result<ItemFilter> {
        let chunk = self.chunk.as_ref().map(|id| find_chunk(tx, id, task)).transpose()?;
        Ok(ItemFilter {
            chunk: chunk.map(|(_, task)| task.id),
            category: self.category.as_ref().and_then(LineText::non_empty).map(str::to_owned),
            state: self.outcome,
        })
    }

    /// The position after which the page of items starts.
    pub(super) fn items_after(&self) -> u64 {
        self.items_after.map_or(0, |after| after.get().unsigned_abs())
    }
}

impl BatchRequest<'_> {
    pub(super) fn items(
        &self,
        filter: ItemFilter,
        items_after: u64,
        reply: &mut GetBatchReply,
    ) -> Result<()> {
        let mut chunks_after = self.chunks_after;
        if let Some(id) = &filter.chunk {
            let (chunk, _) = find_chunk(self.tx, id, self.task)?;
            chunks_after = chunk.number - 1;
        }
        let (tx, task, batch, launcher) = (self.tx, self.task, self.batch, self.launcher);
        let all = filter.is_all().then_some(batch.counts.total);
        let reader = ItemReader { tx, task, batch, launcher, filter };
        let ItemPage { items, next } = reader.page(chunks_after, items_after)?;
        reply.message = match all {
            Some(all) if all > items.len() as u64 => format!("{} of {}", items.len(), counted(all, "item")),
            _ => counted(items.len() as u64, "item"),
        };
        if let Some((chunks_after, items_after)) = next {
            reply.message += ", more follow: pass next_chunks_after and next_items_after";
            (reply.next_chunks_after, reply.next_items_after) = (Some(chunks_after), Some(items_after));
        }
        let begun = tx.count_begun(task.row)?;
        if begun > 0 {
            let id = &task.id;
            let what_follows = match batch.in_doubt {
                InDoubtPolicy::Retry => {
                    "if the claim ends, the next worker checks whether they happened".to_owned()
                }
                InDoubtPolicy::Skip => "if the claim ends, they are skipped".to_owned(),
                InDoubtPolicy::Ask => format!(
                    "if the claim has ended, a person decides: get_batch(id=\"{id}\", view=\"review\")"
                ),
            };
            reply.message += &format!("; {begun} of the batch were begun and not settled: {what_follows}");
        }
        reply.message += left_out_hint(items.iter().map(|item| &item.listed));
        reply.items = Some(items);
        reply.batch = Some(self.id_and_status()?);
        Ok(())
    }
}
