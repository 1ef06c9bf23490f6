//! Items that cannot be stored: listed by their places, and refused or left out.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::items::BadItem;
use crate::model::field::visible_excerpt;

/// The most bad items that are listed.
pub(in crate::ops) const MAX_LISTED: usize = 20;
/// The most characters shown of one of them.
const MAX_CHARS: usize = 300;

word_enum!(
    /// What happens if a source has bad items.
    OnBadItem, "on_bad_item" {
        /// Nothing is stored.
        Reject = "reject",
        /// They are left out and listed in the reply.
        Skip = "skip",
    }
);

impl OnBadItem {
    /// The default.
    pub(in crate::ops) fn reject() -> Self {
        OnBadItem::Reject
    }
}

/// The bad items of a request.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct BadItems {
    /// How many there are.
    pub count: u64,
    /// The first of them: place and reason.
    pub listed: Vec<String>,
}

/// Bad items while a source is read.
#[derive(Debug, Default)]
pub(in crate::ops) struct BadItemList {
    count: u64,
    /// The first ones, by their numbers among all items of the source, from 0.
    first: BTreeMap<u64, String>,
    /// The place behind which the source could not be read, and why.
    unread: Option<String>,
}

impl BadItemList {
    /// Adds one by its number among all items of the source.
    pub(in crate::ops) fn add(&mut self, number: u64, bad: &BadItem) {
        self.add_text(number, &bad.to_string());
        if bad.rest_unread {
            self.unread.get_or_insert_with(|| visible_excerpt(&bad.to_string(), MAX_CHARS));
        }
    }

    /// The same for one whose place is known as text.
    pub(in crate::ops) fn add_text(&mut self, number: u64, place_and_reason: &str) {
        self.count += 1;
        self.first.insert(number, visible_excerpt(place_and_reason, MAX_CHARS));
        if self.first.len() > MAX_LISTED {
            self.first.pop_last();
        }
    }

    /// The number among all items of the source of the item that came after `good` good ones.
    pub(in crate::ops) fn number_after(&self, good: u64) -> u64 {
        self.first.keys().fold(good, |number, bad| number + u64::from(*bad <= number))
    }

    /// Whether an item of this number would be listed.
    pub(in crate::ops) fn lists(&self, number: u64) -> bool {
        self.first.len() < MAX_LISTED || self.first.last_key_value().is_some_and(|(last, _)| number < *last)
    }

    /// ItemCounts bad items that are not listed.
    pub(in crate::ops) fn count_unlisted(&mut self, count: u64) {
        self.count += count;
    }

    /// The bad items to leave out; none if there are none.
    ///
    /// # Errors
    /// `invalid_argument` with the list if `on_bad_item` is `reject`, or if the source could not be read to its
    /// end; `done` says what was not done.
    pub(in crate::ops) fn check(self, on_bad_item: OnBadItem, done: &str) -> Result<Option<BadItems>> {
        if let (OnBadItem::Skip, Some(unread)) = (on_bad_item, &self.unread) {
            return Err(Error::invalid(format!(
                "items: nothing was {done}: {unread}. on_bad_item=\"skip\" leaves out bad items, but the rest of this source could not be read at all; fix it and try again"
            )));
        }
        let bad = BadItems { count: self.count, listed: self.first.into_values().collect() };
        match (bad.count, on_bad_item) {
            (0, _) => Ok(None),
            (_, OnBadItem::Skip) => Ok(Some(bad)),
            (count, OnBadItem::Reject) => {
                let more = count - bad.listed.len() as u64;
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                Err(Error::invalid(format!(
                    "items: nothing was {done}, {count} bad: {}{more}. Fix them, or leave them out with on_bad_item=\"skip\"",
                    bad.listed.join("; ")
                )))
            }
        }
    }
}

/// The end of a message: how many bad items were left out.
pub(in crate::ops) fn left_out(bad: Option<&BadItems>) -> String {
    match bad.map_or(0, |bad| bad.count) {
        0 => String::new(),
        1 => "; 1 bad item was left out".to_owned(),
        count => format!("; {count} bad items were left out"),
    }
}
