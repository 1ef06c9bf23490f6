//! Reads the items of a request from where they are into a temporary file, each in its group, and lists the bad ones.

use super::bad_item_groups::{Place, as_lines};
use super::bad_items::{BadItemList, MAX_RECORDED, OnBadItem, SourceReport};
use super::batch_rest::BatchRest;
use super::batch_size::BatchSize;
use super::task_query::Query;
use crate::disk_space::check_space;
use crate::error::{Error, Result};
use crate::items::{self, BadItem, BadItemEffect, InlineItems, Item, ItemSource, Staging};
use crate::model::field::visible_excerpt;
use crate::model::id::TaskId;
use crate::model::item_date::DateSpan;
use crate::model::split::Split;
use crate::model::text::excerpt;
use crate::ops::Session;
use crate::ops::conflicts::resolve::CREATED;
use crate::ops::request::progress::{Progress, ProgressReporter};

/// The JSON schema of [`InlineItems`]. An element may also be a string, as the description says, but converters of
/// clients cannot read a choice between two types. openai-agents closes an object that does not say what else it may hold.
pub(in crate::ops) fn inline_items_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "array", "items": { "type": "object", "additionalProperties": {} } })
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
    /// An ended batch, whose items that are not done are taken, in place of all others.
    pub(in crate::ops) rest_of: Option<&'a TaskId>,
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
    /// What was left out, and the dates.
    pub(in crate::ops) report: SourceReport,
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
            dates: DateSpan::new(session.read(|tx| Ok(tx.now().date()))?),
            read: 0,
            progress: session.progress().clone(),
            size: BatchSize::new(session.quotas().max_batch_mb),
        };
        let is_elsewhere = self.source.is_some() || self.query.is_some();
        let mut rest = None;
        if let Some(batch) = self.rest_of {
            let batch = batch.clone();
            (collector, rest) = session.read(move |tx| {
                let rest = BatchRest::for_each(tx, &batch, |item| collector.add(Ok(item)))?;
                Ok((collector, Some(rest)))
            })?;
        } else {
            match (self.items.filter(|items| !(items.is_empty() && is_elsewhere)), self.source, self.query) {
                (Some(inline), None, None) => {
                    items::inline_items(inline, self.key).try_for_each(|item| collector.add(item))?;
                }
                (None, Some(source), None) => {
                    items::read_source(source, session.roots(), self.key, session.quotas().max_csv_growth)?
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
                    let given = [self.items.is_some(), self.source.is_some(), self.query.is_some()];
                    let given = given.iter().filter(|is_given| **is_given).count();
                    let allowed = if self.done == CREATED {
                        "items=..., source=... and query=..."
                    } else {
                        "items=... and source=..."
                    };
                    return Err(Error::invalid(format!(
                        "items: pass exactly one of {allowed}; {given} were passed"
                    )));
                }
            }
        }
        let Collector { mut staging, mut bad, dates, size, read, .. } = collector;
        list_duplicates(&mut staging, &mut bad)?;
        let report = bad.check(self.on_bad_item, self.done, (self.parameter(), self.name()), read)?;
        check_space(session.folder(), size.bytes_on_disk(), "a batch of these items")?;
        Ok(Collected { report: report.complete(dates, rest, &session.author()), staging })
    }

    /// The parameter that names the items.
    fn parameter(&self) -> &'static str {
        match (self.source, self.query) {
            (Some(_), _) => "source",
            (None, Some(_)) => "query",
            (None, None) => "items",
        }
    }

    /// The name of the source, for a message.
    fn name(&self) -> &str {
        match (self.source, self.query) {
            (Some(source), _) if source.path == "-" => "standard input",
            (Some(source), _) => &source.path,
            (None, Some(_)) => "query",
            (None, None) => "items",
        }
    }

    /// The error of a request that has no good item.
    pub(in crate::ops) fn no_items(&self, report: &SourceReport) -> Error {
        if let Some(batch) = self.rest_of {
            return BatchRest::nothing_left(batch);
        }
        let place = match self.name() {
            "query" if self.source.is_none() => {
                return Error::invalid(
                    "query: no task matches; list_tasks() with the same filters shows which tasks do (chunks and batches are left out)",
                );
            }
            name => visible_excerpt(name, 200),
        };
        let glob = self.source.and_then(|source| source.glob.as_deref());
        let matching = glob.map_or(String::new(), |glob| format!(" that match \"{}\"", excerpt(glob)));
        let ignored = report.bad.as_ref().and_then(|bad| bad.ignored_listed.first());
        let ignored = ignored.map_or(String::new(), |first| format!(" ({first})"));
        Error::invalid(match report.bad.as_ref().filter(|bad| bad.count > 0) {
            None => format!("{place}: it holds no items{matching}{ignored}; a batch needs at least one"),
            Some(bad) if bad.count == 1 => {
                format!("{place}: its only item{matching} is bad:{}", as_lines(&bad.listed, 0))
            }
            Some(bad) => {
                let listed = as_lines(&bad.listed, bad.unlisted);
                format!("{place}: all {} items{matching} are bad:{listed}", bad.count)
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
        if !bad.lists(number) || listed.len() == MAX_RECORDED {
            break;
        }
        listed.push((number, duplicate));
    }
    bad.count_unlisted((duplicates.len() - listed.len()) as u64);
    for (number, duplicate) in listed {
        let (key, place) = staging.key_and_place(duplicate.number)?;
        let (_, first) = staging.key_and_place(duplicate.first)?;
        let reason = format!(
            "key '{}' is already used by {first}; every item needs a key of its own (key=… names another field)",
            excerpt(&key)
        );
        bad.list(number, Place::Named(place), &reason);
    }
    Ok(())
}

/// Collects items and separates bad items from good ones.
struct Collector {
    staging: Staging,
    split: Split,
    bad: BadItemList,
    dates: DateSpan,
    read: u64,
    progress: ProgressReporter,
    size: BatchSize,
}

impl Collector {
    fn add(&mut self, item: Result<Item, BadItem>) -> Result<()> {
        let number = self.read;
        // An entry that is no item has no number.
        self.read += u64::from(!matches!(&item, Err(bad) if bad.effect == BadItemEffect::Ignored));
        self.progress.report(Progress { read: self.read, stored: 0 });
        let grouped = item.and_then(|item| match self.split.group_and_date_of(&item.fields) {
            Ok((group, date)) => {
                if let Some(date) = date {
                    self.dates.add(date, || item.origin.to_string());
                }
                Ok((item, group))
            }
            Err(reason) => Err(BadItem::new(item.origin, reason)),
        });
        match grouped {
            Ok((item, group)) => {
                self.size.add(&item)?;
                self.staging.push(&item, group)?;
            }
            Err(bad) => self.bad.add(number, &bad),
        }
        Ok(())
    }
}
