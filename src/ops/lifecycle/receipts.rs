//! Appending a receipt: who may, what it settles, and what happens to one that comes too late.

use super::in_doubt::begin;
use crate::error::{Error, Result};
use crate::model::batch::{Settling, settle};
use crate::model::claim::{ClaimAuthority, lost, standing};
use crate::model::cost::Cost;
use crate::model::id::Token;
use crate::model::receipt::item_text;
use crate::model::status::{ItemReport, Outcome};
use crate::model::task::Task;
use crate::model::text::excerpt;
use crate::ops::views::task::ReceiptView;
use crate::store::{NewReceipt, Write};

/// A receipt as a request brings it.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ops) struct Incoming<'a> {
    /// The token it came with.
    pub(in crate::ops) token: Option<&'a Token>,
    /// Its author, where no claim tells.
    pub(in crate::ops) author: &'a str,
    /// Its text.
    pub(in crate::ops) text: Option<&'a str>,
    /// The item it tells of.
    pub(in crate::ops) item: Option<&'a str>,
    /// What it tells of the item.
    pub(in crate::ops) outcome: Option<ItemReport>,
    /// What the item was found to be.
    pub(in crate::ops) category: Option<&'a str>,
    /// What the work cost.
    pub(in crate::ops) cost: Option<&'a Cost>,
}

impl<'a> Incoming<'a> {
    /// That the holder begins an item.
    pub(in crate::ops) fn begins(token: Option<&'a Token>, author: &'a str, item: &'a str) -> Self {
        Incoming {
            token,
            author,
            item: Some(item),
            outcome: Some(ItemReport::Started),
            ..Incoming::default()
        }
    }
}

/// Appends it; renews the lease of a holder.
///
/// # Errors
/// `claim_lost` naming the late receipt that was kept; `claim_required`, `not_found`,
/// `invalid_argument` or `conflict`, keeping nothing.
pub(in crate::ops) fn append(tx: &dyn Write, task: &Task, incoming: &Incoming<'_>) -> Result<ReceiptView> {
    let standing = standing(task, incoming.token, tx.now());
    if let (ClaimAuthority::Lost, Some(token)) = (standing, incoming.token) {
        return Err(keep_late(tx, task, incoming, lost(task, token, tx.now()))?);
    }
    let author = match (standing, &task.claim) {
        (ClaimAuthority::Holder, Some(claim)) => claim.worker.clone(),
        _ => incoming.author.to_owned(),
    };
    // Who holds an open claim is known by name only.
    let renewed = task
        .claim
        .as_ref()
        .filter(|claim| {
            let own_open =
                claim.token.is_none() && claim.worker == author && task.live_claim(tx.now()).is_some();
            standing == ClaimAuthority::Holder || own_open
        })
        .and_then(|claim| claim.renewed_worthwhile(tx.now()));
    let receipt = NewReceipt {
        author: &author,
        text: incoming.text.unwrap_or_default(),
        category: incoming.category,
        renews: renewed,
        cost: incoming.cost.cloned().unwrap_or_default(),
        ..NewReceipt::default()
    };
    match incoming.item {
        Some(key) => append_for_item(tx, task, incoming, key, standing, receipt),
        None => Ok(ReceiptView {
            number: tx.append(task, &receipt)?,
            duplicate: false,
            late: false,
            items_left: None,
        }),
    }
}

/// Renews the holder's lease, where nothing else is written.
pub(in crate::ops) fn renew(tx: &dyn Write, task: &Task) -> Result<()> {
    match &task.claim {
        Some(claim) => tx.renew(task, claim.renewed(tx.now())),
        None => Ok(()),
    }
}

fn append_for_item(
    tx: &dyn Write,
    task: &Task,
    incoming: &Incoming<'_>,
    key: &str,
    standing: ClaimAuthority,
    receipt: NewReceipt<'_>,
) -> Result<ReceiptView> {
    let Some(chunk) = tx.chunk(task)? else {
        return Err(Error::invalid(format!(
            "item: task {} is not a chunk of a batch and has no items; leave `item` out",
            task.id
        )));
    };
    if standing != ClaimAuthority::Holder {
        return Err(Error::new(
            crate::error::Code::ClaimRequired,
            format!(
                "A receipt for an item needs the chunk's claim: claim_task(id=\"{}\") gives a token, bring it as `claim`",
                task.id
            ),
        ));
    }
    let Some(told) = incoming.outcome else {
        return Err(Error::invalid(format!(
            "outcome: item '{}' needs one of done, failed, skipped (or started, before you act)",
            excerpt(key)
        )));
    };
    let item = tx.item(chunk.batch, key)?.filter(|item| item.chunk == chunk.row).ok_or_else(|| {
        Error::not_found(format!(
            "Chunk {} has no item '{}'; claim_task or get_task shows its items",
            task.id,
            excerpt(key)
        ))
    })?;
    let left = chunk.counts.total - chunk.counts.processed();
    let Some(outcome) = told.outcome() else {
        if let Some(settled) = &item.settled {
            return Err(Error::new(
                crate::error::Code::Conflict,
                format!(
                    "Item '{}' is already {} by receipt {}; don't do it again, go on with the next",
                    item.key, settled.outcome, settled.receipt
                ),
            ));
        }
        let (number, duplicate) = begin(tx, task, &chunk, &item, receipt)?;
        return Ok(ReceiptView { number, duplicate, late: false, items_left: Some(left) });
    };
    if let Settling::Duplicate(number) = settle(&item, outcome)? {
        renew(tx, task)?;
        return Ok(ReceiptView { number, duplicate: true, late: false, items_left: Some(left) });
    }
    let made;
    let text = match incoming.text.filter(|text| !text.trim().is_empty()) {
        Some(text) => text,
        None => {
            made = item_text(key, told, incoming.category);
            &made
        }
    };
    let step = chunk.step_name.as_deref();
    let receipt = NewReceipt { text, item: Some(key), outcome: Some(told), step, ..receipt };
    let number = tx.append(task, &receipt)?;
    tx.settle_item(&chunk, &item, outcome, incoming.category, number)?;
    if outcome == Outcome::Failed {
        super::pause::pause_if_too_many_failed(tx, &chunk)?;
    }
    Ok(ReceiptView { number, duplicate: false, late: false, items_left: Some(left - 1) })
}

/// Keeps what a worker without a claim tells of, for it may have happened; it never counts. Gives the
/// refusal with the number of what was kept.
pub(in crate::ops) fn keep_late(
    tx: &dyn Write,
    task: &Task,
    incoming: &Incoming<'_>,
    refusal: Error,
) -> Result<Error> {
    if incoming.text.is_none() && incoming.item.is_none() {
        return Ok(refusal);
    }
    let made;
    let text = match (incoming.text, incoming.item, incoming.outcome) {
        (Some(text), _, _) if !text.trim().is_empty() => text,
        (_, Some(key), outcome) => {
            made = item_text(key, outcome.unwrap_or(ItemReport::Done), incoming.category);
            &made
        }
        (text, None, _) => text.unwrap_or_default(),
    };
    let number = tx.append(
        task,
        &NewReceipt {
            author: incoming.author,
            text,
            item: incoming.item,
            outcome: incoming.outcome,
            category: incoming.category,
            late: true,
            step: None,
            renews: None,
            cost: incoming.cost.cloned().unwrap_or_default(),
        },
    )?;
    Ok(refusal.with_receipt(number))
}
