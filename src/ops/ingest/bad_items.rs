//! Items that cannot be stored: listed by their places, and refused or left out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::batch_rest::BatchRest;
use crate::error::{Error, Result};
use crate::items::{BadItem, BadItemEffect};
use crate::model::author::Author;
use crate::model::field::visible_excerpt;
use crate::model::id::TaskId;
use crate::model::item_date::DateSpan;
use crate::model::task::Task;
use crate::model::text::{agreeing, counted};
use crate::store::{NewReceipt, StoreWrite};

/// The most bad items that a reply lists.
const MAX_LISTED: usize = 20;
/// The most bad items that the batch's receipt lists.
pub(in crate::ops) const MAX_RECORDED: usize = 500;
/// The most characters shown of one of them.
const MAX_CHARS: usize = 300;
/// The most bytes of the receipt's list.
const MAX_RECEIPT: usize = 48 * 1024;

word_enum!(
    /// What happens if a source has bad items.
    OnBadItem, "on_bad_item" {
        /// Nothing is stored.
        Reject = "reject",
        /// They are left out, listed in the reply, and recorded in a receipt of the batch.
        Skip = "skip",
    }
);

impl OnBadItem {
    /// The default.
    pub(in crate::ops) fn reject() -> Self {
        OnBadItem::Reject
    }
}

/// What was left out of a request's items.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct BadItems {
    /// How many items are bad.
    pub count: u64,
    /// The first of them: place and reason.
    pub listed: Vec<String>,
    /// How many entries of a folder are no items, such as symbolic links.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ignored: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored_listed: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What was found while a source was read.
#[derive(Debug, Clone, Default)]
pub(in crate::ops) struct SourceReport {
    /// What was left out; none if nothing was.
    pub(in crate::ops) bad: Option<BadItems>,
    /// The dates of the items, if they are split by time.
    pub(in crate::ops) dates: Option<DateSpan>,
    /// The ended batch whose items these are.
    pub(in crate::ops) rest: Option<BatchRest>,
    /// The text that records in the batch what was left out.
    receipt: Option<String>,
    /// The caller of the request.
    author: Author,
}

impl SourceReport {
    /// The same report with the dates of the items, the batch that they are the rest of, and the caller of the request.
    pub(in crate::ops) fn complete(self, dates: DateSpan, rest: Option<BatchRest>, author: &Author) -> Self {
        SourceReport { dates: Some(dates), rest, author: author.clone(), ..self }
    }

    /// The end of a message: the span of the dates, and how much was left out.
    pub(in crate::ops) fn describe(&self) -> String {
        let mut text = self.dates.as_ref().map(DateSpan::describe).unwrap_or_default();
        if let Some(rest) = &self.rest {
            text += &format!("; these are {}", rest.describe());
        }
        let Some(bad) = &self.bad else { return text };
        match bad.count {
            0 => {}
            1 => text += "; 1 bad item was left out",
            count => text += &format!("; {count} bad items were left out"),
        }
        match (bad.ignored, bad.ignored_listed.first()) {
            (1, Some(first)) => text += &format!("; left out: {first}"),
            (count, Some(first)) => {
                text += &format!(
                    "; {count} entries of the folder are no files and were left out, such as {first}"
                )
            }
            _ => {}
        }
        text
    }

    /// Appends receipts that say what was left out, and what batch the items come from; that batch gets one as well.
    pub(in crate::ops) fn record(&self, tx: &dyn StoreWrite, batch: &Task) -> Result<()> {
        if let Some(text) = &self.receipt {
            tx.append_receipt(batch, &NewReceipt { author: &self.author, text, ..NewReceipt::default() })?;
        }
        if let Some(rest) = &self.rest {
            let (author, reason, items) = (&self.author, &rest.reason, rest.describe());
            let text = format!("Created by '{author}' from {items}: {reason}");
            tx.append_receipt(batch, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
            let text = format!("Batch {} was created by '{author}' from {items}: {reason}", batch.id);
            let old = tx.task(&TaskId::stored(rest.batch.clone()))?;
            tx.append_receipt(&old, &NewReceipt { author, text: &text, ..NewReceipt::default() })?;
        }
        Ok(())
    }
}

/// Bad items while a source is read.
#[derive(Debug, Default)]
pub(in crate::ops) struct BadItemList {
    count: u64,
    /// The first ones, by their numbers among all items of the source, from 0.
    first: BTreeMap<u64, String>,
    /// Entries that were never meant as items.
    ignored: u64,
    ignored_first: Vec<String>,
    /// The place after which the source could not be read, and why.
    unread: Option<String>,
}

impl BadItemList {
    /// Adds one by its number among all items of the source.
    pub(in crate::ops) fn add(&mut self, number: u64, bad: &BadItem) {
        let text = || visible_excerpt(&bad.to_string(), MAX_CHARS);
        match bad.effect {
            BadItemEffect::Ignored => {
                self.ignored += 1;
                if self.ignored_first.len() < MAX_RECORDED {
                    self.ignored_first.push(text());
                }
                return;
            }
            BadItemEffect::RestUnread => {
                self.unread.get_or_insert_with(text);
            }
            BadItemEffect::Bad => {}
        }
        // Only the first ones are shown, and there may be millions.
        if self.lists(number) {
            self.add_text(number, &bad.to_string());
        } else {
            self.count += 1;
        }
    }

