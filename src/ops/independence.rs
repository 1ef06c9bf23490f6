//! Whether the chunks of a batch touch the same things, among themselves or with those of batches
//! under way, and what follows from it.

use serde_json::{Map, Value};

use super::running::Running;
use super::verdict::{Found, NAMED, Verdict, more};
use crate::error::{Code, Error, Result};
use crate::model::conflict::{Meeting, OnConflict, Owner, Walk};
use crate::model::merge::Together;
use crate::model::resource::{DEFAULT_FIELD, of_item};
use crate::model::task::Row;
use crate::model::text::{Line, excerpt};
use crate::store::sorter::Sorter;
use crate::store::{Read, Staging, Write};

/// How many resources are stored in a row.
const BLOCK: usize = 256;
/// After all keys.
const LAST: &str = "\u{10FFFF}";

/// What the items of a batch touch.
pub(super) struct Independence {
    rule: OnConflict,
    items: u32,
    /// Resources, and the items that touch them by their place in the order of the chunks.
    touched: Sorter,
    /// The chunk of each item, both from 0.
    pub(super) chunk_of: Vec<u32>,
}

impl Independence {
    /// Looks at all items; none where no item touches anything.
    ///
    /// # Errors
    /// Fields that hold no resources, or that no item has.
    pub(super) fn look(rule: OnConflict, fields: &[Line], staging: &mut dyn Staging) -> Result<Option<Self>> {
        // Most items have none: those that cannot are not read.
        let default = format!("\"{DEFAULT_FIELD}\"");
        let mut touched = Sorter::default();
        let mut seen = vec![false; fields.len()];
        let (mut bad, mut bad_count) = (Vec::new(), 0_u64);
        let (mut item, mut any) = (0_u32, false);
        staging.each(&mut |key, text| {
            let this = item;
            item = item.checked_add(1).ok_or_else(|| {
                Error::new(Code::TooLarge, "items: there are too many to compare what they touch")
            })?;
            if fields.is_empty() && !text.contains(&default) {
                return Ok(());
            }
            let values: Map<String, Value> = serde_json::from_str(text)
                .map_err(|error| Error::internal("an item that was put aside cannot be read", error))?;
            match of_item(&values, fields, &mut seen) {
                Ok(resources) => {
                    any |= !resources.is_empty();
                    resources.iter().try_for_each(|resource| touched.push(resource.key().as_bytes(), this))
                }
                Err(reason) => {
                    bad_count += 1;
                    if bad.len() < NAMED {
                        bad.push(format!("item '{}': {reason}", excerpt(key)));
                    }
                    Ok(())
                }
            }
        })?;
        if bad_count > 0 {
            return Err(Error::invalid(format!(
                "resources: nothing was created, of {bad_count} items it can't be told what they touch: {}{}",
                bad.join("; "),
                more(bad_count, bad.len())
            )));
        }
        if let Some((field, _)) = fields.iter().zip(&seen).find(|(_, seen)| !**seen) {
            return Err(Error::invalid(format!(
                "resources: no item has a field \"{field}\"; name the field that holds what an item touches, or leave it out"
            )));
        }
        Ok(any.then_some(Independence { rule, items: item, touched, chunk_of: Vec::new() }))
    }

    /// Which items touch the same.
    pub(super) fn together(&mut self) -> Result<Together> {
        let mut together = Together::new(self.items);
        let mut walk = Walk::default();
        let mut owners = Vec::new();
        each_group(&mut self.touched, &mut |key, items| {
            owners.clear();
            owners.extend(items.iter().copied().map(Owner::New));
            walk.step(key, &owners, &mut |meeting| {
                if let (Owner::New(one), Owner::New(other)) = (meeting.holder, meeting.other) {
                    together.join(one, other);
                }
                Ok(())
            })
        })?;
        Ok(together)
    }

