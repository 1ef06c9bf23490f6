//! Items from JSONL: an object a line.

use std::io::{self, BufRead, Read};

use serde_json::Value;

use super::item::{BadItem, Item, ItemOrigin, from_fields, kind};
use crate::error::Result;

/// The longest line, in bytes: 1 MiB.
pub(super) const MAX_LINE: u64 = 1 << 20;
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Reads an item a line; blank lines are skipped, but counted.
pub(super) fn read<R: BufRead>(input: R, key_field: String) -> impl Iterator<Item = Result<Item, BadItem>> {
    Lines { input, key_field, number: 0, line: Vec::new(), ended: false }
}

struct Lines<R> {
    input: R,
    key_field: String,
    number: u64,
    line: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Item, BadItem>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            self.number += 1;
            let taken = match self.next_line() {
                Ok(true) => self.take_line(),
                Ok(false) => Err(format!(
                    "longer than {MAX_LINE} bytes (1 MiB); keep large content in a file and give its path"
                )),
                Err(error) => {
                    self.ended = true;
                    let reason = format!("reading failed here: {error}; what follows was not read");
                    return Some(Err(BadItem::end(ItemOrigin::Line(self.number), reason)));
                }
            };
            let place = ItemOrigin::Line(self.number);
            match taken {
                Ok(None) => {}
                Ok(Some(fields)) => return Some(from_fields(fields, &self.key_field, place)),
                Err(reason) => return Some(Err(BadItem::new(place, reason))),
            }
        }
        None
    }
}

impl<R: BufRead> Lines<R> {
    /// Reads a line into `line`; false if it is too long, in which case its rest is
    /// passed over without being held.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.input.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            self.ended = true;
        }
        let whole = self.line.last() == Some(&b'\n') || self.line.len() as u64 <= MAX_LINE;
        if !whole {
            self.input.skip_until(b'\n')?;
        }
        Ok(whole)
    }

    fn take_line(&self) -> Result<Option<serde_json::Map<String, Value>>, String> {
        let mut line = self.line.as_slice();
        if self.number == 1 {
            line = line.strip_prefix(BOM).unwrap_or(line);
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(None);
        }
        let text = str::from_utf8(line)
            .map_err(|e| format!("not UTF-8 at byte {}; save the file as UTF-8", e.valid_up_to() + 1))?;
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => Ok(Some(fields)),
            Ok(other) => Err(format!("{}, not an object; write an object a line", kind(&other))),
            Err(error) => {
                // serde_json counts lines within this line, which would mislead.
                let full = error.to_string();
                let what = full.split(" at line ").next().unwrap_or(&full);
                Err(format!("not JSON at column {}: {what}; write an object a line", error.column()))
            }
        }
    }
}
