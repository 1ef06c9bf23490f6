//! `create_batch`: items split into chunks, a worker each; all of it in one transaction.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::conflicts::detect::{CREATED, Independence, Looking, Takers};
use super::conflicts::outcome::Conflict;
use super::ingest::bad_items::{BadItems, OnBadItem, left_out};
use super::ingest::chunk_plan::{Piece, Pieces};
use super::ingest::collect::{Collected, Inline, Origin, inline, objects_or_strings};
use super::ingest::insert::{Placement, lay, new_chunk};
use super::ingest::task_query::Query;
use super::lifecycle::finish_task::Finish;
use super::request::idempotency::{Repeatable, RequestKey, run_once, stored_response};
use super::request::progress::ProgressReporter;
use super::runners::start::{check_profile, start_runner};
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::items::ItemSource;
use crate::model::batch::{Batch, ItemCounts, Mode};
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::in_doubt::InDoubtPolicy;
use crate::model::limits::{MaxAttempts, MaxChunk, MaxParallel, PAGE_ROWS, SequenceNumber};
use crate::model::max_failures::MaxFailures;
use crate::model::split::{Split, number_width};
use crate::model::status::{Status, TaskType};
use crate::model::step::{Checkpoint, Steps};
use crate::model::task::Task;
use crate::model::text::{LineText, LongText};
use crate::prompts::work_chunk;
use crate::store::{NewTask, Staging, StoreWrite};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct CreateBatch {
    /// What the batch is.
    #[schemars(description = "")]
    #[arg(long)]
    pub title: LineText,
    /// The one prompt for every worker
    #[arg(long)]
    pub instructions: LongText,
    /// Objects, or strings that are their own keys
    #[arg(long, value_parser = inline, help = "a JSON array of objects or strings")]
    #[serde(default)]
    #[schemars(schema_with = "objects_or_strings")]
    pub items: Option<Inline>,
    /// A JSONL or CSV file, or a folder: its path, or {"path", "glob"}.
    #[schemars(description = "")]
    #[arg(long)]
    pub source: Option<ItemSource>,
    /// list_tasks filters
    #[arg(
        long,
        help = "Filters as a JSON object, with the names of list-tasks' options: the tasks that match become items"
    )]
    pub query: Option<Query>,
    /// The field that names an item.
    #[schemars(description = "")]
    #[serde(default = "key")]
    #[arg(long, default_value = "key")]
    pub key: LineText,
    /// Bad items: reject (nothing is stored) or skip (they are left out); they are listed either way.
    #[schemars(description = "")]
    #[serde(default = "OnBadItem::reject")]
    #[arg(long, default_value = "reject")]
    pub on_bad_item: OnBadItem,
    /// How to split; a shorthand is `month:date`, `category:kind`, `size`.
    #[schemars(description = "")]
    #[serde(default)]
    #[arg(long, default_value = "size")]
    pub split: Split,
    /// Items a chunk.
    #[schemars(description = "")]
    #[serde(default = "fifty")]
    #[arg(long, default_value = "50", allow_negative_numbers = true)]
    pub max_chunk: MaxChunk,
    /// Fields naming what it touches; none: files
    #[serde(default, deserialize_with = "one_or_many")]
    #[arg(long, value_delimiter = ',')]
    pub resources: Vec<LineText>,
    /// Where chunks touch the same, or a folder and what lies beneath it: reject, merge, serialize or allow.
    #[schemars(description = "")]
    #[serde(default = "reject")]
    #[arg(long, default_value = "reject")]
    pub on_conflict: OnConflict,
    /// Workers at once.
    #[schemars(description = "")]
    #[serde(default = "eight")]
    #[arg(long, default_value = "8", allow_negative_numbers = true)]
    pub max_parallel: MaxParallel,
    /// Claims of a chunk before it waits for a person.
    #[schemars(description = "")]
    #[serde(default = "three")]
    #[arg(long, default_value = "3", allow_negative_numbers = true)]
    pub max_attempts: MaxAttempts,
    /// Passes over every chunk
    #[arg(long, help = "a JSON array of {name, instructions, only_categories?}")]
    pub steps: Option<Steps>,
    /// Where a person is asked
    #[serde(default = "nowhere")]
    #[arg(long, default_value = "none")]
    pub checkpoint: Checkpoint,
    /// Approvals in a row after which nobody is asked.
    #[schemars(description = "")]
    #[arg(long)]
    pub auto_approve_after: Option<SequenceNumber>,
    /// What becomes of an item that was begun and never settled: retry, skip, or ask a person.
    #[schemars(description = "")]
    #[serde(default = "retry")]
    #[arg(long, default_value = "retry")]
    pub in_doubt: InDoubtPolicy,
    /// More failed items, N or N%, pause it
    #[arg(long)]
    pub max_failures: Option<MaxFailures>,
    /// A task for the end
    #[arg(long, help = "its title, or JSON {title, body}")]
    pub finish: Option<Finish>,
    /// A profile that works it in the background
    #[arg(long)]
    pub worker: Option<LineText>,
    /// Its project.
    #[schemars(description = "")]
    #[arg(long)]
    pub project: Option<LineText>,
    /// Repeating it answers the same.
    #[schemars(description = "")]
    #[arg(long)]
    pub request_key: Option<LineText>,
    /// Only the plan.
    #[schemars(description = "")]
    #[serde(default)]
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub dry_run: bool,
    /// The command that `tasktally run` works it with; no agent can set it.
    #[serde(skip)]
    #[arg(skip)]
    pub command: Option<Vec<String>>,
}

