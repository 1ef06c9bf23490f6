//! Splits CSV into records, by RFC 4180 with any delimiter and any line ends.
//!
//! The crate `csv` accepts every input: a quote that is never closed takes the rest of the file into one value, and
//! rows are lost without an error. This reader reports quotes that are not closed, or not closed properly.

use std::io::{self, BufRead};

use super::dialect::Dialect;
use crate::items::lines::MAX_LINE;

/// One row.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The line on which it begins, from 1.
    pub(super) line: u64,
    pub(super) values: Vec<Vec<u8>>,
    /// Why the row cannot be used.
    pub(super) trouble: Option<String>,
}

/// The row from which on the reader cannot separate the rows, for example because a quote is not closed.
#[derive(Debug)]
pub(super) struct RestUnread {
    /// The line on which the row begins.
    pub(super) line: u64,
    pub(super) reason: String,
}

/// Reads records.
pub(super) struct RecordReader<R> {
    input: R,
    dialect: Dialect,
    /// The line of the next byte, from 1.
    line: u64,
    /// The last byte was a CR: an LF that follows belongs to it.
    after_cr: bool,
    /// How many bytes were read.
    bytes: u64,
}

/// Where in a row the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a value.
    Start,
    /// In a value without quotes.
    Plain,
    /// In a value within quotes.
    Quoted,
    /// After a quote within quotes: the value ends, or the quote is doubled.
    AfterQuote,
    /// In the rest of a row that cannot be used.
    Skipped,
}

