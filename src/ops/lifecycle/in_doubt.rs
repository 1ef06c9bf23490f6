//! Started items: the mark on them, and what the batch's `in_doubt` rule does with those that were never settled.

use super::kept_category::earlier_category;
use super::reviewer::Reviewer;
use crate::error::Result;
use crate::model::author::{Author, SYSTEM};
use crate::model::batch::{Chunk, StoredItem};
use crate::model::in_doubt::{InDoubtPolicy, StartedReport};
use crate::model::receipt::default_item_text;
use crate::model::status::{ItemReport, Outcome, Status};
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::ops::request::lookup::batch_of_chunk;
use crate::ops::views::in_doubt::ItemStart;
use crate::store::{NewReceipt, StoreWrite};

/// The most items that a receipt names.
const NAMED: usize = 10;

/// The start of an item, as it is stored.
pub(in crate::ops) struct RecordedStart {
    /// The number of its receipt.
    pub(in crate::ops) number: u64,
    /// Whether the same claim had already started the item, and meant to do the same.
    pub(in crate::ops) duplicate: bool,
    /// What it was about to do.
    pub(in crate::ops) category: Option<String>,
}

/// Appends the receipt that an item was started, and marks the item.
pub(in crate::ops) fn record_start(
    tx: &dyn StoreWrite,
    task: &Task,
    chunk: &Chunk,
    item: &StoredItem,
    receipt: NewReceipt<'_>,
) -> Result<RecordedStart> {
    if let Some(started) = item.started
        && started.generation == task.generation
    {
        let category = ItemStart::of(tx, chunk, item)?.category;
        // A worker that changed its mind says so: a person may have to decide on what it was about to do.
        if receipt.category.is_none() || receipt.category == category.as_deref() {
            return Ok(RecordedStart { number: started.receipt, duplicate: true, category });
        }
    }
    let category = receipt.category.map(str::to_owned);
    let default_text;
    let text = if receipt.text.trim().is_empty() {
        default_text = default_item_text(&item.key, ItemReport::Started, receipt.category);
        &default_text
    } else {
        receipt.text
    };
    let number = tx.append_receipt(
        task,
        &NewReceipt {
            text,
            item: Some(&item.key),
            outcome: Some(ItemReport::Started),
            step: chunk.step_name.as_deref(),
            ..receipt
        },
    )?;
    tx.mark_started(item, StartedReport { receipt: number, generation: task.generation })?;
    Ok(RecordedStart { number, duplicate: false, category })
}

/// Applies the batch's `in_doubt` rule when a claim on a chunk ends: decides what happens to the items that were
/// started and not settled. Returns the status that the chunk gets.
pub(in crate::ops) fn resolve_in_doubt(tx: &dyn StoreWrite, before: &Task, after: &Task) -> Result<Status> {
    let claim_ends = before.status == Status::InProgress && after.status != Status::InProgress;
    if !claim_ends || after.status == Status::Cancelled {
        return Ok(after.status);
    }
    let (Some(chunk), Some(batch)) = (tx.chunk(before)?, batch_of_chunk(tx, before)?) else {
        return Ok(after.status);
    };
    if batch.in_doubt == InDoubtPolicy::Retry {
        return Ok(after.status);
    }
    let started = tx.started_items(&chunk)?;
    if started.is_empty() {
        return Ok(after.status);
    }
    if batch.in_doubt == InDoubtPolicy::Skip {
        for item in &started {
            let start = ItemStart::of(tx, &chunk, item)?;
            let (by, since) = (&start.by, start.since());
            let text = format!("- {}: skipped, in doubt: '{by}' started it at {since}", item.key);
            let settlement = Settlement { outcome: Outcome::Skipped, category: None };
            settle_item(tx, before, &chunk, item, &text, &SYSTEM, settlement)?;
        }
        return Ok(after.status);
    }
    if !matches!(after.status, Status::Active | Status::Failed | Status::Blocked) {
        return Ok(after.status);
    }
    let mut keys: Vec<String> = started.iter().take(NAMED).map(|item| excerpt(&item.key)).collect();
    if started.len() > NAMED {
        keys.push(format!("{} more", started.len() - NAMED));
    }
    let text = format!(
        "Started and never settled: {}. A person decides whether they happened: review_batch(id=\"{}\").",
        keys.join(", "),
        chunk.batch_id
    );
    tx.append_receipt(before, &NewReceipt { text: &text, ..NewReceipt::default() })?;
    Ok(Status::Review)
}

/// Settles the items in doubt of a chunk as done, because a person approved, with the categories that their workers named
/// when they started them. Returns the number of items.
pub(in crate::ops) fn settle_in_doubt_as_done(
    tx: &dyn StoreWrite,
    task: &Task,
    chunk: &Chunk,
    reviewer: &Reviewer,
) -> Result<usize> {
    let started = tx.started_items(chunk)?;
    for item in &started {
        let text = format!("- {}: done, approved by {reviewer}; it was started and never settled", item.key);
        let named = ItemStart::of(tx, chunk, item)?.category;
        let category = named.map_or_else(|| earlier_category(tx, chunk, item), |named| Ok(Some(named)))?;
        let settlement = Settlement { outcome: Outcome::Done, category: category.as_deref() };
        settle_item(tx, task, chunk, item, &text, &reviewer.author, settlement)?;
    }
    Ok(started.len())
}

/// How an item is settled.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Settlement<'a> {
    pub(in crate::ops) outcome: Outcome,
    pub(in crate::ops) category: Option<&'a str>,
}

/// Settles an item that its worker left open, with a receipt.
pub(in crate::ops) fn settle_item(
    tx: &dyn StoreWrite,
    task: &Task,
    chunk: &Chunk,
    item: &StoredItem,
    text: &str,
    author: &Author,
    Settlement { outcome, category }: Settlement<'_>,
) -> Result<()> {
    let receipt = NewReceipt {
        author,
        text,
        item: Some(&item.key),
        outcome: Some(outcome.into()),
        category,
        step: chunk.step_name.as_deref(),
        ..NewReceipt::default()
    };
    let number = tx.append_receipt(task, &receipt)?;
    tx.settle_item(chunk, item, outcome, category, number)
}
