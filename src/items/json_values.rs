//! Items from JSON that spans lines: the elements of a list, or values that follow each other.
//!
//! One value is in memory at a time, because a list can be larger than memory.

use std::io::{self, BufRead};

use super::item::{BadItem, Item, ItemOrigin, from_list_element, from_object_text};
use super::lines::MAX_LINE;
use crate::error::Result;

/// How the values are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// `[value, value]`.
    List,
    /// Values with nothing but whitespace between them, such as the output of `jq .`.
    Sequence,
}

/// Reads one item per value.
pub(super) fn read<R: BufRead>(
    input: R,
    key_field: String,
    arrangement: Arrangement,
) -> impl Iterator<Item = Result<Item, BadItem>> {
    Values {
        scanner: Scanner { input, line: 1, value: Vec::new(), max_length: MAX_LINE },
        key_field,
        arrangement,
        count: 0,
        has_ended: false,
    }
}

struct Values<R> {
    scanner: Scanner<R>,
    key_field: String,
    arrangement: Arrangement,
    /// How many values were read.
    count: u64,
    has_ended: bool,
}

impl<R: BufRead> Iterator for Values<R> {
    type Item = Result<Item, BadItem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        match self.read_value() {
            Ok(None) => {
                self.has_ended = true;
                None
            }
            Ok(Some((place, Scanned::Whole))) => Some(self.item(place)),
            Ok(Some((place, Scanned::TooLong))) => {
                let reason = format!(
                    "longer than {MAX_LINE} bytes (1 MiB); keep large content in a file and give its path"
                );
                Some(Err(BadItem::new(place, reason)))
            }
            Ok(Some((place, Scanned::Incomplete))) => {
                self.has_ended = true;
                let reason = "the file ends within this value; is it incomplete? What follows was not read";
                Some(Err(BadItem::end(place, reason)))
            }
            Err(reason) => {
                self.has_ended = true;
                let place = ItemOrigin::Line(self.scanner.line);
                Some(Err(BadItem::end(place, format!("{reason}; what follows was not read"))))
            }
        }
    }
}

impl<R: BufRead> Values<R> {
    /// Reads the next value into the scanner; none at the end.
    fn read_value(&mut self) -> Result<Option<(ItemOrigin, Scanned)>, String> {
        let failed = |error: io::Error| format!("reading failed here: {error}");
        let mut next = self.scanner.skip_whitespace().map_err(failed)?;
        if self.arrangement == Arrangement::List {
            let wanted = if self.count == 0 { b'[' } else { b',' };
            match next {
                Some(byte) if byte == wanted => self.scanner.skip_byte(),
                Some(b']') if self.count > 0 => {}
                Some(byte) if self.count == 0 => {
                    return Err(format!("'{}' where the list begins", shown(byte)));
                }
                Some(byte) => {
                    return Err(format!(
                        "'{}' where a comma or the end of the list is expected",
                        shown(byte)
                    ));
                }
                None if self.count == 0 => return Ok(None),
                None => return Err("the file ends before the list does".to_owned()),
            }
            next = self.scanner.skip_whitespace().map_err(failed)?;
            if next == Some(b']') {
                self.scanner.skip_byte();
                return match self.scanner.skip_whitespace().map_err(failed)? {
                    None => Ok(None),
                    Some(byte) => Err(format!("'{}' after the end of the list", shown(byte))),
                };
            }
        }
        if next.is_none() && self.arrangement == Arrangement::Sequence {
            return Ok(None);
        }
        self.count += 1;
        let place = match self.arrangement {
            Arrangement::List => ItemOrigin::Position(self.count),
            Arrangement::Sequence => ItemOrigin::Line(self.scanner.line),
        };
        let scanned = self.scanner.scan_value().map_err(failed)?;
        if scanned == Scanned::Whole && self.scanner.value.is_empty() {
            return Err(match next {
                Some(byte) => format!("'{}' where a value is expected", shown(byte)),
                None => "the file ends before the list does".to_owned(),
            });
        }
        Ok(Some((place, scanned)))
    }

    fn item(&self, place: ItemOrigin) -> Result<Item, BadItem> {
        match self.arrangement {
            Arrangement::List => from_list_element(&self.scanner.value, &self.key_field, place),
            Arrangement::Sequence => from_object_text(&self.scanner.value, &self.key_field, place),
        }
    }
}

fn shown(byte: u8) -> char {
    if byte.is_ascii_graphic() { char::from(byte) } else { '?' }
}

/// The texts of the elements of a JSON array that is known to be valid.
pub(super) fn split_list(text: &str) -> Vec<String> {
    let mut scanner = Scanner { input: text.as_bytes(), line: 1, value: Vec::new(), max_length: usize::MAX };
    let mut elements = Vec::new();
    // Reading from memory cannot fail.
    while let Ok(Some(byte)) = scanner.skip_whitespace() {
        if matches!(byte, b'[' | b',') && (elements.is_empty() || byte == b',') {
            scanner.skip_byte();
        }
        match scanner.skip_whitespace() {
            Ok(Some(b']')) | Ok(None) | Err(_) => break,
            Ok(Some(_)) => {}
        }
        if scanner.scan_value().is_err() {
            break;
        }
        elements.push(String::from_utf8_lossy(&scanner.value).into_owned());
    }
    elements
}

/// How a value ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scanned {
    Whole,
    /// Its end was skipped without being kept.
    TooLong,
    /// The file ends within it.
    Incomplete,
}

/// Finds where values end, without parsing them.
struct Scanner<R> {
    input: R,
    /// The line of the next byte, from 1.
    line: u64,
    value: Vec<u8>,
    /// The longest value that is kept, in bytes.
    max_length: usize,
}

impl<R: BufRead> Scanner<R> {
    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn skip_byte(&mut self) {
        self.input.consume(1);
    }

    /// Skips whitespace; returns the byte that follows.
    fn skip_whitespace(&mut self) -> io::Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.line += u64::from(byte == b'\n');
            self.skip_byte();
        }
        Ok(None)
    }

    /// Reads a value up to its end: the closing bracket or quote, or what follows a number or a word.
    fn scan_value(&mut self) -> io::Result<Scanned> {
        self.value.clear();
        let (mut depth, mut in_string, mut is_escaped, mut is_too_long) = (0_usize, false, false, false);
        let ended = |is_too_long: bool| Ok(if is_too_long { Scanned::TooLong } else { Scanned::Whole });
        loop {
            let Some(byte) = self.peek()? else {
                let is_complete = depth == 0 && !in_string;
                return if is_complete { ended(is_too_long) } else { Ok(Scanned::Incomplete) };
            };
            let ends_before = depth == 0
                && !in_string
                && (byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}' | b':'));
            if ends_before {
                return ended(is_too_long);
            }
            self.line += u64::from(byte == b'\n');
            self.skip_byte();
            if self.value.len() < self.max_length {
                self.value.push(byte);
            } else {
                is_too_long = true;
            }
            if in_string {
                if is_escaped {
                    is_escaped = false;
                } else if byte == b'\\' {
                    is_escaped = true;
                } else if byte == b'"' {
                    in_string = false;
                }
            } else {
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => continue,
                }
            }
            if depth == 0 && !in_string && matches!(byte, b'"' | b'}' | b']') {
                return ended(is_too_long);
            }
        }
    }
}
