//! `add_items`: more items for a batch that isn't finished; what it has already is left alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conflicts::detect::{Independence, Looking};
use super::create_batch::{PlannedBatch, PlannedChunk};
use super::ingest::bad_items::{BadItems, OnBadItem, left_out};
use super::ingest::collect::{Collected, Inline, Origin, inline, objects_or_strings};
use super::ingest::extend::{Grown, grow};
use super::request::idempotency::{Repeatable, RequestKey, run_once, stored_response};
use super::request::lookup::find_batch;
use super::runners::start::start_runner;
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::items::ItemSource;
use crate::model::batch::Batch;
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::limits::PAGE_ROWS;
use crate::model::status::Status;
use crate::model::task::Task;
use crate::model::text::LineText;
use crate::store::{NewReceipt, Staging, StoreWrite};

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct AddItems {
    /// The batch.
    #[schemars(description = "")]
    #[arg(long)]
    pub id: TaskId,
    /// Objects, or strings that are their own keys.
    #[schemars(description = "")]
    #[arg(long, value_parser = inline, help = "a JSON array of objects or strings")]
    #[serde(default)]
    #[schemars(schema_with = "objects_or_strings")]
    pub items: Option<Inline>,
    /// A JSONL or CSV file, or a folder: its path, or {"path", "glob"}.
    #[schemars(description = "", schema_with = "short_source")]
    #[serde(default)]
    #[arg(long)]
    pub source: Option<ItemSource>,
    /// Bad items: reject (nothing is stored) or skip (they are left out); they are listed either way.
    #[schemars(description = "")]
    #[serde(default = "OnBadItem::reject")]
    #[arg(long, default_value = "reject")]
    pub on_bad_item: OnBadItem,
    /// Repeating it answers the same.
    #[schemars(description = "")]
    #[arg(long)]
    pub request_key: Option<LineText>,
    /// Whether a finished batch is only refused where something is new; for `tasktally run`.
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
    /// Whether it was done.
    pub success: bool,
    /// What was done.
    pub message: String,
    /// Whether the same request was answered before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duplicate: Option<bool>,
    /// The batch as it stands now.
    pub batch: PlannedBatch,
    /// How many items are new.
    pub added: u64,
    /// How many were there already.
    pub known: u64,
    /// The first chunks that took new items.
    pub chunks: Vec<PlannedChunk>,
    /// What was left out.
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
        // Before the source is read: it may be gone by the time the request is repeated.
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
            done: "added",
        };
        let Collected { mut staging, bad } = origin.collect(session)?;
        if staging.groups()?.is_empty() && bad.is_none() {
            return Err(origin.empty(None));
        }
        // Where a source grew most is known: told before the write's turn comes, so that nobody waits for it.
        let (mut staging, mut known, seen) = session.read(move |tx| {
            let known = staging.leave_out(&mut |key| tx.has_item(batch.row, key))?;
            Ok((staging, known, tx.batch(batch.row)?.map(|batch| batch.counts.total)))
        })?;
        let mut looked = look(&batch, staging.as_mut())?;
        let (author, watcher) = (session.caller().to_owned(), session.progress().clone());
        let id = self.id.clone();
        let mut reply = session.write(move |tx| {
            run_once(tx, request_key.as_ref(), Self::NAME, |tx| {
                let (task, batch) = find_batch(tx, &self.id)?;
                if seen != Some(batch.counts.total) {
                    known += staging.leave_out(&mut |key| tx.has_item(batch.row, key))?;
                }
                let added = staging.groups()?.iter().map(|(_, count)| count).sum::<u64>();
                if added > 0 || !self.only_if_new {
                    refuse_finished(&task)?;
                }
                if added > 0 && batch.on_conflict.is_none() && tx.count_resource_layers(batch.row)? > 0 {
                    return Err(Error::new(Code::Conflict, unseen(&task)));
                }
                if seen != Some(batch.counts.total) {
                    looked = look(&batch, staging.as_mut())?;
                }
                let grown = grow(tx, &task, &batch, &split, staging.as_mut(), looked, &watcher)?;
                if added > 0 {
                    tell(tx, &task, &grown, known, &author)?;
                }
                Ok(reply(&task, &batch, grown, known, bad))
            })
        })?;
        reply.message += &start_runner(session, &id);
        Ok(reply)
    }
}

/// Refuses what is over: its workers have gone.
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

/// Looks at what new items touch, where the batch's rule is not to allow everything.
fn look(batch: &Batch, staging: &mut dyn Staging) -> Result<Option<Independence>> {
    match batch.on_conflict {
        None | Some(OnConflict::Allow) => Ok(None),
        Some(rule) => Independence::look(Looking { rule, fields: &batch.resources, done: "added" }, staging),
    }
}

/// What is told where a batch holds its chunks to be independent, and is too old to tell by which rule.
fn unseen(batch: &Task) -> String {
    format!(
        "Batch {} was made by an older tasktally that didn't keep its on_conflict: make a batch of its own for these items with create_batch(); it is worked on beside this one",
        batch.id
    )
}

/// Leaves on record who added what.
fn tell(tx: &dyn StoreWrite, batch: &Task, grown: &Grown, known: u64, author: &str) -> Result<()> {
    let text = format!("'{author}' added {}; {known} were there already.", counted(grown));
    tx.append_receipt(batch, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
    Ok(())
}

fn counted(grown: &Grown) -> String {
    format!(
        "{} items: {} to chunks that nobody has claimed, {} in {} new chunks",
        grown.items,
        grown.items - grown.in_new_chunks,
        grown.in_new_chunks,
        grown.new_chunks
    )
}

fn reply(task: &Task, batch: &Batch, grown: Grown, known: u64, bad_items: Option<BadItems>) -> AddItemsReply {
    let sizes = grown.chunks.iter().map(|chunk| (chunk.number, chunk.items));
    let shared = grown.found.told(sizes, u64::try_from(batch.max_chunk).unwrap_or(1));
    let what = match grown.items {
        0 => "Nothing is new".to_owned(),
        _ => format!("Added {}", counted(&grown)),
    };
    AddItemsReply {
        success: true,
        message: format!("{what}; {known} were there already{shared}{}", left_out(bad_items.as_ref())),
        duplicate: None,
        batch: PlannedBatch {
            id: Some(task.id.to_string()),
            title: task.title.clone(),
            items: batch.counts.total + grown.items,
            chunks: batch.chunk_count + grown.new_chunks,
        },
        added: grown.items,
        known,
        chunks: grown.chunks.into_iter().take(PAGE_ROWS / 2).collect(),
        bad_items,
    }
}
