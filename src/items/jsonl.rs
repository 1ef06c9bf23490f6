//! Items from JSONL: one JSON object per line.

use std::io::BufRead;

use super::item::{BadItem, Item, ItemOrigin, from_object_text};
use super::lines::{Line, LineReader, MAX_LINE};
use crate::error::Result;

/// Reads one item per line; blank lines are skipped, but counted.
pub(super) fn read<R: BufRead>(input: R, key_field: String) -> impl Iterator<Item = Result<Item, BadItem>> {
    Lines { lines: LineReader::new(input), key_field, line: Vec::new(), has_ended: false }
}

struct Lines<R> {
    lines: LineReader<R>,
    key_field: String,
    line: Vec<u8>,
    has_ended: bool,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Item, BadItem>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.has_ended {
            let read = self.lines.read_line(&mut self.line);
            let place = ItemOrigin::Line(self.lines.number());
            match read {
                Ok(None) => self.has_ended = true,
                Ok(Some(Line::Whole)) if self.line.trim_ascii().is_empty() => {}
                Ok(Some(Line::Whole)) => {
                    return Some(from_object_text(&self.line, &self.key_field, place));
                }
                Ok(Some(Line::TooLong)) => {
                    let reason = format!(
                        "longer than {MAX_LINE} bytes (1 MiB); keep large content in a file and give its path"
                    );
                    return Some(Err(BadItem::new(place, reason)));
                }
                Err(error) => {
                    self.has_ended = true;
                    let place = ItemOrigin::Line(self.lines.number() + 1);
                    let reason = format!("reading failed here: {error}; what follows was not read");
                    return Some(Err(BadItem::end(place, reason)));
                }
            }
        }
        None
    }
}
