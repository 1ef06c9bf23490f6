//! What failed in a batch, with reasons.

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::status::Status;
use crate::model::task::Task;
use crate::store::{Filter, Read};

/// Something that failed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FailureView {
    /// The chunk.
    pub chunk: String,
    /// The item; none where the chunk itself failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Why.
    pub reason: String,
}

/// What failed in a batch: chunks first, then items, at most so many of each.
pub(in crate::ops) fn failures(tx: &dyn Read, batch: &Task, most: usize) -> Result<Vec<FailureView>> {
    let mut failures = Vec::new();
    let filter = Filter { parent: Some(batch.row), status: Some(Status::Failed), ..Filter::default() };
    for chunk in tx.list(&filter, None, most)? {
        let last = tx.receipt(chunk.row, chunk.receipts)?.map(|receipt| receipt.text).unwrap_or_default();
        let mut reason = cut(last);
        let reasons = tx.chunk(&chunk)?.map(|chunk| chunk.reasons).unwrap_or_default();
        // The last receipt mostly tells of the last attempt.
        let is_new = |line: &&str| !reason.contains(line.trim_end_matches('…'));
        let before = reasons.lines().filter(is_new).collect::<Vec<_>>().join(" ");
        if !before.is_empty() {
            reason = format!("{reason} Before: {before}");
        }
        failures.push(FailureView { chunk: chunk.id.to_string(), item: None, reason });
    }
    for (chunk, item) in tx.failed_items(batch.row, most)? {
        let number = item.settled.as_ref().map_or(0, |settled| settled.receipt);
        let text = tx.receipt(item.chunk, number)?.map(|receipt| receipt.text).ok_or_else(|| {
            Error::not_found(format!(
                "receipt {number} of chunk {chunk} is missing; tasktally verify says more"
            ))
        })?;
        failures.push(FailureView { chunk: chunk.to_string(), item: Some(item.key), reason: cut(text) });
    }
    Ok(failures)
}

/// The first 300 characters.
pub(in crate::ops) fn cut(text: String) -> String {
    cut_to(text, 300)
}

/// The first characters.
pub(in crate::ops) fn cut_to(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}
