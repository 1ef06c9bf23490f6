//! Batches and chunks as callers see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cost::{SpentView, spent};
use super::failures::{cut, cut_to};
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, BatchStatus, Chunk, Counts};
use crate::model::cost::Spent;
use crate::model::id::TaskId;
use crate::model::task::{Row, Task};
use crate::model::timestamp::Timestamp;
use crate::store::Read;

/// How many characters a write answers of a batch's title, and of why it is paused.
const TITLE_CHARS: usize = 40;
/// How many bytes of its categories.
const CATEGORY_BYTES: usize = 80;

/// A batch on the wire.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BatchView {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// running, paused, waiting (for a person), done, failed or cancelled.
    pub status: String,
    /// The pass that is under way.
    pub step: String,
    /// Why it is paused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub paused: Option<String>,
    /// Items in all.
    pub total: u64,
    /// Items with an outcome.
    pub processed: u64,
    /// Items by outcome.
    pub outcomes: Map<String, Value>,
    /// Items by category.
    pub categories: Map<String, Value>,
    /// Items that may have happened.
    pub in_doubt: u64,
    /// What the receipts say that it cost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spent: Option<SpentView>,
    /// Chunks in all.
    pub chunks: u64,
    /// Chunks that have ended.
    pub chunks_ended: u64,
    /// Items a minute since the first claim.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub per_minute: Option<f64>,
    /// The task for its end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finish: Option<String>,
    /// The profile that works it in the background.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worker: Option<String>,
    /// The process that does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub runner: Option<RunnerView>,
    /// How long the rest takes at that rate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds_left: Option<u64>,
}

/// A runner on the wire.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunnerView {
    /// Its process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// When it began.
    pub since: String,
    /// Its last sign of life.
    pub seen: String,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits_for: Option<String>,
}

impl BatchView {
    /// The same as a JSON object.
    pub(in crate::ops) fn into_map(self) -> Result<Map<String, Value>> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Ok(Map::new()),
            Err(error) => Err(Error::internal("the reply could not be written as JSON", error)),
        }
    }
}

/// The reply to a decision on a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BatchReply {
    pub(in crate::ops) success: bool,
    /// What stands in the way, where it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) code: Option<Code>,
    /// What was done.
    pub(in crate::ops) message: String,
    batch: BatchView,
}

impl BatchReply {
    /// What was done, and the batch as it stands now.
    pub(in crate::ops) fn of(tx: &dyn Read, id: &TaskId, message: String) -> Result<Self> {
        let (task, batch) = find_batch(tx, id)?;
        let mut batch = batch_view(tx, &task, &batch)?;
        // A write's reply is small: get_batch tells all of it.
        batch.title = cut_to(batch.title, TITLE_CHARS);
        batch.paused = batch.paused.map(|why| cut_to(why, TITLE_CHARS));
        sum_up(&mut batch.categories);
        Ok(BatchReply { success: true, code: None, message, batch })
    }
}

/// Keeps the first categories, and sums the others up.
fn sum_up(categories: &mut Map<String, Value>) {
    let (mut bytes, mut others) = (0, 0);
    categories.retain(|name, count| {
        bytes += name.len() + 8;
        let stays = bytes <= CATEGORY_BYTES;
        if !stays {
            others += count.as_u64().unwrap_or(0);
        }
        stays
    });
    if others > 0 {
        categories.insert("(others)".to_owned(), others.into());
    }
}

/// A chunk on the wire.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChunkView {
    /// Its id.
    pub id: String,
    /// Its number in the batch.
    pub number: u64,
    /// Its status.
    pub status: String,
    /// Items in all.
    pub total: u64,
    /// Items with an outcome.
    pub processed: u64,
    /// Items by category.
    pub categories: Map<String, Value>,
    /// Who works on it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worker: Option<String>,
    /// What its receipts say that it cost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spent: Option<Spent>,
}

/// The task of a batch and the batch itself.
pub(crate) fn find_batch(tx: &dyn Read, id: &TaskId) -> Result<(Task, Batch)> {
    let task = tx.task(id)?;
    match tx.batch(task.row)? {
        Some(batch) => Ok((task, batch)),
        None if task.is_chunk => Err(Error::invalid(format!(
            "id: {id} is a chunk; its batch is {}",
            task.parent.as_ref().map_or("", TaskId::as_str)
        ))),
        None => Err(Error::invalid(format!("id: {id} is a task, not a batch; get_task shows it"))),
    }
}

