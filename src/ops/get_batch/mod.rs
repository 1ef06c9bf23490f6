//! `get_batch`: a batch's progress, reviews, failures, receipts or items; without an id the overview of open batches.

mod all_batches;
mod items;
mod overview;
mod poll;
mod progress;
mod receipts;
mod review;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::request::lookup::{batch_status, find_batch};
use super::request::since::{parse_since, poll_from};
use super::runner_launcher::{RunnerLauncher, RunnerPlace};
use super::runners::start::{lacks_runner, runner_place};
use super::views::attention::{count_needing_person, expired_chunks, failures_of, more, needs_person};
use super::views::batch_items::{ItemRow, ItemState};
use super::views::batch_receipts::BatchReceipt;
use super::views::chunk::ChunkView;
use super::views::failures::{FailureView, failures};
use super::views::next_call::{POLLING, Shown, next_call, resolving_calls};
use super::views::overview::OpenBatch;
use super::views::review::ReviewView;
use super::{Effect, Operation, Session};
use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::id::TaskId;
use crate::model::limits::SequenceNumber;
use crate::model::task::Task;
use crate::model::text::LineText;
use crate::store::StoreRead;

/// The most failed chunks, and the most failed items, of a reply.
const FAILURES: usize = 100;

word_enum!(
    /// Which part of a batch is shown.
    View, "view" {
        /// Counts and chunks.
        Progress = "progress",
        /// Chunks that wait for a decision, with samples.
        Review = "review",
        /// Failed chunks and items, with reasons.
        Failures = "failures",
        /// Receipts, newest last.
        Receipts = "receipts",
        /// Items: outcome, receipt, and who began those that are not settled.
        Items = "items",
    }
);

/// The most chunks that need attention in a poll.
const NAMED_IN_POLL: usize = 3;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct GetBatch {
    /// Batch id; default: overview
    #[schemars(description = "Batch id")]
    #[arg(long, help = "Batch id; without it, an overview of the open batches")]
    id: Option<TaskId>,
    /// Without id: only this project
    #[schemars(description = "Without id: project")]
    #[arg(long)]
    project: Option<LineText>,
    /// since of the last reply: only changes
    #[schemars(description = "Last since: changes only")]
    #[arg(long)]
    since: Option<LineText>,
    /// What to show
    #[schemars(description = "review: 3 samples per category, or all of one; default progress")]
    #[serde(default = "progress")]
    #[arg(long, default_value = "progress")]
    view: View,
    /// Last next_chunks_after
    #[arg(long, help = "next_chunks_after of the last reply")]
    chunks_after: Option<SequenceNumber>,
    /// Of this chunk id
    #[schemars(description = "Chunk id or number")]
    #[arg(long, help = "With view=items, view=receipts or view=review: only those of this chunk")]
    chunk: Option<TaskId>,
    /// Of this category
    #[schemars(description = "Category")]
    #[arg(long, help = "With view=items, view=receipts or view=review: only those of this category")]
    category: Option<LineText>,
    /// started: not settled
    #[schemars(description = "Outcome")]
    #[arg(
        long,
        help = "With view=items or view=receipts: only those with this outcome; started: not settled"
    )]
    outcome: Option<ItemState>,
    /// Last next_items_after
    #[arg(long, help = "next_items_after of the last reply")]
    items_after: Option<SequenceNumber>,
    /// Without id: ended ones too
    #[schemars(description = "Without id: ended too")]
    #[serde(default)]
    #[arg(
        long,
        help = "Without id: all batches, also those that have ended, newest first",
        num_args = 0..=1,
        default_value = "false",
        default_missing_value = "true"
    )]
    all: bool,
    /// Named by the last reply
    #[schemars(description = "As last named")]
    #[arg(long, help = "With --all: the next page, as the last reply names it")]
    batches_after: Option<SequenceNumber>,
}

fn progress() -> View {
    View::Progress
}

impl GetBatch {
    /// The request for the progress of a batch.
    pub fn progress_of(id: TaskId) -> Self {
        GetBatch { id: Some(id), ..GetBatch::overview() }
    }

