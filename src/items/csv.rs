//! Items from CSV: a header line, then a row an item.

use std::collections::HashSet;
use std::io::{self, Read};

use ::csv::{ByteRecord, Reader, ReaderBuilder, Terminator};
use serde_json::{Map, Value};

use super::item::{BadItem, Item, ItemOrigin, from_fields, missing};
use super::jsonl::MAX_LINE;
use super::roots::quoted_path;
use crate::error::{Error, Result};
use crate::model::field::{lookup, visible_excerpt};

/// Reads an item a row, each of its columns a string field.
pub(super) fn read<R: Read>(
    input: R,
    path: &str,
    key_field: String,
) -> Result<impl Iterator<Item = Result<Item, BadItem>> + use<R>> {
    let refused = |reason: String| Error::invalid(format!("{} {reason}", quoted_path(path)));
    let mut rows = Rows::new(input, key_field);
    let (_, header) = rows
        .next_row()
        .map_err(|bad| refused(format!("has no readable header: {bad}")))?
        .ok_or_else(|| refused("is empty; its first line must name the columns".to_owned()))?;
    let mut names = HashSet::new();
    if let Some(twice) = header.iter().find(|name| !names.insert(name.as_str())) {
        return Err(refused(format!(
            "names the column \"{}\" twice; rename one of them",
            visible_excerpt(twice, 80)
        )));
    }
    // Said once here instead of once for every row.
    let empty: Map<String, Value> = header.iter().map(|name| (name.clone(), Value::Null)).collect();
    if lookup(&empty, &rows.key_field).is_none() {
        return Err(refused(format!(
            "has {}",
            missing(&visible_excerpt(&rows.key_field, 80), header.iter())
        )));
    }
    rows.header = header;
    Ok(rows)
}

struct Rows<R> {
    reader: Reader<Metered<R>>,
    header: Vec<String>,
    key_field: String,
    row: ByteRecord,
    ended: bool,
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Item, BadItem>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.next_row().transpose()?;
        Some(row.and_then(|(line, values)| self.item(line, values)))
    }
}

impl<R: Read> Rows<R> {
    fn new(input: R, key_field: String) -> Self {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            // Rows of another width are refused by `item`, which names the line.
            .flexible(true)
            // The csv crate's own line ends make it lose count of lines after CRLF.
            .terminator(Terminator::Any(b'\n'))
            .from_reader(Metered { input, left: MAX_LINE, at_end: false });
        Rows { reader, header: Vec::new(), key_field, row: ByteRecord::new(), ended: false }
    }

    /// The values of the next row that is not blank, and the line it begins on.
    fn next_row(&mut self) -> Result<Option<(u64, Vec<String>)>, BadItem> {
        while !self.ended {
            self.reader.get_mut().left = MAX_LINE;
            let begins = self.reader.position().line();
            match self.reader.read_byte_record(&mut self.row) {
                Ok(true) if self.row.len() == 1 && self.row[0] == *b"\r" => {}
                Ok(true) => {
                    let line = self.line();
                    let values =
                        values(&self.row).map_err(|reason| BadItem::new(ItemOrigin::Line(line), reason))?;
                    return Ok(Some((line, values)));
                }
                Ok(false) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    let reason = format!("{error}; what follows was not read");
                    return Err(BadItem::end(ItemOrigin::Line(begins), reason));
                }
            }
        }
        Ok(None)
    }

    /// The line on which the row begins, counted back from its end, since blank
    /// lines before it count as part of it for the reader.
    fn line(&self) -> u64 {
        let within = self.row.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        // Only a last row that no line end closes is read up to the end of the input.
        let line_end = u64::from(!self.reader.get_ref().at_end);
        self.reader.position().line().saturating_sub(within + line_end)
    }

    fn item(&self, line: u64, values: Vec<String>) -> Result<Item, BadItem> {
        let place = ItemOrigin::Line(line);
        let (width, wanted) = (values.len(), self.header.len());
        if width != wanted {
            let reason = format!(
                "{width} columns where the header names {wanted}; a value with a comma or a quote must stand in quotes"
            );
            return Err(BadItem::new(place, reason));
        }
        let fields = self.header.iter().cloned().zip(values.into_iter().map(Value::String)).collect();
        from_fields(fields, &self.key_field, place)
    }
}

fn values(row: &ByteRecord) -> Result<Vec<String>, String> {
    let mut values = Vec::with_capacity(row.len());
    for (n, value) in row.iter().enumerate() {
        let last = n + 1 == row.len();
        let value = if last { value.strip_suffix(b"\r").unwrap_or(value) } else { value };
        let text = str::from_utf8(value)
            .map_err(|_| format!("not UTF-8 in column {}; save the file as UTF-8", n + 1))?;
        values.push(text.to_owned());
    }
    Ok(values)
}

/// Lets a row have so many bytes and no more: a quote that is never closed would
/// otherwise make one row of the whole file, all of it in memory.
struct Metered<R> {
    input: R,
    left: u64,
    at_end: bool,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.by_ref().take(self.left).read(buffer)?;
        if read == 0 && self.left == 0 {
            return Err(io::Error::other(format!(
                "the row is longer than {MAX_LINE} bytes (1 MiB); is a quote not closed?"
            )));
        }
        self.left -= read as u64;
        self.at_end = read == 0;
        Ok(read)
    }
}
