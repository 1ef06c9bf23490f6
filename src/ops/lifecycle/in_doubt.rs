//! Items that were begun: the mark, what becomes of those never settled, and how they are told of.

use serde_json::{Value, json};

use super::transition::batch_of;
use crate::error::Result;
use crate::model::batch::{Chunk, StoredItem};
use crate::model::in_doubt::{InDoubt, Started, is_in_doubt};
use crate::model::receipt::item_text;
use crate::model::status::{ItemReport, Outcome, Status};
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::store::{NewReceipt, Read, Write};

/// How many items a receipt names.
const NAMED: usize = 10;

/// Appends the receipt that says an item is begun, and marks the item; gives its number. The same
/// holder's second one is the first.
pub(in crate::ops) fn begin(
    tx: &dyn Write,
    task: &Task,
    chunk: &Chunk,
    item: &StoredItem,
    receipt: NewReceipt<'_>,
) -> Result<(u64, bool)> {
    if let Some(started) = item.started
        && started.generation == task.generation
    {
        return Ok((started.receipt, true));
    }
    let made;
    let text = if receipt.text.trim().is_empty() {
        made = item_text(&item.key, ItemReport::Started, receipt.category);
        &made
    } else {
        receipt.text
    };
    let number = tx.append(
        task,
        &NewReceipt {
            text,
            item: Some(&item.key),
            outcome: Some(ItemReport::Started),
            step: chunk.step_name.as_deref(),
            ..receipt
        },
    )?;
    tx.begin(item, Started { receipt: number, generation: task.generation })?;
    Ok((number, false))
}

/// By the batch's rule, what becomes of the items that a chunk's holder began and didn't settle, now
/// that its claim ends; gives the status that the chunk comes to.
pub(in crate::ops) fn settle_begun(tx: &dyn Write, before: &Task, after: &Task) -> Result<Status> {
    let ends = before.status == Status::InProgress && after.status != Status::InProgress;
    if !ends || after.status == Status::Cancelled {
        return Ok(after.status);
    }
    let (Some(chunk), Some(batch)) = (tx.chunk(before)?, batch_of(tx, before)?) else {
        return Ok(after.status);
    };
    if batch.in_doubt == InDoubt::Retry {
        return Ok(after.status);
    }
    let begun = tx.begun(&chunk)?;
    if begun.is_empty() {
        return Ok(after.status);
    }
    if batch.in_doubt == InDoubt::Skip {
        for item in &begun {
            let (since, by) = since_and_by(tx, &chunk, item)?;
            let text = format!("- {}: skipped, it may have happened: '{by}' began it at {since}", item.key);
            settle(tx, before, &chunk, item, &text, "tasktally", Outcome::Skipped)?;
        }
        return Ok(after.status);
    }
    if !matches!(after.status, Status::Active | Status::Failed | Status::Blocked) {
        return Ok(after.status);
    }
    let mut keys: Vec<String> = begun.iter().take(NAMED).map(|item| excerpt(&item.key)).collect();
    if begun.len() > NAMED {
        keys.push(format!("{} more", begun.len() - NAMED));
    }
    let text = format!(
        "Begun and never settled, a person decides whether it happened (review_batch): {}.",
        keys.join(", ")
    );
    tx.append(before, &NewReceipt { author: "tasktally", text: &text, ..NewReceipt::default() })?;
    Ok(Status::Review)
}

/// Settles what of a chunk is in doubt as done, on a person's word; gives how many items.
pub(in crate::ops) fn take_for_done(
    tx: &dyn Write,
    task: &Task,
    chunk: &Chunk,
    reviewer: &str,
) -> Result<usize> {
    let begun = tx.begun(chunk)?;
    for item in &begun {
        let text = format!("- {}: done, as '{reviewer}' says; it was begun and never settled", item.key);
        settle(tx, task, chunk, item, &text, reviewer, Outcome::Done)?;
    }
    Ok(begun.len())
}

/// Settles an item that its worker left open.
pub(in crate::ops) fn settle(
    tx: &dyn Write,
    task: &Task,
    chunk: &Chunk,
    item: &StoredItem,
    text: &str,
    author: &str,
    outcome: Outcome,
) -> Result<()> {
    let receipt = NewReceipt {
        author,
        text,
        item: Some(&item.key),
        outcome: Some(outcome.into()),
        step: chunk.step_name.as_deref(),
        ..NewReceipt::default()
    };
    let number = tx.append(task, &receipt)?;
    tx.settle_item(chunk, item, outcome, None, number)
}

/// When an item in doubt was begun, and by whom.
pub(in crate::ops) fn since_and_by(
    tx: &dyn Read,
    chunk: &Chunk,
    item: &StoredItem,
) -> Result<(String, String)> {
    let receipt = match item.started {
        Some(started) => tx.receipt(chunk.row, started.receipt)?,
        None => None,
    };
    Ok(receipt.map_or_else(
        || ("an unknown time".to_owned(), "somebody".to_owned()),
        |receipt| (receipt.at.to_string(), receipt.author),
    ))
}

/// What whoever gets an item is told where it may have happened.
pub(in crate::ops) fn told(
    tx: &dyn Read,
    task: &Task,
    chunk: &Chunk,
    item: &StoredItem,
) -> Result<Option<Value>> {
    if !is_in_doubt(item, task, tx.now()) {
        return Ok(None);
    }
    let (since, by) = since_and_by(tx, chunk, item)?;
    Ok(Some(json!({ "since": since, "by": by })))
}