    /// Tells who meets whom, among the chunks and with those of batches under way; shows each resource
    /// with the chunks that touch it on the way.
    fn meet(
        &mut self,
        running: &mut Running<'_>,
        show: &mut dyn FnMut(&str, &[u32]) -> Result<()>,
        tell: &mut dyn FnMut(&Meeting<'_>) -> Result<()>,
    ) -> Result<()> {
        let chunk_of = &self.chunk_of;
        let (mut chunks, mut owners) = (Vec::new(), Vec::new());
        each_group(&mut self.touched, &mut |key, items| {
            chunks.clear();
            chunks.extend(items.iter().filter_map(|item| chunk_of.get(*item as usize).copied()));
            chunks.sort_unstable();
            chunks.dedup();
            show(key, &chunks)?;
            owners.clear();
            owners.extend(chunks.iter().copied().map(Owner::New));
            running.step(key, &mut owners, tell)
        })?;
        running.finish(tell)
    }

    /// Looks without writing anything.
    ///
    /// # Errors
    /// `conflict` by the rule `reject`; `name` says how a chunk is called.
    pub(super) fn judge(
        &mut self,
        tx: &dyn Read,
        project: Option<&str>,
        name: &dyn Fn(u32) -> String,
    ) -> Result<Found> {
        let chunks = self.chunk_of.iter().max().map_or(0, |last| *last as usize + 1);
        let mut running = Running::of_project(tx, project, None)?;
        let mut verdict = Verdict::new(self.rule, tx, name, chunks);
        self.meet(&mut running, &mut |_, _| Ok(()), &mut |meeting| verdict.hear(meeting))?;
        verdict.end(&mut |_, _, _| Ok(()))
    }

    /// Stores what each chunk touches, and which must not be worked at once.
    ///
    /// # Errors
    /// `conflict` by the rule `reject`.
    pub(super) fn store(
        &mut self,
        tx: &dyn Write,
        batch: Row,
        project: Option<&str>,
        rows: &[Row],
        name: &dyn Fn(u32) -> String,
    ) -> Result<Found> {
        let row = |chunk: u32| {
            rows.get(chunk as usize)
                .copied()
                .ok_or_else(|| Error::new(Code::Internal, "a resource of a chunk that isn't there"))
        };
        let mut running = Running::of_project(tx, project, Some(batch))?;
        let mut verdict = Verdict::new(self.rule, tx, name, rows.len());
        let layer = tx.touch_layers(batch)?;
        let mut block = Vec::with_capacity(BLOCK);
        let mut show = |key: &str, chunks: &[u32]| {
            block.push((key.to_owned(), chunks.iter().copied().map(row).collect::<Result<Vec<Row>>>()?));
            if block.len() == BLOCK {
                tx.insert_touches(batch, layer, &block)?;
                block.clear();
            }
            Ok(())
        };
        self.meet(&mut running, &mut show, &mut |meeting| verdict.hear(meeting))?;
        tx.insert_touches(batch, layer, &block)?;
        verdict.end(&mut |owner, key, beneath| match owner {
            Owner::New(chunk) => tx.interlock(row(chunk)?, project, key, beneath),
            Owner::Stored(row) => tx.interlock_stored(row, project, key, beneath),
        })
    }
}

/// Interlocks the chunks of a stored batch with those of other batches under way, for they may have
/// begun while it had ended.
pub(super) fn join_again(tx: &dyn Write, batch: Row, project: Option<&str>) -> Result<()> {
    let mut others = Running::of_project(tx, project, Some(batch))?;
    let mut own = Running::of(tx, [batch])?;
    if others.is_empty() || own.is_empty() {
        return Ok(());
    }
    let mut tell = |meeting: &Meeting<'_>| {
        for (owner, beneath) in meeting.sides() {
            if let Owner::Stored(row) = owner {
                tx.interlock_stored(row, project, meeting.resource, beneath)?;
            }
        }
        Ok(())
    };
    while let Some((key, mut owners)) = own.take(LAST)? {
        others.step(&key, &mut owners, &mut tell)?;
    }
    others.finish(&mut tell)
}

/// Calls `visit` with each key and all its numbers.
fn each_group(sorter: &mut Sorter, visit: &mut dyn FnMut(&str, &[u32]) -> Result<()>) -> Result<()> {
    let (mut last, mut numbers) = (String::new(), Vec::new());
    sorter.each(&mut |key, number| {
        if key != last.as_bytes() {
            if !numbers.is_empty() {
                visit(&last, &numbers)?;
                numbers.clear();
            }
            last.clear();
            last.push_str(
                str::from_utf8(key).map_err(|error| {
                    Error::internal("a resource that was put aside cannot be read", error)
                })?,
            );
        }
        numbers.push(number);
        Ok(())
    })?;
    if numbers.is_empty() { Ok(()) } else { visit(&last, &numbers) }
}