    /// The request for the overview of open batches.
    pub fn overview() -> Self {
        GetBatch {
            id: None,
            project: None,
            since: None,
            view: View::Progress,
            chunks_after: None,
            chunk: None,
            category: None,
            outcome: None,
            items_after: None,
            all: false,
            batches_after: None,
        }
    }
}

/// The reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GetBatchReply {
    /// Always true.
    pub success: bool,
    /// The result in a line.
    pub message: String,
    /// The batch; only its id and status if nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Map<String, Value>>,
    /// The batch's chunks; with `since` those that got another status or worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<ChunkView>>,
    /// Pass it as `since` for the chunks that changed too and are not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_since: Option<String>,
    /// `chunks_after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_chunks_after: Option<u64>,
    /// Items of the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<ItemRow>>,
    /// `items_after` of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_items_after: Option<u64>,
    /// Failed chunks and items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<Vec<FailureView>>,
    /// Receipts, newest last: the newest ones, or the first after `since`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts: Option<Vec<BatchReceipt>>,
    /// Chunks that wait for a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviews: Option<Vec<ReviewView>>,
    /// The open batches and those with unresolved failures, in the overview; with `all` every batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batches: Option<Vec<OpenBatch>>,
    /// Chunks whose lease has expired, so that any worker can take them over; in the overview also claimed chunks
    /// without a write for ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<Vec<String>>,
    /// Tasks that cannot become ready, because a dependency ended without being done; in the overview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stranded: Option<Vec<String>>,
    /// The call to make next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The prompt for each worker to start, if `next` says to start some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_prompt: Option<String>,
    /// Chunks that only a person can move on, and the batch itself while it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_person: Option<Vec<String>>,
    /// Pass it as `since` to see only what changed after this reply.
    pub since: String,
}

impl GetBatchReply {
    fn empty(latest: u64) -> Self {
        GetBatchReply {
            success: true,
            message: "Nothing changed".into(),
            batch: None,
            chunks: None,
            more_since: None,
            next_chunks_after: None,
            items: None,
            next_items_after: None,
            failures: None,
            receipts: None,
            reviews: None,
            batches: None,
            needs_person: None,
            stalled: None,
            stranded: None,
            next: None,
            worker_prompt: None,
            since: latest.to_string(),
        }
    }
}

impl Operation for GetBatch {
    const NAME: &'static str = "get_batch";
    const TITLE: &'static str = "Read a batch";
    const DESCRIPTION: &'static str =
        "Follow a batch: progress, reviews, failures. Without id: all that is open.";
    const EFFECT: Effect = Effect::Read;
    const POSITIONAL: &'static str = "id";
    type Reply = GetBatchReply;

    fn run(self, session: &Session) -> Result<GetBatchReply> {
        self.check_filters()?;
        let since = self.since.as_ref().map(parse_since).transpose()?;
        let launcher = session.launcher().cloned();
        session.read(move |tx| {
            let latest = tx.latest_change_number()?;
            let since = since.map(|since| poll_from(since, latest));
            let mut reply = GetBatchReply::empty(latest);
            let Some(id) = &self.id else {
                let project = self.project.as_ref().and_then(LineText::non_empty);
                if self.all {
                    let after = self.batches_after.map(|after| after.get());
                    all_batches::fill(tx, project, after, &mut reply)?;
                    return Ok(reply);
                }
                overview::fill(tx, project, launcher.as_ref(), &mut reply)?;
                return Ok(reply);
            };
            let (task, batch) = find_batch(tx, id)?;
            let lacks_runner = lacks_runner(launcher.as_ref(), tx, &task, &batch)?;
            let request = BatchRequest {
                tx,
                task: &task,
                batch: &batch,
                since,
                chunks_after: self.chunks_after.map_or(0, |after| after.get() as u64),
                lacks_runner,
                launcher: launcher.as_ref(),
            };
            match self.view {
                View::Progress => request.progress(&mut reply)?,
                View::Review => {
                    request.review(&self.item_filter(tx, &task)?, self.items_after(), &mut reply)?
                }
                View::Failures => request.failures(&mut reply)?,
                View::Receipts => request.receipts(&self.item_filter(tx, &task)?, &mut reply)?,
                View::Items => {
                    request.items(self.item_filter(tx, &task)?, self.items_after(), &mut reply)?;
                }
            }
            if lacks_runner {
                reply.message +=
                    &format!("; the batch has no runner: control_batch(id=\"{id}\", action=\"start\")");
            } else if let Some(place @ RunnerPlace::Elsewhere(_)) =
                runner_place(launcher.as_ref(), tx, &task)?
            {
                reply.message += &format!("; its runner works{}", place.on_other_host());
            }
            Ok(reply)
        })
    }
}

