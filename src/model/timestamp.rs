//! Timestamps: the store's instants, and the times found in items.

use std::fmt;

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::rfc2822;
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::field::visible_excerpt;
use crate::error::{Error, Result};

/// 2999-12-31T23:59:59.999Z.
const LAST_MS: i64 = 32_503_679_999_999;
/// A bare number from here on is in milliseconds (this one is in 1973); as seconds it would be out of range.
const FIRST_MS_NUMBER: f64 = 1e11;
const RANGE: &str = "1970-01-01 to 2999-12-31";

/// An instant in milliseconds since the epoch, UTC, from 1970 to 2999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `millis` after the epoch, clamped to the range, so that a wrong clock cannot produce an instant
    /// that cannot be printed.
    pub fn from_millis(millis: i64) -> Self {
        Timestamp(millis.clamp(0, LAST_MS))
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// The instant `secs` later (earlier if negative), clamped to the range.
    #[must_use]
    pub fn saturating_add_secs(self, secs: i64) -> Self {
        Timestamp::from_millis(self.0.saturating_add(secs.saturating_mul(1000)))
    }

    /// Reads RFC 3339, or a plain date as its midnight UTC.
    ///
    /// # Errors
    /// Any other text; instants before 1970-01-01 or after 2999-12-31.
    pub fn parse(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let bare_digits = trimmed.bytes().all(|b| b.is_ascii_digit());
        let stamp =
            match iso(trimmed).filter(|_| !bare_digits) {
                Some((date, time, offset)) if offset.is_some() || time.is_none() => {
                    ItemTime::at(date, time, offset)
                }
                _ => Err("is not a time; allowed: RFC 3339 (2025-11-03T10:00:00Z) or a date (2025-11-03)"
                    .to_owned()),
            };
        stamp
            .map(|stamp| Timestamp(stamp.millis))
            .map_err(|reason| Error::invalid(format!("{} {reason}", quoted(text))))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(f, "{instant:.3}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

inline_schema!(Timestamp, {"type": "string"});

/// A time found in an item: the date as written, and the instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemTime {
    /// The date in the text's own UTC offset: a mail of 31 October 23:30 -0500 belongs to October, although the
    /// UTC date is in November.
    pub date: Date,
    /// Milliseconds since the epoch.
    pub millis: i64,
}

impl ItemTime {
    /// Reads RFC 3339, a date, a date and time without a zone (UTC), RFC 2822 as
    /// in mail, epoch seconds or milliseconds (a number or its digits).
    ///
    /// # Errors
    /// The reason, which starts with the value.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        let stamp = match value {
            Value::String(text) => ItemTime::from_text(text.trim()),
            Value::Number(number) => ItemTime::from_number(&number.to_string()),
            _ => Err(unreadable()),
        };
        stamp.map_err(|reason| match value {
            Value::String(text) => format!("{} {reason}", quoted(text)),
            other => format!("{} {reason}", visible_excerpt(&other.to_string(), 80)),
        })
    }

    fn from_text(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return ItemTime::from_number(text);
        }
        if let Some((date, time, offset)) = iso(text) {
            return ItemTime::at(date, time, offset);
        }
        // Real mail often names the wrong weekday; only the date counts.
        let mail = rfc2822::DateTimeParser::new().relaxed_weekday(true);
        let zoned = mail.parse_zoned_datetime(text).map_err(|_| unreadable())?;
        ItemTime::within(zoned.date(), zoned.timestamp().as_millisecond())
    }

    fn from_number(text: &str) -> Result<Self, String> {
        let number: f64 = text.parse().map_err(|_| unreadable())?;
        // 20251103 is meant as a date; as epoch seconds it would be a day of August 1970.
        if text.len() == 8 && iso(text).is_some_and(|(date, ..)| (1900..3000).contains(&date.year())) {
            return Err("is ambiguous (a date or epoch seconds); write a date as 2025-11-03".to_owned());
        }
        let millis = if number >= FIRST_MS_NUMBER { number } else { number * 1000.0 }.round();
        if !(0.0..=LAST_MS as f64).contains(&millis) {
            return Err(outside());
        }
        let instant = jiff::Timestamp::from_millisecond(millis as i64).map_err(|_| outside())?;
        ItemTime::within(Offset::UTC.to_datetime(instant).date(), millis as i64)
    }

    fn at(date: Date, time: Option<Time>, offset: Option<Offset>) -> Result<Self, String> {
        let written = DateTime::from_parts(date, time.unwrap_or(Time::midnight()));
        let zoned = written
            .to_zoned_datetime(TimeZone::fixed(offset.unwrap_or(Offset::UTC)))
            .map_err(|_| outside())?;
        ItemTime::within(date, zoned.timestamp().as_millisecond())
    }

    fn within(date: Date, millis: i64) -> Result<Self, String> {
        if (0..=LAST_MS).contains(&millis) && (1970..3000).contains(&date.year()) {
            Ok(ItemTime { date, millis })
        } else {
            Err(outside())
        }
    }
}

/// The parts of an ISO 8601 text: RFC 3339, with time and offset optional.
fn iso(text: &str) -> Option<(Date, Option<Time>, Option<Offset>)> {
    let pieces = Pieces::parse(text).ok()?;
    let offset = pieces.offset().map(|offset| offset.to_numeric_offset());
    // `[Europe/Berlin]` alone would need a time zone database to be an instant.
    if offset.is_none() && pieces.time_zone_annotation().is_some() {
        return None;
    }
    Some((pieces.date(), pieces.time(), offset))
}

fn unreadable() -> String {
    "is not a time; allowed: a date (2025-11-03), RFC 3339, RFC 2822, and epoch seconds or milliseconds"
        .to_owned()
}

fn outside() -> String {
    format!("is out of range; allowed: {RANGE}")
}

fn quoted(text: &str) -> String {
    format!("'{}'", visible_excerpt(text, 80))
}

#[cfg(test)]
mod tests;
