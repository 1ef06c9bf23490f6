//! The failures of a batch, with reasons.

use schemars::JsonSchema;
use serde::Serialize;

use super::page_bytes::cut_to_page;
use super::shorten::{shorten_receipt, shorten_to};
use crate::error::{Error, Result};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::store::{StoreRead, TaskFilter};

/// The most characters of the reasons of earlier attempts.
const EARLIER_CHARS: usize = 1_000;

/// A failed, blocked or rejected chunk, or a failed item.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FailureView {
    /// The chunk's id.
    pub chunk: String,
    /// The item's key; absent if the chunk itself failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Why it failed.
    pub reason: String,
}

/// The failures of a batch, at most `max` chunks followed by at most `max` items, and no more than fit into a page.
pub(in crate::ops) fn failures(tx: &dyn StoreRead, batch: &Task, max: usize) -> Result<Vec<FailureView>> {
    let mut failures = Vec::new();
    let mut chunks = Vec::new();
    for status in [Status::Failed, Status::Blocked, Status::Rejected] {
        let filter = TaskFilter::children_of(batch.row).with_status(status);
        chunks.extend(tx.list(&filter, None, max - chunks.len())?);
    }
    for chunk in chunks {
        let last =
            tx.receipt(chunk.row, chunk.receipt_count)?.map(|receipt| receipt.text).unwrap_or_default();
        let mut reason = shorten_receipt(last, &chunk.id, chunk.receipt_count);
        let reasons = tx.chunk(&chunk)?.map(|chunk| chunk.release_reasons).unwrap_or_default();
        // The last receipt usually repeats the reason of the last attempt.
        let is_new = |line: &&str| !reason.contains(line.trim_end_matches('…'));
        let earlier = reasons.lines().filter(is_new).collect::<Vec<_>>().join(" ");
        if !earlier.is_empty() {
            reason = format!("{reason} Earlier attempts: {}", shorten_to(earlier, EARLIER_CHARS));
        }
        failures.push(FailureView { chunk: chunk.id.to_string(), item: None, reason });
    }
    for (chunk, item) in tx.failed_items(batch.row, max)? {
        let number = item.settled.as_ref().map_or(0, |settled| settled.receipt);
        let text = tx.receipt(item.chunk_row, number)?.map(|receipt| receipt.text).ok_or_else(|| {
            Error::not_found(format!("Receipt {number} of chunk {chunk} is missing: the store is damaged"))
        })?;
        let reason = shorten_receipt(text, &chunk, number);
        failures.push(FailureView { chunk: chunk.to_string(), item: Some(item.key), reason });
    }
    cut_to_page(&mut failures);
    Ok(failures)
}
