//! What was written of a batch, by its workers, its reviewers and Tasktally itself, in the order of writing.

use schemars::JsonSchema;
use serde::Serialize;

use super::failures::cut_to;
use crate::error::Result;
use crate::model::field::visible;
use crate::model::id::TaskId;
use crate::model::receipt::Receipt;
use crate::model::task::Task;
use crate::store::Read;

/// How many receipts a reply shows.
const RECEIPTS: usize = 20;
/// How many characters of a receipt are shown; `get_task` has all of them.
const TEXT_CHARS: usize = 160;
/// How many characters of a name are shown.
const NAME_CHARS: usize = 60;

/// A receipt of a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BatchReceipt {
    /// The chunk; none where it is the batch's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<String>,
    /// Its number there.
    pub number: u64,
    /// When it was written.
    pub at: String,
    /// By whom.
    pub author: String,
    /// Its beginning.
    pub text: String,
    /// The item that it tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What it tells of that item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// What the item was found to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The step that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Whether it came with a lost claim: kept, not counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// The receipts of a page, oldest first: those after a change, or the newest there are. Where more
/// follow, the change that the page ends with.
pub(in crate::ops) fn receipts(
    tx: &dyn Read,
    batch: &Task,
    since: Option<u64>,
) -> Result<(Vec<BatchReceipt>, Option<u64>)> {
    let mut found = match since {
        Some(since) => tx.batch_receipts(batch.row, since, RECEIPTS + 1)?,
        None => tx.last_batch_receipts(batch.row, RECEIPTS)?,
    };
    let more = found.len() > RECEIPTS;
    found.truncate(RECEIPTS);
    let last = found.last().filter(|_| more).map(|(changed, ..)| *changed);
    let of = |task: TaskId| (task != batch.id).then(|| task.to_string());
    let shown = found.into_iter().map(|(_, task, receipt)| shown(of(task), receipt)).collect();
    Ok((shown, last))
}

fn shown(chunk: Option<String>, receipt: Receipt) -> BatchReceipt {
    let name = |name: Option<String>| name.map(|name| visible(&name, NAME_CHARS));
    BatchReceipt {
        chunk,
        number: receipt.number,
        at: receipt.at.to_string(),
        author: visible(&receipt.author, NAME_CHARS),
        text: cut_to(receipt.text, TEXT_CHARS),
        // A key is given whole, for it is what get_task and retry go by.
        item: receipt.item,
        outcome: receipt.outcome.map(|told| told.to_string()),
        category: name(receipt.category),
        step: receipt.step,
        late: receipt.late,
    }
}