    /// Adds one whose place is part of the text.
    pub(in crate::ops) fn add_text(&mut self, number: u64, place_and_reason: &str) {
        self.count += 1;
        self.first.insert(number, visible_excerpt(place_and_reason, MAX_CHARS));
        if self.first.len() > MAX_RECORDED {
            self.first.pop_last();
        }
    }

    /// The number among all items of the source of the item that came after `good` good ones.
    pub(in crate::ops) fn number_after(&self, good: u64) -> u64 {
        self.first.keys().fold(good, |number, bad| number + u64::from(*bad <= number))
    }

    /// Whether an item of this number would be listed.
    pub(in crate::ops) fn lists(&self, number: u64) -> bool {
        self.first.len() < MAX_RECORDED || self.first.last_key_value().is_some_and(|(last, _)| number < *last)
    }

    /// Counts bad items that are not listed.
    pub(in crate::ops) fn count_unlisted(&mut self, count: u64) {
        self.count += count;
    }

    /// What is left out of `source`, which the request passed as `parameter`.
    ///
    /// # Errors
    /// `invalid_argument` with the list if `on_bad_item` is `reject`, or if the source could not be read to its
    /// end; `done` says what was not done.
    pub(in crate::ops) fn check(
        self,
        on_bad_item: OnBadItem,
        done: &str,
        (parameter, source): (&str, &str),
    ) -> Result<SourceReport> {
        if let (OnBadItem::Skip, Some(unread)) = (on_bad_item, &self.unread) {
            return Err(Error::invalid(format!(
                "{parameter}: nothing was {done}: {unread}. on_bad_item=\"skip\" leaves out bad items, but the rest of this source could not be read at all; fix it and try again"
            )));
        }
        if self.count > 0 && on_bad_item == OnBadItem::Reject {
            let listed: Vec<String> = self.first.into_values().take(MAX_LISTED).collect();
            let more = self.count - listed.len() as u64;
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            return Err(Error::invalid(format!(
                "{parameter}: {} {} bad, so nothing was {done}: {}{more}. Fix them, or leave them out with on_bad_item=\"skip\"",
                counted(self.count, "item"),
                agreeing(self.count, "is", "are"),
                listed.join("; ")
            )));
        }
        if self.count == 0 && self.ignored == 0 {
            return Ok(SourceReport::default());
        }
        let receipt = Some(self.receipt(source));
        let bad = BadItems {
            count: self.count,
            listed: self.first.into_values().take(MAX_LISTED).collect(),
            ignored: self.ignored,
            ignored_listed: self.ignored_first.into_iter().take(MAX_LISTED).collect(),
        };
        Ok(SourceReport { bad: Some(bad), receipt, ..SourceReport::default() })
    }

    /// The text that records what was left out of `source`, in the batch.
    fn receipt(&self, source: &str) -> String {
        let mut text = String::new();
        let groups = [
            (self.count, self.first.values().collect::<Vec<_>>(), "bad items (on_bad_item=\"skip\")"),
            (self.ignored, self.ignored_first.iter().collect(), "entries that are no files"),
        ];
        for (count, listed, what) in groups.into_iter().filter(|(count, ..)| *count > 0) {
            text += &format!("Left out of {}: {count} {what}", visible_excerpt(source, MAX_CHARS));
            let mut shown = 0;
            for line in listed {
                if text.len() + line.len() > MAX_RECEIPT {
                    break;
                }
                text += &format!("\n- {line}");
                shown += 1;
            }
            if count > shown {
                text += &format!("\n- and {} more", count - shown);
            }
            text += "\n";
        }
        text.trim_end().to_owned()
    }
}
