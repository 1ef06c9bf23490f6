//! `get_batch`: how far a batch is, and what went wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::runners::background::is_unworked;
use super::views::batch::{ChunkView, batch_status, batch_view, chunk_view, find_batch};
use super::views::failures::{FailureView, failures};
use super::views::overview::{OpenBatch, Overview, lapsed, standing};
use super::views::receipts::{BatchReceipt, receipts};
use super::views::review::{ReviewView, reviews};
use super::{Effect, Operation, Session};
use crate::error::Result;
use crate::model::batch::Batch;
use crate::model::id::TaskId;
use crate::model::limits::{Number, PAGE};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::Line;
use crate::store::{Filter, Read};

/// How many failed chunks, and how many failed items, are shown.
const FAILURES: usize = 100;

words!(
    /// What of a batch is shown.
    View, "view" {
        /// How far it is.
        Progress = "progress",
        /// What waits for a decision, with samples.
        Review = "review",
        /// What failed, with reasons.
        Failures = "failures",
        /// What was written, newest last.
        Receipts = "receipts",
    }
);

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct GetBatch {
    /// None: where the project stands
    #[arg(long)]
    id: Option<TaskId>,
    /// Without id: only this project.
    #[schemars(description = "")]
    #[arg(long)]
    project: Option<Line>,
    /// The last reply's
    #[arg(long)]
    since: Option<Line>,
    #[serde(default = "progress")]
    #[arg(long, default_value = "progress")]
    view: View,
    /// next_chunks_after
    #[arg(long)]
    chunks_after: Option<Number>,
}

fn progress() -> View {
    View::Progress
}

impl GetBatch {
    /// The progress of a batch.
    pub fn progress_of(id: TaskId) -> Self {
        GetBatch { id: Some(id), project: None, since: None, view: View::Progress, chunks_after: None }
    }

    /// The running batches.
    pub fn running() -> Self {
        GetBatch { id: None, project: None, since: None, view: View::Progress, chunks_after: None }
    }
}

/// The reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GetBatchReply {
    /// Whether it was read.
    pub success: bool,
    /// In a line.
    pub message: String,
    /// The batch; its id and status only where nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Map<String, Value>>,
    /// Its chunks; with `since` those that came to another status or holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<ChunkView>>,
    /// Where the next page of chunks begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_chunks_after: Option<u64>,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<Vec<FailureView>>,
    /// What was written, newest last: the last ones, or the first after `since`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts: Option<Vec<BatchReceipt>>,
    /// What waits for a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviews: Option<Vec<ReviewView>>,
    /// The open batches, where none was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batches: Option<Vec<OpenBatch>>,
    /// Chunks whose lease ran out, for any worker to take over; where no batch was named, also those
    /// whose holder has written nothing for ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<Vec<String>>,
    /// What to call next, where no batch was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Chunks that wait for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_person: Option<Vec<String>>,
    /// Pass it back to see only what changed.
    pub since: String,
}

impl Operation for GetBatch {
    const NAME: &'static str = "get_batch";
    const TITLE: &'static str = "Read a batch";
    const DESCRIPTION: &'static str = "Progress, failures, reviews or receipts. Poll with since.";
    const EFFECT: Effect = Effect::Read;
    const FIRST: &'static str = "id";
    type Reply = GetBatchReply;

