//! The chunks of a batch that wait for a decision: with samples of each category, or with all items of one.

use super::{BatchRequest, GetBatchReply};
use crate::error::{Error, Result};
use crate::model::text::{agreeing, counted, excerpt};
use crate::ops::views::attention::{AwaitingDecision, count_awaiting_decision};
use crate::ops::views::batch_items::ItemFilter;
use crate::ops::views::open_items::left_out_hint;
use crate::ops::views::review::{CategoryReader, ReviewView, reviews};

impl BatchRequest<'_> {
    pub(super) fn review(
        &self,
        filter: &ItemFilter,
        items_after: u64,
        reply: &mut GetBatchReply,
    ) -> Result<()> {
        match &filter.category {
            Some(category) => self.review_category(filter, category, items_after, reply)?,
            None if items_after > 0 => {
                return Err(Error::invalid(
                    "items_after: allowed with view=\"items\", or with view=\"review\" and a category; leave it out",
                ));
            }
            None => self.review_samples(filter, reply)?,
        }
        self.add_batch(reply)
    }

    fn review_samples(&self, filter: &ItemFilter, reply: &mut GetBatchReply) -> Result<()> {
        let (reviews, next) =
            reviews(self.tx, self.task, self.batch, filter.chunk.as_ref(), self.chunks_after)?;
        let id = &self.task.id;
        let in_doubt: usize = reviews.iter().map(|review| review.in_doubt.len()).sum();
        let shown = reviews.len() as u64;
        reply.message = match shown {
            0 => "No chunk waits for a decision".to_owned(),
            _ => {
                let all = match filter.chunk {
                    Some(_) => shown,
                    None => count_awaiting_decision(self.tx, self.task, self.batch)?,
                };
                let wait = if all == 1 { "chunk waits" } else { "chunks wait" };
                format!("{all} {wait} for a person's decision: review_batch(id=\"{id}\", decision)")
            }
        };
        if next.is_some() {
            reply.message += &format!("; {shown} of them are shown, next_chunks_after continues");
        }
        if let Some(category) = reviews.iter().find_map(ReviewView::shortened_category) {
            // A name that a worker chose must not change the call.
            let is_plain = category.chars().all(|c| c.is_ascii_alphanumeric() || " -_.".contains(c));
            let value = if is_plain { format!("=\"{}\"", excerpt(category)) } else { String::new() };
            reply.message += &format!(
                "; only samples of each category are listed: get_batch(id=\"{id}\", view=\"review\", category{value}) lists all items of one, view=\"items\", chunk=CHUNK all of a chunk"
            );
        }
        let unsampled: u64 = reviews.iter().map(|review| review.unsampled_categories).sum();
        if unsampled > 0 {
            reply.message += &format!(
                "; {unsampled} more categories have no sample here: get_batch(id=\"{id}\", view=\"items\", chunk=CHUNK) lists every item"
            );
        }
        if in_doubt > 0 {
            reply.message += &format!(
                "; {} {} begun and not settled: in their chunk approve and redo are about these alone. approve settles them as done, redo has them worked again (a note says which of them happened), then workers go on with the other items; reject ends the whole chunk",
                counted(in_doubt as u64, "item"),
                agreeing(in_doubt as u64, "was", "were")
            );
        }
        if shown > 0 {
            reply.message += &format!("; get_task(id=\"{id}\") has the instructions");
        }
        let samples = reviews.iter().flat_map(|review| &review.samples).map(|sample| &sample.listed);
        let in_doubt = reviews.iter().flat_map(|review| &review.in_doubt).map(|item| &item.listed);
        reply.message += left_out_hint(samples.chain(in_doubt));
        reply.reviews = Some(reviews);
        reply.next_chunks_after = next;
        Ok(())
    }

    fn review_category(
        &self,
        filter: &ItemFilter,
        category: &str,
        items_after: u64,
        reply: &mut GetBatchReply,
    ) -> Result<()> {
        let reader = CategoryReader {
            tx: self.tx,
            batch: self.batch,
            category,
            only: filter.chunk.as_ref(),
            awaiting: AwaitingDecision::of(self.tx, self.task, self.batch)?,
        };
        let page = reader.page(self.chunks_after, items_after)?;
        reply.message = format!(
            "{} of {} items of category '{}' in chunks that wait for a decision",
            page.len(),
            reader.count()?,
            excerpt(category)
        );
        if let Some((chunks_after, items_after)) = page.next {
            reply.message += ", more follow: pass next_chunks_after and next_items_after";
            (reply.next_chunks_after, reply.next_items_after) = (Some(chunks_after), Some(items_after));
        }
        if page.reviews.iter().flat_map(|review| &review.samples).any(|sample| sample.receipt.ends_with('…'))
        {
            reply.message += "; a receipt that ends with … is cut, get_task(id=CHUNK) shows all of it";
        }
        reply.reviews = Some(page.reviews);
        Ok(())
    }
}
