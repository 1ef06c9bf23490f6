//! Items on their way into a batch: read from where they are, put aside by group, the bad ones told apart.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bad_items::{BadItems, OnBadItem};
use super::task_query::Query;
use crate::error::{Error, Result};
use crate::items::{self, BadItem, Item, ItemSource};
use crate::model::split::Split;
use crate::model::text::excerpt;
use crate::ops::Session;
use crate::ops::request::progress::{Progress, ProgressReporter};
use crate::store::Staging;

/// Items that came with the request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inline(Vec<Value>);

/// The schema of [`Inline`].
pub(in crate::ops) fn objects_or_strings(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "array", "items": { "anyOf": [{ "type": "object" }, { "type": "string" }] } })
}

/// [`Inline`] on a command line.
pub(in crate::ops) fn inline(text: &str) -> Result<Inline, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON array of objects or strings: {error}"))
}

/// Where items come from: one of these.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Origin<'a> {
    /// The request itself.
    pub(in crate::ops) items: Option<&'a Inline>,
    /// A file or folder.
    pub(in crate::ops) source: Option<&'a ItemSource>,
    /// Tasks of the store.
    pub(in crate::ops) query: Option<&'a Query>,
    /// What an item needs to be taken.
    pub(in crate::ops) key: &'a str,
    /// What keeps items together.
    pub(in crate::ops) split: &'a Split,
    /// What is done with bad ones.
    pub(in crate::ops) on_bad_item: OnBadItem,
    /// What would be done with good ones, for a refusal.
    pub(in crate::ops) done: &'static str,
}

/// Items put aside.
pub(in crate::ops) struct Collected {
    /// All that are good, by group.
    pub(in crate::ops) staging: Box<dyn Staging>,
    /// Those that were left out.
    pub(in crate::ops) bad: Option<BadItems>,
}

impl Origin<'_> {
    /// Puts all items aside, each under its group.
    ///
    /// # Errors
    /// A source that cannot be read; bad items, unless they may be left out.
    pub(in crate::ops) fn collect(&self, session: &Session) -> Result<Collected> {
        let mut shelf = Collector {
            staging: session.staging()?,
            split: self.split.clone(),
            bad: BadItems::default(),
            read: 0,
            tell: session.progress().clone(),
        };
        match (self.items, self.source, self.query) {
            (Some(inline), None, None) => {
                items::inline_items(inline.0.clone(), self.key).try_for_each(|item| shelf.take(item))?;
            }
            (None, Some(source), None) => {
                items::read_source(source, session.roots(), self.key)?
                    .try_for_each(|item| shelf.take(item))?;
            }
            (None, None, Some(query)) => {
                query.allows_key(self.key)?;
                let query = query.clone();
                // One read is one moment of the store, however many pages it takes.
                shelf = session.read(move |tx| {
                    query.each(tx, |item| shelf.take(Ok(item)))?;
                    Ok(shelf)
                })?;
            }
            _ => {
                return Err(Error::invalid(
                    "items: say in one way where they come from: `items`, or `source`, or for a new batch `query`",
                ));
            }
        }
        let bad = shelf.bad.allowed(self.on_bad_item, self.done)?;
        Ok(Collected { staging: shelf.staging, bad })
    }

    /// That there is nothing to make a batch of.
    pub(in crate::ops) fn empty(&self, bad: Option<&BadItems>) -> Error {
        let place = match (self.source, self.query) {
            (Some(source), _) => source.path.as_str(),
            (_, Some(_)) => {
                return Error::invalid(
                    "query: no task matches; list_tasks() with the same filters shows which tasks do (chunks and batches are left out)",
                );
            }
            _ => "items",
        };
        let glob = self.source.and_then(|source| source.glob.as_deref());
        let chosen = glob.map_or(String::new(), |glob| format!(" that match \"{}\"", excerpt(glob)));
        Error::invalid(match bad {
            None => format!("{place}: it holds no items{chosen}; a batch needs at least one"),
            Some(bad) => {
                format!("{place}: all {} items{chosen} are bad: {}", bad.count, bad.listed.join("; "))
            }
        })
    }
}

/// Where items are put.
struct Collector {
    staging: Box<dyn Staging>,
    split: Split,
    bad: BadItems,
    read: u64,
    tell: ProgressReporter,
}

impl Collector {
    fn take(&mut self, item: Result<Item, BadItem>) -> Result<()> {
        self.read += 1;
        self.tell.report(Progress { read: self.read, stored: 0 });
        let grouped = item.and_then(|item| match self.split.group_of(&item.fields) {
            Ok(group) => Ok((item, group)),
            Err(reason) => Err(BadItem::new(item.origin, reason)),
        });
        let bad = match grouped {
            Err(bad) => bad,
            Ok((item, group)) => match self.staging.push(&item, &group.sort_key, &group.label)? {
                None => return Ok(()),
                Some(first) => BadItem::new(
                    item.origin,
                    format!(
                        "key '{}' is already used by {first}; every item needs a key of its own (key=… names another field)",
                        excerpt(&item.key)
                    ),
                ),
            },
        };
        self.bad.add(&bad);
        Ok(())
    }
}
