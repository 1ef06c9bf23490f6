//! The reply of `create_batch`: the whole plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CreateBatch;
use crate::model::batch::Mode;
use crate::model::id::TaskId;
use crate::model::limits::PAGE_ROWS;
use crate::model::split::number_width;
use crate::model::step::{Checkpoint, Steps};
use crate::model::text::counted;
use crate::ops::conflicts::resolve::SharedCounts;
use crate::ops::ingest::bad_items::{BadItems, SourceReport};
use crate::ops::ingest::chunk_plan::{ChunkPlan, NewChunk};
use crate::ops::ingest::plan_reply::{PlannedBatch, PlannedChunk, PlannedDates};
use crate::ops::request::idempotency::Repeatable;
use crate::ops::views::page_bytes::cut_to_page;
use crate::prompts::{WorkerNeeds, work_chunk};

/// The plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Whether the batch was stored, or could be.
    pub success: bool,
    /// What was done, in a line.
    pub message: String,
    /// Whether this is the stored reply to an earlier call with the same request_key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duplicate: Option<bool>,
    /// The batch.
    pub batch: PlannedBatch,
    /// Its first chunks.
    pub chunks: Vec<PlannedChunk>,
    /// The dates of the items, if they are split by time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dates: Option<PlannedDates>,
    /// The items that were left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bad_items: Option<BadItems>,
    /// The number to ask for more of them with, by `get_batch(chunks_after=…)`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_chunks_after: Option<u64>,
    /// Its steps, in order.
    #[serde(default)]
    pub steps: Vec<PlannedStep>,
    /// When a person reviews: none, chunk or step.
    #[serde(default)]
    pub checkpoint: String,
    /// After how many approvals in a row the rest is approved without asking.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auto_approve_after: Option<u64>,
    /// What happens to an item whose worker died after it had reported the item as started: retry, skip or ask.
    #[serde(default)]
    pub in_doubt: String,
    /// Whose decisions count: any, or person.
    #[serde(default)]
    pub review: String,
    /// The task that becomes ready when the batch has ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finish: Option<PlannedFinish>,
    /// How many workers to start; 0 if a runner starts them.
    #[serde(default)]
    pub workers: u64,
    /// Who starts the workers: `direct` or `hypervisor`.
    pub mode: String,
    /// The prompt for every worker.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worker_prompt: Option<String>,
    /// How to follow the batch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub poll: Option<String>,
}

/// A step of the plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// Its name.
    pub name: String,
    /// The categories of the step before whose items it processes; absent: all items that were done.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub only_categories: Vec<String>,
    /// When a person is asked; absent: nobody is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asks: Option<String>,
}

/// The finish task of the plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PlannedFinish {
    /// Its id; none in a dry run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// Its title.
    pub title: String,
}

/// The steps, and when each asks a person.
fn planned_steps(steps: &Steps, checkpoint: Checkpoint) -> Vec<PlannedStep> {
    let asks = match checkpoint {
        Checkpoint::Step => "when all chunks have completed the step",
        Checkpoint::Chunk | Checkpoint::None => "after each chunk",
    };
    let count = steps.count();
    (0..count)
        .map(|number| PlannedStep {
            name: steps.name(number).to_owned(),
            only_categories: steps.get(number).map_or_else(Vec::new, |step| {
                step.only_categories.iter().map(|category| category.as_str().to_owned()).collect()
            }),
            asks: checkpoint.asks_after(number, count).then(|| asks.to_owned()),
        })
        .collect()
}

impl Repeatable for Plan {
    fn mark_repeated(&mut self) {
        self.duplicate = Some(true);
    }
}

/// A batch as it was stored.
pub(super) struct StoredBatch {
    pub(super) id: TaskId,
    /// The id of its finish task.
    pub(super) finish: Option<TaskId>,
    /// The change number after it was stored.
    pub(super) since: u64,
}

