//! `create_batch`: splits items into chunks and stores them as a batch, all or nothing.

mod large_batch;
mod reply;
mod store;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

pub use self::reply::Plan;
use self::store::Contents;
use super::conflicts::detect::{DetectionRule, TouchedResources};
use super::conflicts::resolve::{CREATED, SharedCounts};
use super::ingest::bad_items::OnBadItem;
use super::ingest::chunk_plan::{ChunkPlan, ChunkSize};
use super::ingest::collect::{Collected, Origin, inline_items_schema};
use super::ingest::large_batch::{LARGE_BATCH, delete_leftovers_if_any};
use super::ingest::task_query::Query;
use super::lifecycle::finish_task::Finish;
use super::request::fields::non_empty;
use super::request::idempotency::{RequestKey, run_once, stored_response};
use super::runners::start::{check_profile, start_runner};
use super::{Effect, Operation, Session};
use crate::error::{Error, Result};
use crate::items::{InlineItems, ItemSource, Staging};
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::in_doubt::InDoubtPolicy;
use crate::model::limits::{MaxAttempts, MaxChunk, MaxParallel, SequenceNumber};
use crate::model::max_failures::MaxFailures;
use crate::model::run_record::RunRecord;
use crate::model::split::Split;
use crate::model::step::{Checkpoint, Reviewers, Steps};
use crate::model::text::{LineText, LongText, excerpt};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct CreateBatch {
    /// Title
    #[arg(long)]
    pub title: LineText,
    /// What workers do with each item
    #[schemars(description = "What to do per item")]
    #[arg(long)]
    pub instructions: LongText,
    /// Objects, or strings as their own keys
    #[schemars(description = "Objects, or strings as keys")]
    #[arg(long, help = "Objects, or strings that are their own keys, as a JSON array", value_parser = InlineItems::parse)]
    #[serde(default)]
    #[schemars(schema_with = "inline_items_schema")]
    pub items: Option<InlineItems>,
    /// File or folder
    #[arg(
        long,
        help = "A file of JSONL, a JSON list, CSV or TSV, also compressed with gzip, - for standard input, or a folder in which each file is an item: its path, or {\"path\", \"glob\", \"format\", \"delimiter\"}"
    )]
    pub source: Option<ItemSource>,
    /// list_tasks filters; matches become items
    #[schemars(description = "Tasks as items: list_tasks filters")]
    #[arg(
        long,
        help = "Filters as a JSON object, with the names of list-tasks' options: each task that matches becomes an item"
    )]
    pub query: Option<Query>,
    /// Field of an item's key; @line: its number
    #[schemars(description = "Key field; @line: its number; default key")]
    #[serde(default = "key")]
    #[arg(long, help = "The field that holds an item's key; @line: its number", default_value = "key")]
    pub key: LineText,
    /// If an item is bad
    #[schemars(description = "Default reject")]
    #[serde(default = "OnBadItem::reject")]
    #[arg(long, default_value = "reject")]
    pub on_bad_item: OnBadItem,
    /// Short forms: size, month:date, category:kind
    #[schemars(description = "Or size, month:date, category:kind; default size")]
    #[serde(default)]
    #[arg(
        long,
        help = "How to split the items: size, PERIOD:FIELD such as month:date, or category:FIELD",
        default_value = "size"
    )]
    pub split: Split,
    /// Most items in a chunk
    #[schemars(description = "Items, 1 to 10000, default 50")]
    #[serde(default = "fifty")]
    #[arg(long, default_value = "50", allow_negative_numbers = true)]
    pub max_chunk: MaxChunk,
    /// Fields with resources (paths); default: files
    #[schemars(description = "Fields with paths that items change; default files")]
    #[serde(default, deserialize_with = "one_or_many")]
    #[arg(long, help = "Fields with an item's resources (paths) [default: files]", value_delimiter = ',')]
    pub resources: Vec<LineText>,
    /// If chunks share a resource; serialize: never both at once
    #[schemars(
        description = "If chunks share a path: allow for read-only work; serialize: one at a time; default reject"
    )]
    #[serde(default = "reject")]
    #[arg(
        long,
        help = "If chunks share a resource: reject the batch, merge the chunks, serialize (never claim both at once), or allow",
        default_value = "reject"
    )]
    pub on_conflict: OnConflict,
    /// Most workers at once
    #[schemars(description = "Workers, 1 to 64, default 8")]
    #[serde(default = "eight")]
    #[arg(long, default_value = "8", allow_negative_numbers = true)]
    pub max_parallel: MaxParallel,
    /// Claims before a chunk fails
    #[schemars(description = "Claims per chunk, 1 to 100, default 3")]
    #[serde(default = "three")]
    #[arg(
        long,
        help = "How often a chunk may be claimed before it fails",
        default_value = "3",
        allow_negative_numbers = true
    )]
    pub max_attempts: MaxAttempts,
    /// Passes over every chunk
    #[arg(long, help = "Passes over every chunk: a JSON array of {name, instructions, only_categories?}")]
    pub steps: Option<Steps>,
    /// When a person reviews
    #[schemars(
        description = "A person reviews, before the next step or after the only one: each chunk, or all at once; default none"
    )]
    #[serde(default = "nowhere")]
    #[arg(
        long,
        help = "When a person has to approve the work: never, after each step of a chunk, or when all chunks have completed a step; of several steps, the last needs no approval",
        default_value = "none"
    )]
    pub checkpoint: Checkpoint,
    /// Whose decisions
    #[schemars(description = "person: no relayed decisions; default any")]
    #[serde(default = "anybody")]
    #[arg(
        long,
        help = "Whose decisions count: any, also those that an agent relays, or only a person's",
        default_value = "any"
    )]
    pub review: Reviewers,
    /// Approvals in a row that approve the rest
    #[schemars(description = "Approvals in a row until automatic")]
    #[arg(
        long,
        help = "With checkpoint=chunk: after this many approvals in a row, approve the rest without asking"
    )]
    pub auto_approve_after: Option<SequenceNumber>,
    /// Started items never settled
    #[schemars(
        description = "Items a dead worker began: retry: a worker checks; ask: the chunk waits; default retry"
    )]
    #[serde(default = "retry")]
    #[arg(
        long,
        help = "What to do with an item that was started and has no result: retry, skip, or ask a person",
        default_value = "retry"
    )]
    pub in_doubt: InDoubtPolicy,
    /// More failed items (N or N%) pause the batch
    #[schemars(description = "Failed items that pause it: N or N%")]
    #[arg(long, help = "Pause the batch if more items fail than this: N, or N% of all items")]
    pub max_failures: Option<MaxFailures>,
    /// A task ready at the end
    #[schemars(description = "Task for the end")]
    #[arg(
        long,
        help = "Title of a task that can be claimed when the batch has ended, or JSON {title, body}"
    )]
    pub finish: Option<Finish>,
    /// Profile of background workers
    #[schemars(description = "Profile; default: you start workers")]
    #[arg(long, help = "The configured profile whose workers process the batch in the background")]
    pub worker: Option<LineText>,
    /// Project
    #[arg(long, help = "The project of the batch")]
    pub project: Option<LineText>,
    /// Idempotency key
    #[arg(long, help = "A repeated call with the same key returns the first reply")]
    pub request_key: Option<LineText>,
    /// Only return the plan
    #[schemars(description = "Only the plan")]
    #[serde(default)]
    #[arg(long, help = "Return the plan and store nothing", num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub dry_run: bool,
    /// What `tasktally run` records; requests cannot set it.
    #[serde(skip)]
    #[arg(skip)]
    pub run: Option<RunRecord>,
    /// How many chunks a split by size makes at least, as far as there are items. Only `tasktally run` sets it.
    #[serde(skip)]
    #[arg(skip)]
    pub min_chunks: u64,
    /// The ended batch whose items that are not done are taken, and why. Only `control_batch` sets it.
    #[serde(skip)]
    #[arg(skip)]
    pub rest_of: Option<(TaskId, String)>,
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
fn anybody() -> Reviewers {
    Reviewers::Any
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

impl Operation for CreateBatch {
    const NAME: &'static str = "create_batch";
    const TITLE: &'static str = "Create a batch";
    const DESCRIPTION: &'static str =
        "Process many items: split items into chunks for background agents. Returns plan and prompt.";
    const EFFECT: Effect = Effect::Write;
    const CREATES_STORE: bool = true;
    const LONG_RUNNING: bool = true;
    const POSITIONAL: &'static str = "title";
    type Reply = Plan;

    fn run(self, session: &Session) -> Result<Plan> {
        let request_key = RequestKey::new(session, self.request_key.as_ref().map(LineText::as_str), &self)?;
        self.check()?;
        // Before the source is read: it may have been removed since the first call.
        if let Some(plan) = stored_response(session, request_key.as_ref(), Self::NAME)? {
            return Ok(plan);
        }
        let steps = self.steps.clone().unwrap_or_default();
        let note = match &self.worker {
            Some(profile) => check_profile(session, profile, non_empty(&self.project).as_deref(), &steps)?,
            None => String::new(),
        };
        let Collected { mut staging, mut report } = self.origin().collect(session)?;
        if let (Some(rest), Some((_, reason))) = (&mut report.rest, &self.rest_of) {
            rest.reason.clone_from(reason);
        }
        let (plan, resources) = self.plan_chunks(&mut staging)?;
        if plan.total() == 0 {
            return Err(self.origin().no_items(&report));
        }
        let max_project_mb = session.quotas().max_project_mb;
        let mut contents = Contents { staging, plan, resources, max_project_mb };
        if self.dry_run {
            return session.read(move |tx| {
                let resolution = contents.resolve(tx, non_empty(&self.project).as_deref())?;
                let shared = resolution.map_or_else(SharedCounts::default, |resolution| resolution.counts);
                let mut plan = self.reply(None, &contents.plan, shared, report);
                plan.message += &note;
                Ok(plan)
            });
        }
        let mut plan = if contents.plan.total() >= LARGE_BATCH {
            self.store_in_slices(session, contents, request_key, report)?
        } else {
            delete_leftovers_if_any(session)?;
            let progress = session.progress().clone();
            let store = move |tx: &dyn crate::store::StoreWrite, contents: &mut Contents| {
                run_once(tx, request_key.as_ref(), Self::NAME, |tx| {
                    let (stored, shared) = self.store(tx, contents, &report, &progress)?;
                    Ok(self.reply(Some(&stored), &contents.plan, shared, report.clone()))
                })
            };
            session.write_with(contents, store)?.1
        };
        if let Some(id) = &plan.batch.id {
            plan.message += &start_runner(session, &TaskId::stored(id.clone()));
            plan.message += &note;
        }
        Ok(plan)
    }
}

impl CreateBatch {
    /// A request for a batch with default settings and without items.
    pub fn new(title: LineText, instructions: LongText) -> Self {
        CreateBatch {
            title,
            instructions,
            items: None,
            source: None,
            query: None,
            key: key(),
            on_bad_item: OnBadItem::Reject,
            split: Split::default(),
            max_chunk: fifty(),
            resources: Vec::new(),
            on_conflict: reject(),
            max_parallel: eight(),
            max_attempts: three(),
            steps: None,
            checkpoint: nowhere(),
            review: anybody(),
            auto_approve_after: None,
            in_doubt: retry(),
            max_failures: None,
            finish: None,
            worker: None,
            project: None,
            request_key: None,
            dry_run: false,
            run: None,
            min_chunks: 1,
            rest_of: None,
        }
    }

    /// Checks the request before any item is read.
    fn check(&self) -> Result<()> {
        if self.title.non_empty().is_none() {
            return Err(Error::invalid("title: it is empty; write in a few words what the batch is"));
        }
        if self.instructions.non_empty().is_none() {
            return Err(Error::invalid(
                "instructions: they are empty; write what a worker has to do with each item",
            ));
        }
        if self.approvals_in_a_row().is_some() && self.checkpoint != Checkpoint::Chunk {
            return Err(Error::invalid("auto_approve_after: allowed with checkpoint=\"chunk\" only"));
        }
        Ok(())
    }

    /// After how many approvals in a row the rest is approved. 0 counts as absent.
    fn approvals_in_a_row(&self) -> Option<u64> {
        self.auto_approve_after.map(|after| after.get() as u64).filter(|after| *after > 0)
    }

    fn origin(&self) -> Origin<'_> {
        // A query without filters means all tasks, unless the items are elsewhere: some clients fill every parameter.
        let has_items = self.source.is_some() || self.items.as_ref().is_some_and(|items| !items.is_empty());
        Origin {
            items: self.items.as_ref(),
            source: self.source.as_ref(),
            query: self.query.as_ref().filter(|query| !(query.is_empty() && has_items)),
            rest_of: self.rest_of.as_ref().map(|(batch, _)| batch),
            key: self.key.as_str(),
            split: &self.split,
            on_bad_item: self.on_bad_item,
            done: CREATED,
        }
    }

    /// The chunks, and what their items touch if the batch's rule asks for it.
    fn plan_chunks(&self, staging: &mut Staging) -> Result<(ChunkPlan, Option<TouchedResources>)> {
        let groups = staging.groups();
        if let Some(field) = self.split.missing_field(&groups) {
            return Err(Error::invalid(format!(
                "split: no item has a value in the field '{}', by which the batch is split; name a field that the items have",
                excerpt(field)
            )));
        }
        let size = ChunkSize { max: self.max_chunk.get() as u64, min_chunks: self.min_chunks };
        let mut plan = ChunkPlan::split(&self.split, &groups, size);
        if self.on_conflict == OnConflict::Allow {
            return Ok((plan, None));
        }
        let rule = DetectionRule { on_conflict: self.on_conflict, fields: &self.resources, done: CREATED };
        let mut resources = TouchedResources::collect(rule, staging)?;
        if let Some(resources) = &mut resources {
            if self.on_conflict == OnConflict::Merge {
                let mut together = resources.group_items(None, &mut |_, _| Ok(()))?;
                (plan, resources.chunk_of) = ChunkPlan::merged(&self.split, &groups, size, &mut together)?;
            } else {
                resources.chunk_of = plan.chunk_of_each()?;
            }
        }
        Ok((plan, resources))
    }
}