impl<R: BufRead> RecordReader<R> {
    pub(super) fn new(input: R, dialect: Dialect) -> Self {
        RecordReader { input, dialect, line: dialect.first_line(), after_cr: false, bytes: 0 }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// How many bytes were read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the next row that is not blank; none at the end of the file.
    pub(super) fn next_record(&mut self) -> Result<Option<Record>, RestUnread> {
        loop {
            let Some((record, has_quotes)) = self.read_record()? else { return Ok(None) };
            let is_blank = !has_quotes && record.trouble.is_none() && record.values.iter().all(Vec::is_empty);
            if !(is_blank && record.values.len() == 1) {
                return Ok(Some(record));
            }
        }
    }

    /// Reads a row, also a blank one, and whether it has quotes.
    fn read_record(&mut self) -> Result<Option<(Record, bool)>, RestUnread> {
        let mut record = Record { line: self.line, ..Record::default() };
        let (mut value, mut state, mut length) = (Vec::new(), State::Start, 0);
        let (mut quote, mut has_quotes) = ((self.line, 0), false);
        loop {
            let rest_unread = |reason: String| RestUnread { line: record.line, reason };
            let byte = match self.next_byte() {
                Ok(byte) => byte,
                Err(error) => return Err(rest_unread(format!("reading failed here: {error}"))),
            };
            let Some(byte) = byte else {
                return match state {
                    State::Quoted => Err(rest_unread(format!(
                        "the quote in column {} opens in line {} and is never closed",
                        quote.1, quote.0
                    ))),
                    State::Start if record.values.is_empty() && length == 0 => Ok(None),
                    State::Skipped => Ok(Some((record, has_quotes))),
                    _ => {
                        record.values.push(value);
                        Ok(Some((record, has_quotes)))
                    }
                };
            };
            if byte == b'\n' && std::mem::take(&mut self.after_cr) {
                // The rest of a CRLF: its CR has ended the row, unless it is part of a value.
                if state == State::Quoted {
                    value.push(byte);
                }
                continue;
            }
            self.after_cr = byte == b'\r';
            length += 1;
            if length > MAX_LINE {
                return Err(rest_unread(format!(
                    "the row is longer than {MAX_LINE} bytes (1 MiB); is a quote not closed?"
                )));
            }
            let is_line_end = matches!(byte, b'\n' | b'\r');
            self.line += u64::from(is_line_end);
            match state {
                State::Quoted if byte == b'"' => state = State::AfterQuote,
                State::Quoted => value.push(byte),
                State::AfterQuote if byte == b'"' => {
                    value.push(byte);
                    state = State::Quoted;
                }
                State::Skipped if is_line_end => return Ok(Some((record, has_quotes))),
                State::Skipped => {}
                _ if is_line_end => {
                    record.values.push(value);
                    return Ok(Some((record, has_quotes)));
                }
                _ if byte == self.dialect.delimiter => {
                    record.values.push(std::mem::take(&mut value));
                    state = State::Start;
                }
                State::AfterQuote if matches!(byte, b' ' | b'\t') => {}
                State::AfterQuote if quote.0 == self.line => {
                    record.trouble = Some(format!(
                        "text follows the closing quote in column {}; a quote within a value is doubled (\"\")",
                        quote.1
                    ));
                    state = State::Skipped;
                }
                State::AfterQuote => {
                    return Err(rest_unread(format!(
                        "the quote in column {} opens in line {}, and the next one, in line {}, does not end a value; is a quote missing?",
                        quote.1, quote.0, self.line
                    )));
                }
                State::Start if byte == b' ' && self.dialect.has_spaces => {}
                State::Start if byte == b'"' => {
                    (quote, has_quotes) = ((self.line, record.values.len() + 1), true);
                    state = State::Quoted;
                }
                State::Start | State::Plain => {
                    value.push(byte);
                    state = State::Plain;
                }
            }
        }
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.input.fill_buf()?.first().copied();
        if byte.is_some() {
            self.input.consume(1);
            self.bytes += 1;
        }
        Ok(byte)
    }
}

/// The names of the columns. Spaces around a name are left out: they are part of the layout, and no key or split
/// would find the name with them.
pub(super) fn column_names(header: Record) -> Result<Vec<String>, String> {
    Ok(texts(header)?.into_iter().map(|name| name.trim().to_owned()).collect())
}

/// The values of a record as text.
pub(super) fn texts(record: Record) -> Result<Vec<String>, String> {
    if let Some(trouble) = record.trouble {
        return Err(trouble);
    }
    let texts = (1..).zip(record.values).map(|(column, value)| {
        String::from_utf8(value).map_err(|_| format!("not UTF-8 in column {column}; save the file as UTF-8"))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str, delimiter: u8) -> Vec<String> {
        let mut reader = RecordReader::new(text.as_bytes(), Dialect::with_delimiter(delimiter));
        let mut shown = Vec::new();
        loop {
            match reader.next_record() {
                Ok(None) => return shown,
                Ok(Some(Record { line, trouble: Some(trouble), .. })) => {
                    shown.push(format!("{line}: BAD {trouble}"))
                }
                Ok(Some(record)) => {
                    let values =
                        record.values.iter().map(|value| String::from_utf8_lossy(value).into_owned());
                    shown.push(format!("{}: {}", record.line, values.collect::<Vec<_>>().join("|")));
                }
                Err(rest) => {
                    shown.push(format!("{}: END {}", rest.line, rest.reason));
                    return shown;
                }
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = records(text, b',');
        let same = found.len() == expected.len()
            && found.iter().zip(expected).all(|(found, start)| found.starts_with(start));
        assert!(same, "{text:?}: {found:?} instead of {expected:?}");
    }

    #[test]
    fn records_are_split_by_rfc_4180_with_any_line_ends() {
        for end in ["\n", "\r\n", "\r"] {
            check(
                &["a,b", "1,\"x, \"\"y\"\"\"", "", "2,", "\"\"", ""].join(end),
                &["1: a|b", "2: 1|x, \"y\"", "4: 2|", "5: "],
            );
        }
        check("a,\"1\r\n2\",b\r\nc,d,e", &["1: a|1\r\n2|b", "3: c|d|e"]);
        check("a,\"1\r2\",b\rc,d,e\r", &["1: a|1\r2|b", "3: c|d|e"]);
        check("5\" disk,x\n", &["1: 5\" disk|x"]);
        check("\"a\" ,b\n", &["1: a|b"]);
        assert_eq!(records("a;\"b;c\"\n", b';'), ["1: a|b;c"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_properly_is_reported() {
        check(
            "key,a\n1,x\n2,\"y\n3,z\n",
            &["1: key|a", "2: 1|x", "3: END the quote in column 2 opens in line 3 and is never closed"],
        );
        check(
            "1,\"y\n3,\"z\"\n",
            &[
                "1: END the quote in column 2 opens in line 1, and the next one, in line 2, does not end a value",
            ],
        );
        check("1,\"y\"z,a\n2,b\n", &["1: BAD text follows the closing quote in column 2", "2: 2|b"]);
        check("1,\"", &["1: END the quote"]);
        check(&format!("1,\"{}", "x".repeat(MAX_LINE)), &["1: END the row is longer than 1048576 bytes"]);
    }
}
