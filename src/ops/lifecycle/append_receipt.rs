//! Appends receipts: checks the claim, settles the item, and keeps a receipt that comes with a lost token.
//!
//! The store numbers a task's receipts in [`StoreWrite::append_receipt`].

use super::in_doubt::{RecordedStart, record_start};
use super::kept_category::earlier_category;
use super::pause::pause_if_too_many_failed;
use crate::error::{Code, Error, Result};
use crate::model::author::Author;
use crate::model::batch::{Chunk, SettleDecision, StoredItem, settle};
use crate::model::claim_rules::{ClaimAuthority, claim_authority, claim_lost_error};
use crate::model::cost::Cost;
use crate::model::id::Token;
use crate::model::late_receipts::{late_receipt_quota, not_kept};
use crate::model::receipt::default_item_text;
use crate::model::repeated_report::ReportContent;
use crate::model::status::{ItemReport, Outcome};
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::ops::views::written_receipt::ReceiptView;
use crate::store::{NewReceipt, StoreWrite};

/// A receipt as it comes in a request.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ops) struct IncomingReceipt<'a> {
    /// The token of the request.
    pub(in crate::ops) token: Option<&'a Token>,
    /// The author, unless the token belongs to a claim, whose worker is the author then.
    pub(in crate::ops) author: &'a Author,
    /// The text.
    pub(in crate::ops) text: Option<&'a str>,
    /// The key of the item that the receipt reports on.
    pub(in crate::ops) item: Option<&'a str>,
    /// What the receipt reports on the item.
    pub(in crate::ops) outcome: Option<ItemReport>,
    /// The category of the item.
    pub(in crate::ops) category: Option<&'a str>,
    /// The cost of the work.
    pub(in crate::ops) cost: Option<&'a Cost>,
    /// The most late receipts that are kept for each claim of the task.
    pub(in crate::ops) max_late: u64,
}

impl<'a> IncomingReceipt<'a> {
    /// The report that the claim's holder starts an item.
    pub(in crate::ops) fn item_started(token: Option<&'a Token>, author: &'a Author, item: &'a str) -> Self {
        IncomingReceipt {
            token,
            author,
            item: Some(item),
            outcome: Some(ItemReport::Started),
            ..IncomingReceipt::default()
        }
    }
}

/// Appends a receipt, and renews the lease if it comes from the claim's holder.
///
/// # Errors
/// `claim_lost` with the number of the late receipt that was kept; `claim_required`, `not_found`,
/// `invalid_argument` or `conflict` if nothing was kept.
pub(in crate::ops) fn append_receipt(
    tx: &dyn StoreWrite,
    task: &Task,
    incoming: &IncomingReceipt<'_>,
) -> Result<ReceiptView> {
    let authority = claim_authority(task, incoming.token, tx.now());
    if let (ClaimAuthority::StaleToken, Some(token)) = (authority, incoming.token) {
        return Err(append_late_receipt(tx, task, incoming, claim_lost_error(task, token, tx.now()))?);
    }
    let author = match (authority, &task.claim) {
        (ClaimAuthority::LiveToken, Some(claim)) => incoming.author.named(&claim.worker),
        _ => incoming.author.clone(),
    };
    let lease_until = task
        .claim
        .as_ref()
        .filter(|claim| {
            // An open claim has no token: its holder is recognized by name.
            let own_open =
                claim.token.is_none() && claim.worker == author.name() && task.live_claim(tx.now()).is_some();
            authority == ClaimAuthority::LiveToken || own_open
        })
        .and_then(|claim| claim.expiry_worth_renewing(tx.now()));
    let receipt = NewReceipt {
        author: &author,
        text: incoming.text.unwrap_or_default(),
        category: incoming.category,
        lease_until,
        cost: incoming.cost.cloned().unwrap_or_default(),
        ..NewReceipt::default()
    };
    match incoming.item {
        Some(key) => append_item_receipt(tx, task, incoming, key, authority, receipt),
        None => Ok(ReceiptView::new(tx.append_receipt(task, &receipt)?)),
    }
}

/// Renews the lease of the task's claim.
pub(in crate::ops) fn renew_lease(tx: &dyn StoreWrite, task: &Task) -> Result<()> {
    match &task.claim {
        Some(claim) => tx.renew_lease(task, claim.renewed_expiry(tx.now())),
        None => Ok(()),
    }
}