/// A name, or a list of names.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<LineText>, D::Error> {
    match Value::deserialize(deserializer)? {
        one @ Value::String(_) => serde_json::from_value(one).map(|line| vec![line]),
        many => serde_json::from_value(many),
    }
    .map_err(serde::de::Error::custom)
}

fn reject() -> OnConflict {
    OnConflict::Reject
}
fn key() -> LineText {
    LineText::known("key")
}
fn fifty() -> MaxChunk {
    MaxChunk::of(50)
}
fn eight() -> MaxParallel {
    MaxParallel::of(8)
}
fn nowhere() -> Checkpoint {
    Checkpoint::None
}
fn retry() -> InDoubtPolicy {
    InDoubtPolicy::Retry
}
fn three() -> MaxAttempts {
    MaxAttempts::of(3)
}

/// A chunk of the plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PlannedChunk {
    /// Its id; none in a dry run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// How many items it holds.
    pub items: u64,
    /// What they have in common.
    pub span: String,
}

/// The batch of the plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PlannedBatch {
    /// Its id; none in a dry run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// Its title.
    pub title: String,
    /// How many items it has.
    pub items: u64,
    /// How many chunks.
    pub chunks: u64,
}

/// The reply: the plan.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Whether it was made.
    pub success: bool,
    /// In a line.
    pub message: String,
    /// Whether the same request was answered before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duplicate: Option<bool>,
    /// The batch.
    pub batch: PlannedBatch,
    /// Its first chunks.
    pub chunks: Vec<PlannedChunk>,
    /// What was left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bad_items: Option<BadItems>,
    /// Where the next page of them begins, for `get_batch(chunks_after=…)`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_chunks_after: Option<u64>,
    /// How to start the workers.
    pub mode: String,
    /// What each worker is told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worker_prompt: Option<String>,
    /// How to watch it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub poll: Option<String>,
}

impl Repeatable for Plan {
    fn mark_repeated(&mut self) {
        self.duplicate = Some(true);
    }
}

impl Operation for CreateBatch {
    const NAME: &'static str = "create_batch";
    const TITLE: &'static str = "Create a batch";
    const DESCRIPTION: &'static str = "Split items into chunks, one worker each. Replies with the plan and the prompt for background workers.";
    const EFFECT: Effect = Effect::Write;
    const LONG_RUNNING: bool = true;
    const POSITIONAL: &'static str = "title";
    type Reply = Plan;

