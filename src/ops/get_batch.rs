//! `get_batch`: how far a batch is, and what went wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::batch_view::{BatchView, ChunkView, batch_task, batch_view, chunk_view};
use super::{Docket, Effect, Operation};
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::limits::{Number, PAGE};
use crate::model::task::Task;
use crate::model::text::Line;
use crate::store::{Filter, Read};

words!(
    /// What of a batch is shown.
    View, "view" {
        /// How far it is.
        Progress = "progress",
        /// What failed, with reasons.
        Failures = "failures",
    }
);

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct GetBatch {
    /// None: the running ones
    #[arg(long)]
    id: Option<TaskId>,
    /// `since` of the last reply: only what changed
    #[arg(long)]
    since: Option<Line>,
    #[serde(default = "progress")]
    #[arg(long, default_value = "progress")]
    view: View,
    /// next_chunks_after of the last reply
    #[arg(long)]
    chunks_after: Option<Number>,
}

fn progress() -> View {
    View::Progress
}

impl GetBatch {
    /// The progress of a batch.
    pub fn progress_of(id: TaskId) -> Self {
        GetBatch { id: Some(id), since: None, view: View::Progress, chunks_after: None }
    }

    /// The running batches.
    pub fn running() -> Self {
        GetBatch { id: None, since: None, view: View::Progress, chunks_after: None }
    }
}

/// Something that failed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FailureView {
    /// The chunk.
    pub chunk: String,
    /// The item; none where the chunk itself failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Why.
    pub reason: String,
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
    /// Its chunks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<Vec<ChunkView>>,
    /// Where the next page of chunks begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_chunks_after: Option<u64>,
    /// What failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<Vec<FailureView>>,
    /// The running batches, where none was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batches: Option<Vec<BatchView>>,
    /// Chunks that wait for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs_person: Option<Vec<String>>,
    /// Pass it back to see only what changed.
    pub since: String,
}

impl Operation for GetBatch {
    const NAME: &'static str = "get_batch";
    const TITLE: &'static str = "Read a batch";
    const ABOUT: &'static str = "A batch's progress by chunk and category, or its failures. Poll with since.";
    const EFFECT: Effect = Effect::Read;
    const FIRST: &'static str = "id";
    type Reply = GetBatchReply;

    fn run(self, docket: &Docket) -> Result<GetBatchReply> {
        let since = self.since.as_ref().map(super::list_tasks::parse_since).transpose()?;
        docket.read(move |tx| {
            let sequence = tx.sequence()?;
            let since = since.map(|since| super::list_tasks::known(since, sequence));
            let mut reply = GetBatchReply {
                success: true,
                message: "Nothing changed".into(),
                batch: None,
                chunks: None,
                next_chunks_after: None,
                failures: None,
                batches: None,
                needs_person: None,
                since: sequence.to_string(),
            };
            let Some(id) = &self.id else {
                let mut batches = Vec::new();
                for task in tx.open_batches(None, 5)? {
                    if let Some(batch) = tx.batch(task.row)? {
                        batches.push(batch_view(tx, &task, &batch)?);
                    }
                }
                reply.message = format!("{} batches are running", batches.len());
                reply.batches = Some(batches);
                return Ok(reply);
            };
            let (task, batch) = batch_task(tx, id)?;
            if self.view == View::Failures {
                let failures = failures(tx, &task)?;
                reply.message = format!("{} of {} items failed", batch.counts.failed, batch.counts.total);
                reply.failures = Some(failures);
                reply.chunks = Some(Vec::new());
            } else {
                let mut chunks = Vec::new();
                match since {
                    Some(since) => {
                        let filter = Filter { parent: Some(task.row), ..Filter::default() };
                        let found = tx.changed_since(&filter, since, PAGE)?;
                        if found.len() == PAGE
                            && let Some(last) = found.last()
                        {
                            reply.since = last.changed.to_string();
                        }
                        if found.is_empty() && task.changed <= since {
                            let status = batch.status(task.status).to_string();
                            let short = [("id", task.id.to_string()), ("status", status)];
                            reply.batch = Some(
                                short
                                    .into_iter()
                                    .map(|(name, text)| (name.to_owned(), text.into()))
                                    .collect(),
                            );
                            reply.chunks = Some(Vec::new());
                            reply.needs_person = Some(Vec::new());
                            return Ok(reply);
                        }
                        for changed in found {
                            if let Some(chunk) = tx.chunk(changed.row)? {
                                chunks.push(chunk_view(tx, &chunk, &changed)?);
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
            reply.batch = Some(batch_view(tx, &task, &batch)?.into_map()?);
            Ok(reply)
        })
    }
}

/// The first chunks that failed or are blocked: nobody but a person moves them on.
fn needs_person(tx: &dyn Read, batch: &Task) -> Result<Vec<String>> {
    let mut waiting = Vec::new();
    for status in [crate::model::status::Status::Failed, crate::model::status::Status::Blocked] {
        let filter = Filter { parent: Some(batch.row), status: Some(status), ..Filter::default() };
        waiting.extend(tx.list(&filter, None, 20)?.into_iter().map(|task| task.id.to_string()));
    }
    Ok(waiting)
}

fn failures(tx: &dyn Read, batch: &Task) -> Result<Vec<FailureView>> {
    let mut failures = Vec::new();
    let filter = Filter {
        parent: Some(batch.row),
        status: Some(crate::model::status::Status::Failed),
        ..Filter::default()
    };
    for chunk in tx.list(&filter, None, 20)? {
        let last = tx.receipt(chunk.row, chunk.receipts)?.map(|receipt| receipt.text).unwrap_or_default();
        failures.push(FailureView { chunk: chunk.id.to_string(), item: None, reason: cut(last) });
    }
    for (chunk, item) in tx.failed_items(batch.row, 100)? {
        let number = item.settled.as_ref().map_or(0, |settled| settled.receipt);
        let text = tx.receipt(item.chunk, number)?.map(|receipt| receipt.text).ok_or_else(|| {
            Error::not_found(format!("receipt {number} of chunk {chunk} is missing; docket verify says more"))
        })?;
        failures.push(FailureView { chunk: chunk.to_string(), item: Some(item.key), reason: cut(text) });
    }
    Ok(failures)
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(300) {
        text.truncate(end);
        text.push('…');
    }
    text
}
