//! The items of a request between reading and storing: in a temporary file, because a source can be larger than
//! memory, and outside of the store, because no writer shall wait while a source is read.
//!
//! Memory holds 12 bytes an item, and a few megabytes of keys to sort.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;

use super::Item;
use crate::error::{Code, Error, Result};
use crate::external_sort::{ExternalSorter, TEMPORARY_FILES};
use crate::model::split::SplitGroup;

/// Items are written to the file in pieces of this many bytes, and read from it likewise.
const BUFFER: usize = 1 << 17;
/// The group of an item that was removed.
const REMOVED: u32 = u32::MAX;
/// Bytes before the texts of an item: the lengths of its key, place and fields.
const LENGTHS: usize = 12;

/// Collected items, each in a group, numbered from 0 as they were added.
pub struct Staging {
    file: File,
    /// The end of the file, not written yet.
    unwritten: Vec<u8>,
    written: u64,
    /// Where each item begins.
    starts: Vec<u64>,
    group_of: Vec<u32>,
    groups: Vec<StagedGroup>,
    /// The groups of each sort text.
    by_sort: HashMap<String, Vec<u32>>,
    keys: ExternalSorter,
}

struct StagedGroup {
    group: SplitGroup,
    items: u64,
}

/// An item whose key another one has already.
pub struct Duplicate {
    /// The item's number.
    pub number: u32,
    /// The number of the first item of that key.
    pub first: u32,
}

/// The texts of an item.
struct Record<'a> {
    key: &'a str,
    place: &'a str,
    fields: &'a str,
}

fn failed(error: io::Error) -> Error {
    Error::internal(format!("items could not be kept {TEMPORARY_FILES}"), error)
}

fn damaged() -> Error {
    Error::internal("a staged item cannot be read", io::Error::from(io::ErrorKind::InvalidData))
}

fn too_many(error: std::num::TryFromIntError) -> Error {
    Error::new(Code::TooLarge, "items: there are too many for one request").caused_by(error)
}

impl Staging {
    /// No items yet.
    ///
    /// # Errors
    /// If no temporary file can be made.
    pub fn new() -> Result<Self> {
        Ok(Staging {
            file: tempfile::tempfile().map_err(failed)?,
            unwritten: Vec::with_capacity(BUFFER),
            written: 0,
            starts: Vec::new(),
            group_of: Vec::new(),
            groups: Vec::new(),
            by_sort: HashMap::new(),
            keys: ExternalSorter::default(),
        })
    }

