//! `add_items`: adds items to a batch that has not finished. Items whose keys it has already are left alone.

mod large_batch;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conflicts::detect::{DetectionRule, TouchedResources};
use super::ingest::add_to_batch::{Added, NewItems, add_to_batch};
use super::ingest::bad_items::{BadItems, OnBadItem, SourceReport};
use super::ingest::collect::{Collected, Origin, inline_items_schema};
use super::ingest::large_batch::{LARGE_BATCH, is_being_extended, wait_for_slices};
use super::ingest::plan_reply::{PlannedBatch, PlannedChunk};
use super::ingest::project_size::check_project_size;
use super::request::idempotency::{Repeatable, RequestKey, run_once, stored_response};
use super::request::lookup::find_batch;
use super::request::progress::ProgressReporter;
use super::runners::start::start_runner;
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::items::{InlineItems, ItemSource, Staging};
use crate::model::author::Author;
use crate::model::batch::Batch;
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::limits::PAGE_ROWS;
use crate::model::split::Split;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::{LineText, agreeing, counted};
use crate::store::{NewReceipt, StoreRead, StoreWrite};

/// What becomes of the items, for an error message.
const ADDED: &str = "added";

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct AddItems {
    /// The batch
    #[schemars(description = "Batch id")]
    #[arg(long)]
    pub id: TaskId,
    /// Objects, or strings as their own keys
    #[schemars(description = "As in create_batch")]
    #[arg(long, help = "Objects, or strings that are their own keys, as a JSON array", value_parser = InlineItems::parse)]
    #[serde(default)]
    #[schemars(schema_with = "inline_items_schema")]
    pub items: Option<InlineItems>,
    /// As in create_batch
    #[schemars(description = "File or folder")]
    #[schemars(schema_with = "short_source")]
    #[serde(default)]
    #[arg(
        long,
        help = "A file of JSONL, a JSON list, CSV or TSV, also compressed with gzip, - for standard input, or a folder in which each file is an item: its path, or {\"path\", \"glob\", \"format\", \"delimiter\"}"
    )]
    pub source: Option<ItemSource>,
    /// If an item is bad
    #[schemars(description = "Default reject")]
    #[serde(default = "OnBadItem::reject")]
    #[arg(long, default_value = "reject")]
    pub on_bad_item: OnBadItem,
    /// Idempotency key
    #[arg(long)]
    pub request_key: Option<LineText>,
    /// Whether a finished batch is refused only if an item is new: for `tasktally run`, which repeats the call.
    #[serde(skip)]
    #[arg(skip)]
    pub only_if_new: bool,
}

/// The schema of `create_batch` describes the fields.
fn short_source(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] })
}

/// The reply.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AddItemsReply {
    /// Whether the items were added.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// Whether this is the stored reply to an earlier call with the same request_key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duplicate: Option<bool>,
    /// The batch as it is now.
    pub batch: PlannedBatch,
    /// How many items are new.
    pub added: u64,
    /// How many the batch had already.
    pub known: u64,
    /// The first chunks that took items.
    pub chunks: Vec<PlannedChunk>,
    /// The items that were left out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bad_items: Option<BadItems>,
}

impl Repeatable for AddItemsReply {
    fn mark_repeated(&mut self) {
        self.duplicate = Some(true);
    }
}

impl Operation for AddItems {
    const NAME: &'static str = "add_items";
    const TITLE: &'static str = "Add items to a batch";
    const DESCRIPTION: &'static str = "Add items to a running batch. Known keys are ignored.";
    const EFFECT: Effect = Effect::WriteOnce;
    const LONG_RUNNING: bool = true;
    const POSITIONAL: &'static str = "id";
    type Reply = AddItemsReply;

