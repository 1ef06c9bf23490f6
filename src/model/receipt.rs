//! A receipt: one entry appended to a task's body, never changed or removed.

use super::author::{AuthorKind, is_system_name};
use super::cost::Cost;
use super::status::ItemReport;
use super::step::Decision;
use super::text_hasher::PartHasher;
use super::timestamp::Timestamp;

/// The hash that a task's first receipt is chained to.
pub const GENESIS_HASH: [u8; 32] = [0; 32];

/// One entry of a task's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its number in the task, from 1, without gaps.
    pub number: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The author's name.
    pub author: String,
    /// What its author is; `None` for receipts of schemas before 14.
    pub author_kind: Option<AuthorKind>,
    /// The text.
    pub text: String,
    /// The key of the item that it reports on.
    pub item: Option<String>,
    /// What it reports on that item.
    pub outcome: Option<ItemReport>,
    /// The item's category.
    pub category: Option<String>,
    /// Whether the write carried a stale token: the receipt is kept but not counted.
    pub late: bool,
    /// The name of its step, if the batch has several.
    pub step: Option<String>,
    /// The reported cost.
    pub cost: Cost,
    /// What a review decided, if it records a decision on a chunk; `None` for receipts of schemas before 15.
    pub decision: Option<Decision>,
}

impl Receipt {
    /// Whether Tasktally itself wrote it. Receipts of schemas before 14 have only its name.
    pub fn is_by_system(&self) -> bool {
        match self.author_kind {
            Some(kind) => kind == AuthorKind::System,
            None => is_system_name(&self.author),
        }
    }

    /// The text where item and outcome are shown beside it: a late receipt is marked.
    pub fn display_text(&self) -> String {
        if self.late { format!("(late) {}", self.text) } else { self.text.clone() }
    }

    /// SHA-256 over the previous receipt's hash and this receipt's fields.
    pub fn hash(&self, task: &str, before: &[u8; 32]) -> [u8; 32] {
        let mut hasher = PartHasher::after(before);
        let late = if self.late { "late" } else { "" };
        let number = self.number.to_string();
        let at = self.at.millis().to_string();
        let parts = [
            task,
            &number,
            &at,
            &self.author,
            &self.text,
            self.item.as_deref().unwrap_or("\0"),
            self.outcome.map_or("\0", ItemReport::as_str),
            self.category.as_deref().unwrap_or("\0"),
            late,
        ];
        // Fields of later schemas are hashed only if they are set, so that the hashes of older receipts stay valid.
        let cost = &self.cost;
        let later = [
            self.step.as_ref().map(|step| format!("step {step}")),
            cost.model.as_ref().map(|model| format!("model {model}")),
            cost.tokens_in.map(|tokens| format!("tokens_in {tokens}")),
            cost.tokens_out.map(|tokens| format!("tokens_out {tokens}")),
            cost.cost.map(|cost| format!("cost {}", cost.millionths())),
            self.author_kind.map(|kind| format!("author_kind {kind}")),
            self.decision.map(|decision| format!("decision {decision}")),
        ];
        parts.into_iter().chain(later.iter().flatten().map(String::as_str)).for_each(|part| hasher.add(part));
        hasher.finish()
    }
}

/// The text of an item's receipt if the worker gave none.
pub fn default_item_text(key: &str, outcome: ItemReport, category: Option<&str>) -> String {
    match category {
        Some(category) => format!("- {key}: {outcome} ({category})"),
        None => format!("- {key}: {outcome}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cost::Money;

    #[test]
    fn every_field_changes_the_hash() {
        let receipt = Receipt {
            number: 1,
            at: Timestamp::from_millis(1),
            author: "a".into(),
            author_kind: None,
            text: "t".into(),
            item: Some("k".into()),
            outcome: Some(ItemReport::Done),
            category: None,
            late: false,
            step: None,
            cost: Cost::default(),
            decision: None,
        };
        let base = receipt.hash("id", &GENESIS_HASH);
        let variants = [
            Receipt { number: 2, ..receipt.clone() },
            Receipt { at: Timestamp::from_millis(2), ..receipt.clone() },
            Receipt { author: "b".into(), ..receipt.clone() },
            Receipt { text: "u".into(), ..receipt.clone() },
            Receipt { author_kind: Some(AuthorKind::Agent), ..receipt.clone() },
            Receipt { author_kind: Some(AuthorKind::Person), ..receipt.clone() },
            Receipt { item: None, ..receipt.clone() },
            Receipt { outcome: Some(ItemReport::Failed), ..receipt.clone() },
            Receipt { category: Some(String::new()), ..receipt.clone() },
            Receipt { late: true, ..receipt.clone() },
            Receipt { step: Some(String::new()), ..receipt.clone() },
            Receipt { decision: Some(Decision::Approve), ..receipt.clone() },
            Receipt { decision: Some(Decision::Redo), ..receipt.clone() },
            Receipt { cost: Cost { model: Some(String::new()), ..Cost::default() }, ..receipt.clone() },
            Receipt { cost: Cost { tokens_in: Some(0), ..Cost::default() }, ..receipt.clone() },
            Receipt { cost: Cost { tokens_out: Some(0), ..Cost::default() }, ..receipt.clone() },
            Receipt {
                cost: Cost { cost: Some(Money::from_millionths(0)), ..Cost::default() },
                ..receipt.clone()
            },
        ];
        for variant in variants {
            assert_ne!(variant.hash("id", &GENESIS_HASH), base, "{variant:?}");
        }
        assert_ne!(receipt.hash("other", &GENESIS_HASH), base);
        assert_ne!(receipt.hash("id", &[1; 32]), base);
    }
}