    /// Adds an item.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn push(&mut self, item: &Item, group: SplitGroup) -> Result<()> {
        let place = item.origin.to_string();
        let texts = [item.key.as_str(), &place, &item.json];
        let number = u32::try_from(self.starts.len()).map_err(too_many)?;
        self.starts.push(self.written + self.unwritten.len() as u64);
        for text in texts {
            self.unwritten.extend_from_slice(&u32::try_from(text.len()).map_err(too_many)?.to_le_bytes());
        }
        for text in texts {
            self.unwritten.extend_from_slice(text.as_bytes());
        }
        if self.unwritten.len() >= BUFFER {
            self.flush()?;
        }
        self.keys.push(item.key.as_bytes(), number)?;
        let group = self.group(group)?;
        self.group_of.push(group);
        Ok(())
    }

    /// The number of a group, after counting one more item in it.
    fn group(&mut self, group: SplitGroup) -> Result<u32> {
        let of_sort = self.by_sort.get(&group.sort_key).map_or(&[][..], Vec::as_slice);
        let same = |number: &&u32| {
            self.groups.get(**number as usize).is_some_and(|staged| staged.group.label == group.label)
        };
        if let Some(&number) = of_sort.iter().find(same) {
            self.groups[number as usize].items += 1;
            return Ok(number);
        }
        let number = u32::try_from(self.groups.len()).map_err(too_many)?;
        self.by_sort.entry(group.sort_key.clone()).or_default().push(number);
        self.groups.push(StagedGroup { group, items: 1 });
        Ok(number)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all_at(&self.unwritten, self.written).map_err(failed)?;
        self.written += self.unwritten.len() as u64;
        self.unwritten.clear();
        Ok(())
    }

    /// Removes the items whose key an earlier item has; returns them in their order.
    ///
    /// # Errors
    /// If the temporary files cannot be read.
    pub fn remove_duplicates(&mut self) -> Result<Vec<Duplicate>> {
        let mut duplicates = Vec::new();
        let mut keys = std::mem::take(&mut self.keys);
        let (mut last, mut first) = (Vec::new(), None);
        keys.for_each_sorted(&mut |key, number| {
            match first {
                Some(first) if last == key => duplicates.push(Duplicate { number, first }),
                _ => {
                    first = Some(number);
                    last.clear();
                    last.extend_from_slice(key);
                }
            }
            Ok(())
        })?;
        self.keys = keys;
        duplicates.sort_unstable_by_key(|duplicate| duplicate.number);
        for duplicate in &duplicates {
            self.remove(duplicate.number);
        }
        Ok(duplicates)
    }

    /// Removes the items whose key is known already; returns how many.
    ///
    /// # Errors
    /// The error of `is_known`, or if the temporary files cannot be read.
    pub fn remove_known(&mut self, is_known: &mut dyn FnMut(&str) -> Result<bool>) -> Result<u64> {
        let mut known = Vec::new();
        self.for_each_key(None, &mut |key, position| {
            if is_known(key)? {
                known.push(position);
            }
            Ok(())
        })?;
        let numbers = self.numbers(None);
        for position in &known {
            let number = numbers.as_ref().map_or(Some(position), |numbers| numbers.get(*position as usize));
            if let Some(number) = number {
                self.remove(*number);
            }
        }
        Ok(known.len() as u64)
    }

    fn remove(&mut self, number: u32) {
        if let Some(group) = self.group_of.get_mut(number as usize) {
            if let Some(staged) = self.groups.get_mut(*group as usize) {
                staged.items -= 1;
            }
            *group = REMOVED;
        }
    }

    /// The groups' numbers in the order of the groups.
    fn sorted_groups(&self) -> Vec<usize> {
        let mut sorted: Vec<usize> = (0..self.groups.len()).collect();
        sorted
            .sort_by(|one, other| self.groups[*one].group.sort_key.cmp(&self.groups[*other].group.sort_key));
        sorted
    }

    /// The labels of the groups that hold items, in order, and how many items each holds.
    pub fn groups(&self) -> Vec<(String, u64)> {
        let sorted = self.sorted_groups().into_iter().map(|number| &self.groups[number]);
        sorted
            .filter(|staged| staged.items > 0)
            .map(|staged| (staged.group.label.clone(), staged.items))
            .collect()
    }

    /// How many items there are.
    pub fn item_count(&self) -> u64 {
        self.groups.iter().map(|staged| staged.items).sum()
    }

    /// The items' numbers by their positions: in the order of the groups, or by `order`, which lists positions
    /// in that order. None if each item's number is its position.
    fn numbers(&self, order: Option<&[u32]>) -> Option<Vec<u32>> {
        if self.groups.len() <= 1 && self.item_count() == self.starts.len() as u64 && order.is_none() {
            return None;
        }
        let mut next = vec![0_usize; self.groups.len()];
        let mut total = 0;
        for group in self.sorted_groups() {
            next[group] = total;
            total += usize::try_from(self.groups[group].items).unwrap_or(usize::MAX);
        }
        let mut numbers = vec![0_u32; total];
        for (number, group) in (0_u32..).zip(&self.group_of) {
            if let Some(position) = next.get_mut(*group as usize) {
                numbers[*position] = number;
                *position += 1;
            }
        }
        Some(match order {
            None => numbers,
            Some(order) => order.iter().filter_map(|place| numbers.get(*place as usize).copied()).collect(),
        })
    }

    /// Calls `visit` with the key and the fields of each item, in the order of the groups, or by `order`, which
    /// lists positions in that order.
    ///
    /// # Errors
    /// The error of `visit`, or if the temporary file cannot be read.
    pub fn for_each(
        &mut self,
        order: Option<&[u32]>,
        visit: &mut dyn FnMut(&str, &str) -> Result<()>,
    ) -> Result<()> {
        self.flush()?;
        let mut bytes = Vec::new();
        match self.numbers(order) {
            None => {
                let mut reader = BufReader::with_capacity(BUFFER, FromStart { file: &self.file, at: 0 });
                for number in 0..self.starts.len() {
                    bytes.resize(self.length(number)?, 0);
                    reader.read_exact(&mut bytes).map_err(failed)?;
                    let record = parse(&bytes)?;
                    visit(record.key, record.fields)?;
                }
            }
            Some(numbers) => {
                for number in numbers {
                    let record = self.record(number, &mut bytes)?;
                    visit(record.key, record.fields)?;
                }
            }
        }
        Ok(())
    }

    /// Calls `visit` with the key of each item and its position, in the order of the keys.
    ///
    /// # Errors
    /// The error of `visit`, or if the temporary files cannot be read.
    pub fn for_each_key(
        &mut self,
        order: Option<&[u32]>,
        visit: &mut dyn FnMut(&str, u32) -> Result<()>,
    ) -> Result<()> {
        let positions = self.numbers(order).map(|numbers| {
            let mut positions = vec![REMOVED; self.starts.len()];
            for (position, number) in (0_u32..).zip(numbers) {
                positions[number as usize] = position;
            }
            positions
        });
        self.keys.for_each_sorted(&mut |key, number| {
            let position =
                positions.as_ref().map_or(Some(&number), |positions| positions.get(number as usize));
            match position {
                Some(&position) if position != REMOVED => {
                    visit(str::from_utf8(key).map_err(|_| damaged())?, position)
                }
                _ => Ok(()),
            }
        })
    }

    /// The key of an item, and the place that it was read from.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub fn key_and_place(&mut self, number: u32) -> Result<(String, String)> {
        self.flush()?;
        let mut bytes = Vec::new();
        let record = self.record(number, &mut bytes)?;
        Ok((record.key.to_owned(), record.place.to_owned()))
    }

    fn length(&self, number: usize) -> Result<usize> {
        let start = self.starts.get(number).ok_or_else(damaged)?;
        let end = self.starts.get(number + 1).unwrap_or(&self.written);
        usize::try_from(end - start).map_err(too_many)
    }

    fn record<'a>(&self, number: u32, bytes: &'a mut Vec<u8>) -> Result<Record<'a>> {
        let number = number as usize;
        bytes.resize(self.length(number)?, 0);
        self.file.read_exact_at(bytes, self.starts[number]).map_err(failed)?;
        parse(bytes)
    }
}