    fn run(self, session: &Session) -> Result<GetBatchReply> {
        let since = self.since.as_ref().map(super::list_tasks::parse_since).transpose()?;
        let background = session.launcher().cloned();
        session.read(move |tx| {
            let sequence = tx.sequence()?;
            let since = since.map(|since| super::list_tasks::known(since, sequence));
            let mut reply = GetBatchReply {
                success: true,
                message: "Nothing changed".into(),
                batch: None,
                chunks: None,
                next_chunks_after: None,
                failures: None,
                receipts: None,
                reviews: None,
                batches: None,
                needs_person: None,
                stalled: None,
                next: None,
                since: sequence.to_string(),
            };
            let Some(id) = &self.id else {
                let project = self.project.as_ref().and_then(Line::non_empty);
                let Overview { open, batches, needs_person, stalled, next } =
                    standing(tx, project, background.as_ref())?;
                reply.message = match open {
                    0 => "No batch is open".to_owned(),
                    1 => "1 batch is open".to_owned(),
                    more if more > batches.len() => {
                        format!("{more} batches are open, here are the {} most urgent", batches.len())
                    }
                    more => format!("{more} batches are open"),
                };
                (reply.batches, reply.next) = (Some(batches), Some(next));
                (reply.needs_person, reply.stalled) = (Some(needs_person), Some(stalled));
                return Ok(reply);
            };
            let (task, batch) = find_batch(tx, id)?;
            let is_unworked = is_unworked(background.as_ref(), tx, &task, &batch)?;
            if self.view == View::Receipts {
                let (receipts, last) = receipts(tx, &task, since)?;
                reply.message = match last {
                    Some(last) => {
                        reply.since = last.to_string();
                        format!("{} receipts, more came after them: pass since", receipts.len())
                    }
                    None => format!("{} receipts, the last one last", receipts.len()),
                };
                reply.receipts = Some(receipts);
                reply.batch = Some(short(tx, &task, &batch)?);
                return Ok(reply.tell_unworked(is_unworked, id));
            }
            reply.stalled = Some(lapsed(tx, &task)?).filter(|chunks| !chunks.is_empty());
            if self.view == View::Review {
                let after = self.chunks_after.map_or(0, |after| after.get() as u64);
                let (reviews, next) = reviews(tx, &task, &batch, after)?;
                let more = if next.is_some() { " or more" } else { "" };
                let waiting = if reviews.len() == 1 { "chunk waits" } else { "chunks wait" };
                reply.message = format!("{}{more} {waiting} for a decision by review_batch", reviews.len());
                reply.reviews = Some(reviews);
                reply.next_chunks_after = next;
            } else if self.view == View::Failures {
                let failures = failures(tx, &task, FAILURES)?;
                reply.message = format!("{} of {} items failed", batch.counts.failed, batch.counts.total);
                if batch.counts.failed > FAILURES as u64 {
                    reply.message +=
                        &format!("; the first {FAILURES} are here, tasktally report has all of them");
                }
                reply.failures = Some(failures);
                reply.chunks = Some(Vec::new());
            } else {
                let mut chunks = Vec::new();
                match since {
                    Some(since) => {
                        let filter = Filter { parent: Some(task.row), ..Filter::default() };
                        if task.changed <= since && tx.changed_since(&filter, since, 1)?.is_empty() {
                            reply.batch = Some(short(tx, &task, &batch)?);
                            reply.chunks = Some(Vec::new());
                            reply.needs_person = Some(Vec::new());
                            return Ok(reply.tell_unworked(is_unworked, id));
                        }
                        let found = tx.moved_since(task.row, since, PAGE)?;
                        if found.len() == PAGE
                            && let Some((last, _)) = found.last()
                        {
                            reply.since = last.to_string();
                        }
                        for (_, moved) in found {
                            if let Some(chunk) = tx.chunk(&moved)? {
                                chunks.push(chunk_view(tx, &chunk, &moved)?);
                            }
                        }
                    }
                    None => {
                        let after = self.chunks_after.map_or(0, |after| after.get() as u64);
                        let mut found = tx.chunks(task.row, after, PAGE + 1)?;
                        if found.len() > PAGE {
                            found.truncate(PAGE);
                            reply.next_chunks_after = found.last().map(|(chunk, _)| chunk.number);
                        }
                        for (chunk, task) in &found {
                            chunks.push(chunk_view(tx, chunk, task)?);
                        }
                    }
                }
                reply.chunks = Some(chunks);
                reply.message =
                    format!("{} of {} items processed", batch.counts.processed(), batch.counts.total);
            }
            reply.needs_person = Some(needs_person(tx, &task)?);
            let mut shown = batch_view(tx, &task, &batch)?;
            if is_unworked {
                // What is on record of one that is gone misleads.
                (shown.runner, shown.seconds_left) = (None, None);
            }
            if since.is_none() {
                shown.spent = shown.spent.map(|spent| spent.detailed(tx, task.row)).transpose()?;
            }
            reply.batch = Some(shown.into_map()?);
            Ok(reply.tell_unworked(is_unworked, id))
        })
    }
}

impl GetBatchReply {
    /// The same, saying what to do where no runner works a batch that has a profile.
    fn tell_unworked(mut self, is_unworked: bool, id: &TaskId) -> Self {
        if is_unworked {
            self.message += &format!("; no runner works it: control_batch(id=\"{id}\", action=\"start\")");
        }
        self
    }
}

/// A batch's id and status.
fn short(tx: &dyn Read, task: &Task, batch: &Batch) -> Result<Map<String, Value>> {
    let status = batch_status(tx, task, batch)?.to_string();
    let short = [("id", task.id.to_string()), ("status", status)];
    Ok(short.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect())
}

/// The first chunks that failed or are blocked: nobody but a person moves them on.
pub(super) fn needs_person(tx: &dyn Read, batch: &Task) -> Result<Vec<String>> {
    let mut waiting = Vec::new();
    for status in [Status::Review, Status::Failed, Status::Blocked] {
        let filter = Filter { parent: Some(batch.row), status: Some(status), ..Filter::default() };
        waiting.extend(tx.list(&filter, None, 20)?.into_iter().map(|task| task.id.to_string()));
    }
    Ok(waiting)
}
