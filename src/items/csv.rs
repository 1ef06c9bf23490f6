//! Items from CSV: a header that names the columns, then one row per item.

mod detection;
mod dialect;
mod records;

use std::collections::HashSet;
use std::io::BufRead;

use serde_json::{Map, Value};

pub(super) use self::detection::{detect_dialect, has_key_column};
pub use self::dialect::Delimiter;
pub(super) use self::dialect::Dialect;
use self::records::{Record, RecordReader, RestUnread, column_names, texts};
use super::KeyCandidates;
use super::item::{BadItem, Item, ItemOrigin, LINE_KEY, from_fields, missing};
use super::roots::quoted_path;
use crate::error::{Error, Result};
use crate::model::field::{lookup, visible_excerpt};
use crate::model::limits::MIB;

/// How many bytes the items of a file may have in any case.
const FREE_GROWTH: u64 = 64 * MIB;

/// Reads one item per row, each column a text field. Each item repeats the names of the columns; beyond 64 MiB, the items may
/// have at most `max_growth` bytes for each byte of the file.
pub(super) fn read<R: BufRead>(
    input: R,
    dialect: Dialect,
    path: &str,
    key_field: String,
    max_growth: u64,
) -> Result<impl Iterator<Item = Result<Item, BadItem>> + use<R>> {
    let refused = |reason: String| Error::invalid(format!("{} {reason}", quoted_path(path)));
    let mut records = RecordReader::new(input, dialect);
    let header = records
        .next_record()
        .map_err(|RestUnread { line, reason }| {
            refused(format!("has no readable header: line {line}: {reason}"))
        })?
        .ok_or_else(|| refused("is empty; its first line must name the columns".to_owned()))?;
    let line = header.line;
    let header = column_names(header)
        .map_err(|reason| refused(format!("has no readable header: line {line}: {reason}")))?;
    let mut names = HashSet::new();
    if let Some(twice) = header.iter().find(|name| !names.insert(name.as_str())) {
        return Err(refused(format!(
            "names the column \"{}\" twice; rename one of them",
            visible_excerpt(twice, 80)
        )));
    }
    // Reported once for the file, not once for every row.
    let empty: Map<String, Value> = header.iter().map(|name| (name.clone(), Value::Null)).collect();
    if key_field != LINE_KEY && lookup(&empty, &key_field).is_none() {
        let key = visible_excerpt(&key_field, 80);
        let columns = missing(&key, header.iter());
        let rows = Rows { records, header, key_field, item_bytes: 0, max_growth, has_ended: false };
        let proposal = rows.key_proposal().map(|proposal| format!(". {proposal}")).unwrap_or_default();
        return Err(refused(format!(
            "has {columns}{proposal}. It was read as {dialect}; delimiter=… names another"
        )));
    }
    Ok(Rows { records, header, key_field, item_bytes: 0, max_growth, has_ended: false })
}

struct Rows<R> {
    records: RecordReader<R>,
    header: Vec<String>,
    key_field: String,
    /// The bytes of all items so far.
    item_bytes: u64,
    /// The most bytes of items for each byte of the file.
    max_growth: u64,
    has_ended: bool,
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Item, BadItem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        match self.records.next_record() {
            Ok(None) => None,
            Ok(Some(record)) => {
                let line = record.line;
                let item = self.item(record);
                self.item_bytes += item.as_ref().map_or(0, |item| item.json.len() as u64);
                if self.item_bytes > FREE_GROWTH + self.max_growth.saturating_mul(self.records.bytes()) {
                    self.has_ended = true;
                    return Some(Err(BadItem::end(ItemOrigin::Line(line), self.too_much_growth())));
                }
                Some(item)
            }
            Err(RestUnread { line, reason }) => {
                self.has_ended = true;
                let reason = format!("{reason}; what follows was not read");
                Some(Err(BadItem::end(ItemOrigin::Line(line), reason)))
            }
        }
    }
}

impl<R: BufRead> Rows<R> {
    /// The columns that could be the key, if every row can be read.
    fn key_proposal(mut self) -> Option<String> {
        let mut candidates = KeyCandidates::default();
        while let Some(item) = self.next().filter(|_| !candidates.is_full()) {
            candidates.add(item.err()?.without_key.as_deref()?);
        }
        candidates.proposal()
    }

    /// Says that the names of the columns are too long for rows this short.
    fn too_much_growth(&self) -> String {
        let names: usize = self.header.iter().map(String::len).sum();
        format!(
            "the items up to here have {} bytes, and the file up to here has {}: each item repeats the names of the {} columns ({names} bytes). At most {} bytes of items per byte of the file (limits.max_csv_growth) plus {} MiB are allowed; shorten the names. What follows was not read",
            self.item_bytes,
            self.records.bytes(),
            self.header.len(),
            self.max_growth,
            FREE_GROWTH / MIB
        )
    }

    fn item(&self, record: Record) -> Result<Item, BadItem> {
        let place = ItemOrigin::Line(record.line);
        let values = match texts(record) {
            Ok(values) => values,
            Err(reason) => return Err(BadItem::new(place, reason)),
        };
        let (width, wanted) = (values.len(), self.header.len());
        if width != wanted {
            let delimiter = self.records.dialect().delimiter_name();
            let reason = format!(
                "{width} columns where the header names {wanted}; a value with a {delimiter} or a quote must stand in quotes"
            );
            return Err(BadItem::new(place, reason));
        }
        let fields = self.header.iter().cloned().zip(values.into_iter().map(Value::String)).collect();
        from_fields(fields, &self.key_field, place)
    }
}