impl CreateBatch {
    fn worker_needs(&self) -> WorkerNeeds {
        let steps = self.steps.clone().unwrap_or_default();
        WorkerNeeds::new(self.instructions.as_str(), &steps, self.in_doubt)
    }

    /// The reply; `stored` is none in a dry run.
    pub(super) fn reply(
        &self,
        stored: Option<&StoredBatch>,
        plan: &ChunkPlan,
        shared: SharedCounts,
        report: SourceReport,
    ) -> Plan {
        let id = stored.map(|stored| &stored.id);
        let total = plan.total();
        let sizes = (1..).zip(plan.chunks.iter().map(|chunk| chunk.items));
        let shared = shared.describe(sizes, self.max_chunk.get() as u64);
        let count = plan.chunks.len() as u64;
        let workers = count.min(self.max_parallel.get() as u64);
        let chunks = planned_chunks(id, &plan.chunks);
        // The runner starts the workers of a profile.
        let start = if self.worker.is_some() {
            String::new()
        } else {
            format!("; start {}", counted(workers, "worker"))
        };
        let done = if id.is_some() { "Created" } else { "Would create" };
        Plan {
            success: true,
            message: format!(
                "{done} {} of {}{start}{shared}{}",
                counted(count, "chunk"),
                counted(total, "item"),
                report.describe()
            ),
            dates: report.dates.as_ref().and_then(PlannedDates::of),
            bad_items: report.bad,
            duplicate: None,
            batch: PlannedBatch {
                id: id.map(TaskId::to_string),
                title: self.title.as_str().to_owned(),
                items: total,
                chunks: count,
            },
            next_chunks_after: (chunks.len() as u64).lt(&count).then_some(chunks.len() as u64),
            chunks,
            steps: planned_steps(&self.steps.clone().unwrap_or_default(), self.checkpoint),
            checkpoint: self.checkpoint.to_string(),
            auto_approve_after: self.auto_approve_after.map(|after| after.get().unsigned_abs()),
            in_doubt: self.in_doubt.to_string(),
            review: self.review.to_string(),
            finish: self.finish.as_ref().map(|finish| PlannedFinish {
                id: stored.and_then(|stored| stored.finish.as_ref()).map(TaskId::to_string),
                title: finish.title.as_str().to_owned(),
            }),
            workers: if self.worker.is_some() { 0 } else { workers },
            mode: Mode::for_workers(workers).to_string(),
            worker_prompt: id.filter(|_| self.worker.is_none()).map(|id| work_chunk(id, self.worker_needs())),
            poll: stored.map(poll),
        }
    }
}

/// The first chunks.
fn planned_chunks(batch: Option<&TaskId>, chunks: &[NewChunk]) -> Vec<PlannedChunk> {
    let width = number_width(chunks.len() as u64);
    let mut planned: Vec<PlannedChunk> = (1_u64..)
        .zip(chunks)
        .take(PAGE_ROWS / 2)
        .map(|(number, chunk)| PlannedChunk {
            id: batch.map(|batch| batch.chunk(number, width).to_string()),
            number,
            title: chunk.title.clone(),
            items: chunk.items,
            span: chunk.span.clone(),
        })
        .collect();
    cut_to_page(&mut planned);
    planned
}

fn poll(stored: &StoredBatch) -> String {
    let StoredBatch { id, since, .. } = stored;
    format!(
        "get_batch(id=\"{id}\", since=\"{since}\"); for each further call pass the since of the last reply. If needs_person names something, a person has to decide: get_batch(id=\"{id}\", view=\"review\"). next says what else to do. The batch has ended when the status is done, failed or cancelled"
    )
}

/// Names a chunk that is not stored yet by its number from 0, for a message.
pub(super) fn chunk_namer(chunks: &[NewChunk]) -> impl Fn(u32) -> String {
    let width = number_width(chunks.len() as u64);
    move |chunk| {
        let span = chunks.get(chunk as usize).map_or("", |chunk| chunk.span.as_str());
        format!("chunk {:0width$} ({span})", u64::from(chunk) + 1)
    }
}
