//! Items that cannot be stored: listed by their places, and refused or left out.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bad_item_groups::{ListedItem, Place, as_lines, common_part, group};
use super::batch_rest::BatchRest;
use crate::error::{Error, Result};
use crate::items::{BadItem, BadItemEffect, KeyCandidates};
use crate::model::author::Author;
use crate::model::field::visible_excerpt;
use crate::model::id::TaskId;
use crate::model::item_date::DateSpan;
use crate::model::task::Task;
use crate::model::text::{agreeing, counted};
use crate::ops::conflicts::resolve::CREATED;
use crate::store::{NewReceipt, StoreWrite};

/// The most reasons, and entries that are no items, that a reply lists.
const MAX_LISTED: usize = 20;
/// The most places, or ranges of places, that a reply lists for one reason.
const MAX_PLACES: usize = 10;
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
    /// How many have none of the listed reasons.
    #[serde(skip)]
    pub unlisted: u64,
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
    first: BTreeMap<u64, ListedItem>,
    /// How many items are bad for a reason, by its common part.
    counts: HashMap<String, u64>,
    /// The fields that every item without a key has.
    candidates: KeyCandidates,
    /// How many items have no key.
    without_key: u64,
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
        if let Some(fields) = &bad.without_key {
            self.without_key += 1;
            self.candidates.add(fields);
        }
        let common = common_part(&bad.reason);
        if let Some(count) = self.counts.get_mut(common) {
            *count += 1;
        } else if self.counts.len() < MAX_RECORDED {
            // Only the first reasons are shown, and there may be millions.
            self.counts.insert(common.to_owned(), 1);
        }
        if self.lists(number) {
            self.list(number, Place::from(&bad.place), &bad.reason);
        } else {
            self.count += 1;
        }
    }

    /// Adds one that is listed, with a reason of its own.
    pub(in crate::ops) fn list(&mut self, number: u64, place: Place, reason: &str) {
        self.count += 1;
        self.first.insert(number, ListedItem { place, reason: visible_excerpt(reason, MAX_CHARS) });
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

    /// What is left out of `source`, which the request passed as `parameter`, if `read` items were read.
    ///
    /// # Errors
    /// `invalid_argument` with the list if `on_bad_item` is `reject`, or if the source could not be read to its
    /// end; `done` says what was not done.
    pub(in crate::ops) fn check(
        self,
        on_bad_item: OnBadItem,
        done: &str,
        (parameter, source): (&str, &str),
        read: u64,
    ) -> Result<SourceReport> {
        if let (OnBadItem::Skip, Some(unread)) = (on_bad_item, &self.unread) {
            return Err(Error::invalid(format!(
                "{parameter}: nothing was {done}: {unread}. on_bad_item=\"skip\" leaves out bad items, but the rest of this source could not be read at all; fix it and try again"
            )));
        }
        if self.count > 0 && on_bad_item == OnBadItem::Reject {
            let (listed, unlisted) = self.describe(done, read);
            let end = if listed.len() > 1 || unlisted > 0 { "\n" } else { ". " };
            let or_skip =
                if self.count == read { "" } else { ", or leave them out with on_bad_item=\"skip\"" };
            return Err(Error::invalid(format!(
                "{parameter}: {} {} bad, so nothing was {done}:{}{end}Fix {}{or_skip}",
                counted(self.count, "item"),
                agreeing(self.count, "is", "are"),
                as_lines(&listed, unlisted),
                agreeing(self.count, "it", "them"),
            )));
        }
        if self.count == 0 && self.ignored == 0 {
            return Ok(SourceReport::default());
        }
        let receipt = Some(self.receipt(source));
        let (listed, unlisted) = self.describe(done, read);
        let bad = BadItems {
            count: self.count,
            listed,
            unlisted,
            ignored: self.ignored,
            ignored_listed: self.ignored_first.into_iter().take(MAX_LISTED).collect(),
        };
        Ok(SourceReport { bad: Some(bad), receipt, ..SourceReport::default() })
    }

    /// The first reasons, each with its places, and how many items have other reasons.
    fn describe(&self, done: &str, read: u64) -> (Vec<String>, u64) {
        let groups = group(self.first.values(), &self.counts);
        let shown = &groups[..groups.len().min(MAX_LISTED)];
        let shown_items = shown.iter().map(|group| group.count).sum::<u64>();
        let mut texts: Vec<String> =
            shown.iter().map(|group| format!("{}: {}", group.places(MAX_PLACES), group.reason)).collect();
        // Items with a key need no other one, and a batch that exists has its key.
        if let (true, Some(proposal)) =
            (self.without_key == read && done == CREATED, self.candidates.proposal())
            && let Some(last) = texts.last_mut()
        {
            *last += &format!(". {proposal}");
        }
        (texts, self.count.saturating_sub(shown_items))
    }

    /// The text that records what was left out of `source`, in the batch.
    fn receipt(&self, source: &str) -> String {
        let mut text = String::new();
        let bad = group(self.first.values(), &self.counts).into_iter();
        let bad = bad.map(|group| (group.count, format!("{}: {}", group.places(usize::MAX), group.reason)));
        let ignored = self.ignored_first.iter().map(|entry| (1, entry.clone()));
        let bad_items = format!("{} (on_bad_item=\"skip\")", counted(self.count, "bad item"));
        let no_files = format!(
            "{} no {}",
            agreeing(self.ignored, "1 entry that is", &format!("{} entries that are", self.ignored)),
            agreeing(self.ignored, "file", "files")
        );
        let lists =
            [(self.count, bad_items, bad.collect()), (self.ignored, no_files, ignored.collect::<Vec<_>>())];
        for (count, what, lines) in lists.into_iter().filter(|(count, ..)| *count > 0) {
            text += &format!("Left out of {}: {what}", visible_excerpt(source, MAX_CHARS));
            let mut shown = 0;
            for (items, line) in lines {
                if text.len() + line.len() > MAX_RECEIPT {
                    break;
                }
                text += &format!("\n- {line}");
                shown += items;
            }
            if count > shown {
                text += &format!("\n- and {} more", count - shown);
            }
            text += "\n";
        }
        text.trim_end().to_owned()
    }
}
