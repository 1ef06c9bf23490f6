//! A table of the file, read setting by setting: each with its range and default, and an error that
//! names file, line, setting, value and limit.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use toml_edit::{Document, Item, TableLike};

use crate::error::{Error, Result};
use crate::model::text::excerpt;

/// The file's text, and where it lies.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Text {
    /// Reads the text as TOML.
    pub(super) fn parse(&self) -> Result<Document<&str>> {
        Document::parse(self.text.as_str()).map_err(|error| {
            Error::invalid(format!(
                "{}: this is not TOML: {}",
                self.place(error.span()),
                error.message().trim()
            ))
        })
    }

    fn place(&self, span: Option<Range<usize>>) -> String {
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
    /// Its name within its table: `timeout_s`, `env.allow`.
    pub name: String,
    /// Its value as the file would have it; null where there is none.
    pub value: Value,
    /// Whether the file sets it.
    pub set: bool,
}

/// A whole number's range, what is counted, and what it is where it is left out.
pub(super) struct Whole {
    pub(super) range: RangeInclusive<u64>,
    pub(super) unit: &'static str,
    pub(super) default: Option<u64>,
}

impl Whole {
    fn told(&self) -> String {
        let left_out = match self.default {
            Some(default) => format!("{default} if left out"),
            None => "no limit if left out".to_owned(),
        };
        format!("{} to {} ({}), {left_out}", self.range.start(), self.range.end(), self.unit)
    }
}

/// One table; what of it was asked for, so that the rest can be refused.
pub(super) struct Reader<'a> {
    text: &'a Text,
    table: Option<&'a dyn TableLike>,
    /// Where it stands: `worker.mail`; empty at the top.
    name: String,
    known: Vec<&'static str>,
    settings: Vec<Setting>,
}

impl<'a> Reader<'a> {
    pub(super) fn top(text: &'a Text, document: &'a Document<&str>) -> Self {
        Reader {
            text,
            table: Some(document.as_table()),
            name: String::new(),
            known: Vec::new(),
            settings: Vec::new(),
        }
    }

    fn full(&self, field: &str) -> String {
        if self.name.is_empty() { field.to_owned() } else { format!("{}.{field}", self.name) }
    }

