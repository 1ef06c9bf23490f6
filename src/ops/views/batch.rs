//! A batch as callers see it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::cost::{SpentView, spent};
use super::hosts::{HostView, hosts_at_work};
use super::rate::current_rate;
use super::shorten::shorten;
use crate::error::{Error, Result};
use crate::model::batch::{Batch, BatchStatus, ItemCounts};
use crate::model::in_doubt::InDoubtPolicy;
use crate::model::step::Reviewers;
use crate::model::task::{RowId, Task};
use crate::ops::request::lookup::batch_status;
use crate::store::StoreRead;

/// A batch in a reply.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BatchView {
    /// The batch's id.
    pub id: String,
    /// The batch's title.
    pub title: String,
    /// running, paused, waiting (for a person), done, failed or cancelled.
    pub status: String,
    /// The name of the current step: the first that a chunk has not completed.
    pub step: String,
    /// The reason for the pause.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub paused: Option<String>,
    /// The number of items.
    pub total: u64,
    /// The number of items with an outcome.
    pub processed: u64,
    /// The number of items by outcome.
    pub outcomes: Map<String, Value>,
    /// The number of items by category.
    pub categories: Map<String, Value>,
    /// The number of items in doubt.
    pub in_doubt: u64,
    /// What happens to an item in doubt: retry (the next worker checks), skip, or ask (its chunk waits for a person). A poll
    /// leaves it out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub in_doubt_policy: Option<InDoubtPolicy>,
    /// Whose decisions count: any, or person. A poll leaves it out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub review: Option<Reviewers>,
    /// The number of items that were started and not settled, in doubt or not.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub begun: u64,
    /// The cost of the work, according to the receipts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spent: Option<SpentView>,
    /// The number of chunks.
    pub chunks: u64,
    /// The number of chunks that have ended.
    pub chunks_ended: u64,
    /// Items per minute in the present stretch of work; absent while nobody works.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub per_minute: Option<f64>,
    /// The id of the finish task.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finish: Option<String>,
    /// The profile of the batch's background workers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worker: Option<String>,
    /// The runner of the batch's background workers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub runner: Option<RunnerView>,
    /// The machines whose processes work on the batch, if several machines share the store.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub hosts: Vec<HostView>,
    /// The estimated time until all items are processed, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seconds_left: Option<u64>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A runner in a reply.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunnerView {
    /// The runner's process id.
    pub pid: u32,
    /// The machine's name.
    pub host: String,
    /// When the runner started.
    pub since: String,
    /// The time of the runner's last heartbeat.
    pub seen: String,
    /// What the runner waits for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits_for: Option<String>,
}

impl BatchView {
    /// The view as a JSON object.
    pub(in crate::ops) fn into_map(self) -> Result<Map<String, Value>> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Ok(Map::new()),
            Err(error) => Err(Error::internal("the reply could not be written as JSON", error)),
        }
    }
}

/// The number of items by category, for a chunk or a batch, largest first.
pub(in crate::ops) fn categories(tx: &dyn StoreRead, row: RowId) -> Result<Map<String, Value>> {
    Ok(tx.category_counts(row)?.into_iter().map(|(name, count)| (name, count.into())).collect())
}

fn outcomes(counts: &ItemCounts) -> Map<String, Value> {
    [("done", counts.done), ("failed", counts.failed), ("skipped", counts.skipped)]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name.to_owned(), count.into()))
        .collect()
}

/// The name of the first step that a chunk has not completed.
fn current_step(tx: &dyn StoreRead, batch: &Batch) -> Result<String> {
    let last = batch.steps.count() - 1;
    let number = if last == 0 { 0 } else { tx.lowest_open_step(batch.row)?.unwrap_or(last) };
    Ok(batch.steps.name(number).to_owned())
}

/// Reads a batch for a reply.
pub(crate) fn batch_view(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<BatchView> {
    let status = batch_status(tx, task, batch)?;
    let rate = match status {
        BatchStatus::Running | BatchStatus::Paused => current_rate(tx, task, batch)?,
        BatchStatus::Waiting | BatchStatus::Done | BatchStatus::Failed | BatchStatus::Cancelled => None,
    };
    Ok(BatchView {
        id: task.id.to_string(),
        title: task.title.clone(),
        status: status.to_string(),
        step: current_step(tx, batch)?,
        paused: batch.pause_reason.clone().map(shorten),
        total: batch.counts.total,
        processed: batch.counts.processed(),
        outcomes: outcomes(&batch.counts),
        categories: categories(tx, task.row)?,
        in_doubt: tx.count_in_doubt(task.row)?,
        in_doubt_policy: None,
        review: None,
        begun: tx.count_begun(task.row)?,
        spent: spent(tx, task.row)?.map(SpentView::total),
        chunks: batch.chunk_count,
        chunks_ended: batch.ended_chunks,
        per_minute: rate.map(|(per_minute, _)| per_minute),
        finish: match batch.finish_row {
            Some(row) => Some(tx.task_by_row(row)?.id.to_string()),
            None => None,
        },
        worker: batch.profile.clone(),
        runner: tx.runner(task.row)?.map(|runner| RunnerView {
            pid: runner.pid,
            host: runner.host,
            since: runner.started_at.to_string(),
            seen: runner.heartbeat_at.to_string(),
            waits_for: runner.wait_reason,
        }),
        hosts: hosts_at_work(tx, task)?,
        // A paused batch ends only after a person resumes it.
        seconds_left: rate.filter(|_| status == BatchStatus::Running).map(|(_, seconds)| seconds),
    })
}
