//! A further report on an item that has an outcome: a repetition of what is stored, or a note on the item.

use super::cost::Cost;
use super::receipt::Receipt;

/// What a report says about an item besides its outcome, as far as the worker gave it.
#[derive(Debug, Clone, Copy)]
pub struct ReportContent<'a> {
    /// The text.
    pub text: Option<&'a str>,
    /// The category.
    pub category: Option<&'a str>,
    /// The cost.
    pub cost: &'a Cost,
}

impl ReportContent<'_> {
    /// The number of the receipt that says all of this already. `receipts` are the item's receipts from the one
    /// that settled it on. `None` if the report says something new and must be kept.
    pub fn repeated_receipt<'r>(&self, receipts: impl IntoIterator<Item = &'r Receipt>) -> Option<u64> {
        receipts.into_iter().find(|receipt| self.is_in(receipt)).map(|receipt| receipt.number)
    }

    fn is_in(&self, receipt: &Receipt) -> bool {
        let text = self.text.map(str::trim).filter(|text| !text.is_empty());
        text.is_none_or(|text| text == receipt.text.trim())
            && self.category.is_none_or(|category| receipt.category.as_deref() == Some(category))
            && (self.cost.is_empty() || *self.cost == receipt.cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::ItemReport;
    use crate::model::timestamp::Timestamp;

    fn receipt(number: u64, text: &str, category: Option<&str>, tokens: Option<i64>) -> Receipt {
        Receipt {
            number,
            at: Timestamp::from_millis(0),
            author: "w".into(),
            author_kind: None,
            text: text.into(),
            item: Some("a".into()),
            outcome: Some(ItemReport::Done),
            category: category.map(str::to_owned),
            late: false,
            step: None,
            cost: Cost { tokens_in: tokens, ..Cost::default() },
            decision: None,
        }
    }

    #[test]
    fn a_report_is_repeated_if_one_receipt_says_all_of_it() {
        let stored = [receipt(3, "partial: 3 of 5", None, None), receipt(5, "final", Some("fyi"), Some(10))];
        let check = |text: Option<&str>, category: Option<&str>, tokens: Option<i64>, expected| {
            let cost = Cost { tokens_in: tokens, ..Cost::default() };
            let content = ReportContent { text, category, cost: &cost };
            assert_eq!(content.repeated_receipt(&stored), expected, "{text:?} {category:?} {tokens:?}");
        };
        check(None, None, None, Some(3));
        check(Some("  "), None, None, Some(3));
        check(Some("partial: 3 of 5\n"), None, None, Some(3));
        check(Some("final"), Some("fyi"), Some(10), Some(5));
        check(Some("final"), None, None, Some(5));
        check(None, Some("fyi"), None, Some(5));
        check(Some("final: 5 of 5"), None, None, None);
        check(Some("partial: 3 of 5"), Some("fyi"), None, None);
        check(Some("final"), Some("fyi"), Some(11), None);
        check(None, Some("task"), None, None);
    }
}