    fn run(self, session: &Session) -> Result<AddItemsReply> {
        let request_key = RequestKey::new(session, self.request_key.as_ref().map(LineText::as_str), &self)?;
        // Before the source is read: it may have been removed since the first call.
        if let Some(reply) = stored_response(session, request_key.as_ref(), Self::NAME)? {
            return Ok(reply);
        }
        let id = self.id.clone();
        let (task, batch) = session.read(move |tx| find_batch(tx, &id))?;
        if !self.only_if_new {
            refuse_finished(&task)?;
        }
        let split = batch.split.parse()?;
        let origin = Origin {
            items: self.items.as_ref(),
            source: self.source.as_ref(),
            query: None,
            rest_of: None,
            key: &batch.key_field,
            split: &split,
            on_bad_item: self.on_bad_item,
            done: ADDED,
        };
        let Collected { mut staging, report } = origin.collect(session)?;
        if staging.item_count() == 0 && report.bad.is_none() {
            return Err(origin.no_items(&report));
        }
        // If a source has grown, most of its keys are known: they are looked up before the write, which holds the
        // write lock.
        let (mut staging, known, total) = session.read(move |tx| {
            let known = staging.remove_known(&mut |key| tx.has_item(batch.row, key))?;
            Ok((staging, known, tx.batch(batch.row)?.map(|batch| batch.counts.total)))
        })?;
        let resources = touched_resources(&batch, &mut staging)?;
        let is_merged = resources.is_some() && batch.on_conflict == Some(OnConflict::Merge);
        let (author, id) = (session.author(), self.id.clone());
        let max_project_mb = session.quotas().max_project_mb;
        let mut reply = if staging.item_count() >= LARGE_BATCH && !is_merged {
            let new = large_batch::LargeAddition {
                request: self,
                request_key,
                split,
                author,
                known,
                report,
                max_project_mb,
            };
            new.store(session, &task, &batch, staging)?
        } else {
            let progress = session.progress().clone();
            let mut addition = SmallAddition {
                request: self,
                request_key,
                split,
                author,
                known,
                report,
                staging,
                resources,
                total,
                max_project_mb,
                progress,
            };
            loop {
                let stored;
                (addition, stored) = session.write_with(addition, |tx, addition| addition.store(tx))?;
                match stored {
                    Stored::Done(reply) => break *reply,
                    // Another process adds many items to this batch: their keys count as known once they are visible.
                    Stored::Waits => wait_for_slices(session)?,
                }
            }
        };
        reply.message += &start_runner(session, &id);
        Ok(reply)
    }
}

/// Items that are added in one transaction.
struct SmallAddition {
    request: AddItems,
    request_key: Option<RequestKey>,
    split: Split,
    author: Author,
    known: u64,
    report: SourceReport,
    staging: Staging,
    resources: Option<TouchedResources>,
    /// How many items the batch had when the known ones were removed.
    total: Option<u64>,
    /// The most bytes of items that the project may hold, in MiB.
    max_project_mb: u64,
    progress: ProgressReporter,
}

/// What a transaction came to.
enum Stored {
    Done(Box<AddItemsReply>),
    Waits,
}

impl SmallAddition {
    fn store(&mut self, tx: &dyn StoreWrite) -> Result<Stored> {
        let id = self.request.id.clone();
        let (task, batch) = find_batch(tx, &id)?;
        if is_being_extended(tx, batch.row)? {
            return Ok(Stored::Waits);
        }
        let key = self.request_key.clone();
        let reply = run_once(tx, key.as_ref(), AddItems::NAME, |tx| {
            let has_grown = self.total != Some(batch.counts.total);
            if has_grown {
                self.known += self.staging.remove_known(&mut |key| tx.has_item(batch.row, key))?;
            }
            let is_new = self.staging.item_count() > 0;
            if is_new || !self.request.only_if_new {
                refuse_finished(&task)?;
            }
            if is_new {
                refuse_unknown_rule(tx, &task, &batch)?;
            }
            if has_grown {
                self.resources = touched_resources(&batch, &mut self.staging)?;
            }
            let new = NewItems {
                staging: &mut self.staging,
                resources: self.resources.as_mut(),
                progress: &self.progress,
            };
            let added = add_to_batch(tx, &task, &batch, &self.split, new)?;
            check_project_size(tx, task.project.as_deref(), self.max_project_mb)?;
            if is_new {
                append_receipt(tx, &task, &added, self.known, &self.author)?;
            }
            self.report.record(tx, &task)?;
            Ok(reply(&task, &batch, added, self.known, self.report.clone()))
        })?;
        Ok(Stored::Done(Box::new(reply)))
    }
}