/// A request about one batch.
struct BatchRequest<'a> {
    tx: &'a dyn StoreRead,
    task: &'a Task,
    batch: &'a Batch,
    since: Option<u64>,
    chunks_after: u64,
    lacks_runner: bool,
    launcher: Option<&'a Arc<dyn RunnerLauncher>>,
}

impl BatchRequest<'_> {
    fn failures(&self, reply: &mut GetBatchReply) -> Result<()> {
        let failed = failures_of(self.tx, self.task, self.batch)?;
        reply.message =
            if failed.is_none() { "No item and no chunk failed".to_owned() } else { failed.summary() };
        let shown = failures(self.tx, self.task, FAILURES)?;
        if failed.items + failed.chunks > shown.len() as u64 {
            reply.message +=
                &format!("; the first {} are shown, a report of the batch lists all", shown.len());
        }
        reply.failures = Some(shown);
        reply.chunks = Some(Vec::new());
        self.add_batch(reply)?;
        if failed.are_unresolved() {
            reply.next = Some(resolving_calls(self.task, self.batch));
        }
        Ok(())
    }

    /// The batch's id and status.
    fn id_and_status(&self) -> Result<Map<String, Value>> {
        let status = batch_status(self.tx, self.task, self.batch)?.to_string();
        let fields = [("id", self.task.id.to_string()), ("status", status)];
        Ok(fields.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect())
    }

    /// Adds the batch itself, and its chunks that need attention.
    fn add_batch(&self, reply: &mut GetBatchReply) -> Result<()> {
        self.add_stalled(reply)?;
        let mut waiting = needs_person(self.tx, self.task, self.batch)?;
        let all = count_needing_person(self.tx, self.task, self.batch, waiting.len())?;
        waiting.truncate(self.max_named());
        reply.message += &more("needs_person", all, waiting.len());
        reply.needs_person = Some(waiting);
        reply.batch = Some(self.batch_fields()?);
        // Only the first reply about the progress is as long as the whole prompt.
        let is_first = self.since.is_none() && reply.reviews.is_none() && reply.failures.is_none();
        let shown = Shown { reviews: reply.reviews.is_some(), worker_prompt: is_first };
        let next = next_call(self.tx, self.task, self.batch, self.lacks_runner, shown)?;
        // A caller that polls need not be asked to poll.
        let next = next.filter(|next| self.since.is_none() || next.urgency > POLLING);
        if let Some(next) = next {
            (reply.next, reply.worker_prompt) = (Some(next.call), next.worker_prompt);
        }
        Ok(())
    }

    /// Adds the stalled chunks, and says how many more there are.
    fn add_stalled(&self, reply: &mut GetBatchReply) -> Result<()> {
        let mut stalled = expired_chunks(self.tx, self.task, self.batch)?;
        let all = stalled.len() as u64;
        stalled.truncate(self.max_named());
        reply.message += &more("stalled", all, stalled.len());
        reply.stalled = Some(stalled).filter(|chunks| !chunks.is_empty());
        Ok(())
    }

    /// How many chunks are named: a poll stays small.
    fn max_named(&self) -> usize {
        if self.since.is_some() { NAMED_IN_POLL } else { usize::MAX }
    }
}
