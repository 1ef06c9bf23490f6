//! The receipt that an update appends.

use super::UpdateTask;
use crate::error::{Error, Result};
use crate::model::author::Author;
use crate::model::claim_rules::{ClaimAuthority, claim_authority};
use crate::model::cost::{Cost, Tokens};
use crate::model::quotas::Quotas;
use crate::model::task::Task;
use crate::model::text::{LineText, ReceiptText};
use crate::model::worker_scope::WorkerScope;
use crate::ops::lifecycle::append_receipt::{IncomingReceipt, append_late_receipt, append_receipt};
use crate::ops::lifecycle::note_quota::check_note_quota;
use crate::ops::request::fields::non_empty;
use crate::ops::request::worker_scope::may_write_to_batch;
use crate::ops::views::written_receipt::ReceiptView;
use crate::store::StoreWrite;

/// Who writes a receipt, and within which limits.
pub(super) struct Writer {
    pub(super) author: Author,
    /// The chunk that the caller is limited to.
    pub(super) scope: Option<WorkerScope>,
    /// How much may be stored.
    pub(super) quotas: Quotas,
}

impl UpdateTask {
    /// Appends the receipt of the request, if it has one. A request with a lost token is refused here.
    pub(super) fn append_receipt(
        &self,
        tx: &dyn StoreWrite,
        task: &Task,
        writer: &Writer,
    ) -> Result<Option<ReceiptView>> {
        let text = self.body.as_ref().and_then(ReceiptText::non_empty);
        let has_receipt = text.is_some() || self.item.is_some();
        let is_lost = claim_authority(task, self.claim.as_ref(), tx.now()) == ClaimAuthority::StaleToken;
        let cost = self.receipt_cost();
        if !has_receipt && !cost.is_zero() {
            return Err(Error::invalid(
                "model, tokens_in, tokens_out, cost: allowed with a receipt only; pass body or item with them",
            ));
        }
        if !has_receipt && !is_lost {
            return Ok(None);
        }
        let incoming = IncomingReceipt {
            token: self.claim.as_ref(),
            author: &writer.author,
            text,
            item: self.item.as_ref().map(LineText::as_str),
            outcome: self.outcome,
            category: self.category.as_ref().and_then(LineText::non_empty),
            cost: Some(&cost),
            max_late: writer.quotas.max_late_receipts,
        };
        if let Some(scope) = &writer.scope
            && task.is_batch
            && let Err(refusal) = may_write_to_batch(tx, scope)
        {
            return Err(append_late_receipt(tx, task, &incoming, refusal)?);
        }
        if !is_lost {
            check_note_quota(tx, task, &incoming, writer.quotas.max_notes)?;
        }
        let receipt = append_receipt(tx, task, &incoming)?;
        if let Some(next) = &self.next {
            let started = IncomingReceipt::item_started(self.claim.as_ref(), &writer.author, next.as_str());
            append_receipt(tx, task, &started)?;
        }
        Ok(Some(receipt))
    }

    fn receipt_cost(&self) -> Cost {
        Cost {
            model: non_empty(&self.model),
            tokens_in: self.tokens_in.map(Tokens::get),
            tokens_out: self.tokens_out.map(Tokens::get),
            cost: self.cost,
        }
    }
}
