//! What cannot be taken as an item: listed by its place, and refused or left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::items::BadItem;
use crate::model::field::visible_excerpt;

/// How many bad items are listed.
const LISTED: usize = 20;
/// The most characters of one that are shown.
const SHOWN: usize = 300;

word_enum!(
    /// What is done where items cannot be taken.
    OnBadItem, "on_bad_item" {
        /// Nothing is stored.
        Reject = "reject",
        /// They are left out, and listed in the reply.
        Skip = "skip",
    }
);

impl OnBadItem {
    /// The default.
    pub(in crate::ops) fn reject() -> Self {
        OnBadItem::Reject
    }
}

/// The items that could not be taken.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct BadItems {
    /// How many there are.
    pub count: u64,
    /// The first of them: place and reason.
    pub listed: Vec<String>,
    /// Why reading ended early, if it did.
    #[serde(skip)]
    ended: Option<String>,
}

impl BadItems {
    /// Counts one.
    pub(in crate::ops) fn add(&mut self, bad: &BadItem) {
        self.count += 1;
        let line = visible_excerpt(&bad.to_string(), SHOWN);
        if bad.rest_unread {
            self.ended.get_or_insert_with(|| line.clone());
        }
        if self.listed.len() < LISTED {
            self.listed.push(line);
        }
    }

    /// Those that may be left out; none if there are none.
    ///
    /// # Errors
    /// `invalid_argument` listing them where none may be, or where nobody knows how many more
    /// there are; `done` is what did not happen.
    pub(in crate::ops) fn allowed(self, wish: OnBadItem, done: &str) -> Result<Option<Self>> {
        if let (OnBadItem::Skip, Some(ended)) = (wish, &self.ended) {
            return Err(Error::invalid(format!(
                "items: nothing was {done}: {ended}. on_bad_item=\"skip\" leaves out what is bad, not what was never read; mend this first"
            )));
        }
        match (self.count, wish) {
            (0, _) => Ok(None),
            (_, OnBadItem::Skip) => Ok(Some(self)),
            (count, OnBadItem::Reject) => {
                let more = count - self.listed.len() as u64;
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                Err(Error::invalid(format!(
                    "items: nothing was {done}, {count} bad: {}{more}. Mend them, or leave them out with on_bad_item=\"skip\"",
                    self.listed.join("; ")
                )))
            }
        }
    }
}

/// The end of a message that says how many were left out.
pub(in crate::ops) fn left_out(bad: Option<&BadItems>) -> String {
    match bad.map_or(0, |bad| bad.count) {
        0 => String::new(),
        1 => "; 1 bad item was left out".to_owned(),
        count => format!("; {count} bad items were left out"),
    }
}
