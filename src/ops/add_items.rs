//! `add_items`: adds items to a batch that has not finished. Items whose keys it has already are left alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conflicts::detect::{DetectionRule, TouchedResources};
use super::ingest::bad_items::{BadItems, OnBadItem, left_out};
use super::ingest::collect::{Collected, InlineItems, Origin, inline_items_schema, parse_inline_items};
use super::ingest::extend::{Added, NewItems, add_to_batch};
use super::ingest::planned::{PlannedBatch, PlannedChunk};
use super::request::idempotency::{Repeatable, RequestKey, run_once, stored_response};
use super::request::lookup::find_batch;
use super::runners::start::start_runner;
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::items::{ItemSource, Staging};
use crate::model::batch::Batch;
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::limits::PAGE_ROWS;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::LineText;
use crate::store::{NewReceipt, StoreWrite};

/// What becomes of the items, for an error message.
const ADDED: &str = "added";

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct AddItems {
    /// The batch
    #[arg(long)]
    pub id: TaskId,
    /// Objects, or strings that are their own keys
    #[arg(long, help = "Objects, or strings that are their own keys, as a JSON array", value_parser = parse_inline_items)]
    #[serde(default)]
    #[schemars(schema_with = "inline_items_schema")]
    pub items: Option<InlineItems>,
    /// A JSONL or CSV file, or a folder in which each file is an item
    #[schemars(schema_with = "short_source")]
    #[serde(default)]
    #[arg(
        long,
        help = "A JSONL or CSV file, or a folder in which each file is an item: its path, or {\"path\", \"glob\"}"
    )]
    pub source: Option<ItemSource>,
    /// If an item is bad: reject all, or skip the item
    #[serde(default = "OnBadItem::reject")]
    #[arg(long, default_value = "reject")]
    pub on_bad_item: OnBadItem,
    /// A repeated call with the same key returns the first reply
    #[arg(long)]
    pub request_key: Option<LineText>,
    /// Whether a finished batch is refused only if an item is new: for `tasktally run`, which repeats the call.
    #[serde(skip)]
    #[arg(skip)]
    pub only_if_new: bool,
}

fn short_source(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "properties": { "path": { "type": "string" }, "glob": { "type": "string" } },
        "required": ["path"]
    })
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
    const DESCRIPTION: &'static str = "More items for a running batch; known keys are left alone.";
    const EFFECT: Effect = Effect::WriteOnce;
    const LONG_RUNNING: bool = true;
    const POSITIONAL: &'static str = "id";
    type Reply = AddItemsReply;

    fn run(self, session: &Session) -> Result<AddItemsReply> {
        let request_key = RequestKey::new(self.request_key.as_ref().map(LineText::as_str), &self)?;
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
            key: &batch.key_field,
            split: &split,
            on_bad_item: self.on_bad_item,
            done: ADDED,
        };
        let Collected { mut staging, bad } = origin.collect(session)?;
        if staging.item_count() == 0 && bad.is_none() {
            return Err(origin.no_items(None));
        }
        // If a source has grown, most of its keys are known: they are looked up before the write, which holds the
        // write lock.
        let (mut staging, mut known, total) = session.read(move |tx| {
            let known = staging.remove_known(&mut |key| tx.has_item(batch.row, key))?;
            Ok((staging, known, tx.batch(batch.row)?.map(|batch| batch.counts.total)))
        })?;
        let mut resources = touched_resources(&batch, &mut staging)?;
        let (author, progress) = (session.caller().to_owned(), session.progress().clone());
        let id = self.id.clone();
        let mut reply = session.write(move |tx| {
            run_once(tx, request_key.as_ref(), Self::NAME, |tx| {
                let (task, batch) = find_batch(tx, &self.id)?;
                let has_grown = total != Some(batch.counts.total);
                if has_grown {
                    known += staging.remove_known(&mut |key| tx.has_item(batch.row, key))?;
                }
                let is_new = staging.item_count() > 0;
                if is_new || !self.only_if_new {
                    refuse_finished(&task)?;
                }
                if is_new && batch.on_conflict.is_none() && tx.count_resource_layers(batch.row)? > 0 {
                    return Err(unknown_rule(&task));
                }
                if has_grown {
                    resources = touched_resources(&batch, &mut staging)?;
                }
                let new = NewItems { staging: &mut staging, resources, progress: &progress };
                let added = add_to_batch(tx, &task, &batch, &split, new)?;
                if is_new {
                    append_receipt(tx, &task, &added, known, &author)?;
                }
                Ok(reply(&task, &batch, added, known, bad))
            })
        })?;
        reply.message += &start_runner(session, &id);
        Ok(reply)
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

/// The refusal of a batch whose chunks share resources, but whose rule was not stored.
fn unknown_rule(batch: &Task) -> Error {
    let message = format!(
        "Batch {} was made by an older version that did not store on_conflict: make another batch of these items with create_batch(), which compares what both touch",
        batch.id
    );
    Error::new(Code::Conflict, message)
}

/// Appends a receipt to the batch: what was added, and by whom.
fn append_receipt(tx: &dyn StoreWrite, batch: &Task, added: &Added, known: u64, author: &str) -> Result<()> {
    let text = format!("'{author}' added {}; {known} were there already.", describe(added));
    tx.append_receipt(batch, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    Ok(())
}

fn describe(added: &Added) -> String {
    format!(
        "{} items: {} added to unclaimed chunks, {} in {} new chunks",
        added.items,
        added.items - added.items_in_new_chunks,
        added.items_in_new_chunks,
        added.new_chunks
    )
}

fn reply(task: &Task, batch: &Batch, added: Added, known: u64, bad_items: Option<BadItems>) -> AddItemsReply {
    let sizes = added.chunks.iter().map(|chunk| (chunk.number, chunk.items));
    let shared = added.shared.describe(sizes, u64::try_from(batch.max_chunk).unwrap_or(1));
    let what = match added.items {
        0 => "Nothing is new".to_owned(),
        _ => format!("Added {}", describe(&added)),
    };
    AddItemsReply {
        success: true,
        message: format!("{what}; {known} were there already{shared}{}", left_out(bad_items.as_ref())),
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
        bad_items,
    }
}
