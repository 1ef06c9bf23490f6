//! Reads the items of a request from where they are into a temporary file, each in its group, and lists the bad ones.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bad_items::{BadItemList, BadItems, MAX_LISTED, OnBadItem};
use super::task_query::Query;
use crate::error::{Error, Result};
use crate::items::{self, BadItem, Item, ItemSource, Staging};
use crate::model::split::Split;
use crate::model::text::excerpt;
use crate::ops::Session;
use crate::ops::request::progress::{Progress, ProgressReporter};

/// The items of a request that brings them itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InlineItems(Vec<Value>);

/// The JSON schema of [`InlineItems`].
pub(in crate::ops) fn inline_items_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "array", "items": { "anyOf": [{ "type": "object" }, { "type": "string" }] } })
}

/// Parses [`InlineItems`] on a command line.
pub(in crate::ops) fn parse_inline_items(text: &str) -> Result<InlineItems, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON array of objects or strings: {error}"))
}

/// Where the items of a request come from: exactly one of the first three is given.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Origin<'a> {
    /// The request itself.
    pub(in crate::ops) items: Option<&'a InlineItems>,
    /// A file or folder.
    pub(in crate::ops) source: Option<&'a ItemSource>,
    /// Tasks of the store.
    pub(in crate::ops) query: Option<&'a Query>,
    /// The field that holds an item's key.
    pub(in crate::ops) key: &'a str,
    /// How items are grouped.
    pub(in crate::ops) split: &'a Split,
    /// What happens if there are bad items.
    pub(in crate::ops) on_bad_item: OnBadItem,
    /// What becomes of the items ("created" or "added"), for an error message.
    pub(in crate::ops) done: &'static str,
}

/// The items of a request, read and grouped.
pub(in crate::ops) struct Collected {
    /// The good ones.
    pub(in crate::ops) staging: Staging,
    /// The bad ones, which were left out.
    pub(in crate::ops) bad: Option<BadItems>,
}

impl Origin<'_> {
    /// Reads all items.
    ///
    /// # Errors
    /// If a source cannot be read, or has bad items and they may not be left out.
    pub(in crate::ops) fn collect(&self, session: &Session) -> Result<Collected> {
        let mut collector = Collector {
            staging: Staging::new()?,
            split: self.split.clone(),
            bad: BadItemList::default(),
            read: 0,
            progress: session.progress().clone(),
        };
        match (self.items, self.source, self.query) {
            (Some(inline), None, None) => {
                items::inline_items(inline.0.clone(), self.key).try_for_each(|item| collector.add(item))?;
            }
            (None, Some(source), None) => {
                items::read_source(source, session.roots(), self.key)?
                    .try_for_each(|item| collector.add(item))?;
            }
            (None, None, Some(query)) => {
                query.check_key_field(self.key)?;
                let query = query.clone();
                // All pages are read in one transaction: they show the store at one moment.
                collector = session.read(move |tx| {
                    query.for_each(tx, |item| collector.add(Ok(item)))?;
                    Ok(collector)
                })?;
            }
            _ => {
                return Err(Error::invalid(
                    "items: say in one way where they come from: `items`, or `source`, or for a new batch `query`",
                ));
            }
        }
        let Collector { mut staging, mut bad, .. } = collector;
        list_duplicates(&mut staging, &mut bad)?;
        Ok(Collected { bad: bad.check(self.on_bad_item, self.done)?, staging })
    }

    /// The error of a request that has no good item.
    pub(in crate::ops) fn no_items(&self, bad: Option<&BadItems>) -> Error {
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
        let matching = glob.map_or(String::new(), |glob| format!(" that match \"{}\"", excerpt(glob)));
        Error::invalid(match bad {
            None => format!("{place}: it holds no items{matching}; a batch needs at least one"),
            Some(bad) => {
                format!("{place}: all {} items{matching} are bad: {}", bad.count, bad.listed.join("; "))
            }
        })
    }
}

/// Moves items of a key that an earlier item has to the bad ones.
fn list_duplicates(staging: &mut Staging, bad: &mut BadItemList) -> Result<()> {
    let duplicates = staging.remove_duplicates()?;
    let mut listed = Vec::new();
    for duplicate in &duplicates {
        let number = bad.number_after(u64::from(duplicate.number));
        if !bad.lists(number) || listed.len() == MAX_LISTED {
            break;
        }
        listed.push((number, duplicate));
    }
    bad.count_unlisted((duplicates.len() - listed.len()) as u64);
    for (number, duplicate) in listed {
        let (key, place) = staging.key_and_place(duplicate.number)?;
        let (_, first) = staging.key_and_place(duplicate.first)?;
        let text = format!(
            "{place}: key '{}' is already used by {first}; every item needs a key of its own (key=… names another field)",
            excerpt(&key)
        );
        bad.add_text(number, &text);
    }
    Ok(())
}

/// Collects items and separates bad items from good ones.
struct Collector {
    staging: Staging,
    split: Split,
    bad: BadItemList,
    read: u64,
    progress: ProgressReporter,
}

impl Collector {
    fn add(&mut self, item: Result<Item, BadItem>) -> Result<()> {
        let number = self.read;
        self.read += 1;
        self.progress.report(Progress { read: self.read, stored: 0 });
        let grouped = item.and_then(|item| match self.split.group_of(&item.fields) {
            Ok(group) => Ok((item, group)),
            Err(reason) => Err(BadItem::new(item.origin, reason)),
        });
        match grouped {
            Ok((item, group)) => self.staging.push(&item, group)?,
            Err(bad) => self.bad.add(number, &bad),
        }
        Ok(())
    }
}
