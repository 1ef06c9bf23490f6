//! The receipts of a batch and its chunks in the order in which they were written.

use schemars::JsonSchema;
use serde::Serialize;

use super::batch_items::ItemFilter;
use super::page_bytes::cut_to_page;
use super::shorten::shorten_receipt_to;
use crate::error::Result;
use crate::model::author::AuthorKind;
use crate::model::field::visible_excerpt;
use crate::model::id::TaskId;
use crate::model::limits::PAGE_ROWS;
use crate::model::receipt::Receipt;
use crate::model::task::Task;
use crate::store::StoreRead;

/// A receipt of a batch with its change number and its task.
type NumberedReceipt = (u64, TaskId, Receipt);

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
    /// What its author is; absent if the store does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_kind: Option<AuthorKind>,
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

/// A page of receipts.
pub(in crate::ops) struct ReceiptPage {
    pub(in crate::ops) receipts: Vec<BatchReceipt>,
    /// The change number at which the page ends, if more receipts follow.
    pub(in crate::ops) last: Option<u64>,
    /// Whether there are earlier receipts, or may be: without `since` only the newest ones are searched.
    pub(in crate::ops) has_earlier: bool,
}

/// A page of a batch's receipts, oldest first: those after a change number, or the newest ones.
pub(in crate::ops) fn receipts(
    tx: &dyn StoreRead,
    batch: &Task,
    since: Option<u64>,
    filter: &ItemFilter,
) -> Result<ReceiptPage> {
    let views = |found: Vec<NumberedReceipt>| -> Vec<(u64, BatchReceipt)> {
        found.into_iter().map(|(change, task, receipt)| (change, view(batch, &task, receipt))).collect()
    };
    let (mut shown, last, has_earlier) = match since {
        None => {
            let (found, has_earlier) = latest_matching(tx, batch, filter)?;
            let mut newest_first = views(found);
            newest_first.reverse();
            let is_cut = cut_to_page(&mut newest_first);
            newest_first.reverse();
            (newest_first, None, has_earlier || is_cut)
        }
        Some(since) => {
            let mut shown = views(matching_since(tx, batch, since, filter)?);
            let more = shown.len() > RECEIPTS;
            shown.truncate(RECEIPTS);
            let more = cut_to_page(&mut shown) || more;
            let last = shown.last().filter(|_| more).map(|(change, _)| *change);
            (shown, last, false)
        }
    };
    let receipts = shown.drain(..).map(|(_, receipt)| receipt).collect();
    Ok(ReceiptPage { receipts, last, has_earlier })
}

/// The first matching receipts after a change number, one more than a page holds.
fn matching_since(
    tx: &dyn StoreRead,
    batch: &Task,
    mut since: u64,
    filter: &ItemFilter,
) -> Result<Vec<NumberedReceipt>> {
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

/// The newest matching receipts, among the newest ones of the batch, and whether there may be earlier ones.
fn latest_matching(
    tx: &dyn StoreRead,
    batch: &Task,
    filter: &ItemFilter,
) -> Result<(Vec<NumberedReceipt>, bool)> {
    let searched = if filter.is_all() { RECEIPTS } else { SEARCHED };
    let mut found = tx.latest_batch_receipts(batch.row, searched + 1)?;
    let has_unsearched = found.len() > searched;
    if has_unsearched {
        found.remove(0);
    }
    found.retain(|(_, task, receipt)| filter.matches_receipt(task, receipt));
    let earlier = found.len().saturating_sub(RECEIPTS);
    Ok((found.split_off(earlier), has_unsearched || earlier > 0))
}

fn view(batch: &Task, task: &TaskId, receipt: Receipt) -> BatchReceipt {
    let name = |name: Option<String>| name.map(|name| visible_excerpt(&name, NAME_CHARS));
    BatchReceipt {
        chunk: (*task != batch.id).then(|| task.to_string()),
        number: receipt.number,
        at: receipt.at.to_string(),
        author: visible_excerpt(&receipt.author, NAME_CHARS),
        author_kind: receipt.author_kind,
        text: shorten_receipt_to(receipt.text, TEXT_CHARS, task, receipt.number),
        // The key is not shortened: callers pass it to get_task and control_batch.
        item: receipt.item,
        outcome: receipt.outcome.map(|report| report.to_string()),
        category: name(receipt.category),
        step: receipt.step,
        late: receipt.late,
    }
}
