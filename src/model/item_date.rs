//! The date of an item, from one of its fields.

mod forms;

use jiff::civil::Date;
use serde_json::Value;

use super::field::visible_excerpt;

/// The years that are read.
const YEARS: std::ops::RangeInclusive<i16> = 1..=2999;
/// Dates before this year are unusual in items, and typical of a value that is no date.
const FIRST_USUAL_YEAR: i16 = 1990;

/// The date of an item as it is written, in the text's own UTC offset: a mail of 31 October 23:30 -0500 belongs to
/// October, although the UTC date is in November.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemDate {
    /// The date, or the first day of the month or year.
    pub date: Date,
    /// How exact it is.
    pub precision: Precision,
}

/// How exact a date is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// A year alone.
    Year,
    /// A month of a year.
    Month,
    /// A day.
    Day,
}

impl ItemDate {
    /// Reads a date: ISO 8601, RFC 3339, RFC 2822, other usual forms, digits such as 20251103, or an epoch in seconds,
    /// milliseconds, microseconds or nanoseconds.
    ///
    /// # Errors
    /// The reason, beginning with the value.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        let date = match value {
            Value::String(text) => forms::read(text),
            Value::Number(number) => forms::read_digits(&number.to_string()),
            _ => Err("is not a time; allowed: a date (2025-11-03), RFC 3339, RFC 2822, and epoch seconds or milliseconds"
                .to_owned()),
        };
        date.and_then(|date| match YEARS.contains(&date.date.year()) {
            true => Ok(date),
            false => Err("is out of range; allowed: 0001-01-01 to 2999-12-31".to_owned()),
        })
        .map_err(|reason| match value {
            Value::String(text) => format!("'{}' {reason}", visible_excerpt(text, 80)),
            other => format!("{} {reason}", visible_excerpt(&other.to_string(), 80)),
        })
    }

    fn day(date: Date) -> Self {
        ItemDate { date, precision: Precision::Day }
    }
}

/// The first and the last date of a source's items, and dates that may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateSpan {
    today: Date,
    range: Option<(Date, Date)>,
    unusual: u64,
    /// The first unusual date, with its item.
    example: Option<(Date, String)>,
}

impl DateSpan {
    /// No dates yet.
    pub fn new(today: Date) -> Self {
        DateSpan { today, range: None, unusual: 0, example: None }
    }

    /// Adds the date of an item; `place` names the item.
    pub fn add(&mut self, date: Date, place: impl FnOnce() -> String) {
        let (first, last) = self.range.unwrap_or((date, date));
        self.range = Some((first.min(date), last.max(date)));
        let is_far_ahead = date.year() > self.today.year() + 1;
        if date.year() < FIRST_USUAL_YEAR || is_far_ahead {
            self.unusual += 1;
            self.example.get_or_insert_with(|| (date, place()));
        }
    }

    /// The first and the last date; none if there are no dates.
    pub fn range(&self) -> Option<(Date, Date)> {
        self.range
    }

    /// Says which dates may be wrong.
    pub fn warning(&self) -> Option<String> {
        let (date, place) = self.example.as_ref()?;
        let items =
            if self.unusual == 1 { "1 item is".to_owned() } else { format!("{} items are", self.unusual) };
        let last_usual_year = self.today.year() + 1;
        Some(format!(
            "Check the dates: {items} dated before {FIRST_USUAL_YEAR} or after {last_usual_year}, such as {place} ({date})"
        ))
    }

    /// The span and what is unusual, as the end of a message; empty if there are no dates.
    pub fn describe(&self) -> String {
        let span = match self.range {
            None => return String::new(),
            Some((first, last)) if first == last => format!("; dated {first}"),
            Some((first, last)) => format!("; dated {first} to {last}"),
        };
        match self.warning() {
            Some(warning) => format!("{span}. {warning}"),
            None => span,
        }
    }
}

#[cfg(test)]
mod tests;