/// Refuses a batch that has finished: its workers have ended.
fn refuse_finished(batch: &Task) -> Result<()> {
    let next = match batch.status {
        Status::Failed => "control_batch(action=\"retry\") opens what failed again, then more can be added",
        Status::Done | Status::Cancelled => "make a new batch of them with create_batch()",
        _ => return Ok(()),
    };
    let code = if batch.status == Status::Cancelled { Code::Cancelled } else { Code::Conflict };
    Err(Error::new(
        code,
        format!("Batch {} is {}, nothing can be added to it: {next}", batch.id, batch.status),
    ))
}

/// What new items touch, unless the batch's rule allows everything.
fn touched_resources(batch: &Batch, staging: &mut Staging) -> Result<Option<TouchedResources>> {
    match batch.on_conflict {
        None | Some(OnConflict::Allow) => Ok(None),
        Some(on_conflict) => {
            let rule = DetectionRule { on_conflict, fields: &batch.resources, done: ADDED };
            TouchedResources::collect(rule, staging)
        }
    }
}

/// Refuses a batch whose chunks share resources, but whose rule was not stored.
fn refuse_unknown_rule(tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<()> {
    if batch.on_conflict.is_some() || tx.count_resource_layers(batch.row)? == 0 {
        return Ok(());
    }
    let message = format!(
        "Batch {} was made by an older version that did not store on_conflict: make another batch of these items with create_batch(), which compares what both touch",
        task.id
    );
    Err(Error::new(Code::Conflict, message))
}

/// Appends a receipt to the batch: what was added, and by whom.
fn append_receipt(
    tx: &dyn StoreWrite,
    batch: &Task,
    added: &Added,
    known: u64,
    author: &Author,
) -> Result<()> {
    let text = format!("'{author}' added {}; {known} were there already.", describe(added));
    tx.append_receipt(batch, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    Ok(())
}

fn describe(added: &Added) -> String {
    format!(
        "{}: {} added to unclaimed chunks, {} in {}",
        counted(added.items, "item"),
        added.items - added.items_in_new_chunks,
        added.items_in_new_chunks,
        counted(added.new_chunks, "new chunk")
    )
}

fn reply(task: &Task, batch: &Batch, added: Added, known: u64, report: SourceReport) -> AddItemsReply {
    let sizes = added.chunks.iter().map(|chunk| (chunk.number, chunk.items));
    let shared = added.shared.describe(sizes, u64::try_from(batch.max_chunk).unwrap_or(1));
    let what = match added.items {
        0 => "No new items".to_owned(),
        _ => format!("Added {}", describe(&added)),
    };
    let known_items = match known {
        0 => String::new(),
        _ => format!("; {} {} already in the batch", counted(known, "item"), agreeing(known, "was", "were")),
    };
    AddItemsReply {
        success: true,
        message: format!("{what}{known_items}{shared}{}", report.describe()),
        duplicate: None,
        batch: PlannedBatch {
            id: Some(task.id.to_string()),
            title: task.title.clone(),
            items: batch.counts.total + added.items,
            chunks: batch.chunk_count + added.new_chunks,
        },
        added: added.items,
        known,
        chunks: added.chunks.into_iter().take(PAGE_ROWS / 2).collect(),
        bad_items: report.bad,
    }
}
