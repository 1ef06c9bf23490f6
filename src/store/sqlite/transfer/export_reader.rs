//! The lines of an export as they are read: counted, hashed, none longer than they may be.

use std::io::{BufRead, Read as _};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::line::{FIRST, FORMAT, LAST, LINE, MOST_BYTES};
use crate::error::{Code, Error, Result};
use crate::model::chain::hex;
use crate::model::text::excerpt;
use crate::store::sqlite::SCHEMA_VERSION;

/// The oldest schema whose exports can be imported. Schema 9 renamed most tables and columns, and no version
/// that exported an older schema was released.
const OLDEST_SCHEMA: i64 = 9;

/// Lines that are read one after the other.
pub(super) struct Lines<'a> {
    input: &'a mut dyn BufRead,
    /// What the input is called.
    named: &'a str,
    /// Of the latest line, from 1.
    number: u64,
    /// Over all lines before the latest.
    hash: Sha256,
    line: Vec<u8>,
}

/// A line that is not the last.
pub(super) struct Line {
    /// What it is of.
    pub(super) kind: String,
    pub(super) members: Map<String, Value>,
}

impl<'a> Lines<'a> {
    /// Nothing is read yet.
    pub(super) fn of(input: &'a mut dyn BufRead, named: &'a str) -> Self {
        Lines { input, named, number: 0, hash: Sha256::new(), line: Vec::new() }
    }

    /// What is wrong with the latest line.
    pub(super) fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::invalid(format!("{}: line {}: {what}; nothing was imported", self.named, self.number))
    }

    /// What kept the latest line from being taken: it, or something that has nothing to do with it.
    pub(super) fn at(&self, error: &Error) -> Error {
        match error.code {
            Code::InvalidArgument | Code::Conflict => self.wrong(error),
            code => Error::new(code, format!("{error}; nothing was imported")),
        }
    }

    /// The first line; gives how many follow.
    pub(super) fn first(&mut self) -> Result<u64> {
        let is_export = |line: &Line| line.kind == FIRST;
        let line = self
            .next()?
            .filter(is_export)
            .ok_or_else(|| self.wrong("this is not how an export begins; tasktally export writes one"))?;
        let number = |name: &str| line.members.get(name).and_then(Value::as_i64).unwrap_or(-1);
        let (format, schema) = (number("format"), number("schema"));
        if format > FORMAT as i64 || schema > SCHEMA_VERSION {
            return Err(Error::new(
                Code::StoreNewer,
                format!(
                    "{}: it has format {format} and schema {schema}, this tasktally knows up to {FORMAT} and {SCHEMA_VERSION}: it was written by a newer tasktally. Update tasktally; nothing was imported",
                    self.named
                ),
            ));
        }
        if format < 1 || schema < OLDEST_SCHEMA {
            return Err(self.wrong(format!(
                "the export has format {format} and schema {schema}; formats 1 to {FORMAT} with schemas {OLDEST_SCHEMA} to {SCHEMA_VERSION} can be imported. Export the store that it came from again: this tasktally migrates it first"
            )));
        }
        let counts = line.members.get("counts").and_then(Value::as_object);
        Ok(counts.map_or(0, |counts| counts.values().filter_map(Value::as_u64).sum()))
    }

    /// The next line; none where it was the last one, and all before it are as they were written.
    pub(super) fn next(&mut self) -> Result<Option<Line>> {
        self.read()?;
        let value = serde_json::from_slice(&self.line).map_err(|error| {
            // serde_json counts lines within this line, which would mislead.
            let full = error.to_string();
            let what = full.split(" at line ").next().unwrap_or(&full).to_owned();
            self.wrong(format!("no JSON at column {}: {what}", error.column()))
        })?;
        let Value::Object(mut members) = value else { return Err(self.wrong("no JSON object")) };
        let Some(Value::String(kind)) = members.shift_remove(LINE) else {
            return Err(self.wrong(format!("it has no '{LINE}', which tells what it is")));
        };
        if kind == LAST {
            return self.end(&members).map(|()| None);
        }
        self.hash.update(&self.line);
        Ok(Some(Line { kind, members }))
    }

    fn read(&mut self) -> Result<()> {
        self.line.clear();
        self.number += 1;
        let mut limited = (&mut *self.input).take(MOST_BYTES as u64 + 1);
        let read = limited.read_until(b'\n', &mut self.line);
        if let Err(error) = read {
            return Err(self.wrong("it cannot be read").caused_by(error));
        }
        if self.line.is_empty() {
            return Err(self.wrong("the file ends before its last line: it was cut"));
        }
        if self.line.len() > MOST_BYTES {
            return Err(
                self.wrong(format!("longer than {MOST_BYTES} bytes (64 MiB), which nothing stored is"))
            );
        }
        if self.line.last() != Some(&b'\n') {
            return Err(self.wrong("the file ends within this line: it was cut"));
        }
        Ok(())
    }

    /// Holds what was read to what the last line says of it.
    fn end(&mut self, members: &Map<String, Value>) -> Result<()> {
        let (number, hash) = (self.number - 1, hex(&self.hash.clone().finalize()));
        let told = |name: &str| members.get(name).cloned().unwrap_or_default();
        if told("lines") != number {
            return Err(self.wrong(format!("{} lines were written, {number} are there", told("lines"))));
        }
        if told("sha256") != hash {
            let told = told("sha256").to_string();
            return Err(self.wrong(format!(
                "a line before it was changed since it was written: their SHA-256 is {hash}, not {}",
                excerpt(&told)
            )));
        }
        self.line.clear();
        self.number += 1;
        let more = (&mut *self.input).take(1).read_to_end(&mut self.line);
        match more {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.wrong("there is more after the last line")),
            Err(error) => Err(self.wrong("it cannot be read").caused_by(error)),
        }
    }
}