fn parse(bytes: &[u8]) -> Result<Record<'_>> {
    let (lengths, texts) = bytes.split_at_checked(LENGTHS).ok_or_else(damaged)?;
    let length = |at: usize| {
        lengths[at..at + 4].try_into().map(|bytes| u32::from_le_bytes(bytes) as usize).unwrap_or(usize::MAX)
    };
    let text = |bytes| str::from_utf8(bytes).map_err(|_| damaged());
    let (key, rest) = texts.split_at_checked(length(0)).ok_or_else(damaged)?;
    let (place, fields) = rest.split_at_checked(length(4)).ok_or_else(damaged)?;
    if fields.len() != length(8) {
        return Err(damaged());
    }
    Ok(Record { key: text(key)?, place: text(place)?, fields: text(fields)? })
}

/// A file read from its start, whatever else reads it.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items::{InlineItems, ItemOrigin, inline_items};
    use serde_json::json;

    fn staged(items: &[(&str, &str)]) -> Staging {
        let mut staging = Staging::new().unwrap();
        for (key, label) in items {
            let item = inline_items(
                &InlineItems::parse(&json!([{"key": key, "label": label}]).to_string()).unwrap(),
                "key",
            )
            .next()
            .unwrap()
            .unwrap();
            let item = Item { origin: ItemOrigin::Position(staging.starts.len() as u64 + 1), ..item };
            staging.push(&item, SplitGroup { sort_key: (*label).into(), label: (*label).into() }).unwrap();
        }
        staging
    }

    fn keys(staging: &mut Staging, order: Option<&[u32]>) -> Vec<String> {
        let mut keys = Vec::new();
        staging
            .for_each(order, &mut |key, _| {
                keys.push(key.to_owned());
                Ok(())
            })
            .unwrap();
        keys
    }

    #[test]
    fn items_come_in_the_order_of_their_groups_or_in_another() {
        fn check(items: &[(&str, &str)], order: Option<&[u32]>, expected: &[&str]) {
            let mut staging = staged(items);
            assert_eq!(keys(&mut staging, order), expected);
            let mut by_key = Vec::new();
            staging
                .for_each_key(order, &mut |key, position| {
                    by_key.push((key.to_owned(), position as usize));
                    Ok(())
                })
                .unwrap();
            assert!(by_key.is_sorted());
            assert_eq!(by_key.len(), expected.len());
            assert!(by_key.iter().all(|(key, position)| expected[*position] == key));
        }
        check(&[], None, &[]);
        check(&[("c", ""), ("a", ""), ("b", "")], None, &["c", "a", "b"]);
        check(&[("c", ""), ("a", ""), ("b", "")], Some(&[2, 0, 1]), &["b", "c", "a"]);
        check(&[("a", "y"), ("b", "x"), ("c", "y"), ("d", "x")], None, &["b", "d", "a", "c"]);
        check(&[("a", "y"), ("b", "x"), ("c", "y"), ("d", "x")], Some(&[3, 2, 1, 0]), &["c", "a", "d", "b"]);
    }

    #[test]
    fn a_key_is_kept_once_and_the_first_item_of_it_stays() {
        let mut staging = staged(&[("a", "x"), ("b", "y"), ("a", "y"), ("b", "y"), ("a", "x")]);
        let duplicates = staging.remove_duplicates().unwrap();
        let pairs: Vec<_> = duplicates.iter().map(|one| (one.number, one.first)).collect();
        assert_eq!(pairs, [(2, 0), (3, 1), (4, 0)]);
        assert_eq!(staging.key_and_place(3).unwrap(), ("b".to_owned(), "item 4".to_owned()));
        assert_eq!(staging.groups(), [("x".to_owned(), 1), ("y".to_owned(), 1)]);
        assert_eq!(keys(&mut staging, None), ["a", "b"]);
    }

    #[test]
    fn known_items_are_left_out_with_groups_that_hold_nothing_else() {
        let mut staging = staged(&[("a", "x"), ("b", "y"), ("c", "x")]);
        assert_eq!(staging.remove_known(&mut |key| Ok(key == "b")).unwrap(), 1);
        assert_eq!(staging.groups(), [("x".to_owned(), 2)]);
        assert_eq!(keys(&mut staging, None), ["a", "c"]);
        assert_eq!(staging.remove_known(&mut |key| Ok(key == "a")).unwrap(), 1);
        assert_eq!(keys(&mut staging, None), ["c"]);
    }
}
