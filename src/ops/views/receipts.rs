//! The receipts of a batch and its chunks in the order in which they were written.

use schemars::JsonSchema;
use serde::Serialize;

use super::batch_items::ItemFilter;
use super::shorten::shorten_to;
use crate::error::Result;
use crate::model::field::visible_excerpt;
use crate::model::id::TaskId;
use crate::model::limits::PAGE_ROWS;
use crate::model::receipt::Receipt;
use crate::model::task::Task;
use crate::store::StoreRead;

/// The most receipts of a reply.
const RECEIPTS: usize = 20;
/// How many of the newest receipts are searched for matching ones if no `since` is given.
const SEARCHED: usize = 5_000;
/// The most characters of a receipt's text; `get_task` shows it whole.
const TEXT_CHARS: usize = 160;
/// The most characters of an author's or a category's name.
const NAME_CHARS: usize = 60;

/// A receipt of a batch in a reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BatchReceipt {
    /// The chunk's id; absent for a receipt on the batch's own task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<String>,
    /// The receipt's number in the body of its task.
    pub number: u64,
    /// When the receipt was written.
    pub at: String,
    /// Who wrote the receipt.
    pub author: String,
    /// The start of the text.
    pub text: String,
    /// The key of the item that the receipt reports on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// What the receipt reports on the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The category of the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The step in which the receipt was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Whether the receipt came with a lost claim: it is kept and not counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// A page of a batch's receipts, oldest first: those after a change number, or the newest ones. If more receipts
/// follow, also the change number at which the page ends.
pub(in crate::ops) fn receipts(
    tx: &dyn StoreRead,
    batch: &Task,
    since: Option<u64>,
    filter: &ItemFilter,
) -> Result<(Vec<BatchReceipt>, Option<u64>)> {
    let mut found = match since {
        None if filter.is_all() => tx.latest_batch_receipts(batch.row, RECEIPTS)?,
        None => latest_matching(tx, batch, filter)?,
        Some(since) => matching_since(tx, batch, since, filter)?,
    };
    let more = found.len() > RECEIPTS;
    found.truncate(RECEIPTS);
    let last = found.last().filter(|_| more).map(|(change, ..)| *change);
    let chunk = |task: TaskId| (task != batch.id).then(|| task.to_string());
    let views = found.into_iter().map(|(_, task, receipt)| view(chunk(task), receipt)).collect();
    Ok((views, last))
}

/// The first matching receipts after a change number, one more than a page holds.
fn matching_since(
    tx: &dyn StoreRead,
    batch: &Task,
    mut since: u64,
    filter: &ItemFilter,
) -> Result<Vec<(u64, TaskId, Receipt)>> {
    let mut found = Vec::new();
    loop {
        let page = tx.batch_receipts_since(batch.row, since, PAGE_ROWS)?;
        let Some((last, ..)) = page.last() else { return Ok(found) };
        since = *last;
        found.extend(page.into_iter().filter(|(_, task, receipt)| filter.matches_receipt(task, receipt)));
        if found.len() > RECEIPTS {
            found.truncate(RECEIPTS + 1);
            return Ok(found);
        }
    }
}

/// The newest matching receipts, among the newest ones of the batch.
fn latest_matching(
    tx: &dyn StoreRead,
    batch: &Task,
    filter: &ItemFilter,
) -> Result<Vec<(u64, TaskId, Receipt)>> {
    let mut found = tx.latest_batch_receipts(batch.row, SEARCHED)?;
    found.retain(|(_, task, receipt)| filter.matches_receipt(task, receipt));
    Ok(found.split_off(found.len().saturating_sub(RECEIPTS)))
}

fn view(chunk: Option<String>, receipt: Receipt) -> BatchReceipt {
    let name = |name: Option<String>| name.map(|name| visible_excerpt(&name, NAME_CHARS));
    BatchReceipt {
        chunk,
        number: receipt.number,
        at: receipt.at.to_string(),
        author: visible_excerpt(&receipt.author, NAME_CHARS),
        text: shorten_to(receipt.text, TEXT_CHARS),
        // The key is not shortened: callers pass it to get_task and control_batch.
        item: receipt.item,
        outcome: receipt.outcome.map(|report| report.to_string()),
        category: name(receipt.category),
        step: receipt.step,
        late: receipt.late,
    }
}
