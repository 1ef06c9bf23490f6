//! The requests that a runner makes for its workers.

use super::UpdateTask;
use crate::model::cost::{Money, Tokens};
use crate::model::id::{TaskId, Token};
use crate::model::status::{ItemReport, Outcome};
use crate::model::text::{LineText, ReceiptText};

/// A runner's receipt for an item.
#[derive(Debug, Clone)]
pub struct ItemReceipt {
    /// The item's key.
    pub item: LineText,
    /// The item's outcome.
    pub outcome: Outcome,
    /// The item's category.
    pub category: Option<LineText>,
    /// The text.
    pub body: ReceiptText,
    /// The cost of the work.
    pub cost: ItemCost,
}

/// The cost of an item's work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemCost {
    /// The model that did the work.
    pub model: Option<LineText>,
    /// Tokens that the model read.
    pub tokens_in: Option<Tokens>,
    /// Tokens that the model wrote.
    pub tokens_out: Option<Tokens>,
    /// The price of the work.
    pub cost: Option<Money>,
}

impl UpdateTask {
    /// A receipt for an item. `next` is the item that is marked as started in the same commit.
    pub fn item_receipt(id: TaskId, claim: Token, receipt: ItemReceipt, next: Option<LineText>) -> Self {
        let ItemReceipt { item, outcome, category, body, cost } = receipt;
        UpdateTask {
            item: Some(item),
            outcome: Some(outcome.into()),
            category,
            body: Some(body),
            model: cost.model,
            tokens_in: cost.tokens_in,
            tokens_out: cost.tokens_out,
            cost: cost.cost,
            next,
            ..UpdateTask::renewal(id, claim)
        }
    }

    /// The report that an item is started.
    pub fn item_started(id: TaskId, claim: Token, item: LineText) -> Self {
        UpdateTask { item: Some(item), outcome: Some(ItemReport::Started), ..UpdateTask::renewal(id, claim) }
    }

    /// A receipt without a claim.
    pub fn note(id: TaskId, body: ReceiptText) -> Self {
        UpdateTask { body: Some(body), ..UpdateTask::unchanged(id) }
    }

    /// A write that only renews the lease of the claim.
    pub fn renewal(id: TaskId, claim: Token) -> Self {
        UpdateTask { claim: Some(claim), ..UpdateTask::unchanged(id) }
    }

    /// A request that changes nothing.
    fn unchanged(id: TaskId) -> Self {
        UpdateTask {
            id,
            claim: None,
            task_title: None,
            task_type: None,
            status: None,
            priority: None,
            order: None,
            parent: None,
            depends_on: None,
            soft_depends_on: None,
            due: None,
            project: None,
            tags: None,
            effort: None,
            context: None,
            assignee: None,
            complexity: None,
            body: None,
            item: None,
            outcome: None,
            category: None,
            model: None,
            tokens_in: None,
            tokens_out: None,
            cost: None,
            request_key: None,
            force: false,
            replace_body: false,
            next: None,
        }
    }
}