    fn run(self, session: &Session) -> Result<Plan> {
        let request_key = RequestKey::new(self.request_key.as_ref().map(LineText::as_str), &self)?;
        if self.title.non_empty().is_none() {
            return Err(Error::invalid("title: it is empty; say in a few words what the batch is"));
        }
        if self.instructions.non_empty().is_none() {
            return Err(Error::invalid(
                "instructions: they are empty; write the one prompt that every worker gets",
            ));
        }
        if self.auto_approve_after.is_some() && self.checkpoint != Checkpoint::Chunk {
            return Err(Error::invalid(
                "auto_approve_after: it goes with checkpoint=\"chunk\"; set that, or leave it out",
            ));
        }
        // Before the source is read: it may be gone by the time the request is repeated.
        if let Some(plan) = stored_response(session, request_key.as_ref(), Self::NAME)? {
            return Ok(plan);
        }
        if let Some(profile) = &self.worker {
            check_profile(session, profile, super::request::fields::non_empty(&self.project).as_deref())?;
        }
        let Collected { mut staging, bad } = self.origin().collect(session)?;
        let (pieces, mut independence) = self.pieces(staging.as_mut())?;
        if pieces.total() == 0 {
            return Err(self.origin().empty(bad.as_ref()));
        }
        if self.dry_run {
            return session.read(move |tx| {
                let project = super::request::fields::non_empty(&self.project);
                let found = independence.map_or(Ok(Conflict::default()), |mut independence| {
                    independence.judge(tx, project.as_deref(), &named(&pieces.all))
                })?;
                Ok(self.plan(None, &pieces, found, bad))
            });
        }
        let tell = session.progress().clone();
        let mut plan = session.write(move |tx| {
            run_once(tx, request_key.as_ref(), Self::NAME, |tx| {
                let (id, found) = self.store(tx, staging.as_mut(), &pieces, independence.as_mut(), &tell)?;
                Ok(self.plan(Some((&id, tx.latest_change_number()?)), &pieces, found, bad))
            })
        })?;
        if let Some(id) = &plan.batch.id {
            plan.message += &start_runner(session, &TaskId::stored(id.clone()));
        }
        Ok(plan)
    }
}

