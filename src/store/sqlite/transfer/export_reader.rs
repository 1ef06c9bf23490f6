//! Reads the lines of an export: counts them, hashes them and limits their length.

use std::collections::BTreeMap;
use std::io::{BufRead, Read as _};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::line::{FIRST, FORMAT, LAST, LINE, MAX_LINE_BYTES};
use crate::error::{Code, Error, Result};
use crate::model::chain::hex;
use crate::model::exact_json::find_repeated_key;
use crate::model::text::excerpt;
use crate::store::sqlite::SCHEMA_VERSION;

/// The oldest schema whose exports can be imported. Schema 9 renamed most tables and columns, and no version
/// that exported an older schema was released.
const OLDEST_SCHEMA: i64 = 9;

const NOT_AN_EXPORT: &str = "this is not an export of Tasktally; `tasktally export FILE` writes one";

/// Reads an export line by line.
pub(super) struct ExportReader<'a> {
    input: &'a mut dyn BufRead,
    /// The name of the input, for errors.
    source: &'a str,
    /// The number of the latest line, from 1.
    number: u64,
    /// The hash over all lines before the latest.
    hash: Sha256,
    line: Vec<u8>,
}

/// A line other than the last.
pub(super) struct Line {
    /// The name of its table, or [`FIRST`].
    pub(super) kind: String,
    pub(super) members: Map<String, Value>,
}

impl<'a> ExportReader<'a> {
    /// Reads nothing yet.
    pub(super) fn new(input: &'a mut dyn BufRead, source: &'a str) -> Self {
        ExportReader { input, source, number: 0, hash: Sha256::new(), line: Vec::new() }
    }

    /// The error for an invalid latest line.
    pub(super) fn invalid_line(&self, what: impl std::fmt::Display) -> Error {
        Error::invalid(format!("{}: line {}: {what}; nothing was imported", self.source, self.number))
    }

    /// The error for a line that is not a line of an export: about the whole file if it is the first.
    fn not_a_line(&self, what: impl std::fmt::Display) -> Error {
        if self.number == 1 { self.invalid_line(NOT_AN_EXPORT) } else { self.invalid_line(what) }
    }

    /// Adds the line number to an error, if the error is about the latest line.
    pub(super) fn with_line(&self, error: &Error) -> Error {
        match error.code {
            Code::InvalidArgument | Code::Conflict => self.invalid_line(error),
            code => Error::new(code, format!("{error}; nothing was imported")),
        }
    }

    /// Reads the first line and returns how many lines follow for each table; nothing for an export without counts.
    pub(super) fn read_first(&mut self) -> Result<BTreeMap<String, u64>> {
        let is_export = |line: &Line| line.kind == FIRST;
        let line = self.next_line()?.filter(is_export).ok_or_else(|| self.invalid_line(NOT_AN_EXPORT))?;
        let number = |name: &str| line.members.get(name).and_then(Value::as_i64).unwrap_or(-1);
        let (format, schema) = (number("format"), number("schema"));
        if format > FORMAT as i64 || schema > SCHEMA_VERSION {
            return Err(Error::new(
                Code::StoreNewer,
                format!(
                    "{}: the export has format {format} and schema {schema}; this tasktally reads up to format {FORMAT} and schema {SCHEMA_VERSION}. It was written by a newer tasktally: update tasktally; nothing was imported",
                    self.source
                ),
            ));
        }
        if format < 1 || schema < OLDEST_SCHEMA {
            return Err(self.invalid_line(format!(
                "the export has format {format} and schema {schema}; formats 1 to {FORMAT} with schemas {OLDEST_SCHEMA} to {SCHEMA_VERSION} can be imported. Export the store that it came from again: this tasktally migrates it first"
            )));
        }
        let Some(counts) = line.members.get("counts") else { return Ok(BTreeMap::new()) };
        let count = |(table, count): (&String, &Value)| Some((table.clone(), count.as_u64()?));
        let counts = counts.as_object().and_then(|counts| counts.iter().map(count).collect());
        counts.ok_or_else(|| self.invalid_line("counts: is no list of tables with their numbers of lines"))
    }

    /// Reads the next line. After the last line it returns `None`, if all lines before it are unchanged.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>> {
        self.read_line()?;
        let value = serde_json::from_slice(&self.line).map_err(|error| {
            // serde_json's error has a line number of its own, always 1. It would mislead.
            let full = error.to_string();
            let what = full.split(" at line ").next().unwrap_or(&full).to_owned();
            self.not_a_line(format!("not valid JSON at column {}: {what}", error.column()))
        })?;
        if let Some(what) = str::from_utf8(&self.line).ok().and_then(find_repeated_key) {
            return Err(self.not_a_line(what));
        }
        let Value::Object(mut members) = value else { return Err(self.not_a_line("not a JSON object")) };
        let Some(Value::String(kind)) = members.shift_remove(LINE) else {
            return Err(self.not_a_line(format!("the field '{LINE}' is missing, which names the table")));
        };
        if kind == LAST {
            return self.check_last(&members).map(|()| None);
        }
        self.hash.update(&self.line);
        Ok(Some(Line { kind, members }))
    }

    fn read_line(&mut self) -> Result<()> {
        self.line.clear();
        self.number += 1;
        let mut limited = (&mut *self.input).take(MAX_LINE_BYTES as u64 + 1);
        let read = limited.read_until(b'\n', &mut self.line);
        if let Err(error) = read {
            return Err(self.invalid_line("it cannot be read").caused_by(error));
        }
        if self.line.is_empty() {
            return Err(
                self.invalid_line("the file ends before the last line of the export: it was truncated")
            );
        }
        if self.line.len() > MAX_LINE_BYTES {
            return Err(self
                .invalid_line(format!("longer than {MAX_LINE_BYTES} bytes (64 MiB), the limit of a line")));
        }
        if self.line.last() != Some(&b'\n') {
            return Err(self.invalid_line("the file ends within this line: it was truncated"));
        }
        Ok(())
    }

    /// Compares the count and the hash in the last line with what was read.
    fn check_last(&mut self, members: &Map<String, Value>) -> Result<()> {
        let (number, hash) = (self.number - 1, hex(&self.hash.clone().finalize()));
        let stored = |name: &str| members.get(name).cloned().unwrap_or_default();
        if stored("lines") != number {
            return Err(
                self.invalid_line(format!("{} lines were written, {number} are there", stored("lines")))
            );
        }
        if stored("sha256") != hash {
            let stored = stored("sha256").to_string();
            return Err(self.invalid_line(format!(
                "a line before it was changed since it was written: the SHA-256 of the lines is {hash}, not {}",
                excerpt(&stored)
            )));
        }
        self.line.clear();
        self.number += 1;
        let rest = (&mut *self.input).take(1).read_to_end(&mut self.line);
        match rest {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.invalid_line("there is more after the last line")),
            Err(error) => Err(self.invalid_line("it cannot be read").caused_by(error)),
        }
    }
}