    fn find(&mut self, field: &'static str) -> Option<&'a Item> {
        self.known.push(field);
        self.table.and_then(|table| table.get(field))
    }

    fn keep(&mut self, field: &str, value: Value, set: bool) {
        self.settings.push(Setting { name: field.to_owned(), value, set });
    }

    /// A refusal of a value.
    pub(super) fn wrong(&self, field: &str, why: &str) -> Error {
        let item = self.table.and_then(|table| table.get(field));
        let place = self.text.place(item.and_then(Item::span));
        // As it stands in the file; a table's values stand in lines of their own.
        let value = item
            .filter(|item| !item.is_table())
            .and_then(Item::span)
            .and_then(|span| self.text.text.get(span))
            .map_or(String::new(), |value| format!(" = {}", excerpt(value)));
        Error::invalid(format!("{place}: {}{value}: {why}", self.full(field)))
    }

    /// Whether a setting stands in the file; it is then known.
    pub(super) fn sets(&mut self, field: &'static str) -> bool {
        self.find(field).is_some()
    }

    /// A refusal of the table for what it lacks.
    pub(super) fn lacks(&self, field: &str, why: &str) -> Error {
        let span = self.table.and_then(|table| table.iter().find_map(|(_, item)| item.span()));
        Error::invalid(format!("{}: {} is missing; {why}", self.text.place(span), self.full(field)))
    }

    fn kind(&self, field: &str, item: &Item, takes: &str) -> Error {
        self.wrong(field, &format!("this is {}; it takes {takes}", kind(item)))
    }

    /// A table within this one; a table that isn't there reads as one with nothing in it.
    pub(super) fn table(&mut self, field: &'static str) -> Result<Reader<'a>> {
        let table = match self.find(field) {
            None => None,
            Some(item) => {
                Some(item.as_table_like().ok_or_else(|| self.kind(field, item, "a table of settings"))?)
            }
        };
        Ok(Reader { text: self.text, table, name: self.full(field), known: Vec::new(), settings: Vec::new() })
    }

    /// Every table within this one, by its name; they can have any name.
    pub(super) fn each(&self) -> Result<Vec<(&'a str, Reader<'a>)>> {
        let Some(table) = self.table else { return Ok(Vec::new()) };
        table
            .iter()
            .map(|(name, item)| {
                let inner =
                    item.as_table_like().ok_or_else(|| self.kind(name, item, "a table of settings"))?;
                let reader = Reader {
                    text: self.text,
                    table: Some(inner),
                    name: self.full(&excerpt(name)),
                    known: Vec::new(),
                    settings: Vec::new(),
                };
                Ok((name, reader))
            })
            .collect()
    }

    /// A whole number.
    pub(super) fn whole(&mut self, field: &'static str, is: &Whole) -> Result<Option<u64>> {
        let found = self.find(field);
        let value = match found {
            None => is.default,
            Some(item) => {
                let given = item
                    .as_integer()
                    .ok_or_else(|| self.kind(field, item, &format!("a whole number, {}", is.told())))?;
                let fits = u64::try_from(given).ok().filter(|given| is.range.contains(given));
                Some(fits.ok_or_else(|| self.wrong(field, &format!("out of range; {}", is.told())))?)
            }
        };
        self.keep(field, json!(value), found.is_some());
        Ok(value)
    }

    /// A time in seconds.
    pub(super) fn seconds(
        &mut self,
        field: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Result<Duration> {
        let is = Whole { range, unit: "seconds", default: Some(default) };
        Ok(Duration::from_secs(self.whole(field, &is)?.unwrap_or(default)))
    }

    /// A text.
    pub(super) fn text(&mut self, field: &'static str) -> Result<Option<&'a str>> {
        let value = match self.find(field) {
            None => None,
            Some(item) => Some(item.as_str().ok_or_else(|| self.kind(field, item, "a string"))?),
        };
        self.keep(field, json!(value), value.is_some());
        Ok(value)
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, field: &'static str, default: &[&'a str]) -> Result<Vec<&'a str>> {
        let found = self.find(field);
        let values: Vec<&str> = match found {
            None => default.to_vec(),
            Some(item) => {
                let list = item.as_array().and_then(|list| list.iter().map(|value| value.as_str()).collect());
                list.ok_or_else(|| self.kind(field, item, "a list of strings"))?
            }
        };
        self.keep(field, json!(values), found.is_some());
        Ok(values)
    }

    /// A list of whole numbers.
    pub(super) fn wholes(
        &mut self,
        field: &'static str,
        range: RangeInclusive<i64>,
        default: &[i64],
    ) -> Result<Vec<i64>> {
        let found = self.find(field);
        let takes = format!("a list of whole numbers, {} to {}", range.start(), range.end());
        let values: Vec<i64> = match found {
            None => default.to_vec(),
            Some(item) => {
                let list: Option<Vec<i64>> =
                    item.as_array().and_then(|list| list.iter().map(|value| value.as_integer()).collect());
                list.ok_or_else(|| self.kind(field, item, &takes))?
            }
        };
        if let Some(bad) = values.iter().find(|value| !range.contains(value)) {
            return Err(self.wrong(field, &format!("{bad} is out of range; it takes {takes}")));
        }
        self.keep(field, json!(values), found.is_some());
        Ok(values)
    }

    /// Every name with its text, of a table that can have any names. Values may be secret: they are not shown.
    pub(super) fn secrets(&mut self, field: &'static str) -> Result<Vec<(&'a str, &'a str)>> {
        let found = self.find(field);
        let values = match found {
            None => Vec::new(),
            Some(item) => {
                let table = item.as_table_like().ok_or_else(|| {
                    // Not with its value, which may be a secret all the same.
                    let (place, name) = (self.text.place(item.span()), self.full(field));
                    Error::invalid(format!(
                        "{place}: {name}: this is {}; it takes a table of strings",
                        kind(item)
                    ))
                })?;
                table
                    .iter()
                    .map(|(name, value)| {
                        let why = || format!("this is {}; it takes a string", kind(value));
                        let text = value.as_str().ok_or_else(|| self.wrong_secret(field, name, &why()))?;
                        Ok((name, text))
                    })
                    .collect::<Result<_>>()?
            }
        };
        let shown: serde_json::Map<String, Value> = values
            .iter()
            .map(|(name, text)| ((*name).to_owned(), json!(format!("({} bytes, not shown)", text.len()))))
            .collect();
        self.keep(field, Value::Object(shown), found.is_some());
        Ok(values)
    }

    /// A refusal of one of a table's values, which is not shown.
    pub(super) fn wrong_secret(&self, field: &str, name: &str, why: &str) -> Error {
        let table = self.table.and_then(|table| table.get(field)).and_then(Item::as_table_like);
        let span = table.and_then(|table| table.get(name)).and_then(Item::span);
        Error::invalid(format!("{}: {}.{}: {why}", self.text.place(span), self.full(field), excerpt(name)))
    }

    /// Refuses what was never asked for; hands over what was, to be shown.
    pub(super) fn end(self) -> Result<Vec<Setting>> {
        let names = self.table.into_iter().flat_map(|table| table.iter().map(|(name, _)| name));
        for name in names {
            if self.known.contains(&name) {
                continue;
            }
            let near = self
                .known
                .iter()
                .map(|known| (strsim::jaro_winkler(name, known), known))
                .filter(|(nearness, _)| *nearness > 0.7)
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .map_or(String::new(), |(_, known)| format!(" Did you mean '{known}'?"));
            let key = self.table.and_then(|table| table.key(name));
            let whose = if self.name.is_empty() { "the file" } else { &self.name };
            return Err(Error::invalid(format!(
                "{}: {whose} has no setting '{}'.{near} It takes {}",
                self.text.place(key.and_then(toml_edit::Key::span)),
                excerpt(name),
                self.known.join(", ")
            )));
        }
        Ok(self.settings)
    }

    /// Ends a table within this one, and shows its settings among this one's.
    pub(super) fn take_in(&mut self, field: &str, inner: Reader<'a>) -> Result<()> {
        for setting in inner.end()? {
            self.settings.push(Setting { name: format!("{field}.{}", setting.name), ..setting });
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &'a Path {
        &self.text.path
    }
}

/// What a value is, in words.
fn kind(item: &Item) -> String {
    let name = item.type_name();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}
