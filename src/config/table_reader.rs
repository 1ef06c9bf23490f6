//! Reads a table of the configuration. Remembers which settings were read, so that unknown ones can be refused, and
//! writes errors with file, line, setting and value.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml_edit::{Document, Item, TableLike};

use crate::error::{Error, Result};
use crate::model::text::excerpt;

/// How similar a known setting has to be to an unknown one to be suggested: a Jaro-Winkler similarity.
const MIN_SIMILARITY: f64 = 0.7;

/// The text of the file, and its path.
#[derive(Debug)]
pub(super) struct ConfigText {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl ConfigText {
    /// Parses the text as TOML.
    pub(super) fn parse(&self) -> Result<Document<&str>> {
        Document::parse(self.text.as_str()).map_err(|error| {
            let position = self.position(error.span());
            Error::invalid(format!("{position}: the file is not valid TOML: {}", error.message().trim()))
        })
    }

    /// The file and, if it is known, the line.
    fn position(&self, span: Option<Range<usize>>) -> String {
        let path = self.path.display();
        match span.and_then(|span| self.text.get(..span.start)) {
            Some(before) => format!("{path}:{}", before.matches('\n').count() + 1),
            None => path.to_string(),
        }
    }
}

/// A setting as `tasktally config` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its name within its table, for example `timeout_s` or `env.allow`.
    pub name: String,
    /// Its value, or its default; null if it has none.
    pub value: Value,
    /// Whether the file sets it.
    pub is_set: bool,
}

/// Reads one table, setting by setting. A missing table has no settings.
pub(super) struct TableReader<'a> {
    text: &'a ConfigText,
    table: Option<&'a dyn TableLike>,
    /// The full name of the table, for example `worker.mail`; empty for the top level.
    name: String,
    known: Vec<&'static str>,
    settings: Vec<Setting>,
    /// The error for the first setting that is missing.
    missing: Option<Error>,
}

impl<'a> TableReader<'a> {
    /// A reader of the top level.
    pub(super) fn top(text: &'a ConfigText, document: &'a Document<&str>) -> Self {
        TableReader::of(text, Some(document.as_table()), String::new())
    }

    fn of(text: &'a ConfigText, table: Option<&'a dyn TableLike>, name: String) -> Self {
        TableReader { text, table, name, known: Vec::new(), settings: Vec::new(), missing: None }
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &'a Path {
        &self.text.path
    }

    /// The full name of a setting.
    pub(super) fn full_name(&self, field: &str) -> String {
        if self.name.is_empty() { field.to_owned() } else { format!("{}.{field}", self.name) }
    }