/// Counts by category as an object, most first.
pub(in crate::ops) fn categories(tx: &dyn Read, row: Row) -> Result<Map<String, Value>> {
    Ok(tx.categories(row)?.into_iter().map(|(name, count)| (name, count.into())).collect())
}

fn outcomes(counts: &Counts) -> Map<String, Value> {
    [("done", counts.done), ("failed", counts.failed), ("skipped", counts.skipped)]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect()
}

/// Where a batch stands.
pub(in crate::ops) fn batch_status(tx: &dyn Read, task: &Task, batch: &Batch) -> Result<BatchStatus> {
    Ok(batch.status(task.status, tx.is_workable(task.row)?))
}

/// The pass that is under way: the first that a chunk is still in.
fn step(tx: &dyn Read, batch: &Batch) -> Result<String> {
    let last = batch.steps.count() - 1;
    let number = if last == 0 { 0 } else { tx.open_step(batch.row)?.unwrap_or(last) };
    Ok(batch.steps.name(number).to_owned())
}

/// A batch.
pub(crate) fn batch_view(tx: &dyn Read, task: &Task, batch: &Batch) -> Result<BatchView> {
    let status = batch_status(tx, task, batch)?;
    // While nobody can work there is no rate to speak of.
    let (per_minute, seconds_left) = match status {
        BatchStatus::Running => rate(batch, tx.now(), true),
        BatchStatus::Paused | BatchStatus::Waiting => (None, None),
        BatchStatus::Done | BatchStatus::Failed | BatchStatus::Cancelled => rate(batch, task.updated, false),
    };
    Ok(BatchView {
        id: task.id.to_string(),
        title: task.title.clone(),
        status: status.to_string(),
        step: step(tx, batch)?,
        paused: batch.paused.clone().map(cut),
        total: batch.counts.total,
        processed: batch.counts.processed(),
        outcomes: outcomes(&batch.counts),
        categories: categories(tx, task.row)?,
        in_doubt: tx.in_doubt(task.row)?,
        spent: spent(tx, task.row)?.map(SpentView::of),
        chunks: batch.chunks,
        chunks_ended: batch.ended,
        per_minute,
        finish: match batch.finish {
            Some(row) => Some(tx.task_at(row)?.id.to_string()),
            None => None,
        },
        worker: batch.worker.clone(),
        runner: tx.runner(task.row)?.map(|runner| RunnerView {
            pid: runner.pid,
            host: runner.host,
            since: runner.since.to_string(),
            seen: runner.seen.to_string(),
            waits_for: runner.note,
        }),
        seconds_left,
    })
}

fn rate(batch: &Batch, until: Timestamp, running: bool) -> (Option<f64>, Option<u64>) {
    let processed = batch.counts.processed();
    // Begun later than now: the clock jumped back since, and nobody knows how long it took.
    let is_known = |started: &Timestamp| processed > 0 && *started <= until;
    let Some(started) = batch.started.filter(is_known) else { return (None, None) };
    #[expect(clippy::cast_precision_loss, reason = "counts and milliseconds stay far below 2^52")]
    let (minutes, processed, left) = (
        (until.millis() - started.millis()).max(1) as f64 / 60_000.0,
        processed as f64,
        (batch.counts.total - processed) as f64,
    );
    let per_minute = processed / minutes;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of seconds")]
    let seconds_left = running.then_some((left / per_minute * 60.0).ceil() as u64);
    (Some((per_minute * 10.0).round() / 10.0), seconds_left)
}

/// A chunk.
pub(in crate::ops) fn chunk_view(tx: &dyn Read, chunk: &Chunk, task: &Task) -> Result<ChunkView> {
    Ok(ChunkView {
        id: task.id.to_string(),
        number: chunk.number,
        status: task.status.to_string(),
        total: chunk.counts.total,
        processed: chunk.counts.processed(),
        categories: categories(tx, task.row)?,
        worker: task.live_claim(tx.now()).map(|claim| claim.worker.clone()),
        spent: spent(tx, task.row)?,
    })
}