impl CreateBatch {
    fn origin(&self) -> Origin<'_> {
        Origin {
            items: self.items.as_ref(),
            source: self.source.as_ref(),
            query: self.query.as_ref(),
            key: self.key.as_str(),
            split: &self.split,
            on_bad_item: self.on_bad_item,
            done: "created",
        }
    }

    /// The chunks to be, and what they touch where somebody looks.
    fn pieces(&self, staging: &mut dyn Staging) -> Result<(Pieces, Option<Independence>)> {
        let groups = staging.groups()?;
        let max_chunk = self.max_chunk.get() as u64;
        let mut pieces = Pieces::split(&self.split, &groups, max_chunk);
        if self.on_conflict == OnConflict::Allow {
            return Ok((pieces, None));
        }
        let looking = Looking { rule: self.on_conflict, fields: &self.resources, done: CREATED };
        let mut looked = Independence::look(looking, staging)?;
        if let Some(independence) = &mut looked {
            if self.on_conflict == OnConflict::Merge {
                let mut together = independence.together(None, &mut |_, _| Ok(()))?;
                (pieces, independence.chunk_of) =
                    Pieces::merged(&self.split, &groups, max_chunk, &mut together)?;
            } else {
                independence.chunk_of = pieces.chunk_of_each()?;
            }
        }
        Ok((pieces, looked))
    }

    fn store(
        &self,
        tx: &dyn StoreWrite,
        staging: &mut dyn Staging,
        pieces: &Pieces,
        independence: Option<&mut Independence>,
        tell: &ProgressReporter,
    ) -> Result<(TaskId, Conflict)> {
        let (order, pieces, total) = (&pieces.order, &pieces.all, pieces.total());
        let mut task = Task::new(tx.now(), self.title.as_str());
        task.task_type = TaskType::Epic;
        task.status = Status::InProgress;
        task.is_batch = true;
        task.project = super::request::fields::non_empty(&self.project);
        let row = tx.insert_task(&NewTask { task: &task, initial_text: self.instructions.as_str() })?;
        task.row = row;
        let finish = match &self.finish {
            Some(finish) => Some(finish.insert(tx, &task, row)?),
            None => None,
        };
        tx.insert_batch(&Batch {
            row,
            instructions: self.instructions.as_str().to_owned(),
            key_field: self.key.as_str().to_owned(),
            split: self.split.to_string(),
            max_chunk: self.max_chunk.get(),
            max_parallel: self.max_parallel.get(),
            max_attempts: self.max_attempts.get(),
            command: self.command.clone(),
            chunk_count: pieces.len() as u64,
            ended_chunks: 0,
            unsuccessful_chunks: 0,
            counts: ItemCounts { total, ..ItemCounts::default() },
            started: None,
            steps: self.steps.clone().unwrap_or_default(),
            checkpoint: self.checkpoint,
            auto_approve_after: self.auto_approve_after.map(|after| after.get() as u64),
            approved_in_a_row: 0,
            max_failures: self.max_failures,
            forgiven_failures: 0,
            pause_reason: None,
            finish_row: finish,
            in_doubt: self.in_doubt,
            profile: self.worker.as_ref().map(|profile| profile.as_str().to_owned()),
            on_conflict: Some(self.on_conflict),
            resources: self.resources.clone(),
        })?;
        let width = number_width(pieces.len() as u64);
        let mut rows = Vec::with_capacity(pieces.len());
        for (number, piece) in (1_u64..).zip(pieces) {
            rows.push(new_chunk(tx, &task, number, width, piece)?.row);
        }
        // First who touches what: a refusal comes before all items are written.
        let found = match independence {
            None => Conflict::default(),
            Some(independence) => {
                let project = task.project.as_deref();
                let name = &named(pieces);
                independence
                    .store(tx, Takers { batch: row, project, rows: &rows, grown: Vec::new(), name })?
            }
        };
        let homes = rows.into_iter().zip(pieces);
        let homes = homes.map(|(chunk, piece)| Placement { chunk, held: 0, items: piece.items }).collect();
        match order {
            None => staging.each(&mut lay(tx, row, homes, tell))?,
            Some(order) => staging.each_in(order, &mut lay(tx, row, homes, tell))?,
        }
        Ok((task.id, found))
    }

    fn plan(
        &self,
        stored: Option<(&TaskId, u64)>,
        pieces: &Pieces,
        found: Conflict,
        bad_items: Option<BadItems>,
    ) -> Plan {
        let id = stored.map(|(id, _)| id);
        let total = pieces.total();
        let sizes = (1..).zip(pieces.all.iter().map(|piece| piece.items));
        let shared = found.told(sizes, self.max_chunk.get() as u64);
        let pieces = &pieces.all;
        let count = pieces.len() as u64;
        let width = number_width(count);
        let workers = count.min(self.max_parallel.get() as u64);
        let chunks = (1_u64..)
            .zip(pieces)
            .take(PAGE_ROWS / 2)
            .map(|(number, piece)| PlannedChunk {
                id: id.map(|id| id.chunk(number, width).to_string()),
                number,
                title: piece.title.clone(),
                items: piece.items,
                span: piece.span.clone(),
            })
            .collect::<Vec<_>>();
        // Workers of a profile are started for the supervisor.
        let start = if self.worker.is_some() { String::new() } else { format!("; start {workers} workers") };
        let made = if id.is_some() { "Created" } else { "Would create" };
        Plan {
            success: true,
            message: format!(
                "{made} {count} chunks of {total} items{start}{shared}{}",
                left_out(bad_items.as_ref())
            ),
            bad_items,
            duplicate: None,
            batch: PlannedBatch { id: id.map(TaskId::to_string), title: self.title.as_str().to_owned(), items: total, chunks: count },
            next_chunks_after: (chunks.len() as u64).lt(&count).then_some(chunks.len() as u64),
            chunks,
            mode: Mode::for_workers(workers).to_string(),
            worker_prompt: id.filter(|_| self.worker.is_none()).map(work_chunk),
            poll: stored.map(|(id, since)| format!("get_batch(id=\"{id}\", since=\"{since}\"), later with since of its last reply; status waiting: a person decides (view=\"review\"); done, failed, cancelled: it is over")),
        }
    }
}

/// How a chunk that is not made yet is called.
fn named(pieces: &[Piece]) -> impl Fn(u32) -> String {
    let width = number_width(pieces.len() as u64);
    move |chunk| {
        let title = pieces.get(chunk as usize).map_or("", |piece| piece.title.as_str());
        format!("chunk {:0width$} ({title})", u64::from(chunk) + 1)
    }
}