    /// The value of a setting in the file. The setting is known from now on.
    pub(super) fn find(&mut self, field: &'static str) -> Option<&'a Item> {
        self.known.push(field);
        self.table.and_then(|table| table.get(field))
    }

    /// Whether the file has a setting. The setting is known from now on.
    pub(super) fn contains(&mut self, field: &'static str) -> bool {
        self.find(field).is_some()
    }

    /// Records a setting for `tasktally config`.
    pub(super) fn record(&mut self, field: &str, value: Value, is_set: bool) {
        self.settings.push(Setting { name: field.to_owned(), value, is_set });
    }

    /// The error for a bad value.
    pub(super) fn bad_value(&self, field: &str, why: &str) -> Error {
        let item = self.table.and_then(|table| table.get(field));
        let position = self.text.position(item.and_then(Item::span));
        // The text of the file. A table spans several lines and is not shown.
        let value = item
            .filter(|item| !item.is_table())
            .and_then(Item::span)
            .and_then(|span| self.text.text.get(span))
            .map_or(String::new(), |value| format!(" = {}", excerpt(value)));
        Error::invalid(format!("{position}: {}{value}: {why}", self.full_name(field)))
    }

    /// The error for a value of the wrong type.
    pub(super) fn bad_type(&self, field: &str, item: &Item, expected: &str) -> Error {
        self.bad_value(field, &format!("found {}; expected {expected}", type_name(item)))
    }

    /// The error for a value of the wrong type that may be a secret. The value is not shown.
    pub(super) fn bad_secret_type(&self, field: &str, item: &Item, expected: &str) -> Error {
        let (position, name) = (self.text.position(item.span()), self.full_name(field));
        Error::invalid(format!("{position}: {name}: found {}; expected {expected}", type_name(item)))
    }

    /// The error for a bad value in a table of secrets. The value is not shown.
    pub(super) fn bad_secret(&self, field: &str, name: &str, why: &str) -> Error {
        let table = self.table.and_then(|table| table.get(field)).and_then(Item::as_table_like);
        let span = table.and_then(|table| table.get(name)).and_then(Item::span);
        let position = self.text.position(span);
        Error::invalid(format!("{position}: {}.{}: {why}", self.full_name(field), excerpt(name)))
    }

    /// Notes that a setting is missing. [`TableReader::finish`] refuses the table, unless it has an unknown setting,
    /// which may be a misspelling of the missing one.
    pub(super) fn note_missing(&mut self, field: &str, why: &str) {
        let span = self.table.and_then(|table| table.iter().find_map(|(_, item)| item.span()));
        let position = self.text.position(span);
        let error = Error::invalid(format!("{position}: {} is missing; {why}", self.full_name(field)));
        self.missing.get_or_insert(error);
    }

    /// A reader of a table within this one.
    pub(super) fn table(&mut self, field: &'static str) -> Result<TableReader<'a>> {
        let table = match self.find(field) {
            None => None,
            Some(item) => {
                Some(item.as_table_like().ok_or_else(|| self.bad_type(field, item, "a table of settings"))?)
            }
        };
        Ok(TableReader::of(self.text, table, self.full_name(field)))
    }

    /// Readers of all tables within this one, whose names the operator chooses.
    pub(super) fn named_tables(&self) -> Result<Vec<(&'a str, TableReader<'a>)>> {
        let Some(table) = self.table else { return Ok(Vec::new()) };
        table
            .iter()
            .map(|(name, item)| {
                let inner =
                    item.as_table_like().ok_or_else(|| self.bad_type(name, item, "a table of settings"))?;
                Ok((name, TableReader::of(self.text, Some(inner), self.full_name(&excerpt(name)))))
            })
            .collect()
    }

    /// Refuses unknown settings, then missing ones. Returns the known ones.
    pub(super) fn finish(self) -> Result<Vec<Setting>> {
        let names = self.table.into_iter().flat_map(|table| table.iter().map(|(name, _)| name));
        for name in names {
            if !self.known.contains(&name) {
                return Err(self.unknown_setting(name));
            }
        }
        match self.missing {
            Some(missing) => Err(missing),
            None => Ok(self.settings),
        }
    }

    fn unknown_setting(&self, name: &str) -> Error {
        let suggestion = self
            .known
            .iter()
            .map(|known| (strsim::jaro_winkler(name, known), known))
            .filter(|(similarity, _)| *similarity > MIN_SIMILARITY)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map_or(String::new(), |(_, known)| format!("; did you mean '{known}'?"));
        let key = self.table.and_then(|table| table.key(name));
        let table = if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
        // Quoted, so that the command line does not take a setting for a tool's parameter of the same name.
        let known: Vec<String> = self.known.iter().map(|known| format!("'{known}'")).collect();
        Error::invalid(format!(
            "{}: {table}unknown setting '{}'{suggestion} (known: {})",
            self.text.position(key.and_then(toml_edit::Key::span)),
            excerpt(name),
            known.join(", ")
        ))
    }

    /// Finishes a table within this one, and records its settings here.
    pub(super) fn finish_table(&mut self, field: &str, inner: TableReader<'a>) -> Result<()> {
        for setting in inner.finish()? {
            self.settings.push(Setting { name: format!("{field}.{}", setting.name), ..setting });
        }
        Ok(())
    }
}

/// The type of a value, with its article.
fn type_name(item: &Item) -> String {
    let name = item.type_name();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}
