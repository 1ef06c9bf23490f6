//! The progress of a batch: its counts and chunks, all of them or those that changed.

use serde_json::{Map, Value};

use super::poll::shorten_batch;
use super::{BatchRequest, GetBatchReply};
use crate::error::Result;
use crate::model::limits::PAGE_ROWS;
use crate::ops::views::attention::{chunks_left_in_doubt, failures_of, more};
use crate::ops::views::batch::batch_view;
use crate::ops::views::chunk::{ChunkView, chunk_view};
use crate::ops::views::few_categories::{sum_others, sum_others_beyond};
use crate::ops::views::next_call::{Shown, next_call};
use crate::ops::views::page_bytes::cut_to_page;
use crate::ops::views::worker_demand::WorkerDemand;
use crate::store::TaskFilter;

/// The most bytes of the names of categories in a poll.
const POLLED_CATEGORY_BYTES: usize = 80;

impl BatchRequest<'_> {
    pub(super) fn progress(&self, reply: &mut GetBatchReply) -> Result<()> {
        let chunks = match self.since {
            Some(since) if !self.has_changed(since)? => {
                self.add_stalled(reply)?;
                if self.has_no_worker()? {
                    reply.message += "; no worker is at work";
                }
                reply.batch = Some(self.id_and_status()?);
                reply.chunks = Some(Vec::new());
                return self.add_left_in_doubt(reply);
            }
            Some(_) => Vec::new(),
            None => self.page_of_chunks(reply)?,
        };
        reply.chunks = Some(chunks);
        let counts = &self.batch.counts;
        reply.message = format!("{} of {} items processed", counts.processed(), counts.total);
        let failed = failures_of(self.tx, self.task, self.batch)?;
        if !failed.is_none() {
            reply.message += &format!("; {}", failed.summary());
        }
        let begun = self.tx.count_begun(self.task.row)?;
        if begun > 0 {
            reply.message += &format!("; {begun} begun and not settled");
            // Polls are short: the first reply has named the call.
            if self.since.is_none() {
                let id = &self.task.id;
                reply.message += &format!(", get_batch(id=\"{id}\", view=\"items\", outcome=\"started\")");
            }
        }
        self.add_batch(reply)?;
        match self.since {
            Some(since) => self.add_changed_chunks(since, reply),
            None => Ok(()),
        }
    }

    /// Adds the chunks that an expired lease left to a person: nothing is written at that moment, so that a poll finds no
    /// change.
    fn add_left_in_doubt(&self, reply: &mut GetBatchReply) -> Result<()> {
        let mut left: Vec<String> = chunks_left_in_doubt(self.tx, self.task, self.batch)?
            .into_iter()
            .map(|(_, chunk)| chunk.id.to_string())
            .collect();
        if !left.is_empty() {
            let next = next_call(self.tx, self.task, self.batch, self.lacks_runner, Shown::default())?;
            reply.next = next.map(|next| next.call);
        }
        let all = left.len();
        left.truncate(self.max_named());
        reply.message += &more("needs_person", all as u64, left.len());
        reply.needs_person = Some(left);
        Ok(())
    }

    /// Whether chunks can be claimed, and no worker is at work and no runner starts one.
    fn has_no_worker(&self) -> Result<bool> {
        let has_runner = self.batch.profile.is_some() && !self.lacks_runner;
        let is_open = self.batch.pause_reason.is_none() && !self.task.status.is_terminal();
        Ok(is_open && !has_runner && WorkerDemand::of(self.tx, self.task, self.batch)?.is_idle())
    }

    /// Whether the batch or one of its chunks changed after a change number.
    fn has_changed(&self, since: u64) -> Result<bool> {
        let filter = TaskFilter::children_of(self.task.row);
        Ok(self.task.change_number > since || !self.tx.tasks_changed_since(&filter, since, 1)?.is_empty())
    }

    fn page_of_chunks(&self, reply: &mut GetBatchReply) -> Result<Vec<ChunkView>> {
        let mut chunks = self.tx.chunks(self.task.row, self.chunks_after, PAGE_ROWS + 1)?;
        if chunks.len() > PAGE_ROWS {
            chunks.truncate(PAGE_ROWS);
            reply.next_chunks_after = chunks.last().map(|(chunk, _)| chunk.number);
        }
        let mut views: Vec<ChunkView> =
            chunks.iter().map(|(chunk, task)| chunk_view(self.tx, chunk, task)).collect::<Result<_>>()?;
        if cut_to_page(&mut views) {
            reply.next_chunks_after = views.last().map(|chunk| chunk.number);
        }
        Ok(views)
    }

    /// The batch with all its fields. The cost is broken down in the first reply only: a poll stays small.
    pub(super) fn batch_fields(&self) -> Result<Map<String, Value>> {
        let mut view = batch_view(self.tx, self.task, self.batch)?;
        match self.since {
            Some(_) => sum_others_beyond(&mut view.categories, POLLED_CATEGORY_BYTES),
            None => sum_others(&mut view.categories),
        }
        if self.lacks_runner {
            // The recorded runner has ended.
            (view.runner, view.seconds_left) = (None, None);
        }
        if self.since.is_none() {
            (view.in_doubt_policy, view.review) = (Some(self.batch.in_doubt), Some(self.batch.review));
            view.spent = view.spent.map(|spent| spent.with_details(self.tx, self.task.row)).transpose()?;
            return view.into_map();
        }
        let mut fields = view.into_map()?;
        shorten_batch(&mut fields);
        Ok(fields)
    }
}