fn append_item_receipt(
    tx: &dyn StoreWrite,
    task: &Task,
    incoming: &IncomingReceipt<'_>,
    key: &str,
    authority: ClaimAuthority,
    receipt: NewReceipt<'_>,
) -> Result<ReceiptView> {
    let (chunk, item, report) = find_item(tx, task, incoming, key, authority)?;
    let left = chunk.counts.total - chunk.counts.processed();
    let Some(outcome) = report.outcome() else {
        if let Some(settled) = &item.settled {
            return Err(Error::new(
                Code::Conflict,
                format!(
                    "Item '{}' is already {} by receipt {}; do not process it again, continue with the next item",
                    item.key, settled.outcome, settled.receipt
                ),
            ));
        }
        let RecordedStart { number, duplicate, category } = record_start(tx, task, &chunk, &item, receipt)?;
        return Ok(ReceiptView {
            outcome: Some(report),
            category,
            duplicate,
            items_left: Some(left),
            ..ReceiptView::new(number)
        });
    };
    if let SettleDecision::SameOutcome(settled_by) = settle(&item, outcome, &chunk.batch_id)? {
        let view = ReceiptView {
            outcome: Some(report),
            category: item.settled.as_ref().and_then(|settled| settled.category.clone()),
            items_left: Some(left),
            ..ReceiptView::new(settled_by)
        };
        let content = ReportContent { text: incoming.text, category: incoming.category, cost: &receipt.cost };
        let stored = tx.receipts(task.row, settled_by - 1, usize::MAX >> 1)?;
        let of_item = stored.iter().filter(|stored| !stored.late && stored.item.as_deref() == Some(key));
        if let Some(number) = content.repeated_receipt(of_item) {
            renew_lease(tx, task)?;
            return Ok(ReceiptView { number, duplicate: true, ..view });
        }
        let number = append_report(tx, task, &chunk, incoming, key, report, receipt)?;
        return Ok(ReceiptView { number, settled_by: Some(settled_by), ..view });
    }
    // A failure must not look like the result of the step before.
    let earlier = match (incoming.category, outcome) {
        (None, Outcome::Done) => earlier_category(tx, &chunk, &item)?,
        _ => None,
    };
    let category = incoming.category.or(earlier.as_deref());
    let receipt = NewReceipt { category, ..receipt };
    let number = append_report(tx, task, &chunk, incoming, key, report, receipt)?;
    tx.settle_item(&chunk, &item, outcome, category, number)?;
    if outcome == Outcome::Failed {
        pause_if_too_many_failed(tx, &chunk)?;
    }
    Ok(ReceiptView {
        outcome: Some(report),
        category: category.map(str::to_owned),
        items_left: Some(left - 1),
        ..ReceiptView::new(number)
    })
}

/// Appends a report on an item, with a text of the server if the worker gave none. Returns the receipt's number.
fn append_report(
    tx: &dyn StoreWrite,
    task: &Task,
    chunk: &Chunk,
    incoming: &IncomingReceipt<'_>,
    key: &str,
    report: ItemReport,
    receipt: NewReceipt<'_>,
) -> Result<u64> {
    let default_text;
    let text = match incoming.text.filter(|text| !text.trim().is_empty()) {
        Some(text) => text,
        None => {
            default_text = default_item_text(key, report, incoming.category);
            &default_text
        }
    };
    let step = chunk.step_name.as_deref();
    tx.append_receipt(task, &NewReceipt { text, item: Some(key), outcome: Some(report), step, ..receipt })
}

/// The item that a receipt reports on, its chunk and the report. Only the holder of the chunk's claim may report.
fn find_item(
    tx: &dyn StoreWrite,
    task: &Task,
    incoming: &IncomingReceipt<'_>,
    key: &str,
    authority: ClaimAuthority,
) -> Result<(Chunk, StoredItem, ItemReport)> {
    let Some(chunk) = tx.chunk(task)? else {
        return Err(Error::invalid(format!(
            "item: task {} is not a chunk and has no items; pass id and body only",
            task.id
        )));
    };
    if authority != ClaimAuthority::LiveToken {
        return Err(Error::new(
            Code::ClaimRequired,
            format!(
                "claim: a receipt for an item needs the chunk's claim; claim_task(id=\"{}\") returns claim.token",
                task.id
            ),
        ));
    }
    let Some(report) = incoming.outcome else {
        return Err(Error::invalid(format!(
            "outcome: missing for item '{}'; allowed: done, failed, skipped, or started before you act",
            excerpt(key)
        )));
    };
    let item =
        tx.item(chunk.batch_row, key)?.filter(|item| item.chunk_row == chunk.row).ok_or_else(|| {
            Error::not_found(format!(
                "item: chunk {0} has no item '{1}'; get_task(id=\"{0}\") shows its open items",
                task.id,
                excerpt(key)
            ))
        })?;
    Ok((chunk, item, report))
}

/// Keeps the receipt of a worker that lost its claim, marked late: what it reports may have happened. A late
/// receipt never counts. Returns the refusal with the number of the kept receipt, or the reason why it was not kept.
pub(in crate::ops) fn append_late_receipt(
    tx: &dyn StoreWrite,
    task: &Task,
    incoming: &IncomingReceipt<'_>,
    refusal: Error,
) -> Result<Error> {
    if incoming.text.is_none() && incoming.item.is_none() {
        return Ok(refusal);
    }
    let kept = tx.late_receipt_count(task.row)?;
    if kept >= late_receipt_quota(task, incoming.max_late) {
        return Ok(not_kept(refusal, task, kept, incoming.max_late));
    }
    let default_text;
    let text = match (incoming.text, incoming.item, incoming.outcome) {
        (Some(text), _, _) if !text.trim().is_empty() => text,
        (_, Some(key), outcome) => {
            default_text = default_item_text(key, outcome.unwrap_or(ItemReport::Done), incoming.category);
            &default_text
        }
        (text, None, _) => text.unwrap_or_default(),
    };
    let number = tx.append_receipt(
        task,
        &NewReceipt {
            author: incoming.author,
            text,
            item: incoming.item,
            outcome: incoming.outcome,
            category: incoming.category,
            late: true,
            step: None,
            lease_until: None,
            cost: incoming.cost.cloned().unwrap_or_default(),
            decision: None,
        },
    )?;
    let mut refusal = refusal.with_receipt(number);
    refusal.message += &format!(" The receipt was kept as number {number}, marked late: it does not count.");
    Ok(refusal)
}
